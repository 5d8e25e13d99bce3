# mypy: ignore-errors
"""The loops of `_spikes`, compiled and called through their addresses; z is (rows, inputs), `one` its number type."""

import numpy as np
from numba import njit

from ganglion.engines._loops import weight_bytes
from ganglion.engines._machine import INNER, pointer
from ganglion.nn._tiles import LANES, gather, scatter

#: rows whose indices stay in the second cache while tile after tile is done
ROWS = 128


def count_active(z, rows, inputs, starts, one):
    """starts[r + 1] = number of inputs of rows 0 .. r that are not zero."""
    first = pointer(starts, 0)
    total = 0
    first[0] = 0
    for r in range(rows):
        row = pointer(z + weight_bytes(one) * r * inputs, one)
        n = np.int32(0)
        for k in range(inputs):
            n += np.int32(1) if row[k] != type(one)(0) else np.int32(0)
        total += n
        first[r + 1] = total


def list_active(z, rows, inputs, active, values, one):
    """Their indices and values, row after row; one place more than there are is written to."""
    out, found = pointer(active, np.int32(0)), pointer(values, one)
    at = 0
    for r in range(rows):
        row = pointer(z + weight_bytes(one) * r * inputs, one)
        for k in range(inputs):  # without a branch, which at some spikes in ten inputs would be guessed wrong
            out[at], found[at] = np.int32(k), row[k]
            at += 1 if row[k] != type(one)(0) else 0


def add_rows(tiles, active, values, starts, out, inputs, outputs, lo, hi, spare, one):
    """out[r] += Σ_k z[r, k] weight[k] for rows lo .. hi − 1; tiles (·, inputs, LANES) of the weights, spare (LANES)."""
    first, size = pointer(starts, 0), weight_bytes(one)
    for r0 in range(lo, hi, ROWS):
        for tile in range((outputs + LANES - 1) // LANES):
            weights, width = tiles + size * tile * inputs * LANES, min(LANES, outputs - tile * LANES)
            for r in range(r0, min(r0 + ROWS, hi)):
                at = out + size * (r * outputs + tile * LANES)
                if width == LANES:
                    gather(at, weights, active, values, first[r], first[r + 1], one)
                else:
                    _move(at, spare, width, one)
                    gather(spare, weights, active, values, first[r], first[r + 1], one)
                    _move(spare, at, width, one)


def add_outer(g, active, values, starts, tiles, inputs, outputs, lo, hi, spare, one):
    """tiles[·, k] += Σ_r z[r, k] g[r] over all rows; tiles lo .. hi − 1 of (·, inputs, LANES), spare (LANES) zeros."""
    first, size = pointer(starts, 0), weight_bytes(one)
    rows = pointer(starts - 8, 0)[0]
    for r0 in range(0, rows, ROWS):
        for tile in range(lo, hi):
            sums, width = tiles + size * tile * inputs * LANES, min(LANES, outputs - tile * LANES)
            for r in range(r0, min(r0 + ROWS, rows)):
                at = g + size * (r * outputs + tile * LANES)
                if width < LANES:
                    _move(at, spare, width, one)
                    at = spare
                scatter(sums, at, active, values, first[r], first[r + 1], one)


@njit(**INNER)
def _move(source, target, count, one):
    from_, to = pointer(source, one), pointer(target, one)
    for i in range(count):
        to[i] = from_[i]
