"""Synaptic variables are recorded by the projection or background that drives them."""

import numpy as np
import pytest
import torch

import ranvier as rv

DT = 0.1


def network():
    """`exc` spikes at 1 and 4 ms; `inh` has two kinds of conductances from it and a background of a third."""
    net = rv.Network()
    net.add(rv.SpikeTimes([1.0, 4.0], [0, 0]), 1, "exc")
    net.add(rv.LIF(V_th=1e9), 3, "inh")
    net.add(rv.LIF(V_th=1e9), 2, "other")
    slow, fast = rv.AlphaConductance(tau=4.0), rv.ExponentialConductance(tau=5.0)
    weights = torch.tensor([1.0, 2.0, 3.0])
    edges = np.zeros(3, np.int64), np.arange(3)
    first = net.connect("exc", "inh", weight=1.0, delay=1.0, synapse=slow, edges=edges)
    second = net.connect("exc", "inh", weight=weights, delay=0.5, synapse=fast, edges=edges)
    background = net.background("other", rate=2000.0, weight=0.5, synapse=rv.ExponentialConductance(tau=3.0))
    return net, first, second, background


def exact(times: np.ndarray, kernel) -> np.ndarray:
    """The sum of `kernel` after both spikes; at the time of arrival itself, the value before it."""
    return sum(np.where(times > at + 1e-9, kernel(np.maximum(times - at, 0)), 0.0) for at in (1.0, 4.0))


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_each_projection_has_its_own_course(engine):
    net, first, second, background = network()
    record = ["V", rv.Probe("g", of=first), rv.Probe("g", of=second, neurons=[2, 3], name="fast"),
              rv.Probe("g", of=background, interval=1.0)]  # fmt: skip
    states = rv.simulate(net, 400.0, dt=DT, engine=engine, record=record, dtype=torch.float64).states
    assert list(states) == ["V", "g[exc->inh]", "fast", "g[background->other]"]
    slow, fast, rain = states["g[exc->inh]"], states["fast"], states["g[background->other]"]
    assert slow.neurons.tolist() == [1, 2, 3] and fast.neurons.tolist() == [2, 3] and rain.neurons.tolist() == [4, 5]
    t = slow.times.numpy()
    expected = exact(t - 1.0, lambda s: s / 4 * np.exp(1 - s / 4))
    assert np.abs(slow.values.numpy() - expected[:, None]).max() < 1e-12  # propagated exactly, in float64
    expected = exact(t - 0.5, lambda s: np.exp(-s / 5))
    assert np.abs(fast.values.numpy() - expected[:, None] * [2.0, 3.0]).max() < 1e-12
    mean = rain.values[50:].mean()  # 2/ms · 0.5 nS · 3 ms; 350 ms hold about 60 independent values a neuron
    sd = (2.0 * 0.5**2 * 3.0 / 2) ** 0.5
    assert abs(float(mean) - 3.0) < 5 * sd / 10


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_on_disk_and_resumed(engine, tmp_path):
    net, _, second, _ = network()
    record = [rv.Probe("g", of=second)]
    whole = rv.simulate(net, 20.0, engine=engine, record=record).states["g[exc->inh]"]
    rv.simulate(net, 7.0, engine=engine, record=record, path=tmp_path / "run")
    rv.simulate(net, 20.0, engine=engine, record=record, path=tmp_path / "run")
    stored = rv.Recording.open(tmp_path / "run").states["g[exc->inh]"]
    assert torch.equal(stored.values, whole.values) and torch.equal(stored.times, whole.times)
    assert torch.equal(stored.neurons, whole.neurons) and float(whole.values.max()) > 1.0


def test_equal_synapses_share_a_variable():
    net, _, second, _ = network()
    edges = np.zeros(1, np.int64), np.array([1])
    further = net.connect("exc", "inh", weight=5.0, delay=0.5, edges=edges, synapse=rv.ExponentialConductance(tau=5.0))
    record = [rv.Probe("g", of=second, name="a"), rv.Probe("g", of=further, name="b")]
    states = rv.simulate(net, 10.0, record=record, dtype=torch.float64).states
    assert torch.equal(states["a"].values, states["b"].values)
    after = np.array([1.0, 7.0, 3.0]) * np.exp(-DT / 5.0)  # a step after the spike of 1 ms has arrived, at 1.5 ms
    assert np.allclose(states["a"].values[15], after, rtol=1e-12)


def test_what_cannot_be_recorded_is_refused_with_what_can():
    net, first, second, background = network()
    other = network()[1]
    both = r"'V', Probe\(\"g\", of=...\) of exc->inh, Probe\(\"r\", of=...\) of exc->inh, .*of background->other"
    for wrong, error, text in [
        ("g", ValueError, f"variable is 'g'; expected one that can be recorded: {both}"),
        ("g_p0", ValueError, f"variable is 'g_p0'; expected one that can be recorded: {both}"),
        ("g[exc->inh]", ValueError, both),
        (rv.Probe("V", of=first), ValueError, rf"variable is 'V\[exc->inh\]'; .*{both}"),
        (rv.Probe("r", of=second), ValueError, rf"variable is 'r\[exc->inh\]'; .*{both}"),
        (rv.Probe("g_p0", of=first), ValueError, both),
        (rv.Probe("g", of=other), ValueError, "of another network"),
        (rv.Probe("g", of="exc"), TypeError, "expected a Projection or a Background"),
        (rv.Probe("g", of=background, neurons="inh"), ValueError, r"neuron 1 has no variable 'g\[background->other\]'"),
        ([rv.Probe("g", of=first), rv.Probe("g", of=second)], ValueError, "different names"),
    ]:
        with pytest.raises(error, match=text):
            rv.simulate(net, 1.0, record=wrong)
