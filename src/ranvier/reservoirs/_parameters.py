"""The parameters that all estimators with a reservoir share, and the weights drawn from them."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from ranvier.reservoirs import _weights
from ranvier.reservoirs._weights import IntrinsicPlasticity, ReservoirWeights


class ReservoirParameters:
    """Mixin of estimators. Fitted attributes: `reservoir_`, and `W_`, the matrix [target, source]."""

    _reservoir_constraints: dict[str, Any] = {
        "units": [Interval(Integral, 2, None, closed="left")],
        "W": ["array-like", "sparse matrix", None],
        "spectral_radius": [Interval(Real, 0, None, closed="left"), None],
        "leak": [Interval(Real, 0, 1, closed="right")],
        "input_scaling": [Interval(Real, 0, None, closed="left")],
        "bias_scaling": [Interval(Real, 0, None, closed="left")],
        "connectivity": [Interval(Real, 0, 1, closed="right")],
        "plasticity": [IntrinsicPlasticity, None],
        "random_state": ["random_state"],
    }
    units: int
    W: Any
    spectral_radius: float | None
    leak: float
    input_scaling: float
    bias_scaling: float
    connectivity: float
    plasticity: IntrinsicPlasticity | None
    random_state: int | np.random.RandomState | None
    reservoir_: ReservoirWeights

    @property
    def W_(self) -> csr_matrix:
        """The weights between units, [target, source]."""
        return self.reservoir_.matrix()

    def _draw(self, series: list[np.ndarray], feedback: int = 0, feedback_scaling: float = 0.0) -> None:
        columns = series[0].shape[1]
        scaling = np.array([self.input_scaling] * columns + [feedback_scaling] * feedback)
        weights = _weights.build(
            self.units, self.W, columns + feedback, radius=self.spectral_radius, leak=self.leak,
            input_scaling=scaling, bias_scaling=self.bias_scaling, connectivity=self.connectivity,
            random=check_random_state(self.random_state),
        )  # fmt: skip
        if self.plasticity is not None:
            silent = [np.hstack([x, np.zeros((len(x), feedback))]) for x in series]
            weights = weights.adapted(silent, self.plasticity)
        self.reservoir_ = weights

    @property
    def _size(self) -> int:
        return len(self.reservoir_.bias)

