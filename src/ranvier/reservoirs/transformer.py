"""A reservoir's states as features of other estimators."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ranvier.reservoirs import _series
from ranvier.reservoirs._estimator import FLOATS
from ranvier.reservoirs._parameters import ReservoirParameters
from ranvier.reservoirs._weights import IntrinsicPlasticity


class ReservoirTransformer(ReservoirParameters, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A series (n, d) -> the states (n, units) of a reservoir that hears it, from rest; of several series each.

    In scikit-learn's own composites reservoirs become deep (a Pipeline of some) and parallel (a FeatureUnion):

        deep = make_pipeline(ReservoirTransformer(200), ReservoirTransformer(200, leak=0.1), NGRC(1, 1, (1,)))
        deep.fit(series[:-1], series[1:])

    A FeatureUnion joins the states of one series only; for several make one reservoir of
    `W=scipy.linalg.block_diag(...)`.

    Parameters are those of `ESN`: units, W, spectral_radius, leak, input_scaling, bias_scaling, connectivity,
    plasticity, random_state. Attributes: `W_`, `reservoir_`, `n_features_in_`.

    >>> series = np.sin(0.3 * np.arange(60))[:, None]
    >>> states = rv.reservoirs.ReservoirTransformer(20, random_state=0).fit_transform(series)
    >>> states.shape, bool(np.abs(states).max() < 1)
    ((60, 20), True)
    """

    _parameter_constraints: dict[str, Any] = dict(ReservoirParameters._reservoir_constraints)

    def __init__(
        self,
        units: int = 500,
        *,
        W: Any = None,
        spectral_radius: float | None = 0.9,
        leak: float = 1.0,
        input_scaling: float = 1.0,
        bias_scaling: float = 0.0,
        connectivity: float = 0.1,
        plasticity: IntrinsicPlasticity | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.units, self.W, self.spectral_radius, self.leak = units, W, spectral_radius, leak
        self.input_scaling, self.bias_scaling, self.connectivity = input_scaling, bias_scaling, connectivity
        self.plasticity, self.random_state = plasticity, random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw the reservoir, and adapt it where `plasticity` says so; y is not used."""
        self._validate_params()  # type: ignore[attr-defined]
        self._draw([validate_data(self, x, reset=k == 0, dtype=FLOATS) for k, x in enumerate(_series.split(X))])
        return self

    def transform(self, X: Any) -> Any:
        """States, in the form of X. Raises ValueError for several series after `set_output`, which makes tables."""
        check_is_fitted(self, "reservoir_")
        container = getattr(self, "_sklearn_output_config", {}).get("transform", "default")
        if container != "default" and _series.is_several(X):
            raise ValueError(
                f"there are {len(X)} series, and set_output(transform={container!r}); expected one, which becomes a "
                "table: transform one after the other"
            )
        return _series.each(self._states, X)

    def _states(self, x: Any) -> np.ndarray:
        x = validate_data(self, x, reset=False, dtype=FLOATS)
        states = np.empty((len(x), self._size), x.dtype)
        self.reservoir_.run(np.ascontiguousarray(x), np.zeros(self._size), states)
        return states

    @property
    def _n_features_out(self) -> int:
        return self._size
