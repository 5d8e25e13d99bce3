"""Changes after the fact: they take effect, or are refused with what to do instead; never are they ignored."""

import copy
import pickle

import numpy as np
import pytest
import torch

import ranvier as rv


def network():
    net = rv.Network()
    cells = net.add(rv.LIF(), 3, "cells", drive=20.0)
    net.connect(cells, cells, weight=torch.full((6,), 0.1), probability=1.0)
    return net


def test_parameters_are_set_through_the_network_only():
    net = network()
    cells = net["cells"]
    for change in (
        lambda: cells.parameters.__setitem__("tau_m", 5.0), lambda: cells.parameters.update(tau_m=5.0),
        lambda: cells.parameters.pop("tau_m"), lambda: cells.parameters.setdefault("x", 1.0),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"read-only.*net\.set"):
            change()
    before = len(rv.simulate(net, 100.0).times)
    net.set("cells", drive=40.0)
    assert cells.parameters["drive"] == 40.0 and len(rv.simulate(net, 100.0).times) > 1.5 * before
    with pytest.raises(ValueError, match="no parameter 'taum'"):
        net.set(cells, taum=1.0)
    with pytest.raises(ValueError, match=r"'tau_m' of population 'cells' is -1 ms"):
        net.set(cells, drive=0.0, tau_m=-1.0)
    assert cells.parameters["drive"] == 40.0  # nothing was changed
    assert copy.deepcopy(cells.parameters) == cells.parameters == pickle.loads(pickle.dumps(cells.parameters))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda net: net.set("cells", drive=0.0), "'drive' of population 'cells' was changed"),
        (lambda net: net.add(rv.LIF(), 2, "more"), "'more' was added"),
        (lambda net: net.connect("cells", "cells", weight=1.0, in_degree=1), "was added"),
        (lambda net: net.background("cells", 100.0, 0.1), "was added"),
        (lambda net: net.projections.pop(), "was taken away"),
        (lambda net: net.projections[0].weight.mul_(2.0), "The weight of .* was changed"),
    ],
)
def test_a_simulation_does_not_go_on_with_another_network(change, name):
    net = network()
    simulation = rv.Simulation(net)
    simulation.run(10.0)
    change(net)
    with pytest.raises(ValueError, match=f"{name}.*Make a new Simulation"):
        simulation.run(10.0)
    rv.Simulation(net).run(10.0)


def test_arrays_are_copied():
    """What is done to an array afterwards is nothing to the network."""
    net, drive = rv.Network(), np.array([20.0, 20.0])
    cells = net.add(rv.LIF(tau_m=drive), 2, drive=drive, positions=drive)
    weight = np.array([1.0, 2.0])
    edges = net.connect(cells, cells, weight=weight, edges=([0, 1], [1, 0]))
    drive[:], weight[:] = -1.0, -1.0
    assert cells.parameters["drive"].tolist() == cells.parameters["tau_m"].tolist() == [20.0, 20.0]
    assert cells.positions.tolist() == [[20.0], [20.0]] and edges.weight.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "edges",
    [
        [(0, 1), (1, 2)], [(0, 1), (1, 2), (2, 0)], ((0, 1), (1, 2)), [[0, 1], [1, 2]], np.array([[0, 1], [1, 2]]),
        torch.tensor([[0, 1, 2], [1, 2, 0]]), zip([0, 1], [1, 2]), ([0, 1],),
    ],
)  # fmt: skip
def test_pairs_are_no_edges(edges):
    net = network()
    with pytest.raises(ValueError, match=r"edges (is|has).*edges=\(pairs\[:, 0\], pairs\[:, 1\]\)"):
        net.connect("cells", "cells", weight=1.0, edges=edges)
    assert len(net.projections) == 1


@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_sources_and_targets_are_edges(make):
    net = network()
    p = net.connect("cells", "cells", weight=1.0, edges=(make([0, 1]), make([1, 2])))
    assert [x.tolist() for x in p.edges()] == [[0, 1], [1, 2]]


def test_a_population_of_another_network_is_refused():
    """Even of a network that looks the same."""
    net, twin = network(), network()
    recording = rv.simulate(net, 50.0)
    for ask in (
        lambda p: recording.rates(neurons=p), lambda p: recording.rates(neurons=[p]),
        lambda p: rv.simulate(net, 1.0, record=rv.Probe("V", neurons=p)),
    ):  # fmt: skip
        ask(net["cells"])
        with pytest.raises(ValueError, match=r"'cells'.* belongs to another network"):
            ask(twin["cells"])
    noisy, other = rv.Network(), rv.Network()
    noisy.add(rv.LIF(), 2, "a", drive=10.0, noise=5.0)
    with pytest.raises(ValueError, match="another network"):
        rv.predict(noisy).rates(neurons=other.add(rv.LIF(), 2, "a"))


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda net, tau, w: tau.data.fill_(-1.0), r"'tau_m' of population 'cells' is -1 ms.*optimiser"),
        (lambda net, tau, w: w.data[1:2].fill_(-0.5), r"weight from 'cells' to 'cells' is -0.5 nS at edge 1"),
    ],
)
def test_trained_values_that_left_their_domain_are_named(spoil, name):
    tau, w = torch.tensor(20.0, requires_grad=True), torch.full((6,), 0.1, requires_grad=True)
    net = rv.Network()
    cells = net.add(rv.LIF(tau_m=tau), 3, "cells", drive=10.0, noise=4.0)
    net.connect(cells, cells, weight=w, probability=1.0, synapse=rv.ExponentialConductance())
    spoil(net, tau, w)
    for use in (lambda: rv.simulate(net, 1.0), lambda: rv.predict(net), lambda: rv.Simulation(net)):
        with pytest.raises(ValueError, match=name):
            use()
