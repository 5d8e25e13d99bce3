"""Largest eigenvalues, of matrices that are known and against a dense solver."""

import numpy as np
import pytest

from ranvier.theory import spectral_radius


def test_rings_loops_and_chains():
    n = 500
    ring = np.arange(n)
    assert spectral_radius(ring, (ring + 1) % n, np.full(n, -0.7), n) == pytest.approx(0.7, rel=1e-4)
    assert spectral_radius([0, 1], [1, 0], [4.0, -9.0], 2) == pytest.approx(6.0)
    assert spectral_radius(ring[:-1], ring[1:], np.full(n - 1, 5.0), n) == 0.0  # a chain has no loop
    assert spectral_radius([0, 0, 2], [0, 0, 1], [0.25, 0.5, 9.0], 3) == pytest.approx(0.75)  # entries add
    assert spectral_radius([], [], [], 0) == spectral_radius([], [], [], 3) == 0.0


@pytest.mark.parametrize("size", [30, 600])
def test_random_matrices(size):
    rng = np.random.default_rng(size)
    targets, sources = rng.integers(size, size=(2, 6 * size))
    values = rng.normal(size=6 * size)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (targets, sources), values)
    expected = np.abs(np.linalg.eigvals(matrix)).max()
    assert spectral_radius(sources, targets, values, size) == pytest.approx(expected, rel=1e-8)
