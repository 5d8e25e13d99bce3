"""What the estimators share: a linear readout of features that depend on a series' past."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from ranvier.reservoirs._root import Root


class SeriesRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator, metaclass=ABCMeta):
    """y[t] from X[..t], rows in the order of time. A subclass gives the features and how many rows it spends."""

    _parameter_constraints: dict = {
        "ridge": [Interval(Real, 0, None, closed="left")],
        "forget": [Interval(Real, 0, 1, closed="right")],
        "difference": ["boolean"],
    }
    ridge: float
    forget: float
    difference: bool
    root_: Root
    coef_: np.ndarray
    n_features_in_: int
    _flat: bool
    _rows: int
    _memory: Any

    @abstractmethod
    def _prepare(self, n_features: int) -> None:
        """Set what the features need once the number of inputs is known."""

    @abstractmethod
    def _start(self) -> Any:
        """The memory before any row."""

    @abstractmethod
    def _features(self, X: np.ndarray, memory: Any) -> tuple[np.ndarray, Any]:
        """Rows (n, d) and the memory before them -> features (n, F), a row each, and the memory after them."""

    @abstractmethod
    def _warm_up(self) -> int:
        """How many rows of a series come before the first whose features count."""

    @abstractmethod
    def _roll(self, steps: int, memory: Any, last: np.ndarray) -> np.ndarray:
        """Feed the outputs back `steps` times; `memory` is that before the row `last` (d,)."""

    def fit(self, X: Any, y: Any) -> Self:
        """X (n, d), y (n,) or (n, outputs): rows in the order of time. The first `_warm_up` rows only set the memory.

        To forecast a series, fit(series[:-1], series[1:]).
        """
        self._validate_params()
        return self._learn(X, y, reset=True)

    def partial_fit(self, X: Any, y: Any) -> Self:
        """Go on with the rows that follow those seen last: recursive least squares, as exact as `fit`."""
        if hasattr(self, "root_"):
            return self._learn(X, y, reset=False)
        return self.fit(X, y)

    def _learn(self, X: Any, y: Any, *, reset: bool) -> Self:
        X, y = validate_data(
            self, X, y, reset=reset, dtype=(np.float64, np.float32), multi_output=True, y_numeric=True
        )
        targets = y.reshape(len(y), -1).astype(float)
        if self.difference and targets.shape[1] != X.shape[1]:
            raise ValueError(
                f"found y with {targets.shape[1]} columns for X with {X.shape[1]}, expected as many: "
                "difference=True predicts y - X"
            )
        if reset:
            self._prepare(X.shape[1])
            memory, skip = self._start(), self._warm_up()
        else:
            if targets.shape[1] != self.root_.z.shape[1]:
                raise ValueError(f"found y with {targets.shape[1]} columns, expected {self.root_.z.shape[1]} as before")
            memory, skip = self._memory, max(0, self._warm_up() - self._rows)
        if reset and len(X) <= skip:
            raise ValueError(
                f"found n_samples={len(X)}, expected more than the {skip} rows that a series spends on its memory"
            )
        features, self._memory = self._features(X, memory)
        self._rows = len(X) + (0 if reset else self._rows)
        root = Root.prior(features.shape[1], targets.shape[1], self.ridge) if reset else self.root_
        goal = targets - X if self.difference else targets
        self.root_ = root.updated(features[skip:].astype(float, copy=False), goal[skip:], self.forget)
        self._flat = y.ndim == 1 if reset else self._flat
        coefficients = self.root_.coefficients()
        self.coef_ = coefficients.ravel() if self._flat else coefficients.T
        return self

    def features(self, X: Any, *, history: Any = None) -> np.ndarray:
        """The features (n, F) of rows X; `history` are the rows before them (none: rest, or the first row held)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=(np.float64, np.float32))
        return self._features(X, self._after(history))[0]

    def predict(self, X: Any, *, history: Any = None) -> np.ndarray:
        """y (n,) or (n, outputs) of rows X; `history` are the rows before them."""
        features = self.features(X, history=history)
        told = features @ self.coef_.T
        if self.difference:
            X = np.asarray(X)
            told = told + (X.ravel() if self._flat else X)
        return told

    def forecast(self, steps: int, history: Any) -> np.ndarray:
        """The `steps` rows (steps, d) that follow `history` (n, d), each found from the ones before it.

        Raises ValueError where y was not the next row of X, or the history is shorter than the memory.
        """
        check_is_fitted(self)
        history = validate_data(self, history, reset=False, dtype=(np.float64, np.float32))
        outputs = self.root_.z.shape[1]
        if outputs != self.n_features_in_:
            raise ValueError(
                f"found {outputs} outputs for {self.n_features_in_} inputs, expected as many: forecast feeds "
                "outputs back; fit(series[:-1], series[1:]) first"
            )
        if len(history) <= self._warm_up():
            raise ValueError(f"found {len(history)} rows of history, expected more than {self._warm_up()}")
        if steps < 1:
            raise ValueError(f"found steps = {steps}, expected at least 1")
        memory = self._after(history[:-1] if len(history) > 1 else None)
        return self._roll(steps, memory, history[-1].astype(float))

    def _after(self, history: Any) -> Any:
        if history is None:
            return self._start()
        rows = validate_data(self, history, reset=False, dtype=(np.float64, np.float32))
        return self._features(rows, self._start())[1]
