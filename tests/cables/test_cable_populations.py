"""Cells of many compartments as populations of a network, against `cables.simulate`."""

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier import cables
from tests.cables.shapes import SQUID


def small() -> cables.CableCell:
    """A soma, a stem, and two unequal branches, of two pieces each."""
    shape = cables.Morphology(soma_diameter=15.0)
    stem = shape.add(100.0, 3.0, end_diameter=2.0)
    for length in (80.0, 120.0):
        shape.add(length, 1.0, after=stem)
    return cables.CableCell(shape, {"soma": SQUID, "dendrite": [cables.Leak(g=0.05, E=-70.0)]}, max_length=60.0)


CELL = small()
TIP = CELL.at(2)


def network(weight=0.5, cells=2):
    net = rv.Network()
    neurons = cables.add_cells(net, CELL, cells, V=-68.0)
    spikes = net.add(rv.SpikeTimes([0.4], [0]), 1)
    for at, cell in ((TIP, 1), (0, 0)):
        population, index = neurons.at(at, cell)
        net.connect(spikes, population, weight=weight * (1.0 if at else 40.0), delay=0.2, edges=([0], [index]),
                    synapse=rv.AlphaConductance(tau=1.0))  # fmt: skip
    return net, neurons


def voltages(run, net, neurons, compartment, cell):
    population, index = neurons.at(compartment, cell)
    return run.states["V"].values[:, population.slice][:, index]


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_a_network_of_compartments_is_the_cell(engine):
    """Apart from the gates' first order: halving the step halves what is left."""
    alone = cables.simulate(
        CELL, 6.0, dt=0.0025, cells=2, V=-68.0, every=0.04, record={"V": [0, TIP]},
        synapses=[cables.SynapticInput(TIP, rv.AlphaConductance(tau=1.0), [0.6], 0.5, 1),
                  cables.SynapticInput(0, rv.AlphaConductance(tau=1.0), [0.6], 20.0, 0)],
    )  # fmt: skip
    errors = []
    duration = 6.0 if engine == "compiled" else 1.2
    for dt in (0.02, 0.01) if engine == "compiled" else (0.04,):
        net, neurons = network()
        probe = rv.Probe("V", interval=0.04)
        run = rv.simulate(net, duration, dt=dt, record=probe, engine=engine, dtype=torch.float64)
        both = [voltages(run, net, neurons, place, 1) for place in (0, TIP)]
        errors.append(max(float((v - alone.traces["V"][: len(v), k, 1]).abs().max()) for k, v in enumerate(both)))
        soma = voltages(run, net, neurons, 0, 0)
        assert (both[1].max() + 68.0) > 1
        if engine == "compiled":
            assert run.n_spikes == 2 and soma.max() > 0  # of the source, and of one soma
    assert errors[0] < 0.1
    if engine == "compiled":
        assert errors[0] / errors[1] == pytest.approx(2, abs=0.5)


def test_gradients_reach_a_synapse_on_a_dendrite():
    weight = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)

    def soma(w):
        net = rv.Network()
        neurons = cables.add_cells(net, CELL, 1, V=-68.0)
        spikes = net.add(rv.SpikeTimes([0.05], [0]), 1)
        population, index = neurons.at(TIP)
        synapse = rv.AlphaConductance(tau=1.0)
        net.connect(spikes, population, weight=w, delay=0.05, edges=([0], [index]), synapse=synapse)
        cell = rv.as_cell(net, 0.05, dtype=torch.float64)
        state = cell(torch.zeros(6, 1, len(CELL) + 1, dtype=torch.float64))[1]
        return state.variables[neurons.at(0)[0].index][0].sum()

    soma(weight).backward()
    with torch.no_grad():
        slope = float(soma(weight + 1e-3) - soma(weight - 1e-3)) / 2e-3
    assert abs(slope) > 1e-5 and float(weight.grad) == pytest.approx(slope, rel=1e-3)


def test_it_comes_back_from_a_file(tmp_path):
    net, _ = network()
    back = rv.read_network(rv.write_network(net, tmp_path / "net"))
    one, two = (rv.simulate(n, 0.4, dt=0.02, record="V", engine="torch").states["V"].values for n in (net, back))
    assert torch.equal(one, two) and np.isfinite(one.numpy()).all() and float(one.std(0).max()) > 0


def test_what_does_not_fit_is_refused():
    net = rv.Network()
    shape = cables.Morphology.with_soma_area(100.0)
    with pytest.raises(ValueError, match="g of Leak differs between cells; expected one number"):
        cables.add_cells(net, cables.CableCell(shape, [cables.Leak(g=[0.1, 0.2])]), 2)
    neurons = cables.add_cells(net, CELL, 3, threshold=-11.0)
    assert float(neurons.at(0)[0].neuron.V_th) == -11.0
    with pytest.raises(ValueError, match="compartment is 0 and cell 3; expected"):
        neurons.at(0, 3)
