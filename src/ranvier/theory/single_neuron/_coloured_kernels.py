"""The two-variable Fokker-Planck equation of a membrane and its filtered input: block elimination, and its adjoint.

The input z takes M values, the nodes of Gauss-Hermite quadrature, between which an Ornstein-Uhlenbeck process moves
mass as Q0/tau_s does, exactly for polynomials of degree < M (method of discrete ordinates). Along V, mass moves
over faces at the rates `up` and `down` (1/ms) of each value. With A the generator's negative on N*M states, the
stationary masses are A p = R E f: f (M,), what leaves at the threshold, comes back at the reset, z having moved on
by E in the refractory time. Blocks are eliminated from the lowest node upwards.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ranvier.codegen.compilation import compiled

Array = np.ndarray


class Discretised(NamedTuple):
    """B neurons: `up`, `down` (B, N, M) 1/ms over the face above each node; `relaxation` (B,) = 1/tau_s; `decay`
    (B, M): of the input's moments over the refractory time; `node` (B,), `share` (B,): of the reset; `t_ref` (B,)."""

    up: Array
    down: Array
    relaxation: Array
    decay: Array
    node: Array
    share: Array
    t_ref: Array


class Basis(NamedTuple):
    """`left` (M, M), `right` (M, M): moments to masses, masses to moments; `generator` (M, M) = Q0."""

    left: Array
    right: Array
    generator: Array


class Bars(NamedTuple):
    """Derivatives of each neuron's rate in what its `Discretised` holds."""

    up: Array
    down: Array
    relaxation: Array
    decay: Array
    share: Array
    t_ref: Array


def basis(M: int) -> tuple[Array, Basis]:
    """Nodes (M,) in units of the input's standard deviation, and the basis."""
    x, w = np.polynomial.hermite_e.hermegauss(M)
    w = w / w.sum()
    H = np.zeros((M, M))
    H[:, 0], H[:, 1] = 1, x
    for n in range(1, M - 1):
        H[:, n + 1] = (x * H[:, n] - np.sqrt(n) * H[:, n - 1]) / np.sqrt(n + 1)
    left, right = w[:, None] * H, np.ascontiguousarray(H.T)
    return x, Basis(left, right, (left * -np.arange(M)) @ right)


@compiled(nogil=True)
def _invert(a, M):
    """a (M, M) in place, by Gauss-Jordan elimination with partial pivoting."""
    swaps = np.empty(M, np.int64)
    for k in range(M):
        best = k
        for i in range(k + 1, M):
            if abs(a[i, k]) > abs(a[best, k]):
                best = i
        swaps[k] = best
        if best != k:
            for j in range(M):
                a[k, j], a[best, j] = a[best, j], a[k, j]
        pivot = 1.0 / a[k, k]
        a[k, k] = 1.0
        for j in range(M):
            a[k, j] *= pivot
        for i in range(M):
            if i != k:
                factor = a[i, k]
                a[i, k] = 0.0
                for j in range(M):
                    a[i, j] -= factor * a[k, j]
    for k in range(M - 1, -1, -1):
        if swaps[k] != k:
            for i in range(M):
                a[i, k], a[i, swaps[k]] = a[i, swaps[k]], a[i, k]


@compiled(nogil=True)
def _times(a, b, out, M):
    for i in range(M):
        for j in range(M):
            out[i, j] = 0.0
        for k in range(M):
            x = a[i, k]
            for j in range(M):
                out[i, j] += x * b[k, j]


@compiled(nogil=True)
def rates(lo, hi, scheme, basis, rate, bars, gradients):
    """Rates (1/ms) of neurons lo..hi; with `gradients`, their derivatives."""
    N, M = scheme.up.shape[1:]
    inverses, placed = np.empty((N, M, M)), np.zeros((N, M, M))
    block, work, E = np.empty((M, M)), np.empty((M, M)), np.empty((M, M))
    p, leaving = np.empty((N, M)), np.empty(M)
    for i in range(lo, hi):
        up, down, g, node, share = scheme.up[i], scheme.down[i], scheme.relaxation[i], scheme.node[i], scheme.share[i]
        t_ref = scheme.t_ref[i]
        for a in range(M):
            for b in range(M):
                work[a, b] = basis.left[a, b] * scheme.decay[i, b]
        _times(work, basis.right, E, M)
        for k in range(N):
            for a in range(M):
                for b in range(M):
                    block[a, b] = -g * basis.generator[a, b]
                    if k > 0:
                        block[a, b] -= up[k - 1, a] * inverses[k - 1, a, b] * down[k - 1, b]
                block[a, a] += up[k, a] + (down[k - 1, a] if k > 0 else 0.0)
            _invert(block, M)
            inverses[k] = block
            if k >= node:
                for a in range(M):
                    for b in range(M):
                        work[a, b] = up[k - 1, a] * placed[k - 1, a, b] if k > node else 0.0
                    if k == node:
                        work[a, a] += 1 - share
                    if k == node + 1:
                        work[a, a] += share
                _times(block, work, placed[k], M)
        # what leaves, of what entered: H; with E it has the eigenvalue 1
        for a in range(M):
            for b in range(M):
                work[a, b] = up[N - 1, a] * placed[N - 1, a, b]
        _times(work, E, block, M)
        system = np.empty((M, M))
        for a in range(M):
            for b in range(M):
                system[a, b] = (1.0 if a == b else 0.0) - block[a, b] + 1.0 / M
        _invert(system, M)
        for a in range(M):
            leaving[a] = 0.0
            for b in range(M):
                leaving[a] += system[a, b] / M
        total = 0.0
        for a in range(M):
            total += leaving[a]
        entering = np.zeros(M)
        for a in range(M):
            leaving[a] /= total
        for a in range(M):
            for b in range(M):
                entering[a] += E[a, b] * leaving[b]
        mass = 0.0
        for k in range(N - 1, -1, -1):
            for a in range(M):
                x = 0.0
                if k < N - 1:
                    for b in range(M):
                        x += inverses[k, a, b] * down[k, b] * p[k + 1, b]
                if k >= node:
                    for b in range(M):
                        x += placed[k, a, b] * entering[b]
                p[k, a] = x
                mass += x
        r = 1.0 / (mass + t_ref)
        rate[i] = r
        if not gradients:
            continue
        # adjoint: A' value = r + up_last (returned - (1 - r t_ref)), returned = E' R' value
        value, source = np.empty((N, M)), np.empty(M)
        returned = np.zeros(M)
        for turn in range(2):
            for k in range(N):  # from below
                for a in range(M):
                    source[a] = r if turn == 0 else 0.0
                    if k == N - 1:
                        source[a] += up[k, a] * (returned[a] - (1 - r * t_ref if turn == 0 else 0.0))
                    if k > 0:
                        source[a] += down[k - 1, a] * value[k - 1, a]
                for a in range(M):
                    x = 0.0
                    for b in range(M):
                        x += inverses[k, b, a] * source[b]
                    value[k, a] = x
            for k in range(N - 2, -1, -1):
                for a in range(M):
                    x = 0.0
                    for b in range(M):
                        x += inverses[k, b, a] * up[k, b] * value[k + 1, b]
                    value[k, a] += x
            if turn == 0:
                first = value.copy()
                # (I - E' H') returned = E' R' first; left null vector of I - HE is 1, its right one `leaving`
                right = np.zeros(M)
                for a in range(M):
                    for b in range(M):
                        right[a] += E[b, a] * ((1 - share) * first[node, b] + share * first[node + 1, b])
                for a in range(M):
                    for b in range(M):
                        system[a, b] = (1.0 if a == b else 0.0) - block[b, a] + leaving[b]
                _invert(system, M)
                # block' = E' H'
                for a in range(M):
                    for b in range(M):
                        returned[a] += system[a, b] * right[b]
            else:
                value += first
        for a in range(M):
            leaving[a] *= r
            for k in range(N):
                p[k, a] *= r
        for k in range(N):
            for a in range(M):
                if k < N - 1:
                    bars.up[i, k, a] = p[k, a] * (value[k, a] - value[k + 1, a])
                    bars.down[i, k, a] = p[k + 1, a] * (value[k + 1, a] - value[k, a])
                else:
                    bars.up[i, k, a] = p[k, a] * (value[k, a] - returned[a] + 1 - r * t_ref)
                    bars.down[i, k, a] = 0.0
        x = 0.0
        for k in range(N):
            for a in range(M):
                y = 0.0
                for b in range(M):
                    y += basis.generator[a, b] * p[k, b]
                x -= value[k, a] * y
        bars.relaxation[i] = x
        for n in range(M):
            y, x = 0.0, 0.0
            for a in range(M):
                x += ((1 - share) * value[node, a] + share * value[node + 1, a]) * basis.left[a, n]
                y += basis.right[n, a] * leaving[a]
            bars.decay[i, n] = -x * y
        x = 0.0
        for a in range(M):
            x -= (value[node + 1, a] - value[node, a]) * entering[a] * r
        bars.share[i] = x
        bars.t_ref[i] = -r * r
