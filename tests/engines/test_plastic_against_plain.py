"""The compiled engine's plastic synapses against a plain re-implementation: the same spikes and weights."""

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines.compiled.engine import CompiledEngine
from ranvier.engines.protocol import EngineOptions
from tests.engines import plain_plastic, plastic

DURATION = plastic.DURATION / 2
STEPS = round(DURATION / plastic.DT)


def at(series):
    """The value of a series in the step that ends at k, per ms."""
    every = round(series.interval / plastic.DT)
    return lambda k, _past: series.values[min((k - 1) // every, len(series.values) - 1)].item()


@pytest.mark.parametrize("name", plastic.RULES)
def test_same_spikes_and_weights(name):
    rule, inputs = plastic.RULES[name], plastic.series()
    net = plastic.network(rule, modulator=inputs)
    engine = CompiledEngine.prepare(net, EngineOptions(plastic.DT, dtype=torch.float64))
    steps, neurons, _ = engine.advance(STEPS)
    modulator = {q.index: at(inputs) for q in net.projections} if rule.law.uses_modulator else None
    expected_steps, expected_neurons, expected = plain_plastic.simulate(net, plastic.DT, STEPS, modulator)
    assert np.array_equal(steps, expected_steps) and np.array_equal(neurons, expected_neurons)
    rate = (neurons >= 30).sum() / 40 / DURATION * 1000
    assert 10 < rate < 150
    for index, w in engine.weights().items():
        before = np.broadcast_to(np.asarray(net.projections[index].weight), w.shape)
        assert np.abs(w - before).mean() > 0.005, "nothing is learned"
        assert np.abs(w - expected[index]).max() < 1e-11


def test_each_target_has_its_own_modulator():
    inputs = plastic.series(columns=40)
    net = plastic.network(plastic.RULES["reward"], modulator=inputs)
    engine = CompiledEngine.prepare(net, EngineOptions(plastic.DT, dtype=torch.float64))
    steps, _, _ = engine.advance(STEPS)
    values = inputs.values.numpy()
    modulator = {
        q.index: lambda k, _past, q=q: values[min((k - 1) // 25, 59)][np.asarray(q.edges()[1])]
        for q in net.projections
    }
    expected_steps, _, expected = plain_plastic.simulate(net, plastic.DT, STEPS, modulator)
    assert np.array_equal(steps, expected_steps)
    assert all(np.abs(w - expected[k]).max() < 1e-11 for k, w in engine.weights().items())


def test_a_population_modulates():
    """Its spikes over its size arrive with the projection's shortest delay."""
    net = plastic.network(plastic.RULES["reward"], modulator=plastic.series())
    modulators = net.add(rv.LIF(), 7, name="modulators", drive=np.linspace(16.0, 25.0, 7))
    p = net.connect("src", "cells", weight=0.5, delay=2.0, probability=0.4, plasticity=plastic.RULES["reward"],
                    modulator=modulators)  # fmt: skip
    engine = CompiledEngine.prepare(net, EngineOptions(plastic.DT, dtype=torch.float64))
    steps, _, _ = engine.advance(STEPS)
    modulator = {q.index: at(plastic.series()) for q in net.projections}
    modulator[p.index] = lambda k, past: past[max(k - 20, 0)][modulators.index].sum() / (7 * plastic.DT)
    expected_steps, _, expected = plain_plastic.simulate(net, plastic.DT, STEPS, modulator)
    assert np.array_equal(steps, expected_steps)
    assert all(np.abs(w - expected[k]).max() < 1e-11 for k, w in engine.weights().items())
    assert np.abs(expected[p.index] - 0.5).max() > 0.05


@pytest.mark.parametrize("delay", [0.1, 1.5, 7.0])
def test_delays_are_axonal(delay):
    """A spike of the source acts on the weight when it arrives, one of the target at once."""
    for lag in (-3.0, 0.0, 3.0):
        net = rv.Network()
        times, zeros = [20.0, 20.0 + delay + lag], [0, 1]
        src = net.add(rv.SpikeTimes(times, zeros), 2)
        cell = net.add(rv.LIF(t_ref=0.5), 1, drive=0.0)
        # the second source makes the target spike one step after its own spike has arrived
        rule = rv.rules.STDP(A_plus=0.1, A_minus=0.1)
        net.connect(src, cell, weight=0.5, delay=delay, edges=([0], [0]), plasticity=rule)
        net.connect(src, cell, weight=100.0, delay=0.1, edges=([1], [0]))
        engine = CompiledEngine.prepare(net, EngineOptions(0.1, dtype=torch.float64))
        steps, neurons, _ = engine.advance(600)
        spike = steps[neurons == 2]
        arrived = round((20.0 + delay) / 0.1)
        distance = (spike[0] - arrived) * 0.1
        assert len(spike) == 1 and distance == pytest.approx(lag + 0.2)
        expected = 0.1 * np.exp(-distance / 20) if distance >= 0 else -0.1 * np.exp(distance / 20)
        assert engine.weights()[0][0] - 0.5 == pytest.approx(expected, rel=1e-9)
