"""Echo-state networks."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from ranvier.reservoirs import _units
from ranvier.reservoirs._estimator import SeriesRegressor


class ESN(SeriesRegressor):
    """Leaky echo-state network (Jaeger 2001, GMD report 148; Jaeger et al. 2007, Neural Networks 20:335).

    r[t] = (1 - leak) r[t-1] + leak tanh(W r[t-1] + W_in x[t] + b); the readout is a ridge regression on r and,
    with `direct`, on 1 and x.

    Parameters
    ----------
    units : size of the reservoir.
    spectral_radius : of W, whose weights are uniform before they are scaled.
    leak : within (0, 1].
    input_scaling, bias_scaling : W_in and b are uniform within ± these.
    connectivity : share of the other units that each unit listens to, and that listen to it. Unit i listens to
        the units i + shift, with shifts that are the same for all, and independent weights.
    washout : rows at the beginning of a series that only set the state.
    direct : whether the readout sees a constant and the input too.
    ridge, difference, forget : as of `NGRC`.
    random_state : of the three random matrices.

    Attributes: `coef_` (outputs, F) or (F,), `n_features_in_`, `root_`, `shifts_` (inputs of a unit,),
    `weights_` (inputs of a unit, units), `input_weights_` (units, d), `bias_` (units,).
    """

    _parameter_constraints: dict = {
        **SeriesRegressor._parameter_constraints,
        "units": [Interval(Integral, 2, None, closed="left")],
        "spectral_radius": [Interval(Real, 0, None, closed="left")],
        "leak": [Interval(Real, 0, 1, closed="right")],
        "input_scaling": [Interval(Real, 0, None, closed="left")],
        "bias_scaling": [Interval(Real, 0, None, closed="left")],
        "connectivity": [Interval(Real, 0, 1, closed="right")],
        "washout": [Interval(Integral, 0, None, closed="left")],
        "direct": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        units: int = 500,
        *,
        spectral_radius: float = 0.9,
        leak: float = 1.0,
        input_scaling: float = 1.0,
        bias_scaling: float = 0.0,
        connectivity: float = 0.1,
        washout: int = 0,
        direct: bool = True,
        ridge: float = 1e-6,
        difference: bool = False,
        forget: float = 1.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.units, self.spectral_radius, self.leak = units, spectral_radius, leak
        self.input_scaling, self.bias_scaling, self.connectivity = input_scaling, bias_scaling, connectivity
        self.washout, self.direct = washout, direct
        self.ridge, self.difference, self.forget, self.random_state = ridge, difference, forget, random_state

    def _prepare(self, n_features: int) -> None:
        random = check_random_state(self.random_state)
        degree = min(max(1, round(self.connectivity * self.units)), self.units - 1)
        self.shifts_, self.weights_ = _units.draw(self.units, degree, self.spectral_radius, random)
        self.input_weights_ = random.uniform(-1, 1, (self.units, n_features)) * self.input_scaling
        self.bias_ = random.uniform(-1, 1, self.units) * self.bias_scaling

    def _warm_up(self) -> int:
        return self.washout

    def _start(self) -> np.ndarray:
        return np.zeros(self.units)

    def _features(self, X: np.ndarray, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kind = X.dtype
        features = np.empty((len(X), self.units + (1 + X.shape[1] if self.direct else 0)), kind)
        if self.direct:
            features[:, self.units], features[:, self.units + 1 :] = 1, X
        end = _units.run(X, *self._constants(kind), memory.astype(kind), features[:, : self.units])  # type: ignore
        return features, end

    def _constants(self, kind: np.dtype) -> tuple:
        arrays = self.input_weights_.T, self.bias_, self.weights_
        inputs, bias, weights = (np.ascontiguousarray(array, kind) for array in arrays)
        return inputs, bias, self.shifts_, weights, kind.type(self.leak)

    def _roll(self, steps: int, memory: np.ndarray, last: np.ndarray) -> np.ndarray:
        readout = np.ascontiguousarray(self.coef_.reshape(len(last), -1))
        return _units.roll(  # type: ignore
            last, *self._constants(np.dtype(float)), memory.astype(float), readout, self.direct, self.difference, steps
        )
