"""Gap junctions between spiking neurons in `rv.predict`: the voltage's balance, a dense oracle, simulations."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.theory import membrane, response, stationary
from ranvier.theory.network.fluctuations import correlations
from ranvier.theory.single_neuron.voltage import voltages
from tests.theory.beside import covariances, mean_rate
from tests.theory.networks import CONTINUITY
from tests.theory.replicas import Replicas

EIF = {"tau_m": 15.0, "E_L": -65.0, "V_th": -30.0, "V_reset": -62.0, "V_T": -50.0, "Delta_T": 2.0, "g_L": 10.0}


def leaky(mu, t_ref):
    own = {"tau": 20.0, "sigma": 5.0, "V_th": -50.0, "V_reset": -60.0, "t_ref": t_ref, "V_lb": -115.0, "N": 4000}
    return membrane(lambda V: -65.0 - V + mu, **own)


def test_voltage_and_spikes_keep_the_leaky_neurons_balance():
    """tau dV = (mu - V) dt + noise - tau (V_th - V_reset) s dt ties spectra of voltage to those of spikes, exactly."""
    f = torch.tensor([0.0, 1.0, 10.0, 40.0, 200.0], dtype=torch.float64)
    m = leaky(12.0, 0.0)
    spikes, result = response(m, f), voltages(m, f)
    A, S = spikes.current / 1000, spikes.spectrum / 1000
    noise, fall = 2 * 5.0**2 * 20.0, 20.0 * 10.0
    k = 1 + 2j * math.pi * f[:, None] / 1000 * 20.0
    same = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(result.gain, (1 - fall * A) / k, **same)
    torch.testing.assert_close(result.cross, (noise * A.conj() - fall * S) / k, **same)
    power = (noise + fall**2 * S - 2 * fall * noise * A.real) / k.abs() ** 2
    torch.testing.assert_close(result.power, power, **same)


def test_refractory_neurons_are_at_their_reset():
    """Slope of the mean by differences; the variance as the spectrum's integral."""

    def moments(m):
        held = float(1 - stationary(m).rate[0] / 1000 * 3.0)
        V, P = m.grid.nodes[:, 0].numpy(), (stationary(m).density * m.grid.step)[:, 0].numpy()
        mean = V @ P - 60.0 * (1 - held)
        return mean, V**2 @ P + 60.0**2 * (1 - held) - mean**2

    m = leaky(12.0, 3.0)
    slope = (moments(leaky(12.05, 3.0))[0] - moments(leaky(11.95, 3.0))[0]) / 0.1
    assert float(voltages(m, torch.zeros(1)).gain[0, 0].real) == pytest.approx(slope, rel=1e-4)
    f = torch.linspace(0.0, 40.0, 1500, dtype=torch.float64) ** 2 * 10
    S = voltages(m, f).power[:, 0].numpy()
    tail = 2 * S[-1] * f[-1] / 1000  # it falls as 1/f^2
    assert 2 * np.trapezoid(S, f.numpy()) / 1000 + tail == pytest.approx(moments(m)[1], rel=2e-4)


def test_steady_junctions_are_a_leak():
    """A pair of unlike neurons: each is the neuron alone with the leak toward the other's mean voltage."""
    net = rv.Network()
    a = net.add(rv.LIF(tau_m=20.0, g_L=8.0, t_ref=2.0), 2, drive=torch.tensor([8.0, 20.0]).double(), noise=4.0)
    net.connect(a, a, weight=torch.tensor([1.6, 4.0]).double(), synapse=rv.Electrical(), edges=([1, 0], [0, 1]))
    prediction = rv.predict(net, recurrent_noise="none")
    V = prediction.working_point.voltages
    for i, share in enumerate((0.2, 0.5)):
        k = 1 + share
        rest = (-65.0 + (8.0, 20.0)[i] + share * float(V[1 - i])) / k
        alone = rv.Network()
        alone.add(rv.LIF(tau_m=20.0 / k, E_L=rest, t_ref=2.0), 1, noise=4.0 / math.sqrt(k))
        expected = rv.predict(alone)
        assert float(prediction.rates()[i]) == pytest.approx(float(expected.rates()[0]), rel=1e-5)
        assert float(prediction.cv()[i]) == pytest.approx(float(expected.cv()[0]), rel=1e-5)
        (group,), point = expected.working_point.cells, expected.working_point
        m = group.membrane(point.input, point.variance)
        above = ((m.grid.nodes - m.grid.V_reset) * stationary(m).density * m.grid.step).sum()
        assert float(V[i] - m.grid.V_reset[0]) == pytest.approx(float(above), rel=1e-5)


def test_partners_fluctuations_are_filtered_noise():
    """Of a partner that never spikes: sigma^2 for tau_p, of which a membrane of tau_m keeps tau_m/(tau_m + tau_p)."""

    def built(noise, share=0.4):
        net = rv.Network()
        threshold = torch.tensor([-20.0, -50.0]).double()
        own = rv.LIF(tau_m=torch.tensor([8.0, 20.0]).double(), g_L=10.0, V_th=threshold, V_reset=-65.0, t_ref=2.0)
        drive = torch.tensor([0.0, 22.0]).double()
        a = net.add(own, 2, drive=drive, noise=torch.tensor([4.0, noise]).double())
        net.connect(a, a, weight=10.0 * share, synapse=rv.Electrical(), edges=([0, 1], [1, 1]))  # and an idle one
        return net

    tau_m = 20.0 / 1.4
    extra = 0.4**2 * 4.0**2 * 8.0 / 20.0 * tau_m / (tau_m + 8.0)
    prediction = rv.predict(built(3.0))
    assert float(prediction.report.recurrent_noise[1]) == pytest.approx(extra / 9.0, rel=1e-3)
    bare = rv.predict(built(math.sqrt(9.0 + extra)), recurrent_noise="none")
    assert float(prediction.rates()[1]) == pytest.approx(float(bare.rates()[1]), rel=1e-5)
    assert float(bare.rates()[1]) > 1.01 * float(rv.predict(built(3.0), recurrent_noise="none").rates()[1])
    assert float(prediction.working_point.voltages[0]) == pytest.approx(-65.0, abs=1e-3)


def mixed(junction):
    """Chemical synapses and a source of spikes as well."""
    net = rv.Network()
    a = net.add(rv.EIF(**EIF), 4, drive=torch.tensor([9.0, 10.0, 11.0, 12.0]).double(), noise=5.0)
    p = net.add(rv.Poisson(50.0), 1)
    synapse = rv.Exponential(tau=4.0)
    net.connect(a, a, weight=15.0, delay=1.5, synapse=synapse, edges=([0, 1, 2], [1, 2, 0]))
    net.connect(p, a, weight=20.0, delay=1.0, synapse=synapse, edges=([0, 0], [1, 3]))
    if junction:
        edges = ([0, 1, 1, 3], [1, 0, 3, 1])
        net.connect(a, a, weight=junction, synapse=rv.Electrical(), edges=edges)
    return net


def test_spectra_against_a_dense_solution():
    """x = M x0: the inputs of a network whose neurons answer with spikes and voltages, solved as they are written."""
    prediction = rv.predict(mixed(2.0))
    point, n = prediction.working_point, 5
    gamma = torch.zeros(n, n, dtype=torch.complex128)
    gamma[[1, 0, 3, 1], [0, 1, 1, 3]] = 0.2
    area = 15.0
    for f in (0.0, 7.0, 60.0):
        at = torch.tensor([f], dtype=torch.float64)
        W = torch.zeros(n, n, dtype=torch.complex128)
        omega = 2j * math.pi * f / 1000
        h = 1 / (1 + 4.0 * omega)
        W[[1, 2, 0], [0, 1, 2]] = area * h * np.exp(-1.5 * omega)
        W[[1, 3], [4, 4]] = 20.0 * h * np.exp(-1.0 * omega)
        A, B = torch.zeros(n, dtype=torch.complex128), torch.zeros(n, dtype=torch.complex128)
        S = torch.zeros(2 * n, 2 * n, dtype=torch.complex128)
        S[4, 4] = 0.05
        (group,) = point.cells
        m = group.membrane(point.input[:4], point.variance[:4])
        r, v = response(m, at), voltages(m, at)
        A[:4], B[:4] = r.current[0] / 1000, v.gain[0]
        for i in range(4):
            s, c, p = r.spectrum[0, i] / 1000 + 0j, v.cross[0, i], v.power[0, i] + 0j
            block = torch.stack([s, c.conj(), c, p]).reshape(2, 2)
            both = torch.stack([A[i], B[i]])
            if i in (1, 3):  # the source's share, with its filter's 15/(15 + 4), shortened by the leak
                tau = 15.0 / (1 + float(gamma[i].real.sum()))
                block = block - torch.outer(both, both.conj()) * 20.0**2 * 0.05 * tau / (tau + 4.0)
            S[[i, i, i + n, i + n], [i, i + n, i, i + n]] = block.reshape(-1)
        paths = torch.cat([W, gamma], 1)  # of spikes and of voltages
        inputs = torch.linalg.solve(torch.eye(n) - paths @ torch.cat([A.diag(), B.diag()]), paths)
        T = torch.cat([torch.eye(n), torch.zeros(n, n)], 1) + A[:, None] * inputs
        expected = 1000 * T @ S @ T.mH
        result = prediction.spectrum(at)[0]
        scale = float((expected - expected.diagonal().diag()).abs().max())
        torch.testing.assert_close(result.to(expected.dtype), expected, rtol=0, atol=1e-6 * scale)
        pair = prediction.spectrum(at, pairs=[[1, 3]])[0, 0]
        assert complex(pair) == pytest.approx(complex(result[1, 3]))


def test_weak_junctions_are_none():
    prediction, bare = (rv.predict(mixed(share), recurrent_noise="filtered") for share in (1e-9, 0.0))
    torch.testing.assert_close(prediction.rates(), bare.rates(), rtol=1e-7, atol=0)
    torch.testing.assert_close(prediction.covariance(50.0), bare.covariance(50.0), rtol=0, atol=1e-8)
    assert prediction.report.spectral_radius == pytest.approx(bare.report.spectral_radius, rel=1e-5)


def joined(net, a, n, share):
    """Six partners each, along a ring."""
    one = torch.arange(n).repeat(3)
    other = torch.cat([(torch.arange(n) + k) % n for k in (1, 4, 9)])
    edges = torch.cat([one, other]), torch.cat([other, one])
    net.connect(a, a, weight=share * 10.0 / 6, synapse=rv.Electrical(), edges=edges)
    return net


def lif(dt):
    net = rv.Network(seed=11)
    shift = CONTINUITY * 5.0 * math.sqrt(2 * dt / 20.0)
    neuron = rv.LIF(tau_m=20.0, g_L=10.0, V_th=-50.0 - shift, V_reset=-60.0, t_ref=2.0)
    a = net.add(neuron, 30, drive=torch.linspace(6.0, 10.0, 30).double(), noise=5.0)
    return joined(net, a, 30, 0.3)


def eif(dt):
    net = rv.Network(seed=12)
    a = net.add(rv.EIF(**EIF), 40, drive=torch.linspace(9.0, 13.0, 40).double(), noise=6.0)
    net.connect(a, a, weight=6.0, delay=1.0, synapse=rv.Exponential(tau=4.0), probability=0.1)
    return joined(net, a, 40, 0.2)


@pytest.mark.parametrize(("build", "copies", "duration"), [(lif, 8, 30_000.0), (eif, 6, 25_000.0)])
@pytest.mark.long
def test_beside_a_simulation(build, copies, duration):
    """Mean rate to 0.5 %, each to 4 %, covariances on average to 12 %, beyond the sampling error: 0.3 % of the mean
    rate and 14 % of the covariances, in 240 s and 150 s over all copies.

    In 4000 s: mean rates to 0.3 %, covariances of joined pairs to 9 % (± 5) and 3 % (± 2.4).
    """
    simulation = Replicas(build(0.1), copies, duration, dt=0.1, seed=7)
    prediction = rv.predict(build(0.0))
    ratio, uncertainty = mean_rate(simulation, prediction)
    assert ratio == pytest.approx(1, abs=0.005 + 3 * uncertainty)
    r, e = simulation.rates(return_error=True)
    assert bool(((prediction.rates() - r).abs() < 0.04 * r + 3 * e).all())
    assert float((prediction.cv() / simulation.cv()).mean()) == pytest.approx(1, abs=0.02)
    C, error = simulation.covariance(10.0, return_error=True)
    junction = torch.zeros(len(r), len(r), dtype=torch.bool)
    i = torch.arange(len(r))
    for k in (1, 4, 9):
        junction[i, (i + k) % len(r)] = junction[(i + k) % len(r), i] = True
    ratio, uncertainty = covariances(C, error, prediction.covariance(10.0), junction)
    uncertainty *= math.sqrt(2)  # each pair is there twice
    assert ratio == pytest.approx(1, abs=0.12 + 3 * uncertainty)
    assert uncertainty < 0.15


def test_what_it_refuses():
    net = mixed(2.0)
    with pytest.raises(ValueError, match="order is 2 and there are Electrical"):
        rv.predict(net, order=2)
    prediction = rv.predict(net)
    for requested in (lambda: prediction.coupling(0.0), lambda: prediction.motifs(2), lambda: prediction.paths(0, 1)):
        with pytest.raises(ValueError, match="pass on voltages"):
            requested()
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    for synapse in (rv.Exponential(tau=4.0), rv.Electrical()):
        steep = mixed(2.0)
        a, _ = steep.populations
        steep.connect(a, a, weight=weight, synapse=synapse, edges=([0], [2]))
        with pytest.raises(ValueError, match="have no gradients"):
            rv.predict(steep)
        with torch.no_grad():
            rv.predict(steep)
    with pytest.raises(ValueError, match="weight"):  # where they are connected
        mixed(-2.0)
    both = mixed(2.0)
    both.connect(both.populations[1], both.populations[0], weight=1.0, synapse=rv.ExponentialConductance(), in_degree=1)
    with pytest.raises(ValueError, match="beside conductance-based"):
        rv.predict(both)
    sigmoidal = rv.Network()
    a = sigmoidal.add(rv.LIF(), 2, drive=12.0, noise=4.0)
    sigmoidal.connect(a, a, weight=1.0, synapse=rv.Sigmoidal(), in_degree=1)
    with pytest.raises(ValueError, match="continuous synapse"):
        rv.predict(sigmoidal)


def all_to_all(noise):
    net = rv.Network()
    a = net.add(rv.EIF(**(EIF | {"V_th": 0.0})), 20, drive=18.0, noise=noise)
    s, t = torch.nonzero(~torch.eye(20, dtype=torch.bool)).T
    net.connect(a, a, weight=5.0 / 19, synapse=rv.Electrical(), edges=(s, t))
    return net


@pytest.mark.parametrize(("noise", "together"), [(0.3, True), (1.0, False)])
@pytest.mark.long
def test_regular_neurons_oscillate_together_at_little_noise(noise, together):
    """K(0) is 0.1 on both sides of the bifurcation; counts in 5 ms are correlated 0.67 and 0.02. Seeds scatter by
    0.004 in 8 s. (Near the bifurcation, at 0.7, linear response says 0.13 for a measured 0.08.)"""
    recording = rv.simulate(all_to_all(noise), 10_000.0, dt=0.05, seed=1).after(2000.0).correlation(5.0)
    mean = float(recording[~torch.eye(20, dtype=torch.bool)].mean())
    if together:
        assert mean > 0.5
        for stability in ("radius", "nyquist"):
            with pytest.raises(ValueError, match="asynchronous state is unstable"):
                rv.predict(all_to_all(noise), stability=stability)
    else:
        prediction = rv.predict(all_to_all(noise))
        assert float(prediction.correlation(5.0)[0, 1]) == pytest.approx(mean, abs=0.012)
        assert prediction.report.spectral_radius < 0.2


def test_correlations_of_regular_neurons_do_not_depend_on_the_nodes(monkeypatch):
    """Four times as many frequencies change nothing: the peak at the rate is resolved (with steps of f/40, 1.4 %)."""
    coarse = float(rv.predict(all_to_all(0.85)).correlation(5.0)[0, 1])
    nodes = correlations.frequency_nodes
    monkeypatch.setattr(correlations, "frequency_nodes", lambda a, s, c, g: nodes(a, s / 4, c / 4, 4 * g))
    assert coarse == pytest.approx(float(rv.predict(all_to_all(0.85)).correlation(5.0)[0, 1]), rel=1e-3)
