"""What the estimators share: a linear readout of features that depend on a series' past."""

from __future__ import annotations

import warnings
from abc import ABCMeta, abstractmethod
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ranvier.reservoirs import _series
from ranvier.reservoirs._root import Root

FLOATS = (np.float64, np.float32)
#: a forecast further away than this multiple of the largest training value has diverged
FAR = 100.0


class DivergenceWarning(RuntimeWarning):
    """A forecast left everything that it had learned from.

    >>> import warnings
    >>> series = np.array([[1.0], [1.5], [2.2], [3.5], [6.0]])
    >>> model = rv.reservoirs.NGRC(delays=1, orders=(2,)).fit(series[:-1], series[1:])
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     forecast = model.forecast(100, [[6.0]])
    >>> caught[0].category is rv.reservoirs.DivergenceWarning
    True
    """


class SeriesRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator, metaclass=ABCMeta):
    """y[t] from X[..t], rows in the order of time. A subclass gives the features and how many rows it spends.

    X is one series (n, d), or several: (series, n, d), or a list of (n_i, d). y goes with it: (n,) or (n, outputs),
    (series, n) or (series, n, outputs), or a list. Each series begins from rest.
    """

    _parameter_constraints: dict[str, Any] = {
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
    _largest: float

    @abstractmethod
    def _prepare(self, series: list[np.ndarray], outputs: int) -> None:
        """Set what the features need once the series and the number of outputs are known."""

    @abstractmethod
    def _start(self) -> Any:
        """The memory before any row."""

    @abstractmethod
    def _features(self, X: np.ndarray, memory: Any, y: np.ndarray | None = None) -> tuple[np.ndarray, Any]:
        """Rows (n, d) and the memory before them -> features (n, F), a row each, and the memory after them.

        y (n, outputs): what a model that hears its own output hears while it learns.
        """

    @abstractmethod
    def _warm_up(self) -> int:
        """How many rows of a series come before the first whose features count."""

    @abstractmethod
    def _roll(self, steps: int, memory: Any, last: np.ndarray) -> np.ndarray:
        """Feed the outputs back `steps` times; `memory` is that before the row `last` (d,)."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from one series or several. The first `_warm_up` rows of each only set the memory.

        sample_weight: one a row, (n,); for several series one list or array a series.
        To forecast a series, fit(series[:-1], series[1:]).
        """
        return self._begin(X, y, sample_weight, more=False)

    def _begin(self, X: Any, y: Any, sample_weight: Any, *, more: bool) -> Self:
        """Learn from the first rows; `more`: others may follow, so that these may be fewer than the memory takes."""
        self._validate_params()
        series, targets, weights = self._checked(X, y, sample_weight, reset=True)
        self._prepare(series, targets[0].shape[1])
        skip = self._warm_up()
        if not more and all(len(x) <= skip for x in series):
            raise ValueError(
                f"the series have n_samples={max(len(x) for x in series)}; "
                f"expected more than the {skip} rows that a series "
                "spends on its memory"
            )
        self._largest = 0.0
        root = None
        for x, goal, weight in zip(series, targets, weights, strict=True):
            root = self._learned(root, x, goal, weight, self._start(), skip)
        return self._read_out(root)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, *, new_series: bool = False) -> Self:
        """Go on learning: recursive least squares, as exact as `fit`, from any number of rows a call.

        The rows follow those of the last call, unless `new_series` says that they begin again, from rest; of several
        series each begins again.
        """
        if not hasattr(self, "root_"):
            return self._begin(X, y, sample_weight, more=True)
        series, targets, weights = self._checked(X, y, sample_weight, reset=False)
        if targets[0].shape[1] != self.root_.z.shape[1]:
            raise ValueError(f"y has {targets[0].shape[1]} columns; expected {self.root_.z.shape[1]} as before")
        root: Root | None = self.root_
        for x, goal, weight in zip(series, targets, weights, strict=True):
            again = new_series or _series.is_several(X)
            memory = self._start() if again else self._memory
            rows = 0 if again else self._rows
            root = self._learned(root, x, goal, weight, memory, max(0, self._warm_up() - rows))
            self._rows += rows
        return self._read_out(root)

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray | None]]:
        several = _series.is_several(X)
        parts = zip(
            _series.split(X), _series.split_like("y", y, X), _series.split_like("sample_weight", sample_weight, X),
            strict=True,
        )  # fmt: skip
        series: list[np.ndarray] = []
        targets: list[np.ndarray] = []
        weights: list[np.ndarray | None] = []
        for k, (x, goal, weight) in enumerate(parts):
            x, goal = validate_data(
                self, x, goal, reset=reset and k == 0, dtype=FLOATS, multi_output=True, y_numeric=True
            )
            if reset and k == 0:
                self._flat = goal.ndim == 1
            elif several and reset and (goal.ndim == 1) != self._flat:
                raise ValueError(f"y of series {k} has {goal.ndim} axes; expected as many as that of series 0")
            goal = goal.reshape(len(goal), -1).astype(float)
            if self.difference and goal.shape[1] != x.shape[1]:
                raise ValueError(
                    f"y has {goal.shape[1]} columns for X with {x.shape[1]}; expected as many: "
                    "difference=True predicts y - X"
                )
            if targets and goal.shape[1] != targets[0].shape[1]:
                raise ValueError(
                    f"y of series {k} has {goal.shape[1]} columns; expected {targets[0].shape[1]}, as series 0"
                )
            series.append(x)
            targets.append(goal)
            weights.append(
                None if weight is None else _check_sample_weight(weight, x, dtype=float, ensure_non_negative=True)
            )
        return series, targets, weights

    def _learned(
        self, root: Root | None, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, memory: Any, skip: int
    ) -> Root:
        features, self._memory = self._features(x, memory, y)
        self._rows = len(x)
        if root is None:
            root = Root.prior(features.shape[1], y.shape[1], self.ridge)
        goal = y - x if self.difference else y
        self._largest = max(self._largest, float(np.abs(y).max(initial=0.0)))
        rows, goal = features[skip:].astype(float, copy=False), goal[skip:]
        if weight is not None:
            scale = np.sqrt(weight[skip:, None])
            rows, goal = rows * scale, goal * scale
        return root.updated(rows, goal, self.forget) if len(rows) else root

    def _read_out(self, root: Root | None) -> Self:
        assert root is not None
        self.root_ = root
        coefficients = root.coefficients()
        self.coef_ = coefficients.ravel() if self._flat else coefficients.T
        return self

    def features(self, X: Any, *, history: Any = None) -> Any:
        """The features (n, F) of rows X; `history` are the rows before them (none: rest, or the first row held)."""
        check_is_fitted(self, "coef_")
        answers = []
        for x, past in zip(_series.split(X), _series.split_like("history", history, X), strict=True):
            x = validate_data(self, x, reset=False, dtype=FLOATS)
            answers.append(self._features(x, self._after(past))[0])
        return _series.joined(answers, X)

    def predict(self, X: Any, *, history: Any = None, state: Any = None, return_state: bool = False) -> Any:
        """y, in the form of X, of rows X.

        history: the rows before them. state: the memory after rows predicted before, in place of a history, as
        `return_state` hands it on: (y, state). For several series, one of them each.
        """
        check_is_fitted(self, "coef_")
        if history is not None and state is not None:
            raise ValueError("history and state are both given; expected one: a state is what a history leads to")
        answers, states = [], []
        parts = zip(
            _series.split(X), _series.split_like("history", history, X), _series.split_like("state", state, X),
            strict=True,
        )  # fmt: skip
        for x, past, memory in parts:
            x = validate_data(self, x, reset=False, dtype=FLOATS)
            y, after = self._respond(x, self._after(past) if memory is None else memory)
            answers.append(y.ravel() if self._flat else y)
            states.append(after)
        result = _series.joined(answers, X)
        if not return_state:
            return result
        return result, states if _series.is_several(X) else states[0]

    def score(self, X: Any, y: Any, sample_weight: Any = None, *, history: Any = None) -> float:
        """R² of the predictions, without the first `_warm_up` rows of each series that has no history."""
        check_is_fitted(self, "coef_")
        parts = [_series.split_like(n, v, X) for n, v in (("y", y), ("sample_weight", sample_weight))]
        pasts = _series.split_like("history", history, X)
        true, predicted, weights = [], [], []
        for x, goal, weight, past in zip(_series.split(X), *parts, pasts, strict=True):
            answer = self.predict(x, history=past)
            skip = 0 if past is not None else self._warm_up()
            if len(answer) <= skip:
                continue
            if len(goal) != len(answer):
                r2_score(goal, answer)  # says so in scikit-learn's words
            true.append(np.asarray(goal, float)[skip:])
            predicted.append(answer[skip:])
            weights.append(np.ones(len(answer) - skip) if weight is None else np.asarray(weight, float)[skip:])
        if not true:
            raise ValueError(f"X has no series of more than {self._warm_up()} rows; expected one at least to score")
        return float(r2_score(np.concatenate(true), np.concatenate(predicted), sample_weight=np.concatenate(weights)))

    def forecast(self, steps: int, history: Any) -> np.ndarray:
        """The `steps` rows (steps, d) that follow `history` (n, d), each found from the ones before it.

        Raises ValueError where y was not the next row of X, or the history is shorter than the memory. Warns
        `DivergenceWarning`, with the step, where the forecast leaves everything it learned from a hundredfold.
        """
        check_is_fitted(self, "coef_")
        history = validate_data(self, history, reset=False, dtype=FLOATS)
        outputs = self.root_.z.shape[1]
        if outputs != self.n_features_in_:
            raise ValueError(
                f"there are {outputs} outputs for {self.n_features_in_} inputs; expected as many: forecast feeds "
                "outputs back; fit(series[:-1], series[1:]) first"
            )
        if len(history) <= self._warm_up():
            raise ValueError(f"there are {len(history)} rows of history; expected more than {self._warm_up()}")
        if steps < 1:
            raise ValueError(f"steps is {steps}; expected at least 1")
        memory = self._features(history[:-1], self._start())[1] if len(history) > 1 else self._start()
        rows = self._roll(steps, memory, history[-1].astype(float))
        lost = ~(np.abs(rows).max(1) <= FAR * self._largest)  # not finite, too
        if lost.any():
            first = int(lost.argmax())
            warnings.warn(
                f"the forecast diverged: at step {first} of {steps} it is {np.abs(rows[first]).max():.3g}, where the "
                f"largest target learned is {self._largest:.3g}; expected a bounded one: raise ridge, change the "
                "features, or forecast fewer steps",
                DivergenceWarning,
                stacklevel=2,
            )
        return rows

    def _after(self, history: Any) -> Any:
        if history is None:
            return self._start()
        rows = validate_data(self, history, reset=False, dtype=FLOATS)
        return self._features(rows, self._start())[1]

    def _respond(self, X: np.ndarray, memory: Any) -> tuple[np.ndarray, Any]:
        """Rows (n, d) and the memory before them -> y (n, outputs), and the memory after them."""
        features, memory = self._features(X, memory)
        y = features @ self.coef_.reshape(self.root_.z.shape[1], -1).T
        return (y + X if self.difference else y), memory
