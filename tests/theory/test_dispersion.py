"""CV, spectra and counts of neurons that drift carries, against closed forms and the small-noise expansion."""

import math

import mpmath as mp
import numpy as np
import pytest
import torch
from scipy.stats import norm

import ranvier as rv
from ranvier import theory
from ranvier.theory.single_neuron import renewal
from tests.theory.beside import gradient_is_that_of_differences


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


def passage(f, sigma):
    """Transform at f Hz of the first passage of an Ornstein-Uhlenbeck process from 35 to 20 mV below its mean, and
    the refractory time (Darling & Siegert 1953)."""
    nu, reset, threshold = 2j * mp.pi * f * 20 / 1000, 35 / mp.mpf(sigma), 20 / mp.mpf(sigma)
    ratio = mp.exp((reset**2 - threshold**2) / 4) * mp.pcfd(-nu, reset) / mp.pcfd(-nu, threshold)
    return ratio * mp.exp(-nu / 10)


def moments(sigma):
    """Mean and standard deviation of the intervals, ms."""
    with mp.workdps(40):
        h = mp.mpf("1e-8")
        up, down = mp.log(passage(h, sigma)), mp.log(passage(-h, sigma))
        w = 2 * mp.pi * h / 1000
        return float(-(up - down).imag / (2 * w)), float(mp.sqrt(-(up + down).real) / w)


@pytest.mark.parametrize("sigma", [1.0, 0.2, 0.02])
def test_spectrum(sigma):
    """Between, beside and at its peaks, whose width is pi r CV^2: down to 1e-6 of the rate."""
    r = 1000 / moments(sigma)[0]
    f = r * torch.tensor([0.3, 0.9, 0.999, 1.0, 1.3, 2.0, 3.0, 8.0], dtype=torch.float64)
    expected = []
    for x in f.tolist():
        with mp.workdps(40):
            rho = passage(mp.mpf(x), sigma)
            expected.append(r * float(((1 + rho) / (1 - rho)).real))
    spectrum = theory.response(neuron(sigma), f).spectrum[:, 0]
    torch.testing.assert_close(spectrum, torch.tensor(expected, dtype=torch.float64), rtol=1e-3, atol=0)


def regular(sigma):
    net = rv.Network()
    net.add(rv.LIF(), 1, drive=35.0, noise=sigma)
    return rv.predict(net)


@pytest.mark.parametrize("sigma", [0.2, 0.02])
def test_counts_and_correlations_at_low_noise(sigma):
    """Against sums of normal intervals, as they are at low noise."""
    mean, sd = moments(sigma)
    prediction, r, k = regular(sigma), 1 / mean, np.arange(1, 60)[:, None]
    t = np.linspace(0.0, 500.0, 20_001)
    ended = norm.cdf((t - k * mean) / (sd * np.sqrt(k))).sum(0)
    expected = 500 * r - (500 * r) ** 2 + 2 * r * np.trapezoid(ended, t)
    assert float(prediction.covariance(500.0)) == pytest.approx(expected, rel=1e-3)
    assert float(prediction.covariance(3.0)) == pytest.approx(3 * r * (1 - 3 * r), rel=1e-3)
    first = prediction.cross_correlation([mean - 2.0, mean], bin=1.0)[:, 0, 0]
    overlap = 1 - 2 * sd / math.sqrt(2 * math.pi)  # of triangle and peak: 1 - E|x|
    expected = torch.tensor([0.0, overlap * 1000 * 1000 * r], dtype=torch.float64) - (1000 * r) ** 2
    torch.testing.assert_close(first, expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("what", ["count_variance", "correlation", "spectrum"])
def test_gradients_of_renewal_processes(what):
    at = torch.tensor([3.0, 40.0, 300.0], dtype=torch.float64)
    ask = {
        "count_variance": lambda r, cv: renewal.count_variance(r, cv, at),
        "correlation": lambda r, cv: renewal.correlation(r, cv, at, 0.0) + renewal.correlation(r, cv, at, 2.0),
        "spectrum": lambda r, cv: renewal.spectrum(r, cv, at),
    }[what]
    weights = torch.tensor([[1.0], [2.0], [0.5]], dtype=torch.float64)
    x = torch.tensor([0.08, 0.2], dtype=torch.float64)
    gradient_is_that_of_differences(lambda x: (weights * ask(x[:1], x[1:])).sum(), x, rel=1e-5)


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
