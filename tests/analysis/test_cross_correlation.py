"""Cross-correlations against planted copies, a doubly stochastic process and a plain double loop."""

import numpy as np
import pytest

from ranvier import analysis
from ranvier.analysis.spikes import lags as _lags
from tests.analysis.spike_trains import from_counts, in_pieces, poisson


@pytest.fixture(scope="module")
def copied():
    """Neuron 1 repeats each spike of neuron 0 with probability 0.3, 15 ms later; neuron 2 is on its own."""
    rng = np.random.default_rng(7)
    leader = rng.poisson(0.02, size=400_000)
    follower = np.zeros_like(leader)
    follower[15:] = rng.binomial(leader[:-15], 0.3)
    return from_counts(np.vstack([leader, follower, rng.poisson(0.01, size=400_000)]))


def plain(spikes, lags, bin):
    counts = analysis.counts(spikes, bin).T.astype(float)
    n, size = counts.shape[1], len(counts)
    result = np.zeros((len(lags), size, size))
    for k, lag in enumerate(lags):
        shift = round(lag / bin)
        for i in range(size):
            for j in range(size):
                a, b = (
                    counts[i, max(shift, 0) : n + min(shift, 0)],
                    counts[j, max(-shift, 0) : n - max(shift, 0)],
                )
                result[k, i, j] = np.dot(a, b) / (n - abs(shift)) - counts[i].mean() * counts[j].mean()
    return result / (bin / 1000.0) ** 2


@pytest.mark.parametrize("lags", [np.arange(-30.0, 31.0, 5.0), np.arange(5.0, 40.0, 5.0), [40.0, 0.0, -20.0]])
def test_it_is_the_plain_double_loop(rng, lags, monkeypatch):
    monkeypatch.setattr(_lags, "CHUNK", 170)  # many chunks, the lags reaching from one into the next
    spikes = poisson(rng, [30.0, 5.0, 0.0, 80.0], 3003.0)
    bin = 20.0 if isinstance(lags, list) else 5.0
    result = analysis.cross_correlation(spikes, lags)
    assert np.allclose(result, plain(spikes, lags, bin), rtol=1e-12, atol=1e-9)
    chosen = analysis.cross_correlation(spikes, lags, pairs=[[3, 0], [0, 3], [1, 1], [3, 0]])
    assert np.array_equal(chosen, result[:, [3, 0, 1, 3], [0, 3, 1, 0]])


def test_a_delayed_copy_peaks_at_positive_lag_of_the_follower(copied):
    """The leader j = 0 leads i = 1: C_10(15 ms) = 0.3 r_0 / bin above zero, and nothing elsewhere."""
    lags = np.arange(-30.0, 31.0, 1.0)
    density, error = analysis.cross_correlation(copied, lags, return_error=True)
    peak = np.flatnonzero(lags == 15.0)[0]
    assert abs(density[peak, 1, 0] - 0.3 * 20.0 / 0.001) < 4.5 * error[peak, 1, 0]
    assert error[peak, 1, 0] < 200.0
    assert np.array_equal(density[:, 0, 1], density[::-1, 1, 0])
    rest = np.delete(density[:, 1, 0] / error[:, 1, 0], peak)
    assert np.all(np.abs(rest) < 6)  # t-like with 19 degrees of freedom, 60 draws
    # A Poisson train's own peak, r/bin, stays at lag 0.
    zero = np.flatnonzero(lags == 0.0)[0]
    assert abs(density[zero, 2, 2] - 10.0 / 0.001) < 4.5 * error[zero, 2, 2]


def test_binning_smooths_with_a_triangle(copied):
    """In bins of 10 ms a copy 15 ms late falls half into lag 10 and half into lag 20."""
    density, error = analysis.cross_correlation(copied, [0.0, 10.0, 20.0, 30.0], return_error=True)
    expected = np.array([0.0, 0.5, 0.5, 0.0]) * 0.3 * 20.0 / 0.01
    assert np.all(np.abs(density[:, 1, 0] - expected) < 4.5 * error[:, 1, 0])


def test_a_doubly_stochastic_process_has_the_correlation_of_its_rate(rng):
    """A rate of 40 ± 20 Hz redrawn every 25 ms: C(τ) = 20² (1 − |τ|/25 ms) Hz² up to 25 ms, then 0."""
    shared = np.repeat(40.0 + 20.0 * rng.choice([-1.0, 1.0], size=16_000), 25)
    spikes = poisson(rng, np.vstack([shared, shared]), 400_000.0)
    lags = np.arange(-50.0, 51.0, 5.0)
    density, error = analysis.cross_correlation(spikes, lags, pairs=[[0, 1]], return_error=True)
    expected = 400.0 * np.maximum(1 - np.abs(lags) / 25.0, 0)
    assert np.all(np.abs(density[:, 0] - expected) < 4.5 * error[:, 0])
    assert error.max() < 50.0


def test_errors_are_the_scatter_over_pairs(rng):
    spikes = poisson(rng, np.full(40, 20.0), 60_000.0)
    lags = np.arange(-20.0, 21.0, 5.0)
    pairs = np.column_stack(np.triu_indices(40, 1))
    density, error = analysis.cross_correlation(spikes, lags, pairs=pairs, return_error=True)
    assert density.shape == error.shape == (9, 780)
    assert abs(np.sqrt(np.mean(error**2)) / density.std() - 1) < 0.06
    # 20 Hz each: the variance of C is r²/(bin T), the scatter of Poisson coincidences.
    assert abs(density.std() / np.sqrt(400.0 / (0.005 * 60.0)) - 1) < 0.06


def test_storage_in_pieces_changes_no_bit(rng, copied):
    lags = np.arange(-30.0, 31.0, 3.0)
    pieces = in_pieces(copied, rng)
    for pairs in (None, [[1, 0], [2, 1]]):
        one = analysis.cross_correlation(copied, lags, pairs=pairs, return_error=True)
        other = analysis.cross_correlation(pieces, lags, pairs=pairs, return_error=True)
        assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("lags", "arguments", "message"),
    [
        ([5.0], {}, "expected the bin's width"),
        ([0.0, 5.0, 7.0], {}, "not multiples of the bin"),
        ([], {}, "empty"),
        ([0.0, np.nan], {}, "not finite"),
        ([0.0, 0.25], {}, "multiple of the step dt"),
        ([0.0, 2000.0], {"bin": 10.0}, "longer than the record"),
        ([0.0, 60.0], {"return_error": True}, "use fewer blocks"),
        ([0.0, 5.0], {"pairs": [0, 1]}, r"expected \(P, 2\)"),
        ([0.0, 5.0], {"pairs": [[0, 2]]}, "from 0 to 1"),
    ],
)
def test_impossible_questions_are_refused(rng, lags, arguments, message):
    with pytest.raises(ValueError, match=message):
        analysis.cross_correlation(poisson(rng, [5.0, 5.0], 1000.0), lags, **arguments)


def test_a_single_lag_needs_its_bin(rng):
    spikes = poisson(rng, [50.0, 50.0], 1000.0)
    both = analysis.cross_correlation(spikes, [0.0, 5.0])
    assert np.array_equal(analysis.cross_correlation(spikes, 5.0, bin=5.0), both[1:])
