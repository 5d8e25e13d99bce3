"""Functions that are linear in pieces, and the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ranvier.verify.functions._function import ROUNDING, Function, LineSlopes, times


@dataclass(frozen=True)
class LeakyRelu(Function):
    """x for x > 0, else leak x; 0 <= leak <= 1.

    >>> rv.verify.functions.LeakyRelu(0.25).value(torch.tensor([-4.0, 4.0])).tolist()
    [-1.0, 4.0]
    """

    leak: float = 0.0
    inflections: ClassVar[tuple[float, ...]] = (0.0,)
    shape: ClassVar[str] = "convex"

    @property
    def name(self) -> str:
        return "leaky_relu" if self.leak else "relu"

    def value(self, x: Tensor) -> Tensor:
        return x.clamp(min=0.0) + (self.leak * x.clamp(max=0.0) if self.leak else 0.0)

    def slope(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, 1.0, self.leak).to(x)

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        return [torch.zeros_like(l)]

    def intercept(self, s: Tensor, l: Tensor, u: Tensor, upper: bool) -> Tensor:
        # convex, with its only corner at 0: extremes are at the ends and there; written out as it is used most
        if self.leak:
            return super().intercept(s, l, u, upper)
        sl, su = _product(s, l), _product(s, u)
        at_l, at_u = l.clamp(min=0.0) - sl, u.clamp(min=0.0) - su
        slope = s.detach().abs()
        slack = torch.where(slope == 0, 0.0, ROUNDING * torch.maximum(l.abs(), u.abs()) * (1 + slope))
        if upper:
            return torch.maximum(at_l, at_u) + slack
        least = torch.minimum(at_l, at_u)
        return torch.where((l < 0) & (u > 0), least.clamp(max=0.0), least) - slack

    def slope_range(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        low = torch.where(l >= 0, 1.0, self.leak).to(l)
        return low, torch.where(u <= 0, self.leak, 1.0).to(l)

    def _slopes(self, l: Tensor, u: Tensor) -> LineSlopes:
        low, high = self.slope_range(l, u)
        fixed = (l >= 0) | (u <= 0)
        lower = torch.where(fixed, low, torch.where(u > -l, 1.0, self.leak).to(l))
        return LineSlopes(lower, torch.where(fixed, high, self._chord(l, u)), fixed, torch.ones_like(fixed))


@dataclass(frozen=True)
class Abs(Function):
    """|x|.

    >>> l, u = torch.tensor([-2.0, 1.0]).double(), torch.tensor([1.0, 3.0]).double()
    >>> [bound.abs().round(decimals=6).tolist() for bound in rv.verify.functions.Abs().range(l, u)]
    [[0.0, 1.0], [2.0, 3.0]]
    """

    inflections: ClassVar[tuple[float, ...]] = (0.0,)
    shape: ClassVar[str] = "convex"

    def value(self, x: Tensor) -> Tensor:
        return x.abs()

    def slope(self, x: Tensor) -> Tensor:
        return x.sign()

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        return [torch.zeros_like(l)]


@dataclass(frozen=True)
class Clip(Function):
    """x kept within [low, high].

    >>> rv.verify.functions.Clip(0.0, 6.0).value(torch.tensor([-1.0, 2.0, 9.0])).tolist()
    [0.0, 2.0, 6.0]
    """

    low: float = -1.0
    high: float = 1.0

    def value(self, x: Tensor) -> Tensor:
        return x.clamp(self.low, self.high)

    def slope(self, x: Tensor) -> Tensor:
        return ((x > self.low) & (x < self.high)).to(x)

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        return [torch.full_like(l, self.low), torch.full_like(l, self.high)]

    def slope_range(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        within = (l >= self.low) & (u <= self.high)
        return within.to(l), ((u > self.low) & (l < self.high)).to(l)


@dataclass(frozen=True)
class Heaviside(Function):
    """1 for x >= 0, else 0: a spike, or, `strict`, 1 for x > 0.

    >>> x = torch.tensor([-1.0, 0.0, 1.0])
    >>> [rv.verify.functions.Heaviside(strict).value(x).tolist() for strict in (False, True)]
    [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    """

    strict: bool = False

    def value(self, x: Tensor) -> Tensor:
        return (x > 0).to(x) if self.strict else (x >= 0).to(x)

    def slope(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def intercept(self, s: Tensor, l: Tensor, u: Tensor, upper: bool) -> Tensor:
        # of the values on both sides of 0 both are taken, so that `strict` makes no difference at 0
        on, both = u >= 0, (u >= 0) & (l <= 0)
        sl, su = _product(s, l), _product(s, u)
        slope = s.detach()
        slack = torch.where(slope == 0, 0.0, ROUNDING * (1 + torch.maximum(sl.detach().abs(), su.detach().abs())))
        if upper:
            same = on.to(l) - torch.minimum(sl, su)
            best = torch.where(both, torch.maximum(-sl, 1 - su).clamp(min=1.0), same)
            return torch.where(self.outside(l, u), torch.inf, best + slack)
        same = on.to(l) - torch.maximum(sl, su)
        best = torch.where(both, torch.minimum(-sl, 1 - su).clamp(max=0.0), same)
        return torch.where(self.outside(l, u), -torch.inf, best - slack)

    def slope_range(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        mixed = (l <= 0) & (u >= 0)
        steepest = torch.maximum(1 / l.abs().clamp(min=1e-6), 1 / u.abs().clamp(min=1e-6))
        return torch.zeros_like(l), torch.where(mixed, steepest, 0.0)

    def _slopes(self, l: Tensor, u: Tensor) -> LineSlopes:
        mixed, middle = (l < 0) & (u > 0), 0.5 * l + 0.5 * u
        upper = torch.where(mixed & (middle < 0), 1 / -torch.where(mixed, l, -1.0), 0.0)
        lower = torch.where(mixed & (middle > 0), 1 / torch.where(mixed, u, 1.0), 0.0)
        return LineSlopes(lower, upper, ~mixed, ~mixed)


def _product(s: Tensor, x: Tensor) -> Tensor:
    """s x, with 0 · inf = 0."""
    return s * x if bool(torch.isfinite(x).all()) else times(s, x)


__all__ = ["Abs", "Clip", "Heaviside", "LeakyRelu"]
