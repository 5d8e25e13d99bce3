"""What a function of one variable must say for lines below and above it to be found.

For *any* slope s the lines s x + t with t the least and the greatest of f(x) − s x over [l, u] bound f there. So a
function needs no rules for slopes: it names the points where f − s x may be extreme (`critical`), and whatever slope is
chosen, by area or by gradient ascent, is sound. Intercepts are moved outwards by what rounding may have done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

#: of |f| + |s x|: torch's functions of float64 are within a few units in the last place, critical points within some
#: 1e-12 of theirs, where f − s x is flat
ROUNDING = 64 * torch.finfo(torch.float64).eps
LARGE = 1e100  # bounds beyond are taken as infinite
STEEPEST = 1e12


class LineSlopes(NamedTuple):
    """Slopes of a lower and an upper line, and where they are the best there are (chords), each shaped as l.

    >>> l, u = (torch.tensor([v]).double() for v in (-1.0, 3.0))
    >>> lines = rv.verify.functions.Power(2).slopes(l, u)
    >>> lines.upper.tolist()  # the chord of x²: l + u
    [2.0]
    """

    lower: Tensor
    upper: Tensor
    lower_is_best: Tensor
    upper_is_best: Tensor


@dataclass(frozen=True)
class Function:
    """f: R → R on an open domain; float64 tensors of any shape.

    >>> f = rv.verify.functions.Power(2)
    >>> isinstance(f, rv.verify.functions.Function)
    True
    >>> l, u, slope = (torch.tensor([v]).double() for v in (-1.0, 1.0, 0.0))
    >>> round(f.intercept(slope, l, u, upper=True).item(), 6)  # the line 0 x + 1 lies above x² on [−1, 1]
    1.0
    """

    domain: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))
    #: where f' is extreme
    inflections: ClassVar[tuple[float, ...]] = ()
    #: of |f| + |s x|, what intercepts are moved by
    rounding: ClassVar[float] = ROUNDING
    #: "convex" or "concave" on the whole domain, "sigmoid" for odd-like functions convex below 0, concave above
    shape: ClassVar[str] = ""

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def value(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def slope(self, x: Tensor) -> Tensor:
        """f'."""
        raise NotImplementedError

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        """Points where f − s x may be extreme within [l, u]; others, nan too, do no harm."""
        raise NotImplementedError

    def intercept(self, s: Tensor, l: Tensor, u: Tensor, upper: bool) -> Tensor:
        """The greatest (`upper`) or least of f(x) − s x over x in [l, u], rounded outwards; differentiable in s.

        inf or −inf where the interval leaves the domain. s, l and u broadcast.
        """
        at, value = self._extreme(s, l, u, upper)
        shift = times(s, at)
        slack = self.rounding * (value.abs() + shift.detach().abs()) + 1e-30
        outside = self.outside(l, u)
        t = value - shift + (slack if upper else -slack)
        return torch.where(outside, torch.inf if upper else -torch.inf, t) if bool(outside.any()) else t

    def range(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of f over [l, u]."""
        zero = torch.zeros_like(l)
        return self.intercept(zero, l, u, False), self.intercept(zero, l, u, True)

    def outside(self, l: Tensor, u: Tensor) -> Tensor:
        """Where [l, u] is not within the domain, or is no interval of finite numbers."""
        low, high = self.domain
        bad = ~(l <= u)
        if low > -torch.inf:
            bad = bad | (l <= low)
        if high < torch.inf:
            bad = bad | (u >= high)
        return bad

    @torch.no_grad()
    def _extreme(self, s: Tensor, l: Tensor, u: Tensor, upper: bool) -> tuple[Tensor, Tensor]:
        """x and f(x) where f − s x is greatest, or least."""
        s, l, u = torch.broadcast_tensors(s, l, u)
        at, value = l, self.value(l)
        best = value - times(s, l)
        for point in (u, *self.critical(s, l, u)):
            x = torch.where(point.isnan(), l, torch.minimum(torch.maximum(point, l), u))
            f = self.value(x)
            g = f - times(s, x)
            better = g > best if upper else g < best
            at, value, best = torch.where(better, x, at), torch.where(better, f, value), torch.where(better, g, best)
        return at, value

    @torch.no_grad()
    def slope_range(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest slope of f over [l, u], at most 1e12 in size: what optimised slopes are kept within."""
        values = [self.slope(l), self.slope(u)]
        values += [self.slope(torch.minimum(torch.maximum(torch.full_like(l, p), l), u)) for p in self.inflections]
        stack = torch.stack(values).nan_to_num(0.0, STEEPEST, -STEEPEST).clamp(-STEEPEST, STEEPEST)
        return stack.amin(0), stack.amax(0)

    @torch.no_grad()
    def slopes(self, l: Tensor, u: Tensor) -> LineSlopes:
        """Slopes of the lines with the least area between them and f over [l, u]; 0 where there is no such area."""
        usable = (l.abs() < LARGE) & (u.abs() < LARGE) & ~self.outside(l, u)
        a = torch.where(usable, l, 0.5 * self._inside())
        b = torch.where(usable, u, 0.5 * self._inside())
        result = self._slopes(a, b)
        lower, upper = (torch.where(usable, each.nan_to_num(0.0, 0.0, 0.0), 0.0) for each in result[:2])
        return LineSlopes(lower, upper, result.lower_is_best, result.upper_is_best)

    def _inside(self) -> float:
        """Twice a point of the domain."""
        low, high = self.domain
        return 2 * (low + 1 if low > -torch.inf else min(high - 1, 0.0))

    def _chord(self, l: Tensor, u: Tensor) -> Tensor:
        width = u - l
        flat = width <= 1e-12 * (l.abs() + u.abs())
        chord = (self.value(u) - self.value(l)) / torch.where(flat, 1.0, width)
        return torch.where(flat, self.slope(l), chord).nan_to_num(0.0, 0.0, 0.0)

    def _slopes(self, l: Tensor, u: Tensor) -> LineSlopes:
        chord, middle = self._chord(l, u), 0.5 * l + 0.5 * u
        yes, no = torch.ones_like(l, dtype=torch.bool), torch.zeros_like(l, dtype=torch.bool)
        if self.shape == "convex":
            return LineSlopes(self.slope(middle), chord, no, yes)
        if self.shape == "concave":
            return LineSlopes(chord, self.slope(middle), yes, no)
        lower, lower_best = self._least_area(l, u, chord, -1)
        upper, upper_best = self._least_area(l, u, chord, 1)
        return LineSlopes(lower, upper, lower_best, upper_best)

    def _least_area(self, l: Tensor, u: Tensor, chord: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """The slope of the concave envelope at the middle, from 17 points; side: 1 above f, −1 below."""
        middle = 0.5 * l + 0.5 * u
        t = torch.linspace(-1, 1, 17, dtype=torch.float64)
        offset = (0.5 * u - 0.5 * l)[..., None] * t
        f = side * self.value(middle[..., None] + offset)
        left, right = f[..., :8, None], f[..., None, 9:]
        a, b = -t[:8, None], t[9:]
        at_middle = ((left * b + right * a) / (a + b)).flatten(-2)  # of the line through a point on either side
        best = at_middle.nan_to_num(-torch.inf).argmax(-1, keepdim=True)
        rise = ((right - left) / (a + b)).flatten(-2).gather(-1, best)[..., 0]
        through = side * rise / (0.5 * u - 0.5 * l).clamp(min=1e-300)
        candidates = torch.stack([chord, through, self.slope(middle)]).nan_to_num(0.0, 0.0, 0.0)
        heights = [side * (s * middle + self.intercept(s, l, u, side > 0)) for s in candidates]
        choice = torch.stack(heights).nan_to_num(torch.inf).argmin(0)
        return candidates.gather(0, choice[None])[0], choice == 0


def times(s: Tensor, x: Tensor) -> Tensor:
    """s x, with 0 · inf = 0."""
    return torch.where(s == 0, 0.0, s * x)


__all__ = ["LARGE", "ROUNDING", "Function", "LineSlopes", "times"]
