"""The loop of networks with plastic synapses: as `_driver`'s, but step by step within a block.

At every time t_k a thread, for its own targets: lets their traces decay, delivers the spikes that arrive on
plastic synapses, puts the spikes that its targets have just emitted on record, and where a drift is due sweeps.
What arrives within a block was emitted before it, and what arrives at its end is known after the barrier. So
threads meet once a block, as in `_driver`.
"""

# mypy: ignore-errors
# (numba's pointers and intrinsics have no Python types)

from __future__ import annotations

import numpy as np
from numba import njit

from ranvier.codegen.compilation import compiled
from ranvier.codegen.pointers import INNER, barrier, call6, call8, pointer
from ranvier.engines.compiled import driver as d
from ranvier.engines.compiled.loops import TILE
from ranvier.engines.plasticity import columns as g
from ranvier.engines.plasticity._kernels import LAYERS


@njit(**INNER)
def _flush(G, first, thread, threads, now, drift, one):
    """Bring this thread's synapses of one projection up to date: all that is on record is replayed."""
    lead = pointer(G + 8 * g.G_WIDTH * first, 0)
    for k in range(lead[g.G_GROUPS]):
        s = pointer(G + 8 * g.G_WIDTH * (first + k), 0)
        call6(s[g.G_SWEEP], G + 8 * g.G_WIDTH * (first + k), thread, threads, now, drift, 0, one)
    pointer(lead[g.G_FLUSHED], 0)[thread] = now


@njit(**INNER)
def _modulate(A, s, now, lo, hi, slots, dt, fired, one):
    """The modulator of targets lo .. hi − 1 in the step that ends at `now`."""
    modulator = pointer(s[g.G_MODULATOR], one)
    if s[g.G_KIND] == g.SERIES:
        row = min((now - 1 - s[g.G_ORIGIN]) // s[g.G_INTERVAL], s[g.G_COUNT] - 1) * s[g.G_SERIES_COLUMNS]
        values = pointer(s[g.G_SERIES], one)
        for i in range(lo, hi):
            modulator[i] = values[row + min(i, s[g.G_SERIES_COLUMNS] - 1)]
    elif s[g.G_KIND] == g.POPULATION:
        p = pointer(A[d.A_POPULATIONS] + 8 * d.P_WIDTH * s[g.G_POPULATION], 0)
        mask = A[d.A_MASKS] + ((now - s[g.G_WAIT]) & slots) * A[d.N_MASK] + p[d.P_MASK]
        count = d._collect(pointer(mask, np.uint64(0)), p[d.P_SIZE], fired)
        value = type(one)(count / (p[d.P_SIZE] * dt))
        for i in range(lo, hi):
            modulator[i] = value


@njit(**INNER)
def _learn(A, G, groups, now, thread, threads, slots, dt, fired, one):
    """All that happens at plastic synapses at time `now`, onto this thread's targets."""
    size = A[d.N_SIZE]
    for k in range(groups):
        at = G + 8 * g.G_WIDTH * k
        s = pointer(at, 0)
        tiles = s[g.G_COLUMNS] // TILE
        lo, hi = tiles * thread // threads * TILE, tiles * (thread + 1) // threads * TILE
        if s[g.G_GROUPS] > 0:
            _modulate(A, s, now, lo, hi, slots, dt, fired, one)
            call6(s[g.G_STEP], at, lo, hi, now, 0, 0, one)
        p = pointer(A[d.A_POPULATIONS] + 8 * d.P_WIDTH * s[g.G_SOURCE], 0)
        words = pointer(A[d.A_MASKS] + ((now - s[g.G_DELAY]) & slots) * A[d.N_MASK] + p[d.P_MASK], np.uint64(0))
        count = d._collect(words, p[d.P_SIZE], fired)
        line = A[d.A_RING] + size * ((now & (A[d.N_SLOTS] - 1)) * A[d.N_COLUMNS] + s[g.G_RING])
        rows = pointer(s[g.G_POINTERS], 0)
        cut = pointer(s[g.G_SPLITS], np.int32(0))
        for i in range(count):
            neuron = fired[i]
            a, b = rows[neuron], rows[neuron + 1]
            if threads > 1:
                b = a + np.int64(cut[neuron * (threads + 1) + thread + 1])
                a += np.int64(cut[neuron * (threads + 1) + thread])
            # several spikes of a source act one by one, and are delivered with the weights before them
            copies = 0
            if i == 0 or fired[i - 1] != neuron:
                copies = 1
                while i + copies < count and fired[i + copies] == neuron:
                    copies += 1
            call8(s[g.G_ROW], at, thread, neuron, a, b, now, line, copies, one)
    for k in range(groups):
        at = G + 8 * g.G_WIDTH * k
        s = pointer(at, 0)
        if s[g.G_GROUPS] == 0:
            continue
        tiles = s[g.G_COLUMNS] // TILE
        lo, hi = tiles * thread // threads * TILE, tiles * (thread + 1) // threads * TILE
        p = pointer(A[d.A_POPULATIONS] + 8 * d.P_WIDTH * s[g.G_TARGET], 0)
        words = pointer(A[d.A_MASKS] + (now & slots) * A[d.N_MASK] + p[d.P_MASK] + lo, np.uint64(0))
        count = d._collect(words, min(hi, p[d.P_SIZE]) - lo, fired)
        if s[g.G_REPLAYS]:
            oldest = pointer(s[g.G_LAYERS] + 4 * s[g.G_COLUMNS] * (LAYERS - 1), np.int32(0))
            flushed = pointer(s[g.G_FLUSHED], 0)[thread]
            full = False
            for i in range(count):
                full |= np.int64(oldest[lo + fired[i]]) > flushed
            if full:
                _flush(G, k, thread, threads, now - 1, 0, one)
        for i in range(count):
            call6(s[g.G_STEP], at, lo + fired[i], 0, now, 1, 0, one)
        call6(s[g.G_STEP], at, lo, hi, now, 2, 0, one)
        if s[g.G_EVERY] > 0 and now % s[g.G_EVERY] == 0:
            _flush(G, k, thread, threads, now, 1, one)


@compiled(nogil=True, error_model="numpy")
def flush(G, groups, threads, now, one):
    """Bring every synapse up to date."""
    for k in range(groups):
        if pointer(G + 8 * g.G_WIDTH * k, 0)[g.G_GROUPS] > 0:
            for thread in range(threads):
                _flush(G, k, thread, threads, now, 0, one)


@compiled(nogil=True, error_model="numpy")
def advance(A, G, groups, slots, noise, thread, threads, first, last, block, dt, one):
    """As `_driver.advance`. G: the table of plastic synapses, of `groups` rows; slots: of the ring of masks, a
    power of two; noise: room for a block's normals of all of a thread's tiles."""
    size = A[d.N_SIZE]
    fired = np.empty(A[d.N_NEURONS] + 1, np.int64)
    spike_steps, spike_neurons = pointer(A[d.A_SPIKE_STEPS], 0), pointer(A[d.A_SPIKE_NEURONS], np.int32(0))
    populations = A[d.N_POPULATIONS]
    slots -= 1
    spikes, step, passed = 0, first, 0
    while step < last:
        steps = min(block, last - step)
        if spikes + steps * A[d.N_NEURONS] > A[d.N_ROOM]:
            break
        room = noise
        for q in range(populations):
            p = pointer(A[d.A_POPULATIONS] + 8 * d.P_WIDTH * q, 0)
            tiles = p[d.P_PADDED] // TILE
            for tile in range(tiles * thread // threads, tiles * (thread + 1) // threads):
                d._fill(A, step, steps, block, p, tile * TILE, room)
                room += 4 * p[d.P_NORMALS] * block * TILE
                if A[d.A_COUPLINGS] != 0 and p[d.P_KIND] == d.EQUATIONS:
                    d._feed(A, step, p, tile * TILE, size, one)
        if A[d.A_COUPLINGS] != 0:  # on one thread, in blocks of one step
            d._agree(A, step, noise, A[d.A_MASKS] + ((step + 1) & slots) * A[d.N_MASK], size, dt, one)
        for k in range(steps):
            room = noise
            mask = A[d.A_MASKS] + ((step + k + 1) & slots) * A[d.N_MASK]
            for q in range(populations):
                p = pointer(A[d.A_POPULATIONS] + 8 * d.P_WIDTH * q, 0)
                tiles = p[d.P_PADDED] // TILE
                for tile in range(tiles * thread // threads, tiles * (thread + 1) // threads):
                    lo = tile * TILE
                    if p[d.P_KIND] == d.EQUATIONS:
                        d._update(A, step + k, k, block, p, lo, room, mask, size, dt, one)
                        d._sample(A, step + k, q, p, lo, size, one)
                    else:
                        d._emit(A, step + k, p, lo, mask)
                    room += 4 * p[d.P_NORMALS] * block * TILE
            if k + 1 < steps:
                _learn(A, G, groups, step + k + 1, thread, threads, slots, dt, fired, one)
        passed += 1
        barrier(A[d.A_COUNTER], threads, passed)
        for k in range(steps):
            for q in range(populations):
                p = pointer(A[d.A_POPULATIONS] + 8 * d.P_WIDTH * q, 0)
                words = pointer(A[d.A_MASKS] + ((step + k + 1) & slots) * A[d.N_MASK] + p[d.P_MASK], np.uint64(0))
                count = d._collect(words, p[d.P_SIZE], fired)
                for i in range(count):
                    following = fired[min(i + 1, count - 1)]
                    d._deliver(A, p, fired[i], following, step + k + 1, thread, threads, size, one)
                if thread == 0:
                    for i in range(count):
                        spike_steps[spikes + i] = step + k + 1
                        spike_neurons[spikes + i] = np.int32(p[d.P_START] + fired[i])
                spikes += count
        step += steps
        _learn(A, G, groups, step, thread, threads, slots, dt, fired, one)
    return step, spikes
