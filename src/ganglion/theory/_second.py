"""Higher-order responses of one-variable neurons, by nested solves on the ladder of `_ladder`.

Mass m_k hops up from node k at rate B(y_k)/c and down from node k + 1 at rate B(-y_k)/c, B(y) = y/(e^y - 1):
the generator L0 whose stationary state the ladder gives. An input acts on it as L1, the derivative of these
rates in mu (its second derivative belongs to the grid and is left out, so that responses vanish at high
frequencies as they should). G(s) = (s - L0)^{-1}, with the reset after t_ref; a tridiagonal solve, not the
ladder's downward sweep, because densities are wanted and the sweep's would cancel at high frequencies.
"""

from __future__ import annotations

import numpy as np
from numba import njit


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


@njit(nogil=True, cache=True)
def hopping(y, c, per_mV, up, down, slope_up, slope_down):
    """Rates of one neuron's hops (N,), 1/ms, and their derivatives in mu."""
    for k in range(y.shape[0]):
        B, slope = bernoulli(y[k])
        up[k], down[k] = B / c, (B + y[k]) / c
        slope_up[k], slope_down[k] = slope * per_mV / c, (slope + 1) * per_mV / c


@njit(nogil=True, cache=True)
def push(slope_up, slope_down, m, flux):
    """flux = L1 m, at the faces (N,); the mass vanishes at the threshold."""
    N = m.shape[0]
    for k in range(N - 1):
        flux[k] = slope_up[k] * m[k] - slope_down[k] * m[k + 1]
    flux[N - 1] = slope_up[N - 1] * m[N - 1]


@njit(nogil=True, cache=True)
def settle(s, up, down, reset, share, t_ref, flux, fired, m, z, ratio):
    """m = -G(s) div flux, after a spike of weight `fired`; returns the rate that leaves at the threshold, the
    pushed flux included and that spike not.

    It follows from the balance of mass, which is regular at s = 0 without that spike:
    s sum m = e^{-s t_ref} fired - (1 - e^{-s t_ref}) rate.
    """
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


@njit(nogil=True, cache=True)
def nested(lo, hi, y, c, reset, share, t_ref, probability, per_mV, first, second, inner, outer):
    """For neurons lo..hi and pairs of rates (first[p], second[p]), complex 1/ms: inner (M, P) is the rate of
    G(first) L1 P0, outer (M, P) that of G(second) L1 G(first) L1 P0."""
    N = y.shape[1]
    up, down, slope_up, slope_down = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    at_rest, flux = np.empty(N), np.empty(N, np.complex128)
    m, z, ratio = np.empty(N, np.complex128), np.empty(N, np.complex128), np.empty(N, np.complex128)
    for i in range(lo, hi):
        hopping(y[i], c[i], per_mV[i], up, down, slope_up, slope_down)
        push(slope_up, slope_down, probability[i], at_rest)
        for p in range(first.shape[0]):
            inner[i, p] = settle(first[p], up, down, reset[i], share[i], t_ref[i], at_rest, 0j, m, z, ratio)
            push(slope_up, slope_down, m, flux)
            outer[i, p] = settle(second[p], up, down, reset[i], share[i], t_ref[i], flux, 0j, m, z, ratio)


@njit(nogil=True, cache=True)
def dressed(
    lo, hi, y, c, reset, share, t_ref, probability, per_mV, gamma, together, omega, shift, event, third, gain, spectrum
):
    """Noises of unit variance and rates gamma (n,), 1/ms, to second order, for neurons lo..hi, at omega (F,):

    shift (M, n): of the mean rate, R0 L1 G(gamma) L1 P0;
    event (M, n, F): R L1 G(i w + gamma) L1 P0, what a change of the variance does;
    third (M, n, n, F): R L1 G(i w + gamma_a) L1 G(i w + gamma_a + gamma_b) L1 P0, where together[a, b];
    gain (M, n, F): of the susceptibility to mu;
    spectrum (M, n, F): of the spike train's; at omega > 0. Nothing of it, nor of `third`, without elements.
    """
    N = y.shape[1]
    up, down, slope_up, slope_down = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    at_rest, flux, none = np.empty(N), np.empty(N, np.complex128), np.zeros(N, np.complex128)
    m, z, ratio = np.empty(N, np.complex128), np.empty(N, np.complex128), np.empty(N, np.complex128)
    early, settled = np.empty(N, np.complex128), np.empty(N, np.complex128)
    for i in range(lo, hi):
        kr, w, t = reset[i], share[i], t_ref[i]
        hopping(y[i], c[i], per_mV[i], up, down, slope_up, slope_down)
        push(slope_up, slope_down, probability[i], at_rest)
        spikes = probability[i, N - 1] * up[N - 1] + 0j
        for n in range(gamma.shape[0]):
            g = gamma[n]
            # spikes with the noise still to act a second time, and those that it has acted on twice
            once = settle(g + 0j, up, down, kr, w, t, at_rest, 0j, early, z, ratio)
            push(slope_up, slope_down, early, flux)
            twice = settle(0j, up, down, kr, w, t, flux, 0j, settled, z, ratio)
            shift[i, n] = twice.real
            for f in range(omega.shape[0]):
                s = 1j * omega[f]
                settle(s + g, up, down, kr, w, t, at_rest, 0j, m, z, ratio)
                push(slope_up, slope_down, m, flux)
                event[i, n, f] = settle(s, up, down, kr, w, t, flux, 0j, m, z, ratio)
                # the noise acts twice before the input, on both its sides, or twice after it
                settle(s, up, down, kr, w, t, at_rest, 0j, m, z, ratio)
                for k in range(N):
                    m[k] += early[k]
                push(slope_up, slope_down, m, flux)
                settle(s + g, up, down, kr, w, t, flux, 0j, m, z, ratio)
                for k in range(N):
                    m[k] += settled[k]
                push(slope_up, slope_down, m, flux)
                gain[i, n, f] = settle(s, up, down, kr, w, t, flux, 0j, m, z, ratio)
                for b in range(third.shape[2]):
                    if together[n, b]:
                        settle(s + g + gamma[b], up, down, kr, w, t, at_rest, 0j, m, z, ratio)
                        push(slope_up, slope_down, m, flux)
                        settle(s + g, up, down, kr, w, t, flux, 0j, m, z, ratio)
                        push(slope_up, slope_down, m, flux)
                        third[i, n, b, f] = settle(s, up, down, kr, w, t, flux, 0j, m, z, ratio)
                if spectrum.shape[1] == 0:
                    continue
                # of two spikes: the noise acts twice before the first, on both its sides, or twice between them
                total = settle(s, up, down, kr, w, t, none, twice, m, z, ratio)
                settle(s + g, up, down, kr, w, t, none, once, m, z, ratio)
                push(slope_up, slope_down, m, flux)
                total += settle(s, up, down, kr, w, t, flux, 0j, m, z, ratio)
                settle(s, up, down, kr, w, t, none, spikes, m, z, ratio)
                push(slope_up, slope_down, m, flux)
                settle(s + g, up, down, kr, w, t, flux, 0j, m, z, ratio)
                push(slope_up, slope_down, m, flux)
                total += settle(s, up, down, kr, w, t, flux, 0j, m, z, ratio)
                spectrum[i, n, f] = twice.real + 2 * total.real
