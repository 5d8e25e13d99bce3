"""Uniform numbers for synapses that transmit by chance: functions of (seed, projection, synapse, step) alone, so that
a run does not depend on threads, blocks or interruptions."""

# mypy: ignore-errors
# (numba's functions have no Python types)

from __future__ import annotations

import numpy as np
from numba import njit

from ranvier.codegen.arithmetic.simd import INLINE, cos, log, sqrt
from ranvier.codegen.arithmetic.streams import split
from ranvier.codegen.keys import GOLDEN, stream_key

_u64 = np.uint64
_GOLDEN = _u64(GOLDEN)
#: uniform numbers that one spike may take at a synapse
MOST = 64
#: apart from the streams that draw a projection's wiring
_PURPOSE = 0x5EED


@njit(**INLINE)
def spike_key(key, step, copy):
    """Of the `copy`-th spike that arrives in a step, from a projection's key."""
    return split(split(_u64(key) + _GOLDEN * _u64(step)) + _GOLDEN * _u64(copy))


@njit(**INLINE)
def uniform(key, synapse, which, one):
    """The number `which` in [0, 1) of a synapse, of the type of `one`, from a spike's key: a multiple of 2^-24."""
    bits = split(key + _GOLDEN * (_u64(synapse) * _u64(MOST) + _u64(which)))
    return type(one)(bits >> _u64(40)) * type(one)(5.9604644775390625e-08)


@njit(**INLINE)
def normal(key, synapse, which, one):
    """The standard normal number `which`, below 32, of a synapse (Box & Muller 1958), up to 5.8 in size."""
    radius = sqrt(type(one)(-2.0) * log(type(one)(1.0) - uniform(key, synapse, which, one)))
    return radius * cos(type(one)(6.283185307179586) * uniform(key, synapse, which + MOST // 2, one))


def projection_key(seed: int, projection: int, group: int) -> int:
    """Of the synapses of one projection and delay, as int64."""
    key = stream_key(stream_key(stream_key(seed, projection), group), _PURPOSE)
    return int(_u64(key).astype(np.int64))


__all__ = ["MOST", "normal", "projection_key", "spike_key", "uniform"]
