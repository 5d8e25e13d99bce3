"""Rewiring as a run goes on: by hand, and by elements that neurons grow, after Butz & van Ooyen as NEST has it."""

import numpy as np
import pytest
import torch

import ranvier as rv

N = 40


def network(edges=([], []), weight=1.0, **neuron):
    """Neurons whose elements do not grow by themselves, unless told otherwise."""
    net = rv.Network(seed=2)
    cells = net.add(rv.neurons.GrowingLIF(**{"nu": 0.0} | neuron), N, name="cells", drive=9.0, noise=3.0)
    return net, cells, net.connect(cells, cells, weight=weight, delay=1.0, edges=edges)


def degrees(p):
    return [np.bincount(ends.numpy(), minlength=N) for ends in p.edges()]


def multiset(p):
    return np.sort(p.edges()[0].numpy() * N + p.edges()[1].numpy())


@pytest.mark.parametrize(("autapses", "multapses"), [(True, True), (False, True), (False, False)])
def test_synapses_bind_free_elements_and_go_with_them(autapses, multapses):
    rng = np.random.default_rng(0)
    net, cells, p = network()
    simulation = rv.Simulation(net, seed=1)
    growth = rv.engines.StructuralPlasticity(p, autapses=autapses, multapses=multapses, decay=0.25)
    before = np.zeros(0, int)
    for _ in range(8):
        axon, dendrite = rng.uniform(-3.0, 25.0, N), rng.uniform(-3.0, 30.0, N)
        simulation.set(cells, axon=axon, dendrite=dendrite)
        growth(simulation)
        out, into = degrees(p)
        whole = [np.floor(x.clip(0)).astype(int) for x in (axon, dendrite)]
        assert (out <= whole[0]).all() and (into <= whole[1]).all()
        if autapses and multapses:  # nothing that could be paired is left
            assert p.size == min(whole[0].sum(), whole[1].sum())
        if not autapses:
            assert (p.edges()[0] != p.edges()[1]).all()
        if not multapses:
            assert len(np.unique(multiset(p))) == p.size > 0
        for name, had, bound in (("axon", axon, out), ("dendrite", dendrite, into)):
            left = had.clip(0) - 0.25 * (had.clip(0) - bound).clip(0)
            assert np.abs(simulation.get(cells, name).numpy() - left).max() < 1e-5
        # as many of the old ones as fewer elements allow stay
        now = multiset(p)
        assert len(before) == 0 or np.isin(before, now).sum() > 0.2 * len(before)
        before = now
    simulation.set(cells, axon=np.maximum(degrees(p)[0], 0.0) + 0.5, dendrite=degrees(p)[1] + 0.5)
    growth(simulation)
    assert np.array_equal(multiset(p), before), "what has its elements stays"


def test_partners_are_random():
    """Every neuron offers 20 of either: a pair has a binomial number of synapses, of mean 20/N."""
    net, cells, p = network()
    simulation = rv.Simulation(net)
    simulation.set(cells, axon=20.5, dendrite=20.5)
    rv.engines.StructuralPlasticity(p, autapses=True)(simulation)
    counts = np.bincount(multiset(p), minlength=N * N)
    mean = 20 / N
    assert p.size == 20 * N and counts.mean() == mean
    # of N² cells the variance has a standard error of about √(2/N²) (1 + 1/(2 mean)) = 7 %; three of them
    assert counts.var() / (mean * (1 - 1 / N)) == pytest.approx(1.0, abs=0.21)


def test_chances_are_of_the_seed_and_the_time():
    wirings = []
    for seed, time, engine in ((0, 0.0, "compiled"), (0, 0.0, "torch"), (0, 1.0, "compiled"), (1, 0.0, "compiled")):
        net, cells, p = network()
        simulation = rv.Simulation(net, seed=seed, engine=engine)
        if time:
            simulation.run(time)
        simulation.set(cells, axon=5.5, dendrite=5.5)
        rv.engines.StructuralPlasticity(p)(simulation)
        wirings.append(multiset(p).tolist())
    assert wirings[0] == wirings[1] and wirings[0] != wirings[2] and wirings[0] != wirings[3]


def test_old_synapses_keep_their_weights():
    rng = np.random.default_rng(3)
    edges = rng.integers(0, N, (2, 200))
    net, cells, p = network((edges[0], edges[1]), weight=torch.arange(200.0) + 1.0)
    old = {w: tuple(e) for w, e in zip(p.weight.tolist(), edges.T.tolist(), strict=True)}
    simulation = rv.Simulation(net)
    simulation.set(cells, axon=degrees(p)[0] + rng.uniform(-2.0, 3.0, N), dendrite=degrees(p)[1] + 0.5)
    rv.engines.StructuralPlasticity(p, weight=-7.0)(simulation)
    ends = np.stack([e.numpy() for e in p.edges()], 1).tolist()
    stayed = [(w, tuple(e)) for w, e in zip(p.weight.tolist(), ends, strict=True) if w > 0]
    assert 100 < len(stayed) < p.size and all(old[w] == e for w, e in stayed)
    assert len({w for w, _ in stayed}) == len(stayed)
    with pytest.raises(ValueError, match="expected weight="):
        rv.engines.StructuralPlasticity(p)


GROWING = {"nu": 0.004, "tau_Ca": 1000.0, "beta": 0.01, "eps": 0.08}


def grow(duration, *, threads=1, engine="compiled", pieces=1, restore=False, dtype=torch.float32):
    net, _, p = network(weight=0.8, **GROWING)
    simulation = rv.Simulation(net, dt=0.5, seed=3, threads=threads, engine=engine, dtype=dtype)
    growth, recordings = rv.engines.StructuralPlasticity(p), []
    for _ in range(pieces):
        if restore:
            stored = simulation.store()
            simulation.run(duration / pieces / 2, call=growth, every=250.0)
            simulation.restore(stored)
        recordings.append(simulation.run(duration / pieces, call=growth, every=250.0))
    return p, torch.cat([r.times for r in recordings]), simulation


def test_the_same_for_any_number_of_threads_in_pieces_and_restored(monkeypatch):
    monkeypatch.setattr("ranvier.engines.compiled.lowering.LEAST_WORK", 1)
    p, times, _ = grow(2000.0)
    assert p.size > 100
    for options in ({"threads": 2}, {"pieces": 2}, {"pieces": 2, "restore": True}):
        other, again, _ = grow(2000.0, **options)
        assert torch.equal(times, again) and all(map(torch.equal, p.edges(), other.edges())), options


def test_rates_come_to_their_target_and_a_loss_of_input_is_made_up_for():
    """Calcium comes to eps, the rate to eps/(beta tau_Ca) = 8 Hz (Butz & van Ooyen 2013), with or without half of the
    drive to half of the neurons."""
    net, cells, p = network(weight=1.0, **GROWING)
    simulation, growth = rv.Simulation(net, dt=0.5, seed=3), rv.engines.StructuralPlasticity(p)
    bare = simulation.run(1000.0).rates().mean()
    simulation.run(7000.0, call=growth, every=500.0)
    whole = simulation.run(6000.0, call=growth, every=500.0).rates()
    before = degrees(p)[1]
    simulation.set(cells, drive=torch.where(torch.arange(N) < N // 2, 7.5, 9.0))
    simulation.run(7000.0, call=growth, every=500.0)
    after = simulation.run(6000.0, call=growth, every=500.0).rates()
    assert bare < 5.0
    assert whole.mean() == pytest.approx(8.0, rel=0.15)
    for half in (after[: N // 2], after[N // 2 :]):
        assert half.mean() == pytest.approx(8.0, rel=0.25)
    gained = degrees(p)[1] - before
    assert gained[: N // 2].mean() > 2.0 > gained[N // 2 :].mean()


@pytest.mark.parametrize("engine", ["stepping", "events", "torch"])
def test_spikes_take_the_new_wiring(engine):
    """Sent after it: to the new target. Under way: with the old one (by steps), or by the wiring of the arrival."""
    net = rv.Network()
    source = net.add(rv.SpikeTimes([5.0, 15.0, 25.0], [0, 0, 0]), 1)
    cells = net.add(rv.LIF(V_th=1e3), 3, initial={"V": -65.0})
    p = net.connect(source, cells, weight=2.0, delay=1.0, edges=([0], [0]))
    other = net.connect(source, cells, weight=0.5, delay=2.0, edges=([0], [2]))
    simulation = rv.Simulation(net, engine=engine, dtype=torch.float64, record="V")
    simulation.run(10.0)
    simulation.set(p, wiring=([0, 0], [1, 1]))
    simulation.run(8.0)
    stored = simulation.store()
    simulation.set(p, wiring=([], []), weight=3.0)
    V = [simulation.run(12.0).states["V"].values]
    simulation.restore(stored)
    assert p.size == 2 and p.weight == 2.0 and other.size == 1
    V.append(simulation.run(12.0).states["V"].values)
    fall = lambda t: np.exp(-(30.0 - t) / 20.0)  # noqa: E731
    last = [x[-1].numpy() + 65.0 for x in V]
    slow = 0.5 * (fall(7.0) + fall(17.0) + fall(27.0))
    assert np.abs(last[0] - [2 * fall(6.0), 4 * fall(16.0), slow]).max() < 0.02
    assert np.abs(last[1] - [2 * fall(6.0), 4 * (fall(16.0) + fall(26.0)), slow]).max() < 0.02
    assert [x.tolist() for x in simulation.get(p, "wiring")] == [[0, 0], [1, 1]]


def test_what_does_not_fit_is_refused(tmp_path):
    net, cells, p = network(([0, 1], [1, 2]), weight=[1.0, 2.0])
    learns = net.connect(cells, cells, weight=0.5, edges=([0], [1]), plasticity=rv.rules.STDP())
    late = net.connect(cells, cells, weight=0.5, delay=[1.0, 2.0], edges=([0, 1], [1, 0]))
    plain = net.connect(cells, cells, weight=0.5, in_degree=2)
    simulation = rv.Simulation(net)
    for target, values, message in (
        (p, {"wiring": ([0], [1])}, "a weight an edge"),
        (p, {"wiring": ([0], [1]), "weight": [1.0, 2.0]}, "2 values for 1"),
        (learns, {"wiring": ([0], [1])}, "learns"), (late, {"wiring": ([0], [1])}, "a delay an edge"),
        (plain, {"wiring": ([0], [N])}, f"Edge 0 has target {N}"), (plain, {"wiring": ([-1], [0])}, "source -1"),
        (plain, {"wiring": ([0, 1], [1])}, "2 sources and 1 targets"), (plain, {"wiring": ([0.5], [1])}, "whole"),
        (plain, {"wiring": None}, "wiring"), (plain, {"wiring": rv.wiring.InDegree}, "expected a rule"),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=message):
            simulation.set(target, **values)
    assert p.size == 2 and plain.size == 2 * N
    simulation.set(plain, wiring=rv.wiring.InDegree(3))
    simulation.set(p, wiring=([3], [3]), weight=[4.0])
    simulation.run(1.0)
    with pytest.raises(ValueError, match="decay is 2"):
        rv.engines.StructuralPlasticity(plain, decay=2)
    with pytest.raises(TypeError, match="expected a Projection"):
        rv.engines.StructuralPlasticity("cells")
    with pytest.raises(ValueError, match="no variable 'twigs'"):
        rv.engines.StructuralPlasticity(plain, axon="twigs")(simulation)
    with pytest.raises(ValueError, match="expected no intervention"):
        rv.engines.StructuralPlasticity(plain)(rv.Simulation(net, path=tmp_path / "run"))
