"""`Descent`: a state that moves along an energy's force, as a `Cell`, or until it rests."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ranvier.energies._arrays import as_floats
from ranvier.energies._endings import Endings
from ranvier.energies._energy import Clamp, Energy
from ranvier.energies._implicit import ConvergenceWarning, through_fixed_point
from ranvier.energies._result import DescentResult, Ending
from ranvier.energies._run import Run
from ranvier.energies.steps import Backtracking, Fixed, State, StepRule, begin, positive

Gradient = Literal["unrolled", "implicit"]


class Descent(nn.Module):
    """dx/dt = flow(force(x)), in steps: a `Cell` over inputs in time, and `settle` until the state rests.

    Parameters
    ----------
    energy : what falls.
    rule : `Backtracking` (the default) or, for stiff energies, `Conjugate`: the energy never rises; or `Fixed`.
    clamped : indices of units whose values are the input, x (T, B, n). Without, the input x (T, B, N) is an
        external field: it adds −Σ x·activations to the energy, and x to the force.
    steps : of descent, for one step of the cell.
    tol, max_steps : `settle` ends when no component of the force that could move a unit is larger than `tol`.
    gradient : what `settle` does where gradients are required: "unrolled", the exact derivative of the
        steps taken, or "implicit", that of the fixed point, in memory that does not grow with the steps. Both
        take the step widths as constants. Under torch.no_grad() memory is constant either way.

    `forward(x[T, B, n], state=None) -> (y[T, B, N], state)`; `step(state, x[B, n]) -> (state, y[B, N])`; the state is
    a dict: x (B, N), and what its rule goes on from (step (B, 1), the widths, unless they are `Fixed`); y are the
    activations.

    Raises ValueError for wrong shapes, and where a force is not finite (with unit, entry and step).
    Warns `ConvergenceWarning` where `settle` takes max_steps and does not rest.

    >>> memory = rv.energies.ModernHopfield(torch.eye(3), beta=8.0)
    >>> end = rv.energies.Descent(memory).settle(torch.tensor([[0.9, 0.2, 0.1]]))
    >>> [round(v, 2) for v in end.x[0].tolist()]  # the stored pattern that is nearest
    [1.0, 0.0, 0.0]
    """

    def __init__(
        self,
        energy: Energy,
        rule: StepRule = Backtracking(),  # noqa: B008 - frozen
        *,
        clamped: Tensor | Sequence[int] | slice | None = None,
        steps: int = 1,
        tol: float | None = None,
        max_steps: int = 1000,
        gradient: Gradient = "unrolled",
    ) -> None:
        super().__init__()
        if not isinstance(energy, Energy):
            raise TypeError(f"energy is a {type(energy).__name__}; expected an Energy")
        if steps < 1 or max_steps < 1:
            raise ValueError(f"steps is {steps}, max_steps is {max_steps}; expected whole numbers >= 1")
        if gradient not in ("unrolled", "implicit"):
            raise ValueError(f"gradient is {gradient!r}; expected 'unrolled' or 'implicit'")
        if not isinstance(rule, StepRule):
            raise TypeError(f"rule is {rule!r}; expected Backtracking(), Conjugate() or Fixed()")
        if tol is not None:
            positive("tol", tol)
        self.energy = energy
        self.rule = rule
        self.steps, self.tol, self.max_steps, self.gradient = steps, tol, max_steps, gradient
        units = energy.units
        self.in_features, self.out_features = units, units
        self.clamped: slice | Tensor | None = None
        if clamped is not None:
            self.clamped = clamped if isinstance(clamped, slice) else torch.as_tensor(clamped)
            self.in_features = len(torch.arange(units)[self.clamped])

    def init_state(self, batch: int) -> State:
        """The energy's initial state, (batch, N), and the rule's first step width."""
        return begin(self.rule, self.energy.init_state(batch))

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """One step of the cell: x (B, n) -> (state, y (B, N))."""
        x = as_floats("x", x, state["x"])
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, {self.in_features})")
        clamp = field = None
        if self.clamped is None:
            field = x
        else:
            clamp = Clamp.at(self.clamped, x, self.energy.units)
        state = self.relax(state, self.steps, clamp, field)
        return state, self.energy.activations(state["x"])

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """x (T, B, n) -> y (T, B, N) and the state after the last step."""
        x = as_floats("x", x, self.energy.init_state(1))
        if x.ndim != 3 or x.shape[0] == 0 or x.shape[2] != self.in_features:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, {self.in_features}) with T > 0")
        state = self.init_state(x.shape[1]) if state is None else state
        outputs = []
        for row in x.unbind(0):
            state, y = self.step(state, row)
            outputs.append(y)
        return torch.stack(outputs), state

    def relax(self, state: State, steps: int, clamp: Clamp | None = None, field: Tensor | None = None) -> State:
        """The state, a dict as above, after that many steps, whether it then rests or not.

        field: (B, N), as the input without `clamped`.
        """
        run = Run(self.energy, self.rule, state, clamp, field)
        quick = None
        if isinstance(self.rule, Fixed) and not torch.is_grad_enabled():
            quick = self.energy.advance(run.x, steps, self.rule.step, clamp, run.field)
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
    ) -> DescentResult:
        """Descend from x (B, N) until every entry ends, or max_steps are taken; `DescentResult.ending` says how.

        clamp: units held. field: (N,) or (B, N), as the input without `clamped`. trace: keep the energies on the way.
        warn: `ConvergenceWarning` for entries that still move, or fall without end.
        """
        implicit = self.gradient == "implicit" and torch.is_grad_enabled()
        energies = []
        with torch.set_grad_enabled(torch.is_grad_enabled() and not implicit):
            run = Run(self.energy, self.rule, begin(self.rule, self.energy.place(x)), clamp, field)
            watch = Endings(run, self.tol)
            while True:
                if trace:
                    energies.append(run.both[0].detach())
                if not bool(watch.moving.any()) or run.taken == self.max_steps:
                    break
                run.advance(watch.moving)
                watch.look(run.force)
        falling = watch.is_falling()
        watch.ending[falling] = Ending.UNBOUNDED
        final = through_fixed_point(run.mapped, run.x) if implicit else run.x
        value = run.evaluate(final)[0] if implicit else run.both[0]
        result = DescentResult(
            final, self.energy.activations(final), value, watch.residual, watch.ending, run.taken, watch.entry_steps,
            torch.stack(energies) if trace else None,
        )  # fmt: skip
        if warn:
            self._warn(result)
        return result

    def _warn(self, result: DescentResult) -> None:
        count = len(result.ending)
        if moving := result.count(Ending.MOVING):
            still = result.ending == Ending.MOVING
            goal = "" if self.tol is None else f"; expected {self.tol:.1e}"
            warnings.warn(
                f"{moving} of {count} states still move after {result.steps} steps (largest force "
                f"{float(result.residual[still].max()):.1e}{goal}): raise max_steps or tol",
                ConvergenceWarning,
                stacklevel=3,
            )
        if bottomless := result.count(Ending.UNBOUNDED):
            b = int((result.ending == Ending.UNBOUNDED).nonzero()[0, 0])
            n = int(result.x[b].detach().abs().argmax())
            where, value = f"unit {n}{self.energy.place_of(n)}", float(result.x[b, n].detach())
            warnings.warn(
                f"the energy of {bottomless} of {count} states falls without bound: that of entry {b} is "
                f"{float(result.energy[b].detach()):.1e} where {where} is {value:.1e}; expected an energy with a "
                "minimum: bound the activations (tanh, sigmoid, softmax, norms), or make the weights smaller",
                ConvergenceWarning,
                stacklevel=3,
            )

    def extra_repr(self) -> str:
        return f"rule={self.rule}, steps={self.steps}, tol={self.tol}, gradient={self.gradient!r}"


__all__ = ["Descent"]
