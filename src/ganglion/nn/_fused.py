"""Whole sequences as one node of the autograd graph: on a CPU through the compiled loops of `_kernels`, on a GPU
through Triton's (`_triton`)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ganglion.engines.surrogates import Surrogate
from ganglion.nn import _triton
from ganglion.nn._buffers import empty
from ganglion.nn._kernels import Kernel, adjoint, backward_kernel, forward_kernel
from ganglion.nn._recurrence import Recurrence
from ganglion.nn._step import Step
from ganglion.nn._threads import in_threads

_LONG, _DOUBLE = ctypes.c_int64, ctypes.c_double
_SHORTEST, _LONGEST = 4, 16  # steps from one state that is kept to the next
_TAPE = 1 << 21  # bytes of tape that a block may take of the cache
_BLOCK = 1 << 15  # numbers of a block, at most: long stretches of memory, states in the second cache
_LINE = 64  # a row is cut at multiples of so many neurons
_NARROW = 128  # neurons below which batch and neurons make one row, so that loops are long


def applies(surrogate: Surrogate, x: Tensor, constants: dict[str, Tensor]) -> bool:
    """Whether there are loops for this."""
    return (
        (x.device.type == "cpu" or _triton.applies(x.device))
        and x.dtype in (torch.float32, torch.float64)
        and all(value.dtype == x.dtype and value.device == x.device for value in constants.values())
        and bool(surrogate.formula)
        and type(surrogate).slope is Surrogate.slope
        and x.numel() > 0
    )


def run(
    step: Step,
    surrogate: Surrogate,
    x: Tensor,
    state: dict[str, Tensor],
    constants: dict[str, Tensor],
    recurrence: Recurrence | None,
    own: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """x (T, B, N) -> y (T, B, N), state after it. `own`: nobody else needs x, it may be written over."""
    names = [name for name, _ in step.states]
    T, B, N = x.shape
    values = [constants[name].expand(N) for name in step.parameters]
    states = [state[name] for name in names]
    narrow = N < _NARROW and B > 1 and recurrence is None and x.device.type == "cpu"
    if narrow:
        x, states, values = x.reshape(T, 1, B * N), [s.reshape(1, B * N) for s in states], [v.repeat(B) for v in values]
    last = () if recurrence is None else (state[recurrence.delays.name], recurrence.weight)
    given = (x, *states, *(v.contiguous() for v in values), *last)
    graph = torch.is_grad_enabled() and any(t.requires_grad for t in given)
    learned = tuple(n for n, v in zip(step.parameters, values, strict=True) if graph and v.requires_grad)
    y, *after = _Loop.apply(step, surrogate, learned, graph, own, recurrence, *given)
    if narrow:
        y, after = y.view(T, B, N), [s.view(B, N) for s in after]
    out = dict(zip(names, after, strict=True))
    if recurrence is not None:
        out[recurrence.delays.name] = recurrence.delays.after_all(state[recurrence.delays.name], y)
    return y, out


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, step: Step, surrogate: Surrogate, learned: tuple[str, ...], graph: bool, own: bool,
        recurrence: Recurrence | None, x: Tensor, *rest: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        count = len(step.states)
        states = [state.clone(memory_format=torch.contiguous_format) for state in rest[:count]]
        constants = rest[count : count + len(step.parameters)]
        x = x.contiguous()
        loops = _loops_of(step, surrogate, learned, x, graph, recurrence is not None)
        y = _empty(x)
        kept = _empty(x, loops.segments, count, *x.shape[1:]) if graph else None
        if recurrence is None:
            loops.forward(x, y, states, constants, kept)
        else:
            total = x if own else _empty(x)
            sent = recurrence.forward(x, total, y, *rest[-2:])
            for t in range(len(x)):
                next(sent)
                loops.forward_step(t, total, y, states, constants, kept)
            x = total
        ctx.set_materialize_grads(False)
        ctx.step, ctx.surrogate, ctx.learned, ctx.recurrence = step, surrogate, learned, recurrence
        if graph:
            extra = (y, *rest[-2:]) if recurrence is not None else ()
            ctx.save_for_backward(x, kept, *constants, *extra)
        return (y, *states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor | None, *g_states: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        step, recurrence = ctx.step, ctx.recurrence
        x, kept, *rest = ctx.saved_tensors
        constants = rest[: len(step.parameters)]
        carries = [
            torch.zeros_like(x[0]) if c is None else c.clone(memory_format=torch.contiguous_format)
            for c in g_states
        ]
        if g is None or not g.is_contiguous():
            dense = _empty(x)
            g = dense.zero_() if g is None else dense.copy_(g)
        g_x = _empty(x)
        loops = _loops_of(step, ctx.surrogate, ctx.learned, x, True, recurrence is not None)
        last: tuple[Tensor | None, ...] = ()
        if recurrence is None:
            sums = loops.backward(x, g, g_x, carries, constants, kept)
        else:
            y, first, weight = rest[-3:]
            received = recurrence.backward(g, g_x, weight)
            sums = loops.backward_steps(x, g_x, carries, constants, kept, received)
            last = recurrence.gradients(g_x, y, first, weight)
        by_constant = [sums.get(f"sum_{name}") for name in step.parameters]
        return (None,) * 6 + (g_x, *carries, *by_constant, *last)


class _Loops:
    """The kernels of a step for one shape, cut into blocks, at least one a thread; cuts change no result."""

    def __init__(
        self, step: Step, surrogate: Surrogate, learned: tuple[str, ...], shape: tuple[int, ...],
        dtype: torch.dtype, graph: bool, whole: bool, threads: int,
    ) -> None:  # fmt: skip
        double = dtype == torch.float64
        self.shape, self.dtype, self.size = shape, dtype, dtype.itemsize
        self.width, self.count = surrogate.width, len(step.states)
        self.ahead = forward_kernel(step, double, ())
        self.back: Kernel | None = None
        tape: tuple[str, ...] = ()
        if graph:
            tape = adjoint(step, learned, surrogate.formula).tape
            self.taped = forward_kernel(step, double, tape)
            self.back = backward_kernel(step, double, learned, surrogate.formula)
        T, B, N = self.shape
        self.blocks = [(0, B, 0, N)] if whole else list(_blocks(B, N, min(_BLOCK, -(-B * N // threads))))
        self.most = max((b1 - b0) * (n1 - n0) for b0, b1, n0, n1 in self.blocks)
        # the same for any number of threads, or the way back would not find the states kept
        steps = _TAPE // ((B * N if whole else min(_BLOCK, B * N)) * self.size * max(len(tape), 1))
        self.length = min(max(steps, _SHORTEST), _LONGEST, T)
        self.segments = -(-T // self.length)

    def forward(
        self, x: Tensor, y: Tensor, states: list[Tensor], constants: Sequence[Tensor], kept: Tensor | None
    ) -> None:
        """All steps; writes y, the states and, for the way back, the states kept."""
        run_forward, plan = _compiled("run_forward", 6), self._plan(self.ahead, kept)

        def some(lo: int, hi: int) -> None:
            table = self._addresses([x, y], None, [*states, *constants])
            for k in range(lo, hi):
                run_forward(plan.ctypes.data, table.ctypes.data, *self.blocks[k], self.width)

        in_threads(some, len(self.blocks), x.numel())

    def backward(
        self, x: Tensor, g: Tensor, g_x: Tensor, carries: list[Tensor], constants: Sequence[Tensor], kept: Tensor
    ) -> dict[str, Tensor]:
        """All steps from the last; returns what is summed over steps and batch, (N,) each."""
        run_backward, plan, sums = _compiled("run_backward", 7), self._plan(self.taped, kept), self._zero_sums()
        states = [torch.empty_like(c) for c in carries]

        def some(lo: int, hi: int) -> None:
            row, tape = self._row(), self._tape()
            table = self._addresses([x, row], tape, [*states, *constants])
            back = self._addresses([g, g_x], tape, [*carries, *self._used(constants), *sums])
            for k in range(lo, hi):
                run_backward(plan.ctypes.data, table.ctypes.data, back.ctypes.data, *self.blocks[k], self.width)

        in_threads(some, len(self.blocks), x.numel())
        return self._sums(sums)

    def forward_step(
        self, t: int, x: Tensor, y: Tensor, states: list[Tensor], constants: Sequence[Tensor], kept: Tensor | None
    ) -> None:
        """Step t of the whole batch; x and y (T, B, N)."""
        if kept is not None and t % self.length == 0:
            for target, state in zip(kept[t // self.length], states, strict=True):
                target.copy_(state)
        self._call(self.ahead, 1, self._addresses([x[t], y[t]], None, [*states, *constants]))

    def backward_steps(
        self, x: Tensor, g_x: Tensor, carries: list[Tensor], constants: Sequence[Tensor], kept: Tensor,
        received: Iterator[Tensor],
    ) -> dict[str, Tensor]:  # fmt: skip
        """All steps from the last, of the whole batch; y's gradient comes from `received`, step by step."""
        assert self.back is not None
        sums, row, tape, used = self._zero_sums(), self._row(), self._tape(), self._used(constants)
        for s in range(self.segments - 1, -1, -1):
            first, last = s * self.length, min((s + 1) * self.length, len(x))
            states = [before.clone() for before in kept[s]]
            self._call(self.taped, last - first, self._addresses([x[first], row], tape, [*states, *constants]), keep=0)
            for t in range(last - 1, first - 1, -1):
                sequences, rest = [next(received), g_x[t]], [*carries, *used, *sums]
                self._call(self.back, 1, self._addresses(sequences, tape[:, t - first], rest))
        return self._sums(sums)

    def _call(self, kernel: Kernel, steps: int, table: np.ndarray, keep: int = 1) -> None:
        _loop(kernel.address)(table.ctypes.data, steps, *self.shape[1:], *self.blocks[0], keep, self.width)

    def _addresses(self, sequences: list[Tensor], tape: Tensor | None, rest: Sequence[Tensor]) -> np.ndarray:
        places = [t.data_ptr() for t in sequences]
        if tape is not None:
            first, stride = tape.data_ptr(), tape.stride(0) * self.size
            places += [first + k * stride for k in range(len(tape))]
        return np.array(places + [t.data_ptr() for t in rest], np.int64)

    def _row(self) -> Tensor:
        """Where the output goes that nobody wants."""
        return torch.empty(self.shape[1:], dtype=self.dtype)

    def _tape(self) -> Tensor:
        """(names, steps, numbers of a block): every thread has its own."""
        return empty((len(self.taped.tape), self.length, self.most), self.dtype)

    def _used(self, constants: Sequence[Tensor]) -> list[Tensor]:
        """Those of the forward loop's constants that the backward loop takes."""
        assert self.back is not None
        named = dict(zip(self.ahead.constants, constants, strict=True))
        return [named[name] for name in self.back.constants]

    def _plan(self, kernel: Kernel, kept: Tensor | None) -> np.ndarray:
        back, at = 0 if self.back is None else self.back.address, 0 if kept is None else kept.data_ptr()
        first = len(kernel.sequences) + len(kernel.tape)
        return np.array([kernel.address, back, *self.shape, self.length, self.size, self.count, first, at], np.int64)

    def _zero_sums(self) -> list[Tensor]:
        """Where the gradients by learned constants are summed over time."""
        assert self.back is not None
        return [torch.zeros(self.shape[1:], dtype=self.dtype) for _ in self.back.sums]

    def _sums(self, found: list[Tensor]) -> dict[str, Tensor]:
        assert self.back is not None
        return {name: value.sum(0) for name, value in zip(self.back.sums, found, strict=True)}


def _loops_of(
    step: Step, surrogate: Surrogate, learned: tuple[str, ...], x: Tensor, graph: bool, whole: bool
) -> _Loops | _triton.Loops:
    if _on_gpu(x):
        return _triton.loops(step, surrogate, learned, len(x), x.dtype, graph, whole, x.device)
    return _made(step, surrogate, learned, tuple(x.shape), x.dtype, graph, whole, torch.get_num_threads())


def _on_gpu(x: Tensor) -> bool:
    return x.device.type != "cpu"


def _empty(x: Tensor, *shape: int) -> Tensor:
    """Uninitialised, like x, of its shape unless another is given."""
    shape = shape or tuple(x.shape)
    return empty(shape, x.dtype) if x.device.type == "cpu" else x.new_empty(shape)


@lru_cache(maxsize=256)
def _made(*given: Any) -> _Loops:
    return _Loops(*given)


def _blocks(B: int, N: int, most: int) -> Iterator[tuple[int, int, int, int]]:
    """Whole rows, or parts of one: either way one stretch of memory a step."""
    if most < N:
        size = -(-most // _LINE) * _LINE
        parts = -(-N // size)
        for b in range(B):
            for k in range(parts):
                yield b, b + 1, min(size * k, N), min(size * (k + 1), N)
        return
    rows = most // N
    for b in range(0, B, rows):
        yield b, min(b + rows, B), 0, N


@cache
def _loop(address: int) -> Any:
    return ctypes.CFUNCTYPE(None, *[_LONG] * 9, _DOUBLE)(address)  # ctypes lets other threads run meanwhile


@cache
def _compiled(name: str, integers: int) -> Any:
    from numba import types

    from ganglion.engines._machine import address
    from ganglion.nn import _block_loops

    signature = types.void(*[types.int64] * integers, types.float64)
    at = address(getattr(_block_loops, name), signature)
    return ctypes.CFUNCTYPE(None, *[_LONG] * integers, _DOUBLE)(at)
