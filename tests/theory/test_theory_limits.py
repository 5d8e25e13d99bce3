"""Closed forms, quadrature, limits, and every corner of sigma and rate."""

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import theory
from tests.theory import cases


def qif_interval(mu, sigma, tau):
    """Mean interval of tau dV = (V^2 + mu) dt + noise from -infinity to infinity, ms: the double integral of
    the first-passage problem, its inner Gaussian done by hand."""
    D = sigma**2 / tau

    def integrand(x):
        return math.exp(-(x**6 / 12 + mu * x * x) / (D * tau))

    return 2 * math.sqrt(math.pi * tau / D) * scipy.integrate.quad(integrand, 0, math.inf)[0] / math.sqrt(1.0)


@pytest.mark.parametrize("mu, sigma", [(1.0, 1.0), (-0.5, 1.0), (4.0, 0.5)])
def test_qif_against_its_integral(mu, sigma):
    tau, far = 10.0, 200.0
    m = theory.membrane(
        lambda V: V * V + mu, tau=tau, sigma=sigma, V_th=far, V_reset=-far, V_lb=-far - 1, N=40_000
    )
    tails = 2 * tau * (math.pi / 2 - math.atan(far / math.sqrt(abs(mu)))) / math.sqrt(abs(mu))
    assert 1000 / float(theory.stationary(m).rate) + tails == pytest.approx(
        qif_interval(mu, sigma, tau), rel=2e-5
    )


def test_qif_without_noise():
    """T = tau/sqrt(mu) [atan(V_th/sqrt(mu)) - atan(V_re/sqrt(mu))]."""
    mu, tau = 4.0, 10.0
    m = theory.membrane(
        lambda V: V * V + mu, tau=tau, sigma=0.01, V_th=50.0, V_reset=-50.0, V_lb=-51.0, N=8000
    )
    interval = tau / math.sqrt(mu) * 2 * math.atan(50.0 / math.sqrt(mu))
    s = theory.stationary(m)
    assert 1000 / float(s.rate) == pytest.approx(interval, rel=1e-5)
    assert float(s.cv) < 0.04  # the grid's own dispersion


def test_noiseless_lif_and_its_resonance():
    m = theory.membrane(lambda V: 25.0 - V, tau=20.0, sigma=0.05, V_th=20.0, V_reset=10.0, t_ref=2.0, N=4000)
    s = theory.stationary(m)
    interval = 2.0 + 20.0 * math.log(15.0 / 5.0)
    assert 1000 / float(s.rate) == pytest.approx(interval, rel=1e-4)
    assert float(s.cv) < 0.02
    r = theory.response(m, [1000 / interval, 500 / interval])
    assert float(r.spectrum[0]) > 100 * float(r.spectrum[1])  # nearly periodic
    slope = (1000 / interval) ** 2 / 1000 * 20.0 * (1 / 5.0 - 1 / 15.0)
    assert float(theory.response(m, 0.0).current.real) == pytest.approx(slope, rel=1e-3)


def test_escape_over_a_high_barrier():
    """Kramers: the rate of an Ornstein-Uhlenbeck process leaving at distance h is (h/sigma) exp(-h^2/2
    sigma^2) / (sqrt(2 pi) tau) (1 - (sigma/h)^2 + ...); its intervals are Poisson."""
    h, sigma, tau = 20.0, 2.5, 10.0
    m = theory.membrane(lambda V: -V, tau=tau, sigma=sigma, V_th=h, V_reset=-5.0, N=4000)
    x = sigma / h
    series = 1 - x**2 - 2 * x**4 - 10 * x**6
    kramers = 1000 * math.exp(-1 / (2 * x * x)) / (x * math.sqrt(2 * math.pi) * tau) * series
    s = theory.stationary(m)
    assert float(s.rate) == pytest.approx(kramers, rel=1e-3)
    assert float(s.cv) == pytest.approx(1.0, abs=1e-9)
    assert float(s.rate) < 1e-9


def test_rate_against_plain_double_quadrature():
    """T = (tau/sigma^2) int_{V_re}^{V_th} dx int_{-inf}^x dz exp((U(x) - U(z))/sigma^2), F = -dU/dV."""
    force, p = cases.R
    E, mu, Delta, V_T = -60.0, 2.0, 2.0, -50.0
    variance = p["sigma"] ** 2

    def U(V):
        return 0.5 * (V - E - mu) ** 2 - Delta**2 * math.exp((V - V_T) / Delta)

    def inner(x):  # in pieces that shrink towards x, where the integrand peaks
        ends = [-140.0, *(x - d for d in (30, 10, 3, 1, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5)), x]
        pieces = itertools.pairwise(ends)
        return sum(
            scipy.integrate.quad(lambda z: math.exp((U(x) - U(z)) / variance), a, b)[0] for a, b in pieces
        )

    x, w = np.polynomial.legendre.leggauss(60)
    interval = 0.0
    for lo, hi in ((-65.0, -45.0), (-45.0, -30.0), (-30.0, -10.0)):
        half = (hi - lo) / 2
        interval += half * sum(wi * inner(lo + half * (xi + 1)) for xi, wi in zip(x, w, strict=True))
    rate = 1000 / (p["t_ref"] + p["tau"] / variance * interval)
    two = [float(theory.stationary(theory.membrane(force, N=N, **p)).rate) for N in (4000, 8000)]
    assert (4 * two[1] - two[0]) / 3 == pytest.approx(rate, rel=1e-6)


def test_a_reset_above_the_barrier():
    """A bistable neuron whose reset lies beyond the unstable point: it bursts, and rarely falls back."""
    m = theory.membrane(
        lambda V: V * V - 9.0, tau=10.0, sigma=1.0, V_th=60.0, V_reset=4.5, V_lb=-12.0, N=6000
    )
    s, r = theory.stationary(m), theory.response(m, [0.0, 1e-3])
    h = 1e-3
    ends = [
        theory.membrane(
            lambda V, d=d: V * V - 9.0 + d, tau=10.0, sigma=1.0, V_th=60.0, V_reset=4.5, V_lb=-12.0, N=6000
        )
        for d in (-h, h)
    ]
    slope = (theory.stationary(ends[1]).rate - theory.stationary(ends[0]).rate) / (2 * h)
    assert float(r.current.real[0]) == pytest.approx(float(slope), rel=1e-5)
    assert float(s.cv) > 10


@st.composite
def neurons(draw):
    kind = draw(st.sampled_from(["lif", "eif", "qif"]))
    mu = draw(st.floats(-150.0, 250.0))
    sharp = draw(st.floats(0.1, 10.0))
    p = {
        "sigma": 10 ** draw(st.floats(-2.0, 2.0)),
        "tau": 10 ** draw(st.floats(0.0, 2.0)),
        "t_ref": draw(st.sampled_from([0.0, 2.5])),
        "N": draw(st.sampled_from([300, None])),
    }
    if kind == "lif":
        return lambda mu: lambda V: mu - V, mu, {**p, "V_th": 20.0, "V_reset": draw(st.floats(-30.0, 19.5))}
    if kind == "eif":
        p |= {"V_th": draw(st.sampled_from([-30.0, 0.0, 60.0])), "V_reset": draw(st.floats(-90.0, -45.0))}
        return lambda mu: lambda V: mu - 70 - V + sharp * torch.exp((V + 50) / sharp), mu, p
    p |= {"V_th": draw(st.floats(20.0, 200.0)), "V_reset": draw(st.floats(-100.0, 5.0))}
    return lambda mu: lambda V: V * V / 5 + mu, mu, p


@settings(max_examples=120, deadline=None, derandomize=True)
@given(neurons())
def test_nothing_overflows(neuron):
    """Values, bounds and gradients, for sigma from 0.01 to 100 mV and rates from 0 (underflow) to many
    hundred Hz."""
    force, mu, p = neuron
    mu = torch.tensor(mu, dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor(p.pop("sigma"), dtype=torch.float64, requires_grad=True)
    m = theory.membrane(force(mu), sigma=sigma, **p)
    s = theory.stationary(m)
    r = theory.response(m, [0.0, 1e-3, 1.0, 100.0, 3000.0])
    for value in (s.rate, s.cv, s.density, r.current, r.noise, r.passage, r.spectrum):
        assert bool(torch.isfinite(torch.view_as_real(value) if value.is_complex() else value).all())
    assert float(s.density.detach().min()) >= 0
    mass = float((s.density.sum() * m.grid.step + s.rate / 1000 * p["t_ref"]).detach())
    assert mass == pytest.approx(1, abs=1e-9)
    assert float(r.passage.detach().abs().max()) <= 1 + 1e-9
    assert float(r.spectrum.detach().min()) >= -1e-7 * float(s.rate.detach())
    loss = sum(q.real.sum() + q.imag.sum() for q in (r.current, r.noise, r.passage)) + r.spectrum.sum()
    loss = loss + s.rate.sum() + s.cv.sum() + s.density.max()
    assert all(bool(torch.isfinite(g)) for g in torch.autograd.grad(loss, [mu, sigma]))


LIF = {"tau": 10.0, "sigma": 5.0, "V_th": 20.0, "V_reset": 10.0}


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"sigma": 0.0}, "sigma of neuron 0 is 0 .*above 0 mV"),
        ({"sigma": torch.tensor([1.0, -1.0])}, "sigma of neuron 1"),
        ({"tau": -1.0}, "tau of neuron 0 is -1"),
        ({"V_th": 5.0}, "expected a voltage above V_reset"),
        ({"V_lb": 15.0}, "V_lb"),
        ({"t_ref": -1.0}, "t_ref"),
        ({"tau": math.nan}, "tau of neuron 0 is nan"),
        ({"N": 2}, "at least 4"),
        ({"sigma": torch.ones(2), "tau": torch.ones(3)}, "one length"),
        ({"force": lambda V: V * math.nan, "V_lb": 0.0}, "not a number"),
        ({"force": lambda V: V * 0 - 1.0}, "no force returns"),
        ({"force": torch.zeros(100, 2)}, "V_lb=None and N=None; expected"),
    ],
)
def test_impossible_neurons_are_refused_by_name(changed, message):
    parameters = {"force": lambda V: 15.0 - V, **LIF, **changed}
    with pytest.raises(ValueError, match=message):
        theory.membrane(parameters.pop("force"), **parameters)


def test_force_given_as_values():
    m = theory.membrane(lambda V: torch.tensor([15.0, 18.0]) - V, V_lb=-10.0, N=500, **LIF)
    again = theory.membrane(m.force, V_lb=-10.0, **LIF)
    assert torch.equal(theory.stationary(m).rate, theory.stationary(again).rate)


def test_no_frequencies_are_refused_in_words():
    net = rv.Network(seed=1)
    cells = net.add(rv.LIF(), 4, drive=12.0, noise=5.0)
    net.connect(cells, cells, weight=0.5, in_degree=2)
    for prediction in (rv.predict(net), theory.predict_populations(net)):
        for question in (prediction.spectrum, prediction.susceptibility):
            with pytest.raises(ValueError, match=r"f is \[\]; expected finite numbers in Hz, one or more"):
                question([])
