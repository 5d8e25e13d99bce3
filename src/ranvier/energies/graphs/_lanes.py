"""All steps of a graph of flat layers in one compiled loop, `LANES` entries of the batch at once.

States lie as (units, LANES): a product with a layer's weights has its sums in registers, a softmax over the units is
one instruction for many entries, and what a block of entries needs stays in the cache from step to step.
"""

from __future__ import annotations

import math

import numpy as np

from ranvier.codegen.arithmetic.simd import exp, tanh
from ranvier.codegen.arithmetic.tiles import LANES, ROWS, multiply_row, multiply_rows
from ranvier.codegen.compilation import compiled
from ranvier.codegen.loops import assign

IDENTITY, RELU, TANH, SIGMOID, SOFTMAX, LAYERNORM, SPHERICAL = range(7)
_FAST = {"reassoc", "contract", "nsz", "arcp"}


def blocks(values: np.ndarray) -> np.ndarray:
    """(B, N) -> (blocks, N, LANES), zeros where no entry is left."""
    count = -(-len(values) // LANES)
    padded = np.zeros((count * LANES, values.shape[1]), values.dtype)
    padded[: len(values)] = values
    return np.ascontiguousarray(padded.reshape(count, LANES, -1).transpose(0, 2, 1))


def entries(values: np.ndarray, batch: int) -> np.ndarray:
    """Back to (B, N)."""
    return np.ascontiguousarray(values.transpose(0, 2, 1).reshape(-1, values.shape[1])[:batch])


@compiled(nogil=True, error_model="numpy", fastmath=_FAST)
def _activate(x, y, kind, c, top, total):
    """Activations y (n, LANES) of one row of units x; top, total (LANES): room."""
    n, one = len(x), x.dtype.type(1)
    zero = one - one
    if kind == IDENTITY:
        for i in range(n):
            for l in range(LANES):
                y[i, l] = x[i, l]
    elif kind == RELU:
        for i in range(n):
            for l in range(LANES):
                y[i, l] = max(x[i, l], zero)
        if c[0] != 2:
            for i in range(n):
                for l in range(LANES):
                    y[i, l] = y[i, l] ** (c[0] - one)
    elif kind == TANH:
        for i in range(n):
            for l in range(LANES):
                y[i, l] = tanh(c[0] * x[i, l])
    elif kind == SIGMOID:
        for i in range(n):
            for l in range(LANES):
                y[i, l] = one / (one + exp(-c[0] * x[i, l]))
    elif kind == SOFTMAX:
        for l in range(LANES):
            top[l], total[l] = x[0, l], zero
        for i in range(1, n):
            for l in range(LANES):
                top[l] = max(top[l], x[i, l])
        for i in range(n):
            for l in range(LANES):
                power = exp(c[0] * (x[i, l] - top[l]))
                y[i, l] = power
                total[l] += power
        for l in range(LANES):
            total[l] = one / total[l]
        for i in range(n):
            for l in range(LANES):
                y[i, l] *= total[l]
    else:
        for l in range(LANES):
            top[l], total[l] = zero, zero
        if kind == LAYERNORM:
            for i in range(n):
                for l in range(LANES):
                    top[l] += x[i, l]
            for l in range(LANES):
                top[l] /= n
        for i in range(n):
            for l in range(LANES):
                total[l] += (x[i, l] - top[l]) * (x[i, l] - top[l])
        for l in range(LANES):
            total[l] = c[0] / math.sqrt((total[l] / n if kind == LAYERNORM else total[l]) + c[2])
        for i in range(n):
            for l in range(LANES):
                y[i, l] = (x[i, l] - top[l]) * total[l] + c[1]


@compiled(nogil=True, error_model="numpy", fastmath=_FAST)
def _add_product(weight, n, m, y, pull, room):
    """pull (n, LANES) += weight (n, m) @ y (m, LANES); room (ROWS, LANES)."""
    one = y.dtype.type(1)
    size = y.itemsize
    tile, row, out, step = y.ctypes.data, weight.ctypes.data, room.ctypes.data, LANES * y.itemsize
    whole = n // ROWS * ROWS
    for first in range(0, whole, ROWS):
        multiply_rows(out, step, row + first * m * size, m * size, tile, m, one)
        for r in range(ROWS):
            for l in range(LANES):
                pull[first + r, l] += room[r, l]
    for r in range(whole, n):
        multiply_row(out, step, row + r * m * size, m * size, tile, m, one)
        for l in range(LANES):
            pull[r, l] += room[0, l]


@compiled(nogil=True, error_model="numpy", fastmath=_FAST)
def run(X, steps, width, bias, forth, back, ends, rows, kinds, constants, joined, sizes):
    """X (blocks, N, LANES), in place, after `steps` steps.

    width, bias: of X's shape, or of one block for all. forth: the synapses' weights, one after another; back: each of
    them transposed.
    """
    y, pull = np.empty_like(X[0]), np.empty_like(X[0])
    room = np.empty((ROWS, LANES), X.dtype)
    top, total = np.empty(LANES, X.dtype), np.empty(LANES, X.dtype)
    for b in range(len(X)):
        x, step, drive = X[b], width[min(b, len(width) - 1)], bias[min(b, len(bias) - 1)]
        for _ in range(steps):
            for k in range(len(kinds)):
                for lo in range(ends[k], ends[k + 1], rows[k]):
                    hi = lo + rows[k]
                    _activate(x[lo:hi], y[lo:hi], kinds[k], constants[k], top, total)
            for i in range(len(drive)):
                assign(pull[i], drive[i])
            at = 0
            for s in range(len(joined)):
                n, m, first, second = sizes[s, 0], sizes[s, 1], joined[s, 0], joined[s, 1]
                end = at + n * m
                _add_product(forth[at:end], n, m, y[second : second + m], pull[first : first + n], room)
                _add_product(back[at:end], m, n, y[first : first + n], pull[second : second + m], room)
                at = end
            for i in range(len(x)):
                for l in range(LANES):
                    x[i, l] += step[i, l] * (pull[i, l] - x[i, l])


__all__ = [
    "IDENTITY", "LANES", "LAYERNORM", "RELU", "SIGMOID", "SOFTMAX", "SPHERICAL", "TANH", "blocks", "entries", "run",
]  # fmt: skip
