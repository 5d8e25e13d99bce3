"""Maps of activity in space, against hexagonal and square lattices and plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.analysis.spatial import autocorrelogram, gridness, rate_maps, spatial_information

rng = np.random.default_rng(0)


def hexagonal(n: int, period: float, angle: float = 0.0, phase: float = 0.0) -> np.ndarray:
    rows, columns = np.indices((n, n)).astype(float)
    waves = (
        np.cos(4 * np.pi / np.sqrt(3) / period * ((columns - phase) * np.cos(a) + rows * np.sin(a)))
        for a in angle + np.arange(3) * np.pi / 3
    )
    return sum(waves)


def square(n: int, period: float) -> np.ndarray:
    return np.add.outer(*[np.cos(2 * np.pi / period * np.arange(n))] * 2)


@pytest.mark.parametrize("n", [12, 20, 30])
@pytest.mark.parametrize("angle", [0.0, 0.2, 0.5])
def test_lattices_are_told_apart(n, angle):
    grid = hexagonal(n, n / 2.6, angle, phase=1.3)
    assert gridness(grid) > 1.2
    assert gridness(3 + 7 * grid) == pytest.approx(gridness(grid), abs=1e-6)
    assert gridness(grid, fold=4) < 0.5
    assert gridness(square(n, n / 2.6)) < -0.5 and gridness(square(n, n / 2.6), fold=4) > 1.2


def test_noise_and_bands_are_no_grids():
    noise = [gridness(rng.standard_normal((20, 20))) for _ in range(20)]
    assert np.max(noise) < 0.6 and abs(np.mean(noise)) < 0.2
    assert gridness(np.cos(2 * np.pi / 7 * np.indices((20, 20))[0])) < 0.5


def test_a_grid_with_holes_is_one():
    grid = hexagonal(20, 8.0)
    grid[rng.random((20, 20)) < 0.1] = np.nan
    assert gridness(grid) > 1.0


def test_correlations_of_overlaps_by_loops():
    x = rng.standard_normal((6, 7))
    x[2, 3] = np.nan
    r = autocorrelogram(x)
    for dr, dc in ((0, 0), (1, 2), (-2, 3), (0, -1)):
        pairs = [
            (x[i + dr, j + dc], x[i, j])
            for i in range(6) for j in range(7)
            if 0 <= i + dr < 6 and 0 <= j + dc < 7
        ]  # fmt: skip
        pairs = np.array([p for p in pairs if np.isfinite(p).all()])
        assert r[5 + dr, 6 + dc] == pytest.approx(np.corrcoef(pairs.T)[0, 1], abs=1e-9)
    assert np.isnan(r[0, 0])  # one bin overlaps


def test_rates_and_information_of_drawn_spikes():
    """A cell that fires in one of n places tells log2 n bits a spike; shares by hand."""
    places = rng.integers(0, 12, 4000)
    maps = rate_maps(places, np.stack([places == 5, np.ones(4000), places % 2], 1), (3, 4))
    occupancy = np.bincount(places, minlength=12).reshape(3, 4)
    assert maps[0, 1, 1] == 1 and maps[0].sum() == 1
    p, odd = occupancy[1, 1] / 4000, occupancy[:, 1::2].sum() / 4000
    np.testing.assert_allclose(spatial_information(maps, occupancy), [-np.log2(p), 0.0, -np.log2(odd)], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rate_maps([0.5], [[1.0]], (1, 1)), "whole numbers"), (lambda: rate_maps([], [], (1, 1)), "whole"),
        (lambda: rate_maps([0], [[np.nan]], (1, 1)), "finite rows"),
        (lambda: spatial_information(np.ones((1, 2, 2)), np.ones((2, 3))), "as occupancy has"),
        (lambda: spatial_information(np.full((1, 1, 2), np.nan), np.ones((1, 2))), "NaN"),
        (lambda: gridness(np.ones((9, 9)), fold=5), "fold is 5"),
        (lambda: gridness(np.full((9, 9), np.nan)), "no number"),
    ],
)  # fmt: skip
def test_wrong_values(call, words):
    with pytest.raises(ValueError, match=words):
        call()
