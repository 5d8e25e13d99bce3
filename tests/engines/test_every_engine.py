"""The laws of every engine, found by itself; and that all of them run the same noise-free network alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines._prepare import engine_class
from ranvier.engines.protocol import EngineOptions
from tests.engines import plain_plastic
from tests.laws.engines import DT, METHODS, STEPS, Case, check_engine, require_cases


def network() -> rv.Network:
    """Everything that an engine must carry over a cut."""
    net = rv.Network(seed=4)
    rest = {"V": rv.Uniform(-65.0, -52.0)}
    series = rv.TimeSeries(torch.linspace(14.0, 20.0, 12), interval=3.0)
    a = net.add(rv.LIF(), 30, "a", drive=series, noise=3.0, initial=rest)
    b = net.add(rv.LIF(), 12, "b", drive=16.0, noise=torch.linspace(1.0, 4.0, 12), initial=rest)
    source = net.add(rv.Poisson(rate=300.0), 8, "source")
    kinds = [rv.neurons.GammaProcess(rate=300.0, shape=2.5, t_ref=0.3), rv.neurons.CorrelatedPoisson(rate=300.0),
             rv.neurons.PulsePackets([9.0, 12.0, 19.5, 24.0], activity=1.5, sd=2.0)]  # fmt: skip
    for kind in kinds:
        net.connect(net.add(kind, 6), a, weight=0.5, delay=0.4, in_degree=2)
    net.connect(a, [a, b], weight=8.0, delay=1.5, in_degree=5, synapse=rv.Exponential(tau=4.0))
    net.connect(source, a, weight=0.5, delay=0.3 + 0.1 * torch.arange(90) % 2, in_degree=3)
    net.connect(b, a, weight=0.4, delay=0.7, in_degree=4, plasticity=rv.rules.STDP(A_plus=0.1, A_minus=0.08))
    net.connect(source, b, weight=0.4, delay=0.2, in_degree=4, plasticity=rv.rules.TripletSTDP())
    net.background(b, rate=3000.0, weight=0.1)
    return net


CASES = [
    Case("compiled", network),
    Case("torch", network, sets_weights=False),
]


def test_every_engine_has_a_case():
    require_cases(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_laws(case: Case) -> None:
    check_engine(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plain_network_spikes_the_same(case: Case) -> None:
    """A noise-free network with given trains, delays and synapses that learn, in float64: the same spikes, and weights
    to 1e-12, as step by step in plain NumPy."""
    rng = np.random.default_rng(3)
    net = rv.Network(seed=1)
    times, neurons = rng.uniform(0.1, DT * STEPS, 400), rng.integers(0, 10, 400)
    src = net.add(rv.SpikeTimes(torch.from_numpy(times), torch.from_numpy(neurons)), 10)
    cells = net.add(rv.LIF(t_ref=1.0), 25, drive=np.linspace(12.0, 18.0, 25))
    net.connect(src, cells, weight=1.0, delay=0.4, probability=0.5, synapse=rv.Exponential(tau=3.0))
    p = net.connect(cells, cells, weight=0.3, delay=0.9, probability=0.3, plasticity=rv.rules.STDP(A_plus=0.05))
    steps, who, weights = plain_plastic.simulate(net, DT, STEPS)
    engine = engine_class(case.name).prepare(net, EngineOptions(DT, dtype=torch.float64))
    out = engine.advance(STEPS)
    assert np.array_equal(out.steps, steps) and np.array_equal(out.neurons, who) and len(steps) > 100
    assert np.allclose(engine.weights()[p.index], weights[p.index], rtol=0, atol=1e-12)


def test_an_engine_without_a_name_or_a_case_is_found(monkeypatch):
    import ranvier.engines.protocol as protocol

    planted = type("Planted", (), {name: lambda self: None for name in METHODS} | {"__module__": protocol.__name__})
    monkeypatch.setattr(protocol, "Planted", planted, raising=False)
    with pytest.raises(AssertionError, match="missing in ENGINES"):
        require_cases(CASES)
    monkeypatch.undo()
    with pytest.raises(AssertionError, match="needs one Case"):
        require_cases(CASES[:1])


@pytest.mark.parametrize("name", ["seed", "state", "cut"])
def test_a_broken_engine_fails(name, monkeypatch):
    """Mutants: an engine that forgets its seed, one whose state lacks the random streams, one that cuts wrongly."""
    from ranvier.engines.compiled.engine import CompiledEngine

    prepare, state, advance = CompiledEngine.prepare, CompiledEngine.state, CompiledEngine.advance
    if name == "seed":
        monkeypatch.setattr(CompiledEngine, "prepare", lambda net, o: prepare(net, replace(o, seed=1)))
    elif name == "state":
        monkeypatch.setattr(
            CompiledEngine, "state", lambda self: {k: 0 * v if k == "streams" else v for k, v in state(self).items()}
        )
    else:

        def drop(self, last):
            out = advance(self, last)
            return out._replace(steps=out.steps[:-1], neurons=out.neurons[:-1])

        monkeypatch.setattr(CompiledEngine, "advance", drop)
    with pytest.raises(AssertionError):
        check_engine(CASES[0])
