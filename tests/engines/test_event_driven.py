"""The event-driven loop: the spikes of stepping, whatever the threads, cuts and changes of loop."""

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines.compiled.engine import CompiledEngine
from ranvier.engines.events import choice
from ranvier.engines.protocol import EngineOptions

DT, F64 = 0.1, torch.float64
SYNAPSES = (
    (rv.Delta(), 2.5), (rv.Exponential(tau=3.0), 40.0), (rv.Alpha(tau=2.0), -30.0),
    (rv.BiExponential(tau_rise=1.0, tau_decay=6.0, normalise="peak"), 15.0),
)  # fmt: skip


def network(seed, sizes=(60, 50, 8), duration=200.0):
    """Currents of every kind onto LIF, jumps onto what holds its input, given and Poisson spikes, several delays."""
    rng = np.random.default_rng(seed)
    net = rv.Network(seed=seed)
    n, m, k = sizes
    a = net.add(
        rv.LIF(t_ref=float(rng.choice([0.0, 2.0]))), n, "a", drive=torch.tensor(rng.uniform(0.0, 17.0, n)),
        initial={"V": rv.Uniform(-65.0, -51.0)},
    )  # fmt: skip
    t_ref = torch.full((m,), 2.2, dtype=F64)
    t_ref[: m // 2] = DT
    b = net.add(rv.neurons.SynapticLIF(t_ref=t_ref), m, "b", drive=float(rng.uniform(0.0, 7.2)))
    times = rng.uniform(0.1, duration, 30 * k)
    trains = net.add(rv.SpikeTimes(times, rng.integers(0, k, 30 * k)), k, "given")
    poisson = net.add(rv.Poisson(60.0), k, "poisson")
    for source in (a, b, trains, poisson):
        for target, (synapse, scale) in (
            (a, SYNAPSES[rng.integers(4)]), (a, SYNAPSES[rng.integers(4)]), (b, (rv.synapses.Jump(onto="g"), 12.0)),
            (b, SYNAPSES[rng.integers(3)]),
        ):  # fmt: skip
            edges = int(6 * target.size)
            pair = rng.integers(0, source.size, edges), rng.integers(0, target.size, edges)
            weight = torch.tensor(scale * rng.uniform(0.1, 1.0, edges)) if rng.random() < 0.6 else 0.5 * scale
            delay = torch.tensor(DT * rng.integers(3, 30, edges)) if rng.random() < 0.4 else 1.8
            net.connect(source, target, weight=weight, delay=delay, edges=pair, synapse=synapse)
    return net


def run(net, duration, **options):
    record = [rv.Probe("V", interval=0.7), rv.Probe("g", interval=DT, neurons="b")]
    return rv.simulate(net, duration, **{"dt": DT, "dtype": F64, "record": record} | options)


def same_spikes(one, other):
    return torch.equal(one.times, other.times) and torch.equal(one.neurons, other.neurons)


@pytest.mark.parametrize("seed", range(6))
def test_the_spikes_are_those_of_stepping(seed):
    """Rounding differs in the last bits, so that a voltage within 1e-9 mV of the threshold might decide otherwise: no
    such tie occurs here, as the run counts."""
    net = network(seed)
    stepped, went = (run(net, 200.0, engine=engine) for engine in ("stepping", "events"))
    assert len(stepped.times) > 500 and len(set(stepped.neurons.tolist())) > 60
    assert same_spikes(stepped, went)
    for name in ("V", "g"):
        assert (stepped.states[name].values - went.states[name].values).abs().max() < 1e-9
    report = went.manifest["method"]
    assert report["method"] == "events" and report["ties"] == 0
    assert 0 < report["visits"] < 110 * 2000 and report["synaptic_events"] > 1000


def test_a_run_in_float32_has_the_spikes_of_float64():
    net = network(0)
    assert same_spikes(run(net, 100.0, engine="events", dtype=torch.float32), run(net, 100.0, engine="events"))


@pytest.fixture(scope="module")
def large():
    return network(3, sizes=(9000, 8300, 20), duration=40.0)


def engine(net, threads=1, **options):
    return CompiledEngine.prepare(net, EngineOptions(DT, seed=5, threads=threads, **options))


def test_threads_and_cuts_change_no_bit(large):
    whole = engine(large, method="events")
    expected = whole.advance(400)
    assert len(expected.steps) > 1000 and engine(large, 2, method="events").threads == 2
    first, second = engine(large, 2, method="events"), engine(large, 1, method="events")
    pieces = [first.advance(133)]
    second.load(first.state())
    pieces.append(second.advance(134))
    first.load(second.state())
    pieces.append(first.advance(400))
    assert np.array_equal(np.concatenate([p.steps for p in pieces]), expected.steps)
    assert np.array_equal(np.concatenate([p.neurons for p in pieces]), expected.neurons)
    one, other = whole.state(), first.state()
    assert one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def test_probes_change_no_bit(large):
    assert same_spikes(
        rv.simulate(large, 20.0, engine="events"),
        rv.simulate(large, 20.0, engine="events", record=rv.Probe("V", interval=DT, neurons=[0, 4097, 9001])),
    )


def test_the_engine_chooses(large, monkeypatch):
    assert engine(large).report["method"] == "events"
    small = engine(network(0))
    assert small.report == {"method": "stepping", "why": "no population has 4096 neurons"}
    noisy = rv.Network()
    noisy.add(rv.LIF(), 5000, "loud", noise=1.0)
    assert engine(noisy).report == {"method": "stepping", "why": "population 'loud' has noise"}
    with pytest.raises(ValueError, match=r"engine is 'events', but population 'loud' has noise; expected linear"):
        engine(noisy, method="events")
    eif = rv.Network()
    eif.add(rv.EIF(), 5000)
    assert "not linear" in engine(eif).report["why"]


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_busy_run_goes_on_by_steps_with_the_same_spikes(monkeypatch, tmp_path, dtype):
    """Over the change of loop, and resumed before and after it."""
    monkeypatch.setattr("ranvier.engines.compiled.engine.LEAST", 1)
    monkeypatch.setattr("ranvier.engines.compiled.engine.CHECK", 700)
    monkeypatch.setattr(choice, "VISIT", 1e9)
    net = network(1, duration=120.0)
    changed = run(net, 120.0, dtype=dtype)
    assert changed.manifest["method"]["method"] == "stepping" and "more than" in changed.manifest["method"]["why"]
    if dtype == F64:
        assert same_spikes(changed, run(net, 120.0, engine="stepping"))
        stepped = run(net, 120.0, engine="stepping").states
        assert all((changed.states[k].values - stepped[k].values).abs().max() < 1e-9 for k in stepped)
    for duration in (50.0, 90.0, 120.0):
        resumed = run(net, duration, dtype=dtype, path=tmp_path / "run")
    assert same_spikes(resumed, changed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"drive": rv.TimeSeries(torch.zeros(3), 1.0)}, "changes with time"),
        ({"tau": True}, "time constants"),
        ({"background": True}, "Poisson background"),
        ({"plastic": True}, "learn"),
        ({"refractory": 1e3}, "refractory period"),
    ],
)
def test_what_forbids_it_is_said(change, reason):
    net = rv.Network()
    tau = torch.linspace(10.0, 20.0, 5000, dtype=F64) if change.get("tau") else 20.0
    neuron = rv.LIF(tau_m=tau, t_ref=change.get("refractory", 2.0))
    cells = net.add(neuron, 5000, "cells", drive=change.get("drive", 1.0))
    if change.get("background"):
        net.background(cells, rate=1.0, weight=1.0)
    if change.get("plastic"):
        net.connect(cells, cells, weight=0.1, in_degree=1, plasticity=rv.rules.STDP())
    report = engine(net).report
    assert report["method"] == "stepping" and reason in report["why"]


def test_what_is_set_between_runs_counts_as_in_stepping():
    """Variables, a parameter, a change to noise and back; and a stored state, restored."""
    spikes = {}
    for name in ("stepping", "events"):
        net = network(2)
        simulation = rv.Simulation(net, dt=DT, dtype=F64, engine=name, seed=3)
        pieces = [simulation.run(30.0)]
        simulation.set("a", V=-55.0)
        simulation.set("b", V_th=-44.5, refractory_left=1.0)
        pieces.append(simulation.run(30.0))
        stored = simulation.store()
        simulation.run(10.0)
        simulation.restore(stored)
        pieces.append(simulation.run(30.0))
        spikes[name] = [torch.cat([getattr(p, x) for p in pieces]) for x in ("times", "neurons")]
    assert all(torch.equal(x, y) for x, y in zip(spikes["stepping"], spikes["events"], strict=True))
    assert len(spikes["events"][0]) > 200


def test_noise_that_is_set_ends_the_events(monkeypatch):
    monkeypatch.setattr("ranvier.engines.compiled.engine.LEAST", 1)
    net = network(2)
    simulation = rv.Simulation(net, dt=DT, seed=3)
    simulation.run(20.0)
    before = simulation.get("a", "V")
    simulation.set("a", noise=2.0)
    assert simulation._prepared.engine.report["method"] == "stepping"
    assert np.allclose(simulation.get("a", "V"), before, atol=1e-4)
    simulation.run(20.0)
    simulation.set("a", noise=0.0)
    assert simulation.run(20.0).rates().max() > 0
