"""Given spikes by step."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from ranvier._steps import rounded_steps
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
    steps = rounded_steps(times, dt) - 1
    if early := int((steps < 0).sum()):
        warnings.warn(
            f"population {population.name!r}: {early} of {len(steps)} spike times are nearest to 0 ms and not emitted; "
            f"expected times from {dt / 2:g} ms on, as the first step ends at dt = {dt:g} ms",
            stacklevel=2,
        )
        steps, neurons = steps[steps >= 0], neurons[steps >= 0]
    order = np.lexsort((neurons, steps))
    steps, neurons = steps[order], neurons[order].astype(np.int64)
    if (most := most_at_once(steps, neurons)) > MOST:
        raise ValueError(
            f"population {population.name!r} has a neuron with {most} spikes in one step; expected at most {MOST}: "
            f"shorten dt (now {dt:g} ms)"
        )
    return steps, neurons


def most_at_once(steps: NDArray[np.int64], neurons: NDArray[np.int64]) -> int:
    """The largest number of spikes of a neuron in a step, of sorted events."""
    if not len(steps):
        return 0
    new = np.flatnonzero((np.diff(steps) != 0) | (np.diff(neurons) != 0)) + 1
    return int(np.diff([0, *new, len(steps)]).max())
