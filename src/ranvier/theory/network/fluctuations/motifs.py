"""Which paths through the wiring make a correlation: C = sum over m, n of K^m diag(S) K†^n.

A term is a path of m edges into i and one of n edges into j from a common source (Trousdale et al. 2012, eq. 15;
Hu, Trousdale, Josić, Shea-Brown 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier._results import Fields


def motif_orders(K: Tensor, spectrum: Tensor, order: int) -> Tensor:
    """(order + 1, N, N): sum of K^m diag(S) K†^n over m + n = 0, 1, ..., order; K (N, N), S (N,).

    Their sum over all orders is C where the spectral radius of K is below 1.
    """
    if order < 0:
        raise ValueError(f"order is {order}; expected 0 or above")
    kind = torch.promote_types(K.dtype, spectrum.dtype)
    term = torch.diag(spectrum).to(kind)
    terms, right = [term], term
    for _ in range(order):
        right = right @ K.mH  # S K†^n
        term = K @ term + right
        terms.append(term)
    return torch.stack(terms)


@dataclass(frozen=True)
class Path(Fields):
    """A common source's two ways: `to_i` and `to_j` are nodes from the source (first) to i and to j (last);
    `contribution` to C_ij, in the unit of the spectrum."""

    to_i: tuple[int, ...]
    to_j: tuple[int, ...]
    contribution: complex

    @property
    def order(self) -> int:
        """m + n, the edges of both ways."""
        return len(self.to_i) + len(self.to_j) - 2

    def __str__(self) -> str:
        one, other = (" → ".join(map(str, way)) for way in (self.to_i, self.to_j))
        return f"{one}  &  {other}: {self.contribution.real:.4g}"


def strongest_paths(K: Tensor, spectrum: Tensor, i: int, j: int, *, order: int = 4, count: int = 10) -> list[Path]:
    """The `count` pairs of paths of at most `order` edges together that contribute most to C_ij, by magnitude.

    K (N, N), spectrum (N,). Exact: the strongest paths of length m + 1 from a node begin with an edge and go on with
    one of the strongest of length m. Raises ValueError for nodes that there are not.
    """
    size = len(K)
    if not (0 <= i < size and 0 <= j < size):
        raise ValueError(f"i = {i}, j = {j}; expected nodes from 0 to {size - 1}")
    ways_i, ways_j = _ways(K.detach(), i, order, count), _ways(K.detach(), j, order, count)
    S = spectrum.detach().tolist()
    strongest: list[Path] = []
    for m in range(order + 1):
        for n in range(order + 1 - m):
            for source in ways_i[m].keys() & ways_j[n].keys():
                for a, first in ways_i[m][source]:
                    for b, second in ways_j[n][source]:
                        strongest.append(Path(first, second, complex(a * S[source] * complex(b).conjugate())))
        strongest = sorted(strongest, key=lambda p: -abs(p.contribution))[:count]
    return strongest


Ways = dict[int, list[tuple[complex, tuple[int, ...]]]]


def _ways(K: Tensor, end: int, order: int, count: int) -> list[Ways]:
    """For each length the strongest paths to `end` from every node that has one: (product of K, nodes)."""
    levels: list[Ways] = [{end: [(1.0 + 0j, (end,))]}]
    rows = [torch.nonzero(row)[:, 0].tolist() for row in K]
    values = K.tolist()
    for _ in range(order):
        longer: Ways = {}
        for through, paths in levels[-1].items():
            for source in rows[through]:
                edge = values[through][source]
                longer.setdefault(source, []).extend((edge * x, (source, *way)) for x, way in paths)
        levels.append({k: sorted(v, key=lambda w: -abs(w[0]))[:count] for k, v in longer.items()})
    return levels
