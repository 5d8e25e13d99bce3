"""Echo-state networks."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from ranvier.reservoirs import _units
from ranvier.reservoirs._estimator import SeriesRegressor
from ranvier.reservoirs._parameters import ReservoirParameters
from ranvier.reservoirs._root import Root
from ranvier.reservoirs._weights import IntrinsicPlasticity


class ESN(ReservoirParameters, SeriesRegressor):
    """Leaky echo-state network (Jaeger 2001, GMD report 148; Jaeger et al. 2007, Neural Networks 20:335).

    r[t] = (1 - leak) r[t-1] + leak tanh(W r[t-1] + W_in x[t] + W_back y[t-1] + b); the readout is a ridge regression
    on r and, with `direct`, on 1 and x.

    Parameters
    ----------
    units : size of the reservoir; that of W where one is given.
    W : weights between units [target, source] (units, units), dense or sparse, such as a connectome; drawn if None.
    spectral_radius : W is scaled to it; drawn weights are uniform before. None leaves W as it is.
    leak : within (0, 1].
    input_scaling, bias_scaling : W_in and b are uniform within ± these.
    feedback_scaling : W_back is uniform within ± this; 0: units do not hear the output. In `fit` they hear y itself
        (teacher forcing), in `predict` what was read out.
    connectivity : share of the other units that each unit listens to, and that listen to it, where W is drawn. Unit i
        listens to the units i + shift, with shifts that are the same for all, and independent weights.
    plasticity : `IntrinsicPlasticity()` adapts gains and biases to the series before the readout is learned.
    learning : "ridge"; or "force" (Sussillo & Abbott 2009, Neuron 63:544): the readout learns row by row, by recursive
        least squares from P = 1/ridge, while units hear what it reads out.
    washout : rows at the beginning of a series that only set the state.
    direct : whether the readout sees a constant and the input too.
    ridge, difference, forget : as of `NGRC`.
    random_state : of the random matrices.

    Attributes: `coef_` (outputs, F) or (F,), `n_features_in_`, `root_`, `W_` [target, source] (sparse), `reservoir_`
    (all fixed weights).

        model = ESN(300, leak=0.5, washout=100, random_state=0).fit(series[:-1], series[1:])
        model.forecast(100, series)

    >>> series = np.sin(0.3 * np.arange(401))[:, None]
    >>> model = rv.reservoirs.ESN(50, washout=50, random_state=0).fit(series[:300], series[1:301])
    >>> rv.reservoirs.nrmse(series[301:], model.forecast(100, series[:301])) < 0.1
    True
    """

    _parameter_constraints: dict[str, Any] = {
        **SeriesRegressor._parameter_constraints,
        **ReservoirParameters._reservoir_constraints,
        "feedback_scaling": [Interval(Real, 0, None, closed="left")],
        "learning": [StrOptions({"ridge", "force"})],
        "washout": [Interval(Integral, 0, None, closed="left")],
        "direct": ["boolean"],
    }

    def __init__(
        self,
        units: int = 500,
        *,
        W: Any = None,
        spectral_radius: float | None = 0.9,
        leak: float = 1.0,
        input_scaling: float = 1.0,
        bias_scaling: float = 0.0,
        feedback_scaling: float = 0.0,
        connectivity: float = 0.1,
        plasticity: IntrinsicPlasticity | None = None,
        learning: Literal["ridge", "force"] = "ridge",
        washout: int = 0,
        direct: bool = True,
        ridge: float = 1e-6,
        difference: bool = False,
        forget: float = 1.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.units, self.W, self.spectral_radius, self.leak = units, W, spectral_radius, leak
        self.input_scaling, self.bias_scaling, self.feedback_scaling = input_scaling, bias_scaling, feedback_scaling
        self.connectivity, self.plasticity, self.learning = connectivity, plasticity, learning
        self.washout, self.direct = washout, direct
        self.ridge, self.difference, self.forget, self.random_state = ridge, difference, forget, random_state

    def _prepare(self, series: list[np.ndarray], outputs: int) -> None:
        if self.learning == "force" and (self.ridge == 0 or self.difference or self.forget != 1):
            raise ValueError(
                f"learning='force' with ridge={self.ridge}, difference={self.difference}, forget={self.forget}; "
                "expected ridge > 0, difference=False and forget=1"
            )
        self._outputs = outputs
        self._draw(series, self._feedback, self.feedback_scaling)

    @property
    def _feedback(self) -> int:
        """Columns of the output that units hear."""
        return self._outputs if self.feedback_scaling > 0 else 0

    def _warm_up(self) -> int:
        return self.washout

    def _start(self) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        rest = np.zeros(self._size)
        return (rest, np.zeros(self._outputs)) if self._feedback else rest

    def _features(self, X: np.ndarray, memory: Any, y: np.ndarray | None = None) -> tuple[np.ndarray, Any]:
        kind, units = X.dtype, self._size
        features = np.empty((len(X), units + (1 + X.shape[1] if self.direct else 0)), kind)
        if self.direct:
            features[:, units], features[:, units + 1 :] = 1, X
        if not self._feedback:
            return features, self.reservoir_.run(X, memory, features[:, :units])
        state, last = memory
        if y is None:
            y, _ = self._respond(X, memory)
        heard = np.vstack([last[None], y])
        rows = np.hstack([X, heard[:-1]]).astype(kind, order="C")
        return features, (self.reservoir_.run(rows, state, features[:, :units]), heard[-1])

    def _respond(self, X: np.ndarray, memory: Any) -> tuple[np.ndarray, Any]:
        if not self._feedback:
            return super()._respond(X, memory)
        kind = np.dtype(float)
        y, state, last = _units.respond(  # type: ignore[call-arg]
            X.astype(float, order="C"), memory[1], *self.reservoir_.arrays(kind), memory[0].astype(float),
            self._readout(), self.direct, self.difference,
        )  # fmt: skip
        return y, (state, last)

    def _learned(
        self, root: Root | None, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, memory: Any, skip: int
    ) -> Root:
        if self.learning != "force":
            return super()._learned(root, x, y, weight, memory, skip)
        size = self._size + (1 + x.shape[1] if self.direct else 0)
        if root is None:
            root = Root.prior(size, y.shape[1], self.ridge)
        # the inverse of the normal equations, and the readout they give so far
        R = np.linalg.inv(root.R)
        P, readout = R @ R.T, np.ascontiguousarray(root.coefficients().T)
        state, last = memory if self._feedback else (memory, np.zeros(y.shape[1]))
        x = x.astype(float, order="C")
        certainty = np.ones(len(x)) if weight is None else weight
        heard, end, last = _units.force(  # type: ignore[call-arg]
            x, y, certainty, last, *self.reservoir_.arrays(np.dtype(float)), state.astype(float), readout, P,
            self.direct, skip,
        )  # fmt: skip
        # the same rows once more give the normal equations without the rounding that P gathers
        features = np.ones((len(x), size))
        if self.direct:
            features[:, self._size + 1 :] = x
        self.reservoir_.run(self._with_heard(x, heard, memory), state, features[:, : self._size])
        self._memory, self._rows = ((end, last) if self._feedback else end), len(x)
        self._largest = max(self._largest, float(np.abs(y).max(initial=0.0)))
        scale = np.sqrt(certainty[skip:, None])
        return root.updated(features[skip:] * scale, y[skip:] * scale)

    def _with_heard(self, x: np.ndarray, heard: np.ndarray, memory: Any) -> np.ndarray:
        """Rows as units heard them, with the outputs (T, outputs) read out after each step."""
        if not self._feedback:
            return x
        return np.hstack([x, np.vstack([memory[1][None], heard[:-1]])])

    def _readout(self) -> np.ndarray:
        return np.ascontiguousarray(self.coef_.reshape(self._outputs, -1))

    def _roll(self, steps: int, memory: Any, last: np.ndarray) -> np.ndarray:
        state, heard = memory if self._feedback else (memory, last)
        return _units.roll(  # type: ignore[call-arg]
            last, np.asarray(heard, float), *self.reservoir_.arrays(np.dtype(float)), state.astype(float),
            self._readout(), self.direct, self.difference, steps,
        )  # fmt: skip
