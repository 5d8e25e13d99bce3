"""Whole sequences as one node of the autograd graph: on a CPU through the compiled loops of `_kernels`, on a GPU
through Triton's (`_triton`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranvier.codegen.arithmetic.tiles import LANES, PACK, ROWS
from ranvier.codegen.buffers import empty
from ranvier.codegen.threads import run_shares, shares
from ranvier.engines.surrogates import Formula, Surrogate
from ranvier.nn.operators import Options, compiling, first_order, loops_apply, operator
from ranvier.nn.spiking import _block_loops, _fed_back_loops
from ranvier.nn.spiking._kernels import Kernel, adjoint, backward_kernel, forward_kernel
from ranvier.nn.spiking._recurrence import Delays, Recurrence
from ranvier.nn.spiking.products import tiled
from ranvier.nn.spiking.step import Step
from ranvier.nn.spiking.triton import launch

_SHORTEST, _LONGEST = 4, 16  # steps from one state that is kept to the next
_TAPE = 1 << 21  # bytes of tape that a block may take of the cache
_BLOCK = 1 << 15  # numbers of a block, at most: long stretches of memory, states in the second cache
_LINE = 64  # a row is cut at multiples of this number of neurons
_NARROW = 128  # neurons below which batch and neurons make one row, so that loops are long


def applies(surrogate: Surrogate, x: Tensor, constants: dict[str, Tensor]) -> bool:
    """Whether there are loops for this."""
    return (
        bool(surrogate.formula)
        and type(surrogate).slope is Surrogate.slope
        and loops_apply(x, tuple(constants.values()), ("cpu", "cuda"))
        and (x.device.type == "cpu" or launch.applies(x.device))
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
    last = () if recurrence is None else (recurrence.first, recurrence.weight)
    tensors = (x, *states, *(v.contiguous() for v in values), *last)
    graph = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    learned = tuple(n for n, v in zip(step.parameters, values, strict=True) if graph and v.requires_grad)
    delays = None if recurrence is None else recurrence.delays
    if compiling():
        steps = [] if delays is None else list(delays.steps)
        y, *after = _operator(list(tensors), [step.key, surrogate.formula, *learned], [float(surrogate.width)], steps)
    else:
        y, *after = _Loop.apply(step, surrogate, learned, graph, own, delays, *tensors)
    if narrow:
        y, after = y.view(T, B, N), [s.view(B, N) for s in after]
    out = dict(zip(names, after, strict=True))
    if recurrence is not None:
        out[recurrence.delays.name] = recurrence.delays.after_all(recurrence.first, y)
    return y, out


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, step: Step, surrogate: Surrogate, learned: tuple[str, ...], graph: bool, own: bool,
        delays: Delays | None, x: Tensor, *rest: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        count = len(step.states)
        states = [state.clone(memory_format=torch.contiguous_format) for state in rest[:count]]
        constants = rest[count : count + len(step.parameters)]
        x = x.contiguous()
        loops = _loops_of(step, surrogate, learned, x, graph, delays is not None)
        y = _empty(x)
        saved = _empty(x, loops.segments, count, *x.shape[1:]) if graph else None
        recurrence = None
        if delays is not None:
            recurrence = Recurrence(delays, *rest[-2:])
            x = x if own else _empty(x).copy_(x)
        loops.forward(x, y, states, constants, saved, recurrence)
        ctx.set_materialize_grads(False)
        ctx.step, ctx.surrogate, ctx.learned, ctx.delays = step, surrogate, learned, delays
        if graph:
            extra = (y, *rest[-2:]) if delays is not None else ()
            ctx.save_for_backward(x, saved, *constants, *extra)
        return (y, *states)

    @staticmethod
    @first_order
    def backward(ctx: Any, g: Tensor | None, *g_states: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        step, delays = ctx.step, ctx.delays
        x, saved, *rest = ctx.saved_tensors
        constants = rest[: len(step.parameters)]
        carries = [
            torch.zeros_like(x[0]) if c is None else c.clone(memory_format=torch.contiguous_format)
            for c in g_states
        ]
        if g is None or not g.is_contiguous():
            dense = _empty(x)
            g = dense.zero_() if g is None else dense.copy_(g)
        g_x = _empty(x)
        loops = _loops_of(step, ctx.surrogate, ctx.learned, x, True, delays is not None)
        recurrence = None if delays is None else Recurrence(delays, *rest[-2:])
        sums = loops.backward(x, g, g_x, carries, constants, saved, recurrence)
        last = () if recurrence is None else recurrence.gradients(g_x, rest[-3])
        by_constant = [sums.get(f"sum_{name}") for name in step.parameters]
        return (None,) * 6 + (g_x, *carries, *by_constant, *last)


def _arguments(options: Options, graph: bool) -> tuple[Any, ...]:
    (key, formula, *learned), (width,), steps = options
    delays = Delays(tuple(steps)) if steps else None
    return Step.of(key), Formula(formula, width), tuple(learned) if graph else (), graph, False, delays


def _shapes(tensors: Sequence[Tensor], options: Options) -> list[tuple[int, ...]]:
    states = len(Step.of(options[0][0]).states)
    return [tuple(t.shape) for t in tensors[: 1 + states]]


_operator = operator("spiking", _Loop, _arguments, _shapes)


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
        most = min(_BLOCK, -(-B * N // threads))
        self.blocks = np.array(list(_rows(B, N, most) if whole else _blocks(B, N, most)), np.int64)
        self.most = max((b1 - b0) * (n1 - n0) for b0, b1, n0, n1 in self.blocks.tolist())
        # the same for any number of threads, or the way back would not find the states kept
        steps = _TAPE // (min(_BLOCK, B * N) * self.size * max(len(tape), 1))
        self.length = min(max(steps, _SHORTEST), _LONGEST, T)
        self.segments = -(-T // self.length)

    def forward(
        self, x: Tensor, y: Tensor, states: list[Tensor], constants: Sequence[Tensor], saved: Tensor | None,
        recurrence: Recurrence | None,
    ) -> None:  # fmt: skip
        """All steps; writes y, the states and, for the way back, the states kept. With a recurrence, x becomes the
        sum of what comes from outside and what is fed back."""
        parts = shares(len(self.blocks), x.numel())
        tables = [self._addresses([x, y], None, [*states, *constants]) for _ in parts]
        loop: Any = _block_loops.run_forward
        feedback: list[_Feedback] = []
        if recurrence is not None:
            loop, rows, number = _fed_back_loops.run_forward, self.most // self.shape[2], self.dtype
            tiles = tiled(recurrence.weight)
            places = self.most + PACK
            kinds = ((rows + 1, torch.int64), (places, torch.int32), (places, number), (LANES, number))
            feedback = [_Feedback(recurrence, tiles, [_memory(n, k) for n, k in kinds]) for _ in parts]
        self._run(loop, self._plan(self.ahead, saved), parts, tables, tables, feedback)

    def backward(
        self, x: Tensor, g: Tensor, g_x: Tensor, carries: list[Tensor], constants: Sequence[Tensor], saved: Tensor,
        recurrence: Recurrence | None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """All steps from the last; returns what is summed over steps and batch, (N,) each."""
        assert self.back is not None
        parts = shares(len(self.blocks), x.numel())
        sums = [_memory(self.shape[1:], self.dtype).zero_() for _ in self.back.sums]
        states = [torch.empty_like(c) for c in carries]
        named = dict(zip(self.ahead.constants, constants, strict=True))
        used = [named[name] for name in self.back.constants]
        # every thread has its own tape, (names, steps, numbers of a block), and a row for the output that is not needed
        tapes = [empty((len(self.taped.tape), self.length, self.most), self.dtype) for _ in parts]
        rows = _memory((len(parts), *self.shape[1:]), self.dtype)
        tables = [
            self._addresses([x, row], tape, [*states, *constants]) for row, tape in zip(rows, tapes, strict=True)
        ]
        backs = [self._addresses([g, g_x], tape, [*carries, *used, *sums]) for tape in tapes]
        loop: Any = _block_loops.run_backward
        feedback: list[_Feedback] = []
        if recurrence is not None:
            loop, longest = _fed_back_loops.run_backward, recurrence.delays.longest
            tiles = tiled(recurrence.weight.T)
            counts = ((longest + 1) * self.most, self.most, LANES * ROWS)
            feedback = [_Feedback(recurrence, tiles, [_memory(n, self.dtype) for n in counts]) for _ in parts]
        self._run(loop, self._plan(self.taped, saved), parts, tables, backs, feedback)
        return {name: value.sum(0) for name, value in zip(self.back.sums, sums, strict=True)}

    def _run(
        self, loop: Any, plan: np.ndarray, parts: list[tuple[int, int]], tables: list[np.ndarray],
        backs: list[np.ndarray], feedback: list[_Feedback],
    ) -> None:  # fmt: skip
        at, blocks = plan.ctypes.data, self.blocks.ctypes.data
        last = [f.table.ctypes.data for f in feedback] or [0] * len(parts)
        rows = [
            (at, table.ctypes.data, back.ctypes.data, blocks, *part, fed)
            for part, table, back, fed in zip(parts, tables, backs, last, strict=True)
        ]
        run_shares(loop, self.dtype, rows)

    def _addresses(self, sequences: list[Tensor], tape: Tensor | None, rest: Sequence[Tensor]) -> np.ndarray:
        places = [t.data_ptr() for t in sequences]
        if tape is not None:
            first, stride = tape.data_ptr(), tape.stride(0) * self.size
            places += [first + k * stride for k in range(len(tape))]
        return np.array(places + [t.data_ptr() for t in rest], np.int64)

    def _plan(self, kernel: Kernel, saved: Tensor | None) -> np.ndarray:
        back, at = 0 if self.back is None else self.back.address, 0 if saved is None else saved.data_ptr()
        first = len(kernel.sequences) + len(kernel.tape)
        plan = np.array([kernel.address, back, *self.shape, self.length, self.size, self.count, first, at, 0], np.int64)
        plan.view(np.float64)[-1] = self.width
        return plan


class _Feedback:
    """A recurrence as the loops of `_fed_back_loops` take it, with a thread's own memory."""

    def __init__(self, recurrence: Recurrence, tiles: Tensor, memory: list[Tensor]) -> None:
        first, delays = recurrence.first.contiguous(), recurrence.delays
        each = delays.each(len(recurrence.weight))
        self.alive = (first, each, tiles, memory)
        places = [t.data_ptr() for t in (tiles, first, each)] + [delays.longest, delays.shortest]
        self.table = np.array(places + [t.data_ptr() for t in memory], np.int64)


def _loops_of(
    step: Step, surrogate: Surrogate, learned: tuple[str, ...], x: Tensor, graph: bool, whole: bool
) -> _Loops | launch.Loops:
    if _on_gpu(x):
        return launch.loops(step, surrogate, learned, len(x), x.dtype, graph, whole, x.device)
    return _loops(step, surrogate, learned, tuple(x.shape), x.dtype, graph, whole, torch.get_num_threads())


def _on_gpu(x: Tensor) -> bool:
    return x.device.type != "cpu"


def _empty(x: Tensor, *shape: int) -> Tensor:
    """Uninitialised, like x, of its shape unless another is given."""
    shape = shape or tuple(x.shape)
    return empty(shape, x.dtype) if x.device.type == "cpu" else x.new_empty(shape)


def _memory(shape: int | tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Uninitialised, on the CPU whatever torch's default is."""
    return torch.empty(shape, dtype=dtype, device="cpu")


@lru_cache(maxsize=256)
def _loops(*tensors: Any) -> _Loops:
    return _Loops(*tensors)


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


def _rows(B: int, N: int, most: int) -> Iterator[tuple[int, int, int, int]]:
    """Whole rows, as many as the dense products of `_tiles` take at once, or a multiple."""
    rows = -(-max(most // N, 1) // ROWS) * ROWS
    for b in range(0, B, rows):
        yield b, min(b + rows, B), 0, N
