"""`VesselGraph`: bifurcations as nodes in space, vessels as edges; and graphs drawn with a brain's statistics."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count

Array = NDArray[np.float64]
CUTS = (5.0, 13.33)  # radii, in voxels, that part capillaries, small and large vessels (Paetzold et al. 2021)


@dataclass(frozen=True, eq=False)
class VesselGraph:
    """n places (n, 3) and m vessels: ends (m, 2), first the lower index, each pair once; radius and length (m,).

    columns: further values of vessels, name -> (m,). Raises ValueError for indices out of range, a vessel from a place
    to itself, positions that are not finite, and columns of another length. Of vessels between the same places the
    first stays.

    >>> graph = rv.recordings.vessels.VesselGraph.build([[0, 0, 0], [3, 4, 0], [3, 4, 1]], [[0, 1], [1, 2]])
    >>> graph.degree.tolist(), graph.length.tolist()
    ([1, 2, 1], [5.0, 1.0])
    """

    positions: Array
    ends: NDArray[np.int64]
    radius: Array
    length: Array
    columns: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def build(
        cls, positions: ArrayLike, ends: ArrayLike, radius: ArrayLike | None = None, length: ArrayLike | None = None,
        **columns: ArrayLike,
    ) -> VesselGraph:  # fmt: skip
        """A graph from vessels in any order and direction; length: None takes the straight one, radius: None NaN."""
        place = np.asarray(positions, np.float64)
        if place.ndim != 2 or place.shape[1] not in (2, 3) or not np.isfinite(place).all():
            raise ValueError(f"positions has shape {place.shape}; expected finite (n, 3)")
        pairs = np.asarray(ends)
        if pairs.size and pairs.dtype.kind not in "iu":
            raise TypeError(f"ends is {pairs.dtype}; expected indices of places, whole numbers")
        pairs = np.sort(pairs.reshape(-1, 2).astype(np.int64), 1)
        if pairs.size and not (pairs.min() >= 0 and pairs.max() < len(place)):
            raise ValueError(f"ends reach from {pairs.min()} to {pairs.max()}; expected indices from 0 to "
                             f"{len(place) - 1}")  # fmt: skip
        if (pairs[:, 0] == pairs[:, 1]).any():
            bad = int(np.argmax(pairs[:, 0] == pairs[:, 1]))
            raise ValueError(f"vessel {bad} joins place {pairs[bad, 0]} to itself; expected two: leave it out")
        straight = np.linalg.norm(place[pairs[:, 0]] - place[pairs[:, 1]], axis=1)
        values = {
            "radius": np.full(len(pairs), np.nan) if radius is None else np.asarray(radius, np.float64),
            "length": straight if length is None else np.asarray(length, np.float64),
            **{name: np.asarray(column, np.float64) for name, column in columns.items()},
        }
        for name, column in values.items():
            if column.shape != (len(pairs),):
                raise ValueError(f"{name} has shape {column.shape}; expected one for each of {len(pairs)} vessels")
        _, first = np.unique(pairs[:, 0] * max(1, len(place)) + pairs[:, 1], return_index=True)
        values = {name: column[first] for name, column in values.items()}
        return cls(place, pairs[first], values.pop("radius"), values.pop("length"), values)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def degree(self) -> NDArray[np.int64]:
        """Vessels at each place, (n,)."""
        return np.bincount(self.ends.ravel(), minlength=len(self))

    def adjacency(self) -> Any:
        """Sparse matrix (n, n) of ones."""
        from scipy.sparse import coo_array

        i, j = self.ends.T
        one = np.ones(2 * len(i))
        return coo_array((one, (np.r_[i, j], np.r_[j, i])), shape=(len(self), len(self))).tocsr()

    def classes(self, cuts: tuple[float, ...] = CUTS) -> NDArray[np.int64]:
        """The class of each vessel by its radius, (m,): 0 up to the first cut, and so on."""
        return np.searchsorted(np.asarray(cuts), self.radius, side="left").astype(np.int64)

    def line_graph(self) -> VesselGraph:
        """Vessels as places, at their middles; two are joined where they meet. Radii are NaN, lengths straight."""
        order = np.argsort(self.ends.ravel(), kind="stable")
        owner = order // 2
        edges = np.cumsum(np.r_[0, self.degree])
        pairs = [np.stack(np.triu_indices(n, 1), 1) for n in range(int(self.degree.max(initial=0)) + 1)]
        joined = [owner[a + pairs[b - a]] for a, b in pairwise(edges) if b - a > 1]
        ends = np.concatenate(joined) if joined else np.empty((0, 2), np.int64)
        return VesselGraph.build(self.positions[self.ends].mean(1), ends)


def draw_vessels(places: int, *, degree: float = 3.02, jitter: float = 0.5, seed: int = 0) -> VesselGraph:
    """A spatial graph with the statistics of a brain's (ogbl-vessel): mean degree 3.02, four places of five with three
    vessels at most, the others with four, and vessels between near places, in a cube in which a place has a volume of
    1000.

    Of each place's nearest ten, pairs are joined in order of distance times exp(jitter · normal), until enough are, or
    none is left. Radii are lognormal about a field that varies over a tenth of the cube; longer vessels are wider, and
    thin ones wind more.

    >>> graph = rv.recordings.vessels.draw_vessels(500)
    >>> bool(abs(graph.degree.mean() - 3.02) < 0.1)
    True
    """
    from scipy.spatial import cKDTree

    count(places, "places", 5)
    rng = np.random.default_rng(seed)
    width = 10.0 * places ** (1 / 3)
    x = rng.uniform(0, width, (places, 3))
    near = min(10, places - 1)
    other = cKDTree(x).query(x, near + 1)[1]
    i, j = np.repeat(np.arange(places), near), other[:, 1:].ravel()
    keep = i < j
    extra = ~keep
    pairs = np.unique(np.sort(np.concatenate([np.stack([i, j], 1)[keep], np.stack([j, i], 1)[extra]]), 1), axis=0)
    distance = np.linalg.norm(x[pairs[:, 0]] - x[pairs[:, 1]], axis=1)
    order = np.argsort(distance * np.exp(jitter * rng.standard_normal(len(pairs))))
    limit = np.where(rng.random(places) < 0.8, 3, 4)
    chosen = _at_most(pairs[order], limit, round(degree * places / 2))
    ends = pairs[order][chosen]
    straight = distance[order][chosen]
    waves = rng.standard_normal((8, 3)) * 2 * np.pi / width * 3
    level = 2 * np.sin(x[ends].mean(1) @ waves.T + rng.uniform(0, 2 * np.pi, 8)).mean(1)
    length = straight * (1 + 0.15 * np.exp(0.8 * rng.standard_normal(len(ends)) - 1.5 * level))
    radius = np.exp(1.6 + level + 0.4 * np.log(straight / straight.mean()) + 0.2 * rng.standard_normal(len(ends)))
    return VesselGraph.build(x, ends, radius, length)


def _at_most(pairs: NDArray[np.int64], limit: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """The first `number` pairs that leave no place with more vessels than its limit (n,)."""
    free = limit.tolist()
    chosen = []
    for k, (a, b) in enumerate(pairs.tolist()):
        if free[a] and free[b]:
            free[a] -= 1
            free[b] -= 1
            chosen.append(k)
            if len(chosen) == number:
                break
    return np.array(chosen, np.int64)


__all__ = ["CUTS", "VesselGraph", "draw_vessels"]
