"""A signal asked on its own grid gives its own samples, whichever way the times were rounded."""

import numpy as np
import pytest

from ranvier.recordings import Epochs, Signal
from ranvier.recordings.preparation import resample

GRIDS = {
    "products": lambda n, d: np.arange(n) * d,
    "linspace": lambda n, d: np.linspace(0, (n - 1) * d, n),
    "sums": lambda n, d: np.cumsum(np.full(n, d)) - d,
    "quotients": lambda n, d: np.arange(n) / (1 / d),
    "float32": lambda n, d: (np.arange(n) * d).astype(np.float32).astype(np.float64),
}


@pytest.mark.parametrize(("n", "d"), [(1001, 0.1), (1001, 0.3), (333, 0.7), (5000, 33.3)])
@pytest.mark.parametrize("grid", GRIDS)
def test_samples_on_their_own_grid(grid, n, d):
    signal, k = Signal(GRIDS[grid](n, d), np.arange(n, dtype=float)), np.arange(n)
    for method in ("previous", "linear", "nearest"):
        np.testing.assert_allclose(signal.at(k * d, method=method), k, atol=1e-2)
        resampled = resample(signal, d, method=method).read()
        np.testing.assert_allclose(resampled, k, atol=1e-2)
    for first in range(0, n - 10, 7):
        np.testing.assert_array_equal(signal.between(first * d, (first + 5) * d).read(), k[first : first + 5])


def test_the_past_stays_the_past():
    """Beyond a thousandth of an interval nothing of the next sample is known."""
    signal = Signal(np.arange(5) * 10.0, np.arange(5.0))
    np.testing.assert_array_equal(signal.at([19.98, 19.995, 20.0], method="previous"), [1.0, 2.0, 2.0])


@pytest.mark.parametrize("step", [0.1, 0.3, 0.7])
def test_times_a_rounding_off_lie_in_their_epochs(step):
    k = np.arange(300)
    epochs = Epochs(k[::2] * step, (k[::2] + 1) * step)
    np.testing.assert_array_equal(epochs.contains(k * step), k % 2 == 0)
    assert epochs.contains(np.nextafter(epochs.start[1:], -np.inf)).all()
    assert not epochs.contains(np.nextafter(epochs.stop, -np.inf)).any()
