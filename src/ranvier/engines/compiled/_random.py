"""Random numbers for the compiled engine: xoshiro128++ (Blackman & Vigna 2021), one stream a neuron and purpose.

A stream is a function of (seed, neuron, purpose) alone, and is read in order of the steps, so that a run
does not depend on threads, blocks or interruptions.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ranvier.codegen.arithmetic.simd import (
    INLINE,
    add_u32,
    bits_f32,
    f32_from_i32,
    f32_from_u32,
    fma,
    horner,
    i32_from_u32,
    log_f32,
    or_u32,
    shl_u32,
    shr_u32,
    xor_u32,
)

_f32, _u32 = np.float32, np.uint32


@njit(**INLINE)
def _rotate(x, k):
    return or_u32(shl_u32(x, _u32(k)), shr_u32(x, _u32(32 - k)))


@njit(**INLINE)
def next_word(a, b, c, d):
    """One step of xoshiro128++: the output and the new state."""
    out = add_u32(_rotate(add_u32(a, d), 7), a)
    t = shl_u32(b, _u32(9))
    c = xor_u32(c, a)
    d = xor_u32(d, b)
    b = xor_u32(b, c)
    a = xor_u32(a, d)
    c = xor_u32(c, t)
    return out, a, b, c, _rotate(d, 11)


def _mix(x):
    """splitmix64's finaliser."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def seed_streams(state, seed, first, purpose):
    """Fill `state` (4, n) uint32 with the streams of neurons first .. first + n − 1 for a purpose."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    neurons = np.uint64(first) + np.arange(state.shape[1], dtype=np.uint64)
    x = _mix(np.array([seed], np.uint64) + golden)  # arrays wrap around silently
    x = _mix(x ^ (neurons + np.uint64(0xD1B54A32D192ED03)))
    x = _mix(x ^ (np.array([purpose], np.uint64) + np.uint64(0x8CB92BA72F3D8DD7)))
    for k in range(2):
        x = x + golden
        y = _mix(x)
        state[2 * k] = y & np.uint64(0xFFFFFFFF)
        state[2 * k + 1] = y >> np.uint64(32)


# sin(πx)/x and cos(πx) for |x| <= ¼, as polynomials in x²
_sin_pi = horner([(-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1) for k in (4, 3, 2, 1, 0)])
_cos_pi = horner([(-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k) for k in (5, 4, 3, 2, 1, 0)])


@njit(**INLINE)
def box_muller(u, v):
    """Two independent standard normals from two uniform words (Box & Muller 1958).

    The radius keeps the full relative resolution of small uniforms, so the tails reach 6.7 σ.
    """
    radius = math.sqrt(_f32(-2.0) * log_f32((f32_from_u32(u) + _f32(0.5)) * _f32(2.3283064365386963e-10)))
    x = f32_from_i32(i32_from_u32(v)) * _f32(4.656612873077393e-10)  # angle/π in [−1, 1]
    shifted = fma(x, _f32(2.0), _f32(12582912.0))
    x = fma(shifted - _f32(12582912.0), _f32(-0.5), x)
    quadrant = bits_f32(shifted)
    r = x * x
    s, c = x * _sin_pi(r), _cos_pi(r)
    odd = (quadrant & np.int32(1)) != 0
    a, b = (c, s) if odd else (s, c)
    a = -a if (quadrant & np.int32(2)) != 0 else a
    b = -b if ((quadrant + np.int32(1)) & np.int32(2)) != 0 else b
    return radius * a, radius * b
