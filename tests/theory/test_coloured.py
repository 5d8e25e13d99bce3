"""Filtered noise: the shift against Siegert's formula and against a plain simulation."""

import math

import numpy as np
import pytest
import torch

from ranvier import theory
from tests.theory import cases

P = {"tau": 10.0, "sigma": 4.0, "V_th": 20.0, "V_reset": 10.0}


def force(V):
    return 17.0 - V


def test_the_shift_is_the_zeta_function():
    zeta = -(1 + math.sqrt(2)) * sum(  # Dirichlet's eta(1/2), Euler-accelerated, over 2^(1/2) - 1
        sum((-1) ** k * math.comb(n, k) / math.sqrt(k + 1) for k in range(n + 1)) / 2 ** (n + 1)
        for n in range(40)
    )
    assert float(theory.boundary_shift(1.0, 1.0, 1.0)) == pytest.approx(-zeta, rel=1e-9)


def test_lif_is_siegert_with_shifted_boundaries():
    s = 1.4603545088 * 4.0 * math.sqrt(0.03)
    shifted = theory.siegert(17.0, 4.0, tau=10.0, V_th=20.0 + s, V_reset=10.0 + s)
    m = theory.coloured_membrane(force, tau_s=0.3, **P, N=4000)
    assert float(theory.stationary(m).rate) == pytest.approx(float(shifted.rate), rel=1e-5)


def test_against_simulation():
    """LIF driven by an Ornstein-Uhlenbeck process; white noise would be 25 % off."""
    rng = np.random.default_rng(1)
    dt, tau_s, steps, cells = 0.02, 0.3, 30_000, 2000
    keep = math.exp(-dt / tau_s)
    V, z, spikes = np.full(cells, 15.0), rng.normal(size=cells), 0
    gain = 4.0 * math.sqrt(2 * 10.0) / math.sqrt(2 * tau_s) * dt / 10.0
    kick = math.sqrt(1 - keep * keep)
    for n in range(steps):
        V += (17.0 - V) * (dt / 10.0) + gain * z
        z = keep * z + kick * rng.standard_normal(cells, dtype=np.float32)
        over = np.flatnonzero(V >= 20.0)
        V[over] = 10.0
        spikes += over.size if n >= 5000 else 0
    observed = 1000 * spikes / ((steps - 5000) * dt * cells)
    prediction = float(theory.stationary(theory.coloured_membrane(force, tau_s=tau_s, **P)).rate)
    white = float(theory.stationary(theory.membrane(force, **P)).rate)
    assert observed == pytest.approx(prediction, rel=0.03)
    assert abs(white / observed - 1) > 0.1


def test_gradients_pass_through_the_shift():
    def rate(tau_s, sigma):
        p = {**P, "sigma": sigma, "V_lb": -10.0, "N": 60}
        return theory.stationary(theory.coloured_membrane(force, tau_s=tau_s, **p)).rate

    inputs = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (0.31, 4.1)]
    assert torch.autograd.gradcheck(rate, inputs, rtol=1e-4)


def test_refusals():
    eif, p = cases.O
    with pytest.raises(ValueError, match="no hard threshold"):
        theory.coloured_membrane(eif, tau_s=0.5, **p)
    with pytest.raises(ValueError, match="tau_s/tau"):
        theory.coloured_membrane(force, tau_s=5.0, **P)
