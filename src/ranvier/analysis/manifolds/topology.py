"""Persistent homology of point clouds, with shuffles; and the angles that its loops measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count, positive, reals
from ranvier.analysis.manifolds.components import table

Array = NDArray[np.float64]
PRIME = 47  # of the coefficients: a large one tells apart what 2 cannot, and lifts to whole numbers


@dataclass(frozen=True, eq=False)
class Persistence:
    """Births and deaths (n, 2) of the features of each dimension, 0 (pieces), 1 (loops), 2 (voids) ...

    distances: (n, n), what it was computed from. limit: the largest distance that was looked at, at which whatever
    still lives is taken to die. cocycles: of dimension 1, one an entry of `diagrams[1]`: rows of point, point,
    coefficient.
    Returned by `persistence`.
    """

    diagrams: tuple[Array, ...]
    distances: Array
    limit: float
    cocycles: tuple[NDArray[np.int64], ...] = ()

    def lifetimes(self, dimension: int) -> Array:
        """Death less birth, longest first."""
        births, deaths = self.diagrams[dimension].T
        return np.sort(np.minimum(deaths, self.limit) - births)[::-1]

    def betti(self, threshold: ArrayLike, *, gap: bool = False) -> tuple[int, ...]:
        """How many features of each dimension live longer than `threshold`, one for all, or one a dimension.

        gap: of these only those before the largest ratio of one lifetime to the next, as of few points some loops
        between them outlive the longest of shuffled recordings.
        """
        limits = np.broadcast_to(reals(threshold, "threshold"), (len(self.diagrams),))
        numbers = []
        for dimension, limit in enumerate(limits):
            lives = self.lifetimes(dimension)
            number = int((lives > limit).sum())
            if gap and number:
                following = np.append(lives, 0.0)[1 : number + 1]
                number = int(np.argmax(lives[:number] / np.maximum(following, 1e-3 * lives[0]))) + 1
            numbers.append(number)
        return tuple(numbers)


def persistence(
    distances: ArrayLike, *, dimensions: int = 1, coefficient: int = PRIME, limit: float | None = None
) -> Persistence:
    """Persistent homology of the Vietoris–Rips complex of distances (n, n), up to `dimensions`, by ripser (Bauer 2021).

    limit: largest distance to look at; None: the radius from which on everything is one cone, the least of the rows'
    largest. A smaller one, such as the tenth part's quantile, saves most of the time in dimension 2.

    Raises ValueError for a matrix that is not square, symmetric and free of NaN, ImportError without ripser.

    >>> theta = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    >>> points = np.column_stack([np.cos(theta), np.sin(theta)])
    >>> result = rv.analysis.manifolds.persistence(np.linalg.norm(points[:, None] - points, axis=2))
    >>> result.betti(0.5)  # a circle: one piece, one loop
    (1, 1)
    """
    d = np.array(reals(distances, "distances"))
    if d.ndim != 2 or d.shape[0] != d.shape[1] or len(d) < 2:
        raise ValueError(f"distances have shape {d.shape}; expected (n, n), of at least two points")
    if np.isnan(d).any() or (d < 0).any() or not np.array_equal(d, d.T):
        raise ValueError("distances hold NaN or negative values, or differ from their transpose; expected symmetric "
                         "ones")  # fmt: skip
    cone = float(d.max(1).min())
    limit = cone if limit is None else min(positive(limit, "limit"), cone)
    result = _ripser()(
        d.astype(np.float32), maxdim=count(dimensions, "dimensions"), coeff=coefficient, distance_matrix=True,
        do_cocycles=dimensions >= 1, thresh=limit if np.isfinite(limit) else np.inf,
    )  # fmt: skip
    cocycles = tuple(np.asarray(c, np.int64) for c in result["cocycles"][1]) if dimensions >= 1 else ()
    return Persistence(tuple(reals(x, "x").reshape(-1, 2) for x in result["dgms"]), d, limit, cocycles)


def shuffle_threshold(
    activity: ArrayLike,
    analyse: Callable[[Array], Persistence],
    *,
    shuffles: int = 20,
    seed: int = 0,
) -> Array:
    """The longest lifetime of each dimension among shuffled recordings, (dimensions + 1,).

    Each shuffle turns the activity (T, N) of every neuron by its own random time: it keeps each neuron's rate and
    autocorrelation, and takes what they do together. `analyse` is the whole way from activity to `Persistence`.

    >>> theta = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    >>> activity = 1 + np.cos(theta[:, None] - np.array([0.0, 2.1, 4.2]))
    >>> def loops(x):
    ...     return rv.analysis.manifolds.persistence(rv.analysis.manifolds.distances(x, metric="euclidean"))
    >>> limit = rv.analysis.manifolds.shuffle_threshold(activity, loops, shuffles=2)
    >>> len(limit)  # of pieces and of loops
    2
    """
    x = table(activity, "activity")
    rng = np.random.default_rng(seed)
    longest: list[list[float]] = []
    for _ in range(count(shuffles, "shuffles", 1)):
        turned = np.column_stack([np.roll(column, rng.integers(1, len(x))) for column in x.T])
        result = analyse(turned)
        # of pieces, the one that all end up in is none
        lives = [result.lifetimes(d)[d == 0 :] for d in range(len(result.diagrams))]
        longest.append([float(each.max(initial=0.0)) for each in lives])
    return np.max(longest, 0)


def circular_coordinates(result: Persistence, *, which: int = 0, share: float = 0.99) -> Array:
    """The angle of every point along the `which`-th longest loop, (n,) in [0, 2π).

    The loop's cocycle at birth + share · lifetime, lifted to whole numbers, is made smooth by least squares (de Silva,
    Morozov & Vejdemo-Johansson 2011). Origin and direction are arbitrary. Raises ValueError without such a loop, and
    where the cocycle does not lift.

    >>> theta = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    >>> points = np.column_stack([np.cos(theta), np.sin(theta)])
    >>> loop = rv.analysis.manifolds.persistence(np.linalg.norm(points[:, None] - points, axis=2))
    >>> _, error = rv.analysis.manifolds.align_angles(rv.analysis.manifolds.circular_coordinates(loop), theta)
    >>> error < 0.05
    True
    """
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import lsqr

    if len(result.diagrams) < 2 or not 0 <= which < len(result.diagrams[1]):
        loops = len(result.diagrams[1]) if len(result.diagrams) > 1 else 0
        raise ValueError(f"which is {which}; expected one of {loops} loops, counted from 0")
    births, deaths = result.diagrams[1].T
    limit = result.limit
    chosen = np.argsort(births - np.minimum(deaths, limit), kind="stable")[which]
    radius = births[chosen] + share * (min(deaths[chosen], limit) - births[chosen])
    n = len(result.distances)
    values = np.zeros((n, n))
    cocycle = result.cocycles[chosen]
    lifted = cocycle[:, 2] - PRIME * (cocycle[:, 2] > PRIME // 2)
    values[cocycle[:, 0], cocycle[:, 1]] = lifted
    values -= values.T
    i, j = np.nonzero(np.triu(result.distances <= radius, 1))
    rows, one = np.arange(len(i)), np.ones(len(i))
    gradient: Any = coo_array((np.r_[one, -one], (np.r_[rows, rows], np.r_[i, j])), shape=(len(i), n)).tocsr()
    smooth = lsqr(gradient, values[i, j], atol=1e-10, btol=1e-10)[0]
    return 2 * np.pi * (smooth % 1.0)


def extend_angles(
    angles: ArrayLike, landmarks: ArrayLike, points: ArrayLike, *, neighbours: int = 10
) -> Array:
    """Angles (m,) of further points (m, k) from those (n,) of landmarks (n, k): the mean direction of the nearest,
    weighted by exp(−(d − nearest)/mean).

    >>> theta = np.array([0.0, 1.5, 3.0])
    >>> landmarks = np.column_stack([np.cos(theta), np.sin(theta)])
    >>> rv.analysis.manifolds.extend_angles(theta, landmarks, [[0.0, 1.0]], neighbours=1).tolist()  # of the nearest
    [1.5]
    """
    from scipy.spatial import cKDTree

    known, x = table(landmarks, "landmarks"), table(points, "points")
    theta = reals(angles, "angles")
    if theta.shape != (len(known),):
        raise ValueError(f"angles has shape {theta.shape}; expected one for each of {len(known)} landmarks")
    d, place = cKDTree(known).query(x, min(neighbours, len(known)))
    d, place = d.reshape(len(x), -1), place.reshape(len(x), -1)
    weight = np.exp(-(d - d[:, :1]) / np.maximum((d - d[:, :1]).mean(1, keepdims=True), 1e-12))
    return np.angle((weight * np.exp(1j * theta[place])).sum(1)) % (2 * np.pi)


def align_angles(angles: ArrayLike, reference: ArrayLike) -> tuple[Array, float]:
    """Angles turned, and mirrored where that helps, to agree best with a reference (n,); and the mean |error| in
    radians that remains (π/2 for angles that have nothing to do with it).

    >>> theta = np.array([0.5, 1.0, 3.0, 5.0])
    >>> turned, error = rv.analysis.manifolds.align_angles(2.0 - theta, theta)  # mirrored and turned by 2
    >>> turned.round(6).tolist(), round(error, 6)
    ([0.5, 1.0, 3.0, 5.0], 0.0)
    """
    a, b = reals(angles, "angles"), reals(reference, "reference")
    if a.shape != b.shape or a.ndim != 1 or not len(a) or not (np.isfinite(a) & np.isfinite(b)).all():
        raise ValueError(f"angles has shape {a.shape}, reference {b.shape}; expected finite ones, (n,) both with n > 0")
    best, least = a, np.inf
    for sign in (1.0, -1.0):
        turned = (sign * a + np.angle(np.exp(1j * (b - sign * a)).mean())) % (2 * np.pi)
        error = float(np.abs(np.angle(np.exp(1j * (turned - b)))).mean())
        if error < least:
            best, least = turned, error
    return best, least


def _ripser() -> Any:
    try:
        return import_module("ripser").ripser
    except ImportError as error:
        raise ImportError(
            'ripser is not installed; expected it for persistent homology: pip install "ranvier[topology]"'
        ) from error


__all__ = [
    "Persistence", "align_angles", "circular_coordinates", "extend_angles", "persistence", "shuffle_threshold",
]  # fmt: skip
