"""Linear response of the two-variable scheme at frequencies omega, and its adjoint.

With A and the return R E of `_coloured_kernels`, the spikes that mass at a node will make, each counted with
e^{-i omega t}, are y: (A + i omega)' y = up_last z, z = 1 + e^{-i omega t_ref} E' R' y. A modulated current moves the
flux d over every face, and so the rate by the sum of d times the difference of y over the face, z taking y's place
above the last. One elimination from below gives y, and for gradients the modulated masses q, (A + i omega) q =
-div d + R E e^{-i omega t_ref} (up_last q_last + d_last). Frequencies are the lanes of every loop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ranvier.codegen.compilation import compiled
from ranvier.theory.single_neuron._coloured_kernels import Array

L = 16  # lanes
FAST = {"contract", "reassoc"}


class Slopes(NamedTuple):
    """Of B neurons: what the rates over the faces change by, `up`, `down` (B, N, M) 1/ms per mV; `mass` (B, N, M),
    stationary; `omega` (F,) rad/ms."""

    up: Array
    down: Array
    mass: Array
    omega: Array


class ResponseBars(NamedTuple):
    """Cotangents of a `Discretised` and of `Slopes`, each of B neurons."""

    up: Array
    down: Array
    relaxation: Array
    decay: Array
    share: Array
    t_ref: Array
    up_slope: Array
    down_slope: Array
    mass: Array

    @classmethod
    def zeros(cls, B: int, N: int, M: int) -> ResponseBars:
        """With nothing in them."""
        full, one = (B, N, M), (B,)
        shapes = full, full, one, (B, M), one, one, full, full, full
        return cls(*(np.zeros(shape) for shape in shapes))


class Sweep(NamedTuple):
    """Of L frequencies of one neuron, real and imaginary parts: `inverse`, `inverse_i` (N, M, M, L) of the eliminated
    blocks; `later`, `later_i` (N + 1, M, L), y and above it z; `moved`, `moved_i` (N, M, L), q; `passed`, `passed_i`
    (M, M, L), R' y of z; `system`, `system_i` (M, M, L), the inverse of what gives z; `turn`, `turn_i` (L,), what a
    refractory time does; `omega` (L,); `back` (M, M), what the input moves on by in it."""

    inverse: Array
    inverse_i: Array
    later: Array
    later_i: Array
    moved: Array
    moved_i: Array
    passed: Array
    passed_i: Array
    system: Array
    system_i: Array
    turn: Array
    turn_i: Array
    omega: Array
    back: Array


@njit(inline="always")
def _empty(N, M):
    matrix, pair = (M, M, L), (N, M, M, L)
    return Sweep(
        np.empty(pair), np.empty(pair), np.empty((N + 1, M, L)), np.empty((N + 1, M, L)), np.empty((N, M, L)),
        np.empty((N, M, L)), np.empty(matrix), np.empty(matrix), np.empty(matrix), np.empty(matrix), np.empty(L),
        np.empty(L), np.empty(L), np.empty((M, M)),
    )  # fmt: skip


@compiled(nogil=True)
def _clear(a, b):
    for k in range(a.shape[0]):
        for l in range(L):
            a[k, l], b[k, l] = 0.0, 0.0


@compiled(nogil=True, fastmath=FAST)
def _invert(a, b, M):
    """a + i b (M, M, L) in place, by Gauss-Jordan elimination; the blocks' diagonals dominate."""
    p, q = np.empty(L), np.empty(L)
    for k in range(M):
        for l in range(L):
            square = a[k, k, l] * a[k, k, l] + b[k, k, l] * b[k, k, l]
            p[l], q[l] = a[k, k, l] / square, -b[k, k, l] / square
            a[k, k, l], b[k, k, l] = 1.0, 0.0
        for j in range(M):
            for l in range(L):
                u, v = a[k, j, l], b[k, j, l]
                a[k, j, l], b[k, j, l] = u * p[l] - v * q[l], u * q[l] + v * p[l]
        for i in range(M):
            if i != k:
                for l in range(L):
                    p[l], q[l] = a[i, k, l], b[i, k, l]
                    a[i, k, l], b[i, k, l] = 0.0, 0.0
                for j in range(M):
                    for l in range(L):
                        a[i, j, l] -= p[l] * a[k, j, l] - q[l] * b[k, j, l]
                        b[i, j, l] -= p[l] * b[k, j, l] + q[l] * a[k, j, l]


@compiled(nogil=True, fastmath=FAST)
def _eliminate(i, scheme, generator, s):
    """`inverse` of every block, from below."""
    N, M = s.moved.shape[:2]
    up, down, g = scheme.up[i], scheme.down[i], scheme.relaxation[i]
    for k in range(N):
        x, y = s.inverse[k], s.inverse_i[k]
        for a in range(M):
            for b in range(M):
                rest = -g * generator[a, b]
                if k == 0:
                    for l in range(L):
                        x[a, b, l], y[a, b, l] = rest, 0.0
                else:
                    passed = up[k - 1, a] * down[k - 1, b]
                    for l in range(L):
                        x[a, b, l] = rest - passed * s.inverse[k - 1, a, b, l]
                        y[a, b, l] = -passed * s.inverse_i[k - 1, a, b, l]
            out = up[k, a] + (down[k - 1, a] if k > 0 else 0.0)
            for l in range(L):
                x[a, a, l] += out
                y[a, a, l] += s.omega[l]
        _invert(x, y, M)


@compiled(nogil=True, fastmath=FAST)
def _pass_on(i, scheme, s):
    """`passed`: of z, what the reset's nodes have of y."""
    N, M = s.moved.shape[:2]
    up, node, share = scheme.up[i], scheme.node[i], scheme.share[i]
    p, q, x, y = np.empty((2, M, M, L)), np.empty((2, M, M, L)), np.empty(L), np.empty(L)
    now = 0
    for a in range(M):
        for b in range(M):
            for l in range(L):
                p[0, a, b, l] = 1.0 if a == b else 0.0
                q[0, a, b, l], s.passed[a, b, l], s.passed_i[a, b, l] = 0.0, 0.0, 0.0
    for k in range(N - 1, node - 1, -1):
        then, now = now, 1 - now
        for a in range(M):
            for b in range(M):
                for l in range(L):
                    p[now, a, b, l], q[now, a, b, l] = 0.0, 0.0
        for c in range(M):
            u = up[k, c]
            for a in range(M):
                for l in range(L):
                    x[l], y[l] = u * s.inverse[k, c, a, l], u * s.inverse_i[k, c, a, l]
                for b in range(M):
                    for l in range(L):
                        p[now, a, b, l] += x[l] * p[then, c, b, l] - y[l] * q[then, c, b, l]
                        q[now, a, b, l] += x[l] * q[then, c, b, l] + y[l] * p[then, c, b, l]
        if k <= node + 1:
            u = 1 - share if k == node else share
            for a in range(M):
                for b in range(M):
                    for l in range(L):
                        s.passed[a, b, l] += u * p[now, a, b, l]
                        s.passed_i[a, b, l] += u * q[now, a, b, l]


@compiled(nogil=True, fastmath=FAST)
def _count(i, scheme, basis, s):
    """`later`, of `inverse`: y, and z above it."""
    N, M = s.moved.shape[:2]
    up, wait = scheme.up[i], scheme.t_ref[i]
    for a in range(M):
        for b in range(M):
            x = 0.0
            for n in range(M):
                x += basis.left[a, n] * scheme.decay[i, n] * basis.right[n, b]
            s.back[a, b] = x
    _pass_on(i, scheme, s)
    for l in range(L):
        s.turn[l], s.turn_i[l] = np.cos(s.omega[l] * wait), -np.sin(s.omega[l] * wait)
    for a in range(M):
        for b in range(M):
            for l in range(L):
                x, y = 0.0, 0.0
                for c in range(M):
                    x += s.back[c, a] * s.passed[c, b, l]
                    y += s.back[c, a] * s.passed_i[c, b, l]
                s.system[a, b, l] = (1.0 if a == b else 0.0) - x * s.turn[l] + y * s.turn_i[l]
                s.system_i[a, b, l] = -x * s.turn_i[l] - y * s.turn[l]
    _invert(s.system, s.system_i, M)
    for a in range(M):
        for l in range(L):
            x, y = 0.0, 0.0
            for b in range(M):
                x += s.system[a, b, l]
                y += s.system_i[a, b, l]
            s.later[N, a, l], s.later_i[N, a, l] = x, y
    for k in range(N - 1, -1, -1):
        _clear(s.later[k], s.later_i[k])
        for b in range(M):
            u = up[k, b]
            for a in range(M):
                for l in range(L):
                    x, y = u * s.later[k + 1, b, l], u * s.later_i[k + 1, b, l]
                    s.later[k, a, l] += s.inverse[k, b, a, l] * x - s.inverse_i[k, b, a, l] * y
                    s.later_i[k, a, l] += s.inverse[k, b, a, l] * y + s.inverse_i[k, b, a, l] * x


@compiled(nogil=True)
def _begin(omega, f, s):
    """Lanes for omega[f:]; returns how many of them count."""
    n = min(L, omega.shape[0] - f)
    for l in range(L):
        s.omega[l] = omega[f + min(l, n - 1)]
    return n


@compiled(nogil=True, fastmath=FAST)
def _sum(i, slopes, s, real, imaginary):
    """The lanes' gains: flux times the difference that it makes over each face."""
    N, M = s.moved.shape[:2]
    up, down, mass = slopes.up[i], slopes.down[i], slopes.mass[i]
    for l in range(L):
        real[l], imaginary[l] = 0.0, 0.0
    for k in range(N):
        for a in range(M):
            flux = up[k, a] * mass[k, a] - (down[k, a] * mass[k + 1, a] if k < N - 1 else 0.0)
            for l in range(L):
                real[l] += flux * (s.later[k + 1, a, l] - s.later[k, a, l])
                imaginary[l] += flux * (s.later_i[k + 1, a, l] - s.later_i[k, a, l])


@compiled(nogil=True, fastmath=FAST)
def _move(i, scheme, slopes, s, returned, returned_i):
    """`moved`: q; `returned`, `returned_i` (M, L): what leaves of it, the modulated flux there among that."""
    N, M = s.moved.shape[:2]
    up, down, node, share = scheme.up[i], scheme.down[i], scheme.node[i], scheme.share[i]
    mass, x, y = slopes.mass[i], np.zeros((M, L)), np.zeros((M, L))
    back, back_i, before = np.zeros((M, L)), np.zeros((M, L)), np.zeros(M)
    for turn in range(2):  # first without what comes back
        for a in range(M):
            before[a] = 0.0
        for k in range(N):
            here = 1 - share if k == node else (share if k == node + 1 else 0.0)
            for a in range(M):
                flux = slopes.up[i, k, a] * mass[k, a]
                flux -= slopes.down[i, k, a] * mass[k + 1, a] if k < N - 1 else 0.0
                for l in range(L):
                    passed, passed_i = 0.0, 0.0
                    if k > 0:
                        passed, passed_i = up[k - 1, a] * s.moved[k - 1, a, l], up[k - 1, a] * s.moved_i[k - 1, a, l]
                    x[a, l] = before[a] - flux + here * back[a, l] + passed
                    y[a, l] = here * back_i[a, l] + passed_i
                before[a] = flux
            _clear(s.moved[k], s.moved_i[k])
            for a in range(M):
                for b in range(M):
                    for l in range(L):
                        s.moved[k, a, l] += s.inverse[k, a, b, l] * x[b, l] - s.inverse_i[k, a, b, l] * y[b, l]
                        s.moved_i[k, a, l] += s.inverse[k, a, b, l] * y[b, l] + s.inverse_i[k, a, b, l] * x[b, l]
        if turn == 0:
            for l in range(L):
                for a in range(M):
                    x[a, l] = up[N - 1, a] * s.moved[N - 1, a, l] + before[a]
                    y[a, l] = up[N - 1, a] * s.moved_i[N - 1, a, l]
                for a in range(M):
                    u, v = 0.0, 0.0
                    for b in range(M):
                        u += s.system[b, a, l] * x[b, l] - s.system_i[b, a, l] * y[b, l]
                        v += s.system[b, a, l] * y[b, l] + s.system_i[b, a, l] * x[b, l]
                    returned[a, l], returned_i[a, l] = u, v
                for a in range(M):
                    u, v = 0.0, 0.0
                    for b in range(M):
                        u += s.back[a, b] * returned[b, l]
                        v += s.back[a, b] * returned_i[b, l]
                    back[a, l] = s.turn[l] * u - s.turn_i[l] * v
                    back_i[a, l] = s.turn[l] * v + s.turn_i[l] * u
    for k in range(N - 2, -1, -1):
        for b in range(M):
            for a in range(M):
                for l in range(L):
                    u, v = down[k, b] * s.moved[k + 1, b, l], down[k, b] * s.moved_i[k + 1, b, l]
                    s.moved[k, a, l] += s.inverse[k, a, b, l] * u - s.inverse_i[k, a, b, l] * v
                    s.moved_i[k, a, l] += s.inverse[k, a, b, l] * v + s.inverse_i[k, a, b, l] * u


@compiled(nogil=True, fastmath=FAST)
def _gather_faces(i, basis, slopes, s, c, c_i, bars):
    """Adds to `bars` what the masses and the faces have, by the lanes' cotangents c + i c_i (L,)."""
    N, M = s.moved.shape[:2]
    mass, relaxation = slopes.mass[i], 0.0
    for k in range(N):
        for a in range(M):
            one, own, above = 0.0, 0.0, 0.0
            for l in range(L):
                x, y = s.later[k + 1, a, l] - s.later[k, a, l], s.later_i[k + 1, a, l] - s.later_i[k, a, l]
                x, y = c[l] * x - c_i[l] * y, c[l] * y + c_i[l] * x
                one += x
                own += x * s.moved[k, a, l] - y * s.moved_i[k, a, l]
                if k < N - 1:
                    above += x * s.moved[k + 1, a, l] - y * s.moved_i[k + 1, a, l]
            bars.up_slope[i, k, a] += one * mass[k, a]
            bars.mass[i, k, a] += one * slopes.up[i, k, a]
            bars.up[i, k, a] += own
            if k < N - 1:
                bars.down_slope[i, k, a] -= one * mass[k + 1, a]
                bars.mass[i, k + 1, a] -= one * slopes.down[i, k, a]
                bars.down[i, k, a] -= above
            for b in range(M):
                x = 0.0
                for l in range(L):
                    u = c[l] * s.later[k, a, l] - c_i[l] * s.later_i[k, a, l]
                    v = c[l] * s.later_i[k, a, l] + c_i[l] * s.later[k, a, l]
                    x += u * s.moved[k, b, l] - v * s.moved_i[k, b, l]
                relaxation += x * basis.generator[a, b]
    bars.relaxation[i] += relaxation


@compiled(nogil=True)
def _gather_return(i, scheme, basis, s, returned, returned_i, c, c_i, bars):
    """Adds to `bars` what the way back has, where `returned` goes (see `_move`), by the cotangents c + i c_i (L,)."""
    M = s.moved.shape[1]
    node, share = scheme.node[i], scheme.share[i]
    for l in range(L):
        turn = complex(s.turn[l], s.turn_i[l]) * complex(c[l], c_i[l])
        through = 0j
        for n in range(M):
            x, y, moved = 0j, 0j, 0j
            for a in range(M):
                low = complex(s.later[node, a, l], s.later_i[node, a, l])
                high = complex(s.later[node + 1, a, l], s.later_i[node + 1, a, l])
                x += ((1 - share) * low + share * high) * basis.left[a, n]
                left = complex(returned[a, l], returned_i[a, l])
                y += basis.right[n, a] * left
                moved += s.back[n, a] * left
            bars.decay[i, n] += (turn * x * y).real
            through += x * y * scheme.decay[i, n]
            low = complex(s.later[node, n, l], s.later_i[node, n, l])
            high = complex(s.later[node + 1, n, l], s.later_i[node + 1, n, l])
            bars.share[i] += (turn * (high - low) * moved).real
        bars.t_ref[i] += s.omega[l] * (turn * through).imag


@compiled(nogil=True)
def gains(lo, hi, scheme, basis, slopes, gain):
    """`gain` (B, F) complex, 1/ms per mV, of neurons lo..hi."""
    N, M = scheme.up.shape[1:]
    s, omega = _empty(N, M), slopes.omega
    real, imaginary = np.empty(L), np.empty(L)
    for i in range(lo, hi):
        for f in range(0, omega.shape[0], L):
            n = _begin(omega, f, s)
            _eliminate(i, scheme, basis.generator, s)
            _count(i, scheme, basis, s)
            _sum(i, slopes, s, real, imaginary)
            for l in range(n):
                gain[i, f + l] = complex(real[l], imaginary[l])


@compiled(nogil=True)
def gains_adjoint(lo, hi, scheme, basis, slopes, cotangent, bars):
    """Adjoint of `gains`, added into `bars`: a change dG of the gains counts Re(sum cotangent dG)."""
    N, M = scheme.up.shape[1:]
    s, omega = _empty(N, M), slopes.omega
    returned, returned_i, c, c_i = np.empty((M, L)), np.empty((M, L)), np.empty(L), np.empty(L)
    for i in range(lo, hi):
        for f in range(0, omega.shape[0], L):
            n = _begin(omega, f, s)
            _eliminate(i, scheme, basis.generator, s)
            _count(i, scheme, basis, s)
            _move(i, scheme, slopes, s, returned, returned_i)
            for l in range(L):
                bar = cotangent[i, f + l] if l < n else 0j
                c[l], c_i[l] = bar.real, bar.imag
            _gather_faces(i, basis, slopes, s, c, c_i, bars)
            _gather_return(i, scheme, basis, s, returned, returned_i, c, c_i, bars)
