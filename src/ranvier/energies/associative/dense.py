"""Dense associative memory (Krotov & Hopfield 2016; Demircigil et al. 2017): energies steeper than quadratic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ranvier.codegen.products import matmul
from ranvier.energies._energy import Clamp, Energy
from ranvier.energies.associative.hopfield import Recalled
from ranvier.energies.machines.ising import Order, orders, spins


class Interaction:
    """F of an overlap m = ξ·x/N within [−1, 1], with its slope; N is the number of units."""

    def value(self, m: Tensor, units: int) -> Tensor:
        """(B,): N Σ_μ F(m_μ), or a monotone function of it, from m (B, P)."""
        raise NotImplementedError

    def slope(self, m: Tensor, units: int) -> Tensor:
        """∂value/∂(N m), (B, P)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Polynomial(Interaction):
    """F = mⁿ: E = −N Σ mⁿ, N^(n−1) times smaller than the paper's. n = 2 is Hopfield's network with self-coupling.

    Recalls about N^(n−1)/(2 (2n − 3)!! ln N) random patterns without errors.
    """

    n: int = 3

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or self.n < 2:
            raise ValueError(f"found n = {self.n!r}, expected a whole number >= 2")

    def value(self, m: Tensor, units: int) -> Tensor:
        return units * m.pow(self.n).sum(1)

    def slope(self, m: Tensor, units: int) -> Tensor:
        return self.n * m.pow(self.n - 1)

    def capacity(self, units: int) -> float:
        """How many random patterns are recalled without errors: N^(n−1)/(2 (2n − 3)!! ln N)."""
        odd = math.prod(range(1, 2 * self.n - 2, 2))
        return units ** (self.n - 1) / (2 * odd * math.log(units))


@dataclass(frozen=True)
class Rectified(Polynomial):
    """F = [m]₊ⁿ: a pattern's negative is no memory."""

    def value(self, m: Tensor, units: int) -> Tensor:
        return units * m.relu().pow(self.n).sum(1)

    def slope(self, m: Tensor, units: int) -> Tensor:
        return self.n * m.relu().pow(self.n - 1)


@dataclass(frozen=True)
class Exponential(Interaction):
    """F = exp(N m): about 2^(N/2) patterns. The energy is −log of the paper's sum, which overflows, and has the
    same order of states, so the same recall."""

    def value(self, m: Tensor, units: int) -> Tensor:
        return torch.logsumexp(units * m, 1)

    def slope(self, m: Tensor, units: int) -> Tensor:
        return torch.softmax(units * m, 1)


class DenseMemory(Energy):
    """E(x) = −N Σ_μ F(ξ^μ·x/N), with the patterns ξ (P, N) as memories; x within [−1, 1].

    interaction: `Polynomial(n)`, `Rectified(n)` or `Exponential()`; `Polynomial(3)` if none is given.
    Raises ValueError for patterns of another shape or type, and such as are not finite.
    """

    patterns: Tensor

    def __init__(self, patterns: Tensor, interaction: Interaction | None = None) -> None:
        super().__init__()
        if patterns.ndim != 2 or 0 in patterns.shape or not patterns.is_floating_point():
            raise ValueError(f"found {patterns.dtype} patterns {tuple(patterns.shape)}, expected floats (P, N)")
        if not bool(torch.isfinite(patterns).all()):
            mu, i = (~torch.isfinite(patterns)).nonzero()[0].tolist()
            raise ValueError(f"found patterns[{mu}, {i}] = {patterns[mu, i].item()}, expected finite numbers")
        self.units = patterns.shape[1]
        self.interaction = interaction or Polynomial(3)
        self.register_buffer("patterns", patterns.detach().clone())

    def project(self, x: Tensor) -> Tensor:
        """x (B, N), each unit within [−1, 1]."""
        return x.clamp(-1, 1)

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        m = matmul(x, self.patterns.T) / self.units
        return -self.interaction.value(m, self.units), matmul(self.interaction.slope(m, self.units), self.patterns)

    def _value(self, x: Tensor) -> Tensor:
        return self._both(x)[0]

    def recall(
        self,
        states: Tensor,
        *,
        order: Order = "random",
        clamp: Clamp | None = None,
        max_sweeps: int = 100,
        seed: int = 0,
    ) -> Recalled:
        """Let states (B, N) of ±1 fall into memories of ±1, one unit after another: each takes the sign whose energy is
        less, and stays where they are equal. The energy never rises. See `Hopfield.recall`.

        Raises ValueError for memories or states that are not ±1.
        """
        from ranvier.energies.associative._dense_sweeps import sweeps

        if max_sweeps < 1:
            raise ValueError(f"found max_sweeps = {max_sweeps}, expected at least 1")
        if not bool((self.patterns.abs() == 1).all()):
            raise ValueError("found memories that are not ±1, which sweeps need; use Descent(memory).settle")
        xi = np.ascontiguousarray(self.patterns.T.cpu().numpy().astype(np.int32))  # a unit's row over all memories
        table, steep = self._table()
        final, taken, rest, trace = [], [], [], []
        for b, (s, free) in enumerate(spins(self, states, clamp)):
            spin, rng = s.astype(np.int32), np.random.default_rng([seed, b])
            overlap, done, energies, still = spin @ xi, 0, [], False
            while done < max_sweeps and not still:
                flips = sweeps(xi, spin, overlap, orders(rng, free, order, 1)[0], table, steep)
                still = flips == 0 and sweeps(xi, spin, overlap, free, table, steep) == 0
                done += 1
                energies.append(torch.from_numpy(spin).to(self.patterns))
            final.append(torch.from_numpy(spin).to(self.patterns))
            taken.append(done)
            rest.append(still)
            trace.append(self.energy(torch.stack(energies)))
        whole, at_rest = torch.stack(final), torch.tensor(rest, device=self.patterns.device)
        sweeps_taken = torch.tensor(taken, device=self.patterns.device)
        return Recalled(whole, self.energy(whole), at_rest, sweeps_taken, torch.zeros_like(at_rest), trace)

    def _table(self) -> tuple[np.ndarray, bool]:
        """F at all whole overlaps −N .. N; or, for the exponential, exp(−k) for k = 0 .. 2N below the largest one."""
        n = self.units
        if isinstance(self.interaction, Exponential):
            return np.exp(-np.arange(2 * n + 3, dtype=float)), True
        m = torch.arange(-n, n + 1, dtype=torch.float64)[:, None] / n
        return self.interaction.value(m, 1).numpy(), False


__all__ = ["DenseMemory", "Exponential", "Interaction", "Polynomial", "Rectified"]
