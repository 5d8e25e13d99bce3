"""NMDA receptors' block and gradients; a synapse that another population gates, written by a user."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import ranvier as rv


def block(V: float, Mg: float = 1.0) -> float:
    """Jahr & Stevens 1990, eq. 4, with their numbers."""
    return 1 / (1 + math.exp(-0.062 * V) * Mg / 3.57)


def response(V_rest: float, Mg: float = 1.0, engine: str = "compiled") -> float:
    """The area of the input over the driving force, of a neuron so slow that it stays at V_rest, until 25 ms: how much
    of its course that is does not depend on V_rest."""
    net = rv.Network()
    spike = net.add(rv.SpikeTimes([1.0], [0]), 1)
    cell = net.add(rv.LIF(E_L=V_rest, V_th=1e9, V_reset=-1e9, tau_m=1e6), 1, initial={"V": V_rest})
    synapse = rv.synapses.NMDA(tau_rise=0.5, tau_decay=5.0, Mg=Mg)
    net.connect(spike, cell, weight=10.0, synapse=synapse, edges=([0], [0]))
    V = rv.simulate(net, 25.0, record="V", engine=engine, dtype=torch.float64).states["V"].values
    return float(V[-1, 0] - V_rest) / -V_rest


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_the_block_is_that_of_jahr_and_stevens(engine):
    free = response(-60.0, Mg=0.0, engine=engine)
    assert free > 0
    for V in (-90.0, -60.0, -20.0):
        assert response(V, engine=engine) / free == pytest.approx(block(V), rel=1e-3)
    assert response(-60.0, Mg=2.0, engine=engine) / free == pytest.approx(block(-60.0, 2.0), rel=1e-3)


def test_gradients_reach_magnesium_time_constants_and_the_weight():
    def V(Mg, tau, w):
        net = rv.Network()
        spike = net.add(rv.SpikeTimes([1.0], [0]), 1)
        cell = net.add(rv.LIF(V_th=1e9), 1)
        net.connect(spike, cell, weight=w, synapse=rv.synapses.NMDA(Mg=Mg, tau_decay=tau), edges=([0], [0]))
        cell = rv.as_cell(net, 0.1, dtype=torch.float64)
        return cell(torch.zeros(200, 1, 2, dtype=torch.float64))[1].variables[1][0].sum()

    values = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (1.2, 50.0, [30.0])]
    V(*values).backward()
    for k, step in enumerate((1e-4, 1e-3, 1e-3)):
        ends = []
        for sign in (1, -1):
            moved = [x.detach().clone() for x in values]
            moved[k] += sign * step
            ends.append(float(V(*moved)))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert abs(slope) > 1e-4 and float(values[k].grad) == pytest.approx(slope, rel=1e-4)


class Gate(rv.Neuron):
    """Leaky integrator with a gate that other neurons open."""

    equations = rv.Equations("dV/dt = (E_L - V + I)/tau_m : mV\n dgate/dt = -gate/tau_gate : 1")
    initial = {"V": "E_L"}
    E_L: float = -70.0
    tau_m: float = 10.0
    tau_gate: float = 30.0


class Gated(rv.Synapse):
    """A current that passes as far as the target's gate is open."""

    equations = rv.Equations("ds/dt = -s/tau : mV")
    jumps = {"s": "1/tau"}
    current = "s*gate"
    tau: float = 5.0


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_a_population_gates_another_ones_synapses(engine):
    net = rv.Network()
    sender, opener = (net.add(rv.SpikeTimes([t], [0]), 1) for t in (10.0, 4.0))
    cells = net.add(Gate(), 2)
    net.connect(sender, cells, weight=100.0, synapse=Gated(), delay=1.0, edges=([0, 0], [0, 1]))
    net.connect(opener, cells, weight=0.5, synapse=rv.synapses.Jump(onto="gate"), delay=1.0, edges=([0], [0]))
    run = rv.simulate(net, 60.0, dt=0.05, record="V", engine=engine, dtype=torch.float64)

    def slope(t, V):
        return (-70.0 - V + 20.0 * math.exp(-t / 5) * 0.5 * math.exp(-(t + 6.0) / 30)) / 10

    V = run.states["V"].values.numpy()
    times = run.states["V"].times.numpy() - 11.0
    exact = solve_ivp(slope, (0, 50), [-70.0], t_eval=times[times > 1e-9], rtol=1e-9, atol=1e-9).y[0]
    assert np.abs(V[times > 1e-9, 0] - exact).max() < 5e-3 and exact.max() > -68.5
    assert np.abs(V[:, 1] + 70.0).max() == 0.0
