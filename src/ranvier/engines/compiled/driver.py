"""The compiled engine's loop: blocks of one minimum delay, each thread with its own targets.

A thread advances its tiles of neurons through all steps of a block, waits for the others, then delivers
the block's spikes to its own neurons: no atomics, one barrier a block (the spike masks are doubled).
Every thread reads the spikes in the same order, by step, then neuron, so sums do not depend on threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from ranvier.codegen.compilation import address
from ranvier.codegen.pointers import INNER, barrier, call2, call4, call6, call7, call9, pointer
from ranvier.engines.compiled.loops import TILE
from ranvier.engines.compiled.records import (
    EQUATIONS,
    POISSON,
    background,
    coupling,
    population,
    probe,
    projection,
    run,
    series,
)  # fmt: skip


@njit(**INNER)
def ring_line(A, step, p, size):
    """The address of what arrives at a population in a step."""
    return A.ring + size * ((step & (A.ring_slots - 1)) * A.ring_columns + p.ring)


@njit(**INNER)
def _counts_now(g, step):
    """The addresses of a Poisson source's or background's table and base in a step."""
    if g.samples == 1:
        return g.table, g.base
    k, columns = min(step // g.interval, g.samples - 1), max(g.stride, 1)
    return g.table + 4 * k * g.rows * columns, g.base + 4 * k * columns


@njit(**INNER)
def feed(A, step, p, lo, size, one):
    """What comes from outside to one tile in a step: background spikes, values of time series."""
    padded, line = p.padded, ring_line(A, step, p, size)
    for b in range(p.backgrounds):
        g = background(A.backgrounds, p.background + b)
        at = 4 * lo * min(g.stride, 1)
        table, base = _counts_now(g, step)
        call7(g.code, A.streams + 4 * (g.stream + lo), padded, table + at, g.rows, g.stride, base + at,
              g.weights + size * lo, line + size * (g.port * padded + lo))
    for k in range(p.n_series):
        ts = series(A.series, p.series + k)
        at = ts.first + min(step // ts.interval, ts.count - 1) * ts.columns
        values = pointer(A.series_values + size * at, one)
        row = pointer(A.x + size * (p.x + ts.row * padded + lo), one)
        for i in range(TILE):
            row[i] = values[min(lo + i, ts.columns - 1)]


@njit(**INNER)
def update(A, step, k, block, p, lo, noise, mask, size, dt, one):
    """One step of one tile of a population with equations."""
    if A.couplings == 0:
        feed(A, step, p, lo, size, one)
    call7(p.kernel, A.x + size * p.x, p.padded, lo, ring_line(A, step, p, size), noise + 4 * (k * TILE),
          block * TILE, mask + p.mask, step * dt)


@njit(**INNER)
def _all_zero(at, count):
    """Whether count × 8 bytes are 0."""
    words, bits = pointer(at, np.uint64(0)), np.uint64(0)
    for i in range(count):
        bits |= words[i]
    return bits == 0


@njit(**INNER)
def _nothing_arrives(A, step, p, lo, size):
    line = ring_line(A, step, p, size)
    zero = True
    for port in range(p.ports):
        zero = zero and _all_zero(line + size * (port * p.padded + lo), size * TILE // 8)
    return zero


@njit(**INNER)
def _update_or_rest(A, step, k, block, p, lo, noise, mask, size, dt, one, room):
    """As `update`, but for a tile that rests: once a step in which nothing arrived has changed no bit of it, every
    further one changes none. Whether it rests is looked at once a block. room: for a copy of the tile."""
    if A.resting == 0 or p.rests == 0:
        update(A, step, k, block, p, lo, noise, mask, size, dt, one)
        return
    rests = pointer(A.resting + (p.mask + lo) // TILE, np.uint8(0))
    spikes, words = pointer(mask + p.mask + lo, np.uint64(0)), size * TILE // 8
    if rests[0] != 0:
        if _nothing_arrives(A, step, p, lo, size):
            for i in range(TILE // 8):
                spikes[i] = np.uint64(0)
            return
        rests[0] = np.uint8(0)
    look = k == 0 and _nothing_arrives(A, step, p, lo, size)
    if look:
        copy = pointer(room, np.uint64(0))
        for row in range(p.rows_of_x):
            x = pointer(A.x + size * (p.x + row * p.padded + lo), np.uint64(0))
            for i in range(words):
                copy[row * words + i] = x[i]
    update(A, step, k, block, p, lo, noise, mask, size, dt, one)
    if look:
        copy, bits = pointer(room, np.uint64(0)), np.uint64(0)
        for row in range(p.rows_of_x):
            x = pointer(A.x + size * (p.x + row * p.padded + lo), np.uint64(0))
            for i in range(words):
                bits |= copy[row * words + i] ^ x[i]
        if bits == 0 and _all_zero(mask + p.mask + lo, TILE // 8):
            rests[0] = np.uint8(1)


@njit(**INNER)
def fill(A, step, steps, block, p, lo, noise):
    """The normals of one tile for a block of steps."""
    for row in range(p.normals):
        call6(A.fill_normals, A.streams + 4 * (p.stream + row * 4 * p.padded + lo), p.padded,
              A.spares + 4 * (p.spare + row * p.padded + lo), noise + 4 * row * block * TILE, step, steps, 0)


@njit(**INNER)
def emit(A, step, p, lo, mask):
    """One step of one tile of a population without equations."""
    if p.kind == POISSON:
        at = 4 * lo * min(p.stride, 1)
        table, base = _counts_now(p, step)
        call6(p.kernel, A.streams + 4 * (p.stream + lo), p.padded, table + at, p.rows,
              p.stride, base + at, mask + p.mask + lo)
        return
    out = pointer(mask + p.mask + lo, np.uint8(0))
    for i in range(TILE):
        out[i] = np.uint8(0)
    steps, neurons = pointer(p.events, 0), pointer(p.event_neurons, 0)
    first, last = 0, p.spikes
    while first < last:  # bisection for the first spike of this step and tile
        middle = (first + last) // 2
        if steps[middle] < step or (steps[middle] == step and neurons[middle] < lo):
            first = middle + 1
        else:
            last = middle
    while first < p.spikes and steps[first] == step and neurons[first] < lo + TILE:
        out[neurons[first] - lo] += np.uint8(1)
        first += 1


@njit(**INNER)
def sample(A, step, q, p, lo, size, one):
    """Samples of one tile at the end of a step."""
    for r in range(A.n_probes):
        s = probe(A.probes, r)
        if s.population != q or (step + 1) % s.interval != 0:
            continue
        chosen = pointer(A.probe_neurons + 8 * s.neurons, 0)
        row = pointer(A.x + size * (p.x + s.row * p.padded), one)
        at = s.out + ((step + 1) // s.interval - s.before) * s.count
        out = pointer(A.samples + size * at, one)
        first, last = 0, s.count
        while first < last:
            middle = (first + last) // 2
            if chosen[middle] < lo:
                first = middle + 1
            else:
                last = middle
        while first < s.count and chosen[first] < lo + TILE:
            out[first] = row[chosen[first]]
            first += 1


@njit(**INNER)
def deliver(A, p, neuron, following, arrival, thread, threads, size, one):
    """All synapses of one spike onto this thread's targets; `following` is the neuron that comes next."""
    for j in range(p.projection, p.projection + p.projections):
        s = projection(A.projections, j)
        rows = pointer(s.rows, 0)
        a, b, c = rows[neuron], rows[neuron + 1], rows[following]
        if threads > 1:
            cut = pointer(s.splits, np.int32(0))
            at = neuron * (threads + 1) + thread
            a, b = a + np.int64(cut[at]), a + np.int64(cut[at + 1])
            c += np.int64(cut[following * (threads + 1) + thread])
        if a == b:
            continue
        slots = A.ring_slots - 1
        constant = pointer(s.constant, one)[0]
        if s.delays != 0:
            call9(s.code, A.ring + size * s.ring, A.ring_columns, slots, arrival, s.items, s.weights,
                  s.delays, a, b, constant)
            continue
        line = A.ring + size * (((arrival + s.steps) & slots) * A.ring_columns + s.ring)
        call6(s.code, line, s.items, s.weights, a, b, s.items + s.item_bytes * c, constant)


@njit(**INNER)
def collect(words, size, fired):
    """Neurons in order, each as often as its byte in a mask says; returns how many."""
    count = 0
    for group in range((size + 7) // 8):
        word = words[group]
        neuron = group * 8
        while word != 0:
            if neuron < size:
                for _ in range(word & np.uint64(255)):
                    fired[count] = neuron
                    count += 1
            word >>= np.uint64(8)
            neuron += 1
    return count


def advance(table, noise, spiked, thread, threads, first, last, block, reached, dt, one):
    """Steps first .. last − 1 on one thread; reached: where (the step reached, the number of spikes recorded) go.

    thread, threads: which of all threads of all ranks; a rank records the spikes of its own neurons. table: the
    address of a `RUN`; noise, spiked: of this thread's room for a block's normals, and for the neurons that spike in a
    step, one more, and a copy of a tile (made here, arrays would take the compiler long); one: a number of the
    precision in use. It stops early, all threads at the same step, when the room for spikes may not do for another
    block.
    """
    A = run(table, 0)
    size = A.bytes
    fired, still = pointer(spiked, 0), spiked + 8 * (A.most_spikes + 1)
    spike_steps, spike_neurons = pointer(A.spike_steps, 0), pointer(A.spike_neurons, np.int32(0))
    populations = A.n_populations
    spikes, recorded, step, parity, passed = 0, 0, first, 0, 0
    while step < last:
        steps = min(block, last - step)
        if spikes + steps * A.most_spikes > A.spike_room:
            break
        masks = A.masks + parity * block * A.mask_columns
        room = noise
        if A.couplings != 0:  # on one thread, in blocks of one step
            for q in range(populations):
                p = population(A.populations, q)
                for tile in range(p.padded // TILE):
                    fill(A, step, 1, 1, p, tile * TILE, room)
                    if p.kind == EQUATIONS:
                        feed(A, step, p, tile * TILE, size, one)
                    room += 4 * p.normals * TILE
            room = noise
            call4(coupling(A.couplings, 0).agree, table, noise, masks, step, one)
        for q in range(populations):
            p = population(A.populations, q)
            tiles = p.padded // TILE
            for tile in range(tiles * thread // threads, tiles * (thread + 1) // threads):
                lo = tile * TILE
                if A.couplings == 0:
                    fill(A, step, steps, block, p, lo, noise)
                for k in range(steps):
                    mask = masks + k * A.mask_columns
                    if p.kind == EQUATIONS:
                        _update_or_rest(A, step + k, k, block, p, lo, room, mask, size, dt, one, still)
                        sample(A, step + k, q, p, lo, size, one)
                    else:
                        emit(A, step + k, p, lo, mask)
                if A.couplings != 0:
                    room += 4 * p.normals * TILE
        passed += 1
        barrier(A.counter, A.local, passed)
        if A.exchange != 0:
            if thread == A.leader:
                call2(A.exchange, masks, steps, 0)
            passed += 1
            barrier(A.counter, A.local, passed)
            if pointer(A.failed, 0)[0] != 0:
                break
        for k in range(steps):
            for q in range(populations):
                p = population(A.populations, q)
                words = pointer(masks + k * A.mask_columns + p.mask, np.uint64(0))
                count = collect(words, p.size, fired)
                for i in range(count):
                    following = fired[min(i + 1, count - 1)]
                    deliver(A, p, fired[i], following, step + k + 1, thread - A.leader, A.local, size, one)
                if thread == A.leader:
                    tiles = p.padded // TILE
                    lo, hi = tiles * thread // threads * TILE, tiles * (thread + A.local) // threads * TILE
                    for i in range(count):
                        if lo <= fired[i] < hi:
                            spike_steps[recorded] = step + k + 1
                            spike_neurons[recorded] = np.int32(p.start + fired[i])
                            recorded += 1
                spikes += count
        parity = 1 - parity
        step += steps
    out = pointer(reached, 0)
    out[0], out[1] = step, recorded


def advance_address(real: Any) -> int:
    """Of `advance`, in float64 or float32."""
    number = types.float64 if real is np.float64 else types.float32
    return address(advance, types.void(*[types.int64] * 9, types.float64, number))
