"""Spectra against SciPy's, and against closed forms."""

import numpy as np
import pytest
import scipy.signal

from ranvier import analysis
from tests.analysis.spike_trains import from_counts, in_pieces, poisson


def test_it_is_scipys_cross_spectral_density(rng):
    counts = rng.poisson(0.03, size=(3, 20_000)).astype(float)
    counts[1, 4:] += counts[0, :-4]
    spikes = from_counts(counts.astype(int))
    f = np.arange(0.0, 100.0, 5.0)
    result = analysis.spectrum(spikes, f, segment=400.0)
    trains = (counts - counts.mean(axis=1, keepdims=True)) * 1000.0
    for i in range(3):
        for j in range(3):
            grid, expected = scipy.signal.csd(
                trains[j], trains[i], fs=1000.0, nperseg=400, detrend=False, return_onesided=False
            )  # SciPy conjugates its first argument, S_ij the second: hence i and j the other way round
            place = np.argmin(np.abs(grid - f[:, None]), axis=1)
            assert np.allclose(result[:, i, j], expected[place], rtol=1e-10, atol=1e-9)
    chosen = analysis.spectrum(spikes, f, segment=400.0, pairs=[[1, 0], [2, 2]])
    assert np.allclose(chosen, result[:, [1, 2], [0, 2]], rtol=1e-12)


def test_a_poisson_process_has_its_rate_for_a_spectrum(rng):
    rate = np.array([5.0, 20.0, 60.0])
    spikes = poisson(rng, rate, 400_000.0)
    f = np.array([0.0, 3.3, 50.0, 211.7])  # any frequency, not only a grid's
    result = analysis.spectrum(spikes, f, segment=500.0)
    # 1599 half-overlapping Hann segments count as some 840 independent ones, half as many at f = 0.
    error = np.sqrt(np.outer(rate, rate) / 420)
    assert np.all(np.abs(result - np.diag(rate)) < 4.5 * error)


def test_a_delay_turns_the_phase(rng):
    """i follows j by 10 ms: S_ij = S_jj e^{−2πif·10 ms}."""
    leader = rng.poisson(0.05, size=100_000)
    spikes = from_counts(np.vstack([np.roll(leader, 10), leader]))
    f = np.array([5.0, 10.0, 30.0])
    result = analysis.spectrum(spikes, f, segment=1000.0)
    # The 1 % of a segment that the copy has shifted out of is lost.
    assert np.allclose(result[:, 0, 1] / result[:, 1, 1], np.exp(-2j * np.pi * f * 0.01), atol=0.02)


def test_pooled_spikes_have_the_spectrum_of_the_sum(rng):
    spikes = poisson(rng, np.full(6, 10.0), 20_000.0)
    f = np.array([2.0, 10.0])
    pooled = analysis.spectrum(spikes.group([0, 0, 0, 1, 1, -1]), f)
    each = analysis.spectrum(spikes, f)
    assert np.allclose(pooled[:, 0, 1], each[:, :3, 3:5].sum(axis=(1, 2)), rtol=1e-10, atol=1e-9)


def test_regular_spikes_peak_at_their_rate():
    counts = np.zeros((1, 100_000), dtype=int)
    counts[0, ::25] = 1
    result = analysis.spectrum(from_counts(counts), [20.0, 40.0, 60.0], segment=1000.0)[:, 0, 0].real
    # |Σ w|² r² against a normalisation of Σ w²: 40² · (T/4)/(3/8)/1000 with T = 1000 ms.
    assert result[1] == pytest.approx(40.0**2 * (0.25 / 0.375), rel=1e-9)
    assert result[0] < 1e-9 and result[2] < 1e-9


def test_storage_in_pieces_changes_no_bit(rng):
    spikes = poisson(rng, [30.0, 10.0], 50_000.0)
    f = np.array([1.0, 7.0, 40.0])
    assert np.array_equal(analysis.spectrum(spikes, f), analysis.spectrum(in_pieces(spikes, rng), f))


def test_default_segments_resolve_the_frequencies_asked_for(rng):
    spikes = poisson(rng, [30.0], 50_000.0)
    f = np.arange(0.0, 50.0, 4.0)
    assert np.array_equal(analysis.spectrum(spikes, f), analysis.spectrum(spikes, f, segment=500.0))


@pytest.mark.parametrize(
    ("f", "segment", "message"),
    [
        ([], None, "empty"),
        ([501.0], None, "at most 1/"),
        ([np.inf], None, "finite"),
        ([1.0], 2000.0, "at most the"),
    ],
)
def test_impossible_questions_are_refused(rng, f, segment, message):
    with pytest.raises(ValueError, match=message):
        analysis.spectrum(poisson(rng, [5.0], 1000.0), f, segment=segment)
