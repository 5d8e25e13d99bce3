"""How good a forecast is, and how much a reservoir remembers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from ranvier.reservoirs._estimator import SeriesRegressor


def nrmse(true: Any, predicted: Any, *, variance: float | None = None) -> float:
    """Root of the mean square error (n, d) over the total variance, that of `true` unless it is given.

    As Gauthier et al. (2021) define it: the mean goes over rows and columns, the variance is summed over columns.

    >>> rv.reservoirs.nrmse([[0.0], [2.0]], [[1.0], [3.0]])  # an error of 1, a variance of 1
    1.0
    """
    true, predicted = _pair(true, predicted)
    variance = float(true.var(0).sum()) if variance is None else variance
    with np.errstate(over="ignore", invalid="ignore"):  # a forecast may run away
        return float(np.sqrt(np.mean((true - predicted) ** 2) / variance))


def valid_time(
    true: Any, predicted: Any, *, dt: float = 1.0, threshold: float = 0.4, variance: float | None = None
) -> float:
    """Time (in units of dt) until the error's norm first exceeds `threshold` times the root of the total variance.

    >>> true, predicted = np.array([[0.0], [1.0], [0.0], [1.0]]), np.array([[0.0], [1.0], [0.1], [3.0]])
    >>> rv.reservoirs.valid_time(true, predicted, dt=0.5)
    1.5
    """
    true, predicted = _pair(true, predicted)
    variance = float(true.var(0).sum()) if variance is None else variance
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.sqrt(((true - predicted) ** 2).sum(1) / variance)
    wrong = np.flatnonzero(~(error <= threshold))
    return float(dt * (wrong[0] if len(wrong) else len(true)))


def memory_capacity(
    reservoir: SeriesRegressor, *, longest: int | None = None, length: int = 4000, random_state: int = 0
) -> np.ndarray:
    """Squared correlation of each past input with its best linear readout, (longest,) for lags 1, 2, ...

    Its sum is Jaeger's memory capacity (2002, GMD report 152), at most the number of features for inputs that are
    independent. Inputs are uniform within ±0.5; half of `length` trains, half tests. `longest`: twice the units,
    or 200.

    >>> line = rv.reservoirs.NGRC(delays=3, orders=(1,))  # holds the input and the two before it
    >>> rv.reservoirs.memory_capacity(line, longest=4, length=500).round(2).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    longest = longest or 2 * getattr(reservoir, "units", 100)
    rng = np.random.default_rng(random_state)
    u = rng.uniform(-0.5, 0.5, longest + 2 * length)
    past = np.stack([u[longest - lag : len(u) - lag] for lag in range(1, longest + 1)], axis=1)
    x = u[longest:, None]
    model = clone(reservoir).fit(x[:length], past[:length])
    predicted, true = model.predict(x[length:], history=x[:length]), past[length:]
    predicted, true = predicted - predicted.mean(0), true - true.mean(0)
    power = (predicted**2).sum(0) * (true**2).sum(0)
    return np.divide((predicted * true).sum(0) ** 2, power, out=np.zeros(longest), where=power > 0)


def _pair(true: Any, predicted: Any) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.asarray(true, float), np.asarray(predicted, float)
    if true.shape != predicted.shape:
        raise ValueError(f"there are series of shapes {true.shape} and {predicted.shape}; expected the same")
    return (true[:, None], predicted[:, None]) if true.ndim == 1 else (true, predicted)
