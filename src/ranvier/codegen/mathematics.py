# mypy: ignore-errors
"""What the adjoints need beyond the engines' mathematics."""

from __future__ import annotations

import math

from numba import njit

from ranvier.codegen import simd

_series = simd.horner([k / math.factorial(k + 1) for k in range(12, 0, -1)])  # Σ k x^(k−1)/(k + 1)!


@njit(**simd.INLINE)
def exprel_slope(x):
    """(exp(x) − exprel(x))/x, the derivative of exprel; its series near 0."""
    real = type(x)
    one, near = real(1), abs(x) <= real(0.5)
    safe = one if near else x
    exp = simd.exp(safe)
    return _series(x) if near else (exp - (exp - one) / safe) / safe
