"""The steps that a descent takes: of fixed width, or tried before they are taken."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Fixed:
    """x ← project(x + step · flow(force)): no energy is looked at, so nothing keeps it from rising at too large a step.

    For a force with Lipschitz constant L it falls at any step below 2/L.

    >>> memory = rv.energies.ModernHopfield(torch.eye(2), beta=1.0)
    >>> x = torch.tensor([[1.0, 0.0]])
    >>> y, _ = rv.energies.Descent(memory, rv.energies.Fixed(1.0))(torch.zeros(1, 1, 2), {"x": x})
    >>> bool(torch.allclose(y[0], torch.softmax(x, 1)))  # a whole step is attention
    True
    """

    step: float = 0.1

    def __post_init__(self) -> None:
        positive("step", self.step)


@dataclass(frozen=True)
class Backtracking:
    """One trial a step, each entry of the batch with its own step width: taken where the energy falls by
    at least `sufficient` times what the force predicts (Armijo), after which the width grows by `grow`; else
    the entry stays, and its width shrinks by `shrink`. So the energy never rises.

    Where changes of energy drown in rounding, the forces at both ends decide instead (the approximate Wolfe
    condition of Hager and Zhang 2005): the energy may then waver by its last digits.

    >>> memory = rv.energies.ContinuousHopfield(2 * torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> descent = rv.energies.Descent(memory, rv.energies.Backtracking(step=5.0))
    >>> trace = descent.settle(torch.tensor([[1.0, 0.3]]), trace=True).trace
    >>> bool((trace.diff(dim=0) < 1e-6).all())  # the energy never rises
    True
    """

    step: float = 1.0
    shrink: float = 0.5
    grow: float = 1.25
    sufficient: float = 0.1

    def __post_init__(self) -> None:
        positive("step", self.step)
        if not (0 < self.shrink < 1 <= self.grow and 0 < self.sufficient < 0.5):
            raise ValueError(f"the value is {self}; expected 0 < shrink < 1 <= grow and 0 < sufficient < 0.5")


@dataclass(frozen=True)
class Conjugate:
    """Along directions that are conjugate: the force, and β times the last direction (Polak and Ribière 1969, β >= 0).

    For stiff energies: near a minimum it needs some √κ steps where `Backtracking` needs κ, the largest curvature over
    the least. A step has two trials: of the last width, and of that at which the force along the way vanishes, were it
    linear. The better one is taken under the condition of `Backtracking`, so that the energy never rises; if neither
    fulfils it the entry stays, its width shrinks by `shrink`, and its next direction is the force alone.

    >>> narrow = rv.energies.Layered([torch.nn.Linear(1, 2)], (1,), rv.energies.lagrangians.Identity())
    >>> end = rv.energies.Descent(narrow, rv.energies.Conjugate(), tol=1e-5).settle(torch.ones(1, 2))
    >>> bool(end.converged.all()), bool(end.x.abs().max() < 1e-4)  # of E = x²/2
    (True, True)
    """

    step: float = 1.0
    shrink: float = 0.25
    sufficient: float = 0.1

    def __post_init__(self) -> None:
        positive("step", self.step)
        if not (0 < self.shrink < 1 and 0 < self.sufficient < 0.5):
            raise ValueError(f"the value is {self}; expected 0 < shrink < 1 and 0 < sufficient < 0.5")


StepRule = Fixed | Backtracking | Conjugate


def begin(rule: StepRule, x: Tensor) -> State:
    """The state that a descent from x (B, N) begins with."""
    if isinstance(rule, Fixed):
        return {"x": x}
    state = {"x": x, "step": x.new_full((len(x), 1), rule.step)}
    if isinstance(rule, Conjugate):
        state |= {"way": torch.zeros_like(x), "pull": torch.zeros_like(x)}
    return state


def positive(name: str, value: float) -> None:
    """Raise ValueError unless it is."""
    if not (0 < value < math.inf):
        raise ValueError(f"{name} is {value}; expected a positive number")


__all__ = ["Backtracking", "Conjugate", "Fixed", "State", "StepRule", "begin", "positive"]
