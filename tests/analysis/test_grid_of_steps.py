"""Times that a simulator writes, k·dt in floating point, fall into their own step and window, all of them."""

import numpy as np
import pytest

from ranvier._steps import frame_of, nearest_steps, window_of, windows_in
from ranvier.analysis import Spikes, counts
from ranvier.analysis.ensembles import words

GRID = [(dt, m) for dt in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.7, 1.0) for m in (1, 2, 3, 7, 10, 97)]


def times_of(steps, dt, how):
    """The ways in which a time k·dt comes to be: a product, a sum, through float32, from seconds."""
    if how == "product":
        return steps * dt
    if how == "sum":
        return np.cumsum(np.full(steps.max(), dt))[steps - 1]
    if how == "float32":
        return (steps * dt).astype(np.float32)
    return steps * (dt / 1000.0) * 1000.0


@pytest.mark.parametrize("how", ["product", "sum", "float32", "seconds"])
@pytest.mark.parametrize(("dt", "m"), GRID)
def test_no_step_is_lost(dt, m, how):
    steps = np.arange(1, 20_001)
    times = times_of(steps, dt, how)
    width = m * dt
    np.testing.assert_array_equal(window_of(times, width), (steps - 1) // m)
    np.testing.assert_array_equal(frame_of(times, width), steps // m)
    assert windows_in(len(steps) * dt, width) == len(steps) // m


@pytest.mark.parametrize("m", [1, 3, 10])
def test_a_long_run_loses_none(m):
    """A day of biological time at dt = .1 ms."""
    steps = 864_000_000 - np.arange(1000)
    np.testing.assert_array_equal(window_of(steps * 0.1, m * 0.1), (steps - 1) // m)


@pytest.mark.parametrize(("dt", "m"), GRID)
def test_words_keep_every_entry_and_are_the_counts(dt, m):
    rng = np.random.default_rng(0)
    n, size = 10 * 97, 20
    steps = np.sort(rng.integers(1, n + 1, 8000))
    neurons = rng.integers(0, size, len(steps))
    steps[-1] = n  # the very last step has a spike
    result = words(steps * dt, neurons, size, n * dt, m * dt)
    expected = np.zeros((n // m, size), np.uint8)
    inside = (steps - 1) // m < n // m
    expected[(steps[inside] - 1) // m, neurons[inside]] = 1
    np.testing.assert_array_equal(result, expected)
    order = np.lexsort((neurons, steps))
    spikes = Spikes.from_steps(steps[order], neurons[order], n_neurons=size, dt=dt, stop=n)
    np.testing.assert_array_equal(result, counts(spikes, m * dt) > 0)


def test_bins_of_one_step_keep_all_8072_entries():
    rng = np.random.default_rng(1)
    flat = np.sort(rng.choice(10_000 * 50, 8072, replace=False))
    steps, neurons = flat // 50 + 1, flat % 50
    assert words(steps * 0.1, neurons, 50, 1000.0, 0.1).sum() == 8072
    assert words(steps * 0.1, neurons, 50, 1000.0, 0.1).shape == (10_000, 50)


@pytest.mark.parametrize("dt", [0.01, 0.05, 0.1, 0.3])
def test_spikes_from_times_are_those_of_their_steps(dt):
    steps = np.arange(1, 30_001)
    model = Spikes.from_times(steps * dt, np.zeros(len(steps)), n_neurons=1, duration=30_000 * dt, dt=dt)
    (chunk,) = model.cut([0, 30_000])
    np.testing.assert_array_equal(chunk[0], steps - 1)


def test_between_the_grid():
    """A spike belongs to the step at whose end it is written: 0.05 and 0.1 to the first, 0.11 to the second."""
    np.testing.assert_array_equal(window_of([0.0, 1e-9, 0.05, 0.1, 0.11, 0.2], 0.1), [0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(frame_of([0.0, 0.05, 0.1, 0.19, 0.2], 0.1), [0, 0, 1, 1, 2])
    assert window_of([-0.05, -5.0], 0.1).tolist() == [-1, -51]
    assert windows_in(99.99, 0.1) == 999 and windows_in(100.0, 0.3) == 333
    assert [nearest_steps(t, 0.3) for t in (0.01, 5.0, 100.0)] == [1, 17, 333]
