"""Spins at a temperature against enumerated Boltzmann laws, and sweeps against plain loops."""

import itertools
import math

import numpy as np
import pytest
import torch

from ranvier.energies import Clamp, Ising
from ranvier.energies.machines.sweeps import GLAUBER, HEAT_BATH, METROPOLIS, sweep

pytestmark = pytest.mark.usefixtures("float64")


def couplings(n, seed=0, spread=0.8):
    g = torch.Generator().manual_seed(seed)
    upper = torch.triu(spread * torch.randn(n, n, generator=g), 1)
    return upper + upper.T, 0.4 * torch.randn(n, generator=g)


def law(model, temperature):
    """All states and their probabilities."""
    states = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=model.units)))
    return states, torch.softmax(-model.energy(states) / temperature, 0)


@pytest.mark.parametrize("order", ["sequential", "random", "uniform"])
@pytest.mark.parametrize("rule", ["metropolis", "glauber", "heat_bath"])
def test_samples_follow_the_boltzmann_law(rule, order):
    """χ² of 16 states' counts; every 7th sweep, so that samples are all but independent (at most 15 % more)."""
    model = Ising(*couplings(4))
    states, p = law(model, 1.7)
    start = torch.ones(2, 4)
    result = model.sample(start, 1.7, 70_000, rule=rule, order=order, every=7, seed=3)
    samples = result.samples[100:].flatten(0, 1)
    code = (samples > 0).long() @ torch.tensor([8, 4, 2, 1])
    counts = torch.bincount(code, minlength=16)
    chi = float(((counts - len(code) * p) ** 2 / (len(code) * p)).sum())
    assert chi < 15 + 5 * math.sqrt(30) + 0.15 * 15
    wrong = torch.softmax(-model.energy(states) / 1.6, 0)
    assert float(((counts - len(code) * wrong) ** 2 / (len(code) * wrong)).sum()) > 2 * chi
    torch.testing.assert_close(result.energy[-1], model.energy(result.states))
    torch.testing.assert_close(result.magnetisation[-1], result.states.mean(1))


def test_clamped_spins_stay_and_condition_the_rest():
    model = Ising(*couplings(5, 1))
    clamp = Clamp.at([1, 3], torch.tensor([1.0, -1.0]), 5)
    result = model.sample(torch.ones(1, 5), 1.0, 40_000, clamp=clamp, every=2)
    assert (result.samples[..., 1] == 1).all() and (result.samples[..., 3] == -1).all()
    states, p = law(model, 1.0)
    within = (states[:, 1] == 1) & (states[:, 3] == -1)
    expected = (p[within, None] * states[within]).sum(0) / p[within].sum()
    assert (result.samples[:, 0].mean(0) - expected).abs().max() < 5 * 1.5 / math.sqrt(20_000)


def plain(W, s, h0, order, u, beta, rule):
    """The same sweep, fields summed again for every unit."""
    s, flips = s.copy(), 0
    for i, draw in zip(order, u, strict=True):
        h = sum(W[i, j] * s[j] for j in range(len(s))) + h0[i]
        cost = 2 * s[i] * h
        if rule == METROPOLIS:
            new = -s[i] if draw < min(1.0, math.exp(-beta * cost)) else s[i]
        elif rule == GLAUBER:
            new = -s[i] if draw < 1 / (1 + math.exp(beta * cost)) else s[i]
        else:
            new = 1.0 if draw < 1 / (1 + math.exp(-2 * beta * h)) else -1.0
        flips += new != s[i]
        s[i] = new
    return s, flips


@pytest.mark.parametrize("rule", [METROPOLIS, GLAUBER, HEAT_BATH])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sweep_against_a_plain_loop(rule, dtype, rng):
    W, field = (t.numpy().astype(dtype) for t in couplings(23, 5, 0.3))
    s = rng.choice([-1.0, 1.0], 23).astype(dtype)
    order, u = rng.integers(0, 23, 200), rng.random(200)
    expected, count = plain(W, s, field, order, u, 0.9, rule)
    h = W @ s + field
    flips = sweep(W, s, h, order, u, 0.9, rule)
    assert np.array_equal(s, expected) and flips == count > 30
    np.testing.assert_allclose(h, W @ s + field, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-5)


def test_onsager_is_far_but_mean_field_is_near():
    """Curie–Weiss, w = 1/N: m = tanh(m/T) up to O(1/N)."""
    n, T = 400, 0.6
    W = torch.full((n, n), 1.0 / n).fill_diagonal_(0)
    m = 1.0
    for _ in range(200):
        m = math.tanh(m / T)
    result = Ising(W).sample(torch.ones(2, n), T, 3000, seed=1)
    assert float(result.magnetisation[200:].mean()) == pytest.approx(m, abs=0.01)


def test_the_same_seed_gives_the_same_spins_whatever_else_is_in_the_batch():
    model = Ising(*couplings(30, 2, 0.2))
    x = torch.where(torch.randn(3, 30, generator=torch.Generator().manual_seed(0)) > 0, 1.0, -1.0)
    both, alone = model.sample(x, 1.0, 300, seed=5), model.sample(x[:1], 1.0, 300, seed=5)
    assert torch.equal(both.states[0], alone.states[0]) and torch.equal(both.energy[:, 0], alone.energy[:, 0])
    assert not torch.equal(both.energy, model.sample(x, 1.0, 300, seed=6).energy)
    result = model.sample(x, 1.0, 300, seed=5, every=100)
    assert result.samples.shape == (3, 3, 30) and torch.equal(result.samples[-1], result.states)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"temperature": 0.0}, "temperature is 0"),
        ({"rule": "wolff"}, "'wolff'"),
        ({"order": "backwards"}, "'backwards'"),
        ({"sweeps": 0}, "sweeps is 0"),
        ({"states": torch.zeros(1, 4)}, "not ±1"),
        ({"states": torch.ones(4)}, r"shape \(4,\)"),
    ],
)
def test_errors(wrong, text):
    inputs = {"states": torch.ones(1, 4), "temperature": 1.0, "sweeps": 3} | wrong
    with pytest.raises(ValueError, match=text):
        Ising(*couplings(4)).sample(inputs.pop("states"), inputs.pop("temperature"), inputs.pop("sweeps"), **inputs)
    with pytest.raises(ValueError, match="symmetric"):
        Ising(torch.randn(4, 4).fill_diagonal_(0))
    with pytest.raises(ValueError, match=r"bias has shape \(3,\)"):
        Ising(couplings(4)[0], torch.ones(3))
