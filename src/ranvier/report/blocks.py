"""Matrices of pairs of neurons shrunk to blocks: pixels of a picture, or classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def image_of(matrix: Any, order: Array, pixels: int = 620) -> Array:
    """A matrix, dense or sparse, ordered and shrunk to at most (pixels, pixels) by averaging blocks."""
    place = pixel_places(order, pixels)
    return block_means(matrix, place, min(len(order), pixels))


def pixel_places(order: Array, pixels: int) -> Array:
    """(N,) the pixel of each neuron where those in `order` share at most `pixels`."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) * min(len(order), pixels) // len(order)
    return place


def block_scores(matrix: Array, error: Array, place: Array, blocks: int) -> Array:
    """(blocks, blocks) means of correlations (N, N), symmetric, over rows and columns put together by `place` (N,), in
    standard errors of independent pairs; NaN for blocks without entries."""
    finite = np.isfinite(matrix)
    total = _block_sums(np.where(finite, matrix, 0.0), place, blocks)
    variance = _block_sums(np.where(finite, np.square(error), 0.0), place, blocks)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = total / np.sqrt(variance)
    np.fill_diagonal(scores, scores.diagonal() / np.sqrt(2))  # which hold every pair twice
    return scores


def block_means(matrix: Any, place: Array, blocks: int) -> Array:
    """(blocks, blocks) means of a matrix over rows and columns that `place` (N,) puts together.

    NaN entries are left out; a block without entries is NaN.
    """
    from scipy.sparse import issparse

    if issparse(matrix):
        members = np.bincount(place, minlength=blocks)
        return _block_sums(matrix, place, blocks) / np.outer(members, members)
    finite = np.isfinite(matrix)
    total = _block_sums(np.where(finite, matrix, 0.0), place, blocks)
    count = _block_sums(finite.astype(np.float64), place, blocks)
    with np.errstate(invalid="ignore"):
        return total / count


def _block_sums(matrix: Any, place: Array, blocks: int) -> Array:
    from scipy.sparse import csr_array, issparse

    spread = csr_array((np.ones(len(place)), (place, np.arange(len(place)))), shape=(blocks, len(place)))
    if issparse(matrix):
        return (spread @ matrix @ spread.T).toarray()
    return (spread @ (spread @ matrix).T).T
