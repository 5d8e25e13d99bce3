"""Vessel graphs against networkx and dense algebra; splits that know nothing of what they hold out; tubes of known
radius; published files."""

import gzip

import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from ranvier.recordings.vessels import (
    GraphLayer,
    VesselGraph,
    classify_vessels,
    draw_vessels,
    extract_vessels,
    heuristics,
    link_auc,
    predict_links,
    predict_links_seal,
    read_ogb,
    read_voreen,
    split_links,
)
from ranvier.recordings.vessels.models import _surroundings, directed

GRAPH = draw_vessels(400, seed=1)


def test_a_drawn_graph_has_a_brains_degrees_and_short_vessels():
    assert abs(GRAPH.degree.mean() - 3.02) < 0.01 and GRAPH.degree.max() <= 4
    nearest = np.linalg.norm(GRAPH.positions[:, None] - GRAPH.positions, axis=2)
    assert np.median(GRAPH.length) < 0.3 * np.median(nearest)
    assert (GRAPH.length >= np.linalg.norm(np.diff(GRAPH.positions[GRAPH.ends], axis=1)[:, 0], axis=1)).all()
    assert set(GRAPH.classes()) == {0, 1, 2}
    again = draw_vessels(400, seed=1)
    assert (again.ends == GRAPH.ends).all() and (again.radius == GRAPH.radius).all()


def test_the_line_graph_is_networkx():
    line = GRAPH.line_graph()
    known = nx.line_graph(nx.Graph(GRAPH.ends.tolist()))
    names = [tuple(e) for e in GRAPH.ends.tolist()]
    ours = {frozenset((names[a], names[b])) for a, b in line.ends.tolist()}
    assert ours == {frozenset((tuple(sorted(a)), tuple(sorted(b)))) for a, b in known.edges}
    assert len(line.ends) == (GRAPH.degree * (GRAPH.degree - 1) // 2).sum()


@pytest.mark.parametrize("spatial", [True, False])
def test_what_is_held_out_is_nowhere_else_and_negatives_are_near(spatial):
    split = split_links(GRAPH, spatial=spatial, seed=2)
    edges = {tuple(e) for e in GRAPH.ends.tolist()}
    known = {tuple(e) for e in split.graph.ends.tolist()}
    parts = [split.train, split.validation, split.test]
    right = [{tuple(p) for p in part[: len(part) // 2].tolist()} for part in parts]
    wrong = [{tuple(p) for p in part[len(part) // 2 :].tolist()} for part in parts]
    assert right[0] == known and not known & (right[1] | right[2]) and known | right[1] | right[2] == edges
    assert not edges & set().union(*wrong) and sum(map(len, wrong)) == len(edges) == len(set().union(*wrong))
    straight = np.linalg.norm(GRAPH.positions[GRAPH.ends[:, 0]] - GRAPH.positions[GRAPH.ends[:, 1]], axis=1)
    away = [np.linalg.norm(GRAPH.positions[a] - GRAPH.positions[b]) for a, b in set().union(*wrong)]
    assert (max(away) <= straight.mean() + 2 * straight.std()) == spatial


def test_the_surroundings_of_a_pair_do_not_know_its_own_vessel():
    pairs = GRAPH.ends[:40]
    without = VesselGraph(GRAPH.positions, GRAPH.ends[40:], GRAPH.radius[40:], GRAPH.length[40:])
    one = pairs[:1]
    alone = VesselGraph(GRAPH.positions, GRAPH.ends[1:], GRAPH.radius[1:], GRAPH.length)
    for a, b in zip(_surroundings(GRAPH, one, True), _surroundings(alone, one, True), strict=True):
        # a neighbour's place in the table may differ; what is pooled does not
        torch.testing.assert_close(a.flatten(1).sort(1)[0], b.flatten(1).sort(1)[0])
    # a planted leak: what the graph says of a pair's other vessels is seen
    assert not torch.equal(_surroundings(GRAPH, pairs, True)[1], _surroundings(without, pairs, True)[1])


def test_heuristics_are_networkx_and_the_area_is_scikit_learns():
    split = split_links(GRAPH, seed=0)
    known = nx.Graph()
    known.add_nodes_from(range(400))
    known.add_edges_from(split.graph.ends.tolist())
    ours = heuristics(split.graph, split.test)
    pairs = [tuple(p) for p in split.test.tolist()]
    np.testing.assert_allclose(ours["adamic_adar"], [p for *_, p in nx.adamic_adar_index(known, pairs)])
    np.testing.assert_allclose(ours["preferential"], [p for *_, p in nx.preferential_attachment(known, pairs)])
    assert ours["common"].tolist() == [len(list(nx.common_neighbors(known, *p))) for p in pairs]
    truth = np.arange(len(pairs)) < len(pairs) // 2
    for score in ours.values():
        assert abs(link_auc(score, split.test) - roc_auc_score(truth, score)) < 1e-12


@pytest.mark.parametrize("kind", ["mlp", "gcn", "sage", "gat"])
def test_layers_are_dense_algebra(kind):
    torch.manual_seed(0)
    graph = VesselGraph.build(np.random.default_rng(0).random((6, 3)), [[0, 1], [1, 2], [2, 3], [0, 3], [3, 4]])
    layer, x = GraphLayer(kind, 3, 2), torch.randn(6, 3)
    a = torch.from_numpy(graph.adjacency().toarray()).float()
    loops = a + torch.eye(6)
    own = x @ layer.own.weight.T + layer.own.bias
    if kind == "mlp":
        due = own
    elif kind == "gcn":
        scale = loops.sum(1).rsqrt()
        due = scale[:, None] * loops * scale @ own
    elif kind == "sage":
        due = own + (a @ x / a.sum(1, keepdim=True).clamp_min(1)) @ layer.other.weight.T
    else:
        rows, columns = own[:, None].expand(6, 6, 2), own[None].expand(6, 6, 2)
        score = torch.nn.functional.leaky_relu(layer.ask(torch.cat([rows, columns], 2))[..., 0], 0.2)
        due = score.masked_fill(loops == 0, -torch.inf).softmax(1) @ own
    torch.testing.assert_close(layer(x, *directed(graph)), due)


def test_every_network_gives_a_score_and_a_class():
    split = split_links(draw_vessels(150, seed=0), seed=0)
    for kind in ("mlp", "gcn", "gat", "sage"):
        assert np.isfinite(predict_links(split, kind, epochs=2)).all()
    assert predict_links_seal(split, epochs=1).shape == (len(split.test),)
    predicted, tested = classify_vessels(GRAPH, "sage", epochs=2)
    assert predicted.shape == tested.shape == GRAPH.radius.shape


@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_tubes_are_vessels_of_their_radius_and_length(spacing):
    pytest.importorskip("skimage")
    grid = np.stack(np.meshgrid(*map(np.arange, (21, 60, 60)), indexing="ij"), -1)
    volume = np.zeros(grid.shape[:3], bool)
    middle, tips = np.array([10, 30, 30]), [np.array([10, 30, 5]), np.array([10, 8, 45]), np.array([10, 52, 45])]
    for tip, radius in zip(tips, (4.0, 2.0, 3.0), strict=True):
        share = np.clip((grid - middle) @ (tip - middle) / ((tip - middle) @ (tip - middle)), 0, 1)
        volume |= np.linalg.norm(grid - middle - share[..., None] * (tip - middle), axis=-1) <= radius
    graph = extract_vessels(volume, spacing=spacing)
    assert len(graph) == 4 and len(graph.ends) == 3 and sorted(graph.degree) == [1, 1, 1, 3]
    centre = int(graph.degree.argmax())
    assert np.linalg.norm(graph.positions[centre] / spacing - middle) < 4
    for tip, radius in zip(tips, (4.0, 2.0, 3.0), strict=True):
        end = int(np.linalg.norm(graph.positions / spacing - tip, axis=1).argmin())
        vessel = int(np.flatnonzero((graph.ends == end).any(1))[0])
        assert abs(graph.radius[vessel] / spacing - radius) < 1.0  # a voxel
        assert abs(graph.length[vessel] / spacing - np.linalg.norm(tip - middle)) < 6  # ends retreat by their radius


def test_published_tables_are_read(tmp_path):
    nodes, edges = tmp_path / "nodes.csv", tmp_path / "edges.csv"
    nodes.write_text("id;pos_x;pos_y;pos_z;degree\n7;0;0;0;1\n9;3;4;0;2\n4;3;4;1;1\n", encoding="utf-8")
    edges.write_text("id;node1id;node2id;length;avgRadiusAvg;curveness\n0;9;7;6;2.5;1.2\n1;9;4;1;1.5;1\n2;4;4;9;1;1\n",
                     encoding="utf-8")  # fmt: skip
    graph = read_voreen(nodes, edges)
    assert graph.ends.tolist() == [[0, 1], [1, 2]] and graph.radius.tolist() == [2.5, 1.5]
    assert graph.length.tolist() == [6, 1] and graph.columns["curveness"].tolist() == [1.2, 1]
    edges.write_text("id;node1id;node2id\n0;9;8\n", encoding="utf-8")
    with pytest.raises(ValueError, match="names node '8'; expected"):
        read_voreen(nodes, edges)
    edges.write_text("id;node1id\n0;9\n", encoding="utf-8")
    with pytest.raises(ValueError, match="expected node2id"):
        read_voreen(nodes, edges)
    tables = {"edge": "0,1\n2,1\n", "node-feat": "0,0,0,1\n1,0,0,0\n1,1,0,0\n", "edge-feat": "2,1\n3,1.5\n"}
    for name, text in tables.items():
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    graph = read_ogb(tmp_path)
    assert graph.ends.tolist() == [[0, 1], [1, 2]] and graph.radius.tolist() == [2, 3] and len(graph) == 3
    (tmp_path / "edge.csv.gz").write_bytes(gzip.compress(b"0,9\n2,1\n"))
    with pytest.raises(ValueError, match="ends reach from 0 to 9"):
        read_ogb(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected OGB"):
        read_ogb(tmp_path / "none")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: VesselGraph.build([[0.0, 0, np.nan]], np.empty((0, 2), int)), "finite"),
        (lambda: VesselGraph.build(np.zeros((2, 3)), [[0, 2]]), "expected indices from 0 to 1"),
        (lambda: VesselGraph.build(np.zeros((2, 3)), [[1, 1]]), "to itself"),
        (lambda: VesselGraph.build(np.zeros((2, 3)), [[0, 1]], [1.0, 2.0]), "radius has shape"),
        (lambda: split_links(GRAPH, shares=(0.5, 0.5)), "leave something"),
        (lambda: GraphLayer("tree", 2, 2), "'gcn'"),
        (lambda: extract_vessels(np.zeros((4, 4))), "mask"),
    ],
)
def test_what_is_no_vessel_graph_is_refused(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "expected" in str(error.value)
