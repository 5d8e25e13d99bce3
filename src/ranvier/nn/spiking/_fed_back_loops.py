# mypy: ignore-errors
"""Blocks of whole rows of the batch through a sequence in which every neuron's spikes come back to all.

Rows do not meet, so a block runs through all steps by itself: a step adds up the weights of what spiked, then comes
the neurons' loop. row: as in `_block_loops`, then the address of `feedback`: the weight's tiles (`_spikes.tiled`; of
its transpose on the way back), the spikes before the first step, (D, B, N), newest last, each sender's delay (N,),
the longest, D, the shortest, and memory of this thread.
"""

import numpy as np
from numba import njit

from ranvier.codegen.arithmetic.tiles import LANES, ROWS, multiply_row, multiply_rows
from ranvier.codegen.pointers import INNER, call9, pointer, weight_bytes
from ranvier.nn.spiking._block_loops import keep, move, take_back
from ranvier.nn.spiking._spike_loops import add_active, list_row


def run_forward(row, one):
    """As `_block_loops.run_forward`; the table's input, which holds what comes from outside, becomes the sum.

    Memory: starts (rows + 1,) int64, index and values (rows N + PACK,), int32 and numbers, spare (LANES).
    """
    R = pointer(row, 0)
    plan, table, F = R[0], R[1], pointer(R[6], 0)
    P, A, blocks, width = pointer(plan, 0), pointer(table, 0), pointer(R[3], 0), pointer(plan, 0.0)[10]
    T, B, N, K, size = P[2], P[3], P[4], P[5], P[6]
    tiles, starts, index, values, spare = F[0], F[5], F[6], F[7], F[8]
    first = pointer(starts, 0)
    x, y = A[0], A[1]
    for k in range(R[4], R[5]):
        b0, b1 = blocks[4 * k], blocks[4 * k + 1]
        for t in range(T):
            if P[9] != 0 and t % K == 0:
                keep(plan, table, t // K, b0, b1, 0, N)
            at = 0
            first[0] = 0
            for b in range(b0, b1):
                at = _list_arriving(R[6], y, t, b, B, N, index, values, at, one)
                first[b - b0 + 1] = at
            add_active(tiles, index, values, starts, x + size * (t * B + b0) * N, N, N, 0, b1 - b0, spare, one)
            A[0], A[1] = x + size * t * B * N, y + size * t * B * N
            call9(P[0], table, 1, B, N, b0, b1, 0, N, 1, width)
        A[0], A[1] = x, y


def run_backward(row, one):
    """As `_block_loops.run_backward`; what a neuron's later input sends back joins its output's gradient.

    Memory: sums (D + 1, rows, N), where the gradients wait for their step, sent (rows, N), spare (LANES ROWS).
    """
    R = pointer(row, 0)
    plan, table, back, F = R[0], R[1], R[2], pointer(R[6], 0)
    P, A, G, blocks = pointer(plan, 0), pointer(table, 0), pointer(back, 0), pointer(R[3], 0)
    T, B, N, K, size, width = P[2], P[3], P[4], P[5], P[6], pointer(plan, 0.0)[10]
    tiles, longest, shortest, sums, sent, spare = F[0], F[3], F[4], F[5], F[6], F[7]
    x, g_out, g_in, taped = A[0], G[0], G[1], P[8] - 2
    for k in range(R[4], R[5]):
        b0, b1 = blocks[4 * k], blocks[4 * k + 1]
        count = (b1 - b0) * N
        slot = size * count
        _clear(sums, (longest + 1) * count, one)
        for s in range((T + K - 1) // K - 1, -1, -1):
            take_back(plan, table, s, b0, b1, 0, N)
            A[0] = x + size * s * K * B * N
            steps = min(K, T - s * K)
            call9(P[0], table, steps, B, N, b0, b1, 0, N, 0, width)
            for t in range(s * K + steps - 1, s * K - 1, -1):
                mine = sums + slot * (t % (longest + 1))
                _add(g_out + size * (t * B + b0) * N, mine, count, one)
                G[0], G[1] = mine - size * b0 * N, g_in + size * t * B * N
                for j in range(taped):
                    G[2 + j] = A[2 + j] + slot * (t - s * K)
                call9(P[1], back, 1, B, N, b0, b1, 0, N, 1, width)
                if t >= shortest:
                    g = g_in + size * (t * B + b0) * N
                    if shortest == longest:
                        _multiply(sums + slot * ((t - longest) % (longest + 1)), g, tiles, b1 - b0, N, spare, one)
                    else:
                        _clear(mine, count, one)
                        _multiply(sent, g, tiles, b1 - b0, N, spare, one)
                        _send(sent, F[2], sums, t, longest, b1 - b0, N, one)
        for j in range(taped):
            G[2 + j] = A[2 + j]
        A[0], G[0], G[1] = x, g_out, g_in


@njit(**INNER)
def _list_arriving(feedback, y, t, b, B, N, index, values, at, one):
    """Lists what reaches row b at step t, from the place `at`; the place after."""
    F, size = pointer(feedback, 0), weight_bytes(one)
    past, delays, longest = F[1], pointer(F[2], 0), F[3]
    if longest == F[4]:
        step = t - longest
        start = y + size * (step * B + b) * N if step >= 0 else past + size * (t * B + b) * N
        return list_row(start, N, index, values, at, one)
    out, nonzero = pointer(index, np.int32(0)), pointer(values, one)
    for k in range(N):
        step = t - delays[k]
        start = y + size * (step * B + b) * N if step >= 0 else past + size * ((step + longest) * B + b) * N
        out[at], nonzero[at] = np.int32(k), pointer(start, one)[k]
        at += 1 if nonzero[at] != type(one)(0) else 0
    return at


@njit(**INNER)
def _multiply(out, a, tiles, rows, N, spare, one):
    """out (rows, N) = a (rows, N) @ the weight of these tiles."""
    size = weight_bytes(one)
    for tile in range((N + LANES - 1) // LANES):
        weights, width = tiles + size * tile * N * LANES, min(LANES, N - tile * LANES)
        r = 0
        while r < rows:
            count = ROWS if r + ROWS <= rows else 1
            at, step = out + size * (r * N + tile * LANES), size * N
            if width < LANES:
                at, step = spare, size * LANES
            if count == ROWS:
                multiply_rows(at, step, a + size * r * N, size * N, weights, N, one)
            else:
                multiply_row(at, step, a + size * r * N, size * N, weights, N, one)
            if width < LANES:
                for i in range(count):
                    move(spare + step * i, out + size * ((r + i) * N + tile * LANES), width, one)
            r += count


@njit(**INNER)
def _send(sent, delays, sums, t, longest, rows, N, one):
    """To each sender's step what came back to it at step t."""
    size, after = weight_bytes(one), pointer(delays, 0)
    for k in range(N):
        step = t - after[k]
        if step >= 0:
            target = pointer(sums + size * (step % (longest + 1)) * rows * N, one)
            source = pointer(sent, one)
            for r in range(rows):
                target[r * N + k] += source[r * N + k]


@njit(**INNER)
def _add(source, target, count, one):
    from_, to = pointer(source, one), pointer(target, one)
    for i in range(count):
        to[i] = from_[i] + to[i]


@njit(**INNER)
def _clear(at, count, one):
    to = pointer(at, one)
    for i in range(count):
        to[i] = type(one)(0)
