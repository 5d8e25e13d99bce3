"""Classification of sequences by the states they leave in a reservoir."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from ranvier.reservoirs import _series
from ranvier.reservoirs._estimator import FLOATS
from ranvier.reservoirs._parameters import ReservoirParameters
from ranvier.reservoirs._root import Root
from ranvier.reservoirs._weights import IntrinsicPlasticity


class ReservoirClassifier(ReservoirParameters, ClassifierMixin, BaseEstimator):
    """One label a sequence: a ridge regression on ±1 a class, from the mean or the last state of a reservoir.

    X: (sequences, n, d), or a list of (n_i, d); (sequences, n) are sequences of one column.

    Parameters
    ----------
    pooling : "mean" of the states after the washout, or the "last" one.
    washout : rows of each sequence that only set the state.
    ridge : of the readout.

    The others are those of `ESN`: units, W, spectral_radius, leak, input_scaling, bias_scaling, connectivity,
    plasticity, random_state. Attributes: `classes_`, `coef_` (classes, units), `intercept_` (classes,), `W_`.

        ReservoirClassifier(200, random_state=0).fit(sequences, labels).predict(others)

    Raises ValueError for one class, and for sequences no longer than the washout.

    >>> t = np.arange(60)
    >>> series = np.array([np.sin(w * t + phase) for w in (0.1, 0.8) for phase in range(6)])
    >>> model = rv.reservoirs.ReservoirClassifier(50, random_state=0).fit(series, ["slow"] * 6 + ["fast"] * 6)
    >>> model.predict(np.sin(0.8 * t + 0.5)[None]).tolist()
    ['fast']
    """

    _parameter_constraints: dict[str, Any] = {
        **ReservoirParameters._reservoir_constraints,
        "pooling": [StrOptions({"mean", "last"})],
        "washout": [Interval(Integral, 0, None, closed="left")],
        "ridge": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        units: int = 200,
        *,
        W: Any = None,
        spectral_radius: float | None = 0.9,
        leak: float = 0.3,
        input_scaling: float = 1.0,
        bias_scaling: float = 0.2,
        connectivity: float = 0.1,
        plasticity: IntrinsicPlasticity | None = None,
        pooling: Literal["mean", "last"] = "mean",
        washout: int = 0,
        ridge: float = 1e-3,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.units, self.W, self.spectral_radius, self.leak = units, W, spectral_radius, leak
        self.input_scaling, self.bias_scaling, self.connectivity = input_scaling, bias_scaling, connectivity
        self.plasticity, self.pooling, self.washout, self.ridge = plasticity, pooling, washout, ridge
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Sequences X and one label each, y (sequences,); sample_weight (sequences,)."""
        self._validate_params()  # type: ignore[attr-defined]
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; expected one label a "
                "sequence"
            )
        series = self._sequences(X, reset=True)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        check_consistent_length(series, y)
        self.classes_, index = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class, {str(self.classes_[0])!r}; expected two classes at least")
        self._draw(series)
        goal = np.where(index[:, None] == np.arange(len(self.classes_)), 1.0, -1.0)
        weight = np.ones(len(y)) if sample_weight is None else _check_sample_weight(sample_weight, y, dtype=float)
        states, share = self._pooled(series), weight / weight.sum()
        centre, level = share @ states, share @ goal  # no ridge on the intercept
        scale = np.sqrt(weight)[:, None]
        root = Root.prior(states.shape[1], goal.shape[1], self.ridge)
        root = root.updated((states - centre) * scale, (goal - level) * scale)
        self.coef_ = root.coefficients().T
        self.intercept_ = level - self.coef_ @ centre
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """(sequences, classes), or (sequences,) for two classes: positive for the second."""
        check_is_fitted(self, "coef_")
        values = self._pooled(self._sequences(X, reset=False)) @ self.coef_.T + self.intercept_
        return values[:, 1] if len(self.classes_) == 2 else values

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label of each sequence."""
        values = self.decision_function(X)
        return self.classes_[(values > 0).astype(int) if values.ndim == 1 else values.argmax(1)]

    def _sequences(self, X: Any, *, reset: bool) -> list[np.ndarray]:
        if not _series.is_several(X):
            X = validate_data(self, X, reset=reset, dtype=FLOATS)
            return [row[:, None] for row in X]
        series = [check_array(x, dtype=FLOATS, input_name="X") for x in _series.split(X)]
        if reset:
            self.n_features_in_ = series[0].shape[1]
        for k, x in enumerate(series):
            if x.shape[1] != self.n_features_in_:
                raise ValueError(f"sequence {k} has {x.shape[1]} columns; expected {self.n_features_in_}, as in fit")
        return series

    def _pooled(self, series: list[np.ndarray]) -> np.ndarray:
        pooled = np.empty((len(series), self._size))
        for k, x in enumerate(series):
            if len(x) <= self.washout:
                raise ValueError(f"sequence {k} has {len(x)} rows; expected more than the washout, {self.washout}")
            states = np.empty((len(x), self._size))
            last = self.reservoir_.run(np.ascontiguousarray(x, float), np.zeros(self._size), states)
            pooled[k] = states[self.washout :].mean(0) if self.pooling == "mean" else last
        return pooled
