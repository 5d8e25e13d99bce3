"""What docs/contracts.md says of times between steps and of chance, by both engines, at steps that divide nothing."""

import math

import pytest
import torch

import ranvier as rv

engines = pytest.mark.parametrize("engine", ["compiled", "torch"])


@engines
@pytest.mark.parametrize(("t_ref", "dt", "steps"), [(2.3, 0.3, 8), (2.2, 0.3, 7), (1.9, 0.7, 3)])
def test_refractory_times_go_to_the_nearest_step(engine, t_ref, dt, steps):
    """A neuron that spikes as soon as it may: every round(t_ref/dt) + 1 steps."""
    net = rv.Network()
    net.add(rv.LIF(t_ref=t_ref), 1, drive=1e5)
    times = rv.simulate(net, 60 * dt, dt=dt, engine=engine, dtype=torch.float64).times
    assert (times / dt).round().diff().unique().tolist() == [steps + 1]


@engines
@pytest.mark.parametrize(("delay", "dt", "steps"), [(1.4, 0.3, 5), (1.3, 0.3, 4), (1.05, 0.7, 2), (1.0, 0.7, 1)])
def test_delays_and_given_times_go_to_the_nearest_step_halves_up(engine, delay, dt, steps):
    """A spike emitted at k dt arrives at the start of step k + steps and shows at its end."""
    net = rv.Network()
    source = net.add(rv.SpikeTimes([2.59], [0]), 1)
    target = net.add(rv.LIF(V_th=1e9), 1)
    net.connect(source, target, weight=5.0, delay=delay, edges=([0], [0]))
    recording = rv.simulate(net, 30 * dt, dt=dt, engine=engine, dtype=torch.float64, record="V")
    emitted = round(2.59 / dt)
    assert (recording.times / dt).round().tolist() == [emitted]
    V = recording.states["V"]
    first = V.times[(V.values[:, -1] + 65.0).abs() > 1e-6][0]
    assert round(float(first) / dt) == emitted + steps + 1
    assert float(V.values[:, -1].max()) + 65.0 == pytest.approx(5.0 * math.exp(-dt / 20.0), rel=1e-6)


@engines
def test_backgrounds_of_one_population_are_independent(engine):
    """Of one rate and opposite weights: their variances add; from one stream of random numbers they would cancel.

    Each step adds w² r dt to the variance, which decays by e^(−2 dt/tau).
    """
    net, rate, weight, dt, size = rv.Network(), 700.0, 0.53, 0.7, 1500
    cells = net.add(rv.LIF(V_th=1e9, tau_m=13.7), size)
    net.background(cells, rate=rate, weight=weight)
    net.background(cells, rate=rate, weight=-weight)
    recording = rv.simulate(net, 91.0, dt=dt, engine=engine, dtype=torch.float64, record=rv.Probe("V", interval=91.0))
    V = recording.states["V"].values[-1]
    remaining = math.exp(-2 * dt / 13.7)
    expected = 2 * weight**2 * rate * dt / 1000 * remaining / (1 - remaining)
    assert float(V.var()) == pytest.approx(expected, rel=5 * math.sqrt(2 / size))
    assert float(V.mean()) == pytest.approx(-65.0, abs=5 * math.sqrt(expected / size))
