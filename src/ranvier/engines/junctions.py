"""Gap junctions of a whole network as one linear system, solved exactly over a step.

Between cells flow V' = B V + f, with B_ij = w_ij/C_i and B_ii = −Σ_j B_ij, and f (mV/ms) what each cell does by itself.
Were f constant over a step of h, V would go to V + h φ1(hB)(B V + f), φ1(z) = (e^z − 1)/z (Hochbruck & Ostermann 2010,
section 2.1). A neuron is given the junctions' mean current J of the step, and a slope D (both per step, in mV) by which
its own path has the right mean:

    J = (e^Z − 1) V + (φ1(Z) − 1) h f          D = 6 Z (φ1 − 2 φ2)(Z) V + 6 (φ1 − 2 φ2)(Z) h f,          Z = hB.

f follows from where a neuron then gets to. C-weighted sums of J vanish, whatever f is: charge is conserved, and the
error is of second order in h however large B is. The four functions go by one Chebyshev series on Z's interval of
eigenvalues, [−2a, 0] with a = h max_i Σ_j B_ij, of some 8 √a terms: products with B and nothing else, which give 0
where cells are alike. A cell that is held (refractory) has a row of zeros.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import sympy as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranvier.engines.step_model import Port, StepModel
from ranvier.equations.printing import torch_function
from ranvier.networks import Network, Projection
from ranvier.synapses import Electrical

#: the largest a = dt·G/C of junctions that go both ways, and of others, whose eigenvalues are complex: the series'
#: rounding grows as e^(0.4 a) there, and as a for the former
MOST, MOST_DIRECTED = 1e8, 30.0
#: the largest dt·G/C of cells with an upstroke for which it matters little who of them spikes first within a step
FAST = 0.5
#: mV: what a sum's last terms may be together, far below what a step is agreed on to
MISSED = 1e-12
_SMALLEST = 1e-6  # of a: the series holds on a larger interval too


@dataclass(frozen=True)
class JunctionSystem:
    """The cells that gap junctions join, population by population, and their edges.

    populations: indices; firsts: of their first cells; rows, columns: of B's entries, ordered by row; references: each
    cell's connected part, by one of its cells; directed: whether junctions differ between the two ways.
    """

    populations: tuple[int, ...]
    firsts: tuple[int, ...]
    cells: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    order: Tensor
    references: NDArray[np.int64]
    directed: bool
    models: dict[int, StepModel]
    net: Network

    def port(self, index: int) -> Port | None:
        """Where gap junctions enter a population; None where it only sends."""
        return next((p for p in self.models[index].coupled if isinstance(p.synapse, Electrical)), None)

    def gains(self) -> Tensor:
        """dV/dt by what enters, 1/(ms nS): 1/C of each cell (cells,), float64."""
        out = []
        for index in self.populations:
            model, port = self.models[index], self.port(index)
            size = model.population.size
            if port is None:
                out.append(torch.ones(size, dtype=torch.float64))
                continue
            gain = sp.diff(model.equations[0].drift, port.input)
            values = model.parameters()
            if unknown := sorted(s.name for s in gain.free_symbols if s.name not in values):
                raise ValueError(
                    f"population {model.population.name!r} of {type(model.population.neuron).__name__} takes its input "
                    f"I by a factor that changes with {', '.join(unknown)}; expected a constant one, which gap "
                    "junctions need: write dV/dt with I times constants"
                )
            out.append(torch_function({"gain": gain})(**values)["gain"].to(torch.float64).expand(size))
        return torch.cat(out)

    def rates(self, gains: Tensor) -> Tensor:
        """B's entries off the diagonal, 1/ms (edges,), in the order of `rows`."""
        weights = [
            torch.as_tensor(p.weight, dtype=torch.float64).expand(len(p.edges()[0])) for p in _projections(self.net)
        ]
        return torch.cat(weights)[self.order] * gains[torch.from_numpy(self.rows)]

    def stiffness(self, rates: Tensor, dt: float) -> float:
        """a. Raises ValueError where it is beyond what a step can be solved for, and warns where upstrokes of joined
        cells end in one step that end one after the other."""
        total = np.zeros(self.cells)
        np.add.at(total, self.rows, rates.detach().numpy())
        self._warn_of_upstrokes(total, dt)
        a, most = max(dt * float(total.max()), _SMALLEST), MOST_DIRECTED if self.directed else MOST
        if not a <= most:
            kind = "that differ between their two directions " if self.directed else ""
            raise ValueError(
                f"gap junctions {kind}have dt G/C of up to {a:.3g} (G a neuron's junctions together, C its "
                f"capacitance); expected at most {most:g}: use dt = {dt * most / a:.1g} ms or less (now {dt:g} ms), or "
                "weaker junctions"
            )
        return a

    def least(self, gains: Tensor) -> float:
        """What terms of a series may add up to, times the largest of the values it is applied to, without being
        missed: `MISSED`, less the factor from the largest value to the norm that C weights, in which B is symmetric."""
        if self.directed:
            return 0.0
        return MISSED / math.sqrt(float((1 / gains).sum() * gains.max()))

    @staticmethod
    def tails(terms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of |coefficients| from each term on, of the two series that are taken together: (2, terms)."""
        both = np.maximum(abs(terms[:2]), abs(terms[2:]))
        return np.ascontiguousarray(np.cumsum(both[:, ::-1], axis=1)[:, ::-1])

    def _warn_of_upstrokes(self, total: NDArray[np.float64], dt: float) -> None:
        for index, first in zip(self.populations, self.firsts, strict=True):
            model = self.models[index]
            fast = float(dt * total[first : first + model.population.size].max())
            if model.scheme.linear is None and model.states[0] in model.reset and fast > FAST:
                warnings.warn(
                    f"gap junctions of {model.population.name!r} have dt G/C of up to {fast:.3g} (G a neuron's "
                    f"junctions together, C its capacitance), so that unlike cells spike in one step of which only the "
                    f"first should; expected at most {FAST:g}: use dt = {dt * FAST / fast:.2g} ms or less (now {dt:g} "
                    "ms), or weaker junctions",
                    RuntimeWarning,
                    stacklevel=4,
                )


def junctions(net: Network, models: dict[int, StepModel]) -> JunctionSystem | None:
    """Those of a network, None where there are none. Raises ValueError for ones from sources of spikes."""
    own = _projections(net)
    if not any(p.size for p in own):
        return None
    for p in own:
        if p.source.index not in models:
            raise ValueError(
                f"{p!r} is continuous and starts from a source of spikes, without voltage; expected a population "
                "with V there"
            )
    populations = tuple(sorted({q.index for p in own for q in (p.source, p.target)}))
    sizes = [net.populations[k].size for k in populations]
    firsts = np.concatenate([[0], np.cumsum(sizes)])
    first = dict(zip(populations, firsts.tolist()))
    edges = [p.edges() for p in own]
    columns = np.concatenate([s.numpy() + first[p.source.index] for p, (s, _) in zip(own, edges, strict=True)])
    rows = np.concatenate([t.numpy() + first[p.target.index] for p, (_, t) in zip(own, edges, strict=True)])
    order = np.lexsort((columns, rows))
    weights = np.concatenate(
        [
            np.broadcast_to(np.asarray(torch.as_tensor(p.weight).detach(), np.float64), len(s))
            for p, (s, _) in zip(own, edges, strict=True)
        ]
    )
    cells = int(firsts[-1])
    W = scipy.sparse.coo_array((weights, (rows, columns)), (cells, cells)).tocsr()
    difference = abs(W - W.T)
    directed = bool(difference.nnz and difference.max() > 1e-6 * W.max())
    _, labels = scipy.sparse.csgraph.connected_components(W, directed=False)
    _, representatives = np.unique(labels, return_index=True)
    return JunctionSystem(
        populations, tuple(firsts[:-1].tolist()), cells, rows[order].astype(np.int64), columns[order].astype(np.int64),
        torch.from_numpy(order), representatives[labels].astype(np.int64), directed, models, net,
    )  # fmt: skip


def _projections(net: Network) -> list[Projection]:
    return [p for p in net.projections if isinstance(p.synapse, Electrical)]


def series(a: float, directed: bool = False) -> NDArray[np.float64]:
    """Chebyshev coefficients (4, terms) in x = z/a + 1 of e^z − 1, φ1 − 1, 6z(φ1 − 2φ2) and 6(φ1 − 2φ2).

    Of e^z by Miller's recurrence for Bessel functions (Abramowitz & Stegun 1964, 9.12), of the others by division by z:
    sums, products and quotients only, so that they have the same bits on every processor.
    """
    n = int(40 + 4 * a if directed else 24 + 12 * math.sqrt(a))
    c = [0.0] * (n + 2)
    c[n] = 1e-300
    for k in range(n, 0, -1):
        c[k - 1] = c[k + 1] + 2 * k / a * c[k]
        if c[k - 1] > 1e200:
            c[k - 1 :] = [x * 1e-250 for x in c[k - 1 :]]
    exponential = np.array(c)
    exponential[1:] *= 2
    exponential /= math.fsum(exponential)
    growth = _less_one(exponential)
    first = _over_z(exponential - _one(exponential), a)
    second = _over_z(_less_one(first), a)
    table = np.stack([growth, _less_one(first), 6 * (growth - 2 * _less_one(first)), 6 * (first - 2 * second)])
    size = np.abs(table).max(0) * (2.42 ** np.arange(table.shape[1]) if directed else 1.0)
    return np.ascontiguousarray(table[:, : max(2, int(np.flatnonzero(size > 1e-17).max()) + 1)])


def _one(c: NDArray[Any]) -> NDArray[Any]:
    out = np.zeros_like(c)
    out[0] = 1.0
    return out


def _less_one(c: NDArray[Any]) -> NDArray[Any]:
    return c - _one(c)


def _over_z(c: NDArray[Any], a: float) -> NDArray[Any]:
    """The series of g with z g = Σ c_k T_k, z = a (x − 1)."""
    g = [0.0] * (len(c) + 2)
    for k in range(len(c) - 1, 0, -1):
        g[k - 1] = 2 * c[k] / a + 2 * g[k] - g[k + 1]
    g[0] /= 2
    return np.array(g[: len(c)])


__all__ = ["MOST", "MOST_DIRECTED", "JunctionSystem", "junctions", "series"]
