"""Next-generation reservoir computing: a polynomial of the last few inputs in place of a reservoir."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from ranvier.reservoirs import _monomials
from ranvier.reservoirs._estimator import SeriesRegressor


class NGRC(SeriesRegressor):
    """Nonlinear vector autoregression (Gauthier, Bollt, Griffith & Barbosa 2021, Nat. Commun. 12:5564).

    The features of row t are a constant, the inputs at t, t - stride, ... (`delays` of them) and their unique
    products of each of the `orders`; the readout is a ridge regression. The paper's forecast of Lorenz's system, some
    four Lyapunov times from 400 points:

        series = lorenz63(400, dt=0.025, rough=True)
        model = NGRC(delays=2, orders=(2,), ridge=2.5e-6, difference=True).fit(series[:-1], series[1:])
        model.forecast(200, series)

    Its series is integrated roughly (RK23 to 1e-3), and that irregularity matters: on a smooth one two rows 0.025 apart
    hold nearly the same, and the second grows into an unstable mode that no ridge of this kind tames. There one row
    and more orders do better, seven Lyapunov times from 1000 points:

        series = lorenz63(1000, dt=0.025)
        model = NGRC(delays=1, orders=(2, 3, 4), ridge=2.5e-6, difference=True).fit(series[:-1], series[1:])
        model.forecast(200, series)

    Parameters
    ----------
    delays : rows in the linear features (the paper's k).
    stride : rows between them (the paper's s).
    orders : degrees of the products; (3,) takes cubic ones only.
    constant : whether 1 is a feature.
    ridge : added to the diagonal of the normal equations, the constant's entry too.
    difference : learn y - X in place of y, for a forecast of the next row.
    forget : weight of a row against the following one, for `partial_fit`; 1 forgets nothing.

    Attributes: `coef_` (outputs, F) or (F,), `n_features_in_`, `root_` (of the normal equations),
    `powers_` (F, delays · d): the exponents of each feature.

    Rows whose history is incomplete are left out of `fit`; `predict` holds the first row before the beginning.

    >>> series = np.sin(0.3 * np.arange(200))[:, None]  # x[t + 1] = 2 cos(0.3) x[t] - x[t - 1]
    >>> model = rv.reservoirs.NGRC(delays=2, orders=(2,), ridge=1e-9).fit(series[:-1], series[1:])
    >>> bool(np.abs(model.forecast(20, series) - np.sin(0.3 * np.arange(200, 220))[:, None]).max() < 0.01)
    True
    """

    _parameter_constraints: dict[str, Any] = {
        **SeriesRegressor._parameter_constraints,
        "delays": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "orders": [tuple, list],
        "constant": ["boolean"],
    }

    def __init__(
        self,
        delays: int = 2,
        stride: int = 1,
        orders: tuple[int, ...] = (2,),
        *,
        constant: bool = True,
        ridge: float = 1e-6,
        difference: bool = False,
        forget: float = 1.0,
    ) -> None:
        self.delays, self.stride, self.orders, self.constant = delays, stride, orders, constant
        self.ridge, self.difference, self.forget = ridge, difference, forget

    def _prepare(self, series: list[np.ndarray], outputs: int) -> None:
        if any(not isinstance(order, Integral) or order < 1 for order in self.orders):
            raise ValueError(f"orders is {self.orders!r}; expected whole numbers of at least 1, such as (2,)")
        linear = self.delays * series[0].shape[1]
        self._plan = _monomials.plan(linear, tuple(self.orders), self.constant)
        parent, factor, keep = self._plan
        powers = np.zeros((len(parent), linear), int)
        for k in range(1, len(parent)):
            powers[k] = powers[parent[k]]
            powers[k, factor[k]] += 1
        self.powers_ = powers[keep]

    def _warm_up(self) -> int:
        return (self.delays - 1) * self.stride

    def _start(self) -> None:
        return None

    def _features(
        self, X: np.ndarray, memory: np.ndarray | None, y: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        depth = self._warm_up()
        before = np.repeat(X[:1], depth, axis=0) if memory is None else memory.astype(X.dtype)
        series = np.concatenate([before, X])
        taps = [series[depth - k * self.stride : len(series) - k * self.stride] for k in range(self.delays)]
        parent, factor, keep = self._plan
        return _monomials.products(np.hstack(taps), parent, factor)[:, keep], series[len(series) - depth :]

    def _roll(self, steps: int, memory: np.ndarray | None, last: np.ndarray) -> np.ndarray:
        depth = self._warm_up()
        before = np.repeat(last[None], depth, axis=0) if memory is None else memory.astype(float)
        parent, factor, keep = self._plan
        weights = np.zeros((len(last), len(parent)))
        weights[:, keep] = self.coef_.reshape(len(last), -1)
        taps = np.concatenate([before, last[None]])
        return _monomials.roll(taps, self.stride, parent, factor, weights, self.difference, steps)
