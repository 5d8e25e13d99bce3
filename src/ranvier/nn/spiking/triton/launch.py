"""Whole sequences through the Triton kernels of `_triton_kernels`: what `_fused._Loops` is on a CPU, on a GPU."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from ranvier.codegen.compilation import module_of
from ranvier.engines.surrogates import Surrogate
from ranvier.nn.spiking._kernels import adjoint
from ranvier.nn.spiking._recurrence import Recurrence
from ranvier.nn.spiking.step import Step
from ranvier.nn.spiking.triton._kernels import KernelSource, backward_source, forward_source, segment

BLOCK = 64  # neurons of a program, one a thread: few, so that small layers reach all of a GPU
#: how kernels are compiled: no fused multiply-add, for the same roundings as torch
OPTIONS: dict[str, Any] = {"num_warps": BLOCK // 32, "enable_fp_fusion": False}


class Loops:
    """The kernels of a step for sequences of one length.

    With products between steps (`whole`), every step is a launch, and one more its product; the way back then runs
    each step again from its own state.
    """

    def __init__(
        self, step: Step, surrogate: Surrogate, learned: tuple[str, ...], steps: int, dtype: torch.dtype,
        graph: bool, whole: bool, device: torch.device,
    ) -> None:  # fmt: skip
        double, slope = dtype == torch.float64, surrogate.formula
        self.learned = learned
        derived = adjoint(step, learned, slope) if graph else None
        self.length = 1 if whole else segment(step, derived, double, steps)
        self.segments = -(-steps // self.length)
        self.ahead = forward_source(step, double, self.length, graph)
        self.back = backward_source(step, double, self.length, learned, slope) if graph else None
        self.per_width = _number(1.0 / surrogate.width, dtype, device)

    def forward(
        self, x: Tensor, y: Tensor, states: list[Tensor], constants: Sequence[Tensor], saved: Tensor | None,
        recurrence: Recurrence | None,
    ) -> None:  # fmt: skip
        """All steps; writes y, the states and, for the way back, the states kept. With a recurrence, x becomes the
        sum of what comes from outside and what is fed back."""
        if recurrence is None:
            self._ahead(x, y, states, constants, saved)
            return
        for t, _ in enumerate(recurrence.forward(x, y)):
            self._ahead(x[t : t + 1], y[t : t + 1], states, constants, None if saved is None else saved[t])

    def backward(
        self, x: Tensor, g: Tensor, g_x: Tensor, carries: list[Tensor], constants: Sequence[Tensor], saved: Tensor,
        recurrence: Recurrence | None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """All steps from the last; returns what is summed over steps and batch, (N,) each."""
        sums = {f"sum_{name}": torch.zeros_like(x[0]) for name in self.learned}
        if recurrence is None:
            self._back(x, g, g_x, carries, constants, saved, sums)
        else:
            for t, received in zip(range(len(x) - 1, -1, -1), recurrence.backward(g, g_x), strict=True):
                self._back(x[t : t + 1], received, g_x[t : t + 1], carries, constants, saved[t], sums)
        return {name: value.sum(0) for name, value in sums.items()}

    def _ahead(
        self, x: Tensor, y: Tensor, states: list[Tensor], constants: Sequence[Tensor], saved: Tensor | None
    ) -> None:
        _launch(self.ahead, self.length, [x, y, *([] if saved is None else [saved]), *states, *constants])

    def _back(
        self, x: Tensor, g: Tensor, g_x: Tensor, carries: list[Tensor], constants: Sequence[Tensor], saved: Tensor,
        sums: dict[str, Tensor],
    ) -> None:  # fmt: skip
        assert self.back is not None
        _launch(self.back, self.length, [x, g, g_x, saved, self.per_width, *carries, *sums.values(), *constants])


@lru_cache(maxsize=256)
def loops(
    step: Step, surrogate: Surrogate, learned: tuple[str, ...], steps: int, dtype: torch.dtype, graph: bool,
    whole: bool, device: torch.device,
) -> Loops:  # fmt: skip
    """Those of a sequence so long."""
    return Loops(step, surrogate, learned, steps, dtype, graph, whole, device)


def _launch(source: KernelSource, length: int, tensors: list[Tensor]) -> None:
    """tensors: of the source's arrays, in order; the first is (T, B, N)."""
    x = tensors[0]
    steps, neurons = len(x), x.shape[-1]
    sizes = (steps, -(-steps // length), x[0].numel(), neurons)
    # kernels start on the current device
    there: AbstractContextManager[Any] = torch.cuda.device(x.device) if x.is_cuda else nullcontext()
    with there:
        kernel(source)[(-(-sizes[2] // BLOCK),)](*tensors, *sizes, _BLOCK=BLOCK, **OPTIONS)


@cache
def kernel(source: KernelSource) -> Any:
    """The kernel, which Triton compiles when it is first launched."""
    return module_of(source.text, "triton").kernel


@lru_cache(maxsize=64)
def _number(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Kernels take numbers in float32 only."""
    return torch.tensor([value], dtype=dtype, device=device)


@cache
def applies(device: torch.device) -> bool:
    """Whether kernels run on this device: one is compiled and run for trial, once a process.

    Triton needs a driver, a C compiler and a GPU that it knows; where anything is missing, layers run in plain torch.
    """
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return False
    twice = Step((("y", "x + x"),), (("v", "y"),), "y")
    try:
        x = torch.ones(1, 1, 1, device=device)
        _launch(forward_source(twice, False, 1, False), 1, [x, y := torch.zeros_like(x), x[0].clone()])
        derived = y.item()
    except Exception as error:  # whatever Triton, its compilers and the driver raise
        warnings.warn(
            f"Triton's kernels do not run on {device} ({type(error).__name__}: {error}); layers run in plain torch",
            RuntimeWarning, stacklevel=2,
        )  # fmt: skip
        return False
    return derived == 2.0


__all__ = ["BLOCK", "OPTIONS", "Loops", "applies", "kernel", "loops"]
