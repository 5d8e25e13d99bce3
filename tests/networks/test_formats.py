"""Every format that a wiring comes in, by its content alone, written by the libraries that others write it with."""

import gzip
import io
import json

import networkx as nx
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from ranvier.cli.runs import RunSettings, build
from ranvier.networks import read_edges, read_graphml, read_sparse

# four nodes, one edge to itself, one weight below 1, no symmetry
MATRIX = np.array([[0.0, 2.0, 0.0, 1.5], [0.0, 0.0, 0.5, 0.0], [3.0, 0.0, 4.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
NAMES = ["AVAL", "AVAR", "PVCL", "n 4"]
EDGES = {(NAMES[s], NAMES[t]): MATRIX[t, s] for t, s in np.argwhere(MATRIX)}


def triples(edges):
    ends = zip(edges.sources, edges.targets, edges.weights, strict=True)
    return {(edges.names[s], edges.names[t]): float(w) for s, t, w in ends}


def numbered(edges):
    return {(str(NAMES.index(s)), str(NAMES.index(t))): w for (s, t), w in edges.items()}


def graph():
    out = nx.DiGraph()
    out.add_nodes_from(NAMES)
    out.add_weighted_edges_from((s, t, float(w)) for (s, t), w in EDGES.items())
    return out


def written(function, *arguments, **options):
    stream = io.BytesIO()
    function(*arguments[:1], stream, *arguments[1:], **options)
    return stream.getvalue()


def market(matrix, **options):
    stream = io.BytesIO()
    scipy.io.mmwrite(stream, sp.coo_array(matrix), **options)
    return stream.getvalue()


def saved(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def sparse(matrix):
    stream = io.BytesIO()
    sp.save_npz(stream, matrix)
    return stream.getvalue()


def labelled(gap, corner=""):
    rows = [gap.join([corner, *NAMES]), *(gap.join([n, *map(str, r)]) for n, r in zip(NAMES, MATRIX, strict=True))]
    return "\n".join(rows).encode()


NAMED = {
    "graphml": written(nx.write_graphml, graph()),
    "gexf": written(nx.write_gexf, graph()),
    "gml": written(nx.write_gml, graph()),
    "pajek": written(nx.write_pajek, graph()),
    "node-link": json.dumps(nx.node_link_data(graph(), edges="links")).encode(),
    "node-link, edges": json.dumps(nx.node_link_data(graph(), edges="edges")).encode(),
    "edge list": "\n".join(f"{s},{t},{w}" for (s, t), w in EDGES.items()).encode(),
    "labelled csv": labelled(","),
    "labelled tsv": labelled("\t"),
    "corner named": labelled(";", "neuron"),
    "arrays with names": saved(W=MATRIX, names=np.array(NAMES)),
}
NUMBERED = {
    "market": market(MATRIX),
    "npy": npy(MATRIX),
    "npy, fortran": npy(np.asfortranarray(MATRIX)),
    "one array": saved(weights=MATRIX),
    "edges as npy": npy(np.array([[s, t, MATRIX[t, s]] for t, s in np.argwhere(MATRIX)])),
    "edges as npz": saved(pre=np.argwhere(MATRIX)[:, 1], post=np.argwhere(MATRIX)[:, 0], weight=MATRIX[MATRIX != 0]),
    **{kind: sparse(getattr(sp, f"{kind}_array")(MATRIX)) for kind in ("csr", "csc", "coo", "bsr")},
    "dia": sparse(sp.dia_array(MATRIX)),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [*NAMED, *NUMBERED])
def test_a_format_is_known_by_its_content(tmp_path, kind, packed):
    data = {**NAMED, **NUMBERED}[kind]
    path = tmp_path / "wiring.dat"
    path.write_bytes(gzip.compress(data) if packed else data)
    edges = triples(read_edges(path))
    if kind == "dia":  # diagonals hold zeros
        edges = {ends: w for ends, w in edges.items() if w}
    assert edges == (EDGES if kind in NAMED else numbered(EDGES))


def test_rows_may_be_sources(tmp_path):
    turned = {(t, s): w for (s, t), w in EDGES.items()}
    for name, expected in (("labelled csv", turned), ("npy", numbered(turned)), ("market", numbered(turned))):
        path = tmp_path / "m"
        path.write_bytes({**NAMED, **NUMBERED}[name])
        assert triples(read_edges(path, rows="sources")) == expected
        assert any("rows were taken as sources" in note for note in read_edges(path, rows="sources").notes)


def test_matrix_market_is_read_whole(tmp_path):
    path = tmp_path / "m.mtx"
    half = "%%MatrixMarket matrix coordinate {} {}\n% a comment\n3 3 2\n2 1{}\n3 2{}\n"
    both = {("0", "1"), ("1", "0"), ("1", "2"), ("2", "1")}
    path.write_text(half.format("real", "symmetric", " 5", " 7"))
    assert triples(read_edges(path)) == {e: 5.0 if "0" in e else 7.0 for e in both}
    path.write_text(half.format("real", "skew-symmetric", " 5", " 7"))
    skew = triples(read_edges(path))
    assert skew[("0", "1")] == 5.0 == -skew[("1", "0")] and set(skew) == both
    path.write_text(half.format("pattern", "general", "", ""))
    assert triples(read_edges(path)) == {("0", "1"): 1.0, ("1", "2"): 1.0}
    path.write_text(half.format("integer", "symmetric", " 5", " 7").replace("%%Matrix", "%%matrix"))
    assert len(read_edges(path)) == 4
    for wrong in ("complex general", "real hermitian", "real"):
        path.write_text("%%MatrixMarket matrix coordinate " + wrong + "\n3 3 1\n1 1 1 1\n")
        with pytest.raises(ValueError, match=r"m\.mtx"):
            read_edges(path)


@pytest.mark.parametrize(
    "text",
    ["3 3 2\n1 2 0.5\n2 3 0.5\n", "% a comment\n297 297 3\n1 2 1\n2 3 1\n297 1 4\n"],
)
def test_a_matrixs_size_is_no_synapse(tmp_path, text):
    path = tmp_path / "m.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"line [12] is the size of a matrix"):
        read_edges(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Neuron 1,Neuron 2\nAVAL,AVAR\nAVAR,PVCL\n", {("AVAL", "AVAR"): 1.0, ("AVAR", "PVCL"): 1.0}),
        ("cell_a\tcell_b\tn\nx\ty\t3\n", {("x", "y"): 3.0}),
        ("foo bar\n1 2\n2 3\n", {("1", "2"): 1.0, ("2", "3"): 1.0}),
        ("foo,bar,baz\nx,y,3\ny,x,4\n", {("x", "y"): 3.0, ("y", "x"): 4.0}),
    ],
)
def test_unknown_headers_are_no_edges(tmp_path, text, expected):
    path = tmp_path / "e.csv"
    path.write_text(text)
    assert triples(read_edges(path)) == expected


def test_a_line_that_may_be_either_is_asked_about(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("foo,bar\nx,y\ny,z\n")
    with pytest.raises(ValueError, match="header=True or False"):
        read_edges(path)
    assert len(read_edges(path, header=True)) == 2 and len(read_edges(path, header=False)) == 3
    assert "foo" in read_edges(path, header=True).notes[0]


def test_electrical_rows_are_kept_apart(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("pre,post,type,synapses\na,b,chemical,5\na,c,electrical,2\nc,a,electrical,4\nb,b,electrical,1\n"
                    "b,c,electrical,3\n")  # fmt: skip
    edges = read_edges(path)
    assert triples(edges) == {("a", "b"): 5.0} and edges.names == edges.electrical.names
    both = {("a", "c"): 3.0, ("c", "a"): 3.0, ("b", "c"): 3.0, ("c", "b"): 3.0}
    assert triples(edges.electrical) == both
    assert any("4 rows of gap junctions" in note for note in edges.notes)
    assert any("itself" in note for note in edges.electrical.notes)
    graded = build(RunSettings(wiring=str(path), neuron="Graded"))
    assert [type(p.synapse).__name__ for p in graded.network.projections] == ["Sigmoidal", "Electrical"]
    spiking = build(RunSettings(wiring=str(path)))
    assert any("of the file, as EIF neurons have none here" in note for note in spiking.notes)


def test_synapses_counted_from_the_receiving_cell_count_once(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("Neuron 1,Neuron 2,Type,Nbr\na,b,S,5\nb,a,R,5\na,c,Sp,2\nc,a,Rp,2\nb,c,EJ,1\nc,b,EJ,1\n")
    edges = read_edges(path)
    assert triples(edges) == {("a", "b"): 5.0, ("a", "c"): 2.0}
    assert triples(edges.electrical) == {("b", "c"): 1.0, ("c", "b"): 1.0}
    assert any("2 rows that count synapses from the receiving cell" in note for note in edges.notes)


def test_transmitters_give_signs(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("pre,post,neuropil,syn_count,nt_type\na,b,X,5,GABA\na,c,Y,1,ACH\nb,c,X,2,ACH\nc,a,X,3,DA\n")
    edges = read_edges(path)
    assert triples(edges) == {("a", "b"): -5.0, ("a", "c"): -1.0, ("b", "c"): 2.0, ("c", "a"): 3.0}
    assert edges.attributes["transmitter"] == ("GABA", "ACH", "DA")
    (note,) = [n for n in edges.notes if n.startswith("Signs by")]
    assert "GABA (1 neuron): inhibitory" in note and "DA (1 neuron): of unknown sign" in note
    job = build(RunSettings(wiring=str(path)))
    assert note in job.notes and (job.network.projections[0].weight < 0).sum() == 2
    turned = build(RunSettings(wiring=str(path), signs="a=-1"))  # says the same again: not turned twice
    assert (turned.network.projections[0].weight < 0).sum() == 2
    freed = build(RunSettings(wiring=str(path), signs="a=1"))
    assert (freed.network.projections[0].weight > 0).all()
    path.write_text("pre,post,w,sign\na,b,5,-1\nb,a,2,+1\n")
    assert triples(read_edges(path)) == {("a", "b"): -5.0, ("b", "a"): 2.0}


def test_a_column_of_other_types_is_left_out_by_name(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("pre,post,type,nt_type\na,b,KC,?\nb,a,PN,?\n")
    edges = read_edges(path)
    assert len(edges) == 2 and edges.electrical is None
    assert "Columns that were not read: type, nt_type." in edges.notes


def test_a_table_of_nodes(tmp_path):
    path, nodes = tmp_path / "e.csv", tmp_path / "n.tsv"
    path.write_text("7 9 5\n9 7 2\n")
    nodes.write_text("id\tname\tclass\tnt_type\tside\n9\tx\tLN\tgaba\tL\n7\ty\tPN\tacetylcholine\tR\n8\tz\tPN\t\tR\n")
    edges = read_edges(path, nodes=nodes)
    assert edges.names == ("9", "7", "8") and edges.classes == ("LN", "PN", "PN")
    assert edges.attributes["side"] == ("L", "R", "R") and edges.attributes["name"] == ("x", "y", "z")
    assert triples(edges) == {("7", "9"): 5.0, ("9", "7"): -2.0}
    assert any("1 of 3 nodes inhibitory, 1 without a known one" in note for note in edges.notes)
    job = build(RunSettings(wiring=str(path), nodes=str(nodes)))
    assert job.network.classes == ["LN", "PN", "PN"]
    nodes.write_text("id\n7\n")
    with pytest.raises(ValueError, match="'9' is not among the 1 nodes"):
        read_edges(path, nodes=nodes)
    nodes.write_text("a,b\n7,8\n")
    with pytest.raises(ValueError, match="none of which names the nodes"):
        read_edges(path, nodes=nodes)


def test_the_command_lines_options(tmp_path):
    path = tmp_path / "e.txt"
    path.write_text("w|one|two\n5|a|b\n2|b|a\n")
    job = build(RunSettings(wiring=str(path), columns="source=one,target=two,weight=0", delimiter="pipe"))
    assert job.network.names == ["a", "b"]
    job = build(RunSettings(wiring=str(path), columns="weight,source,target", header=True, delimiter="|"))
    assert job.network.projections[0].size == 2
    for settings, message in (
        (RunSettings(wiring=str(path), delimiter="ab"), "one character"),
        (RunSettings(wiring=str(path), columns="sauce=one,target=two", delimiter="|"), "did you mean 'source'"),
        (RunSettings(nodes="n.csv"), "comes with the package"),
    ):
        with pytest.raises(ValueError, match=message):
            build(settings)


@pytest.mark.parametrize(
    "data",
    [b"\x89HDF\r\n\x1a\n....", b"MATLAB 5.0 MAT-file, ...", b"%PDF-1.7", b"SQLite format 3\0...", b"BZh91AY",
     b"\x80\x04K\x01.", b"<html><body></body></html>", b"<!DOCTYPE html><html/>",
     b"PK\x03\x04broken", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
     b"Dear reader,\n\nthis is a letter. It has lines\nof many lengths.\n", b"hello\nworld\n"],
)  # fmt: skip
def test_other_content_is_refused_with_what_can_be_read(tmp_path, data):
    path = tmp_path / "edges.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"edges\.csv.*Matrix Market.*GraphML.*Pajek.*gzipped"):
        read_edges(path)


def test_a_name_says_nothing(tmp_path):
    path = tmp_path / "edges.graphml"
    path.write_text("a b 1\nb a 2\n")
    assert len(read_edges(path)) == 2
    with pytest.raises(ValueError, match="no GraphML"):
        read_graphml(path)
    with pytest.raises(ValueError, match="no archive"):
        read_sparse(path)


def test_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["pre", "post", "type", "synapses"], ["a", "b", "chemical", 5], ["a", 12, "electrical", 2.0]):
        book.active.append(row)
    book.save(tmp_path / "e.xlsx")
    edges = read_edges(tmp_path / "e.xlsx")
    assert triples(edges) == {("a", "b"): 5.0} and edges.names == ("a", "b", "12") and len(edges.electrical) == 2
    sheet = book.create_sheet("matrix")
    for line in labelled(",").decode().split("\n"):
        sheet.append([float(x) if x.replace(".", "").isdecimal() else x or None for x in line.split(",")])
    book.save(tmp_path / "e.xlsx")
    assert triples(read_edges(tmp_path / "e.xlsx", sheet="matrix")) == EDGES
    with pytest.raises(ValueError, match="give sheet="):
        read_edges(tmp_path / "e.xlsx")


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_arrow(tmp_path, kind):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"pre": ["a", "b"], "post": ["b", "a"], "syn_count": [5, 2], "nt_type": ["GABA", None]})
    if kind == "parquet":
        from pyarrow.parquet import write_table as write
    else:
        from pyarrow.feather import write_feather as write
    write(table, tmp_path / "e")
    assert triples(read_edges(tmp_path / "e")) == {("a", "b"): -5.0, ("b", "a"): 2.0}


@pytest.mark.parametrize(
    ("text", "matrix", "edges"),
    [
        ("0 1 0 2\n1 0 3 4\n0 2 0 1\n1 1 1 5\n", 11, 4),
        ("1,1,0\n1,0,3\n0,0,2\n", 5, 3),
        ("0 2\n3 0\n", 2, 2),
    ],
)
def test_a_few_rows_of_as_many_numbers_are_asked_about(tmp_path, text, matrix, edges):
    """They may be a matrix or edges: both readings are named, and either may be said."""
    path = tmp_path / "numbers.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"may be a matrix of \d neurons or \d edges .*rows='targets'.*header=False"):
        read_edges(path)
    assert len(read_edges(path, rows="targets")) == matrix
    assert len(read_edges(path, layout="matrix")) == matrix
    assert len(read_edges(path, header=False)) == edges
    assert len(read_edges(path, layout="edges")) == edges


@pytest.mark.parametrize(
    "text",
    ["0 1 0 2\n1 0 3 0\n0 0 0 1\n1 1 1 0\n", "0 0.5\n1.5 0\n", "0 -1 2\n1 0 3\n0 1 0\n", "0 1 0\n1 0 3\n0 0 0\n",
     "0 1 0 0 1\n" * 5],
)
def test_numbers_that_cannot_be_edges_are_a_matrix(tmp_path, text):
    """A delay of 0, a fraction or a sign among the nodes, weights of 0 and an empty diagonal, five columns."""
    path = tmp_path / "matrix.txt"
    path.write_text(text)
    values = np.loadtxt(path)
    edges = read_edges(path)
    assert edges.size == len(values) and np.array_equal(edges.matrix().toarray(), values)


@pytest.mark.parametrize(
    "text", ["1 2 3\n2 5 1\n3 7 2\n4 1 1\n", "10 20 30\n20 30 5\n30 10 7\n40 10 7\n50 20 1\n",
             "0 1 5\n1 2 3\n2 0 4\n", "1 2\n2 1\n", "0 0 0.5\n0 0 0.5\n1 1 2.5\n"],
)
def test_edges_of_numbers_are_no_matrix_with_names(tmp_path, text):
    path = tmp_path / "edges.txt"
    path.write_text(text)
    rows = np.loadtxt(path)
    edges = read_edges(path)
    names = np.array(edges.names, float)
    expected: dict = {}
    for source, target, *weight in rows:
        expected[source, target] = expected.get((source, target), 0.0) + (weight or [1.0])[0]
    assert dict(zip(zip(names[edges.sources], names[edges.targets]), edges.weights)) == expected


def test_glutamate_inhibits_where_the_user_says_so(tmp_path):
    """It excites by default, and a note says of how many neurons and edges; in insects it mostly inhibits."""
    path, nodes = tmp_path / "fly.csv", tmp_path / "nodes.csv"
    path.write_text("pre,post,syn_count,nt_type\na,b,5,GLUT\na,c,1,GLUT\nb,c,2,ACH\nc,a,3,DA\n")
    edges = read_edges(path)
    assert (edges.weights > 0).all()
    assert any("glutamate of 1 neuron (2 edges) was taken to excite" in note for note in edges.notes)
    for signs in ({"glutamate": -1}, {"GLUT": -1}):
        turned = read_edges(path, signs=signs)
        assert sorted(turned.weights.tolist()) == [-5.0, -1.0, 2.0, 3.0]
        assert not any("was taken to excite" in note for note in turned.notes)
    assert sorted(read_edges(path, signs={"DA": -1}).weights.tolist()) == [-3.0, 1.0, 2.0, 5.0]
    with pytest.raises(ValueError, match="signs has 0 for 'GLUT'; expected 1"):
        read_edges(path, signs={"GLUT": 0})
    plain = tmp_path / "plain.csv"
    plain.write_text("pre,post,weight\na,b,5\nb,a,2\n")
    nodes.write_text("id,nt_type\na,glutamate\nb,acetylcholine\n")
    assert any("glutamate of 1 neuron was" in n for n in read_edges(plain, nodes=nodes).notes)
    assert sorted(read_edges(plain, nodes=nodes, signs={"Glu": -1}).weights.tolist()) == [-5.0, 2.0]


TYPED = nx.MultiDiGraph()
TYPED.add_node("a", nt_type="GABA", cell_class="LN")
TYPED.add_node("b", nt_type="ACH", cell_class="PN")
TYPED.add_edge("a", "b", syn_count=2.0, type="chemical")
TYPED.add_edge("a", "b", syn_count=3.0, type="electrical")
TYPED.add_edge("b", "c", syn_count=1.0, type="chemical")


@pytest.mark.parametrize("kind", ["graphml", "gexf", "json"])
def test_types_and_transmitters_of_graphs_are_used(tmp_path, kind):
    write = {"graphml": nx.write_graphml, "gexf": nx.write_gexf}
    links = json.dumps(nx.node_link_data(TYPED, edges="links")).encode()
    data = written(write[kind], TYPED) if kind in write else links
    path = tmp_path / "g"
    path.write_bytes(data)
    edges = read_edges(path)
    assert triples(edges) == {("a", "b"): -2.0, ("b", "c"): 1.0}
    assert triples(edges.electrical) == {("a", "b"): 3.0, ("b", "a"): 3.0}
    assert edges.classes == ("LN", "PN", "") and edges.attributes["nt_type"] == ("GABA", "ACH", "")
    assert any("1 row of gap junctions" in n for n in edges.notes)
    assert any("1 of 3 nodes inhibitory" in n for n in edges.notes)
    assert triples(read_edges(path, signs={"ACh": -1}))[("b", "c")] == -1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pre;post;weight\na;b;1,5\n", {("a", "b"): 1.5}),  # decimal commas
        ("a;b;1,5\nb;a;2,5\n", {("a", "b"): 1.5, ("b", "a"): 2.5}),
        ("a;x,b;y,3\nb;y,a;x,4\n", {("a;x", "b;y"): 3.0, ("b;y", "a;x"): 4.0}),
        ("from to w\n1 a b 3\n2 b a 2\n", {("a", "b"): 3.0, ("b", "a"): 2.0}),  # R's names of rows
        ("  a b c\na 0 1 0\nb 2 0 0\nc 0 0 3\n", {("b", "a"): 1.0, ("a", "b"): 2.0, ("c", "c"): 3.0}),
        ("pre,post,weight,\na,b,3,\n", {("a", "b"): 3.0}),
        ("*Vertices 3\n*Edgeslist\n1 2 3\n", {("1", "2"): 1.0, ("2", "1"): 1.0, ("1", "3"): 1.0, ("3", "1"): 1.0}),
        ("*Vertices 3\n*Arcslist\n1 2 3\n", {("1", "2"): 1.0, ("1", "3"): 1.0}),
        ("*Vertices 3\n*Arcs\n1 2 3.5\n*Edges\n2 3 -1\n", {("1", "2"): 3.5, ("2", "3"): -1.0, ("3", "2"): -1.0}),
        ("*Vertices 3\n*Edges\n2 3 4 c Red\n1 1 2\n*Arcs\n1 2 1\n*Partition x\n1\n2\n",
         {("1", "2"): 1.0, ("2", "3"): 4.0, ("3", "2"): 4.0, ("1", "1"): 2.0}),
        ("pre,post,type,w\na,b,0,1\nb,a,1,3\n", {("a", "b"): 1.0, ("b", "a"): 3.0}),  # codes are no signs
    ],
)
def test_tables_as_other_programs_write_them(tmp_path, text, expected):
    path = tmp_path / "e"
    path.write_text(text)
    edges = read_edges(path)
    assert triples(edges) == expected and "not read: ." not in " ".join(edges.notes)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("3 2\n1 2\n2 3\n", "3 nodes and 2 edges follow"),
        ("a,b 3\nb,a 4\n", "'b 3' as its target"),
        ("1 2 1 1082040961\n2 1 1 1082040962\n", "fourth column"),
        (",a,b\na,nan,1\nb,2,NA\n", "the matrix has 'nan' from 'a' to 'a'"),
    ],
)
def test_tables_that_say_something_else_are_asked_about(tmp_path, text, match):
    path = tmp_path / "e"
    path.write_text(text)
    with pytest.raises(ValueError, match=match):
        read_edges(path)


def test_arrays_as_other_programs_write_them(tmp_path):
    path = tmp_path / "a"

    def read(data, **options):
        path.write_bytes(data)
        return read_edges(path, **options)

    record = np.array([(0, 1, 2.5), (1, 0, 3.5)], dtype=[("pre", "i8"), ("post", "i8"), ("weight", "f8")])
    assert triples(read(npy(record))) == {("0", "1"): 2.5, ("1", "0"): 3.5}
    geometric = saved(edge_index=np.array([[0, 1], [1, 2]]), edge_weight=np.array([1.0, 2.0]))
    assert triples(read(geometric)) == {("0", "1"): 1.0, ("1", "2"): 2.0}
    both = read(saved(chemical=np.array([[0, 1], [2, 0.0]]), electrical=np.array([[0, 1], [1, 0.0]])))
    assert triples(both) == {("1", "0"): 1.0, ("0", "1"): 2.0} and len(both.electrical) == 2
    assert triples(read(npy(np.array([[False, True], [False, False]])))) == {("1", "0"): 1.0}
    with pytest.raises(ValueError, match="expected a square matrix of numbers"):
        read(npy(np.array([["a", "b"], ["b", "c"]])))
    edges = npy(np.array([[0, 1, 5], [1, 2, 3], [2, 0, 4]]))  # loops of a matrix would say otherwise
    assert triples(read(edges)) == {("0", "1"): 5.0, ("1", "2"): 3.0, ("2", "0"): 4.0}
    assert triples(read(edges, rows="targets"))[("2", "2")] == 4.0
    with pytest.raises(ValueError, match="may be a matrix of 3 neurons or 3 edges"):
        read(npy(np.array([[0, 1, 5], [0, 1, 3], [2, 1, 1]])))


def test_a_column_that_may_hold_the_weights_is_named_and_can_be_chosen(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("row,cell_a,cell_b,overlap size,remark\n0,x,y,5,a\n1,y,z,7,a\n2,z,x,2,b\n")
    edges = read_edges(path)
    advice = 'every line counts 1. Where one of numbers holds them, name it: columns={"weight": "overlap size"}.'
    assert edges.notes[-1].endswith(advice) and edges.weights.tolist() == [1.0, 1.0, 1.0]
    assert sorted(read_edges(path, columns={"weight": "overlap size"}).weights.tolist()) == [2.0, 5.0, 7.0]
    path.write_text("cell_a,cell_b,remark\nx,y,a\ny,z,b\n")
    assert read_edges(path).notes[-1] == "There is no column of weights: every line counts 1."


def test_decimal_commas_are_named(tmp_path):
    (tmp_path / "edges.tsv").write_text("source\ttarget\tweight\na\tb\t5,5\n")
    with pytest.raises(ValueError, match=r"'5,5'; expected a finite number without a unit, with a point where there"):
        read_edges(tmp_path / "edges.tsv")
