# mypy: ignore-errors
"""The loops of `_spikes`, compiled and called through their addresses; z is (rows, inputs), `one` its number type."""

import numpy as np
from numba import njit

from ranvier.codegen.arithmetic.tiles import LANES, PACK, PACKS, gather, pack, scatter
from ranvier.codegen.pointers import INNER, pointer, weight_bytes
from ranvier.nn.spiking._block_loops import move

#: rows whose indices stay in the second cache while tile after tile is done
CHUNK = 128


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
    """Their indices and values, row after row; up to PACK places more than there are are written to."""
    at = 0
    for r in range(rows):
        at = list_row(z + weight_bytes(one) * r * inputs, inputs, active, values, at, one)


@njit(**INNER)
def list_row(z, inputs, active, values, at, one):
    """One row's, from the place `at`; the place after them."""
    row, out, nonzero = pointer(z, one), pointer(active, np.int32(0)), pointer(values, one)
    done = inputs - inputs % PACK if PACKS else 0
    for k in range(0, done, PACK):
        at = pack(z + weight_bytes(one) * k, k, active, values, at, one)
    for k in range(done, inputs):  # without a branch, which at some spikes in ten inputs would be guessed wrong
        out[at], nonzero[at] = np.int32(k), row[k]
        at += 1 if row[k] != type(one)(0) else 0
    return at


def add_rows(row, one):
    """out[r] += Σ_k z[r, k] weight[k] for rows lo .. hi − 1; tiles (·, inputs, LANES) of the weights, spare (LANES)."""
    R = pointer(row, 0)
    add_active(R[0], R[1], R[2], R[3], R[4], R[5], R[6], R[7], R[8], R[9], one)


@njit(**INNER)
def add_active(tiles, active, values, starts, out, inputs, outputs, lo, hi, spare, one):
    """What `add_rows` does."""
    first, size = pointer(starts, 0), weight_bytes(one)
    for r0 in range(lo, hi, CHUNK):
        for tile in range((outputs + LANES - 1) // LANES):
            weights, width = tiles + size * tile * inputs * LANES, min(LANES, outputs - tile * LANES)
            for r in range(r0, min(r0 + CHUNK, hi)):
                at = out + size * (r * outputs + tile * LANES)
                if width == LANES:
                    gather(at, weights, active, values, first[r], first[r + 1], one)
                else:
                    move(at, spare, width, one)
                    gather(spare, weights, active, values, first[r], first[r + 1], one)
                    move(spare, at, width, one)


def add_outer(row, one):
    """tiles[·, k] += Σ_r z[r, k] g[r] over all rows; tiles lo .. hi − 1 of (·, inputs, LANES), spare (LANES) zeros."""
    R = pointer(row, 0)
    g, active, values, starts, tiles = R[0], R[1], R[2], R[3], R[4]
    inputs, outputs, lo, hi, spare = R[5], R[6], R[7], R[8], R[9]
    first, size = pointer(starts, 0), weight_bytes(one)
    rows = pointer(starts - 8, 0)[0]
    for r0 in range(0, rows, CHUNK):
        for tile in range(lo, hi):
            sums, width = tiles + size * tile * inputs * LANES, min(LANES, outputs - tile * LANES)
            for r in range(r0, min(r0 + CHUNK, rows)):
                at = g + size * (r * outputs + tile * LANES)
                if width < LANES:
                    move(at, spare, width, one)
                    at = spare
                scatter(sums, at, active, values, first[r], first[r + 1], one)
