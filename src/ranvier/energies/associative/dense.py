"""Dense associative memory (Krotov & Hopfield 2016; Demircigil et al. 2017): energies steeper than quadratic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ranvier.codegen.arithmetic.products import matmul
from ranvier.energies._arrays import as_tensor
from ranvier.energies._energy import Clamp, Energy
from ranvier.energies._result import DescentResult, Ending
from ranvier.energies.machines.ising import Order, orders, spins, swept


class Interaction:
    """F of an overlap m = ξ·x/N within [−1, 1], with its slope; N is the number of units."""

    def value(self, m: Tensor, units: int) -> Tensor:
        """(B,): N Σ_μ F(m_μ), or a monotone function of it, from m (B, P)."""
        raise NotImplementedError

    def slope(self, m: Tensor, units: int) -> Tensor:
        """∂value/∂(N m), (B, P)."""
        raise NotImplementedError


@dataclass(frozen=True)
class PolynomialInteraction(Interaction):
    """F = mⁿ: E = −N Σ mⁿ, N^(n−1) times smaller than the paper's. n = 2 is Hopfield's network with self-coupling.

    Recalls about N^(n−1)/(2 (2n − 3)!! ln N) random patterns without errors.

    >>> rv.energies.PolynomialInteraction(2).value(torch.tensor([[0.5, 0.0]]), units=8).tolist()  # N Σ m²
    [2.0]
    >>> round(rv.energies.PolynomialInteraction(3).capacity(100))  # 100²/(6 ln 100)
    362
    """

    n: int = 3

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or self.n < 2:
            raise ValueError(f"n is {self.n!r}; expected a whole number >= 2")

    def value(self, m: Tensor, units: int) -> Tensor:
        return units * m.pow(self.n).sum(1)

    def slope(self, m: Tensor, units: int) -> Tensor:
        return self.n * m.pow(self.n - 1)

    def capacity(self, units: int) -> float:
        """How many random patterns are recalled without errors: N^(n−1)/(2 (2n − 3)!! ln N)."""
        odd = math.prod(range(1, 2 * self.n - 2, 2))
        return units ** (self.n - 1) / (2 * odd * math.log(units))


@dataclass(frozen=True)
class RectifiedInteraction(PolynomialInteraction):
    """F = [m]₊ⁿ: a pattern's negative is no memory.

    >>> rectified = rv.energies.RectifiedInteraction(2)
    >>> rectified.value(torch.tensor([[0.5], [-0.5]]), units=8).tolist()
    [2.0, 0.0]
    """

    def value(self, m: Tensor, units: int) -> Tensor:
        return units * m.relu().pow(self.n).sum(1)

    def slope(self, m: Tensor, units: int) -> Tensor:
        return self.n * m.relu().pow(self.n - 1)


@dataclass(frozen=True)
class ExponentialInteraction(Interaction):
    """F = exp(N m): about 2^(N/2) patterns. The energy is −log of the paper's sum, which overflows, and has the
    same order of states, so the same recall.

    >>> memory = rv.energies.DenseMemory(torch.tensor([[1.0, -1.0, 1.0]]), rv.energies.ExponentialInteraction())
    >>> memory.energy(torch.tensor([[1.0, -1.0, 1.0]])).tolist()  # one pattern of 3 units: -N m
    [-3.0]
    """

    def value(self, m: Tensor, units: int) -> Tensor:
        return torch.logsumexp(units * m, 1)

    def slope(self, m: Tensor, units: int) -> Tensor:
        return torch.softmax(units * m, 1)


class DenseMemory(Energy):
    """E(x) = −N Σ_μ F(ξ^μ·x/N), with the patterns ξ (P, N) as memories; x within [−1, 1].

    interaction: `PolynomialInteraction(n)` (n = 3 if none is given), `RectifiedInteraction(n)` or
        `ExponentialInteraction()`.
    Raises ValueError for patterns of another shape or type, and such as are not finite.

    >>> patterns = torch.tensor([[1.0, 1, 1, 1, -1, -1, -1, -1], [1.0, -1, 1, -1, 1, -1, 1, -1]])
    >>> memory = rv.energies.DenseMemory(patterns, rv.energies.PolynomialInteraction(3))
    >>> memory.energy(patterns).tolist()  # -N m³, of overlaps 1 and 0
    [-8.0, -8.0]
    """

    patterns: Tensor

    def __init__(self, patterns: Tensor, interaction: Interaction | None = None) -> None:
        super().__init__()
        patterns = as_tensor("the patterns", patterns)
        if patterns.ndim != 2 or 0 in patterns.shape or not patterns.is_floating_point():
            raise ValueError(f"there are {patterns.dtype} patterns {tuple(patterns.shape)}; expected floats (P, N)")
        if not bool(torch.isfinite(patterns).all()):
            mu, i = (~torch.isfinite(patterns)).nonzero()[0].tolist()
            raise ValueError(f"patterns[{mu}, {i}] is {patterns[mu, i].item()}; expected finite numbers")
        self.units = patterns.shape[1]
        self.interaction = interaction or PolynomialInteraction(3)
        self.register_buffer("patterns", patterns.detach().clone())

    def project(self, x: Tensor) -> Tensor:
        """x (B, N), each unit within [−1, 1]."""
        return x.clamp(-1, 1)

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        m = matmul(x, self.patterns.T) / self.units
        return -self.interaction.value(m, self.units), matmul(self.interaction.slope(m, self.units), self.patterns)

    def _value(self, x: Tensor) -> Tensor:
        return self._both(x)[0]

    def settle(
        self,
        states: Tensor,
        *,
        order: Order = "random",
        clamp: Clamp | None = None,
        max_sweeps: int = 100,
        seed: int = 0,
    ) -> DescentResult:
        """Let states (B, N) of ±1 fall into memories of ±1, one unit after another: each takes the sign whose energy is
        less, and stays where they are equal. The energy never rises. See `Hopfield.settle`.

        Raises ValueError for memories or states that are not ±1.
        """
        from ranvier.energies.associative._dense_sweeps import sweeps

        if max_sweeps < 1:
            raise ValueError(f"max_sweeps is {max_sweeps}; expected at least 1")
        if not bool((self.patterns.abs() == 1).all()):
            raise ValueError(
                "the memories are not ±1; expected ±1 for sweeps: use Descent(memory).settle for graded ones"
            )
        xi = np.ascontiguousarray(self.patterns.T.cpu().numpy().astype(np.int32))  # a unit's row over all memories
        table, steep = self._table()
        starts = spins(self, states, clamp)
        final, at_rest, trace = [], [], []
        for b, (s, free) in enumerate(starts):
            spin, rng = s.astype(np.int32), np.random.default_rng([seed, b])
            overlap, still = spin @ xi, False
            path: list[Tensor] = []
            while len(path) < max_sweeps and not still:
                flips = sweeps(xi, spin, overlap, orders(rng, free, order, 1)[0], table, steep)
                still = flips == 0 and sweeps(xi, spin, overlap, free, table, steep) == 0
                path.append(torch.from_numpy(spin).to(self.patterns))
            final.append(path[-1])
            at_rest.append(still)
            trace.append(self.energy(torch.stack(path)))
        first = torch.from_numpy(np.stack([s for s, _ in starts])).to(self.patterns)
        states = torch.stack(final)
        ending = torch.where(torch.tensor(at_rest, device=states.device), Ending.REST, Ending.MOVING)
        residual = (-states * self.force(states, clamp)).amax(1).clamp_min(0.0)
        return swept(self, first, states, trace, residual, ending)

    def _table(self) -> tuple[np.ndarray, bool]:
        """F at all whole overlaps −N .. N; or, for the exponential, exp(−k) for k = 0 .. 2N below the largest one."""
        n = self.units
        if isinstance(self.interaction, ExponentialInteraction):
            return np.exp(-np.arange(2 * n + 3, dtype=float)), True
        m = torch.arange(-n, n + 1, dtype=torch.float64)[:, None] / n
        return self.interaction.value(m, 1).numpy(), False


__all__ = ["DenseMemory", "ExponentialInteraction", "Interaction", "PolynomialInteraction", "RectifiedInteraction"]
