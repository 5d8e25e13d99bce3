"""Graphs of NIR that are no row, what shifts and scales potentials, other units of r: against NIR's equations."""

import nir
import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.nn import Graph, from_nir, to_nir
from tests.nn.test_layers_not_as_nir import EYE, cell, graph_of, row

DT = 1e-4  # s
X = (torch.rand(60, 3, 2, generator=torch.Generator().manual_seed(0)) < 0.5).double()
W = np.array([[0.6, -0.2], [0.3, 0.9]])


def euler(node, x, pulse=DT):
    """NIR's equations of one node by Euler's method, spikes as pulses of `pulse` s; x (T, B, N), from v_leak on."""
    leak = np.asarray(getattr(node, "v_leak", np.zeros(2)), float)
    v, out = np.broadcast_to(leak, x.shape[1:]).copy(), []
    for now in x:
        if isinstance(node, nir.IF | nir.I):
            v = v + node.r * now * pulse
        else:
            v = v + (DT * (leak - v) + node.r * now * pulse) / node.tau
        if hasattr(node, "v_threshold"):
            spike = v >= node.v_threshold - 1e-12
            v = np.where(spike, node.v_reset, v)
            out.append(spike.astype(float))
        else:
            out.append(v)
    return np.stack(out)


def run(graph, x=X, **options):
    return from_nir(graph, dtype=torch.float64, **options)(x)[0].detach().numpy()


@pytest.mark.parametrize(
    "node",
    [
        cell(nir.LI, v_leak=-0.7), cell(nir.LI, r=-30.0), cell(v_leak=0.2, v_reset=0.2), cell(v_leak=0.2, v_reset=-0.4),
        cell(v_reset=np.array([-0.5, 0.3])), nir.IF(np.full(2, 4e3), np.ones(2), np.array([-0.5, 0.25])),
        nir.I(np.array([1e3, 2e3])),
    ],
)  # fmt: skip
@pytest.mark.parametrize("weighted", [False, True])
def test_potentials_of_nir_are_shifted_and_scaled(node, weighted):
    x = X.numpy() @ W.T if weighted else X.numpy()
    expected = euler(node, x)
    assert expected.std() > 0.05
    graph = row(nir.Linear(W), node) if weighted else row(node)
    np.testing.assert_allclose(run(graph), expected, atol=1e-9)


def test_a_leak_above_threshold_spikes_on_its_own():
    """From 0 on, where the node's own start, v_leak, would spike at once."""
    node = cell(tau=2e-3, v_leak=1.5)
    expected, v = [], np.zeros((3, 2))
    for now in X.numpy() @ (0.1 * W.T):
        v = v + (DT * (1.5 - v) + 100.0 * now * DT) / 2e-3
        expected.append(v >= 1.0)
        v = np.where(v >= 1.0, 0.0, v)
    y = run(row(nir.Linear(0.1 * W), node))
    assert 0.03 < y.mean() < 0.5
    np.testing.assert_array_equal(y, np.stack(expected))


def test_branches_meet_in_a_sum():
    nodes = {"a": nir.Linear(W), "left": cell(), "right": cell(nir.LI), "b": nir.Affine(W.T, np.ones(2))}
    edges = [("input", "a"), ("a", "left"), ("a", "right"), ("left", "b"), ("right", "b"), ("b", "output")]
    model = from_nir(graph_of(nodes, edges), dtype=torch.float64)
    assert isinstance(model, Graph)
    x = X.numpy() @ W.T
    expected = (euler(nodes["left"], x) + euler(nodes["right"], x)) @ W + 1.0
    np.testing.assert_allclose(model(X)[0].detach(), expected, atol=1e-9)


def test_a_loop_through_two_nodes_takes_a_step():
    """The spikes of c act on a one step later; the same as one recurrent layer if b passes everything on."""
    nodes = {"a": cell(), "b": nir.Linear(W), "c": cell(tau=5e-3, r=50.0)}
    edges = [("input", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "output")]
    y = run(graph_of(nodes, edges))
    a, c, back = np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2))
    for k, now in enumerate(X.numpy()):
        a = a + (-DT * a + 100.0 * (now + back) * DT) / 1e-2
        spikes = (a >= 1.0 - 1e-12).astype(float)
        a = np.where(spikes, 0.0, a)
        c = c + (-DT * c + 50.0 * (spikes @ W.T) * DT) / 5e-3
        back = (c >= 1.0 - 1e-12).astype(float)
        c = np.where(back, 0.0, c)
        np.testing.assert_array_equal(y[k], back)
    assert 0.02 < y.mean() < 0.9


def test_several_inputs_and_outputs_subgraphs_and_dead_ends():
    ends = {n: nir.Input(np.array([2])) for n in ("i", "j")} | {n: nir.Output(np.array([2])) for n in ("o", "p")}
    inner = row(nir.Linear(W), cell())
    nodes = ends | {"sub": inner, "b": cell(nir.LI), "dead": cell()}
    edges = [("i", "sub"), ("j", "sub"), ("sub", "o"), ("sub", "b"), ("b", "p"), ("i", "dead")]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    with pytest.warns(UserWarning, match="1 of .* nodes lead to no output and are left out: 'dead'"):
        model = from_nir(graph, dtype=torch.float64)
    y, (o, p) = X.flip(0), model((X, X.flip(0)))[0]
    expected = euler(cell(), (X + y).numpy() @ W.T)
    np.testing.assert_array_equal(o.detach(), expected)
    np.testing.assert_allclose(p.detach(), euler(cell(nir.LI), expected), atol=1e-12)


def test_scale_and_threshold_go_both_ways():
    graph = row(nir.Scale(np.array([2.0, -1.0])), nir.Threshold(np.array([1.5, -0.5])), cell())
    model = from_nir(graph, dtype=torch.float64)
    assert [type(m).__name__ for m in model] == ["Scale", "Threshold", "LIF"]
    inner = (X.numpy() * [2.0, -1.0] >= [1.5, -0.5]).astype(float)
    np.testing.assert_array_equal(model(X)[0].detach(), euler(cell(), inner))
    back = from_nir(to_nir(model, input_shape=2), dtype=torch.float64)
    torch.testing.assert_close(back(X)[0], model(X)[0], rtol=0, atol=0)


def test_a_file_of_another_unit_of_r_is_refused_and_read_with_pulse():
    """As sinabs and Norse write an IF: a spike adds its weight at r = 1, which means a pulse of one second."""
    weight = 0.973 * W  # no sum is exactly at the threshold
    graph = row(nir.Linear(weight), nir.IF(np.ones(2), np.ones(2), np.zeros(2)))
    with pytest.raises(ValueError, match=r"no neuron of a layer can spike: .* threshold is 1e\+04, at 0\.1 ms a spike"):
        from_nir(graph)
    y = run(graph, pulse=1000.0)
    np.testing.assert_array_equal(y, euler(graph.nodes["if"], X.numpy() @ weight.T, pulse=1.0))
    assert y.mean() > 0.1
    assert run(graph, pulse=0.1).sum() == 0  # as the file says, on the user's word


def test_a_constant_input_is_no_pulse():
    """A bias adds dt, a spike `pulse`."""
    node = cell(nir.LI)
    y = run(row(nir.Affine(W, np.array([0.5, -0.2])), node), pulse=20.0)
    expected, v = [], np.zeros((3, 2))
    for now in X.numpy() @ W.T:
        v = v + (-DT * v + 100.0 * (now * 2e-2 + np.array([0.5, -0.2]) * DT)) / 1e-2
        expected.append(v)
    np.testing.assert_allclose(y, np.stack(expected), rtol=1e-9, atol=1e-9)


def test_names_of_nodes_are_only_names():
    graph = graph_of({"keys": cell(), "a.b": cell(nir.LI), "c": nir.Linear(EYE)},
                     [("input", "keys"), ("input", "a.b"), ("keys", "c"), ("a.b", "c"), ("c", "output")])  # fmt: skip
    assert run(graph).shape == (60, 3, 2)


def test_the_graph_is_a_cell():
    """Laws of cells, on a graph with a loop."""
    from tests.laws.cells import check_cell

    torch.manual_seed(0)
    model = Graph(
        {"first": torch.nn.Linear(2, 4), "in": rv.nn.LIF(4), "rec": torch.nn.Linear(4, 4, bias=False),
         "skip": torch.nn.Linear(2, 3), "out": rv.nn.LI(4, 3)},
        [("x", "first"), ("first", "in"), ("in", "rec"), ("rec", "in"), ("in", "out"), ("x", "skip"), ("out", "y"),
         ("skip", "y")],
    ).double()  # fmt: skip
    check_cell(model, 3 * X[:12], list(model.parameters()))


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ({"a": "x"}, [("x", "b"), ("a", "y")], "the edge 'x' to 'b' ends nowhere"),
        ({"a": "x"}, [("z", "a"), ("a", "y")], "the edge 'z' to 'a' starts nowhere"),
        ({"a": "x"}, [("a", "y")], "nothing reaches 'a' from the inputs"),
        ({"x": "x"}, [("x", "y")], "the name 'x' twice"),
        ({"a": "x"}, [("x", "a")], "nothing reaches 'y'"),
    ],
)
def test_graphs_that_do_not_hang_together(nodes, edges, message):
    with pytest.raises(ValueError, match=message):
        Graph({name: torch.nn.Linear(2, 2) for name in nodes}, edges)
