"""The threshold-integration ladder of one-variable neurons: stationary sweeps and their adjoints.

In units of probability mass per node, m_k = Delta p_k, Richardson's recurrence (PRE 76:021919, 2007,
equivalently the Scharfetter-Gummel scheme) reads

    m_k = a_k m_{k+1} + b_k J_{k+1/2},    a = e^y,    b = c phi(y),    phi(y) = (e^y - 1)/y,
    y_k = -F_k Delta / sigma^2,           c = Delta^2 tau / sigma^2,

so that a neuron is (y, c, position of the reset, t_ref) and nothing else. Arrays are neuron-major, (M, N).

Every quantity at node k is stored times exp(-L_k), L_k = sum_{j >= k} max(y_j, 0): the scaled step
m <- min(a, 1) m + c phi_hat J, J <- e^{-max(y, 0)} J neither overflows nor loses digits at any barrier.
`flux_scale` is exp(-L_{k+1}), the scale of the flux at face k + 1/2.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

Array = np.ndarray
TINY = 1e-290  # below it values are set to zero: denormal numbers are some hundred times slower


def coefficients(y: Array) -> tuple[Array, Array]:
    """exp(-|y|) and phi(-|y|) = (1 - exp(-|y|))/|y|, both (M, N)."""
    decay, phi = np.empty_like(y), np.empty_like(y)
    rows = max(1, 16384 // y.shape[1])  # blocks that stay in the cache
    for lo in range(0, y.shape[0], rows):
        e, p, u = decay[lo : lo + rows], phi[lo : lo + rows], np.abs(y[lo : lo + rows])
        small = u < 1e-8
        capped = -np.minimum(u, 690.0)
        np.exp(capped, out=e)
        e[u > 660] = 0.0  # below TINY
        np.expm1(capped, out=p)
        np.divide(p, -u, out=p, where=~small)
        if small.any():
            p[small] = 1 - u[small] / 2
    return decay, phi


@njit(inline="always")
def slope(y: float, decay: float) -> float:
    """phi'(y) exp(-max(y, 0))."""
    u = abs(y)
    if u < 0.1:
        s = 1 / 5760 + y * (1 / 45360 + y / 403200)
        s = 1 / 2 + y * (1 / 3 + y * (1 / 8 + y * (1 / 30 + y * (1 / 144 + y * (1 / 840 + y * s)))))
        return s * decay if y > 0 else s
    if y < 0:
        return (1 - decay * (1 + u)) / (u * u)
    return (u - 1 + decay) / (u * u)


@njit(inline="always")
def curvature(y: float, decay: float) -> float:
    """phi''(y) exp(-max(y, 0))."""
    u = abs(y)
    if u < 0.1:
        s = 1 / 168 + y * (1 / 960 + y * (1 / 6480 + y / 50400))
        s = 1 / 3 + y * (1 / 4 + y * (1 / 10 + y * (1 / 36 + y * s)))
        return s * decay if y > 0 else s
    if decay == 0:  # u * u may overflow
        return 2 / u / u / u if y < 0 else (1 - 2 / u) / u
    if y < 0:
        return (2 - decay * (u * u + 2 * u + 2)) / u / u / u
    return (1 - 2 / u + 2 * (1 - decay) / u / u) / u


@njit(nogil=True, cache=True)
def stationary_sweep(lo, hi, y, decay, phi, c, reset, share, t_ref, mass, flux_scale, probability, scalars):
    """Neurons lo..hi. Fills mass (unnormalised, scaled), flux_scale, probability (M, N) and, for each neuron,
    scalars = (rate, cv, scaled mean passage time, exp(-L_0), R = rate / exp(-L_0), eta = E[T^2] / (2
    E[T]^2))."""
    N = y.shape[1]
    for i in range(lo, hi):
        p, x, total = 0.0, 1.0, 0.0
        for k in range(N - 1, -1, -1):
            v = y[i, k]
            a = decay[i, k] if v < 0 else 1.0
            j = decay[i, k] if v > 0 else 1.0
            p = a * p
            if k > reset[i]:
                p += c[i] * phi[i, k] * x
            elif k == reset[i]:
                p += c[i] * phi[i, k] * x * (1 - share[i])
            if p < TINY:
                p = 0.0
            mass[i, k] = p
            flux_scale[i, k] = x
            x *= j
            if x < TINY:
                x = 0.0
            total = total * j + p
        R = 1 / (total + t_ref[i] * x)
        e, lam, below, eta = 1.0, 0.0, 0.0, 0.0
        for k in range(N):
            lam = e + lam  # lam holds a_{k-1} lambda_{k-1}
            below += e * mass[i, k]
            probability[i, k] = R * e * mass[i, k]
            eta += lam * phi[i, k] * below * flux_scale[i, k]
            v = y[i, k]
            if v < 0:
                lam *= decay[i, k]
            else:
                e *= decay[i, k]
                if e < TINY:
                    e = 0.0
        eta *= c[i] / (total * total)
        scalars[i, 0] = R * x
        scalars[i, 1] = R * total * np.sqrt(max(2 * eta - 1, 0.0))
        scalars[i, 2] = total
        scalars[i, 3] = x
        scalars[i, 4] = R
        scalars[i, 5] = eta


@njit(inline="always")
def mass_adjoint(i, y, decay, phi, c, reset, share, mass, flux_scale, G, y_bar):
    """Pull G_k = exp(L_k) dl/dm_k back through m_k = a_k m_{k+1} + b_k J_k: adds to y_bar[i], returns
    (dl/dc, dl/dshare)."""
    N = y.shape[1]
    c_bar, share_bar, lam = 0.0, 0.0, 0.0
    for k in range(N):
        lam += G[k]
        v, d = y[i, k], decay[i, k]
        a = d if v < 0 else 1.0
        above = mass[i, k + 1] if k + 1 < N else 0.0
        flux = 0.0
        if k > reset[i]:
            flux = flux_scale[i, k]
        elif k == reset[i]:
            flux = flux_scale[i, k] * (1 - share[i])
            share_bar -= lam * c[i] * phi[i, k] * flux_scale[i, k]
        y_bar[i, k] += lam * (a * above + c[i] * slope(v, d) * flux)
        c_bar += lam * phi[i, k] * flux
        lam *= a
    return c_bar, share_bar


@njit(nogil=True, cache=True)
def stationary_adjoint(
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
    probability,
    scalars,
    rate_bar,
    cv_bar,
    probability_bar,
    y_bar,
    c_bar,
    share_bar,
    t_ref_bar,
):
    """Gradients of a loss that sees rate, cv and probability; adds into the four *_bar outputs."""
    N = y.shape[1]
    e, lam, below, G = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    for i in range(lo, hi):
        r, total, R, eta = scalars[i, 0], scalars[i, 2], scalars[i, 4], scalars[i, 5]
        root = np.sqrt(max(2 * eta - 1, 0.0))
        rho = R * total
        by_cv = cv_bar[i] if root > 0 else 0.0
        beta = by_cv * rho / root if root > 0 else 0.0
        z, x, l, b = 0.0, 1.0, 0.0, 0.0
        for k in range(N):
            z += probability_bar[i, k] * probability[i, k]
            l += x
            b += x * mass[i, k]
            e[k], lam[k], below[k] = x, l, b / total
            if y[i, k] < 0:
                l *= decay[i, k]
            else:
                x *= decay[i, k]
                if x < TINY:
                    x = 0.0
        gamma = -r * R * rate_bar[i] - R * z + by_cv * root * R * (1 - rho)
        if beta != 0:
            gamma -= 2 * eta * beta / total
        t_ref_bar[i] += -r * r * rate_bar[i] - r * z - by_cv * root * r * rho
        q, remaining = 0.0, 0.0
        for k in range(N - 1, -1, -1):
            v, d = y[i, k], decay[i, k]
            a = d if v < 0 else 1.0
            flux = below[k] * flux_scale[i, k]
            w = beta * lam[k] / total
            y_bar[i, k] += w * (a * q + c[i] * slope(v, d) * flux)
            c_bar[i] += w * phi[i, k] * flux
            q = a * q + c[i] * phi[i, k] * flux
            remaining += lam[k] * c[i] * phi[i, k] * flux_scale[i, k]
            G[k] = e[k] * (R * probability_bar[i, k] + gamma + beta * remaining / (total * total))
        cb, sb = mass_adjoint(i, y, decay, phi, c, reset, share, mass, flux_scale, G, y_bar)
        c_bar[i] += cb
        share_bar[i] += sb


def over_neurons(kernel: Callable, neurons: int, threads: int, *args) -> None:
    """Run kernel(lo, hi, *args) over blocks of neurons, in `threads` threads (the kernels release the
    GIL)."""
    threads = max(1, min(threads, neurons))
    if threads == 1:
        kernel(0, neurons, *args)
        return
    edges = np.linspace(0, neurons, threads + 1).astype(np.int64)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda lo, hi: kernel(lo, hi, *args), edges[:-1], edges[1:]))
