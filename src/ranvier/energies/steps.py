"""The steps that a descent takes: of fixed width, or tried before they are taken."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier.energies._energy import Clamp, Energy

State = dict[str, Tensor]


@dataclass(frozen=True)
class Fixed:
    """x ← project(x + step · flow(force)): no energy is looked at, so nothing keeps it from rising at too large a step.

    For a force with Lipschitz constant L it falls at any step below 2/L.
    """

    step: float = 0.1

    def __post_init__(self) -> None:
        positive("step", self.step)


@dataclass(frozen=True)
class Backtracking:
    """One trial a step, each entry of the batch with a step width of its own: taken where the energy falls by
    at least `sufficient` times what the force foretells (Armijo), after which the width grows by `grow`; else
    the entry stays, and its width shrinks by `shrink`. So the energy never rises.

    Where changes of energy drown in rounding, the forces at both ends decide instead (the approximate Wolfe
    condition of Hager and Zhang 2005): the energy may then waver by its last digits.
    """

    step: float = 1.0
    shrink: float = 0.5
    grow: float = 1.25
    sufficient: float = 0.1

    def __post_init__(self) -> None:
        positive("step", self.step)
        if not (0 < self.shrink < 1 <= self.grow and 0 < self.sufficient < 0.5):
            raise ValueError(f"found {self}, expected 0 < shrink < 1 <= grow and 0 < sufficient < 0.5")


@dataclass(frozen=True)
class Conjugate:
    """Along directions that are conjugate: the force, and β times the last direction (Polak and Ribière 1969, β >= 0).

    For stiff energies: near a minimum it needs some √κ steps where `Backtracking` needs κ, the largest curvature over
    the least. A step has two trials: of the last width, and of that at which the force along the way vanishes, were it
    linear. The better one is taken under the condition of `Backtracking`, so that the energy never rises; if neither
    fulfils it the entry stays, its width shrinks by `shrink`, and its next direction is the force alone.
    """

    step: float = 1.0
    shrink: float = 0.25
    sufficient: float = 0.1

    def __post_init__(self) -> None:
        positive("step", self.step)
        if not (0 < self.shrink < 1 and 0 < self.sufficient < 0.5):
            raise ValueError(f"found {self}, expected 0 < shrink < 1 and 0 < sufficient < 0.5")


Rule = Fixed | Backtracking | Conjugate


def begin(rule: Rule, x: Tensor) -> State:
    """The state that a descent from x (B, N) begins with."""
    if isinstance(rule, Fixed):
        return {"x": x}
    state = {"x": x, "step": x.new_full((len(x), 1), rule.step)}
    if isinstance(rule, Conjugate):
        state |= {"way": torch.zeros_like(x), "pull": torch.zeros_like(x)}
    return state


@dataclass(frozen=True)
class Trial:
    """Where a step would lead, and whether it may be taken. lost (B,): the force at its begin, along it; left (B,): the
    force at its end."""

    x: Tensor
    value: Tensor
    force: Tensor
    lost: Tensor
    left: Tensor
    taken: Tensor


class Run:
    """A descent under way; energy and force at the present state are kept for the next trial."""

    def __init__(
        self, energy: Energy, rule: Rule, state: State, clamp: Clamp | None, field: Tensor | None
    ) -> None:
        self.energy, self.rule, self.clamp, self.field = energy, rule, clamp, field
        expected = sorted(begin(rule, torch.zeros(0, 1)))
        if sorted(state) != expected:
            raise ValueError(f"found a state with {sorted(state)}, expected {expected}: of another rule?")
        x = self.energy.place(state["x"], clamp)
        if clamp is not None:
            self.energy.check_clamp(clamp)
        if field is not None and field.shape not in (x.shape, x.shape[1:]):
            raise ValueError(f"found a field of shape {tuple(field.shape)}, expected {tuple(x.shape)}")
        self.width = state.get("step", x.new_zeros(()))
        if "step" in state and self.width.shape != (len(x), 1):
            raise ValueError(f"found step widths of shape {tuple(self.width.shape)}, expected ({len(x)}, 1)")
        x = self.energy.project(x)
        self.x = x if clamp is None else clamp(x)
        self.taken = 0
        self.way, self.pull = state.get("way", self.width), state.get("pull", self.width)
        self._known: tuple[Tensor, Tensor] | None = None

    def state(self) -> State:
        if isinstance(self.rule, Fixed):
            return {"x": self.x}
        more = {"way": self.way, "pull": self.pull} if isinstance(self.rule, Conjugate) else {}
        return {"x": self.x, "step": self.width} | more

    def finite(self) -> bool:
        """Whether the state is, and with trials, of which none would be taken otherwise, its force."""
        known = self.x if self._known is None else self._known[1] + self.x
        return bool(torch.isfinite(known.detach().sum()))

    @property
    def both(self) -> tuple[Tensor, Tensor]:
        """Energy (B,) and force (B, N) at the present state."""
        if self._known is None:
            self._known = self.evaluate(self.x)
        return self._known

    @property
    def force(self) -> Tensor:
        if self._known is not None or not isinstance(self.rule, Fixed):
            return self.both[1]
        return self._pulled(self.energy.force(self.x, self.clamp))

    def residual(self, force: Tensor) -> Tensor:
        """(B,): the largest move that a step of width 1 would make; the largest force, where there is no wall."""
        with torch.no_grad():
            free = type(self.energy).project is Energy.project
            move = force if free else self._moved(self.x, self.energy.flow(force), 1.0) - self.x
            largest = move.abs().amax(1)
        if not bool(torch.isfinite(largest).all()):
            what, found = ("force", force) if not bool(torch.isfinite(force).all()) else ("step", move)
            b, n = (~torch.isfinite(found)).nonzero()[0].tolist()
            raise ValueError(
                f"found a {what} of {found[b, n].item()} on unit {n} of entry {b} at step {self.taken}: the "
                "state, the weights or the clamp are not finite, or a Fixed step is too large"
            )
        return largest

    def advance(self, moving: Tensor | None = None, force: Tensor | None = None) -> None:
        """One step; entries that are not `moving` (B,) stay. `force`: at the present state, if known."""
        if isinstance(self.rule, Fixed):
            force = self.force if force is None else force
            x = self._moved(self.x, self.energy.flow(force), self.rule.step)
            self.x = x if moving is None else torch.where(moving[:, None], x, self.x)
            self._known = None
        elif isinstance(self.rule, Backtracking):
            self._backtrack(self.rule, moving)
        else:
            self._conjugate(self.rule, moving)
        self.taken += 1

    def _backtrack(self, rule: Backtracking, moving: Tensor | None) -> None:
        trial = self._trial(self.energy.flow(self.both[1]), self.width, rule.sufficient)
        with torch.no_grad():
            grown = torch.where(trial.lost > 0, rule.grow, 1.0)  # what rests says nothing of the width
            width = self.width * torch.where(trial.taken, grown, rule.shrink)[:, None]
        self.width = width if moving is None else torch.where(moving[:, None], width, self.width)
        self._take(trial.x, trial.value, trial.force, trial.taken if moving is None else trial.taken & moving)

    def _conjugate(self, rule: Conjugate, moving: Tensor | None) -> None:
        force = self.both[1]
        pull = self._moved(self.x, self.energy.flow(force), 1.0) - self.x  # none into a wall
        with torch.no_grad():
            along = (pull * (pull - self.pull)).sum(1) / self.pull.square().sum(1)
            turn = torch.where(torch.isfinite(along), along, 0.0).clamp_min(0.0)[:, None]
        way = pull + turn * self.way
        first = self._trial(way, self.width, rule.sufficient)
        with torch.no_grad():
            straight = 1 - first.left / first.lost
            factor = torch.where((straight > 0) & (first.lost > 0), 1 / straight, 10.0).clamp(0.1, 10.0)
            factor = torch.where(first.lost > 0, factor, 1.0)[:, None]
        second = self._trial(way, self.width * factor, rule.sufficient)
        with torch.no_grad():
            better = second.taken & ((second.value <= first.value) | ~first.taken)
            taken = first.taken | second.taken
            width = self.width * torch.where(better[:, None], factor, 1.0)
            width = torch.where(taken[:, None], width, self.width * factor.clamp_max(1.0) * rule.shrink)
            moves = torch.ones_like(taken) if moving is None else moving
        self.width = torch.where(moves[:, None], width, self.width)
        for name, value in (("way", way), ("pull", pull)):
            kept = torch.where(taken[:, None], value, torch.zeros_like(value))
            setattr(self, name, torch.where(moves[:, None], kept, getattr(self, name)))
        one = better[:, None]
        self._take(
            torch.where(one, second.x, first.x), torch.where(better, second.value, first.value),
            torch.where(one, second.force, first.force), taken & moves,
        )  # fmt: skip

    def _trial(self, way: Tensor, width: Tensor, sufficient: float) -> Trial:
        value, force = self.both
        x = self._moved(self.x, way, width)
        new_value, new_force = self.evaluate(x)
        with torch.no_grad():
            y = self.energy.activations(self.x)
            change = self.energy.activations(x) - y
            lost, left = (force * change).sum(1), (new_force * change).sum(1)
            asked = sufficient * lost
            # of energies, whose parts may cancel; of a loss that drowns in it the energy itself says nothing
            rounding = 8 * torch.finfo(value.dtype).eps * (value.abs() + (self.x * y).abs().sum(1))
            near = (new_value <= value + rounding) & (left >= (2 * sufficient - 1) * lost)
            taken = (((new_value <= value - asked) & (asked > rounding)) | near) & (lost >= 0)
        return Trial(x, new_value, new_force, lost, left, taken)

    def _take(self, x: Tensor, value: Tensor, force: Tensor, taken: Tensor) -> None:
        old_value, old_force = self.both
        self.x = torch.where(taken[:, None], x, self.x)
        self._known = torch.where(taken, value, old_value), torch.where(taken[:, None], force, old_force)

    def mapped(self, x: Tensor) -> Tensor:
        """A step of width 1, as a map whose fixed points are the states at rest."""
        return self._moved(x, self.energy.flow(self._pulled(self.energy.force(x, self.clamp))), 1.0)

    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, force = self.energy.energy_and_force(x, self.clamp)
        if self.field is not None:
            value = value - (self.field * self.energy.activations(x)).sum(1)
        return value, self._pulled(force)

    def _moved(self, x: Tensor, way: Tensor, width: Tensor | float) -> Tensor:
        x = self.energy.project(x + width * way)
        return x if self.clamp is None else self.clamp(x)

    def _pulled(self, force: Tensor) -> Tensor:
        if self.field is None:
            return force
        return force + (self.field if self.clamp is None else self.clamp.free(self.field.expand_as(force)))


def positive(name: str, value: float) -> None:
    """Raise ValueError unless it is."""
    if not (0 < value < math.inf):
        raise ValueError(f"found {name} = {value}, expected a positive number")


__all__ = ["Backtracking", "Conjugate", "Fixed", "Rule", "Run", "State", "begin", "positive"]
