"""Tiles at their fixed point are skipped: the same bits as without, and they really are skipped."""

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines.compiled import run
from ranvier.engines.compiled.engine import CompiledEngine
from ranvier.engines.protocol import EngineOptions

TILE = 256


def network(neuron: rv.Neuron, synapse: rv.synapses.Synapse, weight: float) -> rv.Network:
    """Twelve tiles; given spikes reach the first two, and by their spikes some of the third and one of the last."""
    net = rv.Network(seed=1)
    rng = np.random.default_rng(2)
    cells = net.add(neuron, 12 * TILE - 30, "cells", drive=-2.0)
    times, sources = rng.uniform(1.0, 150.0, 800), rng.integers(0, 40, 800)
    events = net.add(rv.SpikeTimes(torch.from_numpy(times), torch.from_numpy(sources)), 40)
    net.connect(events, cells, weight=weight, synapse=synapse, delay=1.5,
                edges=(rng.integers(0, 40, 3000), rng.integers(0, 2 * TILE, 3000)))  # fmt: skip
    targets = np.append(rng.integers(2 * TILE, 2 * TILE + 50, 200), 11 * TILE + 7)
    net.connect(cells, cells, weight=weight, synapse=synapse, delay=1.0, edges=(rng.integers(0, 500, 201), targets))
    return net


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("neuron", "synapse", "weight"),
    [
        (rv.LIF(tau_m=2.0, E_L=-65.0, V_th=-55.0), rv.Exponential(tau=1.0), 15.0),
        (rv.EIF(tau_m=3.0), rv.Delta(), 9.0),
        (rv.AdEx(C_m=90.0, g_L=30.0, tau_w=4.0), rv.Exponential(tau=1.0), 40.0),
    ],
    ids=["lif", "eif", "adex"],
)
def test_bits_are_the_same_without_skipping(monkeypatch, neuron, synapse, weight, dtype):
    results, flags = [], []
    for skip, threads in ((True, 1), (False, 1), (True, 3)):
        monkeypatch.setattr(run, "SKIP", skip)
        monkeypatch.setattr("ranvier.engines.compiled.lowering.LEAST_WORK", 1)
        engine = CompiledEngine.prepare(
            network(neuron, synapse, weight), EngineOptions(0.1, threads=threads, dtype=dtype, method="stepping")
        )
        first = engine.advance(1300)
        flags.append(engine.loop._bound.resting.copy())
        second = engine.advance(2600)
        state = engine.state()
        results.append([first.steps, first.neurons, second.steps, second.neurons, state["x"], state["ring"]])
    assert len(results[0][0]) > 300 and results[0][1].max() >= 2 * TILE
    for other in results[1:]:
        assert all(np.array_equal(a.view(np.uint8), b.view(np.uint8)) for a, b in zip(results[0], other, strict=True))
    assert flags[0][3:11].all() and not flags[0][:2].any()  # those that nothing reaches, and those that much does
    assert not flags[1].any() and np.array_equal(flags[0], flags[2])


def test_what_depends_on_more_than_its_numbers_is_never_skipped():
    net = rv.Network()
    net.add(rv.LIF(), 300, "quiet")
    net.add(rv.LIF(), 300, "noisy", noise=1.0)
    net.add(rv.LIF(), 300, "driven", drive=rv.TimeSeries(torch.tensor([0.0, 1.0]), 5.0))
    net.background(net.add(rv.LIF(), 300, "background"), rate=10.0, weight=0.1)

    class Clock(rv.Neuron):
        """Its input depends on the time."""

        equations = rv.Equations("dV/dt = (sin(t) - V)/tau_m : mV", threshold="V >= V_th", reset="V = 0")
        tau_m: float = 10.0
        V_th: float = 5.0

    net.add(Clock(), 300, "clock")
    engine = CompiledEngine.prepare(net, EngineOptions(0.1, method="stepping"))
    assert engine.loop.program.populations["rests"].tolist() == [1, 0, 0, 0, 0]
