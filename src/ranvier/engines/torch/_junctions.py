"""Gap junctions in torch: the currents of a step, with gradients; the equations are in `ranvier.engines.junctions`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ranvier.engines.junctions import JunctionSystem, series

#: terms of the series beyond which whole matrices are quicker, and cells up to which they are
_TERMS, _CELLS = 40, 200


@dataclass(frozen=True)
class JunctionStep:
    """A network's junctions with their numbers: rates (edges,) hB/a, scales C/h of each cell, terms (4, K).

    whole: the four functions as matrices (4, cells, cells) of a network without held cells, where that is quicker.
    """

    junctions: JunctionSystem
    rates: Tensor
    scales: Tensor
    terms: Tensor
    stiffness: float
    whole: Tensor | None = None

    @classmethod
    def of(cls, junctions: JunctionSystem, dt: float) -> JunctionStep:
        """Raises ValueError where they are too strong for a step of dt."""
        gains = junctions.gains()
        rates = junctions.rates(gains)
        a = junctions.stiffness(rates, dt)
        terms = torch.from_numpy(series(a, junctions.directed))
        step = cls(junctions, rates * dt / a, 1 / (dt * gains), terms, a)
        if terms.shape[1] <= _TERMS or junctions.cells > _CELLS:
            return step
        return replace(step, whole=step.matrices(torch.ones(junctions.cells, dtype=torch.float64)))

    def begin(self, V: Mapping[int, Tensor], held: Mapping[int, Tensor]) -> JunctionCurrents:
        """No currents yet, from voltages (B, n) by population, some of them held."""
        whole = self.join(V)
        free = 1.0 - self.join(held)
        own, own_slope = self.series(whole, free, 0, 2)
        zero = torch.zeros_like(whole)
        return JunctionCurrents(self, whole, free, own, own_slope, zero, zero)

    def join(self, values: Mapping[int, Tensor]) -> Tensor:
        """(B, cells) from (B, n) by population, float64."""
        return torch.cat([values[k].to(torch.float64) for k in self.junctions.populations], 1)

    def matrices(self, free: Tensor) -> Tensor:
        """The four functions (4, cells, cells), by the exponential of three blocks (Al-Mohy & Higham 2011)."""
        n = self.junctions.cells
        rows, columns = torch.from_numpy(self.junctions.rows), torch.from_numpy(self.junctions.columns)
        eye, rates = torch.eye(n, dtype=torch.float64), self.stiffness * self.rates * free[rows]
        Z = torch.zeros(n, n, dtype=torch.float64).index_put((rows, columns), rates, accumulate=True)
        Z = Z - torch.diag(Z.sum(1))
        system = torch.zeros(3 * n, 3 * n, dtype=torch.float64)
        system[:n, :n], system[:n, n : 2 * n], system[n : 2 * n, 2 * n :] = Z, eye, eye
        out = torch.linalg.matrix_exp(system)[:n]
        growth, first, second = out[:, :n] - eye, out[:, n : 2 * n], out[:, 2 * n :]
        return torch.stack([growth, first - eye, 6 * (growth - 2 * (first - eye)), 6 * (first - 2 * second)])

    def series(self, values: Tensor, free: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
        """Two of the four functions of hB, applied to values (B, cells)."""
        rows, columns = torch.from_numpy(self.junctions.rows), torch.from_numpy(self.junctions.columns)
        before = values - values[:, torch.from_numpy(self.junctions.references)]
        if self.whole is not None:
            each = [self.whole if f.all() else self.matrices(f) for f in free]
            return tuple(
                torch.stack([w[k] @ v for w, v in zip(each, before, strict=True)]) for k in (low, high)
            )  # type: ignore[return-value]

        def shifted(x: Tensor) -> Tensor:
            flow = torch.zeros_like(x).index_add(1, rows, (x[:, columns] - x[:, rows]) * self.rates)
            return x + flow * free

        now = shifted(before)
        c, d = self.terms[low], self.terms[high]
        out, slope = c[0] * before + c[1] * now, d[0] * before + d[1] * now
        for k in range(2, self.terms.shape[1]):
            before, now = now, 2 * shifted(now) - before
            out, slope = out + c[k] * now, slope + d[k] * now
        return out, slope


@dataclass(frozen=True)
class JunctionCurrents:
    """The currents of one step: mean and slope (B, cells), per step in mV; own and own_slope: what V alone gives."""

    step: JunctionStep
    V: Tensor
    free: Tensor
    own: Tensor
    own_slope: Tensor
    mean: Tensor
    slope: Tensor

    def after(self, guess: Mapping[int, Tensor], share: Tensor) -> JunctionCurrents:
        """The currents, now that cells would get to `guess` (B, n) by population, changed by a share (B, 1)."""
        mean, slope = self.step.series(self.step.join(guess) - self.V - self.mean, self.free, 1, 3)
        mean, slope = self.own + mean - self.mean, self.own_slope + slope - self.slope
        return replace(self, mean=self.mean + share * mean, slope=self.slope + share * slope)

    def ends(self, index: int, kind: torch.dtype) -> tuple[Tensor, Tensor]:
        """What enters a population at the step's start and end (B, n)."""
        joined = self.step.junctions
        first = joined.firsts[joined.populations.index(index)]
        cells = slice(first, first + joined.net.populations[index].size)
        mean, half, scale = self.mean[:, cells], self.slope[:, cells] / 2, self.step.scales[cells]
        return ((mean - half) * scale).to(kind), ((mean + half) * scale).to(kind)
