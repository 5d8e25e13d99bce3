"""How an output is nudged, and what combination of the nudged states' energies is the loss's gradient."""

from __future__ import annotations

import cmath
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Nudging(ABC):
    """Strengths β_k and weights w_k: dL/dθ ≈ Σ_k Re[w_k ∂E/∂θ] at the states nudged by β_k.

    >>> isinstance(rv.learners.nudging.Symmetric(0.5), rv.learners.nudging.Nudging)
    True
    >>> f = lambda b: 3 * b  # its slope, by any of them
    >>> [round(sum((w * f(b)).real for b, w in n.points()), 9) for n in (rv.learners.nudging.OneSided(0.5),)]
    [3.0]
    """

    beta: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.beta) and self.beta != 0):
            raise ValueError(f"beta is {self.beta}; expected a finite number other than 0")

    @abstractmethod
    def points(self) -> list[tuple[complex, complex]]:
        """(β_k, w_k); β = 0 is the free state."""


@dataclass(frozen=True)
class OneSided(Nudging):
    """(∂E(β) − ∂E(0))/β, off by O(β) (Scellier and Bengio 2017, eq. 11).

    >>> points = rv.learners.nudging.OneSided(beta=0.5).points()
    >>> f = lambda b: b + b**2  # whose slope at 0 is 1
    >>> sum(w * f(b) for b, w in points)  # off by beta
    1.5
    """

    def points(self) -> list[tuple[complex, complex]]:
        return [(0.0, -1 / self.beta), (self.beta, 1 / self.beta)]


@dataclass(frozen=True)
class RandomSign(Nudging):
    """One-sided with a sign drawn for every batch from torch's generator: O(β) averages out (Scellier and Bengio
    2017, section 5.2).

    >>> f = lambda b: b + b**2  # whose slope at 0 is 1
    >>> points = rv.learners.nudging.RandomSign(beta=0.5).points()
    >>> sum(w * f(b) for b, w in points) in (0.5, 1.5)  # off by beta, either way
    True
    """

    def points(self) -> list[tuple[complex, complex]]:
        return OneSided(self.beta if torch.rand(()) < 0.5 else -self.beta).points()


@dataclass(frozen=True)
class Symmetric(Nudging):
    """(∂E(β) − ∂E(−β))/2β, off by O(β²) (Laborieux et al. 2021, eq. 9).

    >>> points = rv.learners.nudging.Symmetric(beta=0.5).points()
    >>> f = lambda b: b + b**2 + b**3  # whose slope at 0 is 1
    >>> sum(w * f(b) for b, w in points)  # off by beta²
    1.25
    """

    def points(self) -> list[tuple[complex, complex]]:
        return [(self.beta, 0.5 / self.beta), (-self.beta, -0.5 / self.beta)]


@dataclass(frozen=True)
class Holomorphic(Nudging):
    """Cauchy's formula on a circle of radius β, by `roots` equidistant points: off by O(β^roots) (Laborieux and
    Zenke 2022, eq. 8 and 12). States are complex, and as those of conjugate β are conjugate, half suffice.

    >>> points = rv.learners.nudging.Holomorphic(beta=0.5, roots=4).points()
    >>> f = lambda b: b + b**2 + b**3  # whose slope at 0 is 1
    >>> round(sum((w * f(b)).real for b, w in points), 9)  # off by b⁴ alone
    1.0
    """

    roots: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.roots < 2 or self.roots % 2:
            raise ValueError(f"roots is {self.roots}; expected an even number >= 2")

    def points(self) -> list[tuple[complex, complex]]:
        nudges: list[tuple[complex, complex]] = []
        for k in range(self.roots // 2 + 1):
            real = k in (0, self.roots // 2)
            turn = (-1.0 if k else 1.0) if real else cmath.exp(2j * math.pi * k / self.roots)
            twice = 1 if real else 2
            nudges.append((self.beta * turn, twice / (self.roots * self.beta * turn)))
        return nudges


__all__ = ["Holomorphic", "Nudging", "OneSided", "RandomSign", "Symmetric"]
