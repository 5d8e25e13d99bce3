"""A run is a function of (network, duration, dt, seed): not of threads, cuts, interruptions."""

import os
import signal
import time

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines.compiled.engine import CompiledEngine
from ranvier.engines.protocol import EngineOptions
from ranvier.engines.recording.probes import resolve_probes
from ranvier.engines.step_model import step_models
from tests.engines import noisy

STEPS = round(noisy.DURATION / noisy.DT)


@pytest.fixture(autouse=True)
def threads_as_requested(monkeypatch):
    monkeypatch.setattr("ranvier.engines.compiled.lowering.LEAST_WORK", 1)  # or so small a network would stay on one


def test_a_small_network_stays_on_one_thread(monkeypatch):
    monkeypatch.undo()
    assert engine(threads=3).threads == 1


@pytest.fixture(scope="module")
def whole():
    return noisy.run()


def engine(threads=1, seed=7):
    net = noisy.network()
    probes = resolve_probes(noisy.record(net), net, step_models(net), noisy.DT)
    return CompiledEngine.prepare(net, EngineOptions(noisy.DT, seed=seed, threads=threads, probes=probes))


def joined(pieces):
    traces = {k: np.concatenate([p[2][k][1] for p in pieces]) for k in ("V", "s")}
    return np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces]), traces


def agrees(pieces, whole):
    steps, neurons, traces = joined(pieces)
    return (
        np.array_equal(steps, np.rint(whole.times.numpy() / noisy.DT))
        and np.array_equal(neurons, whole.neurons.numpy())
        and all(np.array_equal(traces[k], whole.states[k].values.numpy()) for k in traces)
    )


def test_the_network_is_worth_testing(whole):
    rates = whole.rates()
    populations = whole.network.populations
    assert all(5.0 < rates[p.slice].mean() < 100.0 for p in populations)
    assert whole.states["V"].values.shape == (200, 3) and whole.states["s"].values.shape == (30, 550)
    assert torch.allclose(whole.states["s"].times, 2.0 * torch.arange(1, 31).double())


@pytest.mark.parametrize("threads", [2, 3])
def test_threads(whole, threads):
    assert engine(threads).threads == threads
    assert noisy.same(noisy.run(threads=threads), whole)


def test_another_seed_is_another_run(whole):
    other = noisy.run(seed=8)
    assert not torch.equal(other.neurons[:1000], whole.neurons[:1000])


def test_the_wiring_does_not_depend_on_the_seed_of_the_run(whole):
    assert torch.equal(noisy.network().projections[0].edges()[0], whole.network.projections[0].edges()[0])


@pytest.mark.parametrize("cut", range(6))
def test_cut_anywhere_and_joined(whole, cut):
    rng = np.random.default_rng(cut)
    pieces, machine = [], engine(threads=1 + cut % 3)
    while machine.step < STEPS:
        longest = [1, 2, 7, 40, 130, 600][cut] if machine.step < 60 else 200
        pieces.append(machine.advance(min(STEPS, machine.step + int(rng.integers(1, longest + 1)))))
    assert agrees(pieces, whole)


def test_a_state_is_taken_up_by_a_fresh_engine(whole):
    first = engine()
    pieces = [first.advance(333)]
    state = first.state()
    saved = {k: v.copy() for k, v in state.items()}
    rest = first.advance(STEPS)
    assert all(np.array_equal(state[k], saved[k]) for k in saved)  # a state is a copy, and stays
    second = engine(threads=2)
    second.advance(50)
    second.load(state)
    assert second.step == 333
    assert agrees([*pieces, second.advance(STEPS)], whole) and agrees([*pieces, rest], whole)


def test_the_state_of_another_network_is_refused():
    machine = engine()
    net = noisy.network(size=1400)
    other = CompiledEngine.prepare(net, EngineOptions(noisy.DT, seed=7))
    with pytest.raises(ValueError, match="belongs to another network"):
        machine.load(other.state())


def test_two_runs_at_a_time_do_not_meet(whole):
    one, two = engine(), engine(seed=8)
    pieces, others = [], []
    for last in (100, 250, STEPS):
        pieces.append(one.advance(last))
        others.append(two.advance(last))
    assert agrees(pieces, whole) and not agrees(others, whole)


def test_a_first_neuron_keeps_its_noise_when_others_join():
    """Streams belong to neurons: a larger population does not shift the smaller one's noise."""
    values = []
    for size in (3, 400):
        net = rv.Network()
        net.add(rv.LIF(V_th=1e9), size, noise=5.0)
        values.append(rv.simulate(net, 20.0, record=rv.Probe("V", neurons=[0, 1, 2])).states["V"].values)
    assert torch.equal(*values)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_killed_run_goes_on_to_the_same_end(whole, tmp_path, monkeypatch):
    def short(runner, steps):
        """Many short segments, so that a kill falls anywhere between and within."""
        while runner.step < steps:
            yield min(steps, runner.step + 1 + (7 * runner.step) % 23)

    monkeypatch.setattr("ranvier.engines._run._spans", short)
    folder, rng = tmp_path / "run", np.random.default_rng(0)
    for k in range(6):
        child = os.fork()
        if child == 0:
            noisy.run(path=folder)
            os._exit(0)
        began, before = time.monotonic(), len(list(folder.glob("segment-*")))
        while len(list(folder.glob("segment-*"))) < before + 3:
            assert time.monotonic() - began < 60.0, "the run writes nothing"
            time.sleep(0.001)
        time.sleep(float(rng.uniform(0.0, 0.02)))
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, f"run {k} ended before it was killed"
    assert noisy.same(noisy.run(path=folder, threads=2), whole)
    assert noisy.same(noisy.run(path=folder), whole)  # a complete run is only read


def test_a_resumed_run_must_be_the_same(tmp_path):
    small = _small(0.5)
    rv.simulate(small, 5.0, path=tmp_path / "run", record=rv.Probe("V", interval=1.0))
    for changed in (
        {"seed": 1}, {"dt": 0.05}, {"duration": 4.0}, {"dtype": torch.float64}, {"record": "V"},
        {"record": rv.Probe("s", of=small.projections[0], interval=1.0, name="V")}, {"network": _small(0.75)},
    ):  # fmt: skip
        options = {"record": rv.Probe("V", interval=1.0)} | changed
        network, duration = options.pop("network", small), options.pop("duration", 5.0)
        with pytest.raises(ValueError, match=r"another run|traces"):
            rv.simulate(network, duration, path=tmp_path / "run", **options)


def _small(weight):
    net = rv.Network()
    a = net.add(rv.LIF(), 4, drive=20.0)
    net.connect(a, a, weight=weight, in_degree=2, synapse=rv.Exponential(tau=4.0))
    return net
