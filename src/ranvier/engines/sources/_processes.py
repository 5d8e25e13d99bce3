# mypy: ignore-errors
# (numba compiles these functions: their arguments have no Python types)
"""Compiled draws of point processes: spikes of the steps first .. last − 1, and the state that goes on from there.

A process of unit rate runs in operational time: of an amount `left` it uses up λ a step, and spikes when nothing is
left (time rescaling; Brown et al. 2002). Of each process a column of six words: four of its stream, then, as float64,
the time in steps from which it goes on and what is left then.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ranvier.codegen.arithmetic.laws import exponential, gamma, normals
from ranvier.codegen.arithmetic.simd import log_f64
from ranvier.codegen.arithmetic.streams import seeded, uniform
from ranvier.codegen.compilation import compiled

_part: Any = njit(error_model="numpy", no_cfunc_wrapper=True)  # type: ignore[call-overload]
#: what a draw returns in place of the number of spikes
NO_ROOM, TOO_MANY = -1, -2
_LEAST = 1e-300  # of what is left: 0 says that there was an event


@_part
def _taken(state, i):
    return state[0, i], state[1, i], state[2, i], state[3, i]


@_part
def _put(state, i, stream):
    for k in range(4):
        state[k, i] = stream[k]


@_part
def _next(t, left, rates, column, interval, last):
    """(time in steps of the event that uses up `left`, 0), or (last, what is left then)."""
    while t < last:
        k = min(np.int64(t) // interval, len(rates) - 1)
        end = last if k == len(rates) - 1 else min((k + 1) * interval, last)
        rate = rates[k, column]
        if left <= rate * (end - t):
            return t + left / rate, 0.0
        left -= rate * (end - t)
        t = np.float64(end)
    return t, left


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def begin_renewal(key, rates, shapes, dead, state, ends):
    """Every process in equilibrium at time 0: dead with the chance λd/(1 + λd) of dead time d, else within an interval
    that was met by chance (Cox 1962, section 5.2)."""
    for i in range(state.shape[1]):
        stream = seeded(key, i)
        shape, d = shapes[i % len(shapes)], dead[i % len(dead)]
        rate = rates[0, i % rates.shape[1]]
        stream, u = uniform(stream)
        stream, v = uniform(stream)
        if u * (1.0 + rate * d) < rate * d:
            ends[0, i] = v * d
            stream, x = gamma(stream, shape)
            ends[1, i] = max(x / shape, _LEAST)
        else:
            ends[0, i] = 0.0
            stream, x = gamma(stream, shape + 1.0)
            ends[1, i] = max(v * x / shape, _LEAST)
        _put(state, i, stream)


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def draw_renewal(state, ends, rates, interval, shapes, dead, first, last, most, steps, neurons):
    """Spikes neuron by neuron; returns their number, or NO_ROOM, or TOO_MANY: more than `most` of one in a step.

    rates (samples, columns): λ a step while a process is not dead; shapes, dead (1,) or (neurons,).
    """
    count = 0
    for i in range(state.shape[1]):
        stream, shape, d = _taken(state, i), shapes[i % len(shapes)], dead[i % len(dead)]
        t, left = max(ends[0, i], np.float64(first)), ends[1, i]
        before, together = -1, 0
        while t < last:
            t, left = _next(t, left, rates, i % rates.shape[1], interval, last)
            if left > 0.0:
                break
            step = min(np.int64(t), last - 1)
            together = together + 1 if step == before else 1
            before = step
            if count == len(steps):
                return NO_ROOM
            if together > most:
                return TOO_MANY
            steps[count], neurons[count] = step, i
            count += 1
            stream, x = gamma(stream, shape)
            left = max(x / shape, _LEAST)
            t += d
        ends[0, i], ends[1, i] = t, left
        _put(state, i, stream)
    return count


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def by_step(steps, neurons, first, last):
    """Spikes of the steps first .. last − 1 by step, those of a step in the order that they came in: by counting."""
    at = np.zeros(last - first + 1, np.int64)
    for step in steps:
        at[step - first + 1] += 1
    for k in range(last - first):
        at[k + 1] += at[k]
    ordered, who = np.empty_like(steps), np.empty_like(neurons)
    for i in range(len(steps)):
        k = steps[i] - first
        ordered[at[k]], who[at[k]] = steps[i], neurons[i]
        at[k] += 1
    return ordered, who


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def begin_mother(key, state, ends):
    """A Poisson process at time 0."""
    stream, x = exponential(seeded(key, 0))
    ends[0, 0], ends[1, 0] = 0.0, max(x, _LEAST)
    _put(state, 0, stream)


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def draw_copies(state, ends, rates, interval, share, size, first, last, most, steps, neurons):
    """Events of a Poisson process, each copied to every neuron with the chance `share`; as `draw_renewal` returns.

    Which neurons are passed over is drawn as one geometric number.
    """
    count, before, together = 0, -1, 0
    stream, t, left = _taken(state, 0), max(ends[0, 0], np.float64(first)), ends[1, 0]
    skip = 1.0 / log_f64(1.0 - share) if share < 1.0 else 0.0
    while t < last:
        t, left = _next(t, left, rates, 0, interval, last)
        if left > 0.0:
            break
        step = min(np.int64(t), last - 1)
        together = together + 1 if step == before else 1
        before = step
        if together > most:
            return TOO_MANY
        neuron = -1
        while True:
            if share < 1.0:
                stream, x = exponential(stream)
                neuron += 1 + np.int64(min(-x * skip, np.float64(size)))
            else:
                neuron += 1
            if neuron >= size:
                break
            if count == len(steps):
                return NO_ROOM
            steps[count], neurons[count] = step, neuron
            count += 1
        stream, x = exponential(stream)
        left = max(x, _LEAST)
    ends[0, 0], ends[1, 0] = t, left
    _put(state, 0, stream)
    return count


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def draw_packets(key, times, sd, size, each, more, out, neurons):
    """Packets at `times`: every neuron spikes `each` times, and `more` of them, a uniform subset, once more; every
    spike is displaced by a normal number of standard deviation `sd`."""
    count = 0
    for packet in range(len(times)):
        stream = seeded(key, packet)
        remaining, other, ready = more, 0.0, False
        for i in range(size):
            stream, u = uniform(stream)
            extra = u * (size - i) < remaining  # selection sampling (Knuth, algorithm S)
            remaining -= extra
            for _ in range(each + extra):
                if ready:
                    x = other
                else:
                    stream, x, other = normals(stream)
                ready = not ready
                out[count], neurons[count] = times[packet] + sd * x, i
                count += 1


__all__ = [
    "NO_ROOM", "TOO_MANY", "begin_mother", "begin_renewal", "by_step", "draw_copies", "draw_packets", "draw_renewal",
]  # fmt: skip
