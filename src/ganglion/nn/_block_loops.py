# mypy: ignore-errors
"""A block of (batch, neurons) through a whole sequence, segment by segment; called through addresses.

plan: the forward and the backward loop's addresses, T, B, N, steps a segment, bytes a number, the number of
states, their first place in the forward table, and where the states before every segment are kept,
(segments, states, B, N); 0: they are not.
"""

import numpy as np

from ganglion.engines._machine import call9, pointer


def run_forward(plan, table, b0, b1, n0, n1, width):
    """All steps, from the states in the table; keeps the states before every segment."""
    P, A = pointer(plan, 0), pointer(table, 0)
    T, B, N, K, size, count, kept = P[2], P[3], P[4], P[5], P[6], P[7], P[9]
    x, y = A[0], A[1]
    at, words = size * (b0 * N + n0), size // 4 * ((b1 - b0 - 1) * N + n1 - n0)
    for s in range((T + K - 1) // K):
        if kept != 0:
            for j in range(count):
                target = pointer(kept + size * (s * count + j) * B * N + at, np.float32(0))
                source = pointer(A[P[8] + j] + at, np.float32(0))
                for i in range(words):
                    target[i] = source[i]
        A[0], A[1] = x + size * s * K * B * N, y + size * s * K * B * N
        call9(P[0], table, min(K, T - s * K), B, N, b0, b1, n0, n1, 1, width)
    A[0], A[1] = x, y


def run_backward(plan, table, back, b0, b1, n0, n1, width):
    """All steps from the last: each segment runs forward again for its tape, then its adjoint."""
    P, A, G = pointer(plan, 0), pointer(table, 0), pointer(back, 0)
    T, B, N, K, size, count, kept = P[2], P[3], P[4], P[5], P[6], P[7], P[9]
    x, g_out, g_in = A[0], G[0], G[1]
    at, words = size * (b0 * N + n0), size // 4 * ((b1 - b0 - 1) * N + n1 - n0)
    for k in range((T + K - 1) // K):
        s = (T + K - 1) // K - 1 - k
        for j in range(count):
            source = pointer(kept + size * (s * count + j) * B * N + at, np.float32(0))
            target = pointer(A[P[8] + j] + at, np.float32(0))
            for i in range(words):
                target[i] = source[i]
        shift = size * s * K * B * N
        A[0], G[0], G[1] = x + shift, g_out + shift, g_in + shift
        call9(P[0], table, min(K, T - s * K), B, N, b0, b1, n0, n1, 0, width)
        call9(P[1], back, min(K, T - s * K), B, N, b0, b1, n0, n1, 1, width)
    A[0], G[0], G[1] = x, g_out, g_in
