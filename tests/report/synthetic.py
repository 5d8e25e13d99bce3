"""Recordings with known correlations, made through the public contract, without a simulation."""

from __future__ import annotations

import numpy as np

from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.traces import StateTrace
from ranvier.networks import Network
from ranvier.neurons import EIF, Graded
from ranvier.synapses import Electrical, Exponential, Sigmoidal


def network(size: int = 60, seed: int = 1) -> Network:
    """Three classes of spiking neurons; the last third is inhibitory. Neuron 1 excites neuron 0 alone."""
    rng = np.random.default_rng(seed)
    classes = [("sensory", "inter", "local")[3 * n // size] for n in range(size)]
    net = Network(seed=seed)
    cells = net.add(EIF(), size, name="cells", classes=classes, names=[f"N{n:04d} left" for n in range(size)])
    targets, sources = np.nonzero(rng.random((size, size)) < min(0.08, 60 / size))
    saved = (targets != sources) & ~((sources == 1) | (targets == 0))
    sources, targets = np.append(sources[saved], 1), np.append(targets[saved], 0)
    weight = rng.gamma(2.0, 2.0, len(sources)) * np.where(sources >= 2 * size // 3, -2.0, 1.0)
    net.connect(
        cells, cells, weight=weight, delay=1.0, synapse=Exponential(tau=5.0), edges=(sources, targets)
    )
    return net


def recording(net: Network, seconds: float = 60.0, rate: float = 8.0, seed: int = 0) -> Recording:
    """Poisson trains of `rate` Hz; half of neuron 0's spikes are neuron 1's, 20 ms later."""
    rng = np.random.default_rng(seed)
    dt, size = 0.1, net.size
    steps = round(seconds * 1000.0 / dt)
    counts = rng.poisson(rate * seconds, size)
    trains = [np.unique(rng.integers(1, steps + 1, n)) for n in counts]
    copied = trains[1][rng.random(len(trains[1])) < 0.5] + 200
    own = trains[0][rng.random(len(trains[0])) < 0.5]
    trains[0] = np.unique(np.concatenate([own, copied[copied <= steps]]))
    at = np.concatenate(trains)
    who = np.repeat(np.arange(size), [len(train) for train in trains])
    order = np.lexsort((who, at))
    return Recording(at[order], who[order], n_neurons=size, dt=dt, duration=seconds * 1000.0, network=net)


def graded(size: int = 24, seconds: float = 20.0, seed: int = 0) -> tuple[Network, Recording]:
    """Graded neurons, chemical and electrical synapses; neuron 0's voltage follows neuron 1's by 20 ms."""
    rng = np.random.default_rng(seed)
    net = Network(seed=seed)
    cells = net.add(Graded(), size, name="worm", classes=["sensory", "motor"] * (size // 2))
    ring = np.arange(size)
    half = ring < size // 2
    net.connect(
        cells, cells, weight=1.0, synapse=Sigmoidal(E_rev=0.0), edges=(ring[half], (ring[half] + 3) % size)
    )
    net.connect(
        cells,
        cells,
        weight=1.0,
        synapse=Sigmoidal(E_rev=-70.0),
        edges=(ring[~half], (ring[~half] + 3) % size),
    )
    ends = np.concatenate([ring, (ring + 1) % size]), np.concatenate([(ring + 1) % size, ring])
    net.connect(cells, cells, weight=0.5, synapse=Electrical(), edges=ends)
    from scipy.signal import lfilter

    white = rng.standard_normal((round(seconds * 1000.0) + 1000, size))
    values = lfilter([np.sqrt(1 - 0.95**2)], [1, -0.95], white, axis=0)[1000:]
    values[20:, 0] = values[:-20, 1]
    times = np.arange(1, len(values) + 1, dtype=float)
    trace = StateTrace(times, ring, values.astype(np.float32) - 35.0)
    return net, Recording(
        [], [], n_neurons=size, dt=0.1, duration=seconds * 1000.0, states={"V": trace}, network=net
    )
