"""What the page about a recording measures: binned activity, its dimension and topology, what can be decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis import manifolds
from ranvier.analysis.decoding import Score, circular_error, explained_variance, permutation_score, ridge
from ranvier.recordings import Normaliser, Session, blocked

Array = NDArray[np.float64]
BINS, SHIFTS, POINTS = 3000, 20, 250


@dataclass(frozen=True, eq=False)
class BinnedActivity:
    """Activity (bins, n) of neurons measured in nine bins of ten or more; of counts the square root; holes are filled
    with means. times: the bins' centres, ms. places: the neurons."""

    x: Array
    times: Array
    width: float
    places: NDArray[np.int64]


def binned_activity(session: Session) -> BinnedActivity:
    """In at most some 3000 bins of 100 ms or more. Raises ValueError for a session that is too short, or silent."""
    step = session.dt
    if not step > 0:  # of fewer than two samples
        raise ValueError("the session has fewer than two samples; expected at least 20 bins")
    width = max(100.0 if session.kind == "spikes" else step, session.duration / BINS)
    width = max(1, round(width / step)) * step
    if session.duration < 20 * width:
        raise ValueError(f"the session lasts {session.duration:g} ms; expected at least 20 bins of {width:g} ms")
    signal = session.binned(width)
    x = signal.read()
    x = np.sqrt(x) if session.kind == "spikes" else x
    share = np.isfinite(x).mean(0)
    spread = np.array([np.nanstd(c) if np.isfinite(c).any() else 0.0 for c in x.T])
    places = np.flatnonzero((share >= 0.9) & (spread > 0))
    if len(places) < 2:
        raise ValueError(f"{len(places)} neurons change and were measured in nine bins of ten; expected at least 2")
    x = x[:, places]
    return BinnedActivity(np.where(np.isfinite(x), x, np.nanmean(x, 0)), signal.times, width, places)


def spectrum_of(activity: BinnedActivity) -> tuple[Array, Array, float, manifolds.Components, Array]:
    """Shares of variance, those with every neuron rotated by its own random time, participation ratio, the first
    three components and the coordinates along them."""
    z = Normaliser.fit(activity.x)(activity.x)
    k = min(30, z.shape[1], len(z) - 1)
    rng = np.random.default_rng(0)
    turned = np.column_stack([np.roll(c, rng.integers(1, len(c))) for c in z.T])
    real, chance = (manifolds.principal_components(a, k).explained for a in (z, turned))
    components = manifolds.principal_components(z, min(3, k))
    return real, chance, manifolds.participation_ratio(z), components, components.project(z)


def loops_of(activity: BinnedActivity) -> tuple[tuple[int, ...], Array, Array] | None:
    """Betti numbers (pieces, loops) against three shuffled recordings, longest lifetimes of loops, thresholds; None
    without ripser, or of fewer than four neurons."""
    import importlib.util

    if importlib.util.find_spec("ripser") is None or activity.x.shape[1] < 4 or len(activity.x) < 100:
        return None

    def analyse(x: Array) -> manifolds.Persistence:
        from scipy.ndimage import gaussian_filter1d

        z = Normaliser.fit(x)(gaussian_filter1d(x, 1.5, axis=0))
        place = manifolds.principal_components(z, min(6, z.shape[1])).project(z)
        place = place[np.linalg.norm(place, axis=1) > 1e-9]
        chosen = manifolds.downsample(place, POINTS, neighbours=20)
        return manifolds.persistence(manifolds.fuzzy_distances(place[chosen], neighbours=min(50, len(chosen) - 1)))

    limits = 1.3 * manifolds.shuffle_threshold(activity.x, analyse, shuffles=3)
    limits[0] = limits[1]
    result = analyse(activity.x)
    pieces, rings = result.betti(limits, gap=True)
    return (max(pieces, 1), rings), result.lifetimes(1)[:5], limits


@dataclass(frozen=True)
class Decoded:
    """How well a behaviour is read from activity: R², or the median angle in degrees of a circular one."""

    name: str
    circular: bool
    score: Score


def decode(session: Session, activity: BinnedActivity, limit: int = 8) -> list[Decoded]:
    """Each behaviour by ridge regression, five consecutive blocks held out in turn with gaps of ten bins; chance by
    behaviour turned round in time."""
    results = []
    for name in list(session.behaviour)[:limit]:
        signal = session.behaviour[name]
        values = signal.at(activity.times, longest=max(3 * activity.width, 3 * signal.dt))
        values = values if values.ndim == 1 else values[:, 0]
        known = np.isfinite(values)
        if known.sum() < 100 or np.std(values[known]) == 0:
            continue
        period = signal.period
        y = np.column_stack([f(2 * np.pi * values / period) for f in (np.cos, np.sin)]) if period else values[:, None]
        x, t, y = activity.x[known], activity.times[known], y[known]

        def score(target: Any, x: Array = x, t: Array = t, circular: bool = period is not None) -> float:
            predicted = np.full(target.shape, np.nan)
            end = float(t[-1]) + 1e-6
            for split in blocked(float(t[0]), end, parts=5, gap=min(10 * activity.width, (end - t[0]) / 20)):
                train, test = split.in_train(t), split.in_test(t)
                normalise = Normaliser.fit(x[train])
                predicted[test] = ridge(normalise(x[train]), target[train], penalty=0.1 * train.sum())(
                    normalise(x[test])
                )
            if not circular:
                return explained_variance(predicted, target)
            return float(np.degrees(circular_error(np.arctan2(predicted[:, 1], predicted[:, 0]),
                                                   np.arctan2(target[:, 1], target[:, 0]))))  # fmt: skip

        results.append(Decoded(name, period is not None, permutation_score(
            score, y, permutations=SHIFTS, shift=True, greater=period is None)))  # fmt: skip
    return results


def strongest_pairs(session: Session, activity: BinnedActivity, most: int = 15) -> list[tuple[str, str, float]]:
    """The pairs with the largest |correlation| over the bins, and what it is."""
    r: Any = np.corrcoef(activity.x.T)
    i, j = np.triu_indices(len(r), 1)
    order = np.argsort(-np.abs(r[i, j]), kind="stable")[:most]
    label = [name or f"neuron {k}" for k, name in enumerate(session.neurons.names)]
    return [(label[activity.places[i[k]]], label[activity.places[j[k]]], float(r[i[k], j[k]])) for k in order]


__all__ = [
    "BinnedActivity", "Decoded", "binned_activity", "decode", "loops_of", "spectrum_of", "strongest_pairs",
]  # fmt: skip
