"""Headers, cells, node and edge names of tables, graphs and NIR: whatever they hold, nothing runs."""

import json
from itertools import pairwise

import networkx as nx
import nir
import numpy as np
import pytest

from ranvier.cli.runs import RunSettings, build
from ranvier.networks import EdgeList, from_nir, read_edges, to_networkx, write_nir
from ranvier.neurons import LIF
from tests.attack.payloads import payloads


def texts(canary):
    return [text for text in payloads(canary) if "\ud800" not in text]


def quietly(read, *arguments, **options):
    """Whatever it gives, or the message it refuses with; anything but ValueError and OSError is a fault."""
    try:
        return read(*arguments, **options)
    except (ValueError, OSError) as error:
        assert len(str(error)) > 10
        return None


@pytest.mark.parametrize("place", ["header", "cell", "type", "transmitter", "column", "nodes", "signs", "delay"])
def test_tables(tmp_path, place):
    canary, path, nodes = tmp_path / "ran", tmp_path / "e.csv", tmp_path / "n.csv"
    for text in texts(canary):
        quoted = '"' + text.replace('"', '""') + '"'
        columns = {"header": f"pre,post,{quoted}\na,b,1\n", "cell": f"pre,post\n{quoted},b\nb,a\n",
                   "type": f"pre,post,type\na,b,{quoted}\nb,a,electrical\n",
                   "transmitter": f"pre,post,nt_type\na,b,{quoted}\nb,a,GABA\n",
                   "delay": f"pre,post,delay\na,b,{quoted}\n"}  # fmt: skip
        path.write_text(columns.get(place, "pre,post\na,b\nb,a\n"))
        nodes.write_text(f"id,class,{quoted}\na,{quoted},1\nb,c,2\n")
        settings = {"column": {"columns": f"source={text},target=post"}, "nodes": {"nodes": str(nodes)},
                    "signs": {"signs": f"{text}=-1"}}  # fmt: skip
        job = quietly(build, RunSettings(wiring=str(path), **settings.get(place, {})))
        if job is not None:
            repr(job.network), job.network._repr_html_()
        assert not canary.exists(), text


@pytest.mark.parametrize("kind", ["graphml", "gexf", "gml", "pajek", "json"])
def test_graphs(tmp_path, kind):
    canary, path = tmp_path / "ran", tmp_path / "g"
    for text in texts(canary):
        graph = nx.DiGraph()
        graph.add_node("a", label=text, **{"class": text})
        graph.add_edge("a", text, weight=1.0, note=text)
        try:
            if kind == "json":
                path.write_text(json.dumps(nx.node_link_data(graph, edges="links")))
            else:
                getattr(nx, f"write_{kind}")(graph, path)
        except Exception:  # not every library writes every name
            continue
        edges = quietly(read_edges, path)
        if edges is not None:
            edges.to_network(LIF())._repr_html_()
        assert not canary.exists(), text


def test_nir(tmp_path):
    canary = tmp_path / "ran"
    for text in texts(canary):
        cell = nir.LIF(*np.ones((4, 2)), metadata={"reset": text, text.replace("/", ""): text})
        nodes = {"input": nir.Input({"input": np.array([2])}), text.replace("/", "|"): cell}
        nodes["output"] = nir.Output({"output": np.array([2])})
        names = list(nodes)
        graph = nir.NIRGraph(nodes=nodes, edges=list(pairwise(names)), metadata={"populations": text})
        net = quietly(from_nir, graph)
        if net is not None:
            net._repr_html_()
            quietly(write_nir, net, tmp_path / "x.nir")
        assert not canary.exists(), text


def test_names_that_cannot_be_shown_are_refused():
    for name in ("a\x00b", "a\x1b[31m", "a\nb", "a\u202eb", "\ud800", "x" * 2000):
        with pytest.raises(ValueError, match=r"expected (text that can be shown|at most)"):
            EdgeList.build([name, "b"], [0], [1])
    assert to_networkx(EdgeList.build(["ünï 1", "naïve; [b]"], [0], [1])).number_of_nodes() == 2
