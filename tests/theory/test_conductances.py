"""Conductance-based synapses in `rv.predict`: a neuron of another leak, finite differences, simulations."""

import math

import pytest
import torch

import ranvier as rv
from tests.theory.beside import covariances, mean_rate
from tests.theory.replicas import Replicas

EIF = {"tau_m": 15.0, "E_L": -65.0, "V_th": -30.0, "V_reset": -62.0, "V_T": -50.0, "Delta_T": 2.0, "g_L": 10.0}


def test_steady_conductances_are_a_leak():
    """Very many, very small: the neuron of time constant tau/(1 + gamma), exactly, with its rate, CV and spectrum."""
    net = rv.Network()
    a = net.add(rv.LIF(tau_m=20.0, g_L=8.0), 2, drive=8.0, noise=4.0)
    gamma = {0.0: 0.3, -80.0: 0.5}
    for E_rev, leak in gamma.items():
        w = 1e-6
        synapse = rv.AlphaConductance(tau=3.0, E_rev=E_rev)
        net.background(a, rate=1000 * leak * 8.0 / (w * math.e * 3.0), weight=w, synapse=synapse)
    prediction = rv.predict(net)
    k = 1 + sum(gamma.values())
    rest = (-65.0 + 8.0 + sum(E * x for E, x in gamma.items())) / k
    alone = rv.Network()
    alone.add(rv.LIF(tau_m=20.0 / k, E_L=rest), 2, noise=4.0 / math.sqrt(k))
    expected = rv.predict(alone)
    torch.testing.assert_close(prediction.rates(), expected.rates(), rtol=2e-5, atol=0)
    torch.testing.assert_close(prediction.cv(), expected.cv(), rtol=1e-5, atol=0)
    torch.testing.assert_close(
        prediction.spectrum([0.0, 30.0]).real, expected.spectrum([0.0, 30.0]).real, rtol=1e-4, atol=0
    )
    # a current of 1 mV is now shared with the synapses
    torch.testing.assert_close(prediction.susceptibility(20.0) * k, expected.susceptibility(20.0), rtol=1e-4, atol=0)


def small(rate, w):
    net = rv.Network()
    a = net.add(rv.EIF(**EIF), 1, drive=9.0, noise=5.0)
    p = net.add(rv.Poisson(rate), 1)
    net.connect(p, a, weight=w, delay=1.0, synapse=rv.ExponentialConductance(tau=5.0, E_rev=-75.0), edges=([0], [0]))
    return net


def test_the_interaction_is_the_slope_of_the_rate():
    """K(0) against d r/d r_source by differences: the conductance acts at every V, not at its mean alone."""
    h, w = 1000.0, 1e-4
    low, high = (float(rv.predict(small(20_000.0 + s * h, w)).rates()[0]) for s in (-1, 1))
    K = float(rv.predict(small(20_000.0, w)).coupling(0.0)[0, 0, 1].real)
    assert pytest.approx((high - low) / (2 * h), rel=1e-3) == K
    assert K < 0


def network(dt):
    net = rv.Network(seed=3)
    exc, inh = (net.add(rv.EIF(**EIF), n, name, drive=9.0, noise=5.0) for n, name in ((80, "e"), (20, "i")))
    excite = rv.ExponentialConductance(tau=5.0, E_rev=0.0)
    inhibit = rv.AlphaConductance(tau=5.0, E_rev=-80.0)
    net.connect(exc, [exc, inh], weight=0.4, probability=0.2, delay=1.0, synapse=excite)
    net.connect(inh, [exc, inh], weight=1.2, probability=0.2, delay=1.0, synapse=inhibit)
    return net


def bombarded(dt):
    """Two thirds of the leak again in conductances, whose fluctuations are much of the noise."""
    net = rv.Network(seed=4)
    a = net.add(rv.EIF(**EIF), 60, drive=torch.linspace(0.0, 5.0, 60).double(), noise=3.0)
    net.background(a, rate=3000.0, weight=0.35, synapse=rv.ExponentialConductance(tau=3.0, E_rev=0.0))
    net.background(a, rate=2000.0, weight=0.3, synapse=rv.ExponentialConductance(tau=6.0, E_rev=-75.0))
    net.connect(a, a, weight=0.3, probability=0.1, synapse=rv.ExponentialConductance(tau=3.0, E_rev=0.0))
    net.connect(a, a, weight=10.0, probability=0.05, synapse=rv.Exponential(tau=4.0))
    return net


@pytest.mark.parametrize(
    ("build", "copies", "duration", "rates", "slope"),
    [(network, 3, 13_000.0, 0.03, 0.2), (bombarded, 4, 10_000.0, 0.04, 0.15)],
)
@pytest.mark.long
def test_beside_a_simulation(build, copies, duration, rates, slope):
    """Mean rate to 3 and 4 %, covariances on average to 20 and 15 %, beyond the sampling error.

    In 60 and 150 s: mean rates to 1 and 1.8 %, covariances to 15 and 1 % (± 1.5 and 4.5).
    """
    observed = Replicas(build(0.05), copies, duration, dt=0.05, seed=6)
    prediction = rv.predict(build(0.0))
    ratio, uncertainty = mean_rate(observed, prediction)
    assert ratio == pytest.approx(1, abs=rates + 3 * uncertainty)
    r = observed.rates()
    C, error = observed.covariance(50.0, return_error=True)
    P = prediction.covariance(50.0)
    ratio, uncertainty = covariances(C, error, P, ~torch.eye(len(r), dtype=torch.bool))
    assert ratio == pytest.approx(1, abs=slope + 3 * uncertainty)
    assert uncertainty < 0.1
    assert float((prediction.cv() / observed.cv())[r > 2].mean()) == pytest.approx(1, abs=0.05)


VALUES = {
    "weight": [1.5, 2.0, 1.0],
    "drive": [14.0, 15.0, 13.0],
    "noise": [5.0, 6.0, 5.0],
    "g_L": [10.0, 9.0, 11.0],
    "tau_m": [15.0, 12.0, 14.0],
    "V_th": [-40.0, -41.0, -42.0],
    "tau_s": [3.0, 6.0],
    "E_rev": [0.0, -75.0],
    "rate": [40.0],
}


def built(weight, drive, noise, g_L, tau_m, V_th, tau_s, E_rev, rate):
    net = rv.Network()
    own = EIF | {"g_L": g_L, "tau_m": tau_m, "V_th": V_th}
    a = net.add(rv.EIF(**own), 3, drive=drive, noise=noise)
    p = net.add(rv.Poisson(rate[0]), 1)
    excite = rv.ExponentialConductance(tau=tau_s[0], E_rev=E_rev[0])
    inhibit = rv.AlphaConductance(tau=tau_s[1], E_rev=E_rev[1])
    net.connect(a, a, weight=weight, delay=1.0, synapse=excite, edges=([0, 1, 2], [1, 2, 0]))
    net.connect(a, a, weight=weight[:1], delay=1.0, synapse=inhibit, edges=([2], [1]))
    net.connect(p, a, weight=2.0, synapse=excite, edges=([0, 0], [0, 1]))
    net.background(a, rate=50.0, weight=weight[1], synapse=inhibit)
    prediction = rv.predict(net, N=60, V_lb=-120.3)
    prediction.__dict__["frequencies"] = torch.linspace(0.0, 200.0, 9, dtype=torch.float64)
    return prediction


def test_gradients_against_differences():
    """Of rates and covariances, in weights, drive, noise, leak, membrane and synaptic times, thresholds, reversals:
    one gradient, and for each input differences along the signs of its entries' slopes, which then add up."""
    inputs = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in VALUES.items()}

    def loss(**values):
        prediction = built(**(inputs | values))
        return prediction.rates().square().sum() + 1e3 * prediction.covariance(50.0).square().sum()

    gradients = torch.autograd.grad(loss(), list(inputs.values()))
    with torch.no_grad():
        for (name, value), gradient in zip(inputs.items(), gradients, strict=True):
            assert bool((gradient != 0).all()), name
            step = 1e-4 * value.abs().clamp(min=1.0) * gradient.sign()
            expected = (loss(**{name: value + step}) - loss(**{name: value - step})) / 2
            assert float((gradient * step).sum()) == pytest.approx(float(expected), rel=1e-4), name


def test_what_it_refuses():
    with pytest.raises(ValueError, match="order is 2 and there are conductance"):
        rv.predict(network(0.0), order=2)
    net = rv.Network()
    a = net.add(rv.QIF(), 2, drive=2.0, noise=5.0)
    net.connect(a, a, weight=1.0, synapse=rv.ExponentialConductance(), in_degree=1)
    if "g_L" not in a.parameters:
        with pytest.raises(ValueError, match="no leak conductance g_L"):
            rv.predict(net)
