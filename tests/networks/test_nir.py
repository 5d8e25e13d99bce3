"""NIR: values and units both ways, its own equations as oracle, and by name what either side cannot hold."""

import nir
import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.networks import Network, TimeSeries, from_nir, read_nir, to_nir, write_nir
from ranvier.neurons import EIF, LIF, Graded, Poisson, SpikeTimes
from ranvier.synapses import Alpha, Delta, Exponential

NOTHING = SpikeTimes(torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def network(neuron=None, synapse=None, **options):
    net = Network()
    a = net.add(NOTHING, 2, "zz")
    b = net.add(neuron or LIF(t_ref=0.0), 3, "b")
    net.connect(a, b, **{"weight": 2.0, "wiring": rv.wiring.AllToAll(), "synapse": synapse, **options})
    return net


def test_values_and_units_come_back(tmp_path):
    net = Network()
    inlet = net.add(NOTHING, 2, "zz")
    tau = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64)
    fast = net.add(LIF(tau_m=tau, V_th=-51.0, V_reset=-66.0, E_L=-64.0, t_ref=0.0), 3, "fast")
    slow = net.add(LIF(t_ref=0.0), 2, "current")
    net.add(Graded(), 2, "out")
    net.connect(inlet, fast, weight=[0.5, -1.5], edges=([0, 1], [2, 0]), delay=2.0)
    net.connect(fast, fast, weight=0.3, delay=torch.tensor([1.0, 3.0]), edges=([0, 2], [1, 1]))
    net.connect(fast, slow, weight=4.0, delay=1.5, wiring=rv.wiring.AllToAll(), synapse=Exponential(tau=5.0))
    net.connect(slow, "out", weight=7.0, wiring=rv.wiring.OneToOne(), synapse=Delta())
    back = read_nir(write_nir(net, tmp_path / "net.nir"))
    assert [p.name for p in back.populations] == ["zz", "fast", "current", "out"]
    for p, q in zip(net.populations, back.populations, strict=True):
        assert type(p.neuron) is type(q.neuron) and p.size == q.size
        for key, value in p.parameters.items():
            if key != "g_L":
                np.testing.assert_allclose(q.parameters[key], value, rtol=1e-14)
    for p, q in zip(net.projections, back.projections, strict=True):
        assert (p.source.name, p.target.name, p.synapse) == (q.source.name, q.target.name, q.synapse)
        np.testing.assert_allclose(q.matrix().toarray(), p.matrix().toarray(), rtol=1e-14)
    assert [p.delay for p in back.projections if isinstance(p.delay, float)] == pytest.approx([2.0, 1.5, 1.0])
    np.testing.assert_allclose(back.projections[1].delay, [1.0, 3.0], rtol=1e-14)


def test_nirs_own_equations_give_the_same_voltages():
    """The exported numbers in the equations of NIR's documentation, in seconds, by fine Euler steps."""
    net = network(LIF(tau_m=12.0, E_L=-60.0, t_ref=0.0), Exponential(tau=4.0), weight=30.0, delay=1.0)
    graph = to_nir(net)
    cell, weight = graph.nodes["b"], graph.nodes["weight_0"].weight
    assert isinstance(cell, nir.CubaLIF)
    dt, v, current = 1e-6, -60.0, 0.0
    arrival = round((2e-3 + graph.nodes["delay_0"].delay[0]) / dt)
    for k in range(20_000):  # 20 ms, one spike at 2 ms through a synapse from source 0
        dirac = 1.0 / dt if k == arrival else 0.0
        current += dt / cell.tau_syn[0] * (-current + cell.w_in[0] * weight[0, 0] * dirac)
        v += dt / cell.tau_mem[0] * (cell.v_leak[0] - v + cell.r[0] * current)
    # the same by the closed form: an area of 30 mV·ms through 4 ms and 12 ms, 17 ms after its arrival
    expected = 30.0 / (12.0 - 4.0) * (np.exp(-17.0 / 12.0) - np.exp(-17.0 / 4.0))
    assert v + 60.0 == pytest.approx(expected, rel=1e-3)
    jump = to_nir(network(weight=2.0))
    cell = jump.nodes["b"]
    assert cell.r[0] * jump.nodes["weight_0"].weight[0, 0] / cell.tau[0] == pytest.approx(2.0)  # mV


def test_constant_drive_becomes_leak_with_the_same_course():
    net = network()
    net.add(LIF(t_ref=0.0, E_L=-65.0), 2, "driven", drive=[3.0, 16.0])
    graph = to_nir(net)
    assert graph.nodes["driven"].v_leak.tolist() == [-62.0, -49.0]
    back = from_nir(graph)["driven"].parameters
    assert back["drive"] == 0.0 and back["E_L"].tolist() == [-62.0, -49.0]


def test_a_spike_of_one_step_is_another_unit():
    # a framework that steps with 1 ms: v += dt/tau·(r·W) for a spike; tau 20 ms, W 10 give 0.5
    cell = nir.LIF(tau=np.full(2, 0.02), r=np.ones(2), v_leak=np.zeros(2), v_threshold=np.ones(2))
    graph = nir.NIRGraph.from_list(nir.Affine(np.full((2, 3), 10.0), np.array([0.5, 0.25])), cell)
    net = from_nir(graph, pulse=1.0, delay=1.0)
    np.testing.assert_allclose(net.projections[0].matrix().toarray(), np.full((2, 3), 0.5), rtol=1e-14)
    (inlet, lif) = net.populations
    assert inlet.size == 3 and isinstance(inlet.neuron, SpikeTimes) and net.projections[0].delay == 1.0
    assert lif.parameters["drive"].tolist() == [0.5, 0.25] and lif.parameters["V_th"] == 1.0
    assert lif.parameters["t_ref"] == 0.0 and lif.parameters["V_reset"] == 0.0


def test_weights_and_delays_in_a_row_are_joined():
    cell = nir.CubaLIF(tau_syn=np.full(2, 5e-3), tau_mem=np.full(2, 0.01), r=np.array([1.0, 2.0]),
                       v_leak=np.zeros(2), v_threshold=np.ones(2), w_in=np.array([3.0, 1.0]))  # fmt: skip
    first, second = (
        np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 1.0]]),
        np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]),
    )
    graph = nir.NIRGraph.from_list(
        nir.Delay(np.array([1e-3, 2e-3])),
        nir.Linear(first),
        nir.Linear(second),
        nir.Delay(np.array([0.0, 4e-3])),
        cell,
    )
    (p,) = from_nir(graph, pulse=1000.0).projections
    expected = np.array([3.0, 2.0])[:, None] * (second @ first) * 1000.0
    np.testing.assert_allclose(p.matrix().toarray(), expected)
    sources, targets = p.edges()
    np.testing.assert_allclose(p.delay, 1.0 + sources + 4.0 * targets)
    assert p.synapse == Exponential(tau=5.0)


def with_background():
    net = network()
    net.background("b", rate=1.0, weight=0.1)
    return net


def two_times():
    net = network(synapse=Exponential(tau=5.0))
    net.connect("b", "b", weight=1.0, in_degree=1, synapse=Exponential(tau=6.0))
    return net


def lone(neuron, name="p", **options):
    net = Network()
    net.add(neuron, 2, name, **options)
    return net


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: network(EIF()), "the neuron EIF of population 'b'"),
        (lambda: network(LIF()), "t_ref of population 'b'.* Set t_ref to 0"),
        (lambda: network(synapse=Alpha()), "the synapse Alpha"),
        (lambda: network(delay=torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 2.0])), "delays that differ"),
        (with_background, "the background of 'b'"),
        (two_times, "5 ms, 6 ms"),
        (lambda: lone(Poisson()), "the neuron Poisson"),
        (lambda: lone(SpikeTimes([1.0], [0])), "the spikes of population 'p'"),
        (lambda: lone(LIF(t_ref=0.0), noise=1.0), "noise of population"),
        (lambda: lone(LIF(t_ref=0.0), drive=TimeSeries([1.0], 1.0)), "time series in drive"),
        (lambda: lone(LIF(t_ref=0.0), initial={"V": 0.0}), "initial values"),
        (lambda: lone(LIF(t_ref=0.0), name="a/b"), "name 'a/b'"),
        (Network, "without neurons"),
    ],
)
def test_what_nir_cannot_hold_is_refused_by_name(make, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_nir(make(), tmp_path / "x.nir")
    assert not list(tmp_path.iterdir())


def cuba(**change):
    values = {"tau_syn": np.full(2, 5e-3), "tau_mem": np.full(2, 0.01), "r": np.ones(2),
              "v_leak": np.zeros(2), "v_threshold": np.ones(2)}  # fmt: skip
    return nir.CubaLIF(**{**values, **change})


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([nir.Threshold(np.ones(2)), cuba()], "the Threshold 'threshold' on the way to a neuron"),
        ([nir.LI(*np.ones((3, 2))), nir.Linear(np.eye(2)), cuba()], "'li' into the synaptic current of 'cubalif'"),
        ([nir.LI(*np.ones((3, 2))), nir.Delay(np.ones(2)), nir.I(np.ones(2))], "delay of the continuous .* of 'li'"),
        (
            [nir.Linear(np.eye(101)), nir.CubaLI(np.arange(1, 102), *np.ones((3, 101)))],
            "101 synaptic time constants within 'cubali'",
        ),
        ([nir.Delay(np.array([0.5, -1.0]))], "delay of 'delay' is -1; expected numbers that are from 0 on"),
        ([nir.Linear(np.array([[np.nan, 1.0]]))], "weight of 'linear' is nan; expected numbers that are finite"),
        ([cuba(tau_syn=np.zeros(2))], "tau_syn of 'cubalif' is 0; expected numbers that are above 0"),
        ([cuba(v_reset=np.array([0.5, 1.0]))], "v_reset of 'cubalif' is 1 and v_threshold 1 at neuron 1"),
        (
            [nir.Conv2d((300, 300), np.ones((1, 1, 99, 99)), 1, 0, 1, 1, np.zeros(1)), nir.I(np.ones((1, 202, 202)))],
            "'conv2d' has 399920004 weights between single neurons; expected up to 33554432",
        ),
        ([nir.I(np.broadcast_to(1.0, (4097, 4096)))], "the 16781312 values of '.*', more than 16777216"),
    ],
)
def test_what_a_network_cannot_hold_is_refused_by_name(nodes, message):
    with pytest.raises(ValueError, match=message):
        from_nir(nir.NIRGraph.from_list(*nodes))


def test_inputs_are_given_their_spikes():
    cell = nir.LIF(tau=np.full(2, 0.02), r=np.full(2, 20.0), v_leak=np.zeros(2), v_threshold=np.full(2, 0.9))
    straight = nir.NIRGraph.from_list(cell)
    assert len(from_nir(straight, pulse=1.0, delay=1.0).populations) == 1
    spikes = {"input": SpikeTimes([2.0, 5.0], [1, 0])}
    net = from_nir(straight, pulse=1.0, delay=1.0, inputs=spikes)
    recording = rv.simulate(net, 10.0, dt=1.0)  # jumps of 1 decay to 0.95 in their step
    assert recording.times.tolist() == [2.0, 4.0, 5.0, 7.0] and recording.neurons.tolist() == [1, 3, 0, 2]
    weighted = nir.NIRGraph.from_list(nir.Linear(np.ones((2, 3))), cell)
    source = Poisson(rate=5.0)
    net = from_nir(weighted, inputs={"input": source})
    assert net["input"].neuron is source and net["input"].size == 3
    with pytest.raises(ValueError, match="Found 'lif' in inputs; expected names of Inputs: 'input'"):
        from_nir(weighted, inputs={"lif": Poisson()})
    with pytest.raises(TypeError, match="Found LIF for input 'input'; expected SpikeTimes or Poisson"):
        from_nir(weighted, inputs={"input": LIF()})


def wired(nodes, edges):
    ends = {"in": nir.Input({"input": np.array([2])}), "out": nir.Output({"output": np.array([2])})}
    return nir.NIRGraph(nodes=ends | nodes, edges=edges, type_check=False)


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ({"a": nir.Linear(np.eye(2)), "b": nir.Scale(np.ones(2)), "c": cuba()},
         [("in", "a"), ("a", "b"), ("b", "a"), ("b", "c")],
         "the loop through 'a' and 'b' without a neuron in it, which leads to one"),
        ({"a": nir.Linear(np.eye(2)), "b": nir.Linear(np.ones((3, 2)))}, [("in", "a"), ("a", "b"), ("b", "a")],
         "gives 3 values, 'a' takes 2"),
        ({"a": nir.Linear(np.eye(3))}, [("in", "a")], "weights of 'a' are 3 x 3, the values that reach it are 2"),
        ({"a": cuba(), "b": nir.Linear(np.ones((3, 2)))}, [("in", "b"), ("b", "a")], "'b' gives 3 values, 'a' takes 2"),
        ({"a": nir.Linear(np.ones((3, 2)))}, [("in", "a"), ("a", "out")], "Output of 'out' is 2, .* reach it are 3"),
        ({"a": nir.Linear(np.eye(2)), "b": cuba()}, [("a", "b")], "Nothing leads to 'a'"),
        ({"a": nir.AvgPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0]))}, [("in", "a")],
         "AvgPool2d of 'a' is channels x height x width"),
    ],
)  # fmt: skip
def test_malformed_graphs_are_refused_by_name(nodes, edges, message):
    with pytest.raises(ValueError, match=message):
        from_nir(wired(nodes, edges))


def test_loops_that_lead_to_no_neuron_are_left_out():
    affine = nir.Affine(np.eye(2), np.ones(2))
    nodes = {"n": cuba(), "a": nir.Linear(np.eye(2)), "b": nir.Scale(np.ones(2)), "c": affine}
    edges = [("in", "n"), ("n", "a"), ("a", "b"), ("b", "a"), ("b", "out"), ("in", "c"), ("c", "c"), ("c", "b")]
    net = from_nir(wired(nodes, edges), inputs={"in": SpikeTimes([1.0], [0])})
    assert [p.name for p in net.populations] == ["in", "n"]
    assert [(p.source.name, p.target.name) for p in net.projections] == [("in", "n")]


def test_delays_multiply_only_up_to_a_bound():
    """Two ways a layer with delays 1, 2, 4, ... ms: 2 to the 12 different sums."""
    nodes, edges, last = {}, [], ["in"]
    for k in range(12):
        new = [f"a{k}", f"b{k}"]
        nodes |= {new[0]: nir.Delay(np.full(2, 2.0**k)), new[1]: nir.Scale(np.ones(2))}
        edges += [(one, other) for one in last for other in new]
        last = new
    with pytest.raises(ValueError, match="more than 1000 different delays on the ways to 'a10'"):
        from_nir(wired(nodes | {"c": cuba()}, edges + [(one, "c") for one in last]))


def test_weights_of_another_unit_than_a_second_are_refused():
    """r = 1e-4 and a threshold of 1: at a spike in 0.1 ms, V stays below 1e-4 · 1 s/0.1 ms = 1 and a little."""
    graph = nir.NIRGraph.from_list(
        nir.Linear(np.eye(2)), nir.LIF(*np.full((1, 2), 0.02), np.full(2, 1e-4), np.zeros(2), np.full(2, 1.01))
    )
    with pytest.raises(ValueError, match=r"No neuron of 'lif' can spike: .* V stays below 1 mV, .* is 1.01 mV"):
        from_nir(graph)
    assert from_nir(graph, pulse=1000.0).size == from_nir(graph, delay=0.09).size == 4
    graph.nodes["linear"].weight[:] = -np.eye(2)  # no pulse would help
    assert from_nir(graph).size == 4


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_nir(tmp_path / "none.nir")
    (tmp_path / "text.nir").write_text("not HDF5")
    with pytest.raises(ValueError, match="no NIR file"):
        read_nir(tmp_path / "text.nir")
    with pytest.raises(TypeError, match="NIRGraph"):
        from_nir(3)
