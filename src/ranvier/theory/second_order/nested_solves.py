"""Higher-order responses of one-variable neurons, by nested solves on the scheme of `threshold_integration`.

Mass m_k hops up from node k at rate B(y_k)/c and down from node k + 1 at rate B(-y_k)/c, B(y) = y/(e^y - 1):
the generator L0 whose stationary state the scheme gives. An input acts on it as L1, the derivative of these
rates in mu (its second derivative belongs to the grid and is left out, so that responses vanish at high
frequencies as they should). G(s) = (s - L0)^{-1}, with the reset after t_ref; a tridiagonal solve, not the
scheme's downward sweep, because densities are wanted and the sweep's would cancel at high frequencies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ranvier.codegen.compilation import compiled
from ranvier.theory.single_neuron.threshold_integration import Array, ThresholdIntegration


class SolverState(NamedTuple):
    """The neurons that are expanded about: their `scheme`, stationary `probability` (M, N), and `per_mV` (M,) =
    dy/dmu."""

    scheme: ThresholdIntegration
    probability: Array
    per_mV: Array


class Generator(NamedTuple):
    """L0 of one neuron: rates (N,) 1/ms of its hops `up` and `down` and their derivatives in mu, 1/(ms mV); its reset
    as in `ThresholdIntegration`; room for a solve."""

    up: Array
    down: Array
    slope_up: Array
    slope_down: Array
    reset: int
    share: float
    t_ref: float
    z: Array
    ratio: Array


class DressedSolves(NamedTuple):
    """Noises of unit variance and rates gamma (n,), 1/ms, to second order, for M neurons at omega (F,):

    `shift` (M, n): of the mean rate, R0 L1 G(gamma) L1 P0;
    `event` (M, n, F): R L1 G(i w + gamma) L1 P0, what a change of the variance does;
    `third_order` (M, n, n, F): R L1 G(i w + gamma_a) L1 G(i w + gamma_a + gamma_b) L1 P0, where together[a, b];
    `gain` (M, n, F): of the susceptibility to mu;
    `spectrum` (M, n, F): of the spike train's; at omega > 0. Nothing of it without elements.
    """

    shift: Array
    event: Array
    third_order: Array
    gain: Array
    spectrum: Array

    @classmethod
    def empty(cls, M: int, n: int, F: int, spectra: bool) -> DressedSolves:
        event, gain = (np.empty((M, n, F), dtype=complex) for _ in range(2))
        third_order, spectrum = np.zeros((M, n, n, F), dtype=complex), np.empty((M, n if spectra else 0, F))
        return cls(np.empty((M, n)), event, third_order, gain, spectrum)


@njit(inline="always")
def bernoulli(y: float) -> tuple[float, float]:
    """B and B' at y, where B(y) = y/(e^y - 1)."""
    u = abs(y)
    if u < 0.02:
        w = y * y
        return 1 - y / 2 + w / 12 * (1 - w / 60), -0.5 + y / 6 * (1 - w / 30)
    e, m = np.exp(-u), -np.expm1(-u)
    B, slope = u * e / m, e * (m - u) / (m * m)  # at |y|
    return (B, slope) if y > 0 else (B + u, -1 - slope)


@njit(inline="always")
def generator(N):
    """Of no neuron yet: room."""
    up, down, slope_up, slope_down = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    z, ratio = np.empty(N, np.complex128), np.empty(N, np.complex128)
    return Generator(up, down, slope_up, slope_down, 0, 0.0, 0.0, z, ratio)


@compiled(nogil=True)
def of_neuron(i, state, L):
    """The generator of neuron i, in the room of L."""
    scheme = state.scheme
    c, per_mV = scheme.c[i], state.per_mV[i]
    for k in range(L.up.shape[0]):
        y = scheme.y[i, k]
        B, slope = bernoulli(y)
        L.up[k], L.down[k] = B / c, (B + y) / c
        L.slope_up[k], L.slope_down[k] = slope * per_mV / c, (slope + 1) * per_mV / c
    return Generator(
        L.up, L.down, L.slope_up, L.slope_down, scheme.reset[i], scheme.share[i], scheme.t_ref[i], L.z, L.ratio
    )


@compiled(nogil=True)
def push(L, m, flux):
    """flux = L1 m, at the faces (N,); the mass vanishes at the threshold."""
    N = m.shape[0]
    for k in range(N - 1):
        flux[k] = L.slope_up[k] * m[k] - L.slope_down[k] * m[k + 1]
    flux[N - 1] = L.slope_up[N - 1] * m[N - 1]


@compiled(nogil=True)
def settle(s, L, flux, fired, m):
    """m = -G(s) div flux, after a spike of weight `fired`; returns the rate that leaves at the threshold, the
    pushed flux included and that spike not.

    It follows from the balance of mass, which is regular at s = 0 without that spike:
    s sum m = e^{-s t_ref} fired - (1 - e^{-s t_ref}) rate.
    """
    up, down, z, ratio = L.up, L.down, L.z, L.ratio
    reset, share, t_ref = L.reset, L.share, L.t_ref
    N = up.shape[0]
    for k in range(N):
        d = s + up[k] + (down[k - 1] if k else 0.0)
        a = (flux[k - 1] if k else 0.0) - flux[k]
        b = 1 - share if k == reset else (share if k == reset + 1 else 0.0) + 0j
        if k:
            d -= up[k - 1] * ratio[k - 1]
            a += up[k - 1] * m[k - 1]
            b += up[k - 1] * z[k - 1]
        pivot = 1 / d
        ratio[k], m[k], z[k] = down[k] * pivot, a * pivot, b * pivot
    sum_m, sum_z = m[N - 1], z[N - 1]
    for k in range(N - 2, -1, -1):
        m[k] += ratio[k] * m[k + 1]
        z[k] += ratio[k] * z[k + 1]
        sum_m += m[k]
        sum_z += z[k]
    back = np.exp(-s * t_ref)
    held = (1 - back) / s if s * t_ref != 0 else t_ref + 0j
    top = -sum_m
    if fired != 0:
        top += fired * back * (1 / s - sum_z)
    rate = top / (back * sum_z + held)
    for k in range(N):
        m[k] += (rate + fired) * back * z[k]
    return rate


@compiled(nogil=True)
def nested(lo, hi, state, omega, outer):
    """For neurons lo..hi: outer (M, F), the rate of G(0) L1 G(i omega) L1 P0, complex 1/ms."""
    N = state.probability.shape[1]
    room = generator(N)
    at_rest, flux, m = np.empty(N), np.empty(N, np.complex128), np.empty(N, np.complex128)
    for i in range(lo, hi):
        L = of_neuron(i, state, room)
        push(L, state.probability[i], at_rest)
        for f in range(omega.shape[0]):
            settle(1j * omega[f], L, at_rest, 0j, m)
            push(L, m, flux)
            outer[i, f] = settle(0j, L, flux, 0j, m)


@compiled(nogil=True)
def dressed(lo, hi, state, gamma, together, omega, result):
    """Fills `result`, see `DressedSolves`, for neurons lo..hi; together (n, n): which pairs have a `third_order`."""
    N = state.probability.shape[1]
    room = generator(N)
    at_rest, flux, none = np.empty(N), np.empty(N, np.complex128), np.zeros(N, np.complex128)
    m, early, settled = np.empty(N, np.complex128), np.empty(N, np.complex128), np.empty(N, np.complex128)
    for i in range(lo, hi):
        L = of_neuron(i, state, room)
        push(L, state.probability[i], at_rest)
        spikes = state.probability[i, N - 1] * L.up[N - 1] + 0j
        for n in range(gamma.shape[0]):
            g = gamma[n]
            # spikes with the noise still to act a second time, and those that it has acted on twice
            once = settle(g + 0j, L, at_rest, 0j, early)
            push(L, early, flux)
            twice = settle(0j, L, flux, 0j, settled)
            result.shift[i, n] = twice.real
            for f in range(omega.shape[0]):
                s = 1j * omega[f]
                settle(s + g, L, at_rest, 0j, m)
                push(L, m, flux)
                result.event[i, n, f] = settle(s, L, flux, 0j, m)
                # the noise acts twice before the input, on both its sides, or twice after it
                settle(s, L, at_rest, 0j, m)
                for k in range(N):
                    m[k] += early[k]
                push(L, m, flux)
                settle(s + g, L, flux, 0j, m)
                for k in range(N):
                    m[k] += settled[k]
                push(L, m, flux)
                result.gain[i, n, f] = settle(s, L, flux, 0j, m)
                for b in range(gamma.shape[0]):
                    if together[n, b]:
                        settle(s + g + gamma[b], L, at_rest, 0j, m)
                        push(L, m, flux)
                        settle(s + g, L, flux, 0j, m)
                        push(L, m, flux)
                        result.third_order[i, n, b, f] = settle(s, L, flux, 0j, m)
                if result.spectrum.shape[1] == 0:
                    continue
                # of two spikes: the noise acts twice before the first, on both its sides, or twice between them
                total = settle(s, L, none, twice, m)
                settle(s + g, L, none, once, m)
                push(L, m, flux)
                total += settle(s, L, flux, 0j, m)
                settle(s, L, none, spikes, m)
                push(L, m, flux)
                settle(s + g, L, flux, 0j, m)
                push(L, m, flux)
                total += settle(s, L, flux, 0j, m)
                result.spectrum[i, n, f] = twice.real + 2 * total.real
