"""`Descent`: a state that moves along an energy's force, as a `Cell`, or until it rests."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ganglion.energies._energy import Clamp, Energy
from ganglion.energies._implicit import ConvergenceWarning, through_fixed_point

State = dict[str, Tensor]
Gradient = Literal["unrolled", "implicit"]


@dataclass(frozen=True)
class Fixed:
    """x ← project(x + step · flow(force)): no energy is looked at, so nothing keeps it from rising at too large a step.

    For a force with Lipschitz constant L it falls at any step below 2/L.
    """

    step: float = 0.1

    def __post_init__(self) -> None:
        _positive("step", self.step)


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
        _positive("step", self.step)
        if not (0 < self.shrink < 1 <= self.grow and 0 < self.sufficient < 0.5):
            raise ValueError(f"found {self}, expected 0 < shrink < 1 <= grow and 0 < sufficient < 0.5")


@dataclass(frozen=True)
class Settled:
    """Where a descent ended.

    x: states (B, N). y: their activations (B, N). energy (B,). residual (B,): the largest component of the
    force that still could move a unit. converged (B,): residual <= tol. steps: how many were taken.
    trace: energies before every step and at the end, (steps + 1, B), where asked for.
    """

    x: Tensor
    y: Tensor
    energy: Tensor
    residual: Tensor
    converged: Tensor
    steps: int
    trace: Tensor | None = None


class Descent(nn.Module):
    """dx/dt = flow(force(x)), in steps: a `Cell` over inputs in time, and `settle` until the state rests.

    Parameters
    ----------
    energy : what falls.
    rule : `Backtracking` (the default: never rises) or `Fixed`.
    clamped : indices of units whose values are the input, x (T, B, n). Without, the input x (T, B, N) is an
        external field: it adds −Σ x·activations to the energy, and x to the force.
    steps : of descent, for one step of the cell.
    tol, max_steps : `settle` ends when no component of the force that could move a unit is larger than `tol`.
    gradient : what `settle` does where gradients are asked for: "unrolled", the exact derivative of the
        steps taken, or "implicit", that of the fixed point, in memory that does not grow with the steps. Both
        take the step widths as constants. Under torch.no_grad() memory is constant either way.

    `forward(x[T, B, n], state=None) -> (y[T, B, N], state)`; `step(state, x[B, n]) -> (state, y[B, N])`; the state is
    a dict: x (B, N), and step (B, 1), the widths, with `Backtracking`; y are the activations.

    Raises ValueError for wrong shapes, and where a force is not finite (with unit, entry and step).
    Warns `ConvergenceWarning` where `settle` takes max_steps and does not rest.
    """

    def __init__(
        self,
        energy: Energy,
        rule: Fixed | Backtracking | None = None,
        *,
        clamped: Tensor | Sequence[int] | slice | None = None,
        steps: int = 1,
        tol: float = 1e-6,
        max_steps: int = 1000,
        gradient: Gradient = "unrolled",
    ) -> None:
        super().__init__()
        if not isinstance(energy, Energy):
            raise TypeError(f"found a {type(energy).__name__} as energy, expected an Energy")
        if steps < 1 or max_steps < 1:
            raise ValueError(f"found steps = {steps}, max_steps = {max_steps}, expected whole numbers >= 1")
        if gradient not in ("unrolled", "implicit"):
            raise ValueError(f"found gradient = {gradient!r}, expected 'unrolled' or 'implicit'")
        _positive("tol", tol)
        self.energy = energy
        self.rule = rule or Backtracking()
        self.steps, self.tol, self.max_steps, self.gradient = steps, tol, max_steps, gradient
        units = energy.units
        self.in_features, self.out_features = units, units
        self.clamped: slice | Tensor | None = None
        if clamped is not None:
            self.clamped = clamped if isinstance(clamped, slice) else torch.as_tensor(clamped)
            self.in_features = len(torch.arange(units)[self.clamped])

    def init_state(self, batch: int) -> State:
        """The energy's initial state, (batch, N), and the rule's first step width."""
        return self._state(self.energy.init_state(batch))

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """One step of the cell: x (B, n) -> (state, y (B, N))."""
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (B, {self.in_features})")
        clamp = field = None
        if self.clamped is None:
            field = x
        else:
            clamp = Clamp.at(self.clamped, x, self.energy.units)
        state = self.relax(state, self.steps, clamp, field)
        return state, self.energy.activations(state["x"])

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """x (T, B, n) -> y (T, B, N) and the state after the last step."""
        if x.ndim != 3 or x.shape[0] == 0 or x.shape[2] != self.in_features:
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (T, B, {self.in_features}) with T > 0")
        state = self.init_state(x.shape[1]) if state is None else state
        outputs = []
        for row in x.unbind(0):
            state, y = self.step(state, row)
            outputs.append(y)
        return torch.stack(outputs), state

    def relax(self, state: State, steps: int, clamp: Clamp | None = None, field: Tensor | None = None) -> State:
        """That many steps from a state, whether it then rests or not."""
        run = _Run(self, state, clamp, field)
        quick = None
        if isinstance(self.rule, Fixed) and not torch.is_grad_enabled():
            quick = self.energy.advance(run.x, steps, self.rule.step, clamp, field)
        if quick is None:
            for _ in range(steps):
                run.advance()
        else:
            run.x, run.taken = quick, steps
        if not run.finite():
            run.residual(run.force)  # says where
        return run.state()

    def settle(
        self,
        x: Tensor,
        clamp: Clamp | None = None,
        field: Tensor | None = None,
        *,
        trace: bool = False,
        warn: bool = True,
    ) -> Settled:
        """Descend from x (B, N) until every entry rests, or max_steps are taken."""
        implicit = self.gradient == "implicit" and torch.is_grad_enabled()
        energies = []
        with torch.set_grad_enabled(torch.is_grad_enabled() and not implicit):
            run = _Run(self, self._state(x), clamp, field)
            while True:
                force = run.force
                residual = run.residual(force)
                at_rest = residual <= self.tol
                if trace:
                    energies.append(run.both[0].detach())
                if bool(at_rest.all()) or run.taken == self.max_steps:
                    break
                run.advance(~at_rest, force)
        if warn and not bool(at_rest.all()):
            warnings.warn(
                f"{int((~at_rest).sum())} of {len(at_rest)} states still move after {run.taken} steps (largest force "
                f"{float(residual.max()):.1e}, asked for {self.tol:.1e}): raise max_steps or tol",
                ConvergenceWarning,
                stacklevel=2,
            )
        final = through_fixed_point(run.mapped, run.x) if implicit else run.x
        value = run.evaluate(final)[0] if implicit else run.both[0]
        kept = torch.stack(energies) if trace else None
        return Settled(final, self.energy.activations(final), value, residual, at_rest, run.taken, kept)

    def extra_repr(self) -> str:
        return f"rule={self.rule}, steps={self.steps}, tol={self.tol}, gradient={self.gradient!r}"

    def _state(self, x: Tensor) -> State:
        if isinstance(self.rule, Fixed):
            return {"x": x}
        return {"x": x, "step": x.new_full((len(x), 1), self.rule.step)}


class _Run:
    """A descent under way; energy and force at the present state are kept for the next trial."""

    def __init__(self, descent: Descent, state: State, clamp: Clamp | None, field: Tensor | None) -> None:
        self.energy, self.rule, self.clamp, self.field = descent.energy, descent.rule, clamp, field
        expected = ["x"] if isinstance(self.rule, Fixed) else ["step", "x"]
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
        self.size = x.new_zeros(len(x))  # of the largest energy met, and of its parts: what rounding goes by
        self._known: tuple[Tensor, Tensor] | None = None

    def state(self) -> State:
        return {"x": self.x} if isinstance(self.rule, Fixed) else {"x": self.x, "step": self.width}

    def finite(self) -> bool:
        """Whether the state is, and with `Backtracking`, where nothing moves otherwise, its force."""
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
            move = force if free else self._moved(self.x, force, 1.0) - self.x
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
            x = self._moved(self.x, self.force if force is None else force, self.rule.step)
            self.x = x if moving is None else torch.where(moving[:, None], x, self.x)
            self._known = None
        else:
            self._try(self.rule, moving)
        self.taken += 1

    def _try(self, rule: Backtracking, moving: Tensor | None) -> None:
        value, force = self.both
        width = self.width
        trial = self._moved(self.x, force, width)
        new_value, new_force = self.evaluate(trial)
        with torch.no_grad():
            y = self.energy.activations(self.x)
            change = self.energy.activations(trial) - y
            foretold = (force * change).sum(1)  # what the energy would lose were the force constant
            terms = (self.x * y).abs().sum(1)  # may cancel in the energy
            self.size = torch.maximum(self.size, value.abs() + terms)
            rounding = 8 * torch.finfo(value.dtype).eps * self.size
            asked = rule.sufficient * foretold
            ends = (new_force * change).sum(1) >= (2 * rule.sufficient - 1) * foretold
            # of a loss that drowns in rounding the energy itself says nothing
            taken = ((new_value <= value - asked) & (asked > rounding)) | ((new_value <= value + rounding) & ends)
            grown = torch.where(foretold > 0, rule.grow, 1.0)  # what rests says nothing of the width
            width = width * torch.where(taken, grown, rule.shrink)[:, None]
            if moving is not None:
                taken = taken & moving
                width = torch.where(moving[:, None], width, self.width)
        self.width = width
        self.x = torch.where(taken[:, None], trial, self.x)
        self._known = torch.where(taken, new_value, value), torch.where(taken[:, None], new_force, force)

    def mapped(self, x: Tensor) -> Tensor:
        """A step of width 1, as a map whose fixed points are the states at rest."""
        return self._moved(x, self._pulled(self.energy.force(x, self.clamp)), 1.0)

    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, force = self.energy.energy_and_force(x, self.clamp)
        if self.field is not None:
            value = value - (self.field * self.energy.activations(x)).sum(1)
        return value, self._pulled(force)

    def _moved(self, x: Tensor, force: Tensor, width: Tensor | float) -> Tensor:
        x = self.energy.project(x + width * self.energy.flow(force))
        return x if self.clamp is None else self.clamp(x)

    def _pulled(self, force: Tensor) -> Tensor:
        if self.field is None:
            return force
        return force + (self.field if self.clamp is None else self.clamp.free(self.field.expand_as(force)))


def _positive(name: str, value: float) -> None:
    if not (0 < value < math.inf):
        raise ValueError(f"found {name} = {value}, expected a positive number")


__all__ = ["Backtracking", "Descent", "Fixed", "Settled", "State"]
