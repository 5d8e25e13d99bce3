"""Pairwise maximum-entropy fits against the laws that the words were drawn from."""

import numpy as np
import pytest
import torch

from ranvier.analysis.ensembles import (
    Pairwise,
    count_states,
    entropy_by_size,
    fit_pairwise,
    pairwise_entropy,
    words,
)
from ranvier.energies import Boltzmann


def law(n=5, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    w = np.triu(scale * rng.normal(size=(n, n)), 1)
    model = Boltzmann(torch.from_numpy(w + w.T), torch.from_numpy(rng.normal(-0.5, 0.5, n)))
    states, p = model.distribution()
    return model, states.numpy(), p.numpy()


def draw(states, p, count, seed=1):
    return states[np.random.default_rng(seed).choice(len(p), count, p=p / p.sum())]


def exact_words(states, p, count=200_000):
    """Words as often as the law says, up to rounding."""
    return np.repeat(states, np.round(p * count).astype(int), axis=0)


@pytest.mark.parametrize("method", ["exact", "pseudo"])
def test_finds_the_law(method):
    model, states, p = law()
    result = fit_pairwise(exact_words(states, p), method=method)
    np.testing.assert_allclose(result.weight, model.weight, atol=0.02)
    np.testing.assert_allclose(result.bias, model.bias, atol=0.02)
    np.testing.assert_allclose(np.exp(result.log_probability(states)), p, atol=3e-4)
    if method == "exact":
        assert result.entropy == pytest.approx(-(p * np.log2(p)).sum(), abs=1e-3)
    else:
        assert np.isnan(result.entropy)


def test_keeps_rates_and_pairs():
    rng = np.random.default_rng(2)
    common = rng.random((4000, 1)) < 0.3
    data = (rng.random((4000, 6)) < np.where(common, 0.6, 0.1)).astype(int)  # triples beyond pairs
    result = fit_pairwise(data)
    states = ((np.arange(64)[:, None] >> np.arange(6)) & 1).astype(float)
    p = np.exp(result.log_probability(states))
    assert p.sum() == pytest.approx(1)
    np.testing.assert_allclose(states.T @ (p[:, None] * states), data.T @ data / 4000, atol=1e-6)


def test_counts():
    _, states, p = law(scale=1.5)
    data = draw(states, p, 50_000)
    observed = count_states(data)
    rate = p @ states
    independent = -(rate * np.log2(rate) + (1 - rate) * np.log2(1 - rate)).sum()
    assert observed.possible == 5
    assert observed.independent == pytest.approx(independent, abs=0.02)
    assert observed.words == pytest.approx(-(p * np.log2(p)).sum(), abs=0.02)
    assert observed.explained == pytest.approx(1, abs=0.02)


def test_parity_is_beyond_pairs():
    z = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]] * 5000)
    observed = count_states(z)
    assert observed.used == pytest.approx(3, abs=1e-6) and observed.words == pytest.approx(2, abs=1e-3)
    assert observed.explained == pytest.approx(0, abs=1e-3)


def test_many_neurons():
    rng = np.random.default_rng(3)
    z = (rng.random((20_000, 20)) < 0.3).astype(int)
    z[:, 1] = np.where(rng.random(20_000) < 0.5, z[:, 0], z[:, 1])
    result = fit_pairwise(z)
    # a table of two neurons has the log odds ratio as their weight
    a = np.array([[np.mean((z[:, 0] == x) & (z[:, 1] == y)) for y in (0, 1)] for x in (0, 1)])
    assert result.weight[0, 1] == pytest.approx(np.log(a[0, 0] * a[1, 1] / a[0, 1] / a[1, 0]), abs=0.05)
    assert abs(result.weight[2:, 2:]).max() < 0.25


def test_words():
    z = words(np.array([0.5, 1.0, 1.9, 2.5, 9.9]), np.array([0, 1, 1, 0, 2]), 3, 9.0, 1.0)
    assert z.shape == (9, 3) and z.sum() == 4 and z[0, 0] == z[0, 1] == z[1, 1] == z[2, 0] == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: fit_pairwise(np.array([[0, 2]])),
        lambda: fit_pairwise(np.array([[0, 1], [1, 1]])),
        lambda: fit_pairwise(np.eye(3), method="mean field"),
        lambda: fit_pairwise(np.eye(20), method="exact"),
        lambda: words(np.zeros(1), np.array([3]), 3, 9.0, 1.0),
        lambda: words(np.zeros(1), np.array([0]), 3, 9.0, 0.0),
    ],
    ids=["binary", "silent", "method", "many", "neurons", "bins"],
)
def test_refusals(call):
    with pytest.raises(ValueError, match="expected "):
        call()


def test_entropy_by_integration_is_that_of_the_enumerated_law():
    rng = np.random.default_rng(0)
    weight = np.triu(0.6 * rng.standard_normal((10, 10)), 1)
    weight = weight + weight.T
    bias = rng.normal(-1, 0.5, 10)
    z = ((np.arange(1024)[:, None] >> np.arange(10)) & 1).astype(float)
    value = 0.5 * np.einsum("ni,ij,nj->n", z, weight, z) + z @ bias
    p = np.exp(value - np.logaddexp.reduce(value))
    exact = -(p @ np.log2(p))
    assert abs(pairwise_entropy(Pairwise(weight, bias, float("nan")), sweeps=60) - exact) < 0.15
    q = 1 / (1 + np.exp(-bias))
    due = -(q * np.log2(q) + (1 - q) * np.log2(1 - q)).sum()
    assert abs(pairwise_entropy(Pairwise(0 * weight, bias, float("nan"))) - due) < 0.15 and exact < due + 1.0


def test_larger_ensembles_save_more_than_cells_that_keep_their_rates_alone():
    rng = np.random.default_rng(1)
    common = rng.random(2000) < 0.3
    z = (rng.random((2000, 20)) < 0.1 + 0.5 * common[:, None]).astype(np.uint8)
    result = entropy_by_size(z, [4, 8, 18], draws=2, penalty=1.0)
    saved = (result["independent"] - result["pairwise"]).mean(1)
    assert 0 < saved[0] < saved[1] < saved[2]
    with pytest.raises(ValueError, match="expected numbers of cells from 1 to 20"):
        entropy_by_size(z, [21])
