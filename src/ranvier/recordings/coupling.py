"""Neurons coupled by their histories: the generalised linear model of a population (Truccolo et al. 2005)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count
from ranvier._results import Fields

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CoupledGLM(Fields):
    """log of the mean count of each neuron in each bin: bias (N,) + Σ coupling[l, i, j] · counts of j, `lags[l]` to
    `lags[l + 1]` − 1 bins before, + weight (N, D) of further inputs.
    Returned by `fit_coupled_glm`.
    """

    bias: Array
    coupling: Array
    weight: Array
    lags: tuple[int, ...]

    def __call__(self, counts: ArrayLike, inputs: ArrayLike | None = None) -> Array:
        """Mean counts (T, N) given the bins before, each; the first `lags[-1]` − 1 bins are NaN."""
        x = _design(np.asarray(counts, np.float64), self.lags, inputs)
        levels = len(self.lags) - 1
        flat = self.coupling.transpose(0, 2, 1).reshape(-1, len(self.bias))
        mean = np.exp(np.clip(x @ np.concatenate([flat, self.weight.T]) + self.bias, -30, 10))
        mean[: self.lags[levels] - 1] = np.nan
        return mean

    def log_likelihood(self, counts: ArrayLike, inputs: ArrayLike | None = None) -> Array:
        """Natural logarithm of the probability of each bin's counts, (T,); NaN where the history is not whole."""
        from scipy.special import gammaln

        y, mean = np.asarray(counts, np.float64), self(counts, inputs)
        return (y * np.log(mean) - mean - gammaln(y + 1)).sum(1)

    @property
    def drive(self) -> Array:
        """Summed coupling, (N, N), [target, source]."""
        return (self.coupling * np.diff(self.lags)[:, None, None]).sum(0)


def fit_coupled_glm(
    counts: ArrayLike, inputs: ArrayLike | None = None, *, lags: tuple[int, ...] = (1, 3, 5, 7), penalty: float = 1.0
) -> CoupledGLM:
    """The most likely coupling of counts (T, N) in bins, and of inputs (T, D), with `penalty` times half its square.

    lags: borders, in bins, of the steps of each coupling filter. All neurons at once, by L-BFGS. Raises ValueError for
    counts that are negative or not finite, and fewer bins than the longest lag.

    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(0.3, size=(2000, 2))
    >>> counts[1:, 1] = rng.poisson(0.1 + 0.6 * (counts[:-1, 0] > 0))  # neuron 0 excites neuron 1
    >>> coupling = rv.recordings.fit_coupled_glm(counts, lags=(1, 2)).coupling[0]
    >>> bool(coupling[1, 0] > 1), bool(abs(coupling[0, 1]) < 0.3)  # [target, source]
    (True, True)
    """
    from scipy.optimize import minimize

    y = np.asarray(counts, np.float64)
    for lag in lags:
        count(lag, "a lag", 1)
    if y.ndim != 2 or not np.isfinite(y).all() or (y < 0).any() or len(y) <= lags[-1]:
        raise ValueError(f"counts has shape {y.shape}; expected finite counts (T, N), from 0, of more than "
                         f"{lags[-1]} bins")  # fmt: skip
    if len(lags) < 2 or list(lags) != sorted(set(lags)):
        raise ValueError(f"lags are {lags}; expected at least two borders that rise, in bins")
    x = _design(y, lags, inputs)[lags[-1] - 1 :]
    y = y[lags[-1] - 1 :]
    size, width = y.shape[1], x.shape[1]

    def loss(flat: Array) -> tuple[float, Array]:
        theta = flat.reshape(width + 1, size)
        drive = np.clip(x @ theta[:-1] + theta[-1], -30, 10)
        mean = np.exp(drive)
        value = (mean - y * drive).sum() + 0.5 * penalty * (theta[:-1] ** 2).sum()
        gradient = np.concatenate([x.T @ (mean - y) + penalty * theta[:-1], (mean - y).sum(0, keepdims=True)])
        return float(value), gradient.ravel()

    start = np.zeros((width + 1, size))
    start[-1] = np.log(np.maximum(y.mean(0), 1e-6))
    theta = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    theta = theta.reshape(width + 1, size)
    levels = len(lags) - 1
    coupling = theta[: levels * size].reshape(levels, size, size).transpose(0, 2, 1)
    return CoupledGLM(theta[-1], coupling, theta[levels * size : -1].T, tuple(lags))


def partial_correlation(covariance: ArrayLike, *, penalty: float = 1e-3) -> Array:
    """Correlation of each pair given all others, (N, N), from a covariance (N, N); `penalty` times the mean of
    its diagonal is added to that.

    >>> a, b, c = np.random.default_rng(0).normal(size=(3, 5000))
    >>> chain = np.stack([a, a + b, a + b + c])  # 0 to 1 to 2
    >>> result = rv.recordings.partial_correlation(np.cov(chain))
    >>> bool(abs(result[0, 2]) < 0.05), bool(result[0, 1] > 0.4)
    (True, True)
    """
    c = np.asarray(covariance.detach() if hasattr(covariance, "detach") else covariance, np.float64)
    precision = np.linalg.inv(c + penalty * np.trace(c) / len(c) * np.eye(len(c)))
    scale = np.sqrt(np.diag(precision))
    result = -precision / np.outer(scale, scale)
    np.fill_diagonal(result, 1.0)
    return result


def _design(y: Array, lags: tuple[int, ...], inputs: ArrayLike | None) -> Array:
    """(T, levels · N + D): sums of counts between lags, level by level, and the inputs."""
    total = np.concatenate([np.zeros((1, y.shape[1])), np.cumsum(y, 0)])
    t = np.arange(len(y))
    parts = [total[np.maximum(t - a + 1, 0)] - total[np.maximum(t - b + 1, 0)] for a, b in pairwise(lags)]
    if inputs is not None:
        extra = np.asarray(inputs, np.float64)
        if len(extra) != len(y) or not np.isfinite(extra).all():
            raise ValueError(f"inputs have shape {extra.shape}; expected finite ones, a row for each of {len(y)} bins")
        parts.append(extra.reshape(len(y), -1))
    return np.concatenate(parts, 1)


__all__ = ["CoupledGLM", "fit_coupled_glm", "partial_correlation"]
