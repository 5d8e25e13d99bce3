"""Functions that saturate on both sides: logistic, hyperbolic tangent, error function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ranvier.verify.functions._function import Function, LineSlopes


@dataclass(frozen=True)
class Saturating(Function):
    """Convex below 0, concave above, with f' even: lines by tangents through the far end."""

    inflections: ClassVar[tuple[float, ...]] = (0.0,)
    shape: ClassVar[str] = "sigmoid"

    def where_slope(self, s: Tensor) -> Tensor:
        """x >= 0 with f'(x) = s."""
        raise NotImplementedError

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        x = self.where_slope(s)
        return [x, -x]

    def _slopes(self, l: Tensor, u: Tensor) -> LineSlopes:
        chord, middle = self._chord(l, u), 0.5 * l + 0.5 * u
        at_middle = self.slope(middle)
        # the tangent from (l, f(l)) touches at d > 0; f − 1/2 is odd, so the one from u is that of −u
        upper_touch, lower_touch = self._touch(l, u), -self._touch(-u, -l)
        upper_best = (u <= 0) | (upper_touch >= u)
        lower_best = (l >= 0) | (lower_touch <= l)
        upper = torch.where(middle > upper_touch, at_middle, self.slope(upper_touch))
        lower = torch.where(middle < lower_touch, at_middle, self.slope(lower_touch))
        return LineSlopes(
            torch.where(lower_best, chord, lower), torch.where(upper_best, chord, upper), lower_best, upper_best
        )

    def _touch(self, l: Tensor, u: Tensor) -> Tensor:
        """Where the tangent through (l, f(l)) touches, u if beyond it, the middle where l >= 0."""
        f_l, low, high = self.value(l), torch.zeros_like(l), u.clamp(min=0.0)
        if bool((l >= 0).all() | (u <= 0).all()):
            return torch.where(u <= 0, u, 0.0)
        for _ in range(14):
            d = 0.5 * (low + high)
            beyond = f_l + self.slope(d) * (d - l) > self.value(d)  # the tangent at d runs above (l, f(l))? then on
            low, high = torch.where(beyond, d, low), torch.where(beyond, high, d)
        end_above = f_l + self.slope(u) * (u - l) >= self.value(u)
        return torch.where(l >= 0, 0.0, torch.where(end_above, u, high))


@dataclass(frozen=True)
class Logistic(Saturating):
    """1/(1 + exp(−x)).

    >>> f = rv.verify.functions.Logistic()
    >>> f.value(torch.tensor([0.0])).item(), f.slope(torch.tensor([0.0])).item()
    (0.5, 0.25)
    """

    def value(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def slope(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x) * torch.sigmoid(-x)

    def where_slope(self, s: Tensor) -> Tensor:
        return torch.log((1 + torch.sqrt((1 - 4 * s).clamp(min=0.0))).square() / (4 * s)).clamp(min=0.0)


@dataclass(frozen=True)
class HyperbolicTangent(Saturating):
    """The hyperbolic tangent.

    >>> rv.verify.functions.HyperbolicTangent().slope(torch.tensor([0.0])).item()
    1.0
    """

    def value(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def slope(self, x: Tensor) -> Tensor:
        return 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x)

    def where_slope(self, s: Tensor) -> Tensor:
        return (0.5 * torch.log((1 + torch.sqrt((1 - s).clamp(min=0.0))).square() / s)).clamp(min=0.0)


@dataclass(frozen=True)
class Erf(Saturating):
    """The error function.

    >>> round(rv.verify.functions.Erf().slope(torch.tensor([0.0])).item(), 4)  # 2/√π
    1.1284
    """

    def value(self, x: Tensor) -> Tensor:
        return torch.erf(x)

    def slope(self, x: Tensor) -> Tensor:
        return 2 / math.sqrt(math.pi) * torch.exp(-x * x)

    def where_slope(self, s: Tensor) -> Tensor:
        return torch.sqrt((-torch.log(s * (math.sqrt(math.pi) / 2))).clamp(min=0.0))


__all__ = ["Erf", "HyperbolicTangent", "Logistic", "Saturating"]
