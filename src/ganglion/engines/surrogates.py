"""Surrogate gradients of the spike: a step function forward, a smooth slope backward.

Neftci, Mostafa & Zenke 2019; Eshraghian et al. 2023. `width` is in the unit of the argument, mV for a
membrane: the slope falls off over about that distance from threshold. Slopes are 1/width at threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, distance: Tensor, slope: Callable[[Tensor], Tensor], strict: bool) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.slope = slope
        return (distance > 0 if strict else distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (distance,) = ctx.saved_tensors
        return grad * ctx.slope(distance), None, None


@dataclass(frozen=True)
class Surrogate:
    """Base: `slope(distance)` stands for the derivative of the step at `distance` above threshold."""

    width: float = 1.0

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f"found width = {self.width}, expected a positive number")

    def slope(self, distance: Tensor) -> Tensor:
        raise NotImplementedError

    def __call__(self, distance: Tensor, strict: bool = False) -> Tensor:
        """1 where distance >= 0 (`strict`: > 0), else 0."""
        return _Step.apply(distance, self.slope, strict)


class ArcTan(Surrogate):
    """1/(1 + (π x/2)²) (Fang et al. 2021)."""

    def slope(self, distance: Tensor) -> Tensor:
        return 1 / (self.width * (1 + (math.pi / 2 * distance / self.width) ** 2))


class FastSigmoid(Surrogate):
    """1/(1 + |x|)² (Zenke & Ganguli 2018)."""

    def slope(self, distance: Tensor) -> Tensor:
        return 1 / (self.width * (1 + (distance / self.width).abs()) ** 2)


class Triangle(Surrogate):
    """max(0, 1 − |x|) (Bellec et al. 2018)."""

    def slope(self, distance: Tensor) -> Tensor:
        return (1 - (distance / self.width).abs()).clamp(min=0) / self.width


class Gaussian(Surrogate):
    """exp(−x²/2) (Yin et al. 2021, without its negative lobes)."""

    def slope(self, distance: Tensor) -> Tensor:
        return torch.exp(-((distance / self.width) ** 2) / 2) / self.width


class StraightThrough(Surrogate):
    """1 within the width, 0 beyond (Bengio et al. 2013; clipped)."""

    def slope(self, distance: Tensor) -> Tensor:
        return ((distance / self.width).abs() <= 1).to(distance.dtype) / self.width
