# mypy: ignore-errors
"""The functions that generated Triton kernels use, in the argument's precision; imported by them alone.

Functions are CUDA's own (libdevice), good to some 2 ulp: Triton's `exp` and its kin in float32 are approximations
that lose digits as arguments grow. Its interpreter knows no libdevice, and has NumPy's.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra import libdevice

#: the interpreter calls plain functions, and is slow at compiled ones
INTERPRETED = bool(triton.knobs.runtime.interpret)
inline = (lambda f: f) if INTERPRETED else triton.jit


@inline
def real32(x: tl.constexpr):
    return tl.full((), x, tl.float32)


@inline
def real64(x: tl.constexpr):
    return tl.full((), x, tl.float64)


@inline
def fma(a, b, c):
    """A product within a sum, which Triton's compiler may round once."""
    return a * b + c


@inline
def where(condition, a, b):
    return tl.where(condition, a, b)


@inline
def minimum(a, b):
    return tl.minimum(a, b)


@inline
def maximum(a, b):
    return tl.maximum(a, b)


@inline
def abs_(x):
    return tl.abs(x)


@inline
def floor(x):
    return tl.floor(x)


@inline
def whole(x):
    return tl.where(x > 0, tl.floor(x), -tl.floor(-x))


if INTERPRETED:

    def sqrt(x):
        return tl.sqrt(x)

    def exp(x):
        return tl.exp(x)

    def log(x):
        return tl.log(x)

    def sin(x):
        return tl.sin(x)

    def cos(x):
        return tl.cos(x)

    def tanh(x):
        return 1.0 - 2.0 / (tl.exp(2.0 * x) + 1.0)

    def cosh(x):
        return (tl.exp(x) + tl.exp(-x)) / 2.0

    def sinh(x):
        return (tl.exp(x) - tl.exp(-x)) / 2.0

    def power(x, y):
        return tl.exp(y * tl.log(x))

else:

    @triton.jit
    def sqrt(x):
        return libdevice.sqrt_rn(x)

    @triton.jit
    def exp(x):
        return libdevice.exp(x)

    @triton.jit
    def log(x):
        return libdevice.log(x)

    @triton.jit
    def sin(x):
        return libdevice.sin(x)

    @triton.jit
    def cos(x):
        return libdevice.cos(x)

    @triton.jit
    def tanh(x):
        return libdevice.tanh(x)

    @triton.jit
    def cosh(x):
        return libdevice.cosh(x)

    @triton.jit
    def sinh(x):
        return libdevice.sinh(x)

    @triton.jit
    def power(x, y):
        return libdevice.pow(x, y)


@inline
def exprel(x):
    """(exp(x) − 1)/x; its series near 0."""
    near = tl.abs(x) <= 0.5
    total = x * 0.0 + 1.0
    for k in tl.static_range(15):
        total = 1.0 + x * (1.0 / (16 - k)) * total
    safe = tl.where(near, x * 0.0 + 1.0, x)
    return tl.where(near, total, (exp(safe) - 1.0) / safe)


@inline
def exprel_slope(x):
    """(exp(x) − exprel(x))/x, the derivative of exprel; its series near 0, Σ k x^(k−1)/(k + 1)!."""
    near = tl.abs(x) <= 0.5
    total = x * 0.0 + 1.0
    for k in tl.static_range(15):
        total = 1.0 + x * ((16.0 - k) / ((15.0 - k) * (17.0 - k))) * total
    safe = tl.where(near, x * 0.0 + 1.0, x)
    e = exp(safe)
    return tl.where(near, 0.5 * total, (e - (e - 1.0) / safe) / safe)
