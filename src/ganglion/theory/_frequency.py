"""The threshold-integration ladder at frequencies omega, and its adjoint.

The responses to a modulated force, a modulated noise, a unit flux at threshold and one at the reset all
follow from one upward sweep of the backward equation: with lambda_k the effect of mass added
at node k, and nu_k that of flux added at face k + 1/2, on the total mass below threshold,

    lambda_k = 1 + a_{k-1} lambda_{k-1} + i omega nu_{k-1},      nu_k = b_k lambda_k + nu_{k-1}.

A source s_k then gives sum_k lambda_k s_k. Gradients need one downward sweep against the stored lambda.
Frequencies are the lanes: loops of fixed length over rows of one buffer, so that the compiler vectorises
them. Lanes that grow beyond 1e100 are rescaled together with all that was gathered in them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ganglion.theory._ladder import TINY, curvature, mass_adjoint, slope

HUGE, SHRINK, CHECK = 1e100, 1e-100, 8
FAST = {"contract", "reassoc"}
# rows of an upward buffer
LR, LI, NR, NI, OM, SC, TR, TI, DR, DI, S0R, S0I, S1R, S1I, ROWS = range(15)
# and of a downward one
PR, PI, JR, JI, O, G, BR, BI, AR, AI, BR1, BI1, DOWN_ROWS = range(13)


@njit(inline="always")
def _prepare(i, y, decay, phi, c, reset, share, mass, flux_scale, a, j, b, e, src, u):
    """Contiguous coefficients and sources of neuron i: src[0] per unit change of every y, src[1] per relative
    change of sigma^2, src[2 + n] per change u[n] of y."""
    N = y.shape[1]
    x = 1.0
    for k in range(N):
        v, d = y[i, k], decay[i, k]
        a[k] = d if v < 0 else 1.0
        j[k] = d if v > 0 else 1.0
        b[k] = c[i] * phi[i, k]
        e[k] = x
        x *= j[k]
        if x < TINY:
            x = 0.0
        above = mass[i, k + 1] if k + 1 < N else 0.0
        flux = 0.0
        if k > reset[i]:
            flux = flux_scale[i, k]
        elif k == reset[i]:
            flux = flux_scale[i, k] * (1 - share[i])
        src[0, k] = a[k] * above + c[i] * slope(v, d) * flux
        src[1, k] = -a[k] * (v * above + c[i] * flux)
        for n in range(u.shape[0]):
            src[2 + n, k] = src[0, k] * u[n, i, k]


def _make(lanes):
    L = lanes

    @njit(nogil=True, cache=True, fastmath=FAST)
    def upward(a, j, b, e, src, k_reset, low, high, dlow, dhigh, s, extra, store, shrunk, keep):
        """Sweep the buffer s (ROWS * L) and extra (sources beyond two, 2, L); with keep, lambda goes to
        store."""
        N = a.shape[0]
        before = 0.0
        for k in range(N):
            g, bk, jk, s0, s1 = e[k], b[k], j[k], src[0, k], src[1, k]
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
                    store[at + l] = s[l]
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
            before = a[k]
            if k == k_reset or k == k_reset - 1:
                t = high if k == k_reset else low
                dt = dhigh if k == k_reset else dlow
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
                        big = (
                            abs(s[LR * L + l]) + abs(s[LI * L + l]) + abs(s[NR * L + l]) + abs(s[NI * L + l])
                        )
                        if big > HUGE:
                            if keep:
                                shrunk[k // CHECK, l] = True
                            for row in range(ROWS):
                                if row != OM:
                                    s[row * L + l] *= SHRINK
                            for n in range(extra.shape[0]):
                                extra[n, 0, l] *= SHRINK
                                extra[n, 1, l] *= SHRINK

    @njit(nogil=True, cache=True, fastmath=FAST)
    def begin(omega, lo, s, extra):
        s[:] = 0.0
        extra[:] = 0.0
        n = min(L, omega.shape[0] - lo)
        for l in range(L):
            s[OM * L + l] = omega[lo + min(l, n - 1)]
            s[SC * L + l] = 1.0
        return n

    @njit(nogil=True, cache=True)
    def forward(
        lo, hi, y, decay, phi, c, reset, share, mass, flux_scale, omega, u, S, top, back, dback, scale
    ):
        """For neurons lo..hi and all omega (rad/ms): S (sources, M, F) complex, nu at threshold, nu at the
        reset and its derivative in the share, and the lanes' scale, all (M, F)."""
        N, F, n_u = y.shape[1], omega.shape[0], u.shape[0]
        a, j, b, e = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
        src = np.empty((2 + n_u, N))
        s, extra = np.empty(ROWS * L), np.empty((n_u, 2, L))
        store, shrunk = np.empty(0), np.zeros((0, L), dtype=np.bool_)
        for i in range(lo, hi):
            _prepare(i, y, decay, phi, c, reset, share, mass, flux_scale, a, j, b, e, src, u)
            kr = reset[i]
            below = flux_scale[i, kr - 1] if kr > 0 else 0.0
            here = flux_scale[i, kr]
            for f in range(0, F, L):
                n = begin(omega, f, s, extra)
                upward(
                    a,
                    j,
                    b,
                    e,
                    src,
                    kr,
                    below * (1 - share[i]),
                    here * share[i],
                    -below,
                    here,
                    s,
                    extra,
                    store,
                    shrunk,
                    False,
                )
                for l in range(n):
                    S[0, i, f + l] = complex(s[S0R * L + l], s[S0I * L + l])
                    S[1, i, f + l] = complex(s[S1R * L + l], s[S1I * L + l])
                    for q in range(n_u):
                        S[2 + q, i, f + l] = complex(extra[q, 0, l], extra[q, 1, l])
                    top[i, f + l] = complex(s[NR * L + l], s[NI * L + l])
                    back[i, f + l] = complex(s[TR * L + l], s[TI * L + l])
                    dback[i, f + l] = complex(s[DR * L + l], s[DI * L + l])
                    scale[i, f + l] = s[SC * L + l]

    @njit(nogil=True, cache=True, fastmath=FAST)
    def downward(
        a, j, b, dphi, phi, c, src, s_bar, y_bar, k_reset, low, high, omega, f, n, x, xt, xb, store, shrunk, w
    ):
        """One chunk: pulls x (sources, F), xt, xb (F,) back to s_bar (sources, N), y_bar (N,); returns
        dl/dc."""
        N, sources = a.shape[0], src.shape[0]
        c_bar = 0.0
        w[:] = 0.0
        for l in range(n):
            w[JR * L + l], w[JI * L + l] = xt[f + l].real, xt[f + l].imag
            w[BR * L + l], w[BI * L + l] = xb[f + l].real, xb[f + l].imag
            w[AR * L + l], w[AI * L + l] = x[0, f + l].real, x[0, f + l].imag
            w[BR1 * L + l], w[BI1 * L + l] = x[1, f + l].real, x[1, f + l].imag
            w[O * L + l] = omega[f + l]
            w[G * L + l] = 1.0
        for k in range(N - 1, -1, -1):
            if k % CHECK == CHECK - 1:
                for l in range(L):
                    if shrunk[k // CHECK, l]:
                        for row in (PR, PI, JR, JI, G, BR, BI, AR, AI, BR1, BI1):
                            w[row * L + l] *= SHRINK
            if k == k_reset or k == k_reset - 1:
                t = high if k == k_reset else low
                for l in range(L):
                    w[JR * L + l] += t * w[BR * L + l]
                    w[JI * L + l] += t * w[BI * L + l]
            ak, jk, bk, dk, s0, s1 = a[k], j[k], b[k], c * dphi[k], src[0, k], src[1, k]
            dp, dc, d0, d1 = 0.0, 0.0, 0.0, 0.0
            at = k * 2 * L
            for l in range(L):
                lr, li, jr, ji = store[at + l], store[at + L + l], w[JR * L + l], w[JI * L + l]
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
            if sources > 2:
                for q in range(2, sources):
                    dq = 0.0
                    for l in range(n):
                        vr, vi = w[G * L + l] * x[q, f + l].real, w[G * L + l] * x[q, f + l].imag
                        dq += store[at + l] * vr - store[at + L + l] * vi
                        w[PR * L + l] += src[q, k] * vr
                        w[PI * L + l] += src[q, k] * vi
                        w[JR * L + l] -= w[O * L + l] * src[q, k] * vi
                        w[JI * L + l] += w[O * L + l] * src[q, k] * vr
                    s_bar[q, k] += dq
            y_bar[k] += ak * dp + dk * dc
            c_bar += dc * phi[k]
            s_bar[0, k] += d0
            s_bar[1, k] += d1
        return c_bar

    @njit(nogil=True, cache=True)
    def backward(
        lo,
        hi,
        y,
        decay,
        phi,
        c,
        reset,
        share,
        mass,
        flux_scale,
        omega,
        u,
        x,
        x_top,
        x_back,
        gamma,
        y_bar,
        c_bar,
        share_bar,
        u_bar,
    ):
        """Adjoint of `forward`: x (sources, M, F), x_top, x_back (M, F) are the cotangents of S, nu at
        threshold and nu at the reset; gamma (M,) is that of the scaled mean passage time. Adds into the *_bar
        outputs."""
        N, F, n_u = y.shape[1], omega.shape[0], u.shape[0]
        a, j, b, e = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
        src, s_bar = np.empty((2 + n_u, N)), np.empty((2 + n_u, N))
        dphi, dy, G = np.empty(N), np.empty(N), np.empty(N)
        s, extra, w = np.empty(ROWS * L), np.empty((n_u, 2, L)), np.empty(DOWN_ROWS * L)
        store, shrunk = np.empty(N * 2 * L), np.zeros((N // CHECK + 1, L), dtype=np.bool_)
        for i in range(lo, hi):
            _prepare(i, y, decay, phi, c, reset, share, mass, flux_scale, a, j, b, e, src, u)
            kr = reset[i]
            low = flux_scale[i, kr - 1] * (1 - share[i]) if kr > 0 else 0.0
            high = flux_scale[i, kr] * share[i]
            for k in range(N):
                dphi[k] = slope(y[i, k], decay[i, k])
            s_bar[:] = 0.0
            for f in range(0, F, L):
                shrunk[:] = False
                n = begin(omega, f, s, extra)
                upward(a, j, b, e, src, kr, low, high, 0.0, 0.0, s, extra, store, shrunk, True)
                c_bar[i] += downward(
                    a,
                    j,
                    b,
                    dphi,
                    phi[i],
                    c[i],
                    src,
                    s_bar,
                    y_bar[i],
                    kr,
                    low,
                    high,
                    omega,
                    f,
                    n,
                    x[:, i],
                    x_top[i],
                    x_back[i],
                    store,
                    shrunk,
                    w,
                )
            # the sources depend on y, c, the share and the stationary mass
            for k in range(N):
                v, d = y[i, k], decay[i, k]
                above = mass[i, k + 1] if k + 1 < N else 0.0
                flux = 0.0
                if k > kr:
                    flux = flux_scale[i, k]
                elif k == kr:
                    flux = flux_scale[i, k] * (1 - share[i])
                t0, t1 = s_bar[0, k], s_bar[1, k]
                for q in range(n_u):
                    t0 += u[q, i, k] * s_bar[2 + q, k]
                    u_bar[q, i, k] += src[0, k] * s_bar[2 + q, k]
                y_bar[i, k] += t0 * (a[k] * above + c[i] * curvature(v, d) * flux)
                y_bar[i, k] -= t1 * a[k] * ((v + 1) * above + c[i] * flux)
                c_bar[i] += (t0 * dphi[k] - t1 * a[k]) * flux
                if k == kr:
                    share_bar[i] += (t1 * a[k] - t0 * dphi[k]) * c[i] * flux_scale[i, k]
                dy[k] = a[k] * (t0 - v * t1)  # on the mass above
            G[0] = e[0] * gamma[i]
            for k in range(1, N):
                G[k] = dy[k - 1] + e[k] * gamma[i]
            cb, sb = mass_adjoint(i, y, decay, phi, c, reset, share, mass, flux_scale, G, y_bar)
            c_bar[i] += cb
            share_bar[i] += sb

    return forward, backward


_few, _many = _make(8), _make(32)


def kernels(frequencies: int):
    """(forward, backward) with as many lanes as pay."""
    return _few if frequencies <= 16 else _many
