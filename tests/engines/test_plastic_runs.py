"""Plastic runs: the same for any number of threads, cut anywhere, stored and resumed; torch as compiled."""

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier import rules
from ranvier.engines.compiled.engine import CompiledEngine
from ranvier.engines.protocol import EngineOptions
from ranvier.engines.torch.engine import TorchEngine
from tests.engines import plastic

STEPS = round(plastic.DURATION / plastic.DT)
#: one rule of every kind: events only, several traces, eligibilities, a drift, voltages
KINDS = ["power", "triplet", "reward", "bcm", "voltage"]


def large(rule, size=700):
    """Enough neurons for several threads, with noise, bursts and a population that modulates."""
    net = rv.Network(seed=4)
    src = net.add(rv.Poisson(30.0), 300, name="src")
    cells = net.add(rv.LIF(), size, name="cells", drive=13.0, noise=4.0, initial={"V": rv.Uniform(-65.0, -50.0)})
    fast = net.add(rv.LIF(t_ref=0.5), 300, name="fast", drive=60.0)
    modulator = fast if rule.law.uses_modulator else None
    delays = torch.from_numpy(np.random.default_rng(1).choice([0.5, 1.0, 2.3], 300 * 40))
    inputs = {"weight": 0.4, "plasticity": rule, "modulator": modulator}
    net.connect(src, cells, edges=_edges(300, size), delay=delays, **inputs)
    net.connect(cells, cells, in_degree=30, delay=0.7, synapse=rv.Exponential(tau=4.0), **inputs)
    net.connect(cells, fast, in_degree=10, delay=1.5, **inputs)
    net.connect(cells, cells, in_degree=10, weight=-0.3)
    return net


def _edges(sources, size):
    rng = np.random.default_rng(2)
    return rng.integers(0, sources, sources * 40), rng.integers(0, size, sources * 40)


def engine(rule, threads=1):
    return CompiledEngine.prepare(large(rule), EngineOptions(0.1, seed=5, threads=threads))


@pytest.fixture(autouse=True)
def threads_as_requested(monkeypatch):
    monkeypatch.setattr("ranvier.engines.compiled.lowering.LEAST_WORK", 1)


@pytest.fixture(scope="module", params=KINDS)
def whole(request):
    rule = plastic.RULES[request.param]
    machine = engine(rule)
    return rule, machine.advance(1200), machine.weights()


def same(machine, pieces, whole):
    steps, neurons = (np.concatenate([p[k] for p in pieces]) for k in (0, 1))
    _, expected, weights = whole
    now = machine.weights()
    return (
        np.array_equal(steps, expected[0])
        and np.array_equal(neurons, expected[1])
        and all(np.array_equal(now[k], weights[k]) for k in weights)
    )


@pytest.mark.parametrize("threads", [2, 3])
def test_threads(whole, threads):
    machine = engine(whole[0], threads)
    assert machine.threads == threads
    assert same(machine, [machine.advance(1200)], whole)
    moved = [np.abs(w - 0.4).mean() for w in machine.weights().values()]
    assert min(moved) > 1e-3 and len(whole[1][0]) > 3000


@pytest.mark.parametrize("cut", range(3))
def test_cut_anywhere_with_a_look_at_the_weights(whole, cut):
    """Cuts bring synapses up to date at odd moments, and a fresh engine takes up the state."""
    rng = np.random.default_rng(cut)
    machine, pieces = engine(whole[0], 1 + cut % 2), []
    while machine.step < 1200:
        most = [3 if machine.step < 300 else 300, 40, 300][cut]
        pieces.append(machine.advance(min(1200, machine.step + int(rng.integers(1, most)))))
        if rng.random() < 0.3:
            machine.weights()
        if rng.random() < 0.05:
            state = machine.state()
            machine = engine(whole[0], 2)
            machine.load(state)
    assert same(machine, pieces, whole)


def test_more_spikes_than_a_target_has_room_for():
    """Sources fire once a second, the target at 300 Hz: its records fill up and are worked off early."""
    net = rv.Network()
    src = net.add(rv.SpikeTimes([5.0, 5.0, 700.0], [0, 1, 0]), 2)
    cell = net.add(rv.LIF(t_ref=0.0), 1, drive=120.0)
    net.connect(src, cell, weight=0.0, edges=([0, 1], [0, 0]), plasticity=rules.STDP(A_plus=1e-3, w_max=9.0))
    machine = CompiledEngine.prepare(net, EngineOptions(0.1, dtype=torch.float64))
    steps, neurons, _ = machine.advance(6900)
    post = steps[(neurons == 2) & (steps >= 60)]
    assert len(post) > 150
    expected = 1e-3 * np.exp(-(post - 60) * 0.1 / 20.0).sum()
    assert machine.weights()[0] == pytest.approx([expected, expected], rel=1e-10)


@pytest.mark.parametrize("name", plastic.RULES)
def test_the_torch_engine_agrees(name):
    rule = plastic.RULES[name]
    net = plastic.network(rule, modulator=plastic.series(columns=40), size=40)
    ours = CompiledEngine.prepare(net, EngineOptions(plastic.DT, dtype=torch.float64))
    theirs = TorchEngine.prepare(net, EngineOptions(plastic.DT, dtype=torch.float64))
    for last in (151, 300):
        steps, neurons, _ = ours.advance(last)
        other_steps, other_neurons, _ = theirs.advance(last)
        assert np.array_equal(steps, other_steps) and np.array_equal(neurons, other_neurons)
        mine, other = ours.weights(), theirs.weights()
        assert all(np.abs(mine[k] - other[k]).max() < 1e-11 for k in mine) and len(mine) == 2
    state = theirs.state()
    again = TorchEngine.prepare(net, EngineOptions(plastic.DT, dtype=torch.float64))
    again.load(state)
    theirs.advance(340)
    again.advance(340)
    assert all(np.array_equal(theirs.weights()[k], again.weights()[k]) for k in mine)


def test_simulate_gives_the_weights_and_their_course(tmp_path):
    net = plastic.network(plastic.RULES["additive"])
    p = net.projections[0]
    probe = rv.WeightProbe(p, interval=12.5, edges=[3, 1, 399])
    recording = rv.simulate(net, 100.0, record=[probe, rv.Probe("V", interval=5.0)], dtype=torch.float64)
    assert len(recording.weights) == 2 and list(recording.states) == ["V"]
    trace = recording.weights.trace(p)
    assert trace.times.tolist() == [12.5 * k for k in range(1, 9)] and trace.edges.tolist() == [3, 1, 399]
    assert torch.equal(trace.values[-1], recording.weights[p][[3, 1, 399]])
    shorter = rv.simulate(net, 37.5, dtype=torch.float64)
    assert torch.equal(trace.values[2], shorter.weights[0][[3, 1, 399]])
    with pytest.raises(ValueError, match="is not plastic"):
        recording.weights[net.projections[2]]
    with pytest.raises(ValueError, match="not recorded"):
        recording.weights.trace(1)
    for stored in (
        rv.simulate(net, 100.0, record=[probe, rv.Probe("V", interval=5.0)], dtype=torch.float64, path=tmp_path / "a"),
        rv.Recording.open(recording.save(tmp_path / "b")),
    ):
        assert all(torch.equal(stored.weights[k], recording.weights[k]) for k in (0, 1))
        assert torch.equal(stored.weights.trace(p).values, trace.values) and list(stored.states) == ["V"]
    # final weights are another network's initial ones
    other = rv.Network()
    a, b = other.add(rv.Poisson(1.0), 30), other.add(rv.LIF(), 40)
    again = other.connect(a, b, weight=recording.weights[p], edges=p.edges())
    assert torch.equal(torch.as_tensor(again.weight), recording.weights[p])


def test_a_simulation_in_pieces_is_the_whole():
    rule = plastic.RULES["reward"]
    net = plastic.network(rule, modulator=plastic.series())
    whole = rv.simulate(net, 60.0)
    pieces = rv.Simulation(net)
    first, second = pieces.run(22.3), pieces.run(37.7)
    assert second.start == pytest.approx(22.3) and second.duration == pytest.approx(37.7)
    assert torch.equal(torch.cat([first.times, second.times]), whole.times)
    assert all(torch.equal(second.weights[k], whole.weights[k]) for k in (0, 1))
    assert pieces.time == pytest.approx(60.0)


def test_a_modulator_and_weights_may_be_replaced_between_pieces():
    rule = rules.RewardSTDP(interval=1.0, tau_d=0.0, A_plus=0.05, A_minus=0.02)
    net = plastic.network(rule, modulator=rv.TimeSeries([0.0], 1.0))
    p, q = net.projections[:2]
    run = rv.Simulation(net, dtype=torch.float64)
    still = run.run(40.0).weights
    assert torch.equal(still[p], torch.as_tensor(p.weight))
    late = rv.TimeSeries([0.0, 0.3], 20.0)  # nothing for 20 ms, then reward
    moved = run.run(20.0, modulators={p: late, q: late}).weights
    assert torch.equal(moved[p], still[p])
    assert not torch.equal(run.run(20.0).weights[p], still[p])
    run.set(p, weight=torch.full((400,), 0.7))
    assert torch.equal(run.weights[p], torch.full((400,), 0.7).double())
    for bad, message in ((torch.ones(3), "3 weights; expected 400"), (torch.full((400,), -1.0), "finite ones")):
        with pytest.raises(ValueError, match=message):
            run.set(p, weight=bad)


def test_what_does_not_fit_is_refused():
    net = rv.Network()
    a = net.add(rv.LIF(), 4, name="a")
    options = {"weight": 0.5, "in_degree": 2}
    for changes, message in (
        ({"plasticity": rules.STDP}, "expected a rule"),
        ({"plasticity": 3}, "expected a rule"),
        ({"plasticity": rules.STDP(), "weight": 1.5}, "within its rule's bounds"),
        ({"plasticity": rules.Hebb(), "synapse": rv.Electrical()}, "continuous"),
        ({"modulator": a}, "no plasticity"),
        ({"plasticity": rules.RewardSTDP(), "modulator": 2.0}, "TimeSeries or a Population"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            net.connect(a, a, **(options | changes))
    p = net.connect(a, a, **options, plasticity=rules.RewardSTDP())
    with pytest.raises(ValueError, match="needs a modulator"):
        rv.simulate(net, 1.0)
    for modulator, message in (
        (rv.TimeSeries(np.zeros((3, 5)), 1.0), "5 columns"),
        (rv.TimeSeries([1.0], 0.25), "multiple of the step"),
        (rv.Network().add(rv.LIF(), 1), "another network"),
    ):
        with pytest.raises(ValueError, match=message):
            rv.simulate(net, 1.0, modulators={p: modulator})
    other = net.connect(a, a, weight=0.1, in_degree=1)
    with pytest.raises(ValueError, match="weights stay"):
        rv.simulate(net, 1.0, modulators={p: a}, record=rv.WeightProbe(other, 1.0))
    with pytest.raises(ValueError, match="expected plastic projections"):
        rv.simulate(net, 1.0, modulators={other: a})
