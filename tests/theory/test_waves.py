"""Plane waves of populations with positions: beside all their neurons, beside patterns that grow, and drawn edges."""

import math

import numpy as np
import pytest
import torch
from scipy.special import lambertw

import ranvier as rv
from ranvier.networks import ByDistance
from ranvier.theory.network.fluctuations.linear_response import turns
from ranvier.theory.populations.modes import zeros
from tests.theory.beside import gradient_is_that_of_differences

SYNAPSE = rv.Exponential(tau=2.3)


def ring(n=36, length=18.0):
    """Two populations on a ring: weights and delays by distance, and a region that lies to one side."""
    net = rv.Network(seed=1)
    at = np.arange(n) * length / n
    e = net.add(rv.EIF(tau_m=10.0), n, name="e", noise=5.0, positions=at)
    i = net.add(rv.LIF(), n, name="i", drive=12.0, noise=4.0, positions=at + 0.13)
    aside = rv.wiring.Distance("constant", mask="rectangle", extent=(5.3,), shift=(1.3,), periodic=length)
    near, far = (rv.wiring.Distance("disc", scale=s, periodic=length, autapses=True) for s in (3.3, 6.1))
    weight = ByDistance(1.5, profile="gaussian", scale=1.7)
    net.connect(e, e, weight=weight, delay=ByDistance(1.1, slope=0.53), synapse=SYNAPSE, wiring=near)
    net.connect(e, i, weight=0.9, delay=1.5, synapse=SYNAPSE, wiring=far)
    net.connect(i, e, weight=ByDistance(-3.1, profile="exponential", scale=4.0), delay=1.0, wiring=aside)
    net.connect(i, i, weight=-1.3, delay=0.8, synapse=SYNAPSE, wiring=far)
    return net, (torch.tensor(at), torch.tensor(at + 0.13))


def test_waves_are_fourier_components_of_all_neurons():
    net, places = ring()
    f, every = [0.0, 17.0, 63.0], rv.predict(net)
    prediction = rv.theory.predict_populations(net)
    torch.testing.assert_close(every.rates()[[0, 36]], prediction.rates(), rtol=1e-6, atol=0)
    C = every.spectrum(f)
    blocks = slice(0, 36), slice(36, 72)
    for cycles in (0, 1, -1, 4):
        wave = prediction.wave(cycles)
        own = [torch.exp(-2j * math.pi * cycles / 18.0 * x) / len(x) for x in places]
        expected = torch.stack(
            [torch.stack([own[a] @ (C[:, blocks[a], blocks[b]] @ own[b].conj()).T for b in (0, 1)], 1) for a in (0, 1)],
            1,
        )
        torch.testing.assert_close(wave.spectrum(f), expected, rtol=1e-5, atol=1e-9)
    one, other = (prediction.wave(c).coupling([40.0])[0, 0, 1] for c in (1, -1))
    assert abs(one - other) > 0.1 * abs(one)  # inhibition comes from one side


def torus(x):
    """Four neighbours each; x: (weight, drive)."""
    net = rv.Network()
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(4.0), indexing="ij"), -1).reshape(-1, 2)
    cells = net.add(rv.LIF(), 24, drive=x[1], noise=4.0, positions=grid)
    rule = rv.wiring.Distance("disc", scale=1.1, periodic=(6.0, 4.0))
    net.connect(cells, cells, weight=x[0], delay=0.7, wiring=rule)
    return rv.theory.predict_populations(net)


def test_a_torus():
    """The sum over a neighbourhood is 2 cos(k_x) + 2 cos(k_y)."""
    prediction = torus([1.3, 11.0])
    uniform = prediction.coupling([30.0])[0, 0, 0] / 4
    for cycles in ((1, 0), (0, 1), (2, -1), (3, 2)):
        expected = 2 * math.cos(2 * math.pi * cycles[0] / 6) + 2 * math.cos(2 * math.pi * cycles[1] / 4)
        assert abs(complex(prediction.wave(*cycles).coupling([30.0])[0, 0, 0] - expected * uniform)) < 1e-12

    def loss(x):
        wave = torus(x).wave(2, 0)
        return wave.spectrum([20.0])[0, 0, 0].real + 3 * wave.coupling([60.0])[0, 0, 0].imag

    gradient_is_that_of_differences(loss, torch.tensor([1.3, 11.0]).double(), rel=1e-3)


def competing(weight, inhibition):
    """Local excitation, and inhibition everywhere."""
    net = rv.Network(seed=1)
    at = np.arange(200) / 200
    e = net.add(rv.LIF(t_ref=2.0), 200, drive=15.0, noise=5.0, positions=at)
    i = net.add(rv.LIF(tau_m=10.0, t_ref=2.0), 50, drive=9.0, noise=5.0, positions=at[::4])
    near, all_over = (rv.wiring.Distance(*x, periodic=1.0) for x in (("gaussian", 0.05), ("constant", 1.0, 0.5)))
    for source, target, w, rule in ((e, e, 1.0, near), (e, i, 0.05, all_over), (i, e, -inhibition, all_over)):
        net.connect(source, target, weight=w * weight, delay=1.0, synapse=rv.Exponential(tau=3.0), wiring=rule)
    return net


@pytest.mark.parametrize(("weight", "inhibition", "grows"), [(14.0, 0.6, False), (20.0, 0.8, True)])
def test_patterns_grow_where_a_wave_is_unstable(weight, inhibition, grows):
    """The first Fourier component of the rates: a bump has about as much as the mean, a uniform state little."""
    net = competing(weight, inhibition)
    prediction = rv.theory.predict_populations(net, exact=False)
    assert prediction.stable and (prediction.wave(1).unstable_modes == 1) == grows
    recording = rv.simulate(net, 1500.0, dt=0.1, seed=1)
    components = abs(np.fft.rfft(recording.rates()[:200].numpy()))
    assert (2 * components[1] > 0.8 * components[0]) == grows


@pytest.mark.parametrize(
    ("weight", "order", "growing"),
    [(0.6, 1, 0), (2.3, 1, 1), (-7.3, 3, 0), (-8.9, 3, 2), (2.3 * np.exp(0.9j), 1, 1), (2.3 * np.exp(1.4j), 1, 0)],
)
def test_turns_count_growing_modes(weight, order, growing):
    """Of det = 1 - w/(1 + i omega)^n, whose zeros s = w^(1/n) - 1 grow where their real part is above 0."""
    omega = np.sinh(np.linspace(-9, 9, 2001))
    det = 1 - weight / (1 + 1j * omega) ** order
    assert abs(turns(torch.from_numpy(np.angle(det)))) == growing


@pytest.mark.parametrize(("weight", "delay"), [(2.3, 0.0), (-5.0, 0.9), (0.8 * np.exp(0.7j), 0.4)])
def test_exponents_of_a_delayed_loop(weight, delay):
    """Of det = 1 - w e^{-s d}/(1 + s): by Lambert's function, in units of 10 ms."""
    f = np.arange(-399.0, 400.0)
    s = 2j * math.pi * f * 0.01
    result = zeros(f, 1 - weight * np.exp(-s * delay) / (1 + s)).numpy()
    if delay:
        branches = [lambertw(weight * delay * np.exp(delay), k) / delay - 1 for k in range(-9, 10)]
    else:
        branches = [weight - 1]
    expected = sorted((100 * x for x in branches if x.real > -2.0), key=lambda x: (-round(x.real, 3), -x.imag))
    np.testing.assert_allclose(result[:4], expected[:4], rtol=1e-5, atol=1e-5)


def test_exponents_of_waves():
    """Those that grow are as many as the turns; a wave the other way has the conjugate ones, and where regions lie to
    one side these are others."""
    wave = rv.theory.predict_populations(competing(20.0, 0.8)).wave(1)
    s = wave.exponents()
    assert int((s.real > 0).sum()) == wave.unstable_modes == 1
    assert wave.report.spectrum_error == math.inf and "modes grow" in str(wave.report)
    prediction = rv.theory.predict_populations(ring()[0])
    one, other = (prediction.wave(c).exponents() for c in (1, -1))
    torch.testing.assert_close(one[0], other[0].conj() if one[0].imag * other[0].imag < 0 else other[1].conj())
    assert float((one[:, None] - one.conj()).abs().amin(1)[0]) > 1.0


def test_errors_of_spectra_grow_towards_instability():
    """One population: the spectrum at 0 is S/(1 - M)^2, so that a coupling off by e changes it by as much."""

    alone = rv.theory.siegert(12.0, 4.0, tau=20.0, V_th=15.0, V_reset=0.0)

    def excited(M):
        """With about this M at 0, at the rate of a neuron alone."""
        net, weight = rv.Network(), 2 * M / float(alone.by_mu)
        drive = 12.0 - 0.5 * weight * float(alone.rate)
        cells = net.add(rv.LIF(E_L=0.0, V_th=15.0, V_reset=0.0, t_ref=0.0), 1000, drive=drive, noise=4.0)
        net.connect(cells, cells, weight=weight, in_degree=500, synapse=rv.Exponential(tau=3.0))
        return rv.theory.predict_populations(net)

    errors = []
    for target in (0.2, 0.85):
        prediction = excited(target)
        M, own = float(prediction.coupling([0.0]).real), prediction.report.covariance_error
        expected = max(own, ((1 - M) / (1 - M * (1 + own / 2))) ** 2 - 1)
        errors.append(float(prediction.spectrum_error([0.0])))
        assert errors[-1] == pytest.approx(expected, rel=1e-6)
        assert prediction.report.spectrum_error >= errors[-1] * (1 - 1e-9)
    assert errors[1] > 3 * errors[0], errors


def test_drawn_weights_and_delays():
    """Beside the characteristic function of the delays, and rates of a network with as much noise."""
    delays = rv.Uniform(0.9, 3.7)
    net, plain = rv.Network(seed=2), rv.Network(seed=2)
    for each, weight, delay in ((net, rv.Normal(-0.3, 0.08), delays), (plain, -0.3, 2.3)):
        cells = each.add(rv.LIF(), 400, drive=12.0, noise=2.0)
        each.connect(cells, cells, weight=weight, delay=delay, in_degree=200)
    one, other = rv.theory.predict_populations(net), rv.theory.predict_populations(plain)
    f = 90.0
    omega = 2 * math.pi * f / 1000
    ratio = one.coupling([f]) / one.susceptibility([f]) / (other.coupling([f]) / other.susceptibility([f]))
    expected = math.sin(1.4 * omega) / (1.4 * omega)
    assert complex(ratio) == pytest.approx(expected, abs=5e-3)  # of 80 000 edges, the mean weight's share 9e-4
    noise = one._lowered.coupling, other._lowered.coupling
    power = [float(c.into(c.squared)) for c in noise]
    assert power[0] / power[1] == pytest.approx(1 + (0.08 / 0.3) ** 2, rel=5e-3)


def test_no_edges():
    """A rule that drew none, with weights drawn and plain; they add nothing to any wave."""
    net = rv.Network(seed=1)
    cells = net.add(rv.LIF(), 10, drive=10.0, noise=3.0, positions=range(10))
    for weight in (rv.Normal(1.0, 0.1), 1.0):
        net.connect(cells, cells, weight=weight, probability=1e-9)
    assert [p.size for p in net.projections] == [0, 0]
    prediction = rv.theory.predict_populations(net)
    assert prediction.wave(1, length=10.0).coupling([30.0]).abs().max() < 1e-6


def test_refusals():
    net, _ = ring()
    prediction = rv.theory.predict_populations(net, exact=False)
    for length in (0.0, -1.0, (1.0, 2.0), math.nan):
        with pytest.raises(ValueError, match=r"length|periodic"):
            prediction.wave(1, length=length)
    with pytest.raises(ValueError, match="no positions of 2 dimensions"):
        prediction.wave(1, 1)
    with pytest.raises((TypeError, ValueError), match="cycles"):
        prediction.wave(0.5)
    net.connect(net.populations[0], net.populations[1], weight=0.1, wiring=rv.wiring.Distance(periodic=7.0))
    with pytest.raises(ValueError, match="expected one for all: give length="):
        rv.theory.predict_populations(net, exact=False).wave(1)
    net = rv.Network()
    cells = net.add(rv.LIF(), 30, drive=9.0, noise=3.0)
    net.connect(cells, cells, weight=torch.arange(300.0) / 100, in_degree=10)
    with pytest.raises(ValueError, match=r"differs between neurons of the target: .* expected at most 2 times"):
        rv.theory.predict_populations(net)
    net = rv.Network()
    cells = net.add(rv.LIF(), 30, drive=9.0, noise=3.0)
    net.connect(cells, cells, weight=rv.Normal(0.1, 1.0), in_degree=10)
    with pytest.raises(ValueError, match=r"weights of both signs, 4.% of them"):
        rv.theory.predict_populations(net)
