"""A simulation under the user's hand: what is set acts from there on and nothing else changes, to the bit."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv

RECORD = [rv.Probe("V", neurons="cells", interval=0.5)]


def network() -> rv.Network:
    """Noise, delays, a background, synapses that learn and synapses that do not."""
    net = rv.Network(seed=2)
    source = net.add(rv.Poisson(rate=400.0), 6, "source")
    cells = net.add(rv.LIF(), 9, "cells", drive=12.0, noise=4.0)
    net.connect(source, cells, weight=1.0, delay=1.3, probability=0.5, plasticity=rv.rules.STDP(A_plus=0.1))
    net.connect(cells, cells, weight=4.0, delay=0.7, in_degree=3, synapse=rv.Exponential(tau=4.0))
    net.background(cells, rate=300.0, weight=2.0)
    return net


def same(x: rv.Recording, y: rv.Recording) -> bool:
    return (
        torch.equal(x.times, y.times)
        and torch.equal(x.neurons, y.neurons)
        and torch.equal(x.states["V"].values, y.states["V"].values)
        and all(torch.equal(x.weights[k], y.weights[k]) for k in y.weights)
    )


@pytest.fixture(params=["compiled", "torch"])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[torch.float32, torch.float64])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


def test_setting_what_is_there_changes_nothing(engine, dtype):
    """Each value that `get` returns is set again: the engine is rebuilt, the run goes on to the same bits; in torch,
    whose exp of one number and of nine differ in the last bit, to its precision."""
    whole = rv.Simulation(network(), record=RECORD, engine=engine, dtype=dtype).run(29.9)
    net = network()
    simulation = rv.Simulation(net, record=RECORD, engine=engine, dtype=dtype)
    learns, fixed = net.projections
    targets = [*net.populations, fixed, net.backgrounds[0], *[learns] * (engine == "compiled")]
    pieces = []
    for k in range(13):  # of 23 steps: an odd number, after which a second normal of a pair is kept
        pieces.append(simulation.run(2.3))
        target = targets[k % len(targets)]
        simulation.set(target, **simulation.get(target))
    assert torch.equal(torch.cat([p.times for p in pieces]), whole.times) and whole.n_spikes > 50
    tolerance = 0.0 if engine == "compiled" else 1e3 * torch.finfo(dtype).eps
    V = torch.cat([p.states["V"].values for p in pieces])
    assert torch.allclose(V, whole.states["V"].values, rtol=0, atol=tolerance)
    assert torch.allclose(simulation.weights[learns], whole.weights[0], rtol=0, atol=tolerance)


def test_calls_do_not_change_a_run(engine):
    reached = []
    whole = rv.Simulation(network(), record=RECORD, engine=engine).run(20.0)
    simulation = rv.Simulation(network(), record=RECORD, engine=engine)
    run = simulation.run(20.0, call=lambda s, piece: reached.append((s.time, piece.start, piece.duration)), every=6.0)
    assert same(run, whole) and run.duration == 20.0
    assert np.allclose(reached, [(6, 0, 6), (12, 6, 6), (18, 12, 6), (20, 18, 2)])


def test_a_variable_set_follows_its_closed_form(engine, dtype):
    """V relaxes from where it was set: V(t) = drive + E_L + (V0 − drive − E_L) e^(−t/τ), below threshold."""
    net = rv.Network()
    cells = net.add(rv.LIF(tau_m=20.0, E_L=-65.0, V_th=-50.0), 3, "cells", drive=5.0)
    simulation = rv.Simulation(net, record="V", engine=engine, dtype=dtype)
    simulation.run(7.0)
    simulation.set(cells, V=[-70.0, -62.0, -55.0])
    V = simulation.run(11.0).states["V"].values[-1].double()
    expected = -60.0 + (torch.tensor([-70.0, -62.0, -55.0], dtype=torch.float64) + 60.0) * math.exp(-11.0 / 20.0)
    assert torch.allclose(V, expected, atol=1e-10 if dtype == torch.float64 else 2e-5)
    assert torch.allclose(simulation.get("cells", "V"), V)


def test_a_parameter_set_follows_its_closed_form(engine, dtype):
    """Drive and time constant change in mid-run; one neuron's differ, so that a scalar becomes a row."""
    net = rv.Network()
    cells = net.add(rv.LIF(tau_m=20.0, E_L=-65.0, V_th=-40.0), 2, "cells", drive=5.0)
    simulation = rv.Simulation(net, record="V", engine=engine, dtype=dtype)
    simulation.run(10.0)
    simulation.set(cells, drive=[10.0, 20.0], tau_m=8.0)
    V = simulation.run(10.0).states["V"].values[-1].double()
    middle = -60.0 - 5.0 * math.exp(-0.5)
    ends = torch.tensor([-55.0, -45.0], dtype=torch.float64)
    assert torch.allclose(V, ends + (middle - ends) * math.exp(-10.0 / 8.0), atol=1e-10 if V.dtype == dtype else 2e-5)
    assert net["cells"].parameters["tau_m"] == 8.0


def test_refractoriness_can_be_read_and_set(engine):
    net = rv.Network()
    cells = net.add(rv.LIF(t_ref=5.0), 1, "cells", drive=40.0)
    simulation = rv.Simulation(net, engine=engine, dtype=torch.float64)
    first = float(simulation.run(30.0).times[0])
    simulation.reset()
    simulation.run(first)
    assert simulation.get(cells, "refractory_left").tolist() == pytest.approx([5.0])
    simulation.set(cells, refractory_left=12.0)
    held = 12.0 + first  # V starts from its reset when it is free, as it did from rest at t = 0
    assert float(simulation.run(60.0).times[0]) - first == pytest.approx(held, abs=0.11)


def test_weights_and_rates_set_act(engine):
    """The second spike has the new weight; a background is turned on and off."""
    net = rv.Network()
    source = net.add(rv.SpikeTimes([1.0, 11.0], [0, 0]), 1, "source")
    cells = net.add(rv.LIF(E_L=-65.0), 1, "cells")
    synapses = net.connect(source, cells, weight=2.0, delay=1.0, edges=([0], [0]))
    noise = net.background(cells, rate=0.0, weight=3.0)
    simulation = rv.Simulation(net, record="V", engine=engine, dtype=torch.float64)
    jumps = [float(simulation.run(2.1).states["V"].values[-1, 0]) + 65.0]
    simulation.set(synapses, weight=5.0)
    jumps.append(float(simulation.run(10.0).states["V"].values[-1, 0]) + 65.0)
    assert jumps == pytest.approx(
        [2.0 * math.exp(-0.1 / 20.0), 5.0 * math.exp(-0.1 / 20.0) + 2.0 * math.exp(-10.1 / 20.0)]
    )
    simulation.set(noise, rate=5000.0)
    assert simulation.run(50.0).n_spikes > 5
    simulation.set(noise, rate=0.0)
    simulation.run(5.0)
    assert simulation.run(100.0).n_spikes == 0


def test_a_synapse_variable_is_read_and_set(engine):
    """g decays by e^(−t/τ) from where it was set, and is shared by inputs of one kind."""
    net = rv.Network()
    source = net.add(rv.Poisson(rate=0.0), 1, "source")
    cells = net.add(rv.LIF(), 2, "cells")
    synapse = rv.Exponential(tau=5.0)
    first = net.connect(source, cells, weight=2.0, probability=1.0, synapse=synapse)
    second = net.background(cells, rate=0.0, weight=2.0, synapse=rv.Exponential(tau=5.0))
    simulation = rv.Simulation(net, engine=engine, dtype=torch.float64)
    (name,) = set(simulation.get(first)) - {"weight", "wiring"}
    assert set(simulation.get(second)) == {"rate", "weight", name} and name not in simulation.get(cells)
    simulation.set(first, **{name: [3.0, 0.5]})
    simulation.run(10.0)
    expected = torch.tensor([3.0, 0.5], dtype=torch.float64) * math.exp(-2.0)
    assert torch.allclose(simulation.get(second, name), expected, rtol=1e-12)


def test_store_and_restore_to_the_bit(engine):
    """Back over a change of parameters, weights and variables; and on another path from the same point."""
    net = network()
    simulation = rv.Simulation(net, record=RECORD, engine=engine)
    simulation.run(8.0)
    there = simulation.store()
    first = simulation.run(12.0)
    simulation.set("cells", drive=25.0, V=-60.0)
    simulation.set(net.projections[1], weight=0.0)
    assert not same(simulation.run(12.0), first)
    simulation.restore(there)
    assert simulation.time == 8.0 and net["cells"].parameters["drive"] == 12.0
    assert same(simulation.run(12.0), first)
    simulation.restore(there)
    assert same(simulation.run(12.0), first)
    simulation.reset()
    assert same(simulation.run(20.0), rv.simulate(network(), 20.0, record=RECORD, engine=engine))


def test_modulators_come_back(engine):
    net = rv.Network()
    a, b = net.add(rv.Poisson(rate=500.0), 3), net.add(rv.LIF(), 2, drive=20.0)
    rule = rv.rules.RewardSTDP()
    p = net.connect(a, b, weight=1.0, probability=1.0, plasticity=rule, modulator=rv.TimeSeries([1.0, -1.0], 5.0))
    simulation = rv.Simulation(net, engine=engine)
    simulation.run(20.0)
    there = simulation.store()
    plain = simulation.run(20.0).weights[p]
    simulation.restore(there)
    other = simulation.run(20.0, modulators={p: rv.TimeSeries([3.0], 5.0)}).weights[p]
    simulation.set(b, drive=20.5)  # rebuilt: the modulator goes on
    there_too = simulation.store()
    further = simulation.run(20.0).weights[p]
    simulation.restore(there)
    assert torch.equal(simulation.run(20.0).weights[p], plain) and not torch.equal(plain, other)
    simulation.restore(there_too)
    assert torch.equal(simulation.run(20.0).weights[p], further) and not torch.equal(further, other)


def test_a_call_stops_a_run():
    net = network()
    simulation = rv.Simulation(net, record=RECORD)

    def until(simulation, piece):
        if piece.n_spikes > 3:
            simulation.stop()

    run = simulation.run(1000.0, call=until, every=1.0)
    assert run.duration < 1000.0 and run.duration == pytest.approx(simulation.time)
    assert run.after(run.duration - 1.0).n_spikes > 3
    with pytest.raises(RuntimeError, match="stop was called while nothing runs"):
        simulation.stop()


def test_a_closed_loop_holds_a_rate():
    """The drive is moved by what was measured until the rate is the one that was wanted."""
    net = rv.Network()
    cells = net.add(rv.LIF(), 200, "cells", drive=10.0, noise=3.0)
    simulation = rv.Simulation(net)

    def control(simulation, piece):
        rate = piece.n_spikes / len(cells) / piece.duration * 1e3
        simulation.set(cells, drive=cells.parameters["drive"] + 0.05 * (20.0 - rate))

    simulation.run(3000.0, call=control, every=100.0)
    assert simulation.run(2000.0).rates().mean() == pytest.approx(20.0, rel=0.05)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"W": 1.0}, "has no 'W' to set"),
        ({"V": [1.0, 2.0]}, r"has shape \(2,\); expected a number, or \(9,\)"),
        ({"V": float("nan")}, "not finite"),
        ({"V": "high"}, "expected a number"),
        ({"tau_m": -1.0}, "tau_m"),
        ({"V": -60.0, "tau_m": [1.0]}, "tau_m"),
        ({"refractory_left": -1.0}, "refractory_left"),
    ],
)
def test_what_does_not_fit_changes_nothing(values, message):
    net = network()
    simulation = rv.Simulation(net, record=RECORD)
    simulation.run(5.0)
    with pytest.raises((ValueError, TypeError), match=message):
        simulation.set("cells", **values)
    reference = rv.Simulation(network(), record=RECORD)
    reference.run(5.0)
    assert same(simulation.run(10.0), reference.run(10.0))


def test_what_cannot_be_is_refused(tmp_path):
    net, other = network(), network()
    simulation = rv.Simulation(net)
    with pytest.raises(ValueError, match="expected both, or neither"):
        simulation.run(1.0, every=1.0)
    with pytest.raises(ValueError, match=r"every is 0\.25 ms"):
        simulation.run(1.0, call=print, every=0.25)
    with pytest.raises(RuntimeError, match="within a call"):
        simulation.run(1.0, call=lambda s, _: s.run(1.0), every=0.5)
    with pytest.raises(ValueError, match="another network"):
        simulation.set(other.projections[1], weight=1.0)
    with pytest.raises(ValueError, match="of another network"):
        simulation.restore(rv.Simulation(other).store())
    net.set("cells", drive=3.0)
    with pytest.raises(ValueError, match="was changed after"):
        simulation.set("cells", drive=4.0)
    with rv.Simulation(other, path=tmp_path / "run") as on_disk:
        on_disk.run(2.0)
        assert on_disk.get("cells", "V").shape == (9,)
        for act in (
            lambda: on_disk.set("cells", V=-60.0),
            on_disk.reset,
            lambda: on_disk.restore(on_disk.store()),
            lambda: on_disk.run(2.0, call=print, every=1.0),
        ):
            with pytest.raises(ValueError, match="a run is a function of network and seed"):
                act()


def test_assignments_are_equations():
    """θ ← θ/2 + 1 every 10 ms: after n of them 2 − 2^(1−n) from 0; both sides are of the values before."""
    net = rv.Network()
    cells = net.add(rv.LIF(E_L=-65.0), 2, "cells", drive=[0.0, 4.0])
    simulation = rv.Simulation(net)
    call = rv.engines.Assignments("cells", "drive = drive/2 + 1; V = E_L + t + 0*drive")
    simulation.run(40.0, call=call, every=10.0)
    assert simulation.get(cells, "drive").tolist() == [2 - 2**-3, 2 + 2**-3]
    assert simulation.get(cells, "V").tolist() == [-25.0, -25.0]
    swap = rv.engines.Assignments(cells, "old = drive; drive = noise; noise = old")
    swap(simulation)
    assert simulation.get(cells, "noise").tolist() == [2 - 2**-3, 2 + 2**-3]
    assert simulation.get(cells, "drive").tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "text", ["", "drive", "drive == 1", "drive = ", "a.b = 1", "x = __import__('os')"]
)
def test_assignments_that_are_none(text):
    with pytest.raises((ValueError, TypeError)):
        rv.engines.Assignments("cells", text)


def test_assignments_name_what_they_miss():
    simulation = rv.Simulation(network())
    with pytest.raises(ValueError, match="use other; expected variables"):
        rv.engines.Assignments("cells", "drive = other")(simulation)
