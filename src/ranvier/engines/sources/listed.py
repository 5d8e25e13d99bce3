"""Given spikes by step."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from ranvier._steps import rounded_steps
from ranvier._text import plural
from ranvier.networks import Population

#: spikes of a neuron in one step
MOST = 255


def spike_events(population: Population, dt: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The steps (emitted at their end) and neurons of given spikes, sorted by step, then neuron; several of one
    neuron in a step stand there several times.

    A time goes to the nearest step, halves up. Those nearer to 0 than to dt, where the first step ends, cannot be
    emitted: they are left out with a warning that counts them. Raises ValueError for neurons that the population
    does not have, and for more than 255 spikes of a neuron in a step.
    """
    times = population.neuron.times.numpy()
    neurons = population.neuron.neurons.numpy()
    if len(neurons) and neurons.max() >= population.size:
        raise ValueError(
            f"population {population.name!r} has {population.size} neurons, but a spike of neuron {neurons.max()}; "
            f"expected indices below {population.size}"
        )
    return spikes_at(population, times, neurons.astype(np.int64), dt, MOST)


def spikes_at(
    population: Population, times: NDArray[np.float64], neurons: NDArray[np.int64], dt: float, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `spike_events`, of spikes at `times` (ms), at most `most` of a neuron in a step."""
    steps = rounded_steps(times, dt) - 1
    if early := int((steps < 0).sum()):
        warnings.warn(
            f"population {population.name!r}: {early} of {plural(len(steps), 'spike time')} lie before {dt / 2:g} ms "
            f"and are not emitted; expected times from there on, as the first step ends at dt = {dt:g} ms",
            stacklevel=3,
        )
        steps, neurons = steps[steps >= 0], neurons[steps >= 0]
    steps, neurons = sorted_spikes(steps, neurons, population.size)
    if ((steps[most:] == steps[:-most]) & (neurons[most:] == neurons[:-most])).any():
        largest = most_at_once(steps, neurons)
        raise ValueError(
            f"population {population.name!r} has a neuron with {largest} spikes in one step; expected at most {most}: "
            f"shorten dt (now {dt:g} ms)"
        )
    return steps, neurons


def sorted_spikes(
    steps: NDArray[np.int64], neurons: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """By step, then neuron below `size`. Steps that no run comes to, from 2^62/size on, become one."""
    keys = np.sort(np.minimum(steps, (1 << 62) // size) * size + neurons)
    steps = keys // size
    return steps, keys - steps * size


def most_at_once(steps: NDArray[np.int64], neurons: NDArray[np.int64]) -> int:
    """The largest number of spikes of a neuron in a step, of sorted events."""
    if not len(steps):
        return 0
    new = np.flatnonzero((np.diff(steps) != 0) | (np.diff(neurons) != 0)) + 1
    return int(np.diff(np.concatenate([[0], new, [len(steps)]])).max())
