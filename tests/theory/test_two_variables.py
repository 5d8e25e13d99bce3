"""Rates in coloured noise: against Monte Carlo, the limits of fast and slow noise, and central differences."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier import theory
from ranvier.theory.network.self_consistency import coloured
from tests.theory.beside import gradient_is_that_of_differences
from tests.theory.coloured_monte_carlo import MODELS, RATES, T_REF, TAU, WHITE

TORCH_FORCES = {
    "lif": lambda V: -V,
    "eif": lambda V: -V + 2 * torch.exp(V / 2),
    "qif": lambda V: V * V / 5,
}


def rate(name, tau_s, **changes):
    _, mu, V_th, V_reset = MODELS[name]
    values = {"s": WHITE * math.sqrt(TAU / tau_s / 2), "sigma": 0.0} | changes
    force = TORCH_FORCES[name]
    return float(
        theory.filtered_rate(
            lambda V: force(V) + mu, tau=TAU, tau_s=tau_s, V_th=V_th, V_reset=V_reset, t_ref=T_REF, **values
        )
    )


@pytest.mark.parametrize(("name", "tau_s"), RATES)
def test_monte_carlo(name, tau_s):
    """Within 3 % for tau_s/tau_m from 0.025 to 1; white noise of the membrane's variance is up to 60 % off."""
    expected, error = RATES[name, tau_s]
    assert error < 0.006 * expected
    assert rate(name, tau_s) == pytest.approx(expected, rel=0.015 + 2 * error / expected)


def test_slow_noise_is_a_mixture_of_constant_inputs():
    """tau_s = 400 tau: the integral of Siegert's rates over the input's distribution (Moreno-Bote & Parga 2004)."""
    z, w = np.polynomial.hermite_e.hermegauss(60)
    input = torch.tensor(12.0 + 6.0 * z)
    alone = theory.siegert(input, 3.0, tau=10.0, V_th=20.0, V_reset=10.0, t_ref=2.0).rate
    expected = float((alone * torch.tensor(w / w.sum())).sum())
    options = {"tau": 10.0, "V_th": 20.0, "V_reset": 10.0, "t_ref": 2.0}
    result = theory.filtered_rate(lambda V: 12.0 - V, sigma=3.0, s=6.0, tau_s=4000.0, **options)
    assert float(result) == pytest.approx(expected, rel=5e-3)


def test_fast_noise_moves_the_threshold():
    """LIF, tau_s = tau/200: Siegert's rate with V_th and V_reset moved up (Fourcaud & Brunel 2002)."""
    sigma, tau, tau_s = 4.0, 20.0, 0.1
    shift = theory.boundary_shift(sigma, tau, tau_s)
    expected = theory.siegert(15.0, sigma, tau=tau, V_th=20.0 + shift, V_reset=10.0 + shift).rate
    s = sigma * math.sqrt(tau / tau_s)
    result = theory.filtered_rate(
        lambda V: 15.0 - V, tau=tau, sigma=0.0, s=s, tau_s=tau_s, V_th=20.0, V_reset=10.0
    )
    assert float(result) == pytest.approx(float(expected), rel=0.01)
    assert abs(float(theory.siegert(15.0, sigma, tau=tau, V_th=20.0, V_reset=10.0).rate / expected) - 1) > 0.05


def test_gradients():
    x = torch.tensor([12.0, 20.0, 0.3, 8.0, 4.0, 20.0, 2.0]).double()

    def loss(x):
        mu, tau, sigma, s, tau_s, V_th, t_ref = x
        options = {"tau": tau, "sigma": sigma, "s": s, "tau_s": tau_s, "V_th": V_th, "t_ref": t_ref}
        return theory.filtered_rate(lambda V: mu - V, V_reset=10.0, steps=100, values=6, **options).sum()

    # the grid's lower end moves with them, in steps: that is in the differences, and not in the gradient
    gradient_is_that_of_differences(loss, x, rel=4e-3)


def background(size=3, **parameters):
    net = rv.Network(seed=1)
    a = net.add(rv.LIF(), size, **({"drive": 0.0, "noise": 0.1} | parameters))
    net.background(a, rate=9000.0, weight=6.0, synapse=rv.Exponential(tau=5.0))
    net.background(a, rate=2000.0, weight=-20.0, synapse=rv.Exponential(tau=5.0))
    return net, a


def test_predict_of_a_background():
    """Simulated 16.40 Hz; as white noise 23.19."""
    net, _ = background()
    prediction = rv.predict(net)
    assert float(prediction.rates()[0]) == pytest.approx(16.4, rel=0.015)
    assert "coloured" in str(prediction.report)
    # responses are those of neurons in white noise that fire at these rates
    step, more = 0.01, []
    for d in (-step, step):
        more.append(float(rv.predict(background(drive=d)[0]).rates()[0]))
    slope = (more[1] - more[0]) / (2 * step)
    assert float(prediction.susceptibility([0.0])[0, 0].real) == pytest.approx(slope, rel=0.15)


def recurrent(weight):
    net, a = background(16, drive=torch.linspace(-1.0, 1.0, 16).double(), noise=3.0)
    edges = torch.randint(0, 16, (2, 160), generator=torch.Generator().manual_seed(1))
    net.connect(a, a, weight=weight, synapse=rv.Exponential(tau=5.0), edges=tuple(edges))
    return net


def test_shifts_of_many_neurons_are_interpolated(monkeypatch):
    each = rv.predict(recurrent(10.0)).rates()
    monkeypatch.setattr(coloured, "MANY", 10)
    torch.testing.assert_close(rv.predict(recurrent(10.0)).rates(), each, rtol=1e-4, atol=0)


def test_gradients_of_a_network():
    def loss(x):
        net, a = background(2, drive=x[0], noise=x[1])
        net.connect(a, a, weight=x[2], synapse=rv.Exponential(tau=x[3]), edges=([0], [1]))
        prediction = rv.predict(net, N=1000)
        return prediction.rates().sum() + prediction.spectrum([10.0]).real.sum()

    gradient_is_that_of_differences(loss, torch.tensor([1.0, 1.0, 8.0, 4.0]).double(), rel=0.01)


def test_refusals():
    options = {"tau": 10.0, "tau_s": 5.0, "V_th": 20.0, "V_reset": 10.0}
    for name, value in (("s", -1.0), ("tau_s", 0.0), ("sigma", math.nan)):
        with pytest.raises(ValueError, match=name):
            theory.filtered_rate(lambda V: -V, **({"sigma": 1.0, "s": 1.0} | options | {name: value}))
    with pytest.raises(ValueError, match="sigma"):
        theory.filtered_rate(lambda V: -V, sigma=0.0, s=0.0, **options)
