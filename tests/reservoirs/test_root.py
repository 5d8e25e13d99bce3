"""Ridge by a triangular root, against exact rational arithmetic and longer floats."""

import numpy as np
import pytest
from sympy import Matrix, Rational

from ranvier.reservoirs import _root
from ranvier.reservoirs._root import Root


def exact(x: list[list[int]], y: list[int], ridge: Rational) -> np.ndarray:
    X, Y = Matrix(x), Matrix(y)
    return np.array((X.T * X + ridge * Matrix.eye(X.cols)).LUsolve(X.T * Y), dtype=float).ravel()


def test_nearly_dependent_features():
    """Three columns that differ in the seventh digit: squared, the condition number leaves two digits."""
    noise = [[(7 * t * t + 3 * t) % 11, (5 * t * t * t + t) % 13] for t in range(1, 21)]
    x = [[10**7 * t, 10**7 * t + a, 10**7 * t + b] for t, (a, b) in zip(range(1, 21), noise, strict=True)]
    y = [(-1) ** t * t for t in range(20)]
    expected = exact(x, y, Rational(1, 10**6))
    A, b = np.array(x, float), np.array(y, float)[:, None]
    result = Root.prior(3, 1, 1e-6).updated(A, b).coefficients()
    toy = np.linalg.solve(A.T @ A + 1e-6 * np.eye(3), A.T @ b)
    assert np.abs(result[:, 0] - expected).max() < 1e-7 * np.abs(expected).max()
    assert np.abs(toy[:, 0] - expected).max() > 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("forget", [1.0, 0.95])
def test_rows_one_by_one_are_rows_at_once(forget):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(150, 9)) * 10.0 ** -np.arange(9), rng.normal(size=(150, 2))
    weight = forget ** np.arange(149, -1, -1)[:, None]
    prior = 1e-4 * forget**150
    expected = np.linalg.lstsq(
        np.vstack([x * weight**0.5, prior**0.5 * np.eye(9)]), np.vstack([y * weight**0.5, np.zeros((9, 2))]), rcond=None
    )[0]
    whole = Root.prior(9, 2, 1e-4).updated(x, y, forget)
    parts = Root.prior(9, 2, 1e-4)
    for rows in (slice(0, 1), slice(1, 2), slice(2, 140), slice(140, 150)):
        parts = parts.updated(x[rows], y[rows], forget)
    for root in (whole, parts):
        np.testing.assert_allclose(root.coefficients(), expected, rtol=1e-8, atol=1e-10)


def test_gram_gives_what_rotations_give():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(700, 300)), rng.normal(size=(700, 2))
    x[:, 1] = x[:, 0] + 1e-5 * x[:, 1]  # no scaling of columns mends this
    prior = Root.prior(300, 2, 1e-12)
    quick = prior._by_gram(x, y)
    careful = _root._rotate(prior.R, prior.z, x, y)
    assert quick is not None
    np.testing.assert_allclose(quick.coefficients(), careful.coefficients(), rtol=1e-8)  # 1e-5 unless refined
    x[:, 1] = x[:, 0] * (1 + 1e-9 * x[:, 2])
    assert prior._by_gram(x, y) is None


def test_nothing_to_learn():
    x = np.random.default_rng(3).normal(size=(700, 300))
    assert not Root.prior(300, 1, 1e-6).updated(x, np.zeros((700, 1))).coefficients().any()


def test_dependent_features():
    x = np.ones((5, 2))
    with pytest.raises(ValueError, match="linearly dependent"):
        Root.prior(2, 1, 0.0).updated(x, x[:, :1]).coefficients()
