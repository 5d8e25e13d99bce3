"""Networks to second order: spectra and impulses of one neuron in its limits, networks beside simulations."""

import math
from dataclasses import replace

import pytest
import torch

import ranvier as rv
from ranvier.theory import evolve, membrane, response
from ranvier.theory.network.filters import synapse_filter
from ranvier.theory.second_order._modes import modes_of
from ranvier.theory.second_order.response import dressed
from tests.theory import cases
from tests.theory.networks import lif
from tests.theory.replicas import Replicas

O = {"tau_m": 10.0, "E_L": -72.0, "Delta_T": 1.4, "V_T": -48.0, "V_th": 30.0, "V_reset": -72.0, "t_ref": 2.0}


def build(name="O", mu=0.0, variance=0.0):
    force, options = getattr(cases, name)
    sigma = (options["sigma"] ** 2 + variance) ** 0.5
    return membrane(lambda V: force(V) + mu, **{**options, "sigma": sigma}, N=1000)


def modes(*taus):
    return modes_of([synapse_filter(rv.Exponential(tau=tau)) for tau in taus])


@pytest.mark.parametrize("name", ["O", "R", "LIF"])
def test_fast_noise_changes_the_spectrum_as_white_noise_does(name):
    """v e^{-gamma |t|} has the spectrum 2 v/gamma = 2 tau d(sigma^2); off by the order of sqrt(tau_s/tau)."""
    f, tau_s, h = torch.tensor([0.0, 5.0, 20.0, 60.0]).double(), 0.01, 0.2
    result = dressed(build(name), modes(tau_s), f).spectrum[0, :, 0] * float(build(name).tau) / tau_s
    ends = [response(build(name, variance=d), f).spectrum[:, 0] for d in (-h, h)]
    expected = (ends[1] - ends[0]) / (2000 * h)
    torch.testing.assert_close(result, expected, rtol=0.06 if name == "LIF" else 0.012, atol=1e-7)


@pytest.mark.parametrize("name", ["O", "R", "T", "LIF"])
def test_slow_noise_averages_spectra(name):
    """Static noise: half the curvature of S in mu, but at frequency 0, where it adds a separate peak."""
    f, h = torch.tensor([5.0, 20.0, 60.0]).double(), 0.1
    result = 1000 * dressed(build(name), modes(20_000.0), f).spectrum[0, :, 0]
    low, here, high = (response(build(name, mu=x), f).spectrum[:, 0] for x in (-h, 0.0, h))
    torch.testing.assert_close(result, (low + high - 2 * here) / (2 * h**2), rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("synapse", [rv.Exponential(tau=5.0), rv.BiExponential(tau_rise=1.0, tau_decay=6.0),
                                     rv.Alpha(tau=3.0)])  # fmt: skip
@pytest.mark.parametrize("W", [-80.0, 20.0])
def test_what_one_impulse_does(synapse, W):
    """A W + second + third order, against the density equation in time under that impulse. What remains is of
    fourth order: 1 % of the largest, of 5 mV."""
    f = torch.zeros(1, dtype=torch.float64)
    law = modes_of([synapse_filter(synapse)])
    result = dressed(build(), law, f, spectra=False)
    two, three = (x[0, 0, 0].real for x in law.pulses(f, result.event, result.third_order))
    prediction = float(response(build(), f).current[0].real) * W + 1000 * float(two * W**2 + three * W**3)
    dt = 0.02
    t = (torch.arange(round(250 / dt)) + 0.5) * dt
    kernel = sum(s * torch.exp(-g * t) for s, g in zip(law.share.tolist(), law.rates.tolist(), strict=True))
    assert float(kernel.sum()) * dt == pytest.approx(1.0, rel=1e-3)
    base = evolve(build(), 250.0, dt).rate
    area = float((evolve(build(), 250.0, dt, drive=(W * kernel)[:, None]).rate - base).sum()) * dt
    assert prediction == pytest.approx(area, rel=0.012)
    assert abs(1000 * float(two) * W**2) > 0.05 * abs(area) or W > 0  # and it matters


@pytest.mark.parametrize("synapse", [rv.Alpha(tau=3.0), rv.BiExponential(tau_rise=2.0, tau_decay=2.0)])
def test_modes_of_equal_rates(synapse):
    """Moved apart, their kernel's autocorrelation has the integral 1, and its value at 0 that of t e^{-t/tau}."""
    tau = synapse.numbers.get("tau", 2.0)
    law = modes_of([synapse_filter(synapse)])
    assert 2 * (law.variance / law.rates).sum() == pytest.approx(1.0, rel=1e-9)
    assert law.variance.sum() == pytest.approx(1 / (4 * tau), rel=1e-3)


def network(seed, weight, synapse=None, inhibition=None, size=100):
    net = rv.Network(seed=seed)
    exc = net.add(rv.EIF(**O), size * 4 // 5, "exc", drive=10.0, noise=9.0)
    inh = net.add(rv.EIF(**O), size // 5, "inh", drive=10.0, noise=9.0)
    one = synapse or rv.Exponential(tau=5.0)
    for source, w, kind in ((exc, weight, one), (inh, -4 * weight, inhibition or one)):
        net.connect(source, [exc, inh], weight=w, probability=0.2, delay=1.0, synapse=kind)
    return net


@pytest.mark.long
def test_rates_of_a_strongly_coupled_network():
    """Neuron by neuron: linear response misses by 8 %, this by less than the sampling error."""
    net = network(1, 20.0)
    prediction = rv.predict(net, order=2, N=400)  # rates to 0.1 %
    observed = Replicas(net, 3, 13_300.0, start=200.0, dt=0.02, seed=5).rates()
    mean, spread = float(observed.mean()), float((observed - prediction.rates()).std())
    assert float(rv.predict(net, recurrent_noise="none").rates().mean()) < 0.94 * mean
    assert float(prediction.rates().mean()) == pytest.approx(mean, rel=0.02)  # three standard errors of 40 s
    assert spread < 1.2 * float((observed * 0.8 / 40).mean().sqrt())  # CV^2 = 0.8
    assert prediction.report.counted == "to second order" and prediction.report.spectral_radius < 0.3


def test_jumps_beside_a_simulation():
    """The LIF network, whose covariances linear response overestimates by 12 %: to 6 % here."""
    observed = Replicas(lif(0.05), 6, 10_000.0, dt=0.05, seed=5)
    C, error = observed.covariance(50.0, return_error=True)
    off = ~torch.eye(50, dtype=torch.bool) & (error > 0)

    def slope(order):
        P = rv.predict(lif(0.0), order=order).covariance(50.0)
        weight = torch.where(off, P / error**2, 0.0)
        return float((weight * C).sum() / (weight * P).sum()), float((weight * P).sum() ** -0.5)

    (first, error_1), (second, error_2) = slope(1), slope(2)
    assert first < 1 - 3 * error_1
    assert abs(second - 1) < 0.03 + 2 * error_2


@pytest.mark.parametrize("kinds", [(None, None), (rv.Alpha(tau=3.0), rv.BiExponential(tau_rise=1.0, tau_decay=8.0))])
def test_weak_coupling_is_linear_response(kinds):
    first, second = (rv.predict(network(2, 0.05, *kinds, size=10), order=k, N=400) for k in (1, 2))
    torch.testing.assert_close(second.rates(), first.rates(), rtol=1e-5, atol=0)
    off = ~torch.eye(10, dtype=torch.bool)
    C, P = (prediction.spectrum([0.0, 30.0])[:, off] for prediction in (first, second))
    assert float((C - P).abs().max()) < 0.01 * float(C.abs().max())


@pytest.mark.parametrize(("drive", "noise", "regular"), [(22.0, 1.0, True), (12.0, 5.0, False)])
def test_what_regular_neurons_drive_is_expected_to_be_off(drive, noise, regular):
    """Beside a simulation of a hub of 72 Hz and CV .1, 18 % in 5 ms; 2 to 12 % with other weights."""
    net = rv.Network()
    hub = net.add(rv.LIF(), 1, drive=drive, noise=noise)
    targets = net.add(rv.LIF(), 2, drive=12.0, noise=5.0)
    net.connect(hub, targets, weight=5.0, probability=1.0, synapse=rv.Exponential(tau=5.0))
    report = rv.predict(net, order=2, N=200).report
    assert (report.covariance_error >= 0.18) == regular
    assert ("regular neurons as Poisson trains" in str(report)) == regular


def test_what_it_refuses():
    with pytest.raises(ValueError, match="order is 3"):
        rv.predict(network(1, 1.0), order=3)
    with pytest.raises(ValueError, match="recurrent_noise is given with order=2"):
        rv.predict(network(1, 1.0), order=2, recurrent_noise="none")
    net = rv.Network()
    a = net.add(rv.LIF(), 2, drive=torch.tensor([10.0, 11.0], requires_grad=True), noise=5.0)
    net.connect(a, a, weight=1.0, synapse=rv.Exponential(), in_degree=1)
    with pytest.raises(ValueError, match="no gradients; expected order=1"):
        rv.predict(net, order=2)
    with torch.no_grad():
        assert rv.predict(net, order=2).rates().shape == (2,)
    oscillating = replace(synapse_filter(rv.Alpha(tau=3.0)), A=torch.tensor([[-0.1, 1.0], [-1.0, -0.1]]).double())
    with pytest.raises(ValueError, match="oscillates"):
        modes_of([oscillating])
    assert math.isfinite(rv.predict(gg_alone(), order=2).rates().sum())


def gg_alone():
    net = rv.Network()
    net.add(rv.LIF(), 3, drive=10.0, noise=5.0)
    return net
