"""Siegert's formula against plain quadrature, its slopes, and the general operator."""

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import torch

from ranvier import theory

P = {"tau": 20.0, "V_th": 20.0, "V_reset": 10.0, "t_ref": 2.0}


def plain(mu, sigma, tau, V_th, V_reset, t_ref):
    y_r, y_th = (V_reset - mu) / sigma / math.sqrt(2), (V_th - mu) / sigma / math.sqrt(2)
    cuts = [x for x in (-100, -30, -10, -3, -1, 0, 1, 2, 3, 4, 5) if y_r < x < y_th]
    ends = [y_r, *cuts, y_th]
    area = sum(
        scipy.integrate.quad(lambda u: scipy.special.erfcx(-u), a, b, epsabs=0, epsrel=1e-12, limit=200)[0]
        for a, b in itertools.pairwise(ends)
    )
    return 1000 / (t_ref + tau * math.sqrt(math.pi) * area)


def test_against_plain_quadrature():
    rng = np.random.default_rng(0)
    for _ in range(200):
        mu, sigma, V_reset = rng.uniform(-40, 60), 10 ** rng.uniform(-1, 2), rng.uniform(-5, 19.9)
        if (20 - mu) / sigma > 8:
            continue
        p = {**P, "V_reset": V_reset}
        assert float(theory.siegert(mu, sigma, **p).rate) == pytest.approx(plain(mu, sigma, **p), rel=1e-9)


def test_reference_value():
    s = theory.siegert(15.0, 5.0 / math.sqrt(2.0), **P)
    assert float(s.rate) == pytest.approx(9.460799805759, abs=1e-11)
    assert float(s.by_mu) == pytest.approx(2.9073, abs=5e-5)


def test_against_threshold_integration():
    mu = torch.tensor([-10.0, 5.0, 15.0, 30.0])

    def rate(N):
        return theory.stationary(theory.membrane(lambda V: mu - V, sigma=4.0, V_lb=-45.0, N=N, **P)).rate

    torch.testing.assert_close(
        (4 * rate(2000) - rate(1000)) / 3, theory.siegert(mu, 4.0, **P).rate, rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("sigma", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("mu", [-100.0, 15.0, 20.0, 25.0, 1000.0])
def test_slopes_and_limits(mu, sigma):
    x = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (mu, sigma)]
    s = theory.siegert(*x, **P)
    assert 0 <= float(s.rate.detach()) < 500
    by_mu, by_sigma = torch.autograd.grad(s.rate, x)
    assert float(s.by_mu.detach()) == pytest.approx(float(by_mu), rel=1e-9, abs=1e-10)
    assert float(s.by_sigma.detach()) == pytest.approx(float(by_sigma), rel=1e-9, abs=1e-10)
    if sigma == 0.01 and mu > 20:
        assert float(s.rate.detach()) == pytest.approx(
            1000 / (2 + 20 * math.log((mu - 10) / (mu - 20))), rel=2e-6
        )


def test_gradients_of_rate_and_slopes():
    values = (
        [15.0, 3.5, 20.0, 20.0, 10.0, 2.0],
        [30.0, 1.5, 10.0, 20.0, -10.0, 0.5],
        [5.0, 2.5, 15.0, 20.0, 9.0, 1.0],
    )
    inputs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in zip(*values, strict=True)]

    def measure(mu, sigma, tau, V_th, V_reset, t_ref):
        s = theory.siegert(mu, sigma, tau=tau, V_th=V_th, V_reset=V_reset, t_ref=t_ref)
        return s.rate, s.by_mu, s.by_sigma

    assert torch.autograd.gradcheck(measure, inputs, rtol=1e-5)
    assert torch.autograd.gradgradcheck(lambda *x: measure(*x)[0], inputs, rtol=1e-4)


def test_refuses_by_name():
    with pytest.raises(ValueError, match=r"sigma of neuron . is .* expected a number above 0"):
        theory.siegert(15.0, 0.0, **P)
    with pytest.raises(ValueError, match=r"V_th of neuron . is .* above V_reset"):
        theory.siegert(15.0, 1.0, **{**P, "V_th": 0.0})
