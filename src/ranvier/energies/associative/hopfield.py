"""Hopfield's networks: binary units that recall, and graded ones in continuous time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ranvier.energies._energy import Clamp, Energy, check_symmetric, check_whole_rows
from ranvier.energies.associative.storage import RULES
from ranvier.energies.graphs.lagrangians import Lagrangian, Tanh
from ranvier.energies.machines.ising import Chain, Ising, Order, spins
from ranvier.energies.machines.pairwise import per_unit


@dataclass(frozen=True)
class Recalled:
    """Where recall ended.

    states (B, N). energy (B,). converged (B,): at rest. sweeps (B,): how many it took, the last without a flip.
    cycle (B,): a synchronous network that goes back and forth between two states. trace: energies after each
    sweep, a list with one tensor an entry.
    """

    states: Tensor
    energy: Tensor
    converged: Tensor
    sweeps: Tensor
    cycle: Tensor
    trace: list[Tensor]


class Hopfield(Ising):
    """E = −½ Σ w_ij v_i v_j + Σ θ_i v_i of units v = ±1 (Hopfield 1982).

    weight: (N, N), symmetric, zero diagonal. threshold: θ, (N,) or a number.
    `Hopfield.store(patterns, rule)` makes one from patterns (P, N).
    """

    def __init__(self, weight: Tensor, threshold: Tensor | float = 0.0) -> None:
        super().__init__(weight, -threshold)

    @classmethod
    def store(cls, patterns: Tensor, rule: str = "hebb") -> Hopfield:
        """The network with patterns (P, N) of ±1 as memories; rule: "hebb", "storkey" or "pseudo_inverse", the
        functions of `rv.energies.storage`. ValueError for another rule, or patterns that are not ±1."""
        if rule not in RULES:
            raise ValueError(f"found rule = {rule!r}, expected one of {', '.join(RULES)}")
        return cls(RULES[rule](patterns))

    def recall(
        self,
        states: Tensor,
        *,
        synchronous: bool = False,
        order: Order = "random",
        clamp: Clamp | None = None,
        max_sweeps: int = 100,
        seed: int = 0,
    ) -> Recalled:
        """Let states (B, N) of ±1 fall into memories: v_i ← sign(Σ w_ij v_j − θ_i), unchanged where that is 0.

        One unit after another the energy never rises, and recall ends at rest. All at once (`synchronous`) it may
        rise, and end in a cycle of two states, which is said. Raises ValueError for states that are not ±1.
        """
        if max_sweeps < 1:
            raise ValueError(f"found max_sweeps = {max_sweeps}, expected at least 1")
        if synchronous:
            return self._together(states, clamp, max_sweeps)
        from ranvier.energies.machines.sweeps import QUENCH

        runs = [
            Chain(self, s, free, order, seed, b, beta=float("inf"), rule=QUENCH)
            for b, (s, free) in enumerate(spins(self, states, clamp))
        ]
        for run in runs:
            run.run(max_sweeps)
        device, dtype = self.weight.device, self.weight.dtype
        final = torch.from_numpy(np.stack([run.s for run in runs])).to(device, dtype)
        value, force = self.energy_and_force(final, clamp)
        sweeps = torch.tensor([len(run.energy) for run in runs], device=device)
        trace = [torch.from_numpy(run.energy).to(device) for run in runs]
        at_rest = (final * force >= -self._slack()).all(1)
        return Recalled(final, value, at_rest, sweeps, torch.zeros_like(at_rest), trace)

    def _slack(self) -> float:
        """What rounding may leave of a field that is zero."""
        return 1e3 * torch.finfo(self.weight.dtype).eps * float(self.weight.abs().sum(1).amax())

    def _together(self, states: Tensor, clamp: Clamp | None, max_sweeps: int) -> Recalled:
        spins(self, states, clamp)  # checks
        s = before = self.place(states.detach().to(self.weight.dtype), clamp)
        energies: list[Tensor] = []
        moving = torch.ones(len(s), dtype=torch.bool, device=s.device)
        cycle, taken = ~moving, torch.zeros_like(moving, dtype=torch.int64)
        while bool(moving.any()) and len(energies) < max_sweeps:
            force = self.force(s, clamp)
            new = torch.where(moving[:, None], torch.where(force == 0, s, force.sign()), s)
            taken += moving
            rest, back = (new == s).all(1), (new == before).all(1) & (len(energies) > 0)
            cycle |= back & ~rest & moving
            moving &= ~rest & ~back
            before, s = s, new
            energies.append(self.energy(s))
        trace = [torch.stack([e[b] for e in energies[: int(n)]]) for b, n in enumerate(taken)]
        return Recalled(s, self.energy(s), ~moving & ~cycle, taken, cycle, trace)


class ContinuousHopfield(Energy):
    """Graded neurons, du_i/dt = −u_i/τ + Σ_j w_ij g(u_j) − θ_i (Hopfield 1984; Cohen & Grossberg 1983).

    States are u; the activations V = g(u) are those of a Lagrangian (`Tanh(beta)`, `Sigmoid(beta)` ...). The energy is

        E = −½ Σ w_ij V_i V_j + Σ θ_i V_i + (1/τ) Σ ∫₀^V_i g⁻¹(V) dV,

    whose last term keeps it falling at finite gain: for g = L' it is u V − L(u), less its value at V = 0, or, for an
    activation that is never 0, at u = 0.

    weight: (N, N), symmetric; self-coupling is allowed. threshold: θ, (N,) or a number. tau: in units of time.
    lagrangian: `Tanh()` if none is given. learn: weight and threshold are parameters.
    Raises ValueError for weights that are not symmetric, and for a threshold or tau that does not fit.
    """

    weight: Tensor
    threshold: Tensor

    def __init__(
        self,
        weight: Tensor,
        threshold: Tensor | float = 0.0,
        *,
        lagrangian: Lagrangian | None = None,
        tau: float = 1.0,
        learn: bool = False,
    ) -> None:
        super().__init__()
        check_symmetric(weight, zero_diagonal=False)
        if not tau > 0:
            raise ValueError(f"found tau = {tau}, expected a positive number")
        self.units, self.tau = len(weight), tau
        self.lagrangian = lagrangian or Tanh()
        for name, value in (("weight", weight), ("threshold", per_unit("threshold", threshold, weight))):
            value = value.detach().clone()
            if learn:
                self.register_parameter(name, torch.nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def activations(self, x: Tensor) -> Tensor:
        """V = g(u), (B, N)."""
        return self.lagrangian.activations(x)

    def check_clamp(self, clamp: Clamp) -> None:
        """Under a softmax or a norm all units are held, or none."""
        if self.lagrangian.rowwise:
            check_whole_rows(clamp.mask, f"units ({self.lagrangian})")

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        V = self.activations(x)
        W = (self.weight + self.weight.T) / 2  # stays symmetric while it learns
        pull = V @ W
        start = torch.zeros_like(x[:1])
        integral = (x * V).sum(1) - self.lagrangian(x) + self.lagrangian(start)
        value = (V * (self.threshold - 0.5 * pull)).sum(1) + integral / self.tau
        return value, pull - self.threshold - x / self.tau

    def _value(self, x: Tensor) -> Tensor:
        return self._both(x)[0]


__all__ = ["ContinuousHopfield", "Hopfield", "Recalled"]
