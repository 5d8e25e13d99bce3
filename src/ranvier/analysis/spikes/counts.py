"""Statistics of spike counts in windows: covariance, correlation, Fano factor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ranvier.analysis.spikes.rates import BLOCKS
from ranvier.analysis.spikes.stream import Spikes, block_edges, require_memory, require_spikes

Array = NDArray[np.float64]
ENTRIES = 2**23  # counts held in memory at a time


def counts(spikes: Spikes, window: float) -> NDArray[np.int64]:
    """Spike counts in consecutive windows of `window` ms, (W, N); an incomplete last window is left out.

    >>> spikes = rv.analysis.Spikes.from_steps([1, 2, 7], [0, 0, 1], n_neurons=2, dt=1.0, stop=10)
    >>> rv.analysis.counts(spikes, window=5.0).tolist()
    [[2, 0], [0, 1]]
    """
    pieces = [piece for block in _blocks(spikes, window, 1) for piece in block]
    return np.concatenate(pieces).astype(np.int64)


def covariance(
    spikes: Spikes, window: float, *, return_error: bool = False, blocks: int = BLOCKS
) -> Array | tuple[Array, Array]:
    """Covariance of spike counts in windows of `window` ms, (N, N), as `numpy.cov` of the counts.

    With `return_error` also its standard error, (N, N), from the scatter of `blocks` consecutive
    blocks about the mean; blocks should be long against the correlations of the network.
    Memory: one (N, N) float64 matrix, four with errors.

    >>> spikes = rv.analysis.Spikes.from_steps([1, 2, 7], [0, 0, 1], n_neurons=2, dt=1.0, stop=10)
    >>> rv.analysis.covariance(spikes, window=5.0).tolist()  # of the counts (2, 0) and (0, 1)
    [[2.0, -1.0], [-1.0, 0.5]]
    """
    moments = _Moments(spikes, window, blocks if return_error else 1)
    if not return_error:
        return moments.covariance
    return moments.covariance, moments.covariance_error()


def correlation(
    spikes: Spikes, window: float, *, return_error: bool = False, blocks: int = BLOCKS
) -> Array | tuple[Array, Array]:
    """Pearson correlation of spike counts in windows of `window` ms, (N, N); NaN for silent neurons.

    With `return_error` also its standard error (N, N), by linear propagation from `blocks` blocks.

    >>> spikes = rv.analysis.Spikes.from_steps([1, 1, 5, 5], [0, 1, 0, 1], n_neurons=2, dt=1.0, stop=12)
    >>> rv.analysis.correlation(spikes, window=4.0).round(3).tolist()  # the two always fire together
    [[1.0, 1.0], [1.0, 1.0]]
    """
    moments = _Moments(spikes, window, blocks if return_error else 1)
    result = moments.correlation()
    return (result, moments.correlation_error(result)) if return_error else result


def fano(spikes: Spikes, window: float) -> Array:
    """Variance over mean of the spike counts in windows of `window` ms, (N,); NaN for silent neurons.

    >>> spikes = rv.analysis.Spikes.from_steps([1, 11, 21, 31], [0, 0, 0, 0], n_neurons=2, dt=1.0, stop=40)
    >>> rv.analysis.fano(spikes, window=10.0).tolist()  # as many in every window, and a silent neuron
    [0.0, nan]
    """
    require_spikes(spikes)
    total, square = np.zeros(spikes.n_neurons), np.zeros(spikes.n_neurons)
    n = spikes.n_steps // spikes.steps_of(window)
    _enough(n, window)
    for piece in next(_blocks(spikes, window, 1)):
        total += piece.sum(axis=0, dtype=np.float64)
        square += np.einsum("wn,wn->n", piece, piece, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return (square - total**2 / n) / (n - 1) / (total / n)


def _enough(n: int, window: float) -> None:
    if n < 2:
        raise ValueError(
            f"the record holds {n} window of {window} ms; expected at least 2: use a shorter window"
        )


def _blocks(spikes: Spikes, window: float, blocks: int) -> Iterator[Iterator[NDArray[np.float32]]]:
    """For each block, its counts (windows, N) chunk by chunk; to be consumed in order."""
    require_spikes(spikes)
    width = spikes.steps_of(window)
    chunk = int(np.clip(ENTRIES // max(1, spikes.n_neurons), 64, 8192))
    edges = block_edges(spikes.n_steps // width, blocks, chunk)
    pieces = spikes.cut(np.unique(np.concatenate(edges)) * width)

    def block(edge: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
        for first, last in pairwise(edge):
            steps, neurons = next(pieces)
            shape = int(last - first), spikes.n_neurons
            at = (steps // width - first) * spikes.n_neurons + neurons
            yield np.bincount(at, minlength=shape[0] * shape[1]).astype(np.float32).reshape(shape)

    return (block(edge) for edge in edges)


def _gram(piece: NDArray[np.float32]) -> NDArray[np.float32] | Array:
    """Σ_w n_w n_wᵀ. Counts are whole numbers, so that float32 is exact while sums stay below 2²⁴."""
    if len(piece) * float(piece.max(initial=0)) ** 2 < 2**24:
        return piece.T @ piece
    wide = piece.astype(np.float64)
    return wide.T @ wide


class _Moments:
    """Second moments of counts about their means, and over blocks b of weight w_b = W_b/W.

    x_b = ⟨(n_i − m_i)(n_j − m_j)⟩_b with m the mean over the whole record, so that Σ w_b x_b is the
    covariance itself; errors follow from Σ w_b² x_b and Σ w_b² x_b².
    """

    def __init__(self, spikes: Spikes, window: float, blocks: int) -> None:
        require_spikes(spikes)
        n = spikes.n_steps // spikes.steps_of(window)
        _enough(n, window)
        size = spikes.n_neurons
        copies = 3 if blocks == 1 else 6
        require_memory(copies * size**2, f"the covariance of {size} neurons", "choose fewer with select")
        sums = np.array(
            [sum((p.sum(axis=0, dtype=np.float64) for p in block), np.zeros(size))
             for block in _blocks(spikes, window, blocks)]
        )  # fmt: skip
        lengths = np.array([edge[-1] - edge[0] for edge in block_edges(n, blocks, n)])
        mean = sums.sum(axis=0) / n
        self.weights = lengths / n
        self.spread = np.sum(self.weights**2)
        self.covariance = np.zeros((size, size))
        self.diagonals = np.zeros((blocks, size))
        if blocks > 1:
            self.first, self.second, self.cross = (np.zeros((size, size)) for _ in range(3))
        for b, block in enumerate(_blocks(spikes, window, blocks)):
            x = np.zeros((size, size))
            for piece in block:
                x += _gram(piece)
            x /= lengths[b]
            drift = np.outer(mean, sums[b] / lengths[b] - mean / 2)
            x -= drift
            x -= drift.T
            self.diagonals[b] = np.diagonal(x)
            if blocks > 1:
                self.first += self.weights[b] ** 2 * x
                self.second += self.weights[b] ** 2 * x**2
                self.cross += self.weights[b] ** 2 * x * self.diagonals[b][:, None]
            x *= self.weights[b] * (n / (n - 1))
            self.covariance += x
        self.bias = (n - 1) / n

    def covariance_error(self) -> Array:
        x, b = self.covariance * self.bias, len(self.weights)
        variance = self.second - 2 * x * self.first + self.spread * x**2
        return np.sqrt(np.maximum(variance, 0) * b / (b - 1))

    def correlation(self) -> Array:
        scale = np.sqrt(np.diagonal(self.covariance))
        with np.errstate(divide="ignore", invalid="ignore"):
            result = self.covariance / scale[:, None] / scale
        np.clip(result, -1, 1, out=result)
        return result

    def correlation_error(self, correlation: Array) -> Array:
        """Error of ρ = x_ij/√(x_ii x_jj): e_b = x_ij,b/√(x_ii x_jj) − ρ/2 (x_ii,b/x_ii + x_jj,b/x_jj)."""
        variances, b = np.diagonal(self.covariance) * self.bias, len(self.weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.sqrt(variances)
            u = self.diagonals / variances * self.weights[:, None]
            mixed = self.cross / scale[:, None] / scale / variances[:, None]
            result = self.second / np.outer(variances, variances)
        result -= correlation * (mixed + mixed.T)
        own = u.T @ u
        square = np.diagonal(own)
        result += correlation**2 / 4 * (square[:, None] + square + 2 * own)
        return np.sqrt(np.maximum(result, 0) * b / (b - 1))
