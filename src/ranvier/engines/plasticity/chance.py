"""Uniform numbers for synapses that transmit by chance: functions of (seed, projection, synapse, step) alone, so that
a run does not depend on threads, blocks or interruptions."""

# mypy: ignore-errors
# (numba's functions have no Python types)

from __future__ import annotations

import numpy as np
from numba import njit

from ranvier.codegen.arithmetic.simd import INLINE

_u64 = np.uint64
_GOLDEN = _u64(0x9E3779B97F4A7C15)
#: uniform numbers that one spike may take at a synapse
MOST = 64


@njit(**INLINE)
def _mix(x):
    """splitmix64's finaliser (Steele, Lea & Flood 2014, OOPSLA)."""
    x = (x ^ (x >> _u64(30))) * _u64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> _u64(27))) * _u64(0x94D049BB133111EB)
    return x ^ (x >> _u64(31))


@njit(**INLINE)
def spike_key(key, step, copy):
    """Of the `copy`-th spike that arrives in a step, from a projection's key."""
    return _mix(_mix(_u64(key) + _GOLDEN * _u64(step)) + _GOLDEN * _u64(copy))


@njit(**INLINE)
def uniform(key, synapse, which, one):
    """The number `which` in [0, 1) of a synapse, of the type of `one`, from a spike's key: a multiple of 2^-24."""
    bits = _mix(key + _GOLDEN * (_u64(synapse) * _u64(MOST) + _u64(which)))
    return type(one)(bits >> _u64(40)) * type(one)(5.9604644775390625e-08)


def projection_key(seed: int, projection: int, group: int) -> int:
    """Of the synapses of one projection and delay, as int64."""
    with np.errstate(over="ignore"):
        x = _u64(seed % 2**64)
        for part in (projection, group, 0x5EED):
            x = _plain(x + _GOLDEN * _u64(part + 1))
    return int(x.astype(np.int64))


def _plain(x: np.uint64) -> np.uint64:
    x = (x ^ (x >> _u64(30))) * _u64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> _u64(27))) * _u64(0x94D049BB133111EB)
    return x ^ (x >> _u64(31))


__all__ = ["MOST", "projection_key", "spike_key", "uniform"]
