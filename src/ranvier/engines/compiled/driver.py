"""The compiled engine's loop: blocks of one minimum delay, each thread with its own targets.

A thread advances its tiles of neurons through all steps of a block, waits for the others, then delivers
the block's spikes to its own neurons: no atomics, one barrier a block (the spike masks are doubled).
Every thread reads the spikes in the same order, by step, then neuron, so sums do not depend on threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ranvier.codegen.compilation import compiled
from ranvier.codegen.pointers import INNER, barrier, call6, call7, call9, call11, pointer
from ranvier.engines.compiled import couplings as c
from ranvier.engines.compiled.loops import TILE

# places in the table of addresses and sizes
(A_COUNTER, A_POPULATIONS, N_POPULATIONS, A_PROJECTIONS, A_COUPLINGS, A_X, A_RING, N_COLUMNS,
 N_SLOTS, A_STREAMS, A_SPARES, A_MASKS, N_MASK, A_BACKGROUNDS, A_SERIES, A_VALUES, A_EVENT_STEPS,
 A_EVENT_NEURONS, A_PROBES, N_PROBES, A_PROBE_NEURONS, A_SAMPLES, A_SPIKE_STEPS, A_SPIKE_NEURONS, N_ROOM,
 N_NEURONS, N_NOISE, A_FILL_NORMALS, N_SIZE, N_TABLE) = range(30)  # fmt: skip
# columns of the table of populations
(P_KERNEL, P_SIZE, P_PADDED, P_START, P_MASK, P_X, P_RING, P_STREAM, P_NORMALS, P_SPARE,
 P_BACKGROUND, P_BACKGROUNDS, P_SERIES, P_SERIES_COUNT, P_PROJECTION, P_PROJECTIONS, P_SPIKES, P_EVENTS, P_KIND,
 P_TABLE, P_ROWS, P_STRIDE, P_BASE, P_WIDTH) = range(24)  # fmt: skip
# columns of the table of projections; addresses but for the ring's column and the sizes
(J_CODE, J_RING, J_POINTERS, J_ITEMS, J_WEIGHTS, J_DELAYS, J_STEPS, J_SPLITS, J_CONSTANT, J_BYTES,
 J_WIDTH) = range(11)  # fmt: skip
# columns of the tables of backgrounds, time series and probes
B_CODE, B_PORT, B_STREAM, B_TABLE, B_ROWS, B_STRIDE, B_BASE, B_WEIGHT, B_WIDTH = range(9)
T_ROW, T_VALUES, T_COLUMNS, T_INTERVAL, T_COUNT, T_WIDTH = range(6)
R_POPULATION, R_ROW, R_INTERVAL, R_NEURONS, R_COUNT, R_OUT, R_BASE, R_WIDTH = range(8)

EQUATIONS, POISSON, GIVEN = 0, 1, 2


@njit(**INNER)
def _line(A, step, p, size):
    """The address of what arrives at a population in a step."""
    return A[A_RING] + size * ((step & (A[N_SLOTS] - 1)) * A[N_COLUMNS] + p[P_RING])


@njit(**INNER)
def _feed(A, step, p, lo, size, one):
    """What comes from outside to one tile in a step: background spikes, values of time series."""
    padded, line = p[P_PADDED], _line(A, step, p, size)
    for b in range(p[P_BACKGROUNDS]):
        g = pointer(A[A_BACKGROUNDS] + 8 * B_WIDTH * (p[P_BACKGROUND] + b), 0)
        call7(g[B_CODE], A[A_STREAMS] + 4 * (g[B_STREAM] + lo), padded, g[B_TABLE] + 4 * lo * min(g[B_STRIDE], 1),
              g[B_ROWS], g[B_STRIDE], g[B_BASE] + 4 * lo * min(g[B_STRIDE], 1), g[B_WEIGHT] + size * lo,
              line + size * (g[B_PORT] * padded + lo))
    for k in range(p[P_SERIES], p[P_SERIES] + p[P_SERIES_COUNT]):
        ts = pointer(A[A_SERIES] + 8 * T_WIDTH * k, 0)
        at = ts[T_VALUES] + min(step // ts[T_INTERVAL], ts[T_COUNT] - 1) * ts[T_COLUMNS]
        values = pointer(A[A_VALUES] + size * at, one)
        row = pointer(A[A_X] + size * (p[P_X] + ts[T_ROW] * padded + lo), one)
        for i in range(TILE):
            row[i] = values[min(lo + i, ts[T_COLUMNS] - 1)]


@njit(**INNER)
def _update(A, step, k, block, p, lo, noise, mask, size, dt, one):
    """One step of one tile of a population with equations."""
    if A[A_COUPLINGS] == 0:
        _feed(A, step, p, lo, size, one)
    call7(p[P_KERNEL], A[A_X] + size * p[P_X], p[P_PADDED], lo, _line(A, step, p, size), noise + 4 * (k * TILE),
          block * TILE, mask + p[P_MASK], step * dt)


@njit(**INNER)
def _fill(A, step, steps, block, p, lo, noise):
    """The normals of one tile for a block of steps."""
    for row in range(p[P_NORMALS]):
        call6(A[A_FILL_NORMALS], A[A_STREAMS] + 4 * (p[P_STREAM] + row * 4 * p[P_PADDED] + lo), p[P_PADDED],
              A[A_SPARES] + 4 * (p[P_SPARE] + row * p[P_PADDED] + lo), noise + 4 * row * block * TILE, step, steps, 0)


@njit(**INNER)
def _transmit(links, count, guessed, code, one):
    """Inputs at the step's start, from V, or at its end, from what V is guessed to be then."""
    for k in range(count):
        s = pointer(links + 8 * c.L_WIDTH * k, 0)
        shift = 2 if guessed else 0
        call11(code, s[c.L_V + shift], s[c.L_V_LOW + shift], s[c.L_IN + shift], s[c.L_IN_LOW + shift], s[c.L_FIRST],
               s[c.L_ROWS], s[c.L_ITEMS], s[c.L_WEIGHTS], s[c.L_SOURCES], s[c.L_TARGETS], s[c.L_CONSTANTS], one)


@njit(**INNER)
def _agree(A, step, noise, mask, size, dt, one):
    """The inputs by continuous synapses at both ends of a step, once all that comes from outside has come.

    noise: normals of all tiles, one tile after the other.
    """
    head = pointer(A[A_COUPLINGS], 0)
    links, count, code = head[c.C_LINKS], head[c.N_LINKS], head[c.C_TRANSMIT]
    _transmit(links, count, False, code, one)
    for q in range(A[N_POPULATIONS]):
        m = pointer(head[c.C_MEMBERS] + 8 * c.M_WIDTH * q, 0)
        if m[c.M_KERNEL] == 0:
            continue
        n = pointer(A[A_POPULATIONS] + 8 * P_WIDTH * q, 0)[P_PADDED]
        for half in range(2 if m[c.M_V_LOW] != 0 else 1):
            V, guess = pointer(m[c.M_V + half], one), pointer(m[c.M_GUESS + half], one)
            for i in range(n):
                guess[i] = V[i]
    change, ahead = np.inf, np.inf
    for _ in range(c.LIMIT):
        _transmit(links, count, True, code, one)
        if ahead <= c.TOLERANCE:
            return
        before, change, room = change, 0.0, noise
        for q in range(A[N_POPULATIONS]):
            p = pointer(A[A_POPULATIONS] + 8 * P_WIDTH * q, 0)
            m = pointer(head[c.C_MEMBERS] + 8 * c.M_WIDTH * q, 0)
            for tile in range(p[P_PADDED] // TILE):
                lo = tile * TILE
                if m[c.M_KERNEL] != 0:
                    call7(m[c.M_KERNEL], A[A_X] + size * p[P_X], p[P_PADDED], lo, _line(A, step, p, size), room, TILE,
                          mask + p[P_MASK], step * dt)
                    changes = pointer(m[c.M_CHANGE], one)
                    for i in range(lo, min(lo + TILE, p[P_SIZE])):
                        change = max(change, np.float64(changes[i]))
                room += 4 * p[P_NORMALS] * TILE
        # what all further repetitions would add, if each went on by the same factor
        ahead = change if change >= before else change * max(1.0, change / (before - change))
    left = pointer(head[c.C_CHANGES], np.float64(0))
    left[0] = max(left[0], ahead)


@njit(**INNER)
def _emit(A, step, p, lo, mask):
    """One step of one tile of a population without equations."""
    if p[P_KIND] == POISSON:
        at = 4 * lo * min(p[P_STRIDE], 1)
        call6(p[P_KERNEL], A[A_STREAMS] + 4 * (p[P_STREAM] + lo), p[P_PADDED], p[P_TABLE] + at, p[P_ROWS],
              p[P_STRIDE], p[P_BASE] + at, mask + p[P_MASK] + lo)
        return
    out = pointer(mask + p[P_MASK] + lo, np.uint8(0))
    for i in range(TILE):
        out[i] = np.uint8(0)
    steps = pointer(A[A_EVENT_STEPS], 0)
    neurons = pointer(A[A_EVENT_NEURONS], 0)
    end = p[P_EVENTS] + p[P_SPIKES]
    first, last = p[P_EVENTS], end
    while first < last:  # bisection for the first event of this step
        middle = (first + last) // 2
        if steps[middle] < step:
            first = middle + 1
        else:
            last = middle
    while first < end and steps[first] == step:
        if lo <= neurons[first] < lo + TILE:
            out[neurons[first] - lo] += np.uint8(1)
        first += 1


@njit(**INNER)
def _sample(A, step, q, p, lo, size, one):
    """Samples of one tile at the end of a step."""
    for r in range(A[N_PROBES]):
        probe = pointer(A[A_PROBES] + 8 * R_WIDTH * r, 0)
        if probe[R_POPULATION] != q or (step + 1) % probe[R_INTERVAL] != 0:
            continue
        chosen = pointer(A[A_PROBE_NEURONS] + 8 * probe[R_NEURONS], 0)
        row = pointer(A[A_X] + size * (p[P_X] + probe[R_ROW] * p[P_PADDED]), one)
        at = probe[R_OUT] + ((step + 1) // probe[R_INTERVAL] - probe[R_BASE]) * probe[R_COUNT]
        out = pointer(A[A_SAMPLES] + size * at, one)
        first, last = 0, probe[R_COUNT]
        while first < last:
            middle = (first + last) // 2
            if chosen[middle] < lo:
                first = middle + 1
            else:
                last = middle
        while first < probe[R_COUNT] and chosen[first] < lo + TILE:
            out[first] = row[chosen[first]]
            first += 1


@njit(**INNER)
def _deliver(A, p, neuron, following, arrival, thread, threads, size, one):
    """All synapses of one spike onto this thread's targets; `following` is the neuron that comes next."""
    for j in range(p[P_PROJECTION], p[P_PROJECTION] + p[P_PROJECTIONS]):
        s = pointer(A[A_PROJECTIONS] + 8 * J_WIDTH * j, 0)
        rows = pointer(s[J_POINTERS], 0)
        a, b, c = rows[neuron], rows[neuron + 1], rows[following]
        if threads > 1:
            cut = pointer(s[J_SPLITS], np.int32(0))
            at = neuron * (threads + 1) + thread
            a, b = a + np.int64(cut[at]), a + np.int64(cut[at + 1])
            c += np.int64(cut[following * (threads + 1) + thread])
        if a == b:
            continue
        slots = A[N_SLOTS] - 1
        constant = pointer(s[J_CONSTANT], one)[0]
        if s[J_DELAYS] != 0:
            call9(s[J_CODE], A[A_RING] + size * s[J_RING], A[N_COLUMNS], slots, arrival, s[J_ITEMS], s[J_WEIGHTS],
                  s[J_DELAYS], a, b, constant)
            continue
        line = A[A_RING] + size * (((arrival + s[J_STEPS]) & slots) * A[N_COLUMNS] + s[J_RING])
        call6(s[J_CODE], line, s[J_ITEMS], s[J_WEIGHTS], a, b, s[J_ITEMS] + s[J_BYTES] * c, constant)


@njit(**INNER)
def _collect(words, size, fired):
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


@compiled(nogil=True, error_model="numpy")
def advance(A, noise, thread, threads, first, last, block, dt, one):
    """Steps first .. last − 1 on one thread; returns (the step reached, the number of spikes).

    A: the table of addresses and sizes; noise: the address of this thread's room for a block's normals
    (made here, it would be freed after its address is taken); one: a number of the precision in use. It
    stops early, all threads at the same step, when the room for spikes may not do for another block.
    """
    size = A[N_SIZE]
    fired = np.empty(A[N_NEURONS] + 1, np.int64)
    spike_steps, spike_neurons = pointer(A[A_SPIKE_STEPS], 0), pointer(A[A_SPIKE_NEURONS], np.int32(0))
    populations = A[N_POPULATIONS]
    spikes, step, parity, passed = 0, first, 0, 0
    while step < last:
        steps = min(block, last - step)
        if spikes + steps * A[N_NEURONS] > A[N_ROOM]:
            break
        masks = A[A_MASKS] + parity * block * A[N_MASK]
        room = noise
        if A[A_COUPLINGS] != 0:  # on one thread, in blocks of one step
            for q in range(populations):
                p = pointer(A[A_POPULATIONS] + 8 * P_WIDTH * q, 0)
                for tile in range(p[P_PADDED] // TILE):
                    _fill(A, step, 1, 1, p, tile * TILE, room)
                    if p[P_KIND] == EQUATIONS:
                        _feed(A, step, p, tile * TILE, size, one)
                    room += 4 * p[P_NORMALS] * TILE
            room = noise
            _agree(A, step, noise, masks, size, dt, one)
        for q in range(populations):
            p = pointer(A[A_POPULATIONS] + 8 * P_WIDTH * q, 0)
            tiles = p[P_PADDED] // TILE
            for tile in range(tiles * thread // threads, tiles * (thread + 1) // threads):
                lo = tile * TILE
                if A[A_COUPLINGS] == 0:
                    _fill(A, step, steps, block, p, lo, noise)
                for k in range(steps):
                    mask = masks + k * A[N_MASK]
                    if p[P_KIND] == EQUATIONS:
                        _update(A, step + k, k, block, p, lo, room, mask, size, dt, one)
                        _sample(A, step + k, q, p, lo, size, one)
                    else:
                        _emit(A, step + k, p, lo, mask)
                if A[A_COUPLINGS] != 0:
                    room += 4 * p[P_NORMALS] * TILE
        passed += 1
        barrier(A[A_COUNTER], threads, passed)
        for k in range(steps):
            for q in range(populations):
                p = pointer(A[A_POPULATIONS] + 8 * P_WIDTH * q, 0)
                words = pointer(masks + k * A[N_MASK] + p[P_MASK], np.uint64(0))
                count = _collect(words, p[P_SIZE], fired)
                for i in range(count):
                    following = fired[min(i + 1, count - 1)]
                    _deliver(A, p, fired[i], following, step + k + 1, thread, threads, size, one)
                if thread == 0:
                    for i in range(count):
                        spike_steps[spikes + i] = step + k + 1
                        spike_neurons[spikes + i] = np.int32(p[P_START] + fired[i])
                spikes += count
        parity = 1 - parity
        step += steps
    return step, spikes
