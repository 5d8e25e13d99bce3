"""Compiled draws of random wiring, row by row, each row from its own stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint64

from ranvier.codegen.arithmetic.streams import below, seeded, split, uniform
from ranvier.codegen.compilation import compiled
from ranvier.codegen.keys import GOLDEN

#: for functions that only compiled code calls
INNER: Any = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

# a power of two times this number has each six-bit pattern once in its top bits
_DE_BRUIJN_WORD = 0x03F79D71B4CB0A89
_DE_BRUIJN = np.zeros(64, np.int64)
for _i in range(64):
    _DE_BRUIJN[(((1 << _i) * _DE_BRUIJN_WORD) & ((1 << 64) - 1)) >> 58] = _i


@njit(**INNER)
def _position(power):
    """Position of the only set bit of `power`."""
    return _DE_BRUIJN[(power * uint64(_DE_BRUIJN_WORD)) >> uint64(58)]


@njit(**INNER)
def _subset(state, n, k, skip, words, out):
    """Write a uniform k-subset of range(n) without `skip` (-1: none) into `out`, ascending.

    Floyd's algorithm (Bentley and Floyd 1987) over a bitmap; `words` is zero before and after.
    """
    pool = n - 1 if skip >= 0 else n
    rest = pool - k
    inverted = k > rest  # drawing what is left out is the shorter way
    picks = rest if inverted else k
    for j in range(pool - picks, pool):
        state, t = below(state, j + 1)
        bit = uint64(1) << uint64(t & 63)
        if words[t >> 6] & bit:
            words[j >> 6] |= uint64(1) << uint64(j & 63)
        else:
            words[t >> 6] |= bit
    at = 0
    for w in range((pool + 63) >> 6):
        word = words[w]
        words[w] = 0
        if inverted:
            word = ~word
            if (w << 6) + 64 > pool:
                word &= (uint64(1) << uint64(pool & 63)) - uint64(1)
        base = w << 6
        while word:
            low = word & (~word + uint64(1))
            source = base + _position(low)
            word ^= low
            if skip >= 0 and source >= skip:
                source += 1
            out[at] = source
            at += 1
    return state


@njit(**INNER)
def sort(a):
    """Shell's sort in place: rows are short, and NumPy's sort takes seconds to compile."""
    gap = len(a) // 2
    while gap > 0:
        for i in range(gap, len(a)):
            x, j = a[i], i
            while j >= gap and a[j - gap] > x:
                a[j] = a[j - gap]
                j -= gap
            a[j] = x
        gap //= 2


@njit(**INNER)
def _sparse_subset(state, n, k, skip, words, out):
    """As `_subset`, for few of very many: clears and sorts its picks, and scans no bitmap."""
    pool = n - 1 if skip >= 0 else n
    for i in range(k):
        j = pool - k + i
        state, t = below(state, j + 1)
        if words[t >> 6] & (uint64(1) << uint64(t & 63)):
            t = j
        words[t >> 6] |= uint64(1) << uint64(t & 63)
        out[i] = t
    for i in range(k):
        words[out[i] >> 6] = 0
    sort(out[:k])
    if skip >= 0:
        for i in range(k):
            if out[i] >= skip:
                out[i] += 1
    return state


def subsets(n, indptr, key, lo, alone, words, sources):
    """Fill row r's slice of `sources` with a uniform subset of range(n) of the slice's length.

    `alone`: row r may not contain lo + r. `words`: zeros, (n + 63) // 64 of uint64.
    The stream's first number belongs to the row's length (`uniforms`) and is passed over.
    """
    few = (n >> 6) * (len(indptr) - 1) > 8 * len(sources)
    rows = _few_of_many if few else _any  # of which only one is compiled; the subsets are the same
    rows(n, indptr, key, lo, alone, words, sources)


def _row_by_row(subset):
    @compiled(error_model="numpy", no_cfunc_wrapper=True)
    def rows(n, indptr, key, lo, alone, words, sources):
        for row in range(len(indptr) - 1):
            state, _ = uniform(seeded(key, lo + row))
            start, stop = indptr[row], indptr[row + 1]
            subset(state, n, stop - start, lo + row if alone else -1, words, sources[start:stop])

    return rows


_any, _few_of_many = _row_by_row(_subset), _row_by_row(_sparse_subset)


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def multisets(n, indptr, key, lo, alone, sources):
    """As `subsets`, with replacement: ascending, repeats allowed."""
    for row in range(len(indptr) - 1):
        state, _ = uniform(seeded(key, lo + row))
        start, stop = indptr[row], indptr[row + 1]
        for edge in range(start, stop):
            state, source = below(state, n - 1 if alone else n)
            if alone and source >= lo + row:
                source += 1
            sources[edge] = source
        sort(sources[start:stop])


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def uniforms(key, lo, hi):
    """The first number in [0, 1) of each row's stream."""
    out = np.empty(hi - lo)
    for row in range(lo, hi):
        _, out[row - lo] = uniform(seeded(key, row))
    return out


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def scattered(n_source, n_target, k, key, alone, multapses, lo, hi, indptr, sources, fill):
    """Each source draws k targets; keep those in [lo, hi). First counts (`fill` False), then fills.

    `indptr` (hi - lo + 1,) comes back as offsets after counting and is put back after filling.
    """
    words = np.zeros((n_target + 63) >> 6, np.uint64)
    targets = np.empty(k, np.int32)
    for source in range(n_source):
        state, _ = uniform(seeded(key, source))
        skip = source if alone else -1
        if multapses:
            for i in range(k):
                state, t = below(state, n_target - 1 if alone else n_target)
                targets[i] = t + 1 if alone and t >= source else t
        elif (n_target >> 6) > 8 * k:
            _sparse_subset(state, n_target, k, skip, words, targets)
        else:
            _subset(state, n_target, k, skip, words, targets)
        for i in range(k):
            row = targets[i] - lo
            if 0 <= row < hi - lo:
                if fill:
                    sources[indptr[row]] = source
                    indptr[row] += 1
                else:
                    indptr[row + 1] += 1
    if fill:
        for row in range(hi - lo, 0, -1):
            indptr[row] = indptr[row - 1]
        indptr[0] = 0
    else:
        for row in range(hi - lo):
            indptr[row + 1] += indptr[row]


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def thrown(n, n_target, pool, key):
    """(n_target,) how often each target comes up in n uniform draws, from the stream of the row before the first;
    `pool` above 0: of `pool` places a target, each drawn once at most."""
    counts = np.zeros(n_target, np.int64)
    state = seeded(key, -1)
    left = n
    while left > 0:
        state, t = below(state, n_target)
        if pool > 0:
            state, place = below(state, pool)
            if place < counts[t]:  # taken: a target comes up in proportion to its free places
                continue
        counts[t] += 1
        left -= 1
    return counts


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def mutual(n, p, key, lo, hi, indptr, sources, fill):
    """Bernoulli draws, one for both directions of a pair: a function of (key, the pair). Counts or fills as
    `scattered`."""
    for target in range(lo, hi):
        row = target - lo
        edge = indptr[row]
        count = 0
        own = split(uint64(key) ^ split(uint64(target)))
        for source in range(n):
            first = own if source > target else split(uint64(key) ^ split(uint64(source)))
            bits = split(first + uint64(max(source, target)) * uint64(GOLDEN))
            if source != target and np.float64(bits >> uint64(11)) * (1.0 / 9007199254740992.0) < p:
                if fill:
                    sources[edge + count] = source
                count += 1
        if not fill:
            indptr[row + 1] = edge + count
