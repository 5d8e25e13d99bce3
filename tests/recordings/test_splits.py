"""Nothing that is tested is known to what is learned from; a planted leak is noticed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.recordings import (
    Epochs,
    Normaliser,
    Split,
    blocked,
    by_trial,
    causal_zscore,
    check_leaks,
    grouped,
    hold_out,
    smooth,
)  # fmt: skip

TIMES = np.arange(600) * 10.0


def data(seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((600, 3)).cumsum(0) + 5.0
    values[rng.random((600, 3)) < 0.05] = np.nan
    return values


def honest(values, times, split):
    train, test = split.in_train(times), split.in_test(times)
    normalise = Normaliser.fit(values[train])
    return tuple(smooth(normalise(values[part]), times[part], 100.0, causal=False) for part in (train, test))


def normalised_over_all(values, times, split):
    everything = Normaliser.fit(values)(values)
    return everything[split.in_train(times)], everything[split.in_test(times)]


def smoothed_over_all(values, times, split):
    soft = smooth(values, times, 100.0, causal=False)
    return soft[split.in_train(times)], soft[split.in_test(times)]


def smoothed_causally_over_all(values, times, split):
    soft = smooth(values, times, 100.0)
    return soft[split.in_train(times)], soft[split.in_test(times)]


def shared_trials(values, times, split):
    chosen = split.in_train(times)
    chosen[np.flatnonzero(split.in_test(times))[:10]] = True
    return values[chosen], values[split.in_test(times)]


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.1, 0.5), st.sampled_from([0.0, 55.0, 200.0]))
def test_honest_preparation_is_clean_and_planted_leaks_are_not(seed, share, gap):
    values, split = data(seed), hold_out(0.0, 6000.0, share=share, gap=gap)
    report = check_leaks(honest, values, TIMES, split)
    assert report.clean and report.samples == np.isfinite(values).sum()
    report.require()
    assert check_leaks(normalised_over_all, values, TIMES, split).train == 1.0
    assert check_leaks(shared_trials, values, TIMES, split).train > 0
    across = check_leaks(smoothed_over_all, values, TIMES, split)
    assert across.clean == (gap >= 50.0)  # a gap as long as half the kernel closes it
    causal = check_leaks(smoothed_causally_over_all, values, TIMES, split)
    assert causal.train == 0 and (causal.test > 0) == (gap < 90.0)


def test_the_report_says_what_to_do():
    report = check_leaks(normalised_over_all, data(0), TIMES, hold_out(0.0, 6000.0))
    with pytest.raises(ValueError, match=r"100.0% of the rows to learn from .* expected none: fit on the training"):
        report.require()
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="gives other values the second time; expected the same: fix its seed"):
        check_leaks(lambda v, t, s: (v + rng.random(), v), data(0), TIMES, hold_out(0.0, 6000.0))


@given(st.integers(2, 9), st.floats(0.0, 100.0))
def test_blocks_cover_all_and_stay_apart(parts, gap):
    splits = list(blocked(0.0, 6000.0, parts=parts, gap=gap))
    tested = sum(split.in_test(TIMES).astype(int) for split in splits)
    assert (tested == 1).all()
    for split in splits:
        a, b = TIMES[split.in_train(TIMES)], TIMES[split.in_test(TIMES)]
        assert np.abs(a[:, None] - b).min() >= gap


def test_a_split_that_overlaps_is_refused():
    with pytest.raises(ValueError, match="train stretch 0 to 50 ms and test stretch 40 to 60 ms"):
        Split([[0.0, 50.0]], [[40.0, 60.0]])
    with pytest.raises(ValueError, match="nearer than the gap of 20 ms"):
        Split([[0.0, 50.0]], [[60.0, 90.0]], gap=20.0)
    with pytest.raises(ValueError, match="expected stretches"):
        Split([[50.0, 0.0]], [[60.0, 90.0]])


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_trials_that_belong_together_stay_together(seed, parts):
    rng = np.random.default_rng(seed)
    start = np.sort(rng.uniform(0, 10_000, 60))
    trials = Epochs(start, start + rng.uniform(10, 300, 60), {"presentation": rng.integers(0, 25, 60)})
    label = grouped(trials, group="presentation")
    if label.max() + 1 < parts:
        with pytest.raises(ValueError, match="groups that must stay together"):
            next(by_trial(trials, parts=parts, group="presentation"))
        return
    tested_once = np.zeros(60, int)
    for train, test in by_trial(trials, parts=parts, group="presentation", seed=seed):
        tested_once[test] += 1
        assert not set(trials["presentation"][train]) & set(trials["presentation"][test])
        (a, b), (c, d) = ((trials.start[part], trials.stop[part]) for part in (train, test))
        overlap = (a[:, None] < d) & (c < b[:, None])
        assert not overlap.any() and len(train) + len(test) == 60
    assert (tested_once == 1).all()


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(40, 590))
def test_what_is_causal_does_not_know_the_future(seed, now):
    values = data(seed)
    other = values.copy()
    other[now:] = np.random.default_rng(seed + 1).standard_normal(other[now:].shape) * 100
    for function in (causal_zscore, lambda x: smooth(x, TIMES, 150.0)):
        np.testing.assert_array_equal(function(values)[:now], function(other)[:now])  # to the bit
    future = smooth(values, TIMES, 150.0, causal=False)[:now], smooth(other, TIMES, 150.0, causal=False)[:now]
    assert not np.array_equal(*future, equal_nan=True)  # and the one that is not, does


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_causal_score_is_that_of_the_past(offset):
    x = np.random.default_rng(0).standard_normal((80, 2)) + offset
    x[10, 0] = np.nan
    score = causal_zscore(x, least=5)
    for t in (4, 40, 79):
        past = x[: t + 1]
        expected = (x[t] - np.nanmean(past, 0)) / np.nanstd(past, 0)
        np.testing.assert_allclose(score[t], expected, rtol=1e-6)
    assert np.isnan(score[:4]).all() and np.isnan(score[10, 0])
    assert (causal_zscore(np.full((40, 1), 3.3), least=5)[4:] == 0).all()


def test_nothing_gives_nothing():
    assert len(causal_zscore(np.empty((0, 2)))) == len(smooth(np.empty((0, 2)), [], 10.0)) == 0


def test_smoothing_is_the_mean_of_the_window_and_stops_at_gaps():
    times = np.r_[np.arange(20) * 10.0, 1000 + np.arange(20) * 10.0]
    x = np.random.default_rng(0).standard_normal(40)
    x[7] = np.nan
    got = smooth(x, times, 35.0)
    for k in (0, 5, 8, 19, 20, 33):
        window = (times > times[k] - 35.0) & (times <= times[k])
        np.testing.assert_allclose(got[k], np.nanmean(x[window]), rtol=1e-12)
    assert np.isnan(got[7])
