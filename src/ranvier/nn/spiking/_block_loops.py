# mypy: ignore-errors
"""Blocks of (batch, neurons) through a whole sequence, segment by segment.

row: the plan, the tables of the forward and of the backward loop, the blocks (b0, b1, n0, n1), the first of them and
the end. plan: the forward and the backward loop's addresses, T, B, N, steps a segment, bytes a number, the number of
states, their first place in the forward table, where the states before every segment are kept, (segments, states, B,
N), 0: they are not, and the surrogate's width, a real number.
"""

import numpy as np
from numba import njit

from ranvier.codegen.pointers import INNER, call9, pointer


def run_forward(row, one):
    """All steps, from the states in the table; keeps the states before every segment."""
    R = pointer(row, 0)
    plan, table = R[0], R[1]
    P, A, blocks, width = pointer(plan, 0), pointer(table, 0), pointer(R[3], 0), pointer(plan, 0.0)[10]
    T, B, N, K, size = P[2], P[3], P[4], P[5], P[6]
    x, y = A[0], A[1]
    for k in range(R[4], R[5]):
        b0, b1, n0, n1 = blocks[4 * k], blocks[4 * k + 1], blocks[4 * k + 2], blocks[4 * k + 3]
        for s in range((T + K - 1) // K):
            if P[9] != 0:
                keep(plan, table, s, b0, b1, n0, n1)
            A[0], A[1] = x + size * s * K * B * N, y + size * s * K * B * N
            call9(P[0], table, min(K, T - s * K), B, N, b0, b1, n0, n1, 1, width)
        A[0], A[1] = x, y


def run_backward(row, one):
    """All steps from the last: each segment runs forward again for its tape, then its adjoint."""
    R = pointer(row, 0)
    plan, table, back = R[0], R[1], R[2]
    P, A, G, blocks = pointer(plan, 0), pointer(table, 0), pointer(back, 0), pointer(R[3], 0)
    T, B, N, K, size, width = P[2], P[3], P[4], P[5], P[6], pointer(plan, 0.0)[10]
    x, g_out, g_in = A[0], G[0], G[1]
    for k in range(R[4], R[5]):
        b0, b1, n0, n1 = blocks[4 * k], blocks[4 * k + 1], blocks[4 * k + 2], blocks[4 * k + 3]
        for s in range((T + K - 1) // K - 1, -1, -1):
            take_back(plan, table, s, b0, b1, n0, n1)
            shift = size * s * K * B * N
            A[0], G[0], G[1] = x + shift, g_out + shift, g_in + shift
            call9(P[0], table, min(K, T - s * K), B, N, b0, b1, n0, n1, 0, width)
            call9(P[1], back, min(K, T - s * K), B, N, b0, b1, n0, n1, 1, width)
        A[0], G[0], G[1] = x, g_out, g_in


@njit(**INNER)
def keep(plan, table, s, b0, b1, n0, n1):
    """Put a block's states by, before segment s."""
    P, A = pointer(plan, 0), pointer(table, 0)
    for j in range(P[7]):
        at, words = _place(plan, s, j, b0, b1, n0, n1)
        move(A[P[8] + j] + P[6] * (b0 * P[4] + n0), at, words, np.float32(0))


@njit(**INNER)
def take_back(plan, table, s, b0, b1, n0, n1):
    """Give a block the states that it had before segment s."""
    P, A = pointer(plan, 0), pointer(table, 0)
    for j in range(P[7]):
        at, words = _place(plan, s, j, b0, b1, n0, n1)
        move(at, A[P[8] + j] + P[6] * (b0 * P[4] + n0), words, np.float32(0))


@njit(**INNER)
def _place(plan, s, j, b0, b1, n0, n1):
    P = pointer(plan, 0)
    B, N, size = P[3], P[4], P[6]
    at = P[9] + size * ((s * P[7] + j) * B * N + b0 * N + n0)
    return at, size // 4 * ((b1 - b0 - 1) * N + n1 - n0)


@njit(**INNER)
def move(source, target, count, one):
    """Copy numbers of the type of `one` from address to address."""
    from_, to = pointer(source, one), pointer(target, one)
    for i in range(count):
        to[i] = from_[i]
