"""Networks read from NIR, simulated, against NIR's own equations; weights against the operations they came from."""

from itertools import pairwise

import nir
import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch.nn import functional as F

import ranvier as rv
from ranvier.networks import from_nir, to_nir
from ranvier.networks.nir.neurons import BiasedCurrentLIF
from ranvier.synapses import Exponential, Proportional

RNG = np.random.default_rng(0)
DT, DELAY, STEPS = 0.1, 0.3, 400  # ms
WEIGHT, BIAS = np.array([[0.9, -0.4, 0.3], [0.2, 0.7, -0.1]]), np.array([0.6, -0.3])
TIMES = np.sort(RNG.choice(np.arange(1, 300), 60, replace=False)) * DT
SOURCES = RNG.integers(0, 3, 60)
LEAK, THRESHOLD, RESET = np.array([0.2, -0.5]), np.array([1.0, 0.8]), np.array([-0.3, 0.1])
TAU, TAU_SYN = np.array([0.012, 0.02]), np.array([0.004, 0.009])


def of_nirs_equations(node, pulse, bias):
    """NIR's equations in seconds for y = (v, I, 1), by the exponential of their matrix, spikes as Dirac pulses.

    Spikes and resets fall on the ends of steps. Returns v (STEPS, 2) at the ends, and spikes (STEPS, 2).
    """
    v, spikes = np.zeros((STEPS, 2)), np.zeros((STEPS, 2), bool)
    arrivals = np.round((TIMES + DELAY) / DT).astype(int)
    filtered, leaky = hasattr(node, "tau_syn"), hasattr(node, "v_leak")
    for i in range(2):
        leak = node.v_leak[i] if leaky else 0.0
        tau = (node.tau_mem if filtered else node.tau)[i] if leaky else 1.0
        rate, r = float(leaky) / tau, node.r[i] / tau  # v' = rate (leak - v) + r I
        if filtered:
            own, gain = 1 / node.tau_syn[i], node.w_in[i] / node.tau_syn[i]
            M = np.array([[-rate, r, rate * leak], [0, -own, gain * bias[i]], [0, 0, 0]])
        else:
            gain = r
            M = np.array([[-rate, 0, rate * leak + r * bias[i]], [0, 0, 0], [0, 0, 0]])
        step, y = expm(M * DT * 1e-3), np.array([leak, 0.0, 1.0])
        for k in range(STEPS):
            y[int(filtered)] += gain * WEIGHT[i, SOURCES[arrivals == k]].sum() * pulse * 1e-3
            y = step @ y
            if hasattr(node, "v_threshold") and y[0] >= node.v_threshold[i]:
                y[0], spikes[k, i] = node.v_reset[i], True
            v[k, i] = y[0]
    return v, spikes


NODES = {
    "LIF": nir.LIF(TAU, np.array([15.0, 30.0]), LEAK, THRESHOLD, RESET),
    "LI": nir.LI(TAU, np.array([15.0, -30.0]), LEAK),
    "IF": nir.IF(np.array([400.0, 300.0]), THRESHOLD, RESET),
    "I": nir.I(np.array([400.0, -300.0])),
    "CubaLIF": nir.CubaLIF(TAU_SYN, TAU, np.array([4.0, 9.0]), LEAK, THRESHOLD, RESET, np.array([5.0, 6.0])),
    "CubaLI": nir.CubaLI(TAU_SYN, TAU, np.array([4.0, -9.0]), LEAK, np.array([5.0, 6.0])),
    "CubaLIF, tau_syn as tau": nir.CubaLIF(TAU, TAU, *np.array([[4.0, 9.0], LEAK, THRESHOLD, RESET, [9.0, 9.0]])),
}


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("kind", NODES)
def test_voltages_and_spikes_are_those_of_nirs_equations(kind, with_bias):
    """Linear between spikes, so that both are exact: they differ by rounding, summed over the steps."""
    node, bias = NODES[kind], BIAS * 0.1 if with_bias else np.zeros(2)
    graph = nir.NIRGraph.from_list(nir.Affine(WEIGHT, bias), node)
    inputs = {"input": rv.SpikeTimes(TIMES, SOURCES)}
    # read again from what was written of it
    for net in (from_nir(graph, pulse=2.0, delay=DELAY, inputs=inputs), written(graph, inputs)):
        recording = rv.simulate(net, STEPS * DT, dt=DT, dtype=torch.float64, record=rv.Probe("V", interval=DT))
        cell = net.populations[1]
        v, spikes = of_nirs_equations(node, 2.0, bias)
        simulated = recording.states["V"].values.numpy()[:, -2:]
        np.testing.assert_allclose(simulated, v, atol=1e-11 * np.abs(v).max() * STEPS**0.5, rtol=0)
        k, i = np.nonzero(spikes)
        own = recording.neurons >= cell.start
        np.testing.assert_allclose(recording.times[own], (k + 1) * DT, rtol=1e-12)
        assert (recording.neurons[own] - cell.start).tolist() == i.tolist()
        assert not hasattr(node, "v_threshold") or len(k) >= 4


def written(graph, inputs):
    graph = to_nir(from_nir(graph, pulse=2.0, delay=DELAY), pulse=7.0)
    return from_nir(graph, pulse=7.0, inputs=inputs)


def test_the_bias_of_a_current_is_constant_after_its_filter():
    """V → v_leak + r w_in b, by (1 − e^(−t/tau_syn)) filtered once more: NIR's equations from I = 0."""
    graph = nir.NIRGraph.from_list(nir.Affine(WEIGHT, BIAS), NODES["CubaLI"])
    net = from_nir(graph)
    V = rv.simulate(net, 300.0, dt=DT, dtype=torch.float64, record=rv.Probe("V", interval=DT)).states["V"].values
    steady = np.array([20.0, -54.0]) * BIAS
    t, a, b = np.arange(1, 3001)[:, None] * DT * 1e-3, TAU, TAU_SYN
    exact = LEAK + steady * (1 - (a * np.exp(-t / a) - b * np.exp(-t / b)) / (a - b))
    np.testing.assert_allclose(V, exact, rtol=0, atol=1e-10)
    np.testing.assert_allclose(V[-1], LEAK + steady, rtol=1e-4)


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_continuous_outputs_reach_neurons(engine):
    """v' = r (W v + b) of an integrator and its way back to itself: by the exponential; the step is of order 2."""
    W, b, r = np.array([[-9.0, 30.0], [-20.0, -4.0]]), np.array([3.0, -2.0]), np.array([2.0, 0.5])
    nodes = {"input": nir.Input({"input": np.array([2])}), "w": nir.Affine(W, b), "v": nir.I(r),
             "output": nir.Output({"output": np.array([2])})}  # fmt: skip
    net = from_nir(nir.NIRGraph(nodes, [("input", "w"), ("w", "v"), ("v", "w"), ("v", "output")]), delay=5.0)
    assert [type(c.synapse) for c in net.projections if c.source.name == "v"] == [Proportional]
    M = np.zeros((3, 3))
    M[:2] = np.column_stack([r[:, None] * W, r * b])
    exact, errors = (expm(M * 0.2) @ [0.0, 0.0, 1.0])[:2], []
    for dt in (2.0, 1.0):
        record = rv.Probe("V", interval=200.0)
        V = rv.simulate(net, 200.0, dt=dt, dtype=torch.float64, engine=engine, record=record).states["V"].values
        errors.append(np.abs(np.asarray(V)[-1, -2:] - exact).max())
    assert errors[0] < 2e-4 and 3.5 < errors[0] / errors[1] < 4.5, errors
    again = from_nir(to_nir(net))
    np.testing.assert_allclose(again.projections[-1].matrix().toarray(), r[:, None] * W, rtol=1e-14)


def test_spikes_are_those_of_layers():
    """A graph that branches and meets, through rv.nn: 2 steps later, the input's own and the connection's."""
    cell = nir.IF(np.full(4, 1.0), np.full(4, 1.0), np.full(4, -0.25))
    nodes = {"input": nir.Input({"input": np.array([3])}), "a": nir.Linear(RNG.integers(-2, 5, (4, 3)) / 8),
             "b": nir.Linear(RNG.integers(-2, 5, (4, 3)) / 8), "s": nir.Scale(np.array([1.0, 0.5, -0.5, 2.0])),
             "c": cell, "output": nir.Output({"output": np.array([4])})}  # fmt: skip
    edges = [("input", "a"), ("input", "b"), ("b", "s"), ("a", "c"), ("s", "c"), ("c", "output")]
    graph = nir.NIRGraph(nodes, edges)
    x = (torch.rand(60, 1, 3, generator=torch.Generator().manual_seed(0)) < 0.4).double()
    y = rv.nn.from_nir(graph, 0.1, pulse=1000.0, dtype=torch.float64)(x)[0].detach()
    y = (y if torch.is_tensor(y) else y["output"])[:, 0]
    steps, neurons = torch.nonzero(x[:, 0], as_tuple=True)
    net = from_nir(graph, inputs={"input": rv.SpikeTimes((steps + 1) * 0.1, neurons)})
    recording = rv.simulate(net, 7.0, dt=0.1, dtype=torch.float64)
    simulated = torch.zeros(70, 4)
    own = recording.neurons >= 3
    simulated[(recording.times[own] / 0.1).round().long() - 1, recording.neurons[own] - 3] = 1.0
    assert y.sum() > 20 and torch.equal(simulated[2:62], y.float())


def conv(groups=1, **options):
    def make():
        weight, bias = RNG.normal(size=(4, 4 // groups, 3, 2)), RNG.normal(size=4)
        node = nir.Conv2d((7, 6), weight, options.get("stride", 1), options.get("padding", 0),
                          options.get("dilation", 1), groups, bias)  # fmt: skip
        w, b = torch.tensor(weight), torch.tensor(bias)
        return node, (4, 7, 6), lambda x: F.conv2d(x, w, b, groups=groups, **options)

    return make


def conv1d():
    weight, bias = RNG.normal(size=(2, 3, 4)), RNG.normal(size=2)
    node = nir.Conv1d(9, weight, 2, 3, 2, 1, bias)
    return node, (3, 9), lambda x: F.conv1d(x, torch.tensor(weight), torch.tensor(bias), 2, 3, 2)


def pool(kind, area):
    def make():
        node = kind(np.array([3, 2]), np.array([2, 1]), np.array([1, 0]))
        return node, (2, 5, 6), lambda x: area * F.avg_pool2d(x, (3, 2), (2, 1), (1, 0))

    return make


def batched():
    weight, bias = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 3))
    return nir.Affine(weight, bias), (2, 4), lambda x: torch.einsum("koi,bki->bko", torch.tensor(weight), x) + (
        torch.tensor(bias)
    )


def scale():
    values = RNG.normal(size=(2, 3))
    return nir.Scale(values), (2, 3), lambda x: x * torch.tensor(values)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(
    "make",
    [
        conv(), conv(groups=2, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        conv(groups=4, padding="same"), conv1d,
        pool(nir.SumPool2d, 6.0), pool(nir.AvgPool2d, 1.0), batched, scale,
    ],
)  # fmt: skip
def test_nodes_without_state_are_composed_into_weights(make):
    """As torch applies them to every unit vector, and to zeros: matrix and bias."""
    node, shape, apply = make()
    size = int(np.prod(shape))
    values = apply(torch.eye(size + 1, size, dtype=torch.float64).reshape(-1, *shape))
    behind, flat = values.shape[1:], values.reshape(size + 1, -1).numpy()
    nodes = {"input": nir.Input({"input": np.array(shape)}), "scale": nir.Scale(np.full(shape, 2.0)),
             "node": node, "cell": nir.I(np.full(tuple(behind), 3.0)),
             "output": nir.Output({"output": np.array(behind)})}  # fmt: skip
    net = from_nir(nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False))
    (p,) = net.projections
    np.testing.assert_allclose(p.matrix().toarray(), 6.0 * (flat[:-1] - flat[-1]).T, rtol=0, atol=1e-13)
    drive = np.broadcast_to(net["cell"].parameters["drive"], flat.shape[1])
    np.testing.assert_allclose(drive, 3.0 * flat[-1], rtol=0, atol=1e-13)


def test_ways_that_meet_add_and_a_bias_counts_once():
    """a and b, both into the weights w with a bias; b past them too; delays before, between and behind."""
    A, B, W, ones = RNG.normal(size=(2, 2)), RNG.normal(size=(2, 2)), RNG.normal(size=(2, 2)), np.ones(2)
    cell = nir.I(ones)
    nodes = {
        "x": nir.Input({"input": np.array([2])}), "y": nir.Input({"input": np.array([2])}),
        "a": nir.Linear(A), "b": nir.Linear(B), "d": nir.Delay(np.array([1e-3, 2e-3])),
        "w": nir.Affine(W, np.array([0.5, -1.5])), "cell": cell, "out": nir.Output({"output": np.array([2])}),
    }  # fmt: skip
    edges = [("x", "a"), ("y", "b"), ("a", "d"), ("d", "w"), ("b", "w"), ("b", "cell"), ("w", "cell"), ("cell", "out")]
    net = from_nir(nir.NIRGraph(nodes, edges), delay=0.5)
    np.testing.assert_allclose(net["cell"].parameters["drive"], [0.5, -1.5])
    by = {(c.source.name, c.delay): c.matrix().toarray() for c in net.projections}
    assert set(by) == {("x", 1.0), ("x", 2.0), ("y", 0.5)}
    np.testing.assert_allclose(by["x", 1.0], W[:, :1] @ A[:1], rtol=1e-13)
    np.testing.assert_allclose(by["x", 2.0], W[:, 1:] @ A[1:], rtol=1e-13)
    np.testing.assert_allclose(by["y", 0.5], W @ B + B, rtol=1e-13)


def test_graphs_within_graphs_are_flattened():
    """A recurrent cell, twice and nested, as if its nodes were the outer graph's."""
    ends = {"input": nir.Input({"input": np.array([2])}), "output": nir.Output({"output": np.array([2])})}
    W, cell = np.array([[0.0, 1.0], [2.0, 0.0]]), nir.IF(np.ones(2), np.ones(2))
    ring = [("input", "cell"), ("cell", "w"), ("w", "cell"), ("cell", "output")]
    inner = nir.NIRGraph({**ends, "cell": cell, "w": nir.Linear(W)}, ring)
    middle = nir.NIRGraph({**ends, "r": inner}, [("input", "r"), ("r", "output")])
    nodes = {**ends, "p": inner, "m": nir.Linear(3 * W), "q": middle}
    net = from_nir(nir.NIRGraph(nodes, [("input", "p"), ("p", "m"), ("m", "q"), ("q", "output")]))
    assert [p.name for p in net.populations] == ["p.cell", "q.r.cell"]
    matrices = {(c.source.name, c.target.name): c.matrix().toarray() for c in net.projections}
    assert {key: (m / W.max()).max() for key, m in matrices.items()} == {
        ("p.cell", "p.cell"): 1.0, ("p.cell", "q.r.cell"): 3.0, ("q.r.cell", "q.r.cell"): 1.0,
    }  # fmt: skip
    assert [p.name for p in from_nir(to_nir(net)).populations] == ["p.cell", "q.r.cell"]


def test_synaptic_time_constants_may_differ_within_a_node():
    graph = nir.NIRGraph.from_list(nir.Affine(WEIGHT, BIAS), NODES["CubaLIF"])
    net = from_nir(graph)
    assert [c.synapse for c in net.projections] == [Exponential(tau=4.0), Exponential(tau=9.0)]
    assert [c.edges()[1].tolist() for c in net.projections] == [[0] * 3, [1] * 3]
    model = net["cubalif"]
    assert type(model.neuron) is BiasedCurrentLIF and model.parameters["tau_syn"].tolist() == [4.0, 9.0]
