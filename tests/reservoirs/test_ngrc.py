"""Features and readout of NG-RC against plain loops."""

import itertools
import math

import numpy as np
import pytest

from ranvier.reservoirs import NGRC, lorenz63


@pytest.mark.parametrize(("orders", "constant"), [((2,), True), ((3,), False), ((2, 3, 4), True)])
def test_features(orders, constant):
    x = np.random.default_rng(0).normal(size=(12, 2))
    model = NGRC(3, 2, orders, constant=constant).fit(x, x)
    result = model.features(x)
    t = 9
    linear = np.concatenate([x[t], x[t - 2], x[t - 4]])
    expected = [1.0] * constant + list(linear)
    for order in orders:
        expected += [math.prod(c) for c in itertools.combinations_with_replacement(linear, order)]
    np.testing.assert_allclose(result[t], expected, rtol=1e-13)
    np.testing.assert_allclose(np.prod(linear**model.powers_, axis=1), expected, rtol=1e-12)


def test_readout_is_ridge_on_whole_histories():
    series = lorenz63(120, rough=True)
    model = NGRC(2, ridge=1e-3, difference=True).fit(series[:-1], series[1:])
    rows = []
    for t in range(1, 119):
        lin = np.concatenate([series[t], series[t - 1]])
        rows.append(np.concatenate([[1], lin, [lin[i] * lin[j] for i in range(6) for j in range(i, 6)]]))
    F, D = np.array(rows, np.longdouble), series[2:] - series[1:-1]
    residual = F.T @ (D - F @ model.coef_.T.astype(np.longdouble)) - 1e-3 * model.coef_.T
    scale = np.abs(F.T) @ np.abs(D)
    assert np.abs(residual / scale).max() < 1e-12


def test_quadratic_map_is_found():
    """The Hénon map is a quadratic polynomial of two delays: its coefficients come back."""
    x = [0.1, 0.2]
    for _ in range(300):
        x.append(1 - 1.4 * x[-1] ** 2 + 0.3 * x[-2])
    x = np.array(x)[:, None]
    model = NGRC(2, ridge=0.0).fit(x[:-1], x[1:])
    expected = {(0, 0): 1.0, (2, 0): -1.4, (0, 1): 0.3}
    for powers, c in zip(map(tuple, model.powers_), model.coef_[0], strict=True):
        assert c == pytest.approx(expected.get(powers, 0.0), abs=1e-10)
    np.testing.assert_allclose(model.forecast(5, x[:200]), x[200:205], atol=1e-8)
