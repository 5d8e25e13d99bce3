"""the threshold-integration scheme at frequencies omega, and its adjoint.

The responses to a modulated force, a modulated noise, a unit flux at threshold and one at the reset all
follow from one upward sweep of the backward equation: with lambda_k the effect of mass added
at node k, and nu_k that of flux added at face k + 1/2, on the total mass below threshold,

    lambda_k = 1 + a_{k-1} lambda_{k-1} + i omega nu_{k-1},      nu_k = b_k lambda_k + nu_{k-1}.

A source s_k then gives sum_k lambda_k s_k. Gradients need one downward sweep against the stored lambda.
Frequencies are the lanes: loops of fixed length over rows of one buffer, so that the compiler vectorises
them. Lanes that grow beyond 1e100 are rescaled together with all that was gathered in them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ranvier.codegen.compilation import compiled
from ranvier.theory.single_neuron.threshold_integration import (
    TINY,
    Array,
    curvature,
    flux_at,
    hops,
    mass_adjoint,
    slope,
)

HUGE, SHRINK, CHECK = 1e100, 1e-100, 8
FAST = {"contract", "reassoc"}
# rows of an upward buffer
LR, LI, NR, NI, OM, SC, TR, TI, DR, DI, S0R, S0I, S1R, S1I, ROWS = range(15)
# and of a downward one
PR, PI, JR, JI, O, G, BR, BI, AR, AI, BR1, BI1, DOWN_ROWS = range(13)


class Sums(NamedTuple):
    """What `forward` finds for M neurons at F frequencies, complex but for `scale`: the effect of each source
    (2 + n, M, F); that of a unit flux at the threshold and at the reset, and the derivative of the latter in the
    reset's share, (M, F); the factor by which all of them were scaled, (M, F)."""

    sources: Array
    top: Array
    back: Array
    back_by_share: Array
    scale: Array

    @classmethod
    def empty(cls, sources: int, M: int, F: int) -> Sums:
        top, back, by_share = (np.empty((M, F), dtype=complex) for _ in range(3))
        return cls(np.empty((sources, M, F), dtype=complex), top, back, by_share, np.empty((M, F)))


class SumsBars(NamedTuple):
    """Cotangents of `Sums`' first three, and `passage` (M,) of the scaled mean passage time."""

    sources: Array
    top: Array
    back: Array
    passage: Array


class FrequencyRow(NamedTuple):
    """One neuron's coefficients, contiguous (N,), `b_slope` = db/dy, and its sources (2 + n, N): the first per unit
    change of every y, the second per relative change of sigma^2, the others per direction given."""

    a: Array
    j: Array
    b: Array
    b_slope: Array
    e: Array
    phi: Array
    sources: Array
    sources_bar: Array


class Return(NamedTuple):
    """Where the reset lies and the flux there per unit rate, at the face below and above, with d/dshare."""

    node: int
    low: float
    high: float
    low_by_share: float
    high_by_share: float


class Buffers(NamedTuple):
    """Of L lanes: upward (ROWS * L), its sources beyond two (n, 2, L), downward (DOWN_ROWS * L); lambda (N * 2 * L)
    as kept for the way down, and which lanes shrank at which check."""

    up: Array
    extra: Array
    down: Array
    stored: Array
    shrunk: Array


@njit(inline="always")
def _row(N, sources):
    return FrequencyRow(
        np.empty(N), np.empty(N), np.empty(N), np.empty(N), np.empty(N), np.empty(N),
        np.empty((sources, N)), np.empty((sources, N)),
    )  # fmt: skip


@njit(inline="always")
def _fill(row, i, scheme, stationary, directions):
    """Row of neuron i; returns its reset."""
    N, c, kr, share = row.a.shape[0], scheme.c[i], scheme.reset[i], scheme.share[i]
    x = 1.0
    for k in range(N):
        v, d = scheme.y[i, k], scheme.decay[i, k]
        row.a[k], row.j[k] = hops(v, d)
        row.phi[k] = scheme.phi[i, k]
        row.b[k], row.b_slope[k] = c * row.phi[k], c * slope(v, d)
        row.e[k] = x
        x *= row.j[k]
        if x < TINY:
            x = 0.0
        above = stationary.mass[i, k + 1] if k + 1 < N else 0.0
        flux = flux_at(k, kr, share, stationary.flux_scale[i, k])
        row.sources[0, k] = row.a[k] * above + row.b_slope[k] * flux
        row.sources[1, k] = -row.a[k] * (v * above + c * flux)
        for n in range(directions.shape[0]):
            row.sources[2 + n, k] = row.sources[0, k] * directions[n, i, k]
    below = stationary.flux_scale[i, kr - 1] if kr > 0 else 0.0
    here = stationary.flux_scale[i, kr]
    return Return(kr, below * (1 - share), here * share, -below, here)


def _make(lanes):
    L = lanes

    @njit(inline="always")
    def buffers(extra, stored):
        return Buffers(
            np.empty(ROWS * L), np.empty((extra, 2, L)), np.empty(DOWN_ROWS * L),
            np.empty(stored * 2 * L), np.zeros((stored // CHECK + 1, L), dtype=np.bool_),
        )  # fmt: skip

    @compiled(nogil=True, fastmath=FAST)
    def upward(row, back, buffers, keep):
        """Sweep the upward buffers; with keep, lambda is kept and no sources are summed."""
        s, extra, stored, src = buffers.up, buffers.extra, buffers.stored, row.sources
        N = row.a.shape[0]
        before = 0.0
        for k in range(N):
            g, bk, jk, s0, s1 = row.e[k], row.b[k], row.j[k], src[0, k], src[1, k]
            if keep:
                for l in range(L):
                    lr = s[SC * L + l] * g + before * s[LR * L + l] - s[OM * L + l] * s[NI * L + l]
                    li = before * s[LI * L + l] + s[OM * L + l] * s[NR * L + l]
                    s[LR * L + l] = lr
                    s[LI * L + l] = li
                    s[NR * L + l] = bk * lr + jk * s[NR * L + l]
                    s[NI * L + l] = bk * li + jk * s[NI * L + l]
                at = k * 2 * L
                for l in range(2 * L):
                    stored[at + l] = s[l]
            else:
                for l in range(L):
                    lr = s[SC * L + l] * g + before * s[LR * L + l] - s[OM * L + l] * s[NI * L + l]
                    li = before * s[LI * L + l] + s[OM * L + l] * s[NR * L + l]
                    s[LR * L + l] = lr
                    s[LI * L + l] = li
                    s[NR * L + l] = bk * lr + jk * s[NR * L + l]
                    s[NI * L + l] = bk * li + jk * s[NI * L + l]
                    s[S0R * L + l] += s0 * lr
                    s[S0I * L + l] += s0 * li
                    s[S1R * L + l] += s1 * lr
                    s[S1I * L + l] += s1 * li
                for n in range(extra.shape[0]):
                    for l in range(L):
                        extra[n, 0, l] += src[2 + n, k] * s[LR * L + l]
                        extra[n, 1, l] += src[2 + n, k] * s[LI * L + l]
            before = row.a[k]
            if k == back.node or k == back.node - 1:
                t = back.high if k == back.node else back.low
                dt = back.high_by_share if k == back.node else back.low_by_share
                for l in range(L):
                    s[TR * L + l] += t * s[NR * L + l]
                    s[TI * L + l] += t * s[NI * L + l]
                    s[DR * L + l] += dt * s[NR * L + l]
                    s[DI * L + l] += dt * s[NI * L + l]
            if k % CHECK == CHECK - 1:
                top = 0.0
                for l in range(L):
                    top = max(top, abs(s[LR * L + l]) + abs(s[LI * L + l]))
                    top = max(top, abs(s[NR * L + l]) + abs(s[NI * L + l]))
                if top > HUGE:
                    for l in range(L):
                        big = abs(s[LR * L + l]) + abs(s[LI * L + l]) + abs(s[NR * L + l]) + abs(s[NI * L + l])
                        if big > HUGE:
                            if keep:
                                buffers.shrunk[k // CHECK, l] = True
                            for line in range(ROWS):
                                if line != OM:
                                    s[line * L + l] *= SHRINK
                            for n in range(extra.shape[0]):
                                extra[n, 0, l] *= SHRINK
                                extra[n, 1, l] *= SHRINK

    @compiled(nogil=True, fastmath=FAST)
    def begin(omega, lo, buffers):
        """Lanes for omega[lo:]; returns how many of them count."""
        s = buffers.up
        s[:] = 0.0
        buffers.extra[:] = 0.0
        n = min(L, omega.shape[0] - lo)
        for l in range(L):
            s[OM * L + l] = omega[lo + min(l, n - 1)]
            s[SC * L + l] = 1.0
        return n

    @compiled(nogil=True)
    def forward(lo, hi, scheme, stationary, omega, directions, sums):
        """For neurons lo..hi and all omega (F,) rad/ms; directions (n, M, N), changes of y."""
        N, F, extra = scheme.y.shape[1], omega.shape[0], directions.shape[0]
        row, b = _row(N, 2 + extra), buffers(extra, 0)
        s = b.up
        for i in range(lo, hi):
            back = _fill(row, i, scheme, stationary, directions)
            for f in range(0, F, L):
                n = begin(omega, f, b)
                upward(row, back, b, False)
                for l in range(n):
                    sums.sources[0, i, f + l] = complex(s[S0R * L + l], s[S0I * L + l])
                    sums.sources[1, i, f + l] = complex(s[S1R * L + l], s[S1I * L + l])
                    for q in range(extra):
                        sums.sources[2 + q, i, f + l] = complex(b.extra[q, 0, l], b.extra[q, 1, l])
                    sums.top[i, f + l] = complex(s[NR * L + l], s[NI * L + l])
                    sums.back[i, f + l] = complex(s[TR * L + l], s[TI * L + l])
                    sums.back_by_share[i, f + l] = complex(s[DR * L + l], s[DI * L + l])
                    sums.scale[i, f + l] = s[SC * L + l]

    @compiled(nogil=True, fastmath=FAST)
    def downward(i, f, n, row, back, buffers, cotangents, bars):
        """Pulls the n lanes from frequency f on back, against the kept lambda, to the row's sources, y and c."""
        N, src, s_bar = row.a.shape[0], row.sources, row.sources_bar
        w, stored, x = buffers.down, buffers.stored, cotangents.sources
        c_bar = 0.0
        w[:] = 0.0
        for l in range(n):
            w[JR * L + l], w[JI * L + l] = cotangents.top[i, f + l].real, cotangents.top[i, f + l].imag
            w[BR * L + l], w[BI * L + l] = cotangents.back[i, f + l].real, cotangents.back[i, f + l].imag
            w[AR * L + l], w[AI * L + l] = x[0, i, f + l].real, x[0, i, f + l].imag
            w[BR1 * L + l], w[BI1 * L + l] = x[1, i, f + l].real, x[1, i, f + l].imag
            w[O * L + l] = buffers.up[OM * L + l]
            w[G * L + l] = 1.0
        for k in range(N - 1, -1, -1):
            if k % CHECK == CHECK - 1:
                for l in range(L):
                    if buffers.shrunk[k // CHECK, l]:
                        for line in (PR, PI, JR, JI, G, BR, BI, AR, AI, BR1, BI1):
                            w[line * L + l] *= SHRINK
            if k == back.node or k == back.node - 1:
                t = back.high if k == back.node else back.low
                for l in range(L):
                    w[JR * L + l] += t * w[BR * L + l]
                    w[JI * L + l] += t * w[BI * L + l]
            ak, jk, bk, s0, s1 = row.a[k], row.j[k], row.b[k], src[0, k], src[1, k]
            dp, dc, d0, d1 = 0.0, 0.0, 0.0, 0.0
            at = k * 2 * L
            for l in range(L):
                lr, li, jr, ji = stored[at + l], stored[at + L + l], w[JR * L + l], w[JI * L + l]
                dp += lr * w[PR * L + l] - li * w[PI * L + l]
                dc += lr * jr - li * ji
                d0 += lr * w[AR * L + l] - li * w[AI * L + l]
                d1 += lr * w[BR1 * L + l] - li * w[BI1 * L + l]
            for l in range(L):
                jr, ji = w[JR * L + l], w[JI * L + l]
                pr = ak * w[PR * L + l] + bk * jr + s0 * w[AR * L + l] + s1 * w[BR1 * L + l]
                pi = ak * w[PI * L + l] + bk * ji + s0 * w[AI * L + l] + s1 * w[BI1 * L + l]
                w[PR * L + l] = pr
                w[PI * L + l] = pi
                w[JR * L + l] = jk * jr - w[O * L + l] * pi
                w[JI * L + l] = jk * ji + w[O * L + l] * pr
            for q in range(2, src.shape[0]):
                dq = 0.0
                for l in range(n):
                    vr, vi = w[G * L + l] * x[q, i, f + l].real, w[G * L + l] * x[q, i, f + l].imag
                    dq += stored[at + l] * vr - stored[at + L + l] * vi
                    w[PR * L + l] += src[q, k] * vr
                    w[PI * L + l] += src[q, k] * vi
                    w[JR * L + l] -= w[O * L + l] * src[q, k] * vi
                    w[JI * L + l] += w[O * L + l] * src[q, k] * vr
                s_bar[q, k] += dq
            bars.y[i, k] += ak * dp + row.b_slope[k] * dc
            c_bar += dc * row.phi[k]
            s_bar[0, k] += d0
            s_bar[1, k] += d1
        bars.c[i] += c_bar

    @compiled(nogil=True)
    def backward(lo, hi, scheme, stationary, omega, directions, cotangents, bars, directions_bar):
        """Adjoint of `forward`; adds into `bars` and directions_bar (n, M, N)."""
        N, F, extra = scheme.y.shape[1], omega.shape[0], directions.shape[0]
        row, b = _row(N, 2 + extra), buffers(extra, N)
        dy, pulled = np.empty(N), np.empty(N)
        s_bar = row.sources_bar
        for i in range(lo, hi):
            back = _fill(row, i, scheme, stationary, directions)
            s_bar[:] = 0.0
            for f in range(0, F, L):
                b.shrunk[:] = False
                n = begin(omega, f, b)
                upward(row, back, b, True)
                downward(i, f, n, row, back, b, cotangents, bars)
            # the sources depend on y, c, the share and the stationary mass
            c, share = scheme.c[i], scheme.share[i]
            for k in range(N):
                v, d, a = scheme.y[i, k], scheme.decay[i, k], row.a[k]
                above = stationary.mass[i, k + 1] if k + 1 < N else 0.0
                flux = flux_at(k, back.node, share, stationary.flux_scale[i, k])
                t0, t1 = s_bar[0, k], s_bar[1, k]
                for q in range(extra):
                    t0 += directions[q, i, k] * s_bar[2 + q, k]
                    directions_bar[q, i, k] += row.sources[0, k] * s_bar[2 + q, k]
                bars.y[i, k] += t0 * (a * above + c * curvature(v, d) * flux)
                bars.y[i, k] -= t1 * a * ((v + 1) * above + c * flux)
                by_c = t0 * slope(v, d) - t1 * a
                bars.c[i] += by_c * flux
                if k == back.node:
                    bars.share[i] -= by_c * c * stationary.flux_scale[i, k]
                dy[k] = a * (t0 - v * t1)  # on the mass above
            pulled[0] = row.e[0] * cotangents.passage[i]
            for k in range(1, N):
                pulled[k] = dy[k - 1] + row.e[k] * cotangents.passage[i]
            mass_adjoint(i, scheme, stationary, pulled, bars)

    return forward, backward


_few, _many = _make(8), _make(32)


def kernels(frequencies: int):
    """(forward, backward) with as many lanes as pay: forward(lo, hi, scheme, rest, omega, directions, sums)."""
    return _few if frequencies <= 16 else _many
