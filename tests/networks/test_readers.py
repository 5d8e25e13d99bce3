"""Readers: what is in the file comes out, in whatever form; what is wrong is refused with its line."""

import gzip

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranvier.networks import EdgeList, from_networkx, from_sparse, read_edges, read_graphml, to_networkx
from ranvier.neurons import LIF, Graded
from ranvier.synapses import Electrical, Exponential

UNITS = "pre,post,delay\na,b,1.5 ms\nb,a,0.002 s\n"
ROWS = [("b", "a", 2.0), ("a", "c", 3.5), ("c", "c", 1.0)]


def write(tmp_path, text, name="edges.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def triples(edges):
    names = edges.names
    rows = zip(edges.sources, edges.targets, edges.weights, strict=True)
    return sorted((names[s], names[t], float(w)) for s, t, w in rows)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", " ", "   "])
@pytest.mark.parametrize(
    "header", [None, "pre post synapses", "From To N_syn", "source_id target_id weight", "Pre Post Count"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_usual_form_gives_the_same_edges(tmp_path, delimiter, header, end):
    header = header and header.replace("source_id", "Source").replace("target_id", "Target")
    lines = ([delimiter.join(header.split())] if header else []) + [
        delimiter.join(map(str, row)) for row in ROWS
    ]
    edges = read_edges(write(tmp_path, "# a comment" + end + end.join(lines) + end))
    assert triples(edges) == sorted(ROWS)
    assert edges.names == ("b", "a", "c")
    assert any("itself" in note for note in edges.notes)


def test_integer_nodes_are_ranked_and_repeats_are_summed(tmp_path):
    edges = read_edges(write(tmp_path, "10 9 1\n9 10 4\n10 9 2\n100 9 7\n"))
    assert edges.names == ("9", "10", "100")
    assert triples(edges) == [("10", "9", 3.0), ("100", "9", 7.0), ("9", "10", 4.0)]
    assert any("1 repeated edge " in note for note in edges.notes)
    assert edges.targets.tolist() == [0, 0, 1] and edges.sources.tolist() == [1, 2, 0]


def test_gzip_bom_quotes_and_extra_columns(tmp_path):
    text = '\ufeffpre,post,neuropil,syn_count\n"a, left",b,AL,3\nb,"a, left",AL,1\n'
    edges = read_edges(write(tmp_path, gzip.compress(text.encode()), "edges.csv.gz"))
    assert triples(edges) == [("a, left", "b", 3.0), ("b", "a, left", 1.0)]
    assert any("neuropil" in note for note in edges.notes)


def test_columns_by_name_by_place_and_a_filter(tmp_path):
    path = write(tmp_path, "kind,x,y,size\nchem,1,2,5\ngap,2,1,6\n")
    by_name = read_edges(path, columns={"source": "x", "target": "y", "weight": "size"}, header=True)
    assert triples(by_name) == [("1", "2", 5.0), ("2", "1", 6.0)]
    turned = read_edges(path, columns={"source": 2, "target": 1}, header=True, where={"kind": "gap"})
    assert triples(turned) == [("1", "2", 1.0)]
    bare = read_edges(write(tmp_path, "7 1 2\n8 2 1\n"), columns=("weight", "source", "target"))
    assert triples(bare) == [("1", "2", 7.0), ("2", "1", 8.0)]


def test_delays_are_ms_whatever_their_unit(tmp_path):
    assert read_edges(write(tmp_path, "a b 1 1.5\nb a 1 2\n")).delays.tolist() == [2.0, 1.5]
    assert read_edges(write(tmp_path, UNITS)).delays.tolist() == [
        2.0,
        1.5,
    ]
    assert read_edges(write(tmp_path, "pre,post,delay_us\na,b,1500\n")).delays.tolist() == [1.5]
    apart = read_edges(write(tmp_path, "a b 1 1\na b 1 2\na b 1 1\n"))
    assert apart.delays.tolist() == [1.0, 2.0] and apart.weights.tolist() == [2.0, 1.0]


def test_nodes_may_be_given(tmp_path):
    path = write(tmp_path, "0 2 1\n")
    assert read_edges(path, nodes=4).names == ("0", "1", "2", "3")
    assert read_edges(path, nodes=["2", "0"]).sources.tolist() == [1]
    with pytest.raises(ValueError, match="line 1: the target '2' is not among the 2 nodes"):
        read_edges(path, nodes=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# only a comment\n\n", "is empty"),
        ("pre,post\n", "no edges"),
        ("a b 1\na b\n", "line 2 has 2 columns, line 1 has 3"),
        ("a,b,1\na,b,1,2\n", "line 2 has 4 columns"),
        ("a b many\n", "line 1: the weight is the text 'many'"),
        ("a b 1\nb a nan\n", "line 2: the weight is nan"),
        ("a b 1\n\nb a -inf\n", "line 3: the weight is -inf"),
        ("a,b,\n", "weight is empty"),
        ("a b 1_000\n", "1_000"),
        ("a b 1e999\n", "largest number"),
        ("a b 1e308\na b 1e308\n", "infinite"),
        ("a b 3 mV\na b 3 mV\n", "delay: the value"),
        ("a b 1 -2\n", "above 0 ms"),
        ("a b 1 0\n", "above 0 ms"),
        ("pre,post,delay\na,b,3 mV\n", "line 2: the delay"),
        ("1 99999999999999999999999 2\n", "2\\*\\*63"),
        ("1 -4 2\n", "whole number from 0"),
        ("7.2e17 1 2\n", "spreadsheet"),
        ("nan 1 2\n", "name or a whole number"),
        (",b,1\n", "source is empty"),
        ("a\nb\n", "one column"),
        ("1 2 3 4 5\n", "Say which is which"),
        ("pre,post,source\na,b,c\n", "two columns for the source"),
        ('a,"b,1\n', "quotes closed"),
        (b"\xff\xfe\x00a", "UTF-8"),
        (b"\x1f\x8b\x08\x00broken", "gzip"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_edges(write(tmp_path, text))


def test_missing_files_folders_and_columns(tmp_path):
    for name in ("none.csv", "none.graphml", "none.npz"):
        with pytest.raises(FileNotFoundError, match="There is no file"):
            read_edges(tmp_path / name)
    with pytest.raises(ValueError, match="folder"):
        read_edges(tmp_path)
    path = write(tmp_path, "pre,post,synapses\na,b,1\n")
    with pytest.raises(ValueError, match="did you mean 'synapses'"):
        read_edges(path, columns={"source": "pre", "target": "post", "weight": "synapse"})
    with pytest.raises(ValueError, match="did you mean 'weight'"):
        read_edges(path, columns={"weigth": 2})
    with pytest.raises(ValueError, match="column is 3; expected 0 to 2"):
        read_edges(path, columns={"source": 0, "target": 3})


TEXT = st.text(alphabet=st.sampled_from(list("ab01.,;\t \n\r\"'#-+eE_\x00é\ufeffn")), max_size=60)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(TEXT.map(str.encode), st.binary(max_size=60)),
    zipped=st.booleans(),
    kind=st.sampled_from(["csv", "txt", "npz", "graphml"]),
)
def test_random_files_give_edges_or_a_message(tmp_path, data, zipped, kind):
    path = write(tmp_path, gzip.compress(data) if zipped else data, f"random.{kind}")
    try:
        edges = read_edges(path)
    except ValueError as error:
        assert len(str(error)) > 20
    else:
        assert len(edges) > 0 and np.isfinite(edges.weights).all()
        assert min(edges.sources.min(), edges.targets.min()) >= 0
        assert max(edges.sources.max(), edges.targets.max()) < edges.size == len(set(edges.names))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.floats(-1e6, 1e6)), min_size=1, max_size=30
    ),
    gap=st.sampled_from([",", "\t", " ", ";"]),
)
def test_written_edges_come_back_summed(tmp_path, rows, gap):
    path = write(tmp_path, "\n".join(gap.join(map(repr, row)) for row in rows))
    expected = np.zeros((10, 10))
    for source, target, weight in rows:
        expected[target, source] += weight
    edges = read_edges(path, nodes=10)
    np.testing.assert_allclose(edges.matrix().toarray(), expected, rtol=1e-12, atol=1e-9)


def test_sparse_matrices_are_target_by_source(tmp_path):
    matrix = sp.csr_array(np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 4.0]]))
    edges = from_sparse(matrix, names=["a", "b", "c"])
    assert triples(edges) == [("a", "c", -1.0), ("b", "a", 2.0), ("c", "c", 4.0)]
    assert (edges.matrix() != matrix).nnz == 0
    sp.save_npz(tmp_path / "m.npz", matrix)
    assert triples(read_edges(tmp_path / "m.npz"))[0] == ("0", "2", -1.0)
    for wrong in (np.ones((2, 3)), np.array([[1j]]), np.array([[np.nan]]), np.ones(3)):
        with pytest.raises(ValueError, match="expected"):
            from_sparse(wrong)
    with pytest.raises(ValueError, match="2 names for 3"):
        from_sparse(matrix, names=["a", "b"])


def test_networkx_and_graphml_round_trip(tmp_path):
    edges = EdgeList.build(
        "abc", [0, 1, 1], [1, 2, 1], [2.0, -3.0, 0.5], [1.0, 2.0, 1.5], classes=list("xyx")
    )
    nx.write_graphml(to_networkx(edges), tmp_path / "g.graphml")
    for back in (from_networkx(to_networkx(edges)), read_edges(tmp_path / "g.graphml")):
        assert triples(back) == triples(edges) and back.classes == edges.classes
        assert back.delays.tolist() == edges.delays.tolist()
    undirected = from_networkx(nx.path_graph(3))
    assert len(undirected) == 4 and any("both directions" in note for note in undirected.notes)
    assert len(from_networkx(nx.empty_graph(2))) == 0
    graph = nx.DiGraph([(0, 1), (1, 2)])
    graph[0][1]["weight"] = "heavy"
    with pytest.raises(ValueError, match="others have"):
        from_networkx(graph)
    graph[1][2]["weight"] = 1.0
    with pytest.raises(ValueError, match="'heavy'"):
        from_networkx(graph)
    with pytest.raises(TypeError, match="NetworkX"):
        from_networkx([1])


def test_graphml_takes_labels_for_names_where_they_differ(tmp_path):
    graph = nx.DiGraph([("n0", "n1")])
    nx.set_node_attributes(graph, {"n0": "AVAL", "n1": "AVAR"}, "label")
    nx.write_graphml(graph, tmp_path / "g.graphml")
    assert read_graphml(tmp_path / "g.graphml").names == ("AVAL", "AVAR")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", "a"], [0], [1]), "appears twice"),
        ((["a", "b"], [0], [2]), "Edge 0 has target 2"),
        ((["a", "b"], [-1], [1]), "source -1"),
        ((["a", "b"], [0, 1], [1]), "expected as many"),
        ((["a", "b"], [0], [1], [np.inf]), "inf among its weights"),
        ((["a", "b"], [0], [1], [1.0, 2.0]), "one number an edge"),
        ((["a", "b"], [0], [1], ["1"]), "one number an edge"),
        ((["a", "b"], [0], [1], [1.0], [-1.0]), "above 0 ms"),
    ],
)
def test_edge_lists_refuse_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        EdgeList.build(*arguments)


def test_an_edge_list_becomes_a_network():
    edges = EdgeList.build("abc", [1, 0], [0, 2], [2.0, 3.0], [1.5, 2.5], classes=list("xyx"))
    net = edges.to_network(LIF(), synapse=Exponential(tau=5.0), drive=[1.0, 2.0, 3.0])
    (population,), (projection,) = net.populations, net.projections
    assert net.names == ["a", "b", "c"] and net.classes == ["x", "y", "x"]
    assert population.parameters["drive"].tolist() == [1.0, 2.0, 3.0]
    sources, targets = projection.edges()
    assert sources.tolist() == [1, 0] and targets.tolist() == [0, 2]
    assert projection.weight.tolist() == [2.0, 3.0] and projection.delay.tolist() == [1.5, 2.5]
    graded = edges.to_network(Graded(), synapse=Electrical())
    assert graded.projections[0].delay == 0.0
