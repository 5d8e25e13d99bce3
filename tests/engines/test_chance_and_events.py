"""Random numbers in thresholds and resets, events besides spikes, numbers without fractions: in both engines."""

import numpy as np
import pytest
import torch
from scipy import stats

import ranvier as rv
from ranvier.networks.store import read_network, write_network
from tests.engines import plain

ENGINES = ("compiled", "torch")


class Bursting(rv.Neuron):
    """Everything that may happen at a step's end, once."""

    equations = rv.Equations(
        """dV/dt = (drive + floor(w/3) + ceil(w/4) + int(w/5) - w % 2 - V + I)/tau : mV
        dw/dt = -w/tau_w : mV
        dCa/dt = -Ca/tau_w : 1""",
        threshold="V >= V_th",
        reset="over = V - V_th\n V = V_reset + over; w += 2*over - 1; Ca += 1",
        refractory="t_ref",
        events={"burst": ("Ca > 2.5", "Ca -= 1.5; w = w + V - 7"), "low": ("V < -1", "V *= -0.5; low += 1"),
                "high": ("V >= V_th", "w += 0.1*V")},
    )
    tau: float = 10.0
    tau_w: float = 100.0
    V_th: float = 15.0
    V_reset: float = 5.0
    t_ref: float = 2.0


@pytest.mark.parametrize("engine", ENGINES)
def test_events_and_whole_numbers_as_the_text_says(engine):
    net = rv.Network()
    cells = net.add(Bursting(), 3, drive=torch.tensor([35.0, 50.0, -3.0], dtype=torch.float64), initial={"w": -0.7},
                    method="rk4")  # fmt: skip
    source = net.add(rv.SpikeTimes([20.0, 40.0], [0, 0]), 1)
    net.connect(source, cells, weight=-9.0, delay=1.0, synapse=rv.synapses.Jump(onto="w"), probability=1.0)
    names = Bursting.equations.names
    got = rv.simulate(net, 60.0, engine=engine, record=list(names), dtype=torch.float64)
    steps, neurons, course = plain.simulate(net, 0.1, 600, watch=(cells.name,), variables=names)
    assert got.neurons.tolist() == neurons.tolist() and len(steps) > 10
    np.testing.assert_array_equal(np.rint(got.times.numpy() / 0.1), steps)
    for k, name in enumerate(names):
        np.testing.assert_allclose(got.states[name].values, course[cells.name][:, k], rtol=1e-8, atol=1e-9)
    assert (course[cells.name][-1, -3:] > 0).any(1).all()  # all three events occur


class Chance(rv.Neuron):
    """Spikes with probability p a step; x and z share a uniform number, y is normal."""

    equations = rv.Equations(
        "dx/dt = 0 : 1\ndy/dt = 0 : 1\ndz/dt = 0 : 1", threshold="rand() < p",
        reset="u = rand(); x = u; y = randn(); z = u + rand()",
    )  # fmt: skip
    p: float = 0.25


def chance(engine, seed=1, threads=1, size=2000):
    net = rv.Network()
    net.add(Chance(), size, name="chance")
    return rv.Simulation(net, dt=0.1, seed=seed, engine=engine, threads=threads, record=["x", "y", "z"])


@pytest.mark.parametrize("engine", ENGINES)
def test_random_numbers_have_their_laws(engine):
    recording = chance(engine).run(6.0)
    x, y, z = (recording.states[name].values.numpy().astype(np.float64) for name in "xyz")
    count = 60 * 2000
    assert abs(recording.n_spikes / count - 0.25) < 4 * np.sqrt(0.25 * 0.75 / count)
    fresh = (x[1:] != x[:-1]) & (x[1:] != 0)
    assert abs(fresh.sum() - int((recording.times > 0.15).sum())) <= 2
    x, y, z = (a[1:][fresh] for a in (x, y, z))
    assert x.min() >= 0 and x.max() < 1
    laws = (x, stats.uniform), (y, stats.norm), (z - x, stats.uniform)
    for values, law in laws:
        assert stats.kstest(values, law.cdf).pvalue > 1e-4
    independent = np.corrcoef([x, y, z - x, np.roll(x, 1)])[np.triu_indices(4, 1)]
    assert np.abs(independent).max() < 4.5 / np.sqrt(len(x))
    # squares too: the numbers behind one uniform are shared with none
    squares = np.corrcoef([(x - 0.5) ** 2, y**2, (z - x - 0.5) ** 2])[np.triu_indices(3, 1)]
    assert np.abs(squares).max() < 4.5 / np.sqrt(len(x))


def test_chance_depends_on_the_seed_alone():
    whole, cut = chance("compiled"), chance("compiled", threads=2)
    a = whole.run(6.0)
    first = cut.run(2.5)
    stored = cut.store()
    cut.run(1.0)
    cut.restore(stored)
    second = cut.run(3.5)
    assert (first.n_spikes, second.n_spikes) == (len(a.times[a.times < 2.55]), len(a.times[a.times > 2.55]))
    for name in "xyz":
        assert torch.equal(a.states[name].values[-1], second.states[name].values[-1])
    assert chance("compiled", seed=2).run(6.0).n_spikes != a.n_spikes


def test_assignments_draw_the_same_in_every_engine():
    ends = []
    for engine in ENGINES:
        simulation = chance(engine, size=3)
        call = rv.engines.Assignments("chance", "shift = randn(); p = clip(p + 0.01*shift + 0.01*rand(), 0, 1)")
        simulation.run(1.0, call=call, every=0.5)
        ends.append(simulation.get("chance", "p").tolist())
    assert ends[0] == ends[1] and len(set(ends[0])) == 3


def test_what_cannot_take_part_says_so():
    net, other = rv.Network(), rv.Network()
    net.add(Chance(), 2, name="chance")
    other.add(Bursting(), 2)
    with pytest.raises(ValueError, match="'chance' of Chance has random numbers in its threshold or reset; expected"):
        rv.predict(net)
    with pytest.raises(ValueError, match=r"of Bursting has events besides spikes \(burst, low, high\); expected none"):
        rv.predict(other)
    for neuron, what in ((Chance(), "random numbers"), (Bursting(), "events")):
        with pytest.raises(ValueError, match=f"{type(neuron).__name__} has {what}.*; expected none in a layer"):
            rv.nn.from_neuron(neuron, dt=0.1, synapse=rv.synapses.Jump(onto="V"))


def test_a_file_holds_events(tmp_path):
    net = rv.Network()
    net.add(Bursting(), 2)
    write_network(net, tmp_path / "net.json")
    again = read_network(tmp_path / "net.json")
    assert again.populations[0].neuron.equations == Bursting.equations
