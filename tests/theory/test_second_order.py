"""Second-order responses against stationary curvature, modulated drive, added noise and simulation."""

import math

import pytest
import torch

from ranvier.theory import evolve, membrane, response, stationary
from ranvier.theory.second_order.response import filtered_noise, frequency_quadrature, mean_shift, second_order
from tests.theory import cases

NEURONS = ["O", "R", "T", "LIF"]


def build(name, shift=0.0, N=2000, **changes):
    force, options = getattr(cases, name)
    return membrane(lambda V: force(V) + shift, **{**options, **changes}, N=N)


@pytest.mark.parametrize("name", NEURONS)
def test_at_zero_frequency_it_is_the_curvature_of_the_rate(name):
    h = 0.02
    low, here, high = (float(stationary(build(name, x)).rate) for x in (-h, 0.0, h))
    assert float(second_order(build(name), 0.0)) == pytest.approx((low + high - 2 * here) / h**2, rel=2e-4)
    # and nothing happens to it on the way to small frequencies
    assert float(second_order(build(name), 1e-3)) == pytest.approx(float(second_order(build(name), 0.0)), rel=1e-6)


@pytest.mark.parametrize("frequency", [20.0, 50.0])
@pytest.mark.parametrize("amplitude", [1.0, 2.0])
def test_a_modulated_drive_shifts_the_mean_rate(frequency, amplitude):
    """By amplitude^2 chi2/4: the density equation in time knows nothing of perturbations."""
    neuron, dt = build("O", N=1000), 0.02
    steps = round(1000 / frequency / dt)
    periods = 1 + math.ceil(0.15 * frequency)  # until the start is forgotten
    times = (torch.arange(periods * steps) + 0.5) * dt
    drive = amplitude * torch.cos(2 * math.pi * frequency * times / 1000)
    rate = evolve(neuron, periods * steps * dt, dt, drive=drive[:, None]).rate[-steps:].mean()
    shift = float(rate - stationary(neuron).rate)
    # implicit Euler's error at this step is 0.2 %, the fourth order's at 2 mV 0.3 %
    assert shift == pytest.approx(amplitude**2 / 4 * float(second_order(neuron, frequency)), rel=0.005)


@pytest.mark.parametrize("name", ["O", "R", "T"])
def test_weighted_with_a_white_spectrum_it_is_the_response_to_noise(name):
    """White noise of spectrum 2 tau d(sigma^2) raises sigma^2: 1/2 int chi2 df must give that response."""
    neuron = build(name)
    f, w = frequency_quadrature(400, 400.0)
    spectrum = 2 * float(neuron.tau) * float(neuron.sigma) ** 2 / 1000 * torch.ones(400, 1, dtype=torch.float64)
    expected = float(response(neuron, 0.0).noise.real)  # per relative change of sigma^2
    assert float(mean_shift(neuron, f, spectrum, w)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", NEURONS)
def test_filtered_noise_against_the_quadrature_and_finite_differences(name):
    tau_s, h = 5.0, 0.05
    f, w = frequency_quadrature(200, 100.0)
    lorentzian = 2 * tau_s / 1000 / (1 + (2 * math.pi * f / 1000 * tau_s) ** 2)  # of unit variance
    noise = filtered_noise(build(name), tau_s, [0.0, 30.0])
    shift = float(noise.shift)
    assert shift == pytest.approx(float(mean_shift(build(name), f, lorentzian[:, None], w)), rel=1e-4)
    assert complex(noise.event[0]) == pytest.approx(shift, rel=1e-9)
    low, high = (float(filtered_noise(build(name, x), tau_s, 0.0).shift) for x in (-h, h))
    assert complex(noise.gain[0]) == pytest.approx((high - low) / (2 * h), rel=5e-3)


def test_a_postsynaptic_potential_beyond_linear():
    """Mean response to one impulse and its mirror image, integrated over time: their sum is of second order,
    and `event` at zero frequency times W^2/(2 tau_s)."""
    neuron, tau_s, dt, W = build("O", N=800), 5.0, 0.02, 10.0
    t = (torch.arange(round(300 / dt)) + 0.5) * dt
    psp = W / tau_s * torch.exp(-t / tau_s)
    base = evolve(neuron, 300.0, dt).rate
    both = sum((evolve(neuron, 300.0, dt, drive=(sign * psp)[:, None]).rate - base) for sign in (1.0, -1.0))
    area = float(both.sum()) * dt / 2  # Hz ms
    event = complex(filtered_noise(neuron, tau_s, 0.0).event[0]).real
    assert area == pytest.approx(event * W**2 / (2 * tau_s), rel=0.01)


def test_what_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="expected a time above 0 ms"):
        filtered_noise(build("O"), 0.0, 0.0)
    with pytest.raises(ValueError, match="finite"):
        second_order(build("O"), math.nan)


@pytest.mark.parametrize("sigma", [0.01, 0.2, 1.0, 100.0])
@pytest.mark.parametrize("mu", [5.0, 15.0, 25.0, 100.0])
def test_any_noise_and_drive(sigma, mu):
    """From silence to 290 Hz, at noise over four orders of magnitude: finite, and the curvature of the rate."""

    def neuron(shift):
        options = {"tau": 20.0, "sigma": sigma, "V_th": 20.0, "V_reset": 10.0, "t_ref": 2.0}
        return membrane(lambda V: mu + shift - V, **options, V_lb=10 - 12 * max(sigma, 1.0), N=4000)

    h = sigma / 20
    low, here, high = (float(stationary(neuron(x)).rate) for x in (-h, 0.0, h))
    chi2 = second_order(neuron(0.0), [0.0, 100.0, 2000.0])[:, 0]
    assert bool(torch.isfinite(chi2).all())
    error = 1e-8 + 1e-12 * here / h**2  # rounding, of the solve and of the difference
    assert float(chi2[0]) == pytest.approx((low + high - 2 * here) / h**2, rel=0.01, abs=error)
