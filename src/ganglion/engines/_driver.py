"""The compiled engine's loop: blocks of one minimum delay, each thread with its own targets.

A thread advances its tiles of neurons through all steps of a block, waits for the others, then delivers
the block's spikes to its own neurons: no atomics, one barrier a block (the spike masks are doubled).
Every thread reads the spikes in the same order, by step, then neuron, so sums do not depend on threads.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ganglion.engines._kernels import TILE
from ganglion.engines._random import add_poisson, fill_normals, fill_uniforms
from ganglion.engines._simd import OPTIONS, exp

# columns of the table of populations
(P_KERNEL, P_SIZE, P_PADDED, P_START, P_MASK, P_X, P_RING, P_STREAM, P_NORMALS, P_SPARE, P_SCALARS,
 P_BACKGROUND, P_BACKGROUNDS, P_SERIES, P_PROJECTION, P_PROJECTIONS, P_SPIKES, P_EVENTS) = range(18)  # fmt: skip
# columns of the table of projections
(J_RING, J_WIDE, J_EDGES, J_POINTERS, J_WEIGHT, J_CONSTANT, J_DELAY, J_STEPS, J_SPLIT, J_PADDED,
 J_SOURCE_X, J_TARGETS, J_KIND) = range(13)  # fmt: skip
# columns of the tables of backgrounds, time series and probes
B_PORT, B_STREAM, B_CDF, B_ROWS, B_WIDE, B_BASE, B_WEIGHT = range(7)
T_ROW, T_VALUES, T_COLUMNS, T_INTERVAL, T_COUNT = range(5)
R_POPULATION, R_ROW, R_INTERVAL, R_NEURONS, R_COUNT, R_OUT, R_BASE = range(7)

KERNEL_EQUATIONS, KERNEL_POISSON, KERNEL_GIVEN = 0, -1, -2
SPIKES, ELECTRICAL, SIGMOIDAL = 0, 1, 2


@intrinsic
def _call(typingctx, address, x, n, lo, inputs, noise, stride, spiked, c, t):
    signature = types.void(*[types.int64] * 9, t)

    def codegen(context, builder, signature, args):
        long = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [long] * 8 + [args[-1].type])
        builder.call(builder.inttoptr(args[0], ir.PointerType(kind)), args[1:])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _atomic_add(typingctx, array, value):
    """array[0] += value, atomically; returns the old value."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, args[1], "seq_cst")

    return types.int64(array, types.int64), codegen


@intrinsic
def _yield(typingctx):
    """Let another thread run (POSIX)."""

    def codegen(context, builder, signature, args):
        from numba.core import cgutils

        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@njit(nogil=True, cache=True)
def _barrier(counter, threads, passed):
    """Wait until all threads came here `passed` times."""
    if threads == 1:
        return
    if _atomic_add(counter, np.int64(1)) + 1 >= threads * passed:
        return
    spins = 0
    while _atomic_add(counter, np.int64(0)) < threads * passed:
        spins += 1
        if spins > 2000:
            _yield()


@njit(**OPTIONS)
def _deliver_plain(row, targets, a, b, w):
    for j in range(a, b):
        row[targets[j]] += w


@njit(**OPTIONS)
def _deliver_weights(row, targets, weights, shift, a, b):
    for j in range(a, b):
        row[targets[j]] += weights[j + shift]


@njit(**OPTIONS)
def _deliver_delays(ring, column, padded, targets, weights, shift, w, delays, delay_shift, arrival, mask, a, b):
    for j in range(a, b):
        slot = (arrival + np.int64(delays[j + delay_shift])) & mask
        ring[slot, column + np.int64(targets[j])] += weights[j + shift] if shift > -(1 << 60) else w


@njit(**OPTIONS)
def _deliver(ring, row, arrival, neuron, j, projections, narrow, wide, pointers, weights, constants, delays,
             splits, thread, threads, scratch):
    """All synapses of one spike of a projection onto this thread's targets."""
    p = projections[j]
    at = p[J_POINTERS] + neuron
    a, b = pointers[at], pointers[at + 1]
    if threads > 1:
        cut = p[J_SPLIT] + neuron * (threads + 1)
        a, b = a + np.int64(splits[cut + thread]), a + np.int64(splits[cut + thread + 1])
    if a == b:
        return
    mask = ring.shape[0] - 1
    column = p[J_RING]
    a += p[J_EDGES]
    b += p[J_EDGES]
    shift = p[J_WEIGHT] - p[J_EDGES] if p[J_WEIGHT] >= 0 else np.int64(-(1 << 60))
    if p[J_DELAY] >= 0:
        if p[J_WIDE]:
            _deliver_delays(ring, column, p[J_PADDED], wide, weights, shift, constants[j], delays,
                            p[J_DELAY] - p[J_EDGES], arrival, mask, a, b)
        else:
            _deliver_delays(ring, column, p[J_PADDED], narrow, weights, shift, constants[j], delays,
                            p[J_DELAY] - p[J_EDGES], arrival, mask, a, b)
        return
    line = ring[(arrival + p[J_STEPS]) & mask, column : column + p[J_PADDED]]
    if p[J_WEIGHT] >= 0:
        if p[J_WIDE]:
            _deliver_weights(line, wide, weights, shift, a, b)
        else:
            _deliver_weights(line, narrow, weights, shift, a, b)
    elif p[J_WIDE]:
        _deliver_plain(line, wide, a, b, constants[j])
    else:
        _deliver_plain(line, narrow, a, b, constants[j])


@njit(**OPTIONS)
def _transmit(x, row, j, projections, narrow, wide, pointers, weights, constants, shapes, scratch):
    """A continuous projection: row[target] += Σ w f(V_source), kept by target."""
    p = projections[j]
    sources = p[J_STEPS]  # the number of source neurons
    half, slope = shapes[j, 0], shapes[j, 1]
    start = p[J_SOURCE_X]
    if p[J_KIND] == SIGMOIDAL:
        one = type(half)(1.0)
        for k in range(sources):
            scratch[k] = one / (one + exp((half - x[start + k]) / slope))
    else:
        for k in range(sources):
            scratch[k] = x[start + k]
    for i in range(p[J_TARGETS]):
        a = p[J_EDGES] + pointers[p[J_POINTERS] + i]
        b = p[J_EDGES] + pointers[p[J_POINTERS] + i + 1]
        total = type(half)(0.0)
        for k in range(a, b):
            w = weights[k - p[J_EDGES] + p[J_WEIGHT]] if p[J_WEIGHT] >= 0 else constants[j]
            total += w * (scratch[wide[k]] if p[J_WIDE] else scratch[narrow[k]])
        row[p[J_RING] + i] += total


@njit(**OPTIONS)
def _tile(step, p, lo, k, x, ring, noise, stride, streams, base_noise, mask_row, scalars, backgrounds, cdf,
          cdf_base, series, values, words, dt, background_weights):
    """One step of one tile: what varies, background, then the kernel."""
    real = x.itemsize
    padded = p[P_PADDED]
    slot = step & (ring.shape[0] - 1)
    line = ring[slot]
    for b in range(p[P_BACKGROUND], p[P_BACKGROUND] + p[P_BACKGROUNDS]):
        g = backgrounds[b]
        s = g[B_STREAM]
        fill_uniforms(streams[s + lo : s + lo + TILE], streams[s + padded + lo : s + padded + lo + TILE],
                      streams[s + 2 * padded + lo : s + 2 * padded + lo + TILE],
                      streams[s + 3 * padded + lo : s + 3 * padded + lo + TILE], words, TILE)
        column = p[P_RING] + g[B_PORT] * padded + lo
        width = padded if g[B_WIDE] else 1
        table = cdf[g[B_CDF] : g[B_CDF] + g[B_ROWS] * width].reshape((g[B_ROWS], width))
        if g[B_WIDE]:
            table = table[:, lo : lo + TILE]
            base = cdf_base[g[B_BASE] + lo : g[B_BASE] + lo + TILE]
        else:
            base = cdf_base[g[B_BASE] : g[B_BASE] + 1]
        w = background_weights[g[B_WEIGHT] + lo : g[B_WEIGHT] + lo + TILE]
        add_poisson(words, table, base, w, line[column : column + TILE], TILE)
    if p[P_SERIES] >= 0:
        ts = series[p[P_SERIES]]
        at = min(step // ts[T_INTERVAL], ts[T_COUNT] - 1)
        row = p[P_X] + ts[T_ROW] * padded + lo
        for i in range(TILE):
            column = min(lo + i, ts[T_COLUMNS] - 1)
            x[row + i] = values[ts[T_VALUES] + at * ts[T_COLUMNS] + column]
    _call(p[P_KERNEL], x.ctypes.data + real * p[P_X], padded, lo,
          ring.ctypes.data + real * (slot * ring.shape[1] + p[P_RING]),
          noise.ctypes.data + 4 * (k * TILE), stride, mask_row.ctypes.data + p[P_MASK],
          scalars.ctypes.data + real * p[P_SCALARS], type(x[0])(step * dt))


@njit(**OPTIONS)
def _sources(step, p, lo, streams, limits, mask_row, events, event_steps, event_neurons, words):
    """One step of one tile of a population without equations."""
    padded = p[P_PADDED]
    if p[P_KERNEL] == KERNEL_POISSON:
        s = p[P_STREAM]
        fill_uniforms(streams[s + lo : s + lo + TILE], streams[s + padded + lo : s + padded + lo + TILE],
                      streams[s + 2 * padded + lo : s + 2 * padded + lo + TILE],
                      streams[s + 3 * padded + lo : s + 3 * padded + lo + TILE], words, TILE)
        for i in range(TILE):
            hit = np.uint64(words[i]) < limits[p[P_X] + lo + i]
            mask_row[p[P_MASK] + lo + i] = np.uint8(1) if hit else np.uint8(0)
        return
    for i in range(TILE):
        mask_row[p[P_MASK] + lo + i] = np.uint8(0)
    first, last = p[P_EVENTS], p[P_EVENTS] + p[P_SPIKES]
    while first < last:  # the first event of this step
        middle = (first + last) // 2
        if event_steps[middle] < step:
            first = middle + 1
        else:
            last = middle
    while first < p[P_EVENTS] + p[P_SPIKES] and event_steps[first] == step:
        neuron = event_neurons[first]
        if lo <= neuron < lo + TILE:
            mask_row[p[P_MASK] + neuron] = np.uint8(1)
        first += 1


@njit(**OPTIONS)
def _probe(step, index, p, lo, probes, probe_neurons, x, out):
    """Samples of one tile at the end of a step."""
    for r in range(probes.shape[0]):
        q = probes[r]
        if q[R_POPULATION] != index or (step + 1) % q[R_INTERVAL] != 0:
            continue
        sample = (step + 1) // q[R_INTERVAL] - q[R_BASE]
        row = p[P_X] + q[R_ROW] * p[P_PADDED]
        chosen = probe_neurons[q[R_NEURONS] : q[R_NEURONS] + q[R_COUNT]]
        j = np.searchsorted(chosen, lo)
        while j < q[R_COUNT] and chosen[j] < lo + TILE:
            out[q[R_OUT] + sample * q[R_COUNT] + j] = x[row + chosen[j]]
            j += 1


@njit(**OPTIONS)
def advance(thread, threads, first, last, block, counter, populations, projections, continuous, x, ring, scalars,
            streams, spares, masks, narrow, wide, pointers, weights, constants, delays, splits, shapes,
            backgrounds, cdf, cdf_base, background_weights, series, values, limits, event_steps, event_neurons,
            probes, probe_neurons, samples, spike_steps, spike_neurons, dt):
    """Steps first .. last − 1 on one thread; returns (the step reached, the number of spikes).

    It stops early, all threads at the same step, when the room for spikes may not do for another block.
    """
    noise_rows = 1
    for q in range(populations.shape[0]):
        noise_rows = max(noise_rows, populations[q, P_NORMALS])
    noise = np.empty((noise_rows, block, TILE), np.float32)
    words = np.empty(TILE, np.uint32)
    scratch = np.empty(ring.shape[1] + TILE, x.dtype)
    spikes, step, parity, passed = 0, first, 0, 0
    neurons = 0
    for q in range(populations.shape[0]):
        neurons += populations[q, P_SIZE]
    while step < last:
        steps = min(block, last - step)
        if spikes + steps * neurons > spike_steps.shape[0]:
            break
        for j in range(continuous.shape[0]):
            _transmit(x, ring[step & (ring.shape[0] - 1)], continuous[j], projections, narrow, wide, pointers,
                      weights, constants, shapes, scratch)
        for q in range(populations.shape[0]):
            p = populations[q]
            padded, tiles = p[P_PADDED], p[P_PADDED] // TILE
            for tile in range(tiles * thread // threads, tiles * (thread + 1) // threads):
                lo = tile * TILE
                for row in range(p[P_NORMALS]):
                    s = p[P_STREAM] + row * 4 * padded + lo
                    fill_normals(streams[s : s + TILE], streams[s + padded : s + padded + TILE],
                                 streams[s + 2 * padded : s + 2 * padded + TILE],
                                 streams[s + 3 * padded : s + 3 * padded + TILE],
                                 spares[p[P_SPARE] + row * padded + lo : p[P_SPARE] + row * padded + lo + TILE],
                                 noise[row], step, steps, TILE)
                for k in range(steps):
                    if p[P_KERNEL] < 0:
                        _sources(step + k, p, lo, streams, limits, masks[parity, k], 0, event_steps,
                                 event_neurons, words)
                    else:
                        _tile(step + k, p, lo, k, x, ring, noise, block * TILE, streams, 0, masks[parity, k],
                              scalars, backgrounds, cdf, cdf_base, series, values, words, dt, background_weights)
                        _probe(step + k, q, p, lo, probes, probe_neurons, x, samples)
        passed += 1
        _barrier(counter, threads, passed)
        for k in range(steps):
            arrival = step + k + 1
            for q in range(populations.shape[0]):
                p = populations[q]
                if p[P_KERNEL] == 0:
                    continue
                mask = masks[parity, k, p[P_MASK] : p[P_MASK] + p[P_PADDED]].view(np.uint64)
                for group in range((p[P_SIZE] + 7) // 8):
                    word = mask[group]
                    if word == 0:
                        continue
                    for lane in range(8):
                        neuron = group * 8 + lane
                        if (word >> np.uint64(8 * lane)) & np.uint64(1) == 0 or neuron >= p[P_SIZE]:
                            continue
                        if thread == 0:
                            spike_steps[spikes] = arrival
                            spike_neurons[spikes] = p[P_START] + neuron
                        spikes += 1
                        for j in range(p[P_PROJECTION], p[P_PROJECTION] + p[P_PROJECTIONS]):
                            _deliver(ring, 0, arrival, neuron, j, projections, narrow, wide, pointers, weights,
                                     constants, delays, splits, thread, threads, scratch)
        parity = 1 - parity
        step += steps
    return step, spikes
