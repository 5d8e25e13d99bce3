"""Hopfield's networks: binary units that recall, and graded ones in continuous time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ranvier.energies._arrays import as_tensor
from ranvier.energies._energy import Clamp, Energy, check_symmetric, check_whole_rows
from ranvier.energies._result import DescentResult, Ending
from ranvier.energies.associative.storage import RULES
from ranvier.energies.graphs.lagrangians import Lagrangian, Tanh
from ranvier.energies.machines.ising import Chain, Ising, Order, spins, swept
from ranvier.energies.machines.pairwise import per_unit


class Hopfield(Ising):
    """E = −½ Σ w_ij v_i v_j + Σ θ_i v_i of units v = ±1 (Hopfield 1982).

    weight: (N, N), symmetric, zero diagonal. threshold: θ, (N,) or a number.
    `Hopfield.store(patterns, rule)` makes one from patterns (P, N).

    >>> patterns = torch.tensor([[1.0, 1, 1, 1, -1, -1, -1, -1], [1.0, -1, 1, -1, 1, -1, 1, -1]])
    >>> memory = rv.energies.Hopfield.store(patterns)
    >>> x = patterns[:1] * torch.tensor([-1.0, 1, 1, 1, 1, 1, 1, 1])  # one unit wrong
    >>> bool((memory.energy(patterns[:1]) < memory.energy(x)).all())
    True
    """

    def __init__(self, weight: Tensor, threshold: Tensor | float = 0.0) -> None:
        weight = as_tensor("the weights", weight)
        super().__init__(weight, -as_tensor("threshold", threshold, weight))

    @classmethod
    def store(cls, patterns: Tensor, rule: str = "hebb") -> Hopfield:
        """The network with patterns (P, N) of ±1 as memories; rule: "hebb", "storkey" or "pseudo_inverse", the
        functions of `rv.energies.storage`. ValueError for another rule, or patterns that are not ±1."""
        if rule not in RULES:
            raise ValueError(f"rule is {rule!r}; expected one of {', '.join(RULES)}")
        return cls(RULES[rule](patterns))

    def settle(
        self,
        states: Tensor,
        *,
        synchronous: bool = False,
        order: Order = "random",
        clamp: Clamp | None = None,
        max_sweeps: int = 100,
        seed: int = 0,
    ) -> DescentResult:
        """Let states (B, N) of ±1 fall into memories: v_i ← sign(Σ w_ij v_j − θ_i), unchanged where that is 0.

        One unit after another the energy never rises, and it ends at rest. All at once (`synchronous`) it may rise,
        and end in a cycle of two states: `Ending.CYCLE`. A step of the result is a sweep, the last one of an entry
        without a flip; its trace is always there. Raises ValueError for states that are not ±1.
        """
        if max_sweeps < 1:
            raise ValueError(f"max_sweeps is {max_sweeps}; expected at least 1")
        if synchronous:
            return self._synchronous(states, clamp, max_sweeps)
        from ranvier.energies.machines.sweeps import QUENCH

        starts = spins(self, states, clamp)
        first = torch.from_numpy(np.stack([s for s, _ in starts])).to(self.weight)
        runs = [
            Chain(self, s, free, order, seed, b, beta=float("inf"), rule=QUENCH) for b, (s, free) in enumerate(starts)
        ]
        for run in runs:
            run.run(max_sweeps)
        final = torch.from_numpy(np.stack([run.s for run in runs])).to(self.weight)
        trace = [torch.from_numpy(run.energy).to(self.weight) for run in runs]
        wrong = self._misaligned(final, clamp)
        at_rest = wrong <= 1e3 * torch.finfo(wrong.dtype).eps * float(self.weight.abs().sum(1).amax())
        return swept(self, first, final, trace, wrong, torch.where(at_rest, Ending.REST, Ending.MOVING))

    def _misaligned(self, states: Tensor, clamp: Clamp | None) -> Tensor:
        """(B,): the largest field that a unit withstands."""
        return (-states * self.force(states, clamp)).amax(1).clamp_min(0.0)

    def _synchronous(self, states: Tensor, clamp: Clamp | None, max_sweeps: int) -> DescentResult:
        first = torch.from_numpy(np.stack([s for s, _ in spins(self, states, clamp)])).to(self.weight)
        s = before = first
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
        ending = torch.where(cycle, Ending.CYCLE, torch.where(moving, Ending.MOVING, Ending.REST))
        return swept(self, first, s, trace, self._misaligned(s, clamp), ending)


class ContinuousHopfield(Energy):
    """Graded neurons, du_i/dt = −u_i/τ + Σ_j w_ij g(u_j) − θ_i (Hopfield 1984; Cohen & Grossberg 1983).

    States are u; the activations V = g(u) are those of a Lagrangian (`Tanh(beta)`, `Sigmoid(beta)` ...). The energy is

        E = −½ Σ w_ij V_i V_j + Σ θ_i V_i + (1/τ) Σ ∫₀^V_i g⁻¹(V) dV,

    whose last term keeps it falling at finite gain: for g = L' it is u V − L(u), less its value at V = 0, or, for an
    activation that is never 0, at u = 0.

    weight: (N, N), symmetric; self-coupling is allowed. threshold: θ, (N,) or a number. tau: in units of time.
    lagrangian: `Tanh()` if none is given. learn: weight and threshold are parameters.
    Raises ValueError for weights that are not symmetric, and for a threshold or tau that does not fit.

    >>> memory = rv.energies.ContinuousHopfield(2 * torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> u = rv.energies.Descent(memory).settle(torch.tensor([[1.0, 0.3]])).x
    >>> bool(torch.allclose(u, 2 * torch.tanh(u.flip(1)), atol=1e-3))  # at rest, u = W g(u)
    True
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
        weight = check_symmetric(weight, zero_diagonal=False)
        if not tau > 0:
            raise ValueError(f"tau is {tau}; expected a positive number")
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


__all__ = ["ContinuousHopfield", "Hopfield"]
