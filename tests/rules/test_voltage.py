"""Rules that read the target's voltage: stored, read from files, and what is refused."""

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier import rules
from ranvier.rules import Coincidence, Trace
from tests.engines import plastic

VOLTAGE = plastic.RULES["voltage"]


@pytest.mark.parametrize("u_ref", [0.0, 9.0])
def test_a_clamped_voltage_by_the_papers_integrals(u_ref):
    """Equations 3 and 4 of Clopath et al. (2010) for a voltage that is prescribed, by quadrature: to the step's 1 %."""
    dt, spikes = 0.1, np.array([31.0, 62.5, 77.0])
    t = dt * np.arange(1, 1001)
    V = -58.0 + 16.0 * np.sin(t / 9.0) + 8.0 * np.sin(t / 23.0)

    def low_passed(values, tau, late=0.0):
        out, left = np.empty_like(values), np.exp(-dt / tau)
        out[0] = values[0]
        for k in range(1, len(values)):
            out[k] = values[k] + (out[k - 1] - values[k]) * left
        return np.interp(t - late, t, out)

    def above(values, least):
        return np.maximum(values - least, 0.0)

    x = sum(np.where(t >= s - 1e-9, np.exp(-(t - s) / 15.0) / 15.0, 0.0) for s in spikes)
    rise = 8e-5 * dt * (x * above(V, -45.3) * above(low_passed(V, 7.0, 4.0), -70.6)).sum()
    depressions = 1.4e-4 * np.interp(spikes, t, above(low_passed(V, 10.0, 4.0), -70.6))
    if u_ref:
        depressions = depressions * (np.interp(spikes, t, low_passed(V + 70.6, 1000.0)) / u_ref) ** 2
    for parts, expected in (({"A_LTD": 0.0}, rise), ({"A_LTP": 0.0}, -depressions.sum())):
        rule, w = rules.Clopath(u_ref=u_ref, w_min=-10.0, **parts), torch.zeros(1, 1, dtype=torch.float64)
        state = rule.init_state(w, 1)
        for k, value in enumerate(V):
            pre = torch.full((1, 1), float(np.isclose(spikes, t[k]).any()), dtype=torch.float64)
            target = {"V": torch.full((1, 1), value, dtype=torch.float64)}
            state, change = rule.step(state, w, pre, torch.zeros_like(pre), dt=dt, target=target)
            w = w + change
        assert float(w) == pytest.approx(expected, rel=0.01), parts


def test_what_is_under_way_is_in_every_weight_that_is_read(tmp_path):
    """Between two arrivals potentiation waits in the targets' sums: weights, files, and a run that goes on have it."""
    net = plastic.network(VOLTAGE)
    p = net.projections[0]
    whole = rv.Simulation(net)
    first, second = whole.run(33.3), whole.run(11.1)
    torch_weights = rv.simulate(net, 33.3, engine="torch", dtype=torch.float64).weights[p]
    assert (first.weights[p] - torch_weights).abs().max() < 1e-5
    assert torch.equal(rv.simulate(net, 33.3, path=tmp_path / "a").weights[p], first.weights[p])
    again = rv.simulate(net, 44.4, path=tmp_path / "a")
    assert torch.equal(again.weights[p], second.weights[p])
    whole.set(p, weight=0.6)
    assert torch.equal(whole.weights[p], torch.full((400,), 0.6))
    stored = whole.store()
    later = whole.run(8.0).weights[p]
    whole.restore(stored)
    assert torch.equal(whole.run(8.0).weights[p], later) and not torch.equal(later, torch.full((400,), 0.6))


def test_nothing_is_potentiated_before_the_source_spikes():
    net = rv.Network()
    cells = net.add(rv.neurons.ClopathAdEx(), 3, drive=40.0)
    source = net.add(rv.SpikeTimes([90.0], [0]), 1)
    p = net.connect(source, cells, weight=[0.0, 0.3, 2.0], delay=1.0, probability=1.0,
                    plasticity=rules.Clopath(w_max=2.0))  # fmt: skip
    recording = rv.simulate(net, 90.9)
    assert torch.equal(recording.weights[p], torch.tensor([0.0, 0.3, 2.0])) and recording.n_spikes > 5


class Reading(rules.Rule):
    """Weights follow a variable that only some neurons have."""

    reads = ("V", "w_ad")
    traces = (Trace("x", "pre", "tau"), Trace("m", "post", "tau", follows="w_ad - V", delay="late"))
    coincidence = Coincidence("x", "-A*abs(m)")
    on_pre = "B*(V + w_ad)"
    tau: float = 12.0
    late: float = 1.0
    A: float = 1e-4
    B: float = 1e-3


class Adapting(rv.Neuron):
    """With a second variable of that name."""

    equations = rv.Equations("dV/dt = (drive + I - w_ad - V)/10 : mV\ndw_ad/dt = (V - w_ad)/30 : mV",
                             threshold="V >= 15", reset="V = 0")  # fmt: skip


def test_any_variable_of_the_target_and_files(tmp_path):
    net = rv.Network()
    source = net.add(rv.SpikeTimes([5.0, 5.0, 17.0, 30.0], [0, 0, 1, 0]), 2)
    cells = net.add(Adapting(), 5, drive=np.linspace(10.0, 40.0, 5))
    edges = [0, 0, 1, 1, 0], [0, 0, 1, 3, 4]  # one twice
    net.connect(source, cells, weight=0.5, delay=[0.1, 2.0, 0.3, 0.3, 0.1], edges=edges, plasticity=Reading())
    run = {e: rv.simulate(n, 60.0, engine=e, dtype=torch.float64).weights[0]
           for n in (net, rv.read_network(rv.write_network(net, tmp_path / "net"))) for e in ("compiled", "torch")}
    assert (run["compiled"] - run["torch"]).abs().max() < 1e-12 and (run["compiled"] - 0.5).abs().min() > 1e-3


def test_what_does_not_fit_is_refused():
    net = rv.Network()
    cells = net.add(rv.LIF(), 2)
    with pytest.raises(ValueError, match="reads 'w_ad' of the target"):
        net.connect(cells, cells, weight=0.1, probability=1.0, plasticity=Reading())
    for changes, message in (
        ({"dendritic_delay": 1.0}, "reads the target's V"), ({"delay": -1.0}, "delay"), ({"tau_x": 0.0}, "tau_x"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            rules.Clopath(**changes)
    x, base = Trace("x", "pre", "tau"), {"traces": (Trace("x", "pre", "tau"),), "tau": 5.0, "reads": ("V",)}
    for body, message in (
        ({"coincidence": Coincidence("x", "V + 50")}, "may change its sign"),
        ({"coincidence": Coincidence("y", "max(V, 0)")}, "coincidence is with 'y'"),
        ({"coincidence": Coincidence("x", "max(V, 0)"), "on_post": "x"}, "expected on_pre beside it"),
        ({"coincidence": Coincidence("x", "max(x, 0)")}, "coincidence uses 'x'"),
        ({"on_pre": "U"}, "on_pre uses 'U'"),
        ({"reads": ("x",)}, "used twice"),
        ({"traces": (x, Trace("m", "post", "tau", delay="tau"))}, "follows nothing"),
        ({"traces": (x, Trace("m", "post", "tau", follows="V"), Trace("n", "post", "tau", follows="m"))}, "n uses 'm'"),
    ):
        kind = type("Odd", (rules.Rule,), {"__annotations__": {"tau": float}, **base, **body})
        with pytest.raises(ValueError, match=message):
            kind()
    fast = rules.Clopath(tau_x=0.001)
    p = net.connect(cells, cells, weight=0.1, probability=1.0, plasticity=fast)
    with pytest.raises(ValueError, match="dt of at most 20 times"):
        rv.simulate(net, 1.0)
    with pytest.raises(ValueError, match="reads the target's V"):
        rules.Clopath().step(fast.init_state(torch.zeros(1, 1), 1), torch.zeros(1, 1), torch.zeros(1, 1),
                             torch.zeros(1, 1))  # fmt: skip
    assert p.plasticity == fast
