"""A descent under way: trials, and what makes a trial a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier.energies._arrays import as_tensor
from ranvier.energies._energy import Clamp, Energy
from ranvier.energies.steps import Backtracking, Conjugate, Fixed, State, StepRule, begin


@dataclass(frozen=True)
class _Trial:
    """Where a step would lead. lost (B,): the force at its begin, along it; left (B,): the force at its end. taken
    (B,): whether it may be. blind (B,): whether rounding hides the sign of `lost`."""

    x: Tensor
    value: Tensor
    force: Tensor
    lost: Tensor
    left: Tensor
    taken: Tensor
    blind: Tensor


class Run:
    """A descent under way; energy and force at the present state are kept for the next trial."""

    def __init__(
        self, energy: Energy, rule: StepRule, state: State, clamp: Clamp | None, field: Tensor | None
    ) -> None:
        self.energy, self.rule, self.clamp, self.field = energy, rule, clamp, field
        expected = sorted(begin(rule, torch.zeros(0, 1)))
        if sorted(state) != expected:
            raise ValueError(f"there is a state with {sorted(state)}; expected {expected}: of another rule?")
        self.energy.check_type(state["x"])
        x = self.energy.place(state["x"], clamp)
        if field is not None:
            self.field = field = as_tensor("the field", field, x).to(x.dtype)
        if clamp is not None:
            self.energy.check_clamp(clamp)
        if field is not None and field.shape not in (x.shape, x.shape[1:]):
            raise ValueError(f"field has shape {tuple(field.shape)}; expected {tuple(x.shape)}")
        self.width = state.get("step", x.new_zeros(()))
        if "step" in state and self.width.shape != (len(x), 1):
            raise ValueError(f"step widths have shape {tuple(self.width.shape)}; expected ({len(x)}, 1)")
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
            what, values = ("force", force) if not bool(torch.isfinite(force).all()) else ("step", move)
            b, n = (~torch.isfinite(values)).nonzero()[0].tolist()
            raise ValueError(
                f"there is a {what} of {values[b, n].item()} on unit {n} of entry {b}{self.energy.place_of(n)} at step "
                f"{self.taken}; expected finite ones: check the state, the weights and the clamp for numbers that are "
                "not finite, or take a smaller Fixed step; an energy without a minimum ends so, too"
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
        trial = self._try(self.energy.flow(self.both[1]), self.width, rule.sufficient)
        with torch.no_grad():
            change = torch.where(trial.taken, rule.grow, rule.shrink).to(self.width)  # else of the default type
            width = self.width * change[:, None]
            width = torch.where((trial.blind & trial.taken)[:, None], self._recovered(rule.grow, moving), width)
        self.width = width if moving is None else torch.where(moving[:, None], width, self.width)
        self._take(trial.x, trial.value, trial.force, trial.taken if moving is None else trial.taken & moving)

    def _conjugate(self, rule: Conjugate, moving: Tensor | None) -> None:
        force = self.both[1]
        pull = self._unhindered(self.energy.flow(force))
        with torch.no_grad():
            size, before = pull.square().sum(1), self.pull.square().sum(1)
            along = (pull * (pull - self.pull)).sum(1) / before
            # a force that grew twofold is none of the same valley: on from there the last direction would run away
            along = torch.where(torch.isfinite(along) & (size <= 4 * before), along, 0.0)
            turn = along.clamp_min(0.0)[:, None]
        way = pull + turn * self.way
        first = self._try(way, self.width, rule.sufficient)
        with torch.no_grad():
            straight = 1 - first.left / first.lost
            factor = torch.where((straight > 0) & (first.lost > 0), 1 / straight, 10.0).clamp(0.1, 10.0)
            factor = torch.where(first.blind, 1.0, factor)[:, None]
        second = self._try(way, self.width * factor, rule.sufficient)
        with torch.no_grad():
            better = second.taken & ((second.value <= first.value) | ~first.taken)
            taken = first.taken | second.taken
            width = self.width * torch.where(better[:, None], factor, 1.0)
            width = torch.where(taken[:, None], width, self.width * factor.clamp_max(1.0) * rule.shrink)
            width = torch.where((first.blind & taken)[:, None], self._recovered(1 / rule.shrink, moving), width)
            moves = torch.ones_like(taken) if moving is None else moving
        self.width = torch.where(moves[:, None], width, self.width)
        for name, value in (("way", way), ("pull", pull)):
            recent = torch.where((taken & ~first.blind)[:, None], value, torch.zeros_like(value))
            setattr(self, name, torch.where(moves[:, None], recent, getattr(self, name)))
        one = better[:, None]
        self._take(
            torch.where(one, second.x, first.x), torch.where(better, second.value, first.value),
            torch.where(one, second.force, first.force), taken & moves,
        )  # fmt: skip

    def _unhindered(self, flow: Tensor) -> Tensor:
        """The flow (B, N), but for what a wall would keep of a step of width 1."""
        if type(self.energy).project is Energy.project:
            return flow
        moved = self._moved(self.x, flow, 1.0) - self.x
        rounding = 4 * torch.finfo(flow.dtype).eps * (self.x.abs() + flow.abs())
        return torch.where((moved - flow).abs() <= rounding, flow, moved)

    def _recovered(self, grow: float, moving: Tensor | None) -> Tensor:
        """Widths (B, 1) after a step along which rounding hides every loss, as among saturated units, or in a flat
        energy. It says nothing of the width, but nothing may keep that as small as an earlier place made it: back to
        the rule's first one, and on where entries are known not to rest."""
        most = self.rule.step if moving is None else torch.finfo(self.width.dtype).max ** 0.25
        return torch.maximum(self.width, (self.width * grow).clamp_max(most))

    def _try(self, way: Tensor, width: Tensor, sufficient: float) -> _Trial:
        value, force = self.both
        x = self._moved(self.x, way, width)
        new_value, new_force = self.evaluate(x)
        with torch.no_grad():
            y = self.energy.activations(self.x)
            eps = torch.finfo(value.dtype).eps
            new_y = self.energy.activations(x)
            change = new_y - y
            lost, left = (force * change).sum(1), (new_force * change).sum(1)
            least = sufficient * lost
            # of energies, whose parts may cancel; of a loss that drowns in it the energy itself says nothing
            here, there = value.abs() + (self.x * y).abs().sum(1), new_value.abs() + (x * new_y).abs().sum(1)
            rounding = 8 * eps * torch.maximum(here, there)
            # a change in the last digits, of activations or of the states under them, has no meaningful sign: where
            # such changes make up what is lost, as among saturated units, the forces' size alone decides
            blurred = (change.abs() <= 4 * eps * self._sizes(y)) | ((x - self.x).abs() <= 4 * eps * self.x.abs())
            blind = lost <= (force.abs() * change.abs() * blurred).sum(1)
            # not to where the energy is known less well than here, as far along a layer norm's free direction
            level = (new_value <= value + 8 * eps * here) & (there <= 16 * here)
            calmer = new_force.square().sum(1) <= force.square().sum(1)
            near = level & torch.where(blind, calmer, left >= (2 * sufficient - 1) * lost)
            taken = ((new_value <= value - least) & (least > rounding)) | near
            taken &= blind | (lost >= 0)
        return _Trial(x, new_value, new_force, lost, left, taken, blind)

    def _sizes(self, y: Tensor) -> Tensor:
        """The largest activation of each unit's layer, (B, N) or (B, 1): what it is rounded next to."""
        layout = getattr(self.energy, "layout", None)
        if layout is None:
            return y.abs().amax(1, keepdim=True)
        return torch.cat([y[:, w].abs().amax(1, keepdim=True).expand_as(y[:, w]) for w in layout.slices.values()], 1)

    def _take(self, x: Tensor, value: Tensor, force: Tensor, taken: Tensor) -> None:
        old_value, old_force = self.both
        self.x = torch.where(taken[:, None], x, self.x)
        self._known = torch.where(taken, value, old_value), torch.where(taken[:, None], force, old_force)

    def mapped(self, x: Tensor) -> Tensor:
        """A step of width 1, as a map whose fixed points are the states at rest."""
        return self._moved(x, self.energy.flow(self._pulled(self.energy.force(x, self.clamp))), 1.0)

    def force_at(self, x: Tensor) -> Tensor:
        """The force (B, N) at another state, brought to where states are allowed."""
        x = self.energy.place(self.energy.project(x), self.clamp)
        return self._pulled(self.energy.force(x, self.clamp))

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


__all__ = ["Run"]
