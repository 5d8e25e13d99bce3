"""The engines' random numbers: normal to five sigma, independent; and tests that see a bad one."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

import ranvier as rv
from ranvier.engines.sources import poisson

N, STEPS = 2048, 500


def normals(seed, neurons=N, steps=STEPS, dt=0.1):
    """(steps, neurons) the standard normals of a run, read off free membranes: V' = P V + L ξ, P and L known.

    tau_m is short, so that a step's noise stands far above float32's rounding of V.
    """
    net = rv.Network()
    net.add(rv.LIF(tau_m=0.05, E_L=0.0, V_th=1e9), neurons, noise=1.0)
    V = (
        rv.simulate(net, steps * dt, dt=dt, seed=seed, record="V")
        .states["V"]
        .values.numpy()
        .astype(np.float64)
    )
    before = np.vstack([np.zeros(neurons), V[:-1]])
    P = np.float64(np.float32(math.exp(-dt / 0.05)))
    return (V - P * before) / math.sqrt(-math.expm1(-2 * dt / 0.05))


def deviations(x):
    """How many standard errors each statistic of the numbers `x` lies from a standard normal's."""
    x = x.ravel()
    n = x.size
    z = {
        "mean": x.mean() * math.sqrt(n),
        "variance": (np.mean(x**2) - 1) * math.sqrt(n / 2),
        "skewness": np.mean(x**3) * math.sqrt(n / 15),
        "fourth moment": (np.mean(x**4) - 3) * math.sqrt(n / 96),
        "sixth moment": (np.mean(x**6) - 15) * math.sqrt(n / (10395 - 225)),
    }
    for bound in (0.5, 1.0, 2.0, 3.0, 4.0, 5.0):
        for sign in (1, -1):
            p = scipy.stats.norm.sf(bound)
            result = np.sum(sign * x > bound)
            # the exact binomial chance, as a number of sigma
            tail = min(scipy.stats.binom.sf(result - 1, n, p), scipy.stats.binom.cdf(result, n, p))
            z[f"beyond {sign * bound}"] = scipy.stats.norm.isf(min(tail, 0.5))
    distance = scipy.stats.kstest(x[:200_000], "norm").pvalue
    z["Kolmogorov-Smirnov"] = scipy.stats.norm.isf(distance / 2)
    return z


def worst(x):
    return max(abs(v) for v in deviations(x).values())


@pytest.fixture(scope="module")
def drawn():
    return {seed: normals(seed) for seed in (0, 1, 12345)}


def test_normal_to_five_sigma(drawn):
    for x in drawn.values():
        assert worst(x) < 5.0, deviations(x)
    assert worst(np.stack(list(drawn.values()))) < 5.0
    assert max(np.abs(x).max() for x in drawn.values()) < 7.0


@pytest.mark.parametrize(
    "mutant",
    [
        lambda u, v: np.sqrt(-2 * np.log(np.maximum(u, 2.0**-10))) * np.cos(2 * np.pi * v),  # short tails
        lambda u, v: 0.99 * scipy.stats.norm.ppf(u),  # 2 % too small a variance
        lambda u, v: scipy.stats.norm.ppf(u) + 0.01,
        lambda u, v: math.sqrt(3) * (2 * u - 1),
        lambda u, v: scipy.stats.t(30).ppf(u) / math.sqrt(30 / 28),
        lambda u, v: (u + v - 1) * math.sqrt(6),
    ],
)
def test_a_bad_generator_fails_the_same_test(mutant, rng):
    assert worst(mutant(rng.random(N * STEPS), rng.random(N * STEPS))) > 5.0


def test_the_test_passes_a_good_generator(rng):
    assert worst(rng.standard_normal(N * STEPS)) < 5.0


def correlation(x, y):
    """Correlation of two arrays of independent standard normals, in standard errors; also of the squares."""
    n = x.size
    return max(abs(np.sum(x * y)) / math.sqrt(n), abs(np.sum((x**2 - 1) * (y**2 - 1))) / (2 * math.sqrt(n)))


def test_independent_in_time_between_neurons_and_between_seeds(drawn):
    x, y = drawn[0], drawn[1]
    for lag in (1, 2, 3, 4, 7, 16):
        assert correlation(x[:-lag], x[lag:]) < 5.0, f"steps {lag} apart"
        assert correlation(x[:, :-lag], x[:, lag:]) < 5.0, f"neurons {lag} apart"
    assert correlation(x, y) < 5.0 and correlation(x[:, ::-1], y) < 5.0
    # every pair of neurons: the largest of many correlations is as large as it should be
    c = np.corrcoef(x.T)[np.triu_indices(N, 1)] * math.sqrt(STEPS)
    assert np.abs(c).max() < scipy.stats.norm.isf(0.5e-6 / c.size) and abs(c.var() - 1) < 0.01


def test_independent_between_purposes_and_populations():
    class Two(rv.Neuron):
        equations = rv.Equations("dV/dt = -V/tau_m + s*xi_a\ndw/dt = -w/tau_m + s*xi_b")
        tau_m: float = 0.05
        s: float = math.sqrt(2 / 0.05)

    net = rv.Network()
    net.add(Two(), 700)
    net.add(Two(), 700)
    states = rv.simulate(net, 40.0, record=["V", "w"], seed=3).states
    V, w = (states[k].values.numpy().astype(np.float64) for k in ("V", "w"))
    for x, y in ((V, w), (V[:, :700], V[:, 700:]), (V[:, :700], w[:, 700:]), (V[1:], w[:-1])):
        assert correlation(x, y) < 5.5  # the membranes remember 2 % of a step
    assert abs(V.var() - 1) < 0.02


@pytest.mark.parametrize("mean", [0.01, 2.0, 50.0, 400.0])
def test_background_counts_are_poisson(mean):
    size, steps, dt = 400, 400, 0.1
    counts = background(mean / dt * 1000, size, steps, dt)
    assert chi_squared(counts.ravel(), mean) > 1e-6
    # independent from step to step and from neuron to neuron
    z = (counts - mean) / math.sqrt(mean)
    assert abs(np.sum(z[1:] * z[:-1])) < 5 * math.sqrt(z.size)
    assert abs(np.sum(z[:, 1:] * z[:, :-1])) < 5 * math.sqrt(z.size)


def background(rate, size, steps, dt):
    """(steps, size) spikes that arrive at each neuron and step, read off integrators."""

    class Sum(rv.Neuron):
        equations = rv.Equations("dV/dt = 0*I")

    net = rv.Network()
    net.background(net.add(Sum(), size), rate=rate, weight=1.0)
    V = (
        rv.simulate(net, steps * dt, dt=dt, seed=2, record="V", dtype=torch.float64)
        .states["V"]
        .values.numpy()
    )
    counts = np.diff(V, axis=0, prepend=0.0)
    assert np.abs(counts - np.rint(counts)).max() < 1e-6
    return np.rint(counts)


def chi_squared(counts, mean):
    """Chance of a worse fit to the Poisson law, bins of at least 10 expected counts."""
    edges = scipy.stats.poisson.ppf(np.linspace(0, 1, 40)[1:-1], mean)
    edges = np.unique(edges)
    below = np.concatenate([[0.0], scipy.stats.poisson.cdf(edges, mean), [1.0]])
    expected = np.diff(below) * counts.size
    result = np.bincount(np.searchsorted(edges, counts), minlength=len(edges) + 1)
    good = expected > 10
    return scipy.stats.chi2.sf(np.sum((result - expected)[good] ** 2 / expected[good]), max(good.sum() - 1, 1))


def test_the_poisson_test_sees_a_wrong_mean(rng):
    assert chi_squared(rng.poisson(2.0, 160_000), 2.0) > 1e-6
    assert chi_squared(rng.poisson(2.05, 160_000), 2.0) < 1e-6
    assert chi_squared(rng.poisson(401.0, 160_000), 400.0) < 1e-6


def test_backgrounds_of_different_rates():
    means = np.array([0.0, 0.01, 0.5, 2.0, 30.0, 100.0, 400.0, 0.0])
    counts = background(torch.tensor(np.repeat(means, 40) * 1e4), 320, 500, 0.1).reshape(500, 8, 40)
    for k, mean in enumerate(means):
        if mean == 0:
            assert not counts[:, k].any()
        else:
            assert chi_squared(counts[:, k].ravel(), mean) > 1e-6
            assert counts[:, k].mean() == pytest.approx(mean, abs=5 * math.sqrt(mean / 20_000))


@pytest.mark.parametrize("rate", [0.0, 1.0, 5000.0, [0.0, 10.0, 3e5]])
def test_poisson_tables_hold_the_distribution_function(rate):
    """Every word gives the count that inversion by SciPy gives; the largest word too."""
    dt = 0.1
    size = len(np.atleast_1d(rate))
    table, base = poisson.poisson_table(torch.tensor(rate) if size > 1 else rate, dt, size, 256)
    words = np.concatenate([np.array([0, 1, 2**31, 2**32 - 2, 2**32 - 1]), np.arange(0, 2**32, 2**22 + 1)])
    for i, r in enumerate(np.atleast_1d(rate)):
        mean = r * dt / 1000
        column = min(i, table.shape[1] - 1)
        counts = base[column] + (words[:, None] > table[:, column].astype(np.int64)[None, :]).sum(1)
        expected = scipy.stats.poisson.ppf((words + 0.5) / 2.0**32, mean) if mean else np.zeros(len(words))
        assert np.abs(counts - expected).max() <= (0 if mean == 0 else 1)
        assert np.mean(counts != expected) < 1e-3


def test_poisson_source():
    net = rv.Network()
    net.add(rv.Poisson(rate=100.0), 400, "alike")
    net.add(rv.Poisson(rate=torch.tensor([0.0, 20.0, 500.0, 10_000.0]).repeat(50)), 200, "each")
    net.add(rv.Poisson(), 100, "overridden", rate=250.0)
    out = rv.simulate(net, 4000.0, seed=5, dt=0.1)
    rates = out.rates().numpy()
    assert abs(rates[:400].mean() - 100.0) < 5 * math.sqrt(100.0 / 4 / 400)
    for k, rate in enumerate((0.0, 20.0, 500.0, 10_000.0)):
        error = math.sqrt(rate / 4 / 50)
        assert abs(rates[400:600].reshape(50, 4)[:, k].mean() - rate) <= 5 * error
    assert abs(rates[600:].mean() - 250.0) < 5 * math.sqrt(250.0 / 4 / 100)
    cv = out.cv(neurons=np.arange(400)).numpy().mean()
    assert cv == pytest.approx(1.0, abs=0.01)  # of an exponential law; 400 intervals of each of 400 neurons
    counts = np.histogram2d(
        out.neurons.numpy(), out.times.numpy(), bins=[np.arange(401), np.arange(0, 4001, 40)]
    )[0]
    c = np.corrcoef(counts)[np.triu_indices(400, 1)] * 10
    assert abs(c.mean()) * math.sqrt(c.size) < 5 and abs(c.var() - 1) < 0.05
    lag = np.mean((counts[:, 1:] - 4) * (counts[:, :-1] - 4)) / 4
    assert abs(lag) * math.sqrt(counts[:, 1:].size) < 5
