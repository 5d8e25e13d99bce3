"""Backward-Euler steps of the Fokker-Planck equation, for populations coupled by delayed rates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ranvier.codegen.compilation import compiled
from ranvier.codegen.loops import assign
from ranvier.theory.single_neuron.threshold_integration import Array


class DensityNeurons(NamedTuple):
    """M populations on N nodes: `force` (M, N) mV at the faces; `step` mV, `tau` ms, `variance` mV^2, (M,); `reset`
    and `share` (M,) as in `ThresholdIntegration`; `wait` (M,): refractory time in steps; whether what leaves comes
    back."""

    force: Array
    step: Array
    tau: Array
    variance: Array
    reset: Array
    share: Array
    wait: Array
    reinject: bool


class DensityState(NamedTuple):
    """`mass` (M, N); `buffer` (M, L): mass to come back, slot n % L at step n; `history` (H, M): past rates, 1/ms."""

    mass: Array
    buffer: Array
    history: Array


class DensityInput(NamedTuple):
    """`drive`, `factor` (steps or 1, M): mV added to the force and factor on the variance. `weight`, `spread` (M, M):
    mV ms and mV^2 ms per rate of the source, `delay` steps ago, filtered by exponentials that keep `memory`
    of their value a step."""

    drive: Array
    factor: Array
    weight: Array
    spread: Array
    delay: Array
    memory: Array


class Course(NamedTuple):
    """What is kept: `rate` (steps, M) 1/ms, `refractory` (steps, M), `density` (S, M, N)."""

    rate: Array
    refractory: Array
    density: Array

    @classmethod
    def empty(cls, steps: int, M: int, saved: int, N: int) -> Course:
        return cls(np.empty((steps, M)), np.empty((steps, M)), np.empty((saved, M, N)))


@njit(inline="always")
def _rates(force, shift, step, tau, variance, up, down):
    """Jump rates (1/ms) over each face: up_k = 1/(c phi(y_k)), down_k = 1/(c phi(-y_k))."""
    scale = variance / (step * step * tau)
    for k in range(force.shape[0]):
        y = max(min(-(force[k] + shift) * step / variance, 1e100), -1e100)
        u = abs(y)
        fast = scale * (u / -np.expm1(-u) if u > 1e-8 else 1 + u / 2)
        slow = fast * np.exp(-u)
        up[k] = fast if y < 0 else slow
        down[k] = slow if y < 0 else fast


@njit(inline="always")
def _factorise(dt, up, down, d):
    """Pivots of 1 - dt Q without subtractions (all terms positive), so that mass is kept to rounding."""
    e = 1.0
    for k in range(up.shape[0]):
        if k > 0:
            e = 1 + dt * down[k - 1] * (e / d[k - 1])
        d[k] = e + dt * up[k]


@njit(inline="always")
def _solve(dt, up, down, d, m):
    """m <- (1 - dt Q)^{-1} m by Thomas' algorithm."""
    N = m.shape[0]
    for k in range(1, N):
        m[k] += (dt * up[k - 1] / d[k - 1]) * m[k - 1]
    m[N - 1] /= d[N - 1]
    for k in range(N - 2, -1, -1):
        m[k] = (m[k] + dt * down[k] * m[k + 1]) / d[k]


@njit(inline="always")
def _past(history, now, steps, j):
    """Rate j, `steps` >= 1 (any real number) steps before the step `now`."""
    whole = int(np.floor(steps))
    part = steps - whole
    L = history.shape[0]
    return (1 - part) * history[(now - whole) % L, j] + part * history[(now - whole - 1) % L, j]


@compiled(nogil=True)
def evolve(dt, steps, neurons, state, inputs, every, course):
    """`state` goes on by `steps` of dt ms; `course` is filled, its densities each `every` steps."""
    force, step, tau, variance, reset, share, wait, reinject = neurons
    mass, buffer, history = state
    drive, factor, weight, spread, delay, memory = inputs
    rate, refractory, saved = course
    M, N = mass.shape
    L = buffer.shape[1]
    up, down, d, z = np.empty((M, N)), np.empty((M, N)), np.empty((M, N)), np.empty((M, N))
    shift, var = np.full(M, np.nan), np.full(M, np.nan)
    filtered = np.empty((M, M))
    for i in range(M):
        for j in range(M):
            filtered[i, j] = history[history.shape[0] - 1, j]
    held = np.zeros(M)
    for i in range(M):
        for l in range(L):
            held[i] += buffer[i, l]
    for n in range(steps):
        for i in range(M):
            s, v = drive[n % drive.shape[0], i], variance[i] * factor[n % factor.shape[0], i]
            for j in range(M):
                if weight[i, j] != 0 or spread[i, j] != 0:
                    r = _past(history, n, delay[i, j], j)
                    filtered[i, j] = memory[i, j] * filtered[i, j] + (1 - memory[i, j]) * r
                    s += weight[i, j] * filtered[i, j]
                    v += spread[i, j] * filtered[i, j]
            whole = int(np.floor(wait[i]))
            late = wait[i] - whole
            if s != shift[i] or v != var[i]:
                shift[i], var[i] = s, v
                _rates(force[i], s, step[i], tau[i], v, up[i], down[i])
                _factorise(dt, up[i], down[i], d[i])
                if whole == 0 and reinject:
                    z[i, :] = 0.0
                    z[i, reset[i]] = 1 - share[i]
                    z[i, reset[i] + 1] = share[i]
                    _solve(dt, up[i], down[i], d[i], z[i])
            back = buffer[i, n % L]
            buffer[i, n % L] = 0.0
            mass[i, reset[i]] += back * (1 - share[i])
            mass[i, reset[i] + 1] += back * share[i]
            _solve(dt, up[i], down[i], d[i], mass[i])
            out = dt * up[i, N - 1] * mass[i, N - 1]
            if reinject:
                if whole == 0:  # part of what leaves comes back within the step
                    out /= 1 - (1 - late) * dt * up[i, N - 1] * z[i, N - 1]
                    for k in range(N):
                        mass[i, k] += (1 - late) * out * z[i, k]
                else:
                    buffer[i, (n + whole) % L] += (1 - late) * out
                buffer[i, (n + whole + 1) % L] += late * out
            rate[n, i] = out / dt
            held[i] += out - back
            if whole == 0:
                held[i] -= (1 - late) * out
            refractory[n, i] = held[i]
        for i in range(M):
            history[n % history.shape[0], i] = rate[n, i]
        if every > 0 and (n + 1) % every == 0:
            for i in range(len(mass)):
                assign(saved[(n + 1) // every - 1, i], mass[i])
