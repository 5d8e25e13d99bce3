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
from numba import njit

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
    """Derivatives in what a `Discretised` holds, of each neuron's rate, or of what its masses make."""

    up: Array
    down: Array
    relaxation: Array
    decay: Array
    share: Array
    t_ref: Array

    @classmethod
    def empty(cls, B: int, N: int, M: int) -> Bars:
        """Of B neurons."""
        shapes = (B, N, M), (B, N, M), (B,), (B, M), (B,), (B,)
        return cls(*(np.empty(shape) for shape in shapes))


class Elimination(NamedTuple):
    """Of one neuron: `inverse` (N, M, M) of the eliminated blocks; `placed` (N, M, M), mass there of what enters at the
    reset; `back` (M, M), what it moves on by while it is away; `round` (M, M), what leaves of what left; `mass` (N, M)
    and `value` (N, M), of the adjoint; `leaving`, `entering` (M,) per unit mass; `block`, `work`, `system` (M, M)."""

    inverse: Array
    placed: Array
    back: Array
    round: Array
    mass: Array
    value: Array
    leaving: Array
    entering: Array
    block: Array
    work: Array
    system: Array


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
def _total(values):
    total = 0.0
    for a in range(values.shape[0]):
        total += values[a]
    return total


@njit(inline="always")
def _empty(N, M):
    return Elimination(
        np.empty((N, M, M)), np.zeros((N, M, M)), np.empty((M, M)), np.empty((M, M)), np.empty((N, M)),
        np.empty((N, M)), np.empty(M), np.empty(M), np.empty((M, M)), np.empty((M, M)), np.empty((M, M)),
    )  # fmt: skip


@compiled(nogil=True)
def _eliminate(i, scheme, basis, e):
    """`inverse`, `placed`, `back` and `round` of neuron i."""
    N, M = e.mass.shape
    up, down, g, node, share = scheme.up[i], scheme.down[i], scheme.relaxation[i], scheme.node[i], scheme.share[i]
    for a in range(M):
        for b in range(M):
            e.work[a, b] = basis.left[a, b] * scheme.decay[i, b]
    _times(e.work, basis.right, e.back, M)
    for k in range(N):
        block = e.inverse[k]
        for a in range(M):
            for b in range(M):
                block[a, b] = -g * basis.generator[a, b]
                if k > 0:
                    block[a, b] -= up[k - 1, a] * e.inverse[k - 1, a, b] * down[k - 1, b]
            block[a, a] += up[k, a] + (down[k - 1, a] if k > 0 else 0.0)
        _invert(block, M)
        if k >= node:
            for a in range(M):
                for b in range(M):
                    e.work[a, b] = up[k - 1, a] * e.placed[k - 1, a, b] if k > node else 0.0
                if k == node:
                    e.work[a, a] += 1 - share
                if k == node + 1:
                    e.work[a, a] += share
            _times(block, e.work, e.placed[k], M)
    for a in range(M):
        for b in range(M):
            e.work[a, b] = up[N - 1, a] * e.placed[N - 1, a, b]
    _times(e.work, e.back, e.round, M)


@compiled(nogil=True)
def _settle(i, scheme, e):
    """Rate (1/ms) of neuron i, its masses, and what leaves and enters: what leaves is the eigenvector of `round`."""
    N, M = e.mass.shape
    down, node = scheme.down[i], scheme.node[i]
    for a in range(M):
        for b in range(M):
            e.system[a, b] = (1.0 if a == b else 0.0) - e.round[a, b] + 1.0 / M
    _invert(e.system, M)
    total = 0.0
    for a in range(M):
        e.leaving[a] = 0.0
        for b in range(M):
            e.leaving[a] += e.system[a, b] / M
        total += e.leaving[a]
    for a in range(M):
        e.leaving[a] /= total
    for a in range(M):
        e.entering[a] = 0.0
        for b in range(M):
            e.entering[a] += e.back[a, b] * e.leaving[b]
    all_mass = 0.0
    for k in range(N - 1, -1, -1):
        for a in range(M):
            x = 0.0
            if k < N - 1:
                for b in range(M):
                    x += e.inverse[k, a, b] * down[k, b] * e.mass[k + 1, b]
            if k >= node:
                for b in range(M):
                    x += e.placed[k, a, b] * e.entering[b]
            e.mass[k, a] = x
            all_mass += x
    r = 1.0 / (all_mass + scheme.t_ref[i])
    for a in range(M):
        e.leaving[a] *= r
        e.entering[a] *= r
        for k in range(N):
            e.mass[k, a] *= r
    return r


@compiled(nogil=True)
def _pull(i, scheme, cotangent, less, crossing, e):
    """`value`: A' value = cotangent - less + up_last (returned + crossing), returned = back' R' value, which is the
    answer; what value has of the null vector 1 is left open."""
    N, M = e.mass.shape
    up, down, node, share = scheme.up[i], scheme.down[i], scheme.node[i], scheme.share[i]
    value, source, returned, first = e.value, np.empty(M), np.zeros(M), np.zeros((N, M))
    for turn in range(2):
        for k in range(N):  # from below
            for a in range(M):
                source[a] = cotangent[k, a] - less if turn == 0 else 0.0
                if k == N - 1:
                    source[a] += up[k, a] * (returned[a] + (crossing if turn == 0 else 0.0))
                if k > 0:
                    source[a] += down[k - 1, a] * value[k - 1, a]
            for a in range(M):
                x = 0.0
                for b in range(M):
                    x += e.inverse[k, b, a] * source[b]
                value[k, a] = x
        for k in range(N - 2, -1, -1):
            for a in range(M):
                x = 0.0
                for b in range(M):
                    x += e.inverse[k, b, a] * up[k, b] * value[k + 1, b]
                value[k, a] += x
        if turn == 0:
            for k in range(N):  # element by element: whole arrays take numba several seconds to compile
                for a in range(M):
                    first[k, a] = value[k, a]
            # (I - round') returned = back' R' first; round has the null vectors 1 and `leaving`
            right, total = np.zeros(M), _total(e.leaving)
            for a in range(M):
                for b in range(M):
                    right[a] += e.back[b, a] * ((1 - share) * first[node, b] + share * first[node + 1, b])
                    e.system[a, b] = (1.0 if a == b else 0.0) - e.round[b, a] + e.leaving[b] / total
            _invert(e.system, M)
            for a in range(M):
                for b in range(M):
                    returned[a] += e.system[a, b] * right[b]
        else:
            for k in range(N):
                for a in range(M):
                    value[k, a] += first[k, a]
    return returned


@compiled(nogil=True)
def _gather(i, scheme, basis, e, returned, crossing, rate_bar, bars):
    """What the adjoint of `_pull`, called with `crossing`, gives; the rate itself has the cotangent `rate_bar`."""
    N, M = e.mass.shape
    node, share, mass, value = scheme.node[i], scheme.share[i], e.mass, e.value
    relaxation = 0.0
    for k in range(N):
        for a in range(M):
            if k < N - 1:
                step = value[k + 1, a] - value[k, a]
                bars.up[i, k, a], bars.down[i, k, a] = mass[k, a] * step, -mass[k + 1, a] * step
            else:
                bars.up[i, k, a] = mass[k, a] * (returned[a] + crossing - value[k, a])
                bars.down[i, k, a] = 0.0
            x = 0.0
            for b in range(M):
                x += basis.generator[a, b] * mass[k, b]
            relaxation += value[k, a] * x
    bars.relaxation[i], bars.share[i] = relaxation, 0.0
    for n in range(M):
        x, y = 0.0, 0.0
        for a in range(M):
            x += ((1 - share) * value[node, a] + share * value[node + 1, a]) * basis.left[a, n]
            y += basis.right[n, a] * e.leaving[a]
        bars.decay[i, n] = x * y
        bars.share[i] += (value[node + 1, n] - value[node, n]) * e.entering[n]
    bars.t_ref[i] = -rate_bar * _total(e.leaving)


@compiled(nogil=True)
def rates(lo, hi, scheme, basis, rate):
    """Rates (1/ms) of neurons lo..hi."""
    N, M = scheme.up.shape[1:]
    e = _empty(N, M)
    for i in range(lo, hi):
        _eliminate(i, scheme, basis, e)
        rate[i] = _settle(i, scheme, e)


@compiled(nogil=True)
def rate_gradients(lo, hi, scheme, basis, rate, bars):
    """Rates (1/ms) of neurons lo..hi, and their derivatives."""
    N, M = scheme.up.shape[1:]
    e, nothing = _empty(N, M), np.zeros((N, M))
    for i in range(lo, hi):
        _eliminate(i, scheme, basis, e)
        rate[i] = r = _settle(i, scheme, e)
        crossing = 1 - r * scheme.t_ref[i]
        returned = _pull(i, scheme, nothing, r, crossing, e)
        _gather(i, scheme, basis, e, returned, crossing, r, bars)


@compiled(nogil=True)
def masses(lo, hi, scheme, basis, mass):
    """Stationary masses (B, N, M) of neurons lo..hi; with what is away at t_ref they sum to 1."""
    N, M = scheme.up.shape[1:]
    e = _empty(N, M)
    for i in range(lo, hi):
        _eliminate(i, scheme, basis, e)
        _settle(i, scheme, e)
        for k in range(N):
            for a in range(M):
                mass[i, k, a] = e.mass[k, a]


@compiled(nogil=True)
def masses_adjoint(lo, hi, scheme, basis, cotangent, bars):
    """Adjoint of `masses`, of a `cotangent` (B, N, M)."""
    N, M = scheme.up.shape[1:]
    e = _empty(N, M)
    for i in range(lo, hi):
        _eliminate(i, scheme, basis, e)
        _settle(i, scheme, e)
        less = 0.0
        for k in range(N):
            for a in range(M):
                less += cotangent[i, k, a] * e.mass[k, a]
        crossing = -less * scheme.t_ref[i]
        returned = _pull(i, scheme, cotangent[i], less, crossing, e)
        _gather(i, scheme, basis, e, returned, crossing, less, bars)
