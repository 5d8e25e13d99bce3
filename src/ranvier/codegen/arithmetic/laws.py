# mypy: ignore-errors
# (numba compiles these functions: their arguments have no Python types)
"""Numbers of common laws from the streams of `ranvier.codegen.arithmetic.streams`, the same on every processor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ranvier.codegen.arithmetic.simd import exp_f64, log_f64
from ranvier.codegen.arithmetic.streams import uniform

_part: Any = njit(error_model="numpy", no_cfunc_wrapper=True)  # type: ignore[call-overload]


@_part
def exponential(state):
    """(next state, a number of the exponential law of mean 1)."""
    state, u = uniform(state)
    return state, -log_f64(1.0 - u)


@_part
def normals(state):
    """(next state, two independent standard normal numbers), by the polar method (Marsaglia and Bray 1964)."""
    while True:
        state, u = uniform(state)
        state, v = uniform(state)
        u, v = 2.0 * u - 1.0, 2.0 * v - 1.0
        square = u * u + v * v
        if 0.0 < square < 1.0:
            size = np.sqrt(-2.0 * log_f64(square) / square)
            return state, u * size, v * size


@_part
def gamma(state, shape):
    """(next state, a number of the gamma law of this shape and scale 1): by a product of uniform numbers for whole
    shapes up to 8, by Marsaglia and Tsang (2000) for others."""
    if shape <= 8.0 and shape == np.floor(shape):
        product = 1.0
        for _ in range(np.int64(shape)):
            state, u = uniform(state)
            product *= 1.0 - u
        return state, -log_f64(product)
    d = (shape if shape >= 1.0 else shape + 1.0) - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    while True:
        state, x, _ = normals(state)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        state, u = uniform(state)
        u = 1.0 - u
        square = x * x
        # what this accepts, nearly all, needs no logarithm
        if u < 1.0 - 0.0331 * square * square or log_f64(u) < 0.5 * square + d - d * v + d * log_f64(v):
            break
    value = d * v
    if shape < 1.0:
        state, u = uniform(state)
        value *= exp_f64(log_f64(1.0 - u) / shape)
    return state, value
