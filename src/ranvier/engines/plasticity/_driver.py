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
from ranvier.codegen.pointers import INNER, barrier, call4, call6, call8, pointer
from ranvier.engines.compiled import driver as d
from ranvier.engines.compiled.loops import TILE
from ranvier.engines.compiled.records import EQUATIONS, coupling, population, run
from ranvier.engines.plasticity import records as g
from ranvier.engines.plasticity._kernels import LAYERS
from ranvier.engines.plasticity.records import plastic


@njit(**INNER)
def _flush(G, first, thread, threads, now, drift, one):
    """Bring this thread's synapses of one projection up to date: all that is on record is replayed."""
    lead = plastic(G, first)
    for k in range(lead.groups):
        s = plastic(G, first + k)
        call6(s.sweep, G + g.WIDTH * (first + k), thread, threads, now, drift, 0, one)
    pointer(lead.flushed, 0)[thread] = now


@njit(**INNER)
def _modulate(A, s, now, lo, hi, slots, dt, fired, one):
    """The modulator of targets lo .. hi − 1 in the step that ends at `now`."""
    modulator = pointer(s.modulator, one)
    if s.kind == g.SERIES:
        row = min((now - 1 - s.origin) // s.interval, s.count - 1) * s.series_columns
        values = pointer(s.series, one)
        for i in range(lo, hi):
            modulator[i] = values[row + min(i, s.series_columns - 1)]
    elif s.kind == g.POPULATION:
        p = population(A.populations, s.population)
        mask = A.masks + ((now - s.wait) & slots) * A.mask_columns + p.mask
        count = d.collect(pointer(mask, np.uint64(0)), p.size, fired)
        value = type(one)(count / (p.size * dt))
        for i in range(lo, hi):
            modulator[i] = value


@njit(**INNER)
def _learn(A, G, groups, now, thread, threads, slots, dt, fired, one):
    """All that happens at plastic synapses at time `now`, onto this thread's targets."""
    size = A.bytes
    for k in range(groups):
        at = G + g.WIDTH * k
        s = plastic(at, 0)
        tiles = s.columns // TILE
        lo, hi = tiles * thread // threads * TILE, tiles * (thread + 1) // threads * TILE
        if s.groups > 0:
            _modulate(A, s, now, lo, hi, slots, dt, fired, one)
            call6(s.step, at, lo, hi, now, 0, 0, one)
        p = population(A.populations, s.source)
        words = pointer(A.masks + ((now - s.delay) & slots) * A.mask_columns + p.mask, np.uint64(0))
        count = d.collect(words, p.size, fired)
        line = A.ring + size * ((now & (A.ring_slots - 1)) * A.ring_columns + s.ring)
        rows = pointer(s.rows, 0)
        cut = pointer(s.splits, np.int32(0))
        for i in range(count):
            neuron = fired[i]
            a, b = rows[neuron], rows[neuron + 1]
            if threads > 1:
                b = a + np.int64(cut[neuron * (threads + 1) + thread + 1])
                a += np.int64(cut[neuron * (threads + 1) + thread])
            # several spikes of a source act one by one, and are delivered with the weights before them; those of
            # short-term plasticity are delivered one by one, too
            which, copies = 1, 1
            while which <= i and fired[i - which] == neuron:
                which += 1
            if s.single == 0:
                while i + copies < count and fired[i + copies] == neuron:
                    copies += 1
                copies = copies if which == 1 else 0
            call8(s.row, at, thread, neuron, a, b, now, line, 256 * which + copies, one)
    for k in range(groups):
        at = G + g.WIDTH * k
        s = plastic(at, 0)
        if s.groups == 0:
            continue
        tiles = s.columns // TILE
        lo, hi = tiles * thread // threads * TILE, tiles * (thread + 1) // threads * TILE
        p = population(A.populations, s.target)
        words = pointer(A.masks + ((now - s.back) & slots) * A.mask_columns + p.mask + lo, np.uint64(0))
        count = d.collect(words, min(hi, p.size) - lo, fired)
        if s.replays:
            oldest = pointer(s.layers + 4 * s.columns * (LAYERS - 1), np.int32(0))
            flushed = pointer(s.flushed, 0)[thread]
            full = False
            for i in range(count):
                full |= np.int64(oldest[lo + fired[i]]) > flushed
            if full:
                _flush(G, k, thread, threads, now - 1, 0, one)
        for i in range(count):
            call6(s.step, at, lo + fired[i], 0, now, 1, 0, one)
        call6(s.step, at, lo, hi, now, 2, 0, one)
        if s.every > 0 and now % s.every == 0:
            _flush(G, k, thread, threads, now, 1, one)
            call6(s.step, at, lo, hi, now, 3, 0, one)


@compiled(nogil=True, error_model="numpy")
def flush(G, groups, threads, now, one):
    """Bring every synapse up to date."""
    for k in range(groups):
        if plastic(G, k).groups > 0:
            for thread in range(threads):
                _flush(G, k, thread, threads, now, 0, one)


@compiled(nogil=True, error_model="numpy")
def advance(table, G, groups, slots, noise, thread, threads, first, last, block, dt, one):
    """As `_driver.advance`. G: the table of plastic synapses, of `groups` rows; slots: of the ring of masks, a
    power of two; noise: room for a block's normals of all of a thread's tiles."""
    A = run(table, 0)
    size = A.bytes
    fired = np.empty(A.most_spikes + 1, np.int64)
    spike_steps, spike_neurons = pointer(A.spike_steps, 0), pointer(A.spike_neurons, np.int32(0))
    populations = A.n_populations
    slots -= 1
    spikes, step, passed = 0, first, 0
    while step < last:
        steps = min(block, last - step)
        if spikes + steps * A.most_spikes > A.spike_room:
            break
        room = noise
        for q in range(populations):
            p = population(A.populations, q)
            tiles = p.padded // TILE
            for tile in range(tiles * thread // threads, tiles * (thread + 1) // threads):
                d.fill(A, step, steps, block, p, tile * TILE, room)
                room += 4 * p.normals * block * TILE
                if A.couplings != 0 and p.kind == EQUATIONS:
                    d.feed(A, step, p, tile * TILE, size, one)
        if A.couplings != 0:  # on one thread, in blocks of one step
            masks = A.masks + ((step + 1) & slots) * A.mask_columns
            call4(coupling(A.couplings, 0).agree, table, noise, masks, step, one)
        for k in range(steps):
            room = noise
            mask = A.masks + ((step + k + 1) & slots) * A.mask_columns
            for q in range(populations):
                p = population(A.populations, q)
                tiles = p.padded // TILE
                for tile in range(tiles * thread // threads, tiles * (thread + 1) // threads):
                    lo = tile * TILE
                    if p.kind == EQUATIONS:
                        d.update(A, step + k, k, block, p, lo, room, mask, size, dt, one)
                        d.sample(A, step + k, q, p, lo, size, one)
                    else:
                        d.emit(A, step + k, p, lo, mask)
                    room += 4 * p.normals * block * TILE
            if k + 1 < steps:
                _learn(A, G, groups, step + k + 1, thread, threads, slots, dt, fired, one)
        passed += 1
        barrier(A.counter, threads, passed)
        for k in range(steps):
            for q in range(populations):
                p = population(A.populations, q)
                words = pointer(A.masks + ((step + k + 1) & slots) * A.mask_columns + p.mask, np.uint64(0))
                count = d.collect(words, p.size, fired)
                for i in range(count):
                    following = fired[min(i + 1, count - 1)]
                    d.deliver(A, p, fired[i], following, step + k + 1, thread, threads, size, one)
                if thread == 0:
                    for i in range(count):
                        spike_steps[spikes + i] = step + k + 1
                        spike_neurons[spikes + i] = np.int32(p.start + fired[i])
                spikes += count
        step += steps
        _learn(A, G, groups, step, thread, threads, slots, dt, fired, one)
    return step, spikes
