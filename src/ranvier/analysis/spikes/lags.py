"""Cross-correlation: the covariance density of pairs of neurons over lags."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import reals
from ranvier.analysis.spikes.rates import BLOCKS, CHUNK
from ranvier.analysis.spikes.stream import Spikes, block_edges, pair_indices, require_memory, require_spikes

Array = NDArray[np.float64]


def cross_correlation(
    spikes: Spikes,
    lags: ArrayLike,
    *,
    pairs: ArrayLike | None = None,
    bin: float | None = None,
    return_error: bool = False,
    blocks: int = BLOCKS,
) -> Array | tuple[Array, Array]:
    """Covariance density C_ij(τ) = ⟨s_i(t + τ) s_j(t)⟩ − r_i r_j in Hz² at `lags` (ms): j leads i at τ > 0.

    Spikes are counted in bins of `bin` ms, by default the spacing of the lags, of which all lags are
    multiples: the result is C smoothed with a triangle of base 2·bin. The peak δ(τ) r_i of i = j is kept.
    Returns (L, N, N), or (L, P) for `pairs` (P, 2) of indices (i, j); the work grows with the pairs' own
    spikes, not with N². With `return_error` also the standard errors, from `blocks` blocks.
    Raises ValueError for lags that are no multiples of the bin, or longer than the record or its blocks, and for
    answers larger than the machine's memory.

    >>> steps = np.arange(10, 1000, 10)  # neuron 1 fires 2 ms after neuron 0, a hundred times a second
    >>> times, neurons = np.concatenate([steps, steps + 2]), np.repeat([0, 1], len(steps))
    >>> spikes = rv.analysis.Spikes.from_times(times, neurons, n_neurons=2, dt=1.0, duration=1000.0)
    >>> lags = np.arange(-4.0, 5.0)
    >>> lags[rv.analysis.cross_correlation(spikes, lags, pairs=[(1, 0)])[:, 0].argmax()].item()
    2.0
    """
    require_spikes(spikes)
    steps, shifts = _lags(spikes, np.atleast_1d(reals(lags, "lags")), bin)
    n = spikes.n_steps // steps
    reach = int(np.abs(shifts).max())
    if n <= reach:
        raise ValueError(
            f"a lag of {reach * steps * spikes.dt:g} ms is longer than the record of {spikes.duration:g} ms; "
            "expected a shorter one"
        )
    if return_error and n // blocks <= reach:
        block, lag = (bins * steps * spikes.dt for bins in (n // blocks, reach))
        raise ValueError(
            f"blocks of {block:g} ms for lags up to {lag:g} ms; "
            "expected longer blocks: use fewer blocks or shorter lags"
        )
    size = spikes.n_neurons
    count = size**2 if pairs is None else len(np.asarray(pairs))
    copies = 4 + blocks if return_error else 4
    require_memory(
        copies * count * (2 * reach + 1), f"lags of {count} pairs", "choose fewer neurons or pairs="
    )
    if pairs is None:
        chosen = np.indices((size, size)).reshape(2, -1).T
    else:
        used, chosen = pair_indices(pairs)
        spikes = spikes.select(used)
    result = _correlate(spikes, steps, shifts, chosen, blocks if return_error else 1)
    if pairs is None:
        result = tuple(each.reshape(len(shifts), size, size) for each in result)
    return (result[0], result[1]) if return_error else result[0]


def _lags(spikes: Spikes, lags: Array, bin: float | None) -> tuple[int, NDArray[np.int64]]:
    """The bin in steps and the lags in bins."""
    if not lags.size or not np.isfinite(lags).all():
        raise ValueError("lags is empty or not finite; expected times in ms")
    if bin is None:
        if lags.size < 2:
            raise ValueError("there is one lag, which has no spacing; expected the bin's width in ms: give bin=")
        bin = float(np.min(np.diff(np.unique(lags)))) if np.unique(lags).size > 1 else 0.0
    steps = spikes.steps_of(bin, "the bin of lags")
    shifts = np.round(lags / (steps * spikes.dt)).astype(np.int64)
    if np.abs(shifts * steps * spikes.dt - lags).max() > 1e-6 * bin * max(1, np.abs(shifts).max()):
        raise ValueError(f"lags are not multiples of the bin of {bin:g} ms; expected e.g. -20, -15, ..., 20")
    return steps, shifts


def _correlate(
    spikes: Spikes, width: int, shifts: NDArray[np.int64], pairs: NDArray[np.int64], blocks: int
) -> tuple[Array, ...]:
    """(L, P) estimates and errors. Pairs of spikes belong to the block of the later of the two."""
    from ranvier.analysis.spikes._pair_kernel import count_pairs

    size, n = spikes.n_neurons, spikes.n_steps // width
    lo, hi = int(shifts.min()), int(shifts.max())
    reach = max(abs(lo), abs(hi))
    edges = block_edges(n, blocks, max(1, CHUNK // width))
    pieces = spikes.cut(np.unique(np.concatenate(edges)) * width)
    lags = np.arange(lo, hi + 1)
    total = np.zeros((len(pairs), len(lags)), dtype=np.int64)
    sums = np.zeros((blocks, size))
    products = []
    held_bins, held_neurons = np.empty(0, np.int64), np.empty(0, np.int32)
    for b, edge in enumerate(edges):
        tally = np.zeros_like(total)
        for begin in edge[:-1]:
            steps, neurons = next(pieces)
            bins = np.concatenate([held_bins, steps // width])
            neurons = np.concatenate([held_neurons, neurons])
            order = np.argsort(neurons, kind="stable")
            starts = np.searchsorted(neurons[order], np.arange(size + 1))
            count_pairs(bins[order], starts, begin, pairs, lo, hi, tally)
            sums[b] += np.bincount(neurons[bins >= begin], minlength=size)
            recent = bins > bins[-1] - reach - 1 if len(bins) else slice(0)
            held_bins, held_neurons = bins[recent], neurons[recent]
        total += tally
        if blocks > 1:
            products.append(tally)
    density = (1000.0 / (width * spikes.dt)) ** 2
    mean = sums.sum(axis=0) / n
    of_i, of_j = pairs.T
    level = (mean[of_i] * mean[of_j])[:, None]
    at = shifts - lo
    estimate = (total / (n - np.abs(lags)) - level)[:, at].T * density
    if blocks == 1:
        return (estimate,)
    weights = np.array([edge[-1] - edge[0] for edge in edges]) / n
    first, second, average = (np.zeros((len(pairs), len(lags))) for _ in range(3))
    for b, tally in enumerate(products):
        length = edges[b][-1] - edges[b][0]
        own = sums[b] / length
        # A block's first bins have earlier partners in the block before; only the record's first have none.
        x = tally / (length - np.abs(lags) if b == 0 else length)
        x -= (mean[of_i] * own[of_j] + own[of_i] * mean[of_j])[:, None] - level
        average += weights[b] * x
        first += weights[b] ** 2 * x
        second += weights[b] ** 2 * x**2
    variance = second - 2 * average * first + np.sum(weights**2) * average**2
    error = np.sqrt(np.maximum(variance, 0) * blocks / (blocks - 1))
    return estimate, error[:, at].T * density
