"""Distances that follow density, and points chosen by it (McInnes, Healy & Melville 2018; Gardner et al. 2022)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count
from ranvier.analysis.manifolds.components import table

Array = NDArray[np.float64]
Metric = Literal["euclidean", "cosine"]


def distances(points: ArrayLike, *, metric: Metric = "euclidean") -> Array:
    """Distances of rows (n, k) to one another, (n, n); "cosine": 1 − the cosine of the angle between them.

    Raises ValueError for a row of length zero under "cosine", which has no angle.

    Examples
    --------
    >>> from ranvier.analysis import manifolds
    >>> manifolds.distances([[0.0, 0.0], [3.0, 4.0]]).tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    from scipy.spatial.distance import cdist

    x = _directed(points, metric)
    if metric == "euclidean":
        return cdist(x, x)
    angle = np.clip(1.0 - x @ x.T, 0.0, 2.0)
    np.fill_diagonal(angle, 0.0)
    return (angle + angle.T) / 2


def fuzzy_distances(points: ArrayLike, *, neighbours: int = 50, metric: Metric = "cosine") -> Array:
    """−log of how surely two rows of (n, k) are neighbours, (n, n): 0 for nearest ones, larger where points are denser.

    The membership of j among the neighbours of i is exp(−(d_ij − ρ_i)/σ_i), with ρ_i the distance to the nearest and
    σ_i such that those of `neighbours` points add up to log₂ of their number; that of a pair is a + b − a b of the two.

    >>> d = rv.analysis.manifolds.fuzzy_distances([[0.0], [1.0], [2.0], [9.0]], neighbours=2, metric="euclidean")
    >>> bool(d[0, 1] == 0), bool(d[0, 3] > 1), np.array_equal(d, d.T)  # a nearest neighbour; a far one
    (True, True, True)
    """
    d = distances(points, metric=metric)
    _require_different(d)
    k = min(count(neighbours, "neighbours", 2), len(d) - 1)
    order = np.sort(d, 1)[:, 1 : k + 1]
    rho, sigma = _scales(order)
    # in logarithms: memberships of far pairs are below the smallest number
    log_a = -np.maximum(d - rho[:, None], 0.0) / sigma[:, None]
    high, low = np.maximum(log_a, log_a.T), np.minimum(log_a, log_a.T)
    pair = -(high + np.log1p(np.exp(low - high) - np.exp(low)))
    np.fill_diagonal(pair, 0.0)
    return np.maximum(pair, 0.0)


def downsample(points: ArrayLike, size: int, *, neighbours: int = 10, metric: Metric = "cosine") -> NDArray[np.int64]:
    """Indices of `size` rows of (n, k) that represent all: each in turn is the one with the largest membership among
    the neighbours of points that none chosen so far represents. Outliers, neighbours of no point, come last.

    >>> rng = np.random.default_rng(0)
    >>> points = np.concatenate([rng.normal(0.0, 0.1, (50, 2)), rng.normal(9.0, 0.1, (50, 2))])
    >>> kept = rv.analysis.manifolds.downsample(points, 4, metric="euclidean")
    >>> len(kept), bool((kept < 50).any() and (kept >= 50).any())  # both clusters are represented
    (4, True)
    """
    from scipy.spatial import cKDTree

    x = _directed(points, metric)
    count(size, "size", 1)
    if size >= len(x):
        return np.arange(len(x))
    if (x == x[0]).all():
        return np.arange(size)
    k = min(neighbours, len(x) - 1)
    d, place = cKDTree(x).query(x, k + 1)
    d, place = d[:, 1:], place[:, 1:]
    if metric == "cosine":
        d = d**2 / 2  # of unit vectors
    rho, sigma = _scales(d)
    weight = np.exp(-np.maximum(d - rho[:, None], 0.0) / sigma[:, None])
    total = np.bincount(place.ravel(), weight.ravel(), len(x))
    chosen = np.empty(size, np.int64)
    for turn in range(size):
        chosen[turn] = best = int(total.argmax())
        total[best] = -np.inf
        total[place[best]] -= weight[best]
    return chosen


def farthest(points: ArrayLike, size: int, *, metric: Metric = "euclidean", first: int = 0) -> NDArray[np.int64]:
    """Indices of `size` rows of (n, k), each the farthest from those before: even, but outliers come first.

    Examples
    --------
    >>> from ranvier.analysis import manifolds
    >>> manifolds.farthest([[0.0], [1.0], [5.0]], 2).tolist()
    [0, 2]
    """
    x = _directed(points, metric)
    size = min(count(size, "size", 1), len(x))
    chosen = np.empty(size, np.int64)
    chosen[0] = first
    gap = ((x - x[first]) ** 2).sum(1)
    for turn in range(1, size):
        chosen[turn] = best = int(gap.argmax())
        gap = np.minimum(gap, ((x - x[best]) ** 2).sum(1))
    return chosen


def _scales(order: Array) -> tuple[Array, Array]:
    """ρ (n,) and σ (n,) of sorted distances (n, k) to the k nearest, σ by bisection."""
    k = order.shape[1]
    rho = order[:, 0]
    away, target = order - rho[:, None], np.log2(k)
    mean = order.mean(1)
    low, high = np.full(len(order), 1e-3) * mean + 1e-300, np.maximum(away.max(1), mean) * k + 1e-300
    for _ in range(60):
        middle = np.sqrt(low * high)
        much = np.exp(-away / middle[:, None]).sum(1) > target
        low, high = np.where(much, low, middle), np.where(much, middle, high)
    return rho, np.sqrt(low * high)


def _require_different(distances: Array) -> None:
    if len(distances) < 2 or not distances.any():
        raise ValueError(f"the {len(distances)} points lie at one place; expected at least two different ones")


def _directed(points: Any, metric: str) -> Array:
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"metric is {metric!r}; expected 'euclidean' or 'cosine'")
    x = table(points, "points")
    if metric == "cosine":
        length = np.linalg.norm(x, axis=1, keepdims=True)
        if (length == 0).any():
            raise ValueError(f"row {int(np.argmin(length))} of points is zero; expected a direction: leave it out, or "
                             "take metric='euclidean'")  # fmt: skip
        x = x / length
    return x


__all__ = ["distances", "downsample", "farthest", "fuzzy_distances"]
