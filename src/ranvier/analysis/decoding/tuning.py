"""Tuning curves: the rate of each neuron at each value of a stimulus or of behaviour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count, positive, reals

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TuningCurves:
    """Rates (bins, N) in Hz at the bins' centres (bins,), and the time spent in each bin, ms. period: of circular
    values; rates are NaN where no time was spent.

    >>> rates = np.array([[50.0, 1.0], [1.0, 50.0]])  # (bins, N), Hz
    >>> curves = rv.analysis.decoding.TuningCurves(np.array([0.0, 1.0]), rates, np.ones(2))
    >>> curves.preferred.tolist()
    [0.0, 1.0]
    """

    centers: Array
    rates: Array
    occupancy: Array
    period: float | None = None

    @property
    def preferred(self) -> Array:
        """Each neuron's value of the highest rate, (N,)."""
        return self.centers[np.nanargmax(self.rates, 0)]


def tuning_curves(
    counts: ArrayLike, values: ArrayLike, width: float, *, bins: int = 36, period: float | None = None,
    smoothing: float = 0.0,
) -> TuningCurves:  # fmt: skip
    """Mean rate of spike counts (T, N) in windows of `width` ms, by the value (T,) of each window.

    bins cover 0 to `period` of circular values, else from the least to the largest. smoothing: standard deviation of a
    Gaussian over bins, which weighs them by the time spent. Windows with a NaN value are left out. Raises ValueError
    for shapes that do not fit, and where no window has a value.

    >>> from ranvier.analysis.decoding import tuning_curves
    >>> curves = tuning_curves([[0], [2], [4]], [0.0, 1.0, 1.0], 100.0, bins=2)
    >>> curves.rates.tolist()
    [[0.0], [30.0]]
    """
    x, v = reals(counts, "counts"), reals(values, "values")
    positive(width, "width", "ms")
    count(bins, "bins", 1)
    if x.ndim != 2 or v.shape != (len(x),):
        raise ValueError(f"counts has shape {x.shape}, values {v.shape}; expected (T, N) and (T,)")
    known = np.isfinite(v)
    if not known.any():
        raise ValueError("values holds no finite value; expected one for each window")
    x, v = x[known], v[known]
    low, high = (0.0, period) if period is not None else (float(v.min()), float(v.max()))
    place = bin_of(v, low, high, bins, period)
    time = np.bincount(place, minlength=bins).astype(np.float64)
    total = np.stack([np.bincount(place, column, bins) for column in x.T], 1)
    if smoothing > 0:
        from scipy.ndimage import gaussian_filter1d

        mode = "wrap" if period is not None else "nearest"
        soft = gaussian_filter1d(time, smoothing, mode=mode)
        total = gaussian_filter1d(total, smoothing, axis=0, mode=mode)
    else:
        soft = time
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.where(soft[:, None] > 0, total / soft[:, None], np.nan) * (1000.0 / width)
    centers = low + (np.arange(bins) + 0.5) * (high - low) / bins
    return TuningCurves(centers, rates, time * width, period)


def bin_of(values: Array, low: float, high: float, bins: int, period: float | None) -> NDArray[np.int64]:
    """The bin of each value, values outside in the nearest; round the period if there is one."""
    inside = values % period if period is not None else values
    return np.clip(((inside - low) / max(high - low, 1e-300) * bins).astype(np.int64), 0, bins - 1)


__all__ = ["TuningCurves", "bin_of", "tuning_curves"]
