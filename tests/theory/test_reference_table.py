"""The reference table, convergence in the grid's step, and agreement with finite differences."""

import pytest
import torch

from ranvier import theory
from ranvier.theory.single_neuron.dispersion import corrected_rate, missing_time
from tests.theory import cases

OO, RR, TT, LIF = cases.O, cases.R, cases.T, cases.LIF


def at(neuron, N, **changed):
    return theory.membrane(neuron[0], N=N, **{**neuron[1], **changed})


def extrapolated(neuron, measure, N=2000):
    """Richardson's extrapolation of a second-order result."""
    return (4 * measure(at(neuron, 2 * N)) - measure(at(neuron, N))) / 3


@pytest.mark.parametrize(
    "neuron, rate, cv",
    [
        (OO, 7.54922, 0.894176),
        (RR, 18.16470, 0.856447),
        (TT, 17.7587, 0.97896),
        (LIF, 9.460799805759, 0.814757),
    ],
)
def test_rate_and_cv(neuron, rate, cv):
    result = extrapolated(
        neuron, lambda m: torch.stack([theory.stationary(m).rate[0], theory.stationary(m).cv[0]])
    )
    assert float(result[0]) == pytest.approx(rate, rel=4e-6)
    assert float(result[1]) == pytest.approx(cv, rel=4e-6)


def test_rate_at_each_resolution():
    for N, rate in ((500, 7.55386), (1000, 7.55039), (2000, 7.54952), (4000, 7.54929)):
        assert float(theory.stationary(at(OO, N)).rate) == pytest.approx(rate, abs=6e-6)


@pytest.mark.parametrize("neuron, tolerance", [(OO, 0.06), (RR, 0.15), (TT, 0.25), (LIF, 0.06)])
def test_second_order_in_the_step(neuron, tolerance):
    """The spike's upstroke, where a step outgrows sigma^2/F, adds a logarithm: step^2 log(1/step)."""

    def error(N):
        m = at(neuron, N)
        return torch.cat([theory.stationary(m).rate, theory.response(m, 0.0).current.real[0]])

    coarse, middle, fine = error(500), error(1000), error(2000)
    order = torch.log2(((coarse - middle) / (middle - fine)).abs())
    assert float((order - 2).abs().max()) < tolerance


@pytest.mark.parametrize(
    "neuron, gains",
    [
        (OO, [1.337434, 1.18945 - 0.38782j, 0.43897 - 0.52192j]),
        (RR, [2.373488, 2.18062 - 0.58790j, 0.98299 - 0.99951j]),
        (TT, [5.35688, 3.59545 - 2.24159j, 0.86197 - 1.61233j]),
    ],
)
def test_current_susceptibility(neuron, gains):
    result = extrapolated(neuron, lambda m: theory.response(m, [0.0, 10.0, 50.0]).current[:, 0])
    assert result.tolist() == pytest.approx(gains, abs=7e-5)


def test_lif_susceptibility():
    result = extrapolated(LIF, lambda m: theory.response(m, [0.0, 20.0]).current[:, 0])
    assert result.tolist() == pytest.approx([2.9073, 1.75131 - 1.15900j], abs=5e-5)


@pytest.mark.parametrize("neuron, gain", [(OO, 11.3879), (RR, 14.2758)])
def test_noise_susceptibility(neuron, gain):
    assert float(extrapolated(neuron, lambda m: theory.response(m, 0.0).noise.real[0, 0])) == pytest.approx(
        gain, rel=1e-5
    )


def test_spectrum():
    f = torch.tensor([0.0, 5.0, 10.0, 20.0, 50.0, 100.0])
    result = extrapolated(OO, lambda m: theory.response(m, f).spectrum[:, 0] / theory.stationary(m).rate)
    assert result.tolist() == pytest.approx([0.79955, 0.80998, 0.83698, 0.90579, 1.00455, 1.00180], abs=6e-6)


@pytest.mark.parametrize("neuron", [OO, RR, TT, LIF])
def test_susceptibilities_are_slopes_of_the_rate(neuron):
    force, rest = neuron
    h = 1e-3
    r = theory.response(at(neuron, 1000), 0.0, parameters={"half": 0.5 * torch.ones(1000, 1)})
    shifted = [theory.membrane(lambda V, s=s: force(V) + s, N=1000, **rest) for s in (-h, h)]
    slope = (theory.stationary(shifted[1]).rate - theory.stationary(shifted[0]).rate) / (2 * h)
    assert float(r.current.real[0]) == pytest.approx(float(slope), rel=1e-6)
    assert float(r.parameters["half"].real[0]) == pytest.approx(float(slope) / 2, rel=1e-6)
    noisy = [at(neuron, 1000, sigma=rest["sigma"] * (1 + s) ** 0.5) for s in (-h, h)]
    slope = (theory.stationary(noisy[1]).rate - theory.stationary(noisy[0]).rate) / (2 * h)
    assert float(r.noise.real[0]) == pytest.approx(float(slope), rel=1e-6)


def test_spectrum_at_zero_is_rate_times_squared_cv():
    m = at(RR, 500)
    s = theory.stationary(m)
    f = float(s.rate) * 2e-4  # just above where the limit takes over
    r = theory.response(m, [0.0, f, 1e5])
    rate = 1000 * corrected_rate(s.rate / 1000, missing_time(m))
    assert float(r.spectrum[0]) == pytest.approx(float(rate * s.cv**2), rel=1e-12)
    assert float(r.spectrum[1]) == pytest.approx(float(rate * s.cv**2), rel=1e-6)
    assert float(r.spectrum[2]) == pytest.approx(float(rate), rel=1e-3)


def test_density_holds_all_but_the_refractory_mass():
    m = at(OO, 700)
    s = theory.stationary(m)
    assert float(s.density.sum() * m.grid.step) == pytest.approx(1 - float(s.rate) * 2e-3, abs=1e-13)
