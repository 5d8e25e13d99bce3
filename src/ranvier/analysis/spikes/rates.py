"""Rates and regularity."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.spikes.stream import Spikes, block_edges, require_spikes

CHUNK = 100_000  # steps held in memory at a time
BLOCKS = 20  # blocks that sampling errors are taken from


def rates(
    spikes: Spikes, *, return_error: bool = False, blocks: int = BLOCKS
) -> NDArray[np.float64] | tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean rates in Hz, (N,); with `return_error` also their standard errors, from `blocks` blocks.

    >>> spikes = rv.analysis.Spikes.from_steps([10, 20, 70], [0, 0, 1], n_neurons=2, dt=1.0, stop=100)
    >>> rv.analysis.rates(spikes).round(6).tolist()
    [20.0, 10.0]
    """
    require_spikes(spikes)
    edges = block_edges(spikes.n_steps, blocks if return_error else 1, CHUNK)
    total = np.zeros(spikes.n_neurons)
    square = np.zeros(spikes.n_neurons)
    pieces = iter(spikes.cut(np.unique(np.concatenate(edges))))
    for edge in edges:
        count = np.zeros(spikes.n_neurons)
        for _ in range(len(edge) - 1):
            count += np.bincount(next(pieces)[1], minlength=spikes.n_neurons)
        total += count
        # Blocks may differ by one step in length; this weighs each by its own.
        square += count * (count / (edge[-1] - edge[0]))
    scale = 1000.0 / spikes.duration
    if not return_error:
        return total * scale
    n = len(edges)
    variance = np.maximum(square * spikes.n_steps - total**2, 0.0) / (n - 1)
    return total * scale, np.sqrt(variance) * scale


def cv(spikes: Spikes) -> NDArray[np.float64]:
    """Coefficient of variation of the inter-spike intervals, (N,); NaN for fewer than three spikes.

    The standard deviation is the population's (divided by n), as in Elephant's `cv`.

    >>> spikes = rv.analysis.Spikes.from_steps([1, 11, 21, 31], [0, 0, 0, 0], n_neurons=2, dt=1.0, stop=40)
    >>> rv.analysis.cv(spikes).tolist()  # a clock, and a silent neuron
    [0.0, nan]
    """
    require_spikes(spikes)
    n = spikes.n_neurons
    last = np.full(n, -1, dtype=np.int64)
    number, first, second = (np.zeros(n, dtype=np.int64) for _ in range(3))
    (edges,) = block_edges(spikes.n_steps, 1, CHUNK)
    for steps, neurons in spikes.cut(edges):
        if not len(steps):
            continue
        order = np.argsort(neurons, kind="stable")
        steps, neurons = steps[order], neurons[order]
        opening = np.flatnonzero(np.diff(neurons, prepend=-1))  # each neuron's first spike in this piece
        closing = np.append(opening[1:], len(steps)) - 1
        before = np.empty_like(steps)
        before[1:] = steps[:-1]
        before[opening] = last[neurons[opening]]
        last[neurons[closing]] = steps[closing]
        known = before >= 0
        intervals, owners = (steps - before)[known], neurons[known]
        number += np.bincount(owners, minlength=n)
        np.add.at(first, owners, intervals)  # integers: the sums are exact in any order
        np.add.at(second, owners, intervals**2)
    # long double: n Σx² − (Σx)² cancels nearly all for a regular neuron.
    spread = number.astype(np.longdouble) * second - first.astype(np.longdouble) ** 2
    result: NDArray[np.float64] = np.full(n, np.nan)
    enough = number >= 2
    result[enough] = (np.sqrt(np.maximum(spread, 0)) / np.maximum(first, 1))[enough]
    return result


def population_rate(spikes: Spikes, window: float) -> NDArray[np.float64]:
    """Rate in Hz of the mean neuron in consecutive windows of `window` ms, (W,).

    >>> spikes = rv.analysis.Spikes.from_steps([1, 2, 7], [0, 0, 1], n_neurons=2, dt=1.0, stop=10)
    >>> rv.analysis.population_rate(spikes, window=5.0).round(6).tolist()  # two spikes of two neurons in 5 ms
    [200.0, 100.0]
    """
    require_spikes(spikes)
    width = spikes.steps_of(window)
    n = spikes.n_steps // width
    (edges,) = block_edges(n, 1, max(1, CHUNK // width))
    counts = [
        np.bincount(steps // width - first, minlength=int(last - first))
        for (first, last), (steps, _) in zip(pairwise(edges), spikes.cut(edges * width), strict=True)
    ]
    return np.concatenate(counts).astype(np.float64) * (1000.0 / (width * spikes.dt * max(1, spikes.n_neurons)))
