"""The compiled engine's inner loops. Each is compiled by itself and called through its address."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from ranvier.codegen.arithmetic.simd import exp
from ranvier.codegen.compilation import address
from ranvier.codegen.pointers import INNER, pointer, prefetch, scratch, weight_bytes
from ranvier.engines.compiled._random import box_muller, next_word

#: neurons that one call advances: a constant, so that loops have no remainder and a neuron's arithmetic
#: is the same wherever it stands
TILE = 256

_f32, _u8, _u16, _u32, _u64 = np.float32, np.uint8, np.uint16, np.uint32, np.uint64
_void, _long = types.void, types.int64
_room = scratch(TILE)


def fill_normals(streams, padded, spares, out, first, steps, _):
    """Standard normals of steps first .. first + steps − 1 of a tile: out[k, i].

    Each pair of steps shares one Box–Muller pair, whose second half waits in `spares`.
    """
    a, b = pointer(streams, _u32(0)), pointer(streams + 4 * padded, _u32(0))
    c, d = pointer(streams + 8 * padded, _u32(0)), pointer(streams + 12 * padded, _u32(0))
    spare = pointer(spares, _f32(0))
    k = 0
    if first % 2 == 1:
        row = pointer(out, _f32(0))
        for i in range(TILE):
            row[i] = spare[i]
        k = 1
    while k < steps:
        row = pointer(out + 4 * TILE * k, _f32(0))
        for i in range(TILE):
            u, s0, s1, s2, s3 = next_word(a[i], b[i], c[i], d[i])
            v, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
            a[i], b[i], c[i], d[i] = s0, s1, s2, s3
            x, y = box_muller(u, v)
            row[i] = x
            spare[i] = y
        if k + 1 < steps:
            row = pointer(out + 4 * TILE * (k + 1), _f32(0))
            for i in range(TILE):
                row[i] = spare[i]
        k += 2


@njit(forceinline=True, **INNER)
def _poisson_counts(streams, padded, table, rows, stride, bases, counts):
    """counts[i] = bases[i] + #{k: word[i] > table[k, i]}, Poisson variables by inversion.

    The table holds the distribution function in units of 2⁻³², less one so that a certain one is never
    exceeded, in steps of 4 rows; stride 0: one for all.
    """
    a, b = pointer(streams, _u32(0)), pointer(streams + 4 * padded, _u32(0))
    c, d = pointer(streams + 8 * padded, _u32(0)), pointer(streams + 12 * padded, _u32(0))
    words, base = _room(_u32(0)), pointer(bases, _f32(0))
    for i in range(TILE):
        words[i], a[i], b[i], c[i], d[i] = next_word(a[i], b[i], c[i], d[i])
    if stride == 0:
        t = pointer(table, _u32(0))
        for i in range(TILE):
            counts[i] = base[0]
        for k in range(0, rows, 4):
            t0, t1, t2, t3 = t[k], t[k + 1], t[k + 2], t[k + 3]
            for i in range(TILE):
                u, n = words[i], counts[i]
                n += _f32(1) if u > t0 else _f32(0)
                n += _f32(1) if u > t1 else _f32(0)
                n += _f32(1) if u > t2 else _f32(0)
                n += _f32(1) if u > t3 else _f32(0)
                counts[i] = n
    else:
        for i in range(TILE):
            counts[i] = base[i]
        for k in range(rows):
            t = pointer(table + 4 * k * stride, _u32(0))
            for i in range(TILE):
                counts[i] += _f32(1) if words[i] > t[i] else _f32(0)


@njit(forceinline=True, **INNER)
def _add_poisson(streams, padded, table, rows, stride, bases, weights, line, one):
    counts = _room(_f32(0))
    _poisson_counts(streams, padded, table, rows, stride, bases, counts)
    w, row = pointer(weights, one), pointer(line, one)
    for i in range(TILE):
        row[i] += w[i] * counts[i]


def poisson_spikes(streams, padded, table, rows, stride, bases, mask):
    """mask[i] = a Poisson count, the spikes of a source in one step."""
    counts, out = _room(_f32(0)), pointer(mask, _u8(0))
    _poisson_counts(streams, padded, table, rows, stride, bases, counts)
    for i in range(TILE):
        out[i] = _u8(counts[i])


def add_poisson_f32(streams, padded, table, rows, stride, bases, weights, line):
    """line[i] += weights[i] times a Poisson count."""
    _add_poisson(streams, padded, table, rows, stride, bases, weights, line, np.float32(0))


def add_poisson_f64(streams, padded, table, rows, stride, bases, weights, line):
    """As `add_poisson_f32`, onto float64."""
    _add_poisson(streams, padded, table, rows, stride, bases, weights, line, np.float64(0))


@njit(forceinline=True, **INNER)
def _plain(line, items, a, b, ahead, w, kind, bytes_):
    row, target = pointer(line, w), pointer(items, kind)
    ahead -= bytes_ * a
    j = a
    # rows come from all over memory: without asking for the next one early, half the time is waiting
    while j + 32 <= b:
        prefetch(ahead + bytes_ * j)
        if bytes_ == 4:
            prefetch(ahead + bytes_ * j + 64)
        for k in range(32):
            row[_u64(target[j + k])] += w
        j += 32
    prefetch(ahead + bytes_ * j)
    while j < b:
        row[_u64(target[j])] += w
        j += 1


@njit(forceinline=True, **INNER)
def _weighted(line, items, weights, a, b, ahead, w, kind, bytes_):
    row, target, weight = pointer(line, w), pointer(items, kind), pointer(weights, w)
    shift = (ahead - items) // bytes_ - a  # from an edge to its fellow in the next row
    size = weight_bytes(w)
    j = a
    while j + 16 <= b:
        prefetch(items + bytes_ * (j + shift))
        prefetch(weights + size * (j + shift))
        for k in range(16):
            row[_u64(target[j + k])] += weight[j + k]
        j += 16
    prefetch(items + bytes_ * (j + shift))
    prefetch(weights + size * (j + shift))
    while j < b:
        row[_u64(target[j])] += weight[j]
        j += 1


@njit(forceinline=True, **INNER)
def _delayed(ring, columns, slots, arrival, items, weights, delays, a, b, w, kind):
    out, target, weight = pointer(ring, w), pointer(items, kind), pointer(weights, w)
    delay = pointer(delays, _u16(0))
    for j in range(a, b):
        slot = (arrival + types.int64(delay[j])) & slots
        out[slot * columns + types.int64(target[j])] += weight[j] if weights != 0 else w


def plain_narrow(line, items, weights, a, b, ahead, w):
    """line[target] += w over edges a .. b − 1; targets in 16 bits; `ahead`: where the next row will be."""
    _plain(line, items, a, b, ahead, w, _u16(0), 2)


def plain_wide(line, items, weights, a, b, ahead, w):
    """As `plain_narrow`, targets in 32 bits."""
    _plain(line, items, a, b, ahead, w, np.int32(0), 4)


def weighted_narrow(line, items, weights, a, b, ahead, w):
    """line[target] += weight, one a synapse; targets in 16 bits."""
    _weighted(line, items, weights, a, b, ahead, w, _u16(0), 2)


def weighted_wide(line, items, weights, a, b, ahead, w):
    """As `weighted_narrow`, targets in 32 bits."""
    _weighted(line, items, weights, a, b, ahead, w, np.int32(0), 4)


def delayed_narrow(ring, columns, slots, arrival, items, weights, delays, a, b, w):
    """Synapses with their own delays; targets in 16 bits."""
    _delayed(ring, columns, slots, arrival, items, weights, delays, a, b, w, _u16(0))


def delayed_wide(ring, columns, slots, arrival, items, weights, delays, a, b, w):
    """As `delayed_narrow`, targets in 32 bits."""
    _delayed(ring, columns, slots, arrival, items, weights, delays, a, b, w, np.int32(0))


def transmit(source, source_low, out, out_low, first, rows, items, weights, sources, targets, constants, one):
    """A continuous projection, kept by target: out[i] (+)= Σ w f(V_source), in float64.

    constants: (w, V_half, slope); slope 0: f(V) = V, else the sigmoid. first: out is overwritten. Where numbers are
    pairs of float32, `_low` is the address of the second halves, else 0.
    """
    number, values = type(one), pointer(constants, np.float64(0))
    w, half, slope = values[0], values[1], values[2]
    V, V_low = pointer(source, one), pointer(source_low, one)
    to, to_low = pointer(out, one), pointer(out_low, one)
    weight, row, item = pointer(weights, np.float64(0)), pointer(rows, 0), pointer(items, np.int32(0))
    sent = np.empty(sources, np.float64)
    for k in range(sources):
        v = np.float64(V[k]) + (np.float64(V_low[k]) if source_low != 0 else 0.0)
        sent[k] = v if slope == 0.0 else 1.0 / (1.0 + exp((half - v) / slope))
    for i in range(targets):
        total = 0.0
        for j in range(row[i], row[i + 1]):
            total += (weight[j] if weights != 0 else w) * sent[item[j]]
        if first == 0:
            total += np.float64(to[i]) + (np.float64(to_low[i]) if out_low != 0 else 0.0)
        to[i] = number(total)
        if out_low != 0:
            to_low[i] = number(total - np.float64(to[i]))


def normals_address() -> int:
    """Of `fill_normals`."""
    return address(fill_normals, _void(*[_long] * 7))


def poisson_spikes_address() -> int:
    """Of `poisson_spikes`."""
    return address(poisson_spikes, _void(*[_long] * 7))


def add_poisson_address(real: Any) -> int:
    """Of `add_poisson_f32` or its twin."""
    return address(add_poisson_f64 if real is np.float64 else add_poisson_f32, _void(*[_long] * 8))


def delivery_address(real: Any, wide: bool, weighted: bool, delayed: bool) -> int:
    """The loop for a projection's spikes."""
    number = types.float64 if real is np.float64 else types.float32
    if delayed:
        return address(delayed_wide if wide else delayed_narrow, _void(*[_long] * 9, number))
    names = (weighted_wide, weighted_narrow) if weighted else (plain_wide, plain_narrow)
    return address(names[0] if wide else names[1], _void(*[_long] * 6, number))


def transmit_address(real: Any) -> int:
    """Of `transmit`."""
    return address(transmit, _void(*[_long] * 11, types.float64 if real is np.float64 else types.float32))
