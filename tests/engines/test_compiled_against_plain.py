"""Random noise-free networks in float64: the same spikes as plain NumPy, step by step."""

import numpy as np
import pytest
import torch

import ranvier as rv
from tests.engines import plain

DT = 0.25


def delays(rng, edges):
    """All alike, or one an edge, whole steps from one to twenty."""
    if rng.random() < 0.5:
        return DT * int(rng.integers(1, 20))
    return torch.tensor(DT * rng.integers(1, 20, edges), dtype=torch.float64)


def connect(net, rng, source, target, scale, synapse):
    n = int(rng.integers(1, 6 * target.size))
    edges = rng.integers(0, source.size, n), rng.integers(0, target.size, n)
    weight = scale * rng.uniform(0.2, 1.0, n)
    if rng.random() < 0.3:
        net.connect(source, target, weight=scale, delay=delays(rng, n), edges=edges, synapse=synapse)
    else:
        net.connect(
            source, target, weight=torch.tensor(weight), delay=delays(rng, n), edges=edges, synapse=synapse
        )


def network(seed, steps):
    """Integrate-and-fire neurons with currents and with conductances, AdEx, and given spikes."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, 4)
    if seed == 0:
        sizes[0] = 300  # more than one tile
    net = rv.Network(seed=seed)
    currents = net.add(
        rv.LIF(), sizes[0], "currents", drive=torch.tensor(rng.uniform(8.0, 20.0, sizes[0])),
        initial={"V": torch.tensor(rng.uniform(-65.0, -50.0, sizes[0]))},
    )  # fmt: skip
    conductances = net.add(rv.LIF(t_ref=0.0), sizes[1], "conductances", drive=16.0)
    adaptive = net.add(rv.AdEx(), sizes[2], "adaptive", drive=float(rng.uniform(18.0, 40.0)))
    n = 20 * sizes[3]
    times = DT * rng.integers(1, steps, n)
    source = net.add(rv.SpikeTimes(times, rng.integers(0, sizes[3], n)), sizes[3], "given")
    holding = net.add(rv.neurons.SynapticLIF(), sizes[0], "holding", drive=float(rng.uniform(5.0, 9.0)))
    spiking = [currents, conductances, adaptive, source, holding]
    pick = lambda: spiking[rng.integers(5)]  # noqa: E731
    for synapse, scale in ((rv.Delta(), 1.0), (rv.Exponential(tau=3.0), 20.0), (rv.Alpha(tau=2.0), -15.0)):
        connect(net, rng, pick(), currents, scale, synapse)
        connect(net, rng, source, currents, scale, synapse)
    for reversal, scale in ((0.0, 1.5), (-80.0, 3.0)):
        connect(net, rng, pick(), conductances, scale, rv.ExponentialConductance(tau=5.0, E_rev=reversal))
    for synapse, scale in ((rv.synapses.Jump(onto="g"), 12.0), (rv.Exponential(tau=3.0), 20.0), (rv.Delta(), 1.0)):
        connect(net, rng, pick(), holding, scale, synapse)
    connect(net, rng, pick(), adaptive, 30.0, rv.Exponential(tau=5.0))
    connect(net, rng, pick(), adaptive, -1.0, rv.Delta())
    return net


@pytest.mark.parametrize("seed", range(8))
def test_same_spikes(seed):
    steps = 500
    net = network(seed, steps)
    watch = ("currents", "conductances", "adaptive", "holding")
    at, neurons, V = plain.simulate(net, DT, steps, watch)
    recording = rv.simulate(net, steps * DT, dt=DT, dtype=torch.float64, record="V")
    assert len(at) > 100
    assert np.array_equal(np.rint(recording.times.numpy() / DT).astype(int), at)
    assert np.array_equal(recording.neurons.numpy(), neurons)
    difference = recording.states["V"].values.numpy() - np.hstack([V[name] for name in watch])
    assert np.abs(difference).max() < 1e-8
