"""Match laws of sparse patterns against enumeration, SciPy and the paper's figures."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from ranvier.analysis import matching

#: (n, a, s, theta), as in Ahmad & Hawkins (2016) or worked out from its overlap sets, and the chance of a false match
FIGURES = [
    ((10_000, 300, 24, 12), 8.375845e-13),
    ((100_000, 2_000, 10, 10), 1.00163e-17),
    ((100_000, 2_000, 20, 10), 1.541928e-12),
    ((10_000, 64, 24, 12), 4.0416e-21),
]


@pytest.mark.parametrize(("sizes", "expected"), FIGURES)
def test_figures(sizes, expected):
    assert matching.false_match(*sizes) == pytest.approx(expected, rel=1e-4)


def test_enumeration():
    n, a, s, theta = 9, 4, 3, 2
    segment = set(range(s))
    overlaps = [len(segment & set(pattern)) for pattern in itertools.combinations(range(n), a)]
    for b in range(-1, 6):
        assert matching.overlap_set(n, a, s, b) == overlaps.count(b)
    assert matching.false_match(n, a, s, theta) == sum(o >= theta for o in overlaps) / len(overlaps)


def test_misses_by_enumeration():
    a, s, theta, lost = 7, 4, 3, 3
    saved = [len(set(range(s)) - set(gone)) for gone in itertools.combinations(range(a), lost)]
    assert matching.false_negative(a, s, theta, lost) == sum(k < theta for k in saved) / len(saved)
    assert matching.false_negative(a, s, theta, 0) == 0 and matching.false_negative(a, s, theta, a) == 1


@pytest.mark.parametrize("theta", [1, 7, 20])
def test_scipy(theta):
    tail = stats.hypergeom.sf(theta - 1, 2048, 20, 40)
    assert matching.false_match(2048, 40, 20, theta) == pytest.approx(tail, rel=1e-9)
    assert matching.synaptic_failure(20, theta, 0.3) == pytest.approx(stats.binom.cdf(theta - 1, 20, 0.7), rel=1e-12)


def test_many_segments():
    one = matching.false_match(200, 20, 10, 4)
    assert matching.false_match(200, 20, 10, 4, segments=50) == pytest.approx(1 - (1 - one) ** 50, rel=1e-12)
    assert matching.false_match(10, 10, 3, 3, segments=5) == 1


def test_unions_by_enumeration():
    n, s, patterns = 6, 2, 3
    subsets = list(itertools.combinations(range(n), s))
    sizes = np.bincount([len(set().union(*c)) for c in itertools.product(subsets, repeat=patterns)], minlength=n + 1)
    np.testing.assert_allclose(matching.union_size(n, s, patterns), sizes / len(subsets) ** patterns, rtol=1e-12)
    hits = sum(
        len(set().union(*mixed) & set(pattern)) >= 2
        for mixed in itertools.product(subsets, repeat=patterns)
        for pattern in itertools.combinations(range(n), 3)
    )
    chance = hits / (len(subsets) ** 3 * math.comb(n, 3))
    assert matching.union_false_match(n, 3, s, 2, patterns) == pytest.approx(chance)


def test_mean_union():
    p = np.array(matching.union_size(1024, 20, 12))
    assert p.sum() == pytest.approx(1)
    assert (p * np.arange(1025)).sum() == pytest.approx(1024 * (1 - (1 - 20 / 1024) ** 12))


@pytest.mark.parametrize(
    "call",
    [
        lambda: matching.false_match(10, 11, 3, 2),
        lambda: matching.false_match(10, 5, 3, 0),
        lambda: matching.false_match(10, 5, 3, 2, segments=0),
        lambda: matching.false_negative(10, 5, 3, 11),
        lambda: matching.synaptic_failure(5, 2, 1.5),
        lambda: matching.union_size(10, 5, 0),
        lambda: matching.overlap_set(10, 2.0, 3, 1),
    ],
    ids=["active", "threshold", "segments", "lost", "failure", "patterns", "float"],
)
def test_refusals(call):
    with pytest.raises(ValueError, match=r".* expected"):
        call()
