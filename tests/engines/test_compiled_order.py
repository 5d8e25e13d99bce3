"""The order of a step, by hand: noise-free networks whose every spike and voltage is known.

All numbers are sums of powers of two, so that float32 is exact.
"""

import numpy as np
import pytest
import torch

import ranvier as rv

DT = 0.25


class Counter(rv.Neuron):
    """Perfect integrator: V rises by drive·dt."""

    equations = rv.Equations(
        "dV/dt = (drive + I)/tau_m : mV", threshold="V >= V_th", reset="V = V_reset", refractory="t_ref"
    )
    tau_m: float = 1.0
    V_th: float = 1.0
    V_reset: float = 0.0
    t_ref: float = 0.5  # two steps


def counters(*drives, V_th=1.0, **options):
    net = rv.Network()
    drive = torch.tensor(drives, dtype=torch.float64)
    return net, net.add(Counter(), len(drives), drive=drive, V_th=V_th + 0 * drive, **options)


def prepare(net, *times, n=1):
    return net.add(rv.SpikeTimes(torch.tensor(times), torch.zeros(len(times), dtype=torch.int64)), n, "given")


def run(net, duration, **options):
    out = rv.simulate(net, duration, dt=DT, record="V", **options)
    return out, out.states["V"].values.numpy()


def times(out, neuron=0):
    return out.times[out.neurons == neuron].tolist()


def test_spikes_reset_and_refractory_length():
    net, _ = counters(0.5, 0.0)
    out, V = run(net, 8.0)
    # 8 steps of 1/8 to threshold, at t_8 = 2.0; then held for two steps, and 8 more
    assert times(out) == [2.0, 4.5, 7.0] and times(out, 1) == []
    assert V[:11, 0].tolist() == [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.0, 0.0, 0.0, 0.125]
    assert out.states["V"].times.tolist() == [DT * k for k in range(1, 33)]


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 31, 32, 33, 34, 64, 65, 127, 128])
def test_a_delta_jump_arrives_delay_after_the_spike(steps):
    net, a = counters(0.5, 0.0)
    net.connect(a, a, weight=0.5, delay=steps * DT, edges=([0], [1]))
    out, V = run(net, 44.0)
    emitted = [round(t / DT) for t in times(out)]
    assert emitted[:3] == [8, 18, 28]
    # delivered in the step that begins at t_spike + delay, so seen at its end
    expected = np.zeros(len(V))
    v, refractory = 0.0, 0
    for k in range(len(V)):
        if refractory:
            refractory -= 1
        else:
            v += 0.5 * (k - steps in emitted)
            if v >= 1.0:
                v, refractory = 0.0, 2
        expected[k] = v
    assert np.array_equal(V[:, 1], expected)


def test_a_jump_over_threshold_spikes_at_the_end_of_its_step():
    net, a = counters(0.5, 0.0, 0.0)
    net.connect(a, a, weight=1.0, delay=DT, edges=([0, 1], [1, 2]))
    out, _ = run(net, 4.25)
    assert times(out, 0) == [2.0]
    assert times(out, 1) == [2.5] and times(out, 2) == [3.0]  # a delay and a step each


def test_jumps_on_a_refractory_neuron_are_lost():
    for step, moved in ((7, True), (8, False), (9, False), (10, True), (11, True)):
        net, a = counters(0.5)
        net.connect(prepare(net, (step - 1) * DT), a, weight=2.0**-4, delay=DT, edges=([0], [0]))
        out, V = run(net, 4.25)
        assert times(out)[0] == 2.0
        plain = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.0, 0.0, 0.0, 0.125, 0.25]
        if step == 7:
            assert V[7, 0] == 0.0  # arrived in the step of the spike, gone with the reset
        else:
            assert V[step, 0] == plain[step] + 2.0**-4 * moved
        assert V[12, 0] == 0.375 + 2.0**-4 * (moved and step > 7)


def test_a_self_loop_keeps_a_neuron_going():
    net, a = counters(0.0)
    net.connect(a, a, weight=1.0, delay=3 * DT, edges=([0], [0]))
    net.connect(prepare(net, DT), a, weight=1.0, delay=DT, edges=([0], [0]))
    out, _ = run(net, 6.0)
    assert times(out) == [3 * DT + 4 * DT * k for k in range(6)]  # a delay of three steps and the step itself


def test_given_spikes_come_back_as_given():
    net, _ = counters(0.0)
    prepare(net, 1.0, 0.3, 3.0, 3.0, 99.0)
    out, _ = run(net, 4.0)
    assert times(out, 1) == [0.25, 1.0, 3.0, 3.0]  # to the nearest step; 99 lies beyond the run


def test_weights_and_delays_stay_with_their_edges():
    """Explicit edges in no order: weight and delay k belong to edge k."""
    rng = np.random.default_rng(5)
    sources, targets = rng.integers(0, 5, 60), rng.integers(0, 7, 60)
    weights, steps = 2.0 ** -rng.integers(4, 12, 60), rng.integers(1, 40, 60)
    for one_weight, one_delay in ((False, False), (True, False), (False, True)):
        net, a = counters(*[0.0] * 7, V_th=1e6)
        fired = np.arange(1, 6)
        g = net.add(rv.SpikeTimes(torch.tensor(fired * DT), torch.arange(5)), 5)
        w = np.full(60, 0.5) if one_weight else weights
        d = np.full(60, 9) if one_delay else steps
        net.connect(
            g, a, edges=(sources, targets),
            weight=0.5 if one_weight else torch.tensor(w),
            delay=9 * DT if one_delay else torch.tensor(d * DT),
        )  # fmt: skip
        _, V = run(net, 15.0)
        expected = np.zeros((60, 7))
        for s, t, x, k in zip(sources, targets, w, d, strict=True):
            expected[fired[s] + k :, t] += x
        assert np.array_equal(V, expected)


@pytest.mark.parametrize("rule", [{"in_degree": 3}, {"out_degree": 3}, {"probability": 0.4}])
def test_weights_of_drawn_wiring_follow_edges(rule):
    net, a = counters(*[0.0] * 8, V_th=1e6)
    g = net.add(rv.SpikeTimes(torch.arange(1, 7) * DT, torch.arange(6)), 6)
    size = net.connect(g, a, weight=1.0, **rule).size
    weights = 2.0 ** -np.random.default_rng(1).integers(2, 10, size)
    net.projections.clear()
    p = net.connect(g, a, weight=torch.tensor(weights), delay=DT, **rule)
    _, V = run(net, 5.0)
    expected = np.zeros(8)
    np.add.at(expected, p.edges()[1].numpy(), weights)
    assert np.array_equal(V[-1], expected) and size > 0


def test_projections_between_several_populations_keep_apart():
    net = rv.Network()
    parts = [
        net.add(Counter(), n, f"p{k}", drive=torch.zeros(n), V_th=torch.full((n,), 1e6))
        for k, n in enumerate((3, 300, 2))
    ]
    g = prepare(net, DT, n=1)
    for k, part in enumerate(parts):
        net.connect(g, part, weight=2.0**k, delay=DT * (k + 1), probability=1.0)
    _, V = run(net, 2.0)
    for k, part in enumerate(parts):
        expected = np.where(np.arange(8) >= 2 + k, 2.0**k, 0.0)[:, None]
        assert np.array_equal(V[:, part.slice], np.broadcast_to(expected, (8, part.size)))


def test_a_filtered_input_adds_before_the_integration():
    net, a = counters(0.0, V_th=1e6)
    p = net.connect(prepare(net, 1.0), a, weight=3.0, delay=0.5, edges=([0], [0]), synapse=rv.Exponential(tau=2.0))
    out = rv.simulate(net, 20.0, dt=DT, record=["V", rv.Probe("s", of=p, name="s")], dtype=torch.float64)
    t = out.states["V"].times.numpy() - 1.5
    V, s = (out.states[k].values[:, 0].numpy() for k in ("V", "s"))
    assert np.allclose(V, np.where(t > 0, 3.0 * -np.expm1(-t / 2.0), 0.0), atol=1e-14)
    assert np.allclose(s, np.where(t > 0, 1.5 * np.exp(-t / 2.0), 0.0), atol=1e-14)


def test_a_synapse_goes_on_while_its_neuron_is_refractory():
    net, a = counters(0.5)
    p = net.connect(prepare(net, 1.75), a, weight=0.25, delay=DT, edges=([0], [0]), synapse=rv.Exponential(tau=2.0))
    out = rv.simulate(net, 4.0, dt=DT, record=["V", rv.Probe("s", of=p, name="s")], dtype=torch.float64)
    t = out.states["V"].times.numpy() - 2.0
    assert times(out) == [2.0]
    s, V = (out.states[k].values[:, 0].numpy() for k in ("s", "V"))
    assert np.allclose(s, np.where(t > 0, 0.125 * np.exp(-t / 2.0), 0.0), atol=1e-15)
    free = np.clip(t - 0.5, 0.0, None)
    area = 0.25 * (np.exp(-0.25) - np.exp(-(free + 0.5) / 2.0))
    assert np.allclose(V[8:], (0.5 * free + area)[8:], atol=1e-14)


def test_a_delay_below_the_step_is_refused():
    for delay in (0.1, torch.tensor([0.5, 0.2])):
        net, a = counters(0.0, 0.0)
        net.connect(a, a, weight=1.0, delay=delay, edges=([0, 1], [1, 0]))
        with pytest.raises(
            ValueError, match=r"delay of 0\.[12] ms, below the step dt = 0\.25 ms; expected at least"
        ):
            rv.simulate(net, 1.0, dt=DT)


def test_a_delay_beyond_the_ring_is_refused():
    net, a = counters(0.0, 0.0)
    net.connect(a, a, weight=1.0, delay=65536 * DT, edges=([0], [1]))
    with pytest.raises(ValueError, match=r"delay of 65536 steps; expected fewer than 65536"):
        rv.simulate(net, 1.0, dt=DT)


def test_time_varying_drive_changes_at_its_interval():
    net = rv.Network()
    series = rv.TimeSeries(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.25]]), interval=0.5)
    net.add(Counter(), 2, drive=series, V_th=1e6)
    _, V = run(net, 2.0)
    steps = np.array([[1.0, 0.0]] * 2 + [[0.0, 2.0]] * 2 + [[0.5, 0.25]] * 4) * DT  # the last value holds on
    assert np.array_equal(V, steps.cumsum(0))
    net = rv.Network()
    net.add(Counter(), 300, drive=rv.TimeSeries([1.0, 3.0], interval=0.25), V_th=1e6)
    _, V = run(net, 0.75)
    assert np.array_equal(V, np.tile([[0.25], [1.0], [1.75]], 300))
    net = rv.Network()
    net.add(Counter(), 1, drive=rv.TimeSeries([1.0, 3.0], interval=0.3), V_th=1e6)
    for engine in ("compiled", "torch"):
        with pytest.raises(
            ValueError, match=r"changes every 0\.3 ms; expected a multiple of the step dt = 0\.25 ms"
        ):
            rv.simulate(net, 1.0, dt=DT, engine=engine)
