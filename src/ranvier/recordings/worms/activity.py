"""Recordings of the nematode made alike: canonical neurons, one clock, causal scores (Simeon et al. 2024)."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import positive
from ranvier.recordings.neurons import Neurons
from ranvier.recordings.preparation import causal_zscore, resample, smooth
from ranvier.recordings.session import Session
from ranvier.recordings.signals import Signal
from ranvier.recordings.worms.names import canonical_label, canonical_names

DT = 1000.0 / 3.0  # ms


def homogenise(
    session: Session, *, dt: float = DT, window: float = 5000.0, least_confidence: float = 0.0, normalise: bool = True,
) -> Session:  # fmt: skip
    """A worm's calcium as activity of all 302 neurons: NaN where one was not recorded, not identified, or is suspect.

    In this order: labels, as of `identified`; traces that `suspect` finds are left out; resampling to `dt` ms; the
    mean over the last `window` ms; each value's score among those before it (`normalise`). No sample depends on later
    ones than the next before resampling. Behaviour is resampled to the same times. `notes` say what was left out.

    >>> signal = rv.recordings.Signal(np.arange(0.0, 10_000.0, 500.0), np.random.default_rng(0).normal(size=(20, 1)))
    >>> session = rv.recordings.Session(neurons=rv.recordings.Neurons(("AVAL",)), activity=signal)
    >>> worm = rv.recordings.homogenise(session, normalise=False)
    >>> known = np.isfinite(worm.activity.read()).any(0)
    >>> len(known), [rv.recordings.canonical_names()[k] for k in np.flatnonzero(known)]
    (302, ['AVAL'])
    """
    positive(dt, "dt", "ms"), positive(window, "window", "ms")
    signal = session.activity
    if signal is None:
        raise ValueError("the session holds spikes; expected continuous activity")
    names = canonical_names()
    places, notes = identified(session.neurons, least_confidence=least_confidence)
    traces = signal.read()
    bad = suspect(traces)
    lost = [names[place] for place, column in places.items() if bad[column]]
    columns = {place: column for place, column in places.items() if not bad[column]}
    if lost:
        notes.append(f"{len(lost)} traces are interpolated or missing over long stretches, left out: {', '.join(lost)}")
    part = Signal(signal.times, traces[:, list(columns.values())])
    even = resample(part, dt)
    soft = smooth(even.read(), even.times, window)
    table = np.full((len(even), len(names)), np.nan)
    table[:, list(columns)] = causal_zscore(soft) if normalise else soft
    behaviour = {
        key: Signal(even.times, value.at(even.times, method="previous"), value.unit, value.period)
        for key, value in session.behaviour.items()
    }
    confidence = np.full(len(names), np.nan)
    chosen = list(columns)
    known = session.neurons.confidence
    if known is not None:
        confidence[chosen] = known[list(columns.values())]
    return Session(activity=Signal(even.times, table), neurons=Neurons(names, confidence), behaviour=behaviour,
                   name=session.name, notes=(*session.notes, *notes))  # fmt: skip


def identified(neurons: Neurons, *, least_confidence: float = 0.0) -> tuple[dict[int, int], list[str]]:
    """Canonical place -> recorded column, and what was left out: labels in doubt ("?"), of no canonical neuron, of less
    than the least confidence, and the less certain of two with one label (both where they are equally so).

    >>> places, left = rv.recordings.identified(rv.recordings.Neurons(("AVAL", "nobody", "")))
    >>> [rv.recordings.canonical_names()[place] for place in places], list(places.values())
    (['AVAL'], [0])
    """
    names = {name: k for k, name in enumerate(canonical_names())}
    said = neurons.confidence
    confidence = np.zeros(len(neurons)) if said is None else np.nan_to_num(said, nan=0.0)
    left: Counter[str] = Counter()
    candidates: dict[int, list[int]] = {}
    for column, label in enumerate(map(canonical_label, neurons.names)):
        if not label:
            left["without a label"] += 1
        elif label not in names:
            left["in doubt" if "?" in label else "not canonical"] += 1
        elif confidence[column] < least_confidence:
            left["of too little confidence"] += 1
        else:
            candidates.setdefault(names[label], []).append(column)
    places: dict[int, int] = {}
    for place, columns in candidates.items():
        best = max(columns, key=lambda c: confidence[c])
        if sum(confidence[c] == confidence[best] for c in columns) == 1:
            places[place] = best
        left["of a label given twice"] += len(columns) - (place in places)
    return places, [f"{number} traces {reason}" for reason, number in left.items() if number]


def suspect(traces: ArrayLike, *, share: float = 0.05) -> NDArray[np.bool_]:
    """Which columns of (T, N) are missing, or exactly linear, over a stretch of more than `share` of T: interpolated
    over what was not measured, or stuck.

    >>> moving, stuck = np.random.default_rng(0).normal(size=(2, 100))
    >>> stuck[20:40] = stuck[20]
    >>> rv.recordings.suspect(np.column_stack([moving, stuck])).tolist()
    [False, True]
    """
    x = np.asarray(traces, np.float64)
    finite = np.isfinite(x)
    scale = np.where(finite, np.abs(x), 0.0).max(0)
    bend = np.abs(np.diff(x, 2, axis=0))
    straight = bend <= 1e-5 * np.maximum(scale, 1e-300)
    longest = np.maximum(_longest(~finite), _longest(straight) + 2 * (_longest(straight) > 0))
    return longest > share * len(x)


def _longest(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Length of the longest run of True in each column."""
    run, best = np.zeros(flags.shape[1], np.int64), np.zeros(flags.shape[1], np.int64)
    for row in flags:
        run = (run + 1) * row
        best = np.maximum(best, run)
    return best


__all__ = ["DT", "homogenise", "identified", "suspect"]
