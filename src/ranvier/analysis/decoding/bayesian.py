"""Bayes' rule from spike counts to values, for independent Poisson neurons (Zhang et al. 1998)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import instance, positive, reals
from ranvier.analysis.decoding.tuning import TuningCurves

Array = NDArray[np.float64]
FLOOR = 0.01  # Hz: no neuron is taken to be silent for certain


def posterior(
    counts: ArrayLike, curves: TuningCurves, width: float, *, prior: str | ArrayLike = "occupancy"
) -> Array:
    """p(value | counts), (T, bins), of counts (T, N) in windows of `width` ms: Π_i Poisson(n_i; r_i(value) width) times
    the prior: "occupancy", the time that was spent at each value, "uniform", or probabilities (bins,).

    Bins where no time was spent get 0. Counts with NaN in them answer NaN; `mask` neurons by leaving out their columns
    here and in the curves. Raises ValueError for another number of neurons.

    >>> curves = rv.analysis.decoding.TuningCurves(np.array([0.0, 1.0]), np.array([[10.0], [20.0]]), np.ones(2))
    >>> rv.analysis.decoding.posterior([[0]], curves, width=100.0).round(3).tolist()  # as exp(-1) to exp(-2)
    [[0.731, 0.269]]
    """
    instance(curves, TuningCurves, "curves", "TuningCurves: make them by tuning_curves")
    x = reals(counts, "counts")
    positive(width, "width", "ms")
    if x.ndim != 2 or x.shape[1] != curves.rates.shape[1]:
        raise ValueError(f"counts has shape {x.shape}; expected (T, {curves.rates.shape[1]}), the curves' neurons")
    if (x < 0).any():
        raise ValueError("counts holds negative values; expected spike counts")
    known: NDArray[np.bool_] = np.asarray(np.isfinite(curves.rates).all(1))
    mean = np.maximum(curves.rates, FLOOR) * (width / 1000.0)
    if isinstance(prior, str):
        if prior not in ("occupancy", "uniform"):
            raise ValueError(f"prior is {prior!r}; expected 'occupancy', 'uniform' or probabilities (bins,)")
        weight = curves.occupancy if prior == "occupancy" else np.ones(len(known))
    else:
        weight = reals(prior, "prior")
        if weight.shape != known.shape or (weight < 0).any():
            raise ValueError(f"prior has shape {weight.shape}; expected probabilities ({len(known)},)")
    with np.errstate(divide="ignore", invalid="ignore"):
        start = np.where(known, np.log(weight), -np.inf)
        log_p = x @ np.where(known[:, None], np.log(mean), 0.0).T - np.where(known, mean.sum(1), 0.0) + start
        log_p -= log_p.max(1, keepdims=True)
        p = np.exp(log_p)
        return p / p.sum(1, keepdims=True)


def bayesian_decode(
    counts: ArrayLike, curves: TuningCurves, width: float, *, prior: str | ArrayLike = "occupancy"
) -> Array:
    """The most likely value of each window, (T,); as `posterior`. NaN for a window with a NaN count.

    >>> rates = np.array([[50.0, 1.0], [1.0, 50.0]])  # (bins, N), Hz
    >>> curves = rv.analysis.decoding.TuningCurves(np.array([0.0, 1.0]), rates, np.ones(2))
    >>> rv.analysis.decoding.bayesian_decode([[5, 0], [0, 5]], curves, width=100.0).tolist()
    [0.0, 1.0]
    """
    p = posterior(counts, curves, width, prior=prior)
    return np.where(np.isnan(p).any(1), np.nan, curves.centers[np.nan_to_num(p).argmax(1)])


__all__ = ["bayesian_decode", "posterior"]
