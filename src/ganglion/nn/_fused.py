"""Whole sequences through the compiled loops of `_kernels`, as one node of the autograd graph."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ganglion.engines.surrogates import Surrogate
from ganglion.nn._buffers import empty
from ganglion.nn._kernels import SLOPES, Kernel, adjoint, backward_kernel, forward_kernel
from ganglion.nn._spikes import add_product, find_active, outer
from ganglion.nn._step import Step
from ganglion.nn._threads import in_threads

_PROTOTYPE = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 8, ctypes.c_double)
_BLOCK = 1 << 14  # numbers of one sequence that a call takes through all steps: states stay in the second cache
_COLUMNS = 2048  # at most so many of them neighbours


def applies(surrogate: Surrogate, x: Tensor, constants: dict[str, Tensor]) -> bool:
    """Whether there are compiled loops for this."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and all(value.dtype == x.dtype and value.device == x.device for value in constants.values())
        and type(surrogate).__module__ == Surrogate.__module__
        and type(surrogate).__name__ in SLOPES
        and x.numel() > 0
    )


def run(
    step: Step,
    surrogate: Surrogate,
    x: Tensor,
    state: dict[str, Tensor],
    constants: dict[str, Tensor],
    recurrent: Tensor | None,
    own: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """x (T, B, N) -> y (T, B, N), state after it. `own`: nobody else needs x, it may be written over."""
    names = [name for name, _ in step.states]
    values = [constants[name].expand(x.shape[2]).contiguous() for name in step.parameters]
    states = [state[name] for name in names]
    last = [] if recurrent is None else [state["y"], recurrent]
    given = (x, *states, *values, *last)
    graph = torch.is_grad_enabled() and any(t.requires_grad for t in given)
    learned = tuple(n for n, v in zip(step.parameters, values, strict=True) if graph and v.requires_grad)
    y, *after = _Loop.apply(step, surrogate, learned, graph, own, recurrent is not None, *given)
    out = dict(zip(names, after, strict=True))
    if recurrent is not None:
        out["y"] = y[-1]
    return y, out


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, step: Step, surrogate: Surrogate, learned: tuple[str, ...], graph: bool, own: bool,
        recurrent: bool, x: Tensor, *rest: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        count = len(step.states)
        states = [state.clone(memory_format=torch.contiguous_format) for state in rest[:count]]
        constants = dict(zip(step.parameters, rest[count:], strict=False))
        x = x.contiguous()
        tape = adjoint(step, learned, type(surrogate).__name__).tape if graph else ()
        kernel = forward_kernel(step, x.dtype == torch.float64, tape, own)
        y = empty(x.shape, x.dtype)
        kept = {name: empty(x.shape, x.dtype) for name in tape[1 if own else 0 :]}
        sequences = {"x": x, "y_out": y, **{f"tape_{name}": value for name, value in kept.items()}}
        call = _Call(kernel, sequences, states, constants, surrogate.width)
        if recurrent:
            previous, weight = rest[-2], rest[-1]
            # a dense product's last bits depend on alignment: rows that begin anywhere go by way of others
            aligned = call.stride % 64 == 0
            pre, sent, by_source = torch.empty_like(x[0]), torch.empty_like(x[0]), weight.T.contiguous()
            previous = previous.contiguous()
            for t in range(len(x)):
                drive = x[t] if own and aligned else pre
                active = find_active(previous)
                if active is not None:
                    if drive is pre:
                        pre.copy_(x[t])
                    add_product(drive, previous, active, by_source)
                else:
                    sent = previous if aligned else sent.copy_(previous)
                    torch.addmm(x[t], sent, weight.T, out=drive)
                if own and not aligned:
                    x[t].copy_(pre)
                call.one(t, {} if own else {"x": pre})
                previous = y[t]
        else:
            call.all()
        if own and tape:
            kept[tape[0]] = x
        ctx.step, ctx.surrogate, ctx.learned, ctx.tape, ctx.recurrent = step, surrogate, learned, tape, recurrent
        ctx.set_materialize_grads(False)
        if graph:
            extra = (y, *rest[-2:]) if recurrent else ()
            ctx.save_for_backward(*(kept[name] for name in tape), *constants.values(), *extra)
            ctx.shape, ctx.dtype = x.shape, x.dtype
        return (y, *states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor | None, *g_states: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        step, shape, dtype = ctx.step, ctx.shape, ctx.dtype
        saved = ctx.saved_tensors
        tape = dict(zip(ctx.tape, saved, strict=False))
        constants = dict(zip(step.parameters, saved[len(tape) :], strict=False))
        kernel = backward_kernel(step, dtype == torch.float64, ctx.learned, type(ctx.surrogate).__name__)
        carries = [
            torch.zeros(shape[1:], dtype=dtype) if c is None else c.clone(memory_format=torch.contiguous_format)
            for c in g_states
        ]
        if g is None or not g.is_contiguous():
            dense = empty(shape, dtype)
            g = dense.zero_() if g is None else dense.copy_(g)
        g_x = empty(shape, dtype)
        sequences = {"g_y_out": g, "g_x": g_x, **{f"tape_{name}": value for name, value in tape.items()}}
        call = _Call(kernel, sequences, carries, constants, ctx.surrogate.width)
        g_previous = g_weight = None
        if ctx.recurrent:
            y, first, weight = saved[-3:]
            sent = torch.empty_like(g[0])
            call.one(len(g) - 1, {})
            for t in range(len(g) - 2, -1, -1):
                torch.addmm(g[t], g_x[t + 1], weight, out=sent)
                call.one(t, {"g_y_out": sent})
            g_previous = g_x[0] @ weight
            later, sent = g_x[1:].flatten(0, 1), y[:-1].flatten(0, 1)
            active = find_active(sent)
            g_weight = later.T @ sent if active is None else outer(sent, later, active)
            g_weight = g_weight + g_x[0].T @ first
        else:
            call.all()
        sums = call.sums()
        by_constant = [sums.get(f"sum_{name}") for name in step.parameters]
        last = [g_previous, g_weight] if ctx.recurrent else []
        return (None,) * 6 + (g_x, *carries, *by_constant, *last)


class _Call:
    """A kernel with its arrays, cut into blocks; every block sums for itself, whatever thread runs it."""

    def __init__(
        self, kernel: Kernel, sequences: dict[str, Tensor], states: list[Tensor], constants: dict[str, Tensor],
        width: float,
    ) -> None:  # fmt: skip
        self.kernel, self.width = kernel, width
        self.shape = tuple(sequences[kernel.sequences[0]].shape)
        tensors = [sequences[name] for name in kernel.sequences] + states
        tensors += [constants[name] for name in kernel.constants]
        self.alive = tensors
        self.table = np.array([t.data_ptr() for t in tensors] + [0] * len(kernel.sums), np.int64)
        self.stride = self.shape[1] * self.shape[2] * tensors[0].element_size()
        self.blocks = list(_blocks(*self.shape[1:]))
        self.partial = torch.zeros(len(self.blocks), len(kernel.sums), self.shape[2], dtype=tensors[0].dtype)

    def all(self) -> None:
        """All steps of all blocks."""
        function, (T, B, N) = _function(self.kernel.address), self.shape

        def some(lo: int, hi: int) -> None:
            for k in range(lo, hi):
                table = self._table(k)
                function(table.ctypes.data, T, B, N, *self.blocks[k], self.width)

        in_threads(some, len(self.blocks), T * B * N)

    def one(self, t: int, instead: dict[str, Tensor]) -> None:
        """Step t of the whole batch, some sequences' rows at another place."""
        _, B, N = self.shape
        table = self._table(0)
        table[: len(self.kernel.sequences)] += t * self.stride
        for name, row in instead.items():
            table[self.kernel.sequences.index(name)] = row.data_ptr()
        _function(self.kernel.address)(table.ctypes.data, 1, B, N, 0, B, 0, N, self.width)

    def sums(self) -> dict[str, Tensor]:
        """What the kernel summed over steps and batch, (N,) each."""
        return dict(zip(self.kernel.sums, self.partial.sum(0), strict=True))

    def _table(self, block: int) -> np.ndarray:
        table = self.table.copy()
        row = self.partial.stride(1) * self.partial.element_size()
        count = len(self.kernel.sums)
        if count:
            table[-count:] = self.partial[block].data_ptr() + row * np.arange(count)
        return table


def _blocks(B: int, N: int) -> Iterator[tuple[int, int, int, int]]:
    columns = min(N, _COLUMNS)
    rows = max(1, _BLOCK // columns)
    for b in range(0, B, rows):
        for n in range(0, N, columns):
            yield b, min(b + rows, B), n, min(n + columns, N)


@cache
def _function(address: int) -> Any:
    return _PROTOTYPE(address)  # ctypes lets other threads run meanwhile

