"""The event-driven loop: blocks of one minimum delay, as in the stepping one (`ranvier.engines.compiled.driver`).

In every step a thread adds what is due to the inputs of its own neurons, then visits those that were reached and those
whose bound says that they may cross; all others stay as they are, at the step of their last visit. In which order
neurons are visited changes nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ranvier.codegen.compilation import compiled
from ranvier.codegen.pointers import INNER, barrier, call2, call6, call8, pointer
from ranvier.engines.compiled.driver import collect, emit
from ranvier.engines.compiled.loops import TILE
from ranvier.engines.compiled.records import population, probe, run
from ranvier.engines.events.records import loop, part, sub

#: neurons of one word of `fired_groups`: a thread has whole ones
GROUP = 4096


@njit(**INNER)
def _deliver(A, q, own, step, thread, threads):
    """What a population's spikes bring to this thread's targets in a step; returns the number of synapses."""
    events = 0
    rows, queue = A.n_populations, pointer(A.queue, np.int32(0))
    counts, regions = pointer(A.counts, 0), pointer(A.regions, 0)
    for j in range(own.sub, own.sub + own.subs):
        s = sub(A.subs, j)
        emitted = step - s.delay
        if emitted < 1:
            continue
        slot = emitted & (A.queue_slots - 1)
        row = A.parts + s.target * own.bytes
        bounds, splits = pointer(s.rows, 0), pointer(s.splits, np.int32(0))
        for t in range(threads):
            at = slot * A.queue_columns + regions[t]
            for other in range(q):
                at += counts[(slot * threads + t) * rows + other]
            for k in range(at, at + counts[(slot * threads + t) * rows + q]):
                neuron = np.int64(queue[k])
                a, b = bounds[neuron], bounds[neuron + 1]
                if A.local > 1:
                    cut = neuron * (A.local + 1) + thread - A.leader
                    a, b = a + np.int64(splits[cut]), a + np.int64(splits[cut + 1])
                if a < b:
                    call8(s.code, s.items, s.weights, s.table, a, b, row, s.port, step, thread - A.leader)
                    events += b - a
    return events


@njit(**INNER)
def _emit(B, p, step, thread, threads, out, scratch):
    """The spikes of this thread's tiles of a source; returns how many."""
    fired, count = pointer(scratch, 0), 0
    tiles = p.padded // TILE
    for tile in range(tiles * thread // threads, tiles * (thread + 1) // threads):
        lo = tile * TILE
        emit(B, step, p, lo, B.masks)
        words = pointer(B.masks + p.mask + lo, np.uint64(0))
        spikes = collect(words, min(TILE, p.size - lo), fired)
        for i in range(spikes):
            out[count + i] = np.int32(lo + fired[i])
        count += spikes
    return count


@njit(**INNER)
def value_at(own, i, row, step):
    """A state of a neuron at the beginning of a step, from its last visit; nothing is changed."""
    m = own.states
    numbers, whole = pointer(own.records + 8 * own.words * i, 0.0), pointer(own.records + 8 * own.words * i, 0)
    rest = pointer(own.rest, 0.0)[i * own.rest_stride + row]
    last, busy = whole[m + own.ports], whole[m + own.ports + 1]
    y, z = np.empty(16), np.empty(16)
    for j in range(m):
        y[j] = numbers[j]
    steps = step - last
    held = max(min(busy - last, steps), 0) if own.held_span > 0 else 0
    for phase in range(2):
        n = held if phase == 0 else steps - held
        table = pointer(own.held if phase == 0 else own.free, 0.0)
        span = own.held_span if phase == 0 else own.span
        if phase == 1 and n > own.horizon:
            return rest
        while n > 0:
            now = min(n, span)
            for j in range(m):
                z[j] = 0.0
                for k in range(m):
                    z[j] += table[(now * m + j) * m + k] * y[k]
            for j in range(m):
                y[j] = z[j]
            n -= now
    return rest + y[row]


@njit(**INNER)
def _sample(A, q, own, step, lo, hi):
    """Samples of the neurons lo .. hi − 1 of a population at the end of a step."""
    for r in range(A.n_probes):
        s = probe(A.probes, r)
        if s.population != q or (step + 1) % s.interval != 0:
            continue
        chosen = pointer(A.probe_neurons + 8 * s.neurons, 0)
        out = pointer(A.samples, 0.0)
        at = s.out + ((step + 1) // s.interval - s.before) * s.count
        for k in range(s.count):
            if lo <= chosen[k] < hi:
                out[at + k] = value_at(own, chosen[k], s.row, step + 1)


@compiled(nogil=True, error_model="numpy")
def advance(table, scratch, thread, threads, first, last, block):
    """Steps first .. last − 1 on one thread; returns (the step reached, the number of spikes recorded).

    table: the address of a `LOOP`; scratch: of room for the spikes of a tile and three numbers more.
    """
    A = loop(table, 0)
    B = run(A.sources, 0)
    rows, slots = A.n_populations, A.queue_slots
    queue, counts, regions = pointer(A.queue, np.int32(0)), pointer(A.counts, 0), pointer(A.regions, 0)
    totals, result = pointer(A.totals + 24 * (thread - A.leader), 0), pointer(scratch, 0)
    spike_steps, spike_neurons = pointer(A.spike_steps, 0), pointer(A.spike_neurons, np.int32(0))
    result[1], result[2] = 0, 0
    spikes, recorded, step, passed, events = 0, 0, first, 0, 0
    while step < last:
        steps = min(block, last - step)
        if spikes + steps * A.most_spikes > A.spike_room:
            break
        for now in range(step, step + steps):
            for q in range(rows):
                events += _deliver(A, q, part(A.parts, q), now, thread, threads)
            slot = (now + 1) & (slots - 1)
            at = slot * A.queue_columns + regions[thread]
            for q in range(rows):
                own = part(A.parts, q)
                if own.kernel != 0:
                    groups = (own.size + GROUP - 1) // GROUP
                    lo, hi = groups * thread // threads, groups * (thread + 1) // threads
                    mine = thread - A.leader
                    call6(own.kernel, A.parts + q * own.bytes, now, mine, lo, hi, A.queue + 4 * at, scratch)
                    count = result[0]
                    if A.n_probes > 0:
                        _sample(A, q, own, now, lo * GROUP, hi * GROUP)
                else:
                    out = pointer(A.queue + 4 * at, np.int32(0))
                    count = _emit(B, population(A.populations, q), now, thread, threads, out, scratch + 24)
                counts[(slot * threads + thread) * rows + q] = count
                at += count
        passed += 1
        barrier(A.counter, A.local, passed)
        if A.exchange != 0:
            if thread == A.leader:
                call2(A.exchange, step, steps, 0)
            passed += 1
            barrier(A.counter, A.local, passed)
            if pointer(A.failed, 0)[0] != 0:
                break
        for now in range(step + 1, step + steps + 1):
            slot = now & (slots - 1)
            for q in range(rows):
                start = part(A.parts, q).start
                for t in range(threads):
                    count = counts[(slot * threads + t) * rows + q]
                    if thread == A.leader and count > 0 and A.leader <= t < A.leader + A.local:
                        at = slot * A.queue_columns + regions[t]
                        for other in range(q):
                            at += counts[(slot * threads + t) * rows + other]
                        for k in range(count):
                            spike_steps[recorded + k] = now
                            spike_neurons[recorded + k] = np.int32(start + queue[at + k])
                        recorded += count
                    spikes += count
        step += steps
    totals[0] += events
    totals[1] += result[1]
    totals[2] += result[2]
    return step, recorded


@compiled(nogil=True, error_model="numpy")
def all_values(parts, q, step, out):
    """The states (states, size) of a population at the beginning of a step."""
    own = part(parts, q)
    for i in range(out.shape[1]):
        for row in range(out.shape[0]):
            out[row, i] = value_at(own, i, row, step)


__all__ = ["GROUP", "advance", "all_values"]
