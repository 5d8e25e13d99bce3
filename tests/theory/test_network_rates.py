"""Self-consistent rates, synaptic filters and the lowering of a network, against the plainest re-derivations."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import fsolve

import ranvier as rv
from ranvier import theory
from ranvier.theory.network import groups
from ranvier.theory.network.filters import synapse_filter
from ranvier.theory.network.self_consistency import newton


def bi(t, rise, decay):
    return (np.exp(-t / decay) - np.exp(-t / rise)) / (decay - rise)


KERNELS = [
    (rv.Exponential(tau=4.0), lambda t: np.exp(-t / 4.0) / 4.0),
    (rv.Alpha(tau=3.0), lambda t: t / 9.0 * np.exp(-t / 3.0)),
    (rv.BiExponential(tau_rise=1.0, tau_decay=6.0), lambda t: bi(t, 1.0, 6.0)),
    (rv.Exponential(tau=4.0, normalise="peak"), lambda t: np.exp(-t / 4.0)),
    (rv.Alpha(tau=3.0, normalise="peak"), lambda t: t / 3.0 * np.exp(1 - t / 3.0)),
]


@pytest.mark.parametrize(("synapse", "kernel"), KERNELS)
def test_filters_are_the_kernels_of_the_contract(synapse, kernel):
    result = synapse_filter(synapse)
    area = quad(kernel, 0, 200)[0]
    assert result.area == pytest.approx(area, rel=1e-9)
    f = torch.tensor([0.0, 13.0, 170.0], dtype=torch.float64)
    for value, hertz in zip(result.transfer(f), f.tolist(), strict=True):
        w = 2 * np.pi * hertz / 1000
        expected = quad(lambda t, w=w: kernel(t) * np.exp(-1j * w * t), 0, 200, limit=400, complex_func=True)[0]
        assert complex(value) == pytest.approx(expected / area, abs=1e-8)


@pytest.mark.parametrize(("synapse", "kernel"), KERNELS)
def test_noise_share_is_the_variance_behind_a_membrane(synapse, kernel):
    tau, t = 10.0, np.arange(0, 300, 0.01)
    current = kernel(t)
    membrane = np.convolve(current, np.exp(-t / tau) / tau)[: len(t)] * 0.01
    white = np.exp(-t / tau) / tau
    expected = (membrane**2).sum() / (white**2).sum() / (current.sum() * 0.01) ** 2
    result = synapse_filter(synapse).noise_share(torch.tensor([tau], dtype=torch.float64))
    assert float(result) == pytest.approx(expected, rel=3e-3)


def test_noise_share_of_an_exponential():
    tau = torch.tensor([2.0, 10.0, 30.0], dtype=torch.float64)
    torch.testing.assert_close(synapse_filter(rv.Exponential(tau=5.0)).noise_share(tau), tau / (tau + 5.0))


def small(weight=40.0):
    net = rv.Network()
    a = net.add(rv.LIF(tau_m=torch.tensor([10.0, 20.0, 15.0]).double()), 3, drive=13.0, noise=5.0)
    p = net.add(rv.Poisson(30.0), 1)
    net.connect(a, a, weight=weight, synapse=rv.Exponential(tau=5.0), edges=([0, 1, 2, 0], [1, 2, 0, 2]))
    net.connect(p, a, weight=-60.0, synapse=rv.Alpha(tau=2.0), edges=([0], [1]))
    net.background(a, rate=2000.0, weight=0.1, synapse=rv.Delta())
    return net


@pytest.mark.parametrize(
    ("noise", "c"),
    [("none", lambda tau: 0 * tau), ("filtered", lambda tau: tau / (tau + 5)), ("white", lambda tau: 0 * tau + 1)],
)
def test_rates_solve_siegert_by_hand(noise, c):
    """Three neurons written out, with Siegert's formula and a general root finder."""
    tau = np.array([10.0, 20.0, 15.0])
    W = np.zeros((3, 3))
    W[1, 0] = W[2, 1] = W[0, 2] = W[2, 0] = 40.0
    share = synapse_filter(rv.Alpha(tau=2.0)).noise_share(torch.tensor([20.0]).double()).item()

    def gap(r):
        mu = -65.0 + 13.0 + W @ r + 0.1 * tau * 2.0
        variance = 25.0 + c(tau) * (W**2 @ r) / (2 * tau) + (0.1 * tau) ** 2 * 2.0 / (2 * tau)
        mu[1] += -60.0 * 0.03
        variance[1] += share * 60.0**2 * 0.03 / (2 * tau[1])
        result = theory.siegert(
            torch.tensor(mu), torch.tensor(variance**0.5), tau=torch.tensor(tau), V_th=-50.0, V_reset=-65.0, t_ref=2.0
        )
        return result.rate.numpy() / 1000 - r

    expected = 1000 * fsolve(gap, np.full(3, 0.01), xtol=1e-13)
    prediction = rv.predict(small(), recurrent_noise=noise, N=8000)
    np.testing.assert_allclose(prediction.rates()[:3], expected, rtol=2e-6)
    assert prediction.rates()[3] == 30.0
    assert prediction.report.residual < 1e-10
    assert prediction.report.iterations <= 8


def test_identical_neurons_share_one_integration(monkeypatch):
    net = rv.Network()
    a = net.add(rv.EIF(), 30, drive=1.0, noise=4.0)
    net.connect(a, a, weight=10.0, synapse=rv.Exponential(), in_degree=5)
    sizes = []

    real = groups.membrane
    monkeypatch.setattr(groups, "membrane", lambda *a, **k: sizes.append(real(*a, **k).size) or real(*a, **k))
    # in coloured noise the derivatives of each neuron are its own
    rates = rv.predict(net, recurrent_noise="filtered").rates()
    # V_lb is chosen once for all; everything else is done for one neuron
    assert sizes.count(30) <= 4 and sizes.count(1) > 3
    alone = rv.Network()
    b = alone.add(rv.EIF(), 1, drive=1.0, noise=4.0)
    alone.connect(b, b, weight=50.0, synapse=rv.Exponential(), edges=([0], [0]))
    prediction = rv.predict(alone, recurrent_noise=0.0)
    torch.testing.assert_close(rates, rates[:1].expand(30), rtol=1e-12, atol=0)
    torch.testing.assert_close(rv.predict(net, recurrent_noise=0.0).rates()[:1], prediction.rates(), rtol=1e-9, atol=0)


def test_a_network_whose_only_noise_is_its_own():
    """Brunel's network, sources excepted: noise from Poisson trains and from the network's own spikes."""
    net = rv.Network()
    a = net.add(rv.LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0), 2)
    net.background(a, rate=20_000.0, weight=0.1)
    net.connect(a, a, weight=-0.5, edges=([0, 1], [1, 0]))
    prediction = rv.predict(net)
    mu, variance = 40.0 - 10.0 * 1e-3 * float(prediction.rates()[0]), 2.0 + 2.5e-3 * float(prediction.rates()[0])
    expected = theory.siegert(mu, variance**0.5, tau=20.0, V_th=20.0, V_reset=10.0, t_ref=2.0).rate
    torch.testing.assert_close(prediction.rates(), expected.expand(2), rtol=1e-5, atol=0)


def test_runaway_excitation_settles_at_the_refractory_limit_or_is_refused():
    net = rv.Network()
    a = net.add(rv.LIF(), 4, drive=10.0, noise=5.0)
    net.connect(a, a, weight=20_000.0, synapse=rv.Exponential(), in_degree=3)
    prediction = rv.predict(net)  # saturated: nothing responds any more
    assert ((prediction.rates() > 300) & (prediction.rates() < 500)).all()


def test_large_networks_are_solved_without_dense_matrices(monkeypatch):

    net = small()
    dense = rv.predict(net).rates()
    monkeypatch.setattr(newton, "DENSE", 0)
    torch.testing.assert_close(rv.predict(net).rates(), dense, rtol=1e-11, atol=0)
