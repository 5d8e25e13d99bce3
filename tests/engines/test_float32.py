"""Steps near float32's last place: the same times and values as closed forms and as float64, whatever dt and tau."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines.precision import needs_double
from ranvier.engines.step_model import step_models

ENGINES = ("compiled", "torch")


class Leak(rv.Neuron):
    """q forgets, and is driven."""

    equations = rv.Equations("dq/dt = (drive - q)/tau")
    tau: float = 10.0


@pytest.mark.parametrize(("mu", "dt"), [(15.001, 0.1), (15.01, 0.01), (15.001, 0.01), (15.0001, 1.0), (14.9999, 0.1)])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_threshold_just_below_the_drive_is_passed_in_time(mu, dt, engine):
    """At 20 ln(mu/(mu - 15)) ms, to the step; a drive just below it never passes."""
    if engine == "torch" and dt < 0.1:
        pytest.skip("twenty thousand steps of torch take too long; the steps are of the same form")
    net = rv.Network()
    net.add(rv.LIF(t_ref=0.0), 2, drive=torch.tensor([mu, 20.0], dtype=torch.float64))
    recording = rv.simulate(net, 260.0, dt=dt, engine=engine)
    times = recording.times[recording.neurons == 0]
    if mu < 15:
        assert len(times) == 0
    else:
        exact = 20 * math.log(mu / (mu - 15))
        assert float(times[0]) == pytest.approx(math.ceil(exact / dt) * dt, abs=1e-9)
    assert float(recording.times[recording.neurons == 1][0]) == math.ceil(20 * math.log(4) / dt) * dt


@pytest.mark.parametrize("dt", [1.0, 0.1, 0.01, 1e-3, 1e-4])
def test_decay_over_many_steps(dt):
    """From 1 toward a drive of 0.25, tau from 0.1 to 1e7 ms: the closed form to five digits of the distance."""
    taus = np.array([0.1, 1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7])
    steps = 20_000
    net = rv.Network()
    for tau in taus:  # alone: what one of a population needs, all of it gets
        net.add(Leak(tau=float(tau)), 1, drive=0.25, initial={"q": 1.0})
    recording = rv.simulate(net, steps * dt, dt=dt, record=rv.Probe("q", interval=1000 * dt)).states["q"]
    t = recording.times.numpy()[:, None]
    exact = 0.25 + 0.75 * np.exp(-t / taus)
    fallen = -0.75 * np.expm1(-t / taus)  # what a wrong rate would change
    error = np.abs(recording.values.numpy() - exact)
    assert (error < 1e-4 * fallen + 1.5e-7).all(), (error / fallen).max(0)


def test_a_very_slow_variable():
    net = rv.Network()
    net.add(Leak(tau=1e7), 1, initial={"q": 18.1}, drive=0.0)
    for engine, duration, dt in (("compiled", 1e6, 0.5), ("torch", 1000.0, 0.5)):
        recording = rv.simulate(net, duration, dt=dt, engine=engine, record=rv.Probe("q", interval=duration))
        exact = 18.1 * math.exp(-duration / 1e7)
        assert float(recording.states["q"].values[-1]) == pytest.approx(exact, rel=1e-7)


def neurons():
    """Every built-in neuron with equations, and drives under which it moves; AdEx with an endless memory."""
    return {
        "LIF": (rv.LIF(), 15.3), "EIF": (rv.EIF(), 1.5), "QIF": (rv.QIF(), 3.8), "AdEx": (rv.AdEx(tau_w=1e6), 25.0),
        "Izhikevich": (rv.Izhikevich(), 5.0), "Graded": (rv.Graded(), 4.0), "HodgkinHuxley": (rv.HodgkinHuxley(), 10.0),
    }  # fmt: skip


SYNAPSES = [rv.Exponential(tau=5.0), rv.Alpha(tau=300.0), rv.BiExponential(tau_rise=1.0, tau_decay=1e5),
            rv.ExponentialConductance(tau=1e4), rv.AlphaConductance(tau=5.0)]  # fmt: skip


@pytest.mark.parametrize("name", sorted(neurons()))
@pytest.mark.parametrize("dt", [0.1, 0.005])
def test_every_neuron_in_float32_is_that_of_float64(name, dt):
    """Noise-free, with one spike through every synapse: V before the first spike, and spike times to 1e-3."""
    neuron, drive = neurons()[name]
    net = rv.Network()
    source = net.add(rv.SpikeTimes([0.5], torch.tensor([0])), 1)
    cells = net.add(neuron, len(SYNAPSES), drive=drive)
    for k, synapse in enumerate(SYNAPSES):
        net.connect(source, cells, edges=([0], [k]), weight=0.5, delay=0.5, synapse=synapse)
    duration = 400.0 if dt == 0.1 else 20.0
    record = rv.Probe("V", neurons=cells, interval=0.5)
    single, double = (
        rv.simulate(net, duration, dt=dt, record=record, dtype=kind) for kind in (torch.float32, torch.float64)
    )
    assert len(single.times) == len(double.times)
    for k in range(1, net.size):
        ours, theirs = (r.times[r.neurons == k] for r in (single, double))
        assert len(ours) == len(theirs)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1.001 * dt)
    spikes = double.times[double.neurons > 0]
    before = single.states["V"].times < (float(spikes.min()) if len(spikes) else duration)
    difference = single.states["V"].values[before] - double.states["V"].values[before]
    assert before.sum() > 1 and float(difference.abs().max()) < 2e-3


@pytest.mark.parametrize(
    ("options", "dt", "reason"),
    [
        ({}, 0.1, None),
        ({"drive": 20.0}, 0.1, None),
        ({"drive": 15.001}, 0.1, "moves by"),
        ({"drive": 15.001, "noise": 1.0}, 0.1, None),
        ({"drive": 15.001, "noise": 1e-9}, 0.1, "moves by"),
        ({"drive": rv.TimeSeries([0.0, 15.001, 20.0], interval=1.0)}, 0.1, "moves by"),
        ({}, 1e-3, "V forgets in 20 ms"),
        ({"t_ref": 1e7}, 0.1, "refractory period has 1e\\+08 steps"),
    ],
)
def test_what_is_computed_in_float64(options, dt, reason):
    net = rv.Network()
    parameters = {k: options[k] for k in ("t_ref",) if k in options}
    net.add(rv.LIF(**parameters), 2, **{k: v for k, v in options.items() if k not in parameters})
    result = needs_double(step_models(net)[0], dt)
    if reason is None:
        assert result is None
    else:
        assert result is not None
        with pytest.raises(ValueError, match=reason):
            raise ValueError(result)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_long_refractory_period_is_counted(engine):
    """2^24 + 27 is no float32: of 2^24 + 42 steps that many are left after 15."""
    dt = 0.0625
    net = rv.Network()
    net.add(rv.LIF(t_ref=(2.0**24 + 42) * dt), 1, drive=1000.0)
    simulation = rv.Simulation(net, dt=dt, engine=engine)
    first = simulation.run(20 * dt).times
    assert len(first) == 1
    state = simulation._prepared.engine.state()
    if engine == "torch":
        left = float(state["refractory_0"].item())
    else:
        left = float(state["x"][256]) + float(state["x"][3 * 256])  # rows: V, steps left, and their second halves
    assert left == 2.0**24 + 42 - (20 - round(float(first[0]) / dt))


def test_a_run_in_float32_may_be_cut_and_stored(tmp_path):
    """The second halves of the pairs are part of the state."""
    net = rv.Network()
    net.add(rv.LIF(t_ref=0.0), 3, drive=15.01)
    whole = rv.simulate(net, 400.0, dt=0.1)
    pieces = rv.Simulation(net, dt=0.1)
    times = torch.cat([pieces.run(100.0).times for _ in range(4)])
    assert len(whole.times) > 3 and torch.equal(whole.times, times)


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_changes_of_weights_that_float32_loses_are_warned_of(engine):
    """Beside w = 1, whose last place is 1.2e-7, additions of 1e-9 are lost in float32 and counted in float64."""
    rule = rv.rules.STDP(A_plus=1e-9, A_minus=0.0, w_max=2.0)
    times = torch.arange(1, 21).double() * 2.0

    def change(rule, dtype):
        net = rv.Network()
        source = net.add(rv.SpikeTimes(times, torch.zeros(20, dtype=torch.int64)), 1)
        cells = net.add(rv.LIF(V_th=-64.5, t_ref=0.0), 1)
        p = net.connect(source, cells, weight=1.0, delay=0.5, edges=([0], [0]), plasticity=rule)
        out = rv.simulate(net, 50.0, dt=0.1, engine=engine, dtype=dtype)
        assert out.n_spikes > 39
        return float(out.weights[p][0]) - 1.0

    text = r"STDP's on_post changes a weight of 1 by 1e-09, .* by up to 6e-08, 6e\+01 of itself; .* use dtype"
    with pytest.warns(RuntimeWarning, match=text):
        assert change(rule, torch.float32) == 0.0
    assert change(rule, torch.float64) > 20e-9
    lost = change(rv.rules.STDP(A_plus=1e-5, A_minus=0.0, w_max=2.0), torch.float32)  # without a warning
    exact = change(rv.rules.STDP(A_plus=1e-5, A_minus=0.0, w_max=2.0), torch.float64)
    assert lost == pytest.approx(exact, rel=0.02)
