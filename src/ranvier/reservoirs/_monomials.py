"""Products of linear features, each one multiplication from a product already made."""

from __future__ import annotations

import numpy as np

from ranvier.codegen.compilation import compiled


def plan(linear: int, orders: tuple[int, ...], constant: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How to make all monomials of `linear` features up to the largest order, and which of them to keep.

    Returns (parent, factor, keep): product k is product parent[k] times linear feature factor[k]; the first,
    the constant, has parent -1. Products of one order follow each other, in lexicographic order.
    """
    parent, factor, order = [-1], [-1], [0]
    level = [0]
    for degree in range(1, max((1, *orders)) + 1):
        following = []
        for k in level:
            for j in range(max(factor[k], 0), linear):
                following.append(len(parent))
                parent.append(k)
                factor.append(j)
                order.append(degree)
        level = following
    degrees = {1, *orders} | ({0} if constant else set())
    keep = np.array([o in degrees for o in order])
    return np.array(parent), np.array(factor), np.flatnonzero(keep)


def products(linear: np.ndarray, parent: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """linear (n, L) -> (n, K), a column at a time."""
    table = np.empty((len(parent), len(linear)), linear.dtype)
    rows = np.ascontiguousarray(linear.T)
    table[0] = 1
    for k in range(1, len(parent)):
        np.multiply(table[parent[k]], rows[factor[k]], out=table[k])
    return table.T


@compiled(error_model="numpy")
def roll(taps, stride, parent, factor, weights, difference, steps):
    """Autonomous run from the ring of rows `taps` (oldest first, (k - 1) stride + 1 of them) -> (steps, d)."""
    depth, d = taps.shape
    ring = taps.copy()
    k = (depth - 1) // stride + 1
    linear, monomials = np.empty(k * d), np.empty(len(parent))
    out = np.empty((steps, d))
    now = depth - 1
    monomials[0] = 1.0
    for t in range(steps):
        for tap in range(k):
            at = (now - tap * stride) % depth
            for j in range(d):
                linear[tap * d + j] = ring[at, j]
        for p in range(1, len(parent)):
            monomials[p] = monomials[parent[p]] * linear[factor[p]]
        for j in range(d):
            total = linear[j] if difference else 0.0
            for p in range(len(parent)):
                total += weights[j, p] * monomials[p]
            out[t, j] = total
        now = (now + 1) % depth
        for j in range(d):
            ring[now, j] = out[t, j]
    return out
