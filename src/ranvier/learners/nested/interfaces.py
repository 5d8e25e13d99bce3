"""Interfaces: what may be shown (positions), and what may come back at each (directions)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class Interface(ABC):
    """A polynomial Σ_i y^{p[i]}: positions i, and directions p[i] that depend on the position.

    >>> rv.learners.nested.Reals(2).position_fault(torch.zeros(3))
    'is a tensor (3,); expected a tensor (..., 2)'
    >>> isinstance(rv.learners.nested.Reals(2), rv.learners.nested.Interface)
    True
    """

    @abstractmethod
    def position_fault(self, position: Any) -> str | None:
        """What is wrong with a position, or None."""

    @abstractmethod
    def direction_fault(self, position: Any, direction: Any) -> str | None:
        """What is wrong with a direction at a position, or None."""

    def __mul__(self, other: Interface) -> Pair:
        """Both side by side: pairs of positions, pairs of directions."""
        return Pair(self, other)


@dataclass(frozen=True)
class Trivial(Interface):
    """One position, (), with one direction, ().

    >>> rv.learners.nested.Trivial().position_fault(()) is None
    True
    """

    def position_fault(self, position: Any) -> str | None:
        return None if position == () else f"is {position!r:.60}; expected ()"

    def direction_fault(self, position: Any, direction: Any) -> str | None:
        return self.position_fault(direction)


UNIT = Trivial()


@dataclass(frozen=True)
class Pair(Interface):
    """Two interfaces in parallel.

    >>> pair = rv.learners.nested.Pair(rv.learners.nested.Reals(1), rv.learners.nested.Trivial())
    >>> pair.position_fault((torch.zeros(1), ())) is None
    True
    """

    first: Interface
    second: Interface

    def position_fault(self, position: Any) -> str | None:
        if not (isinstance(position, tuple) and len(position) == 2):
            return f"is a {type(position).__name__}; expected a pair"
        return self.first.position_fault(position[0]) or self.second.position_fault(position[1])

    def direction_fault(self, position: Any, direction: Any) -> str | None:
        if not (isinstance(direction, tuple) and len(direction) == 2):
            return f"is a {type(direction).__name__}; expected a pair"
        first = self.first.direction_fault(position[0], direction[0])
        return first or self.second.direction_fault(position[1], direction[1])


@dataclass(frozen=True)
class Reals(Interface):
    """Tensors (..., size), and back a tensor of the very shape: a gradient, say.

    >>> rv.learners.nested.Reals(2).position_fault(torch.zeros(5, 2)) is None
    True
    """

    size: int

    def position_fault(self, position: Any) -> str | None:
        if not isinstance(position, Tensor) or position.ndim == 0 or position.shape[-1] != self.size:
            return f"is {_shape(position)}; expected a tensor (..., {self.size})"
        return None

    def direction_fault(self, position: Any, direction: Any) -> str | None:
        if not isinstance(direction, Tensor) or direction.shape != position.shape:
            return f"is {_shape(direction)}; expected a tensor {tuple(position.shape)}, as the position"
        return None


@dataclass(frozen=True)
class Signals(Interface):
    """Tensors (..., size), to which nothing comes back.

    >>> rv.learners.nested.Signals(2).direction_fault(torch.zeros(2), ()) is None
    True
    """

    size: int

    def position_fault(self, position: Any) -> str | None:
        return Reals(self.size).position_fault(position)

    def direction_fault(self, position: Any, direction: Any) -> str | None:
        return UNIT.position_fault(direction)


@dataclass(frozen=True)
class Untyped(Interface):
    """Anything, to which nothing comes back; `what` tells such interfaces apart.

    >>> rv.learners.nested.Untyped("batch") == rv.learners.nested.Untyped("metrics")
    False
    """

    what: str

    def position_fault(self, position: Any) -> str | None:
        return None

    def direction_fault(self, position: Any, direction: Any) -> str | None:
        return UNIT.position_fault(direction)


@dataclass(frozen=True)
class Distributions(Interface):
    """Probabilities (outcomes,), and back an outcome that had a chance: directions depend on the position.

    >>> rv.learners.nested.Distributions(2).position_fault(torch.tensor([0.25, 0.75])) is None
    True
    >>> rv.learners.nested.Distributions(2).direction_fault(torch.tensor([1.0, 0.0]), 1) is None  # had no chance
    False
    """

    outcomes: int

    def position_fault(self, position: Any) -> str | None:
        fault = Reals(self.outcomes).position_fault(position)
        if fault is None and position.ndim != 1:
            return f"is {_shape(position)}; expected a tensor ({self.outcomes},)"
        if fault is None and (bool((position < 0).any()) or abs(float(position.sum()) - 1) > 1e-6):
            return f"has sum {float(position.sum()):.6g}, least {float(position.min()):.6g}; expected probabilities"
        return fault

    def direction_fault(self, position: Any, direction: Any) -> str | None:
        if type(direction) is not int or not 0 <= direction < self.outcomes:
            return f"is {direction!r:.60}; expected an outcome, 0 to {self.outcomes - 1}"
        possible = float(position[direction]) > 0
        return None if possible else f"is outcome {direction}, of chance 0; expected one that can be"


def _shape(value: Any) -> str:
    return f"a tensor {tuple(value.shape)}" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"


__all__ = ["UNIT", "Distributions", "Interface", "Pair", "Reals", "Signals", "Trivial", "Untyped"]
