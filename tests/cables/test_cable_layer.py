"""The differentiable cable: the tree's solution and whole runs against finite differences, and against `simulate`."""

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier import cables
from tests.cables.shapes import SQUID, conductances, tree

CELL = cables.CableCell(tree(), SQUID, max_length=60.0)
TIP = CELL.at(5)


def layer(dtype=torch.float64, **options):
    return cables.CableLayer(CELL, [0, TIP], [0, TIP, 3], dtype=dtype, **options)


def currents(steps=100, batch=3):
    x = torch.zeros(steps, batch, 2, dtype=torch.float64)
    x[20:90, :, 0] = torch.tensor([100.0, 200.0, 300.0], dtype=torch.float64)
    x[50:, 1, 1] = 20.0
    return x


def test_the_trees_solution_is_numpys_and_its_gradients_those_of_finite_differences(rng):
    n = len(CELL)
    D = torch.from_numpy(rng.uniform(1.0, 3.0, (n, 2))).requires_grad_()
    g = torch.from_numpy(CELL.axial / 100).requires_grad_()
    R, V = (torch.from_numpy(rng.normal(size=(n, 2))).requires_grad_() for _ in range(2))
    x = cables.tree_solve(D, g, R, V, CELL.parent)
    G = conductances(CELL) / 100
    for k in range(2):
        d, r, v = (tensor[:, k].detach().numpy() for tensor in (D, R, V))
        exact = np.linalg.solve(G + np.diag(d), r - G @ v)
        np.testing.assert_allclose(x[:, k].detach(), exact, rtol=1e-10, atol=1e-12)
    assert torch.autograd.gradcheck(lambda *a: cables.tree_solve(*a, CELL.parent), (D, g, R, V), atol=1e-7)


@pytest.mark.parametrize("method", ["midpoint", "backward_euler"])
def test_a_run_is_that_of_simulate(method):
    x = currents()
    V, _ = layer(method=method)(x)
    inputs = [cables.Current(at, x[:, :, k].numpy()) for k, at in enumerate((0, TIP))]
    run = cables.simulate(CELL, 2.5, cells=3, currents=inputs, record={"V": [0, TIP, 3]}, method=method)
    assert (V - run.traces["V"].transpose(1, 2)).abs().max() < 1e-8 and V.max() > 0


def test_synapses_are_those_of_simulate():
    x = torch.zeros(80, 1, 2, dtype=torch.float64)
    x[20, 0, 1], x[60, 0, 0] = 1.0, 2.0
    synapse = rv.AlphaConductance(tau=1.0)
    cell = layer(synapse=synapse)
    with torch.no_grad():
        cell.weight.copy_(torch.tensor([0.5, 3.0]))
    inputs = [cables.SynapticInput(TIP, synapse, [0.5], 3.0), cables.SynapticInput(0, synapse, [1.5], 1.0)]
    run = cables.simulate(CELL, 2.0, synapses=inputs, record={"V": [0, TIP, 3]})
    assert (cell(x)[0] - run.traces["V"].transpose(1, 2)).abs().max() < 1e-8


def test_gradients_of_a_run_are_those_of_finite_differences():
    """Through spikes of the squid's channels: conductances, capacitances, channels' and synapses' strengths, inputs."""
    learn = ["axial", "capacitance", "weight", "SquidSodium.g", "Leak.E"]
    cell = layer(learn=learn, synapse=rv.ExponentialConductance(tau=1.0), dt=0.1)
    x = torch.zeros(15, 1, 2, dtype=torch.float64)
    x[1, 0, 0], x[2, 0, 1] = 6.0, 1.0
    x.requires_grad_()

    def loss():
        V = cell(x)[0]
        return (V[7:] * torch.linspace(0, 1, 3, dtype=V.dtype)).mean()

    loss().backward()
    for tensor, place, step in (
        (cell.axial, 4, 1e-3), (cell.capacitance, 7, 1e-4), (cell.weight, 1, 1e-5), (cell.SquidSodium_g, (), 1e-4),
        (cell.Leak_E, (), 1e-4), (x, (1, 0, 0), 1e-5),
    ):  # fmt: skip
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                tensor[place] += sign * step
                values.append(float(loss()))
                tensor[place] -= sign * step
        slope = (values[0] - values[1]) / (2 * step)
        assert abs(slope) > 1e-5 and float(tensor.grad[place]) == pytest.approx(slope, rel=1e-4)


def test_runs_may_be_cut_and_entries_are_independent():
    x, cell = currents(), layer()
    whole, last = cell(x)
    first, state = cell(x[:60])
    held = {name: value.clone() for name, value in state.items()}
    second, end = cell(x[60:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert all(torch.equal(end[k], last[k]) and torch.equal(held[k], state[k]) for k in last)
    step_state, V = cell.step(cell.init_state(3), x[0])
    assert torch.equal(V, whole[0]) and step_state.keys() == last.keys()
    assert torch.allclose(cell(x[:, 1:2])[0], whole[:, 1:2], atol=1e-9)


def test_float32_follows_float64_and_a_layer_learns():
    x = currents(60)
    assert (layer(torch.float32)(x.float())[0] - layer()(x)[0]).abs().max() < 0.1
    passive = cables.CableCell(tree(), [cables.Leak(g=0.1)], max_length=100.0)
    target = cables.CableLayer(passive, [0], [0], dt=1.0, dtype=torch.float64)(x[10:30, :1, :1])[0]
    student = cables.CableLayer(
        cables.CableCell(tree(), [cables.Leak(g=0.3)], max_length=100.0), [0], [0], dt=1.0, learn=["Leak.g"],
        dtype=torch.float64,
    )  # fmt: skip
    optimizer = torch.optim.Adam(student.parameters(), lr=0.02)
    for _ in range(10):
        optimizer.zero_grad()
        (student(x[10:30, :1, :1])[0] - target).square().mean().backward()
        optimizer.step()
    assert float(student.Leak_g.detach()) == pytest.approx(0.1, abs=0.25 * (0.3 - 0.1))  # most of the way


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"learn has 'Leak\.gg'; expected one of .*Leak\.g"):
        layer(learn=["Leak.gg"])
    with pytest.raises(ValueError, match="at holds 999; expected"):
        cables.CableLayer(CELL, [999], [0])
    with pytest.raises(ValueError, match=r"expected \(T, B, 2\)"):
        layer()(torch.zeros(3, 1, 3, dtype=torch.float64))
    two = cables.CableCell(tree(), {"soma": [cables.Leak(g=0.1)], "dendrite": [cables.Leak(g=0.2)]}, max_length=100.0)
    with pytest.raises(ValueError, match=r"learn has 'Leak\.g', which differs between the channels of that class"):
        cables.CableLayer(two, [0], [0], learn=["Leak.g"])
    with pytest.raises(ValueError, match="g of Leak differs between cells; expected one number"):
        cables.CableLayer(cables.CableCell(tree(), [cables.Leak(g=[0.1, 0.2])]), [0], [0])
    for name, message in (("capacitance", r"above 0"), ("axial", r"above 0"), ("weight", "0 nS or above")):
        cell = cables.CableLayer(two, [0], [0], learn=[name], synapse=rv.AlphaConductance())
        with torch.no_grad():
            getattr(cell, name).neg_()
        with pytest.raises(ValueError, match=f"{name} of CableLayer is .*{message}"):
            cell(torch.zeros(1, 1, 1))
    cell = layer(learn=["SquidSodium.g"])
    with torch.no_grad():
        cell.SquidSodium_g.fill_(-1.0)
    with pytest.raises(ValueError, match=r"SquidSodium\.g is -1 mS/cm\^2; expected 0 mS/cm\^2 or above"):
        cell(currents(2))
