"""Random spike trains of known statistics, and one way to store the same spikes in pieces."""

import itertools

import numpy as np

from ranvier.analysis import Spikes


def poisson(rng, rates, duration, dt=1.0):
    """Independent Poisson counts a step, rates in Hz (N,) or (N, steps)."""
    rates = np.asarray(rates, dtype=float)
    if rates.ndim == 1:
        rates = np.repeat(rates[:, None], round(duration / dt), axis=1)
    return from_counts(rng.poisson(rates * dt / 1000.0), dt)


def from_counts(counts, dt=1.0):
    """Spikes from counts (N, steps)."""
    step, neuron = np.nonzero(counts.T)
    times = counts.T[step, neuron]
    return Spikes.from_steps(
        np.repeat(step + 1, times),
        np.repeat(neuron, times),
        n_neurons=len(counts),
        dt=dt,
        stop=counts.shape[1],
    )


def in_pieces(spikes, rng, pieces=17):
    """The same spikes from a source that yields them in pieces cut at random places."""
    ((steps, neurons),) = spikes.cut([0, spikes.n_steps])
    steps = steps + 1
    borders = [0, *np.sort(rng.integers(0, len(steps), pieces - 1)).tolist(), len(steps)]

    def source():
        for a, b in itertools.pairwise(borders):
            yield steps[a:b], neurons[a:b]

    return Spikes(source, spikes.n_neurons, spikes.dt, spikes.n_steps)
