"""The p-spin glass of the atlas' loss surfaces: on a circle every critical point can be found by looking."""

import itertools

import numpy as np
import pytest
import torch

from ranvier.atlas.energies.loss_surfaces import SphericalGlass, critical_points, semicircle


def on_a_circle(seed):
    """Energies a spin of two spins, and which extrema are minima, from a fine grid of angles."""
    J = np.random.default_rng(seed).normal(size=(2, 2, 2))
    J = sum(J.transpose(order) for order in itertools.permutations(range(3))) / 12
    angle = np.linspace(0, 2 * np.pi, 200_001)
    s = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)])
    H = np.einsum("ijk,in,jn,kn->n", J, s, s, s) / 2
    turns = [k for k in range(1, len(H) - 1) if (H[k] - H[k - 1]) * (H[k + 1] - H[k]) < 0]
    return J, [(H[k], float(H[k] > H[k - 1])) for k in turns]


@pytest.mark.parametrize("seed", range(4))
def test_all_critical_points_on_a_circle(seed):
    """One direction is left: it leads down at maxima, and at no minimum."""
    _, extrema = on_a_circle(seed)
    result = critical_points(2, 40, True, True, seed)
    assert len(result) > 30
    near = [min(range(len(extrema)), key=lambda k: abs(extrema[k][0] - energy)) for energy, _ in result]
    for (energy, index), k in zip(result, near, strict=True):
        assert energy == pytest.approx(extrema[k][0], abs=1e-7) and index == extrema[k][1]
    assert {extrema[k][1] for k in near} == {0.0, 1.0}


def test_energy_and_force_against_the_sum():
    J, _ = on_a_circle(7)
    s = np.array([0.6, -1.3])
    model, x = SphericalGlass(torch.from_numpy(J)), torch.from_numpy(s)[None]
    assert float(model.energy(x)) == pytest.approx(np.einsum("ijk,i,j,k", J, s, s, s) / 2)
    np.testing.assert_allclose(model.force(x)[0], -3 * np.einsum("ijk,j,k", J, s, s) / 2)
    with pytest.raises(ValueError, match="clamped spins"):
        from ranvier.energies import Clamp, Descent

        Descent(model).settle(x, Clamp.at([0], x[:, :1], 2))


def test_the_semicircle_counts_what_is_below_zero():
    """Its distribution function, by quadrature: centre −p u, radius 2√(p(p−1)), p = 3."""
    from scipy.integrate import quad

    radius = 2 * np.sqrt(6)
    for u in (-1.5, -0.7, 0.0, 1.1):
        part = quad(lambda v: 2 / (np.pi * radius**2) * np.sqrt(radius**2 - v * v), -radius, 3 * u)[0]
        assert semicircle(u) == pytest.approx(part, abs=1e-7)
    assert semicircle(-1.7) == 0.0
