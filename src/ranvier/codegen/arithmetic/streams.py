# mypy: ignore-errors
# (numba compiles these functions: their arguments have no Python types)
"""Counter-keyed random streams for compiled draws, of wirings and of spikes: one independent generator a row.

A row's stream starts from SplitMix64 (Steele, Lea and Flood 2014) of (key, row) and runs as
xoshiro256++ (Blackman and Vigna 2021), so that any row can be drawn alone and in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint64

from ranvier.codegen.keys import GOLDEN, MIX1, MIX2

#: parts of compiled functions, which are cached; a separate entry from C would be compiled for nothing
_part: Any = njit(error_model="numpy", no_cfunc_wrapper=True)  # type: ignore[call-overload]

_GOLDEN, _MIX1, _MIX2 = np.uint64(GOLDEN), np.uint64(MIX1), np.uint64(MIX2)


@_part
def split(x):
    """SplitMix64's output function after one step of its counter."""
    x = uint64(x) + _GOLDEN
    x = (x ^ (x >> uint64(30))) * _MIX1
    x = (x ^ (x >> uint64(27))) * _MIX2
    return x ^ (x >> uint64(31))


@_part
def seeded(key, row):
    """State (four words) of the stream of `row` under `key`."""
    x = split(uint64(key) ^ split(uint64(row)))
    return split(x), split(x + _GOLDEN), split(x + uint64(2) * _GOLDEN), split(x + uint64(3) * _GOLDEN)


@_part
def rotated(x, k):
    """`x` rotated left by `k` bits."""
    return (x << uint64(k)) | (x >> uint64(64 - k))


@_part
def stepped(state):
    """One step of xoshiro256++: (next state, 64 random bits)."""
    s0, s1, s2, s3 = state
    bits = rotated(s0 + s3, 23) + s0
    t = s1 << uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= t
    return (s0, s1, s2, rotated(s3, 45)), bits


@_part
def uniform(state):
    """(next state, a number in [0, 1) with 53 random bits)."""
    state, bits = stepped(state)
    return state, np.float64(bits >> uint64(11)) * (1.0 / 9007199254740992.0)


@_part
def below(state, n):
    """(next state, a whole number in [0, n), n < 2**32), exactly uniform (Lemire 2019)."""
    n = uint64(n)
    state, bits = stepped(state)
    product = (bits >> uint64(32)) * n
    low = product & uint64(0xFFFFFFFF)
    if low < n:
        limit = (uint64(0x100000000) - n) % n
        while low < limit:
            state, bits = stepped(state)
            product = (bits >> uint64(32)) * n
            low = product & uint64(0xFFFFFFFF)
    return state, np.int64(product >> uint64(32))
