"""A `Recording` of two populations, spikes and states made up."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.traces import StateTrace

EXC = SimpleNamespace(name="exc", start=0, size=3)
INH = SimpleNamespace(name="inh", start=3, size=2)
NETWORK = SimpleNamespace(populations=[EXC, INH], projections=[])


def random_spikes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Steps and neurons: 2 s of 5 neurons at 20 Hz, in steps of 0.5 ms."""
    step, neuron = np.nonzero(rng.random((4000, 5)) < 0.01)
    return step + 1, neuron.astype(np.int32)


def recorded(events: tuple[np.ndarray, np.ndarray], rng: np.random.Generator, **manifest: Any) -> Recording:
    """These spikes with the course of V in two neurons and of w in one."""
    states = {
        "V": StateTrace(np.arange(0, 2000.0, 1.0), [4, 1], rng.normal(size=(2000, 2)).astype(np.float32)),
        "w": StateTrace(np.arange(10.0, 2000.0, 10.0), [0], rng.normal(size=(199, 1))),
    }
    return Recording(*events, n_neurons=5, dt=0.5, duration=2000.0, states=states, network=NETWORK, manifest=manifest)
