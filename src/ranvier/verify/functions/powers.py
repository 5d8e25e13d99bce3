"""Exponentials, logarithms and powers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ranvier.verify.functions._function import ROUNDING, Function, LineSlopes

_INF = float("inf")


@dataclass(frozen=True)
class Exp(Function):
    """exp(x).

    >>> l, u = torch.tensor([0.0]).double(), torch.tensor([1.0]).double()
    >>> [round(bound.item(), 4) for bound in rv.verify.functions.Exp().range(l, u)]
    [1.0, 2.7183]
    """

    shape: ClassVar[str] = "convex"

    def value(self, x: Tensor) -> Tensor:
        return torch.exp(x)

    def slope(self, x: Tensor) -> Tensor:
        return torch.exp(x)

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        return [torch.log(s)]


@dataclass(frozen=True)
class Logarithm(Function):
    """The natural logarithm, for x > 0.

    >>> f = rv.verify.functions.Logarithm()
    >>> f.outside(torch.tensor([-1.0]), torch.tensor([1.0])).item(), f.slope(torch.tensor([2.0])).item()
    (True, 0.5)
    """

    domain: ClassVar[tuple[float, float]] = (0.0, _INF)
    shape: ClassVar[str] = "concave"

    def value(self, x: Tensor) -> Tensor:
        return torch.log(x)

    def slope(self, x: Tensor) -> Tensor:
        return 1 / x

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        return [1 / s]


@dataclass(frozen=True)
class Sqrt(Function):
    """The square root, for x >= 0.

    >>> l, u = torch.tensor([4.0]).double(), torch.tensor([9.0]).double()
    >>> [round(bound.item(), 6) for bound in rv.verify.functions.Sqrt().range(l, u)]
    [2.0, 3.0]
    """

    shape: ClassVar[str] = "concave"

    def outside(self, l: Tensor, u: Tensor) -> Tensor:
        return ~(l <= u) | (l < 0)

    def value(self, x: Tensor) -> Tensor:
        return torch.sqrt(x)

    def slope(self, x: Tensor) -> Tensor:
        return 0.5 / torch.sqrt(x)

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        return [torch.where(s > 0, 0.25 / (s * s), torch.inf)]


@dataclass(frozen=True)
class ReciprocalSqrt(Function):
    """1/√x, for x > 0.

    >>> rv.verify.functions.ReciprocalSqrt().value(torch.tensor([4.0])).item()
    0.5
    """

    domain: ClassVar[tuple[float, float]] = (0.0, _INF)
    shape: ClassVar[str] = "convex"

    def value(self, x: Tensor) -> Tensor:
        return 1 / torch.sqrt(x)

    def slope(self, x: Tensor) -> Tensor:
        return -0.5 / (x * torch.sqrt(x))

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        return [torch.where(s < 0, (-2 * s).clamp(min=0.0).pow(-2 / 3), torch.inf)]


@dataclass(frozen=True)
class Reciprocal(Function):
    """1/x, where x keeps its sign.

    >>> f = rv.verify.functions.Reciprocal()
    >>> f.value(torch.tensor([4.0])).item(), f.outside(torch.tensor([-1.0]), torch.tensor([1.0])).item()
    (0.25, True)
    """

    def outside(self, l: Tensor, u: Tensor) -> Tensor:
        return ~(l <= u) | ((l <= 0) & (u >= 0))

    def value(self, x: Tensor) -> Tensor:
        return 1 / x

    def slope(self, x: Tensor) -> Tensor:
        return -1 / (x * x)

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        x = torch.where(s < 0, 1 / torch.sqrt((-s).clamp(min=0.0)), torch.inf)
        return [torch.where(l > 0, x, -x)]

    def _inside(self) -> float:
        return 2.0

    def _slopes(self, l: Tensor, u: Tensor) -> LineSlopes:
        positive = l > 0
        chord, tangent = self._chord(l, u), self.slope(0.5 * l + 0.5 * u)
        return LineSlopes(
            torch.where(positive, tangent, chord), torch.where(positive, chord, tangent), ~positive, positive
        )  # fmt: skip


@dataclass(frozen=True)
class Power(Function):
    """xⁿ for a whole n >= 2.

    >>> l, u = torch.tensor([-2.0]).double(), torch.tensor([1.0]).double()
    >>> [round(bound.item(), 6) + 0.0 for bound in rv.verify.functions.Power(2).range(l, u)]
    [0.0, 4.0]
    """

    exponent: int = 2

    @property
    def name(self) -> str:
        return f"power{self.exponent}"

    @property
    def shape(self) -> str:  # type: ignore[override]
        return "" if self.exponent % 2 else "convex"

    @property
    def inflections(self) -> tuple[float, ...]:  # type: ignore[override]
        return (0.0,) if self.exponent % 2 else ()

    def value(self, x: Tensor) -> Tensor:
        return x * x if self.exponent == 2 else x.pow(self.exponent)

    def slope(self, x: Tensor) -> Tensor:
        return 2 * x if self.exponent == 2 else self.exponent * x.pow(self.exponent - 1)

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        if self.exponent == 2:
            return [0.5 * s]
        root = (s.abs() / self.exponent).pow(1 / (self.exponent - 1))
        return [root, -root]


@dataclass(frozen=True)
class Softplus(Function):
    """log(1 + exp(beta x))/beta.

    >>> round(rv.verify.functions.Softplus(beta=2.0).value(torch.tensor([0.0])).item(), 4)  # ln(2)/2
    0.3466
    """

    beta: float = 1.0
    rounding: ClassVar[float] = 64 * ROUNDING
    shape: ClassVar[str] = "convex"

    def value(self, x: Tensor) -> Tensor:
        z = self.beta * x
        return (z.clamp(min=0.0) + torch.log1p(torch.exp(-z.abs()))) / self.beta

    def slope(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.beta * x)

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        return [(torch.log(s) - torch.log1p(-s)) / self.beta]


@dataclass(frozen=True)
class Elu(Function):
    """x for x > 0, else alpha (exp(x) − 1); 0 < alpha <= 1.

    >>> f = rv.verify.functions.Elu()
    >>> f.value(torch.tensor([2.0])).item(), round(f.slope(torch.tensor([-1.0])).item(), 4)  # exp(−1)
    (2.0, 0.3679)
    """

    alpha: float = 1.0
    shape: ClassVar[str] = "convex"

    def value(self, x: Tensor) -> Tensor:
        return F.elu(x, self.alpha)

    def slope(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, 1.0, self.alpha * torch.exp(x.clamp(max=0.0)))

    def critical(self, s: Tensor, l: Tensor, u: Tensor) -> list[Tensor]:
        return [torch.log(s / self.alpha), torch.zeros_like(l)]


__all__ = ["Elu", "Exp", "Logarithm", "Power", "Reciprocal", "ReciprocalSqrt", "Softplus", "Sqrt"]
