"""Rates, regularity and count statistics against closed forms and NumPy."""

import itertools

import numpy as np
import pytest

from ranvier import analysis
from ranvier.analysis.spikes import counts as _counts
from ranvier.analysis.spikes import rates as _rates
from tests.analysis.spike_trains import from_counts, in_pieces, poisson


@pytest.fixture
def doubly(rng):
    """Three neurons that share a rate redrawn every 50 ms, r = 40 Hz ± 20 Hz, and one on its own."""
    shared = np.repeat(40.0 + 20.0 * rng.choice([-1.0, 1.0], size=8000), 50)
    rates = np.vstack([shared, shared, 80.0 - shared, np.full_like(shared, 30.0)])
    return poisson(rng, rates, 400_000.0)


def dense(spikes, window):
    ((steps, neurons),) = spikes.cut([0, spikes.n_steps])
    width = round(window / spikes.dt)
    n = spikes.n_steps // width
    counts = np.zeros((n, spikes.n_neurons))
    for step, neuron in zip(steps.tolist(), neurons.tolist(), strict=True):
        if step // width < n:
            counts[step // width, neuron] += 1
    return counts


def test_counts_are_those_of_a_plain_loop(rng):
    spikes = poisson(rng, [5.0, 100.0, 0.0], 3030.0)
    assert np.array_equal(analysis.counts(spikes, 100.0), dense(spikes, 100.0))


def test_rates_and_their_error_of_poisson_trains(rng):
    true = np.array([0.0, 5.0, 50.0])
    spikes = poisson(rng, np.repeat(true, 40), 100_000.0)
    rate, error = analysis.rates(spikes, return_error=True)
    assert np.array_equal(rate, analysis.rates(spikes))
    expected = np.sqrt(np.repeat(true, 40) / 100.0)
    assert np.all(np.abs(rate - np.repeat(true, 40)) <= 4.5 * expected)
    # The mean of 40 squared errors from 20 blocks each has a relative error of √(2/(19·40)) = 5 %.
    ratio = (error**2).reshape(3, 40).mean(axis=1)[1:] / (true[1:] / 100.0)
    assert np.all(np.abs(ratio - 1) < 0.25)


def test_cv_of_gamma_processes(rng):
    shapes = np.array([1.0, 4.0, 16.0])
    n, duration, dt = 20_000, 350_000.0, 0.1
    times, neurons = [], []
    for i, k in enumerate(shapes):
        t = np.cumsum(rng.gamma(k, 20.0 / k, size=n))
        t = t[t < duration]
        times.append(t)
        neurons.append(np.full(len(t), i))
    spikes = analysis.Spikes.from_times(
        np.concatenate(times), np.concatenate(neurons), n_neurons=3, duration=duration, dt=dt
    )
    # Error of a CV near 1: at most about √(2/n) for the exponential, less for the others.
    assert np.abs(analysis.cv(spikes) - 1 / np.sqrt(shapes)).max() < 4.5 * np.sqrt(2.0 / 17_000)
    exact = [np.std(np.diff(np.ceil(t / dt))) / np.mean(np.diff(np.ceil(t / dt))) for t in times]
    assert np.allclose(analysis.cv(spikes), exact, rtol=1e-12, atol=0)


def test_cv_needs_three_spikes_and_is_zero_for_a_clock():
    steps = np.array([3, 5, 10, 10, 15, 20, 25])
    neurons = np.array([1, 2, 1, 3, 3, 3, 3])
    cv = analysis.cv(analysis.Spikes.from_steps(steps, neurons, n_neurons=4, dt=0.1, stop=30))
    assert np.isnan(cv[:3]).all() and cv[3] == 0.0


def test_covariance_and_correlation_are_those_of_numpy(doubly):
    counts = analysis.counts(doubly, 50.0)
    assert np.allclose(analysis.covariance(doubly, 50.0), np.cov(counts.T), rtol=1e-11, atol=1e-12)
    assert np.allclose(analysis.correlation(doubly, 50.0), np.corrcoef(counts.T), rtol=1e-11, atol=1e-12)
    with_error = analysis.covariance(doubly, 50.0, return_error=True, blocks=7)[0]
    assert np.allclose(with_error, np.cov(counts.T), rtol=1e-11, atol=1e-12)


def test_covariance_of_a_doubly_stochastic_process(doubly):
    """Counts in a window T of rate λ have Cov = T² Var λ and Var = T λ + T² Var λ; here T² Var λ = 1."""
    covariance, error = analysis.covariance(doubly, 50.0, return_error=True)
    expected = np.array([[3.0, 1, -1, 0], [1, 3.0, -1, 0], [-1, -1, 3.0, 0], [0, 0, 0, 1.5]])
    assert np.all(np.abs(covariance - expected) < 4.5 * error)
    assert np.all(error < 0.08)
    correlation, error = analysis.correlation(doubly, 50.0, return_error=True)
    scale = np.sqrt(np.diag(expected))
    assert np.all(np.abs(correlation - expected / np.outer(scale, scale)) < 4.5 * error + 1e-12)


def test_errors_of_covariance_and_correlation_are_their_scatter(rng):
    """Independent Poisson: both error estimates agree with the scatter over the pairs themselves."""
    spikes = poisson(rng, np.full(60, 20.0), 50_000.0)
    upper = np.triu_indices(60, 1)
    for function in (analysis.covariance, analysis.correlation):
        value, error = function(spikes, 50.0, return_error=True)
        ratio = np.sqrt(np.mean(error[upper] ** 2)) / np.std(value[upper])
        assert abs(ratio - 1) < 0.08  # 1770 pairs, 20 blocks each: 2 % expected
    assert np.allclose(np.diag(error), 0, atol=1e-7) and np.allclose(np.diag(value), 1)


def test_correlation_error_is_that_of_explicit_linear_propagation(doubly):
    """The accumulated second moments give what the definition gives block by block."""
    counts = analysis.counts(doubly, 50.0)
    deviation = counts - counts.mean(axis=0)
    edges = np.linspace(0, len(counts), 9).astype(int)
    x = np.array([deviation[a:b].T @ deviation[a:b] / (b - a) for a, b in itertools.pairwise(edges)])
    w = np.diff(edges) / len(counts)
    total = np.tensordot(w, x, 1)
    v = np.diag(total)
    rho = total / np.sqrt(np.outer(v, v))
    own = np.diagonal(x, axis1=1, axis2=2) / v
    e = x / np.sqrt(np.outer(v, v)) - rho / 2 * (own[:, :, None] + own[:, None, :])
    expected = np.sqrt(8 / 7 * np.tensordot(w**2, e**2, 1))
    _, error = analysis.correlation(doubly, 50.0, return_error=True, blocks=8)
    assert np.allclose(error, expected, rtol=1e-8, atol=1e-8)
    _, error = analysis.covariance(doubly, 50.0, return_error=True, blocks=8)
    assert np.allclose(error, np.sqrt(8 / 7 * np.tensordot(w**2, (x - total) ** 2, 1)), rtol=1e-9)


def test_large_counts_leave_float32(rng):
    counts = rng.integers(0, 5000, size=(3, 400))
    assert np.allclose(analysis.covariance(from_counts(counts), 1.0), np.cov(counts), rtol=1e-12)


def test_silent_neurons_have_no_correlation(rng):
    spikes = poisson(rng, [20.0, 0.0], 10_000.0)
    correlation, error = analysis.correlation(spikes, 50.0, return_error=True)
    assert correlation[0, 0] == pytest.approx(1) and np.isnan(correlation[1]).all()
    assert np.isnan(error[1]).all()
    assert analysis.covariance(spikes, 50.0)[1].tolist() == [0.0, 0.0]


def test_fano_factor_and_population_rate(rng, doubly):
    fano = analysis.fano(poisson(rng, np.full(50, 30.0), 100_000.0), 100.0)
    assert abs(fano.mean() - 1) < 4.5 * np.sqrt(2 / 999 / 50)
    counts = analysis.counts(doubly, 50.0)
    assert np.allclose(analysis.fano(doubly, 50.0), counts.var(axis=0, ddof=1) / counts.mean(axis=0))
    rate = analysis.population_rate(doubly, 50.0)
    assert np.allclose(rate, counts.mean(axis=1) * 20.0)


def test_storage_in_pieces_changes_no_bit(rng, doubly):
    pieces = in_pieces(doubly, rng)
    for question in (
        lambda s: analysis.rates(s, return_error=True),
        lambda s: [analysis.cv(s)],
        lambda s: analysis.covariance(s, 50.0, return_error=True),
        lambda s: analysis.correlation(s, 50.0, return_error=True),
        lambda s: [analysis.fano(s, 50.0)],
        lambda s: [analysis.population_rate(s, 50.0)],
    ):
        for one, other in zip(question(doubly), question(pieces), strict=True):
            assert np.array_equal(one, other)


def test_the_size_of_chunks_changes_no_bit(doubly, monkeypatch):
    def answers():
        return [
            *analysis.rates(doubly, return_error=True),
            analysis.cv(doubly),
            *analysis.correlation(doubly, 50.0, return_error=True),
            analysis.fano(doubly, 50.0),
            analysis.counts(doubly, 50.0),
            analysis.population_rate(doubly, 50.0),
        ]

    expected = answers()
    monkeypatch.setattr(_rates, "CHUNK", 777)
    monkeypatch.setattr(_counts, "ENTRIES", 100)
    for one, other in zip(expected, answers(), strict=True):
        assert np.array_equal(one, other)


def test_an_answer_beyond_the_memory_is_refused():
    silent = analysis.Spikes.from_steps([], [], n_neurons=3_000_000, dt=1.0, stop=10_000)
    with pytest.raises(ValueError, match=r"GiB there are; expected less: choose fewer"):
        analysis.covariance(silent, 100.0)
    with pytest.raises(ValueError, match="choose fewer neurons or pairs="):
        analysis.cross_correlation(silent, [0.0, 5.0])
    with pytest.raises(ValueError, match="choose fewer neurons or pairs="):
        analysis.spectrum(silent, [10.0])


def test_a_record_too_short_is_refused(rng):
    spikes = poisson(rng, [10.0], 1000.0)
    with pytest.raises(ValueError, match="expected at least 2"):
        analysis.covariance(spikes, 600.0)
    with pytest.raises(ValueError, match="20 blocks"):
        analysis.covariance(spikes, 100.0, return_error=True)
