"""Poisson counts by inversion, and given spikes by step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.networks import Population

_TAIL = 2.0**-33


def poisson_table(
    rate: Any, dt: float, size: int, padded: int
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Thresholds (K, 1 or padded) and base (1 or padded): the count is base + #{u > threshold}.

    u is a uniform 32-bit word; the distribution is exact to 2⁻³². `rate` in Hz, one or one a neuron.
    """
    mean = np.atleast_1d(np.asarray(rate.detach() if hasattr(rate, "detach") else rate, np.float64)) * dt / 1000
    if len(mean) > 1 and (mean == mean[0]).all():
        mean = mean[:1]
    from scipy.special import pdtr, pdtrc  # scipy.stats takes a second and 40 MB to import

    # wide enough for both tails: Chernoff's bounds for a Poisson variable at 2^-33 = e^-22.9
    spread = np.sqrt(46 * mean)
    lowest = np.maximum(np.floor(mean - spread), 0)
    rows = int(np.ceil((mean + spread + 24 - lowest).max())) + 1
    grid = lowest[None, :] + np.arange(rows)[:, None]
    lowest += (pdtr(grid, mean) < _TAIL).sum(0)
    rows = int((pdtrc(lowest[None, :] + np.arange(rows)[:, None], mean) > _TAIL).sum(0).max()) + 1
    rows = -(-rows // 4) * 4
    counts = lowest[None, :] + np.arange(rows)[:, None]
    below = np.where(mean > 0, pdtr(counts, mean), 1.0)
    thresholds = np.clip(np.rint(below * 2.0**32) - 1, 0, 2.0**32 - 1).astype(np.uint32)
    if len(mean) == 1:
        return thresholds, lowest.astype(np.float32)
    wide = np.concatenate([thresholds, np.repeat(thresholds[:, -1:], padded - size, 1)], 1)
    base = np.concatenate([lowest, np.repeat(lowest[-1:], padded - size)])
    return np.ascontiguousarray(wide), base.astype(np.float32)


def spike_events(population: Population, dt: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The steps (emitted at their end) and neurons of given spikes, sorted by step, then neuron."""
    times = population.neuron.times.numpy()
    neurons = population.neuron.neurons.numpy()
    if len(neurons) and neurons.max() >= population.size:
        raise ValueError(
            f"population {population.name!r} has {population.size} neurons, but a spike of neuron {neurons.max()}; "
            f"expected indices below {population.size}"
        )
    steps = np.rint(times / dt).astype(np.int64) - 1
    order = np.lexsort((neurons, steps))
    return steps[order], neurons[order].astype(np.int64)
