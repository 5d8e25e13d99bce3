"""Smoothing, normalisation and resampling that know nothing of the future, nor of the other side of a border."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count, positive
from ranvier._results import Fields
from ranvier.recordings.signals import SAME, Signal, require_increasing


@dataclass(frozen=True, eq=False)
class Normaliser(Fields):
    """x → (x − mean)/deviation, with the moments of the training part; a constant column becomes 0.

    >>> normalise = rv.recordings.Normaliser.fit([[0.0, 5.0], [2.0, 5.0]])
    >>> normalise([[3.0, 7.0]]).tolist()  # mean 1, deviation 1; the second column was constant
    [[2.0, 0.0]]
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def fit(cls, train: ArrayLike) -> Normaliser:
        """Moments (K,) of the finite entries of rows (T, K) to learn from. ValueError for a column without any."""
        x = np.asarray(train, np.float64)
        if x.ndim != 2:
            raise ValueError(f"train has shape {x.shape}; expected rows (T, K)")
        number = np.isfinite(x).sum(0)
        if (number == 0).any():
            raise ValueError(f"column {int(np.argmin(number))} of train holds no finite value; expected some: leave it "
                             "out")  # fmt: skip
        x = np.where(np.isfinite(x), x, np.nan)
        return cls(np.nanmean(x, 0), np.nanstd(x, 0))

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Rows (T, K), normalised; NaN stay NaN."""
        scale = np.where(self.deviation > 1e-12 * (np.abs(self.mean) + 1e-300), self.deviation, np.inf)
        return (np.asarray(values, np.float64) - self.mean) / scale


def causal_zscore(values: ArrayLike, *, least: int = 30) -> NDArray[np.float64]:
    """Each value normalised by the mean and deviation of those up to and with it, (T,) or (T, K); NaN for the first
    `least` − 1 measured ones, and where nothing was measured.

    A z-score of the whole recording puts its end into its beginning; this one can run while the recording does.

    >>> x = np.array([1.0, 3.0, 2.0, 100.0])
    >>> rv.recordings.causal_zscore(x, least=2)[:3].round(3).tolist()  # the last value changes nothing before it
    [nan, 1.0, 0.0]
    """
    x = np.asarray(values, np.float64)
    count(least, "least", 2)
    finite = np.isfinite(x)
    if not len(x):
        return x.copy()
    number = np.cumsum(finite, 0)
    # moments about each column's first measured value, which is known from the start: no cancellation at large offsets
    at = np.argmax(finite, 0)
    first = np.take_along_axis(np.where(finite, x, 0.0), np.expand_dims(at, 0), 0)
    y = np.where(finite, x - first, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.cumsum(y, 0) / number
        variance = np.maximum(np.cumsum(y * y, 0) / number - mean**2, 0.0)
        floor = 1e-12 * np.cumsum(y * y, 0) / number
        score = np.where(variance > floor, (y - mean) / np.sqrt(np.maximum(variance, 1e-300)), 0.0)
    return np.where(finite & (number >= least), score, np.nan)


def smooth(
    values: ArrayLike, times: ArrayLike, width: float, *, causal: bool = True, gap: float | None = None
) -> NDArray[np.float64]:
    """Moving average over `width` ms, of (T,) or (T, K): over t − width < s ≤ t, or, with causal=False, over
    |s − t| < width/2 about t, which sees the future.

    Holes stay holes and are averaged around; stretches further apart than `gap` ms (None: three intervals) do not see
    one another, so that the parts of a split can be smoothed in one call if they lie apart.

    >>> rv.recordings.smooth([0.0, 0.0, 3.0, 0.0], np.arange(4.0), width=3.0).round(6).tolist()  # of the last three
    [0.0, 0.0, 1.0, 1.0]
    """
    x, times = np.asarray(values, np.float64), np.asarray(times, np.float64)
    positive(width, "width", "ms")
    require_increasing(times, "times")
    if len(x) != len(times):
        raise ValueError(f"values have {len(x)} rows, times {len(times)}; expected as many")
    out = np.full(x.shape, np.nan)
    for piece in stretches(times, gap):
        t, y = times[piece], x[piece]
        if causal:
            lo, hi = np.searchsorted(t, t - width + 1e-9 * width, side="left"), np.arange(1, len(t) + 1)
        else:
            lo = np.searchsorted(t, t - width / 2 + 1e-9 * width, side="left")
            hi = np.searchsorted(t, t + width / 2 - 1e-9 * width, side="right")
        finite = np.isfinite(y)
        # about the first measured value, which is known from the start: what follows changes no bit
        origin = np.take_along_axis(np.where(finite, y, 0.0), np.expand_dims(np.argmax(finite, 0), 0), 0)
        total = np.concatenate([np.zeros((1, *y.shape[1:])), np.cumsum(np.where(finite, y - origin, 0.0), 0)])
        number = np.concatenate([np.zeros((1, *y.shape[1:])), np.cumsum(finite, 0)])
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = (total[hi] - total[lo]) / (number[hi] - number[lo]) + origin
        out[piece] = np.where(finite, mean, np.nan)
    return out


def stretches(times: ArrayLike, gap: float | None = None) -> list[slice]:
    """Runs of samples no further apart than `gap` ms; None: three median intervals.

    >>> rv.recordings.stretches([0.0, 1.0, 2.0, 10.0, 11.0])
    [slice(0, 3, None), slice(3, 5, None)]
    """
    times = np.asarray(times, np.float64)
    if len(times) < 2:
        return [slice(0, len(times))] if len(times) else []
    steps = np.diff(times)
    limit = 3 * float(np.median(steps)) if gap is None else gap
    borders = [0, *(np.flatnonzero(steps > limit) + 1).tolist(), len(times)]
    return [slice(a, b) for a, b in pairwise(borders)]


def resample(signal: Signal, dt: float, *, method: str = "linear", longest: float | None = None) -> Signal:
    """The signal at multiples of `dt` ms from its first sample on; holes longer than `longest` ms stay holes.

    Finer than it was: `Signal.at`, where "previous" knows nothing of the future and "linear" one sample of it. Coarser:
    `at` dt/6, and then the mean of six, at the time of the last, so that nothing is folded down (Simeon et al. 2024).

    >>> signal = rv.recordings.Signal([0.0, 10.0, 20.0], [0.0, 1.0, 2.0])
    >>> rv.recordings.resample(signal, 5.0).read().tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    positive(dt, "dt", "ms")
    if not len(signal):
        raise ValueError("the signal holds no sample; expected at least one")
    fine = dt / 6 if dt > signal.dt * (1 + SAME) else dt
    steps = int(np.floor((signal.times[-1] - signal.times[0]) / fine + SAME)) + 1
    values = signal.at(signal.times[0] + np.arange(steps) * fine, method=method, longest=longest)
    grid = signal.times[0] + np.arange(steps) * fine
    if fine < dt:
        whole = steps // 6
        values, grid = values[: whole * 6].reshape(whole, 6, *values.shape[1:]), grid[5 : whole * 6 : 6]
        missing = np.isnan(values).any(1)
        values = _circular_mean(values, signal.period) if signal.period else values.mean(1)
        values = np.where(missing, np.nan, values)
    return Signal(grid, values, signal.unit, signal.period)


def _circular_mean(values: NDArray[Any], period: float) -> NDArray[np.float64]:
    angle = values * (2 * np.pi / period)
    return (np.arctan2(np.sin(angle).mean(1), np.cos(angle).mean(1)) * period / (2 * np.pi)) % period


__all__ = ["Normaliser", "causal_zscore", "resample", "smooth", "stretches"]
