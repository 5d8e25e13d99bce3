"""The echo-state run against a plain loop, and the laws of its memory."""

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.sparse import csr_matrix

from ranvier.reservoirs import ESN, memory_capacity, nrmse, valid_time
from ranvier.reservoirs._weights import spectral_radius


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_states(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3)).astype(dtype)
    model = ESN(40, leak=0.4, bias_scaling=0.2, input_scaling=0.7, connectivity=0.25, random_state=1).fit(x, x)
    W = model.W_.toarray()
    assert np.abs(np.linalg.eigvals(W)).max() == pytest.approx(0.9, rel=1e-7)  # weights of float32
    assert (np.count_nonzero(W, axis=0) == 10).all() and (np.count_nonzero(W, axis=1) == 10).all()
    assert not np.diag(W).any()
    r, states = np.zeros(40), []
    for row in x:
        r = 0.6 * r + 0.4 * np.tanh(W @ r + model.reservoir_.inputs @ row + model.reservoir_.bias)
        states.append(np.concatenate([r, [1], row]))
    result = model.features(x)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, states, atol=1e-13 if dtype == np.float64 else 1e-5)


def test_large_radius():
    model = ESN(400, spectral_radius=1.3, connectivity=0.05, random_state=2).fit(np.ones((5, 1)), np.ones(5))
    W = model.W_.toarray()
    assert np.abs(np.linalg.eigvals(W)).max() == pytest.approx(1.3, rel=1e-7)


def test_eigenvalues_fill_a_disc():
    """Weights on random shifts keep the circular law of independent weights: half of them lie within sqrt(1/2)."""
    model = ESN(600, spectral_radius=1.0, connectivity=0.1, random_state=4).fit(np.ones((5, 1)), np.ones(5))
    modulus = np.abs(np.linalg.eigvals(model.W_.toarray()))
    inside = np.mean(modulus < 0.5**0.5 * np.sort(modulus)[-6])
    assert inside == pytest.approx(0.5, abs=0.06)


def test_memory_is_at_most_the_units():
    """Jaeger (2002): the capacity of N linear units is N at most, and nearly that for small inputs."""
    capacity = memory_capacity(
        ESN(20, input_scaling=0.01, spectral_radius=0.95, connectivity=0.5, ridge=1e-14, random_state=0), length=6000
    )
    assert capacity[0] > 0.99
    assert 12 < capacity.sum() < 21.5
    strong = memory_capacity(ESN(20, input_scaling=3.0, connectivity=0.5, ridge=1e-9, random_state=0), length=6000)
    assert strong.sum() < 0.6 * capacity.sum()


def test_echo_state_property():
    """Two pasts are forgotten below radius 1, not far above it."""
    rng = np.random.default_rng(0)
    x, pasts = rng.normal(size=(300, 1)) * 0.05, rng.normal(size=(2, 50, 1))

    def apart(radius):
        model = ESN(100, spectral_radius=radius, connectivity=0.3, random_state=0).fit(x, x)
        a, b = (model.features(x, history=past)[-1] for past in pasts)
        return np.abs(a - b).max()

    assert apart(0.8) < 1e-9 < 1e-2 < apart(3.0)


def test_same_seed_same_reservoir():
    x = np.random.default_rng(0).normal(size=(50, 2))
    a, b, c = (ESN(30, random_state=s).fit(x, x).coef_ for s in (1, 1, 2))
    assert np.array_equal(a, b) and not np.allclose(a, c)


def test_measures():
    true = np.array([[0.0, 0.0], [2.0, 4.0]])
    assert nrmse(true, true + 1) == pytest.approx((1 / 5) ** 0.5)
    assert valid_time(true, true, dt=0.5) == 1.0
    assert valid_time(true, true + np.array([[0.0], [9.0]]), dt=0.5) == 0.5
    assert valid_time(true, true + np.nan) == 0.0
    with pytest.raises(ValueError, match=r"shapes \(2, 2\) and \(1, 2\)"):
        nrmse(true, true[:1])


@pytest.mark.parametrize("seed", [0, 3])
def test_the_radius_is_that_of_the_largest_eigenvalue(seed):
    """Random weights have many eigenvalues of nearly the largest modulus: too small a search settles on another."""
    random = np.random.RandomState(seed)
    n, W = 1000, np.zeros((1000, 1000))
    for shift in random.choice(np.arange(1, n), 100, replace=False):
        W[np.arange(n), (np.arange(n) + shift) % n] = random.normal(size=n)
    exact = np.abs(np.linalg.eigvals(W)).max()
    assert spectral_radius(csr_matrix(W), random) == pytest.approx(exact, rel=1e-7)


def block(*parts):
    return csr_matrix(block_diag(*parts))


RING = np.roll(np.eye(60), 1, axis=0)  # all eigenvalues on the unit circle
CHAIN = np.eye(500, k=-1)  # no cycle
PAIR = np.array([[0.0, 4.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("W", "radius"),
    [
        (csr_matrix(2.5 * RING), 2.5), (csr_matrix(CHAIN), 0.0), (csr_matrix(CHAIN + 0.3 * np.eye(500)), 0.3),
        (block(CHAIN, PAIR), 2.0), (block(1.5 * RING, PAIR, [[-3.0]]), 3.0), (csr_matrix((300, 300)), 0.0),
        (csr_matrix(np.full((300, 300), -0.1)), 30.0), (csr_matrix(RING + RING.T), 2.0),
    ],
)  # fmt: skip
def test_the_radius_of_matrices_whose_eigenvalues_are_known(W, radius):
    """Only cycles count: a long chain by itself makes vectors longer and has radius 0."""
    assert spectral_radius(W, np.random.RandomState(0)) == pytest.approx(radius, rel=1e-7)
