"""When a descent ends: at rest, where nothing observable moves, or where the energy has no lower bound."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.energies._result import Ending
from ranvier.energies._run import Run
from ranvier.energies.steps import Fixed

#: steps without an observable loss of energy, or a thousandth of the force, after which nothing moves
PATIENCE = 50
#: forces that may be left by rounding, in units of eps times the terms of which a force is the difference
ROUNDING = 1000
#: the default tolerance, relative to the force's terms: this, or in units of eps where that is more
TOLERANCE, LEAST_DIGITS = 1e-7, 100


class Endings:
    """Watches the entries of a run: `ending` (B,) and `entry_steps` (B,) are what it found so far.

    tol: absolute; None takes max(1e-7, 100 eps) times the size of the terms that make the force.
    """

    def __init__(self, run: Run, tol: float | None) -> None:
        self.run, self.tol = run, tol
        self.eps = torch.finfo(run.x.dtype).eps
        self.has_energy = not isinstance(run.rule, Fixed)
        batch = len(run.x)
        self.ending = torch.zeros(batch, dtype=torch.int8, device=run.x.device)
        self.entry_steps = torch.zeros(batch, dtype=torch.int64, device=run.x.device)
        self.start = run.x.detach()
        self.residual = self.first = self.best = run.residual(run.force)
        self.idle = torch.zeros_like(self.entry_steps)
        self.lowest = run.both[0].detach() if self.has_energy else self.first
        self.tolerance = self._tolerance()
        self._see_rest()

    @property
    def moving(self) -> Tensor:
        """(B,) bool: entries that go on."""
        return self.ending == Ending.MOVING

    @torch.no_grad()
    def look(self, force: Tensor) -> None:
        """After a step: which entries end here."""
        moving = self.moving
        self.entry_steps += moving
        residual = self.run.residual(force)
        self.residual = torch.where(moving, residual, self.residual)
        self._see_rest()
        self._see_standstill()
        self._see_bottomless()

    def is_falling(self) -> Tensor:
        """(B,) bool: far from where it began, with a force that has not become less: bottomless, as far as one sees."""
        return self._has_fled(1e3, 0.5)

    def _see_rest(self) -> None:
        rest = self.moving & (self.residual <= self.tolerance)
        if self.tol is None and bool(rest.any()):  # the terms were large at the start, perhaps, and are small here
            self.tolerance = torch.where(rest, torch.minimum(self.tolerance, self._tolerance()), self.tolerance)
            rest &= self.residual <= self.tolerance
        self.ending[rest] = Ending.REST

    def _see_standstill(self) -> None:
        gained = self.residual < 0.999 * self.best
        if self.has_energy:
            value = self.run.both[0].detach()
            lower = self.lowest - value > 8 * self.eps * value.abs()
            self.lowest = torch.where(lower | gained, value, self.lowest)
            gained |= lower
        self.best = torch.minimum(self.best, self.residual)
        self.idle = torch.where(gained, 0, self.idle + 1)
        idle = self.moving & (self.idle >= PATIENCE)
        if bool(idle.any()):
            # an energy's last digit hides forces of the root of it
            least = torch.maximum(ROUNDING * self.eps * self._terms(), self.eps**0.5 * self.first)
            self.ending[idle & (self.residual <= least)] = Ending.STATIONARY
            self.idle[idle] = 0

    def _see_bottomless(self) -> None:
        self.ending[self._has_fled(torch.finfo(self.start.dtype).max ** 0.25, 0.1)] = Ending.UNBOUNDED

    @torch.no_grad()
    def _has_fled(self, distance: float, pull: float) -> Tensor:
        size, first = (x.detach().abs().amax(1) for x in (self.run.x, self.start))
        fled = self.moving & (size > distance * (1 + first)) & (self.residual >= pull * self.first)
        if bool(fled.any()):  # too large a Fixed step flees uphill
            fled &= self.run.evaluate(self.run.x)[0] < self.run.evaluate(self.start)[0]
        return fled

    def _tolerance(self) -> Tensor:
        if self.tol is not None:
            return torch.full_like(self.first, self.tol)
        terms = self._terms()
        least = self.eps**2 * self.first  # at a rest at 0 all terms vanish
        return (max(TOLERANCE, LEAST_DIGITS * self.eps) * terms).maximum(least)

    @torch.no_grad()
    def _terms(self) -> Tensor:
        """(B,): how large the parts are that cancel in the force here: what doubling x adds to it, and the force at the
        energy's initial state, on which x has no influence."""
        run = self.run
        x = run.x.detach()
        here, there = run.force_at(x), run.force_at(2 * x)
        base = run.force_at(run.energy.init_state(len(x)).to(x))
        parts = torch.stack([(there - here).abs().amax(1), base.abs().amax(1)])
        return torch.nan_to_num(parts, nan=0.0, posinf=0.0).amax(0)


__all__ = ["Endings"]
