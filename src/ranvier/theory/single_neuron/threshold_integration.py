"""the threshold-integration scheme of one-variable neurons, and its stationary sweep with the adjoint.

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
from typing import NamedTuple

import numpy as np
from numba import njit

from ranvier.codegen.compilation import compiled

Array = np.ndarray
TINY = 1e-290  # below it values are set to zero: denormal numbers are some hundred times slower


class ThresholdIntegration(NamedTuple):
    """M neurons on N nodes, as every sweep takes them: `y`, `decay` = exp(-|y|), `phi` = phi(-|y|), (M, N); `c` (M,)
    ms; after a spike and `t_ref` (M,) ms, the mass `share` (M,) comes back at node reset + 1, the rest at node
    `reset` (M,)."""

    y: Array
    decay: Array
    phi: Array
    c: Array
    reset: Array
    share: Array
    t_ref: Array

    @classmethod
    def of(cls, y: Array, c: Array, position: Array, t_ref: Array) -> ThresholdIntegration:
        """`position` (M,): of the reset, in steps above the first node."""
        y = np.ascontiguousarray(y)
        return cls(y, *coefficients(y), c.copy(), *reset_nodes(position, y.shape[1]), t_ref.copy())


class StationaryState(NamedTuple):
    """The stationary state: `mass` (M, N), unnormalised and scaled; `flux_scale`, `probability` (M, N); for each
    neuron (M,) `rate` 1/ms, `cv`, `passage` (scaled mean passage time), `bottom` = exp(-L_0), `scaled_rate` =
    rate/bottom, `eta` = E[T^2]/(2 E[T]^2)."""

    mass: Array
    flux_scale: Array
    probability: Array
    rate: Array
    cv: Array
    passage: Array
    bottom: Array
    scaled_rate: Array
    eta: Array


class StationaryStateAdjoint(NamedTuple):
    """Gradients of a loss in `rate`, `cv` (M,) and `probability` (M, N) of `StationaryState`."""

    rate: Array
    cv: Array
    probability: Array


class ThresholdIntegrationAdjoint(NamedTuple):
    """Gradients of a loss in what a `ThresholdIntegration` is made of."""

    y: Array
    c: Array
    share: Array
    t_ref: Array

    @classmethod
    def zeros(cls, y: Array) -> ThresholdIntegrationAdjoint:
        return cls(np.zeros_like(y), *np.zeros((3, len(y))))


def reset_nodes(position: Array, N: int) -> tuple[Array, Array]:
    """(node below the reset, share of the mass that comes back at the one above), (M,) each."""
    reset = np.clip(np.floor(position), 0, N - 2).astype(np.int64)
    return reset, position - reset


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


@njit(inline="always")
def hops(y: float, decay: float) -> tuple[float, float]:
    """A step down the scheme keeps a = e^min(y, 0) of the mass and e^-max(y, 0) of the flux."""
    return (decay if y < 0 else 1.0), (decay if y > 0 else 1.0)


@njit(inline="always")
def flux_at(k: int, reset: int, share: float, scale: float) -> float:
    """J_{k+1/2} per unit rate, as it enters node k: all above the reset, 1 - share at its node."""
    if k > reset:
        return scale
    return scale * (1 - share) if k == reset else 0.0


@compiled(nogil=True)
def stationary_sweep(lo: int, hi: int, scheme: ThresholdIntegration, stationary: StationaryState) -> None:
    """Fills `rest` for neurons lo..hi."""
    N = scheme.y.shape[1]
    for i in range(lo, hi):
        y, decay, phi, c = scheme.y[i], scheme.decay[i], scheme.phi[i], scheme.c[i]
        kr, share, mass, flux_scale = scheme.reset[i], scheme.share[i], stationary.mass[i], stationary.flux_scale[i]
        p, x, total = 0.0, 1.0, 0.0
        for k in range(N - 1, -1, -1):
            a, j = hops(y[k], decay[k])
            p = a * p + c * phi[k] * flux_at(k, kr, share, x)
            if p < TINY:
                p = 0.0
            mass[k] = p
            flux_scale[k] = x
            x *= j
            if x < TINY:
                x = 0.0
            total = total * j + p
        R = 1 / (total + scheme.t_ref[i] * x)
        e, lam, below, eta = 1.0, 0.0, 0.0, 0.0
        for k in range(N):
            lam = e + lam  # lam holds a_{k-1} lambda_{k-1}
            below += e * mass[k]
            stationary.probability[i, k] = R * e * mass[k]
            eta += lam * phi[k] * below * flux_scale[k]
            if y[k] < 0:
                lam *= decay[k]
            else:
                e *= decay[k]
                if e < TINY:
                    e = 0.0
        eta *= c / (total * total)
        stationary.rate[i], stationary.scaled_rate[i], stationary.bottom[i] = R * x, R, x
        stationary.cv[i] = R * total * np.sqrt(max(2 * eta - 1, 0.0))
        stationary.passage[i], stationary.eta[i] = total, eta


@njit(inline="always")
def mass_adjoint(
    i: int, scheme: ThresholdIntegration, stationary: StationaryState, G: Array, bars: ThresholdIntegrationAdjoint
) -> None:
    """Pull G_k = exp(L_k) dl/dm_k back through m_k = a_k m_{k+1} + b_k J_k: adds into bars of neuron i."""
    y, decay, phi, c = scheme.y[i], scheme.decay[i], scheme.phi[i], scheme.c[i]
    kr, share = scheme.reset[i], scheme.share[i]
    N, c_bar, lam = y.shape[0], 0.0, 0.0
    for k in range(N):
        lam += G[k]
        a, _ = hops(y[k], decay[k])
        above = stationary.mass[i, k + 1] if k + 1 < N else 0.0
        flux = flux_at(k, kr, share, stationary.flux_scale[i, k])
        if k == kr:
            bars.share[i] -= lam * c * phi[k] * stationary.flux_scale[i, k]
        bars.y[i, k] += lam * (a * above + c * slope(y[k], decay[k]) * flux)
        c_bar += lam * phi[k] * flux
        lam *= a
    bars.c[i] += c_bar


@compiled(nogil=True)
def stationary_adjoint(
    lo: int, hi: int, scheme: ThresholdIntegration, stationary: StationaryState, cotangents: StationaryStateAdjoint,
    bars: ThresholdIntegrationAdjoint,
) -> None:
    """Adjoint of `stationary_sweep`; adds into `bars`."""
    N = scheme.y.shape[1]
    e, lam, below, G = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    for i in range(lo, hi):
        y, decay, phi, c = scheme.y[i], scheme.decay[i], scheme.phi[i], scheme.c[i]
        r, total, R, eta = stationary.rate[i], stationary.passage[i], stationary.scaled_rate[i], stationary.eta[i]
        root = np.sqrt(max(2 * eta - 1, 0.0))
        rho = R * total
        by_cv = cotangents.cv[i] if root > 0 else 0.0
        beta = by_cv * rho / root if root > 0 else 0.0
        z, x, l, b = 0.0, 1.0, 0.0, 0.0
        for k in range(N):
            z += cotangents.probability[i, k] * stationary.probability[i, k]
            l += x
            b += x * stationary.mass[i, k]
            e[k], lam[k], below[k] = x, l, b / total
            if y[k] < 0:
                l *= decay[k]
            else:
                x *= decay[k]
                if x < TINY:
                    x = 0.0
        gamma = -r * R * cotangents.rate[i] - R * z + by_cv * root * R * (1 - rho)
        if beta != 0:
            gamma -= 2 * eta * beta / total
        bars.t_ref[i] += -r * r * cotangents.rate[i] - r * z - by_cv * root * r * rho
        q, remaining = 0.0, 0.0
        for k in range(N - 1, -1, -1):
            a, _ = hops(y[k], decay[k])
            flux = below[k] * stationary.flux_scale[i, k]
            w = beta * lam[k] / total
            bars.y[i, k] += w * (a * q + c * slope(y[k], decay[k]) * flux)
            bars.c[i] += w * phi[k] * flux
            q = a * q + c * phi[k] * flux
            remaining += lam[k] * c * phi[k] * stationary.flux_scale[i, k]
            G[k] = e[k] * (R * cotangents.probability[i, k] + gamma + beta * remaining / (total * total))
        mass_adjoint(i, scheme, stationary, G, bars)


def stationary_state(scheme: ThresholdIntegration, threads: int) -> StationaryState:
    M = scheme.y.shape[0]
    stationary = StationaryState(*(np.empty_like(scheme.y) for _ in range(3)), *np.empty((6, M)))
    over_neurons(stationary_sweep, M, threads, scheme, stationary)
    return stationary


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
