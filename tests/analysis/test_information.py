"""Information estimates on channels whose information is known."""

import numpy as np
import pytest
from scipy import stats

from ganglion.analysis.information import channel_information, entropy, mutual_information


def h(p):
    return stats.entropy([p, 1 - p], base=2)


def test_known_channels():
    assert channel_information(np.array([[0.9, 0.1], [0.1, 0.9]])) == pytest.approx(1 - h(0.1))  # binary symmetric
    assert channel_information(np.array([[0.7, 0.3, 0], [0, 0.3, 0.7]])) == pytest.approx(0.7)  # erasure
    assert channel_information(np.eye(3), np.array([0.5, 0.25, 0.25])) == pytest.approx(1.5)
    z = channel_information(np.array([[1, 0], [0.5, 0.5]]), np.array([0.6, 0.4]))
    assert z == pytest.approx(np.log2(5 / 4), abs=1e-9)  # the Z channel's capacity


def test_frequencies_as_they_are():
    s, r = np.array([0, 0, 1, 1]), np.array([5, 5, 7, 9])
    assert mutual_information(s, r, correction=None) == pytest.approx(1)
    assert entropy(r) == pytest.approx(1.5)
    words = np.array([[0, 1], [0, 1], [1, 1], [1, 0]])
    assert entropy(words) == pytest.approx(1.5)
    assert mutual_information(words, r, correction=None) == pytest.approx(1.5)


def channel(trials, rng, stimuli=8, steps=12):
    """Binomial counts, of each stimulus as many; and their information."""
    x = (np.arange(stimuli) + 0.5) / stimuli
    s = np.repeat(np.arange(stimuli), trials)
    truth = channel_information(stats.binom.pmf(np.arange(steps + 1), steps, x[:, None]))
    return s, rng.binomial(steps, x[s]), truth


@pytest.mark.parametrize("correction", ["panzeri_treves", "quadratic"])
def test_corrections_take_the_bias_away(correction):
    rng = np.random.default_rng(0)
    runs = [channel(24, rng) for _ in range(40)]
    truth = runs[0][2]
    plain = np.mean([mutual_information(s, r, correction=None) for s, r, _ in runs]) - truth
    rest = np.mean([mutual_information(s, r, correction=correction) for s, r, _ in runs]) - truth
    assert plain > 0.08  # the first term of the bias is near 0.12
    assert abs(rest) < 0.2 * plain
    shuffled = np.mean([mutual_information(s, r, correction="shuffle") for s, r, _ in runs]) - truth
    assert shuffled < rest - 0.05  # it takes too much


def test_panzeri_treves_term_where_all_responses_are_possible():
    rng = np.random.default_rng(1)
    s, r = rng.integers(0, 3, 3000), rng.integers(0, 4, 3000)
    term = (3 * 3 - 3) / (2 * 3000 * np.log(2))
    plain = mutual_information(s, r, correction=None)
    assert plain - mutual_information(s, r) == pytest.approx(term)


@pytest.mark.parametrize("correction", ["panzeri_treves", "quadratic", "shuffle"])
def test_independent_ones_tell_nothing(correction):
    rng = np.random.default_rng(2)
    found = []
    for _ in range(60):
        s, r = rng.integers(0, 4, 200), rng.integers(0, 6, 200)
        found.append(mutual_information(s, r, correction=correction))
    assert abs(np.mean(found)) < 4 * np.std(found) / 60**0.5 + 1e-3


def test_miller_madow():
    rng = np.random.default_rng(3)
    plain = np.mean([entropy(rng.integers(0, 16, 60)) for _ in range(300)])
    corrected = np.mean([entropy(rng.integers(0, 16, 60), correction="miller_madow") for _ in range(300)])
    assert plain < 3.85 and abs(corrected - 4) < 0.03


@pytest.mark.parametrize(
    "call",
    [
        lambda: mutual_information(np.zeros(3), np.zeros(4)),
        lambda: mutual_information(np.zeros(3), np.zeros(3), correction="jackknife"),
        lambda: mutual_information(np.zeros(3), np.zeros(3), correction="quadratic"),
        lambda: entropy(np.zeros((0,))),
        lambda: entropy(np.array([np.nan])),
        lambda: channel_information(np.ones((2, 2))),
        lambda: channel_information(np.eye(2), np.ones(2)),
    ],
    ids=["lengths", "correction", "few", "none", "nan", "rows", "prior"],
)
def test_refusals(call):
    with pytest.raises(ValueError, match=r"found .* expected"):
        call()
