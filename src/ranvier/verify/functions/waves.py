"""Sine and cosine, and gated functions whose slope has no inverse in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from ranvier.verify.functions._function import ROUNDING, Function, times

_FAR = 1e5  # beyond, periods are not counted: the range is taken whole


@dataclass(frozen=True)
class Sine(Function):
    """sin(x), or, with `cosine`, cos(x).

    >>> l, u = torch.tensor([0.0]).double(), torch.tensor([3.0]).double()
    >>> [round(bound.item(), 4) + 0.0 for bound in rv.verify.functions.Sine().range(l, u)]  # π/2 lies between
    [0.0, 1.0]
    """

    cosine: bool = False

    @property
    def name(self) -> str:
        return "cosine" if self.cosine else "sine"

    def value(self, x: Tensor) -> Tensor:
        return torch.cos(x) if self.cosine else torch.sin(x)

    def slope(self, x: Tensor) -> Tensor:
        return -torch.sin(x) if self.cosine else torch.cos(x)

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        inside = s.abs() <= 1
        r = torch.where(inside, s, 0.0)
        phases = (-torch.asin(r), math.pi + torch.asin(r)) if self.cosine else (torch.acos(r), -torch.acos(r))
        points = []
        for phase in phases:  # extreme are the first and the last of each kind
            first = phase + 2 * math.pi * torch.ceil((l - phase) / (2 * math.pi))
            last = phase + 2 * math.pi * torch.floor((u - phase) / (2 * math.pi))
            points += [torch.where(inside, p, torch.nan) for p in (first, last)]
        return points

    def intercept(self, s: Tensor, l: Tensor, u: Tensor, upper: bool) -> Tensor:
        far = (l.abs() > _FAR) | (u.abs() > _FAR)
        if not bool(far.any()):
            return super().intercept(s, l, u, upper)
        near = super().intercept(s, torch.where(far, 0.0, l), torch.where(far, 0.0, u), upper)
        sl, su = times(s, l), times(s, u)
        slack = 1 + 1e-10 + 1e-10 * (sl.abs() + su.abs()).detach()
        whole = slack - torch.minimum(sl, su) if upper else -slack - torch.maximum(sl, su)
        return torch.where(far, whole, near)

    def slope_range(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Of the sine of the phase a quarter ahead."""
        far = (l.abs() > _FAR) | (u.abs() > _FAR) | ~(l <= u)
        a, b = torch.where(far, 0.0, l), torch.where(far, 7.0, u)
        derivative = Sine(cosine=not self.cosine)
        low, high = derivative.range(a, b)
        return (-high, -low) if self.cosine else (low, high)


@dataclass(frozen=True)
class Gated(Function):
    """x times a gate; f' is extreme at the inflections, monotone between, and inverted there from a table."""

    #: beyond, the gate is 0 or 1 to the last bit
    reach: ClassVar[float] = 40.0
    rounding: ClassVar[float] = 64 * ROUNDING  # arguments of the gate are rounded: |z| eps of its relative error

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        points = []
        for x, slope in _monotone_pieces(self):
            k = (torch.searchsorted(slope, s.detach().contiguous()) - 1).clamp(0, len(x) - 2)
            step = (x[k + 1] - x[k]) / (slope[k + 1] - slope[k]).clamp(min=1e-300)
            point = x[k] + step * (s - slope[k])
            for _ in range(3):
                point = point - step * (self.slope(point) - s)
            ends = torch.minimum(x[k], x[k + 1]), torch.maximum(x[k], x[k + 1])
            points.append(torch.minimum(torch.maximum(point, ends[0]), ends[1]))
        return points


@lru_cache
def _monotone_pieces(function: Gated) -> list[tuple[Tensor, Tensor]]:
    """Between inflections: x and f'(x), f' rising (so x may fall); dense where f' changes."""
    t = torch.linspace(0, 1, 4097, dtype=torch.float64)
    low, high = function.inflections
    wing = (function.reach - high) * t * t
    pieces = []
    for x in (low - wing, low + (high - low) * t, high + wing):
        slope = function.slope(x)
        if slope[-1] < slope[0]:
            x, slope = x.flip(0), slope.flip(0)
        pieces.append((x.contiguous(), slope.cummax(0).values.contiguous()))
    return pieces


@dataclass(frozen=True)
class Gelu(Gated):
    """x Φ(x), Φ the normal distribution (Hendrycks & Gimpel 2016).

    >>> round(rv.verify.functions.Gelu().value(torch.tensor([1.0])).item(), 4)  # Φ(1)
    0.8413
    """

    inflections: ClassVar[tuple[float, ...]] = (-math.sqrt(2), math.sqrt(2))

    def value(self, x: Tensor) -> Tensor:
        return 0.5 * x * torch.erfc(-x / math.sqrt(2))

    def slope(self, x: Tensor) -> Tensor:
        density = torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return 0.5 * torch.erfc(-x / math.sqrt(2)) + x * density


_C, _K = 2 * math.sqrt(2 / math.pi), 0.044715


@dataclass(frozen=True)
class GeluTanh(Gated):
    """GELU's approximation, x (1 + tanh(√(2/π)(x + 0.044715 x³)))/2.

    >>> round(rv.verify.functions.GeluTanh().value(torch.tensor([1.0])).item(), 4)  # 0.8413 of GELU itself
    0.8412
    """

    inflections: ClassVar[tuple[float, ...]] = (-1.4185040087908284, 1.4185040087908284)

    def value(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(_C * (x + _K * x * x * x))

    def slope(self, x: Tensor) -> Tensor:
        z = _C * (x + _K * x * x * x)
        gate = torch.sigmoid(z)
        return gate + x * gate * torch.sigmoid(-z) * _C * (1 + 3 * _K * x * x)


@dataclass(frozen=True)
class Silu(Gated):
    """x/(1 + exp(−x)).

    >>> f = rv.verify.functions.Silu()
    >>> f.value(torch.tensor([0.0])).item(), f.slope(torch.tensor([0.0])).item()
    (0.0, 0.5)
    """

    inflections: ClassVar[tuple[float, ...]] = (-2.3993572805154677, 2.3993572805154677)
    reach: ClassVar[float] = 760.0

    def value(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    def slope(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(x)
        return gate + x * gate * torch.sigmoid(-x)


__all__ = ["Gelu", "GeluTanh", "Silu", "Sine"]
