"""CV and spectra of neurons that drift carries, against the small-noise expansion and finer grids."""

import math

import numpy as np
import pytest
import torch

from ranvier import theory


def neuron(sigma, N=None):
    return theory.membrane(lambda V: 35.0 - V, tau=20.0, sigma=sigma, V_th=15.0, V_reset=0.0, t_ref=2.0, N=N)


@pytest.mark.parametrize("sigma", [0.02, 0.2])
def test_cv_at_low_noise(sigma):
    """Var T = integral of 2 D/v^3; the grid's own dispersion is up to 50 times that."""
    V = np.linspace(0.0, 15.0, 100_001)
    sd = math.sqrt(np.trapezoid(2 * sigma**2 / 20.0 / ((35.0 - V) / 20.0) ** 3, V))
    state = theory.stationary(neuron(sigma))
    assert float(state.cv) == pytest.approx(sd * float(state.rate) / 1000, rel=3e-4)
    assert float(state.rate) == pytest.approx(1000 / (2.0 + 20.0 * math.log(35 / 20)), rel=1e-4)


def test_spectrum_is_that_of_a_fine_grid():
    f = torch.tensor([0.0, 20.0, 60.0, 76.0, 100.0, 152.0, 228.0, 600.0])
    coarse, fine = (theory.response(neuron(1.0, N), f).spectrum for N in (None, 20_000))
    torch.testing.assert_close(coarse, fine, rtol=1e-3, atol=0)
    assert float(theory.response(neuron(0.2), 76.0).spectrum) == pytest.approx(1732.0, rel=0.05)  # of 60 000 steps


def test_noise_alone_leaves_nothing_to_take_away():
    m = theory.membrane(lambda V: 5.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0)
    fine = theory.membrane(lambda V: 5.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0, N=8000)
    assert float(theory.stationary(m).cv) == pytest.approx(float(theory.stationary(fine).cv), rel=2e-5)


def test_gradients():
    def cv(sigma):
        return theory.stationary(neuron(sigma, 1500)).cv

    sigma = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(cv(sigma).sum(), sigma)
    with torch.no_grad():
        expected = (cv(sigma + 1e-4) - cv(sigma - 1e-4)) / 2e-4
    assert float(slope) == pytest.approx(float(expected), rel=1e-3)
