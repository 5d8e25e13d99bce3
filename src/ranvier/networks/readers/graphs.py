"""Edge lists from graphs: NetworkX, and the files that it reads."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from ranvier.files.entries import Entry, shown
from ranvier.files.reading import library_fault, read_unpacked
from ranvier.networks._edge_list import EdgeList
from ranvier.networks.readers._columns import role_of
from ranvier.networks.readers._content import recognise


def from_networkx(
    graph: Any, *, weight: str = "weight", delay: str = "delay", classes: str = "class"
) -> EdgeList:
    """The edge list of a NetworkX graph.

    An undirected edge becomes two. `weight`, `delay` (ms) and `classes` name the attributes of edges and
    nodes; where no edge has the first every edge counts 1. Raises ValueError where only some edges have one, TypeError
    for what is no NetworkX graph.
    """
    import networkx as nx

    if not isinstance(graph, nx.Graph):
        raise TypeError(f"Found {type(graph).__name__}; expected a NetworkX graph.")
    notes = []
    if not graph.is_directed():
        graph = graph.to_directed()
        notes.append("The graph is undirected: every edge was taken in both directions.")
    names = [str(node) for node in graph.nodes]
    place = {node: i for i, node in enumerate(graph.nodes)}
    ends = [(place[u], place[v]) for u, v in graph.edges()]
    sources, targets = zip(*ends, strict=True) if ends else ((), ())
    weights = _attribute(graph, weight)
    if weights is None:
        notes.append(f"No edge has an attribute {weight!r}: every edge counts 1.")
    groups = [data.get(classes) for _, data in graph.nodes(data=True)]
    return EdgeList.build(
        names, sources, targets, weights, _attribute(graph, delay), notes=notes,
        classes=None if all(group is None for group in groups) else [str(g) for g in groups],
    )  # fmt: skip


def _attribute(graph: Any, name: str) -> list[float] | None:
    edges = list(graph.edges(data=True))
    having = [(u, v, data[name]) for u, v, data in edges if name in data]
    if not having:
        return None
    if len(having) < len(edges):
        u, v = next((u, v) for u, v, data in edges if name not in data)
        raise ValueError(
            f"The edge from {u} to {v} has no {name!r}, others have; expected one in every edge."
        )
    result = []
    for u, v, value in having:
        try:
            if isinstance(value, bool):
                raise TypeError
            result.append(float(value))
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"The edge from {u} to {v} has {name} {value!r:.40}; expected a number."
            ) from None
    return result


def to_networkx(edges: EdgeList) -> Any:
    """The edge list as a `networkx.MultiDiGraph` with attributes weight, delay (ms) and, on nodes, class."""
    import networkx as nx

    graph = nx.MultiDiGraph()
    for i, name in enumerate(edges.names):
        graph.add_node(name, **({} if edges.classes is None else {"class": edges.classes[i]}))
    for e in range(len(edges)):
        data = {"weight": float(edges.weights[e])}
        if edges.delays is not None:
            data["delay"] = float(edges.delays[e])
        graph.add_edge(edges.names[edges.sources[e]], edges.names[edges.targets[e]], **data)
    return graph


def read_graphml(path: str | Path, **attributes: str) -> EdgeList:
    """Read GraphML through NetworkX; `attributes` as in `from_networkx`.

    Nodes are named by their label where all have one and they differ, else by their id. Raises FileNotFoundError,
    ValueError for what is no GraphML.
    """
    path = Path(path)
    data = read_unpacked(path, "GraphML")
    try:
        kind = recognise(data)
    except ValueError as error:
        raise ValueError(f"{path} is no GraphML; it is {error}.") from error
    if kind != "graphml":
        raise ValueError(
            f"{path} is no GraphML: it is {kind}; expected GraphML: read_edges reads it, if it is an edge list or "
            "a graph."
        )
    return graph_edges(data, path, "graphml", **attributes)


def graph_edges(data: bytes, path: Path, kind: str, **attributes: str) -> EdgeList:
    """The edge list of a graph file of a kind that NetworkX reads: graphml, gexf, gml, pajek or json (node-link)."""
    import networkx as nx

    from ranvier.files.reading import decode

    title = {"graphml": "GraphML", "gexf": "GEXF", "gml": "GML", "pajek": "Pajek", "json": "node-link JSON"}[kind]
    try:
        match kind:
            case "graphml":
                graph = nx.read_graphml(io.BytesIO(data))
            case "gexf":
                graph = nx.read_gexf(io.BytesIO(data))
            case "gml":
                graph = _gml(decode(data, path, title))
            case "pajek":
                graph = nx.parse_pajek(decode(data, path, title))
            case _:
                graph = _json(json.loads(decode(data, path, title)))
    except Exception as error:  # NetworkX's parsers raise whatever a malformed document leads them to
        fault = str(error) if kind == "json" and type(error) is ValueError else library_fault(error, _malformed())
        raise ValueError(f"{path} is no {title} that can be read: {fault}; expected {title}.") from error
    named = [str(data.get("label", "")) for _, data in graph.nodes(data=True)]
    if all(named) and len(set(named)) == len(named):
        graph = nx.relabel_nodes(graph, dict(zip(graph.nodes, named, strict=True)))
    try:
        return from_networkx(graph, **_attributes(graph, attributes))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _malformed() -> tuple[type[BaseException], ...]:
    """Errors whose text is about the file."""
    from xml.etree.ElementTree import ParseError

    import networkx as nx

    return nx.NetworkXError, ParseError, json.JSONDecodeError


def _attributes(graph: Any, options: dict[str, str]) -> dict[str, str]:
    """The attribute of weights by a usual name, where the file has no `weight` and none is asked for."""
    if "weight" in options:
        return options
    names = {name for _, _, data in graph.edges(data=True) for name in data}
    if "weight" in names:
        return options
    known = sorted(name for name in names if role_of(str(name)) == "weight")
    return {**options, "weight": known[0]} if known else options


def _gml(text: str) -> Any:
    import networkx as nx

    try:
        return nx.parse_gml(text)
    except nx.NetworkXError:  # nodes without labels, or with the same ones
        return nx.parse_gml(text, label="id")


def _json(value: Any) -> Any:
    """Node-link JSON of NetworkX."""
    import networkx as nx

    entries = Entry(value, "the graph").mapping()
    key = next((name for name in ("links", "edges") if name in entries), None)
    if key is None or "nodes" not in entries:
        raise ValueError("it has no nodes with an id and links between them; expected node-link JSON of NetworkX")
    for name in ("directed", "multigraph"):
        if name in entries:
            entries[name].flag()
    if "graph" in entries:
        entries["graph"].mapping()
    known = {_end(node, "id") for node in entries["nodes"].listed()}
    for link in entries[key].listed():
        for end in ("source", "target"):
            if (at := _end(link, end)) not in known:
                raise ValueError(f"{link.place}.{end} is {shown(at)}; expected a node's id")
        if "key" in link.value:
            _end(link, "key")
    return nx.node_link_graph(value, edges=key)


def _end(entry: Entry, key: str) -> Any:
    """A node's id as NetworkX takes it: text, a number, null, or lists of such."""
    entries = entry.mapping()
    if key not in entries:
        raise ValueError(f"{entry.place} has no {key!r}; expected one")
    return _hashable(entries[key])


def _hashable(entry: Entry) -> Any:
    if isinstance(entry.value, list):
        return tuple(map(_hashable, entry.listed()))
    if isinstance(entry.value, dict):
        raise entry.refusal("text or a number")
    return entry.value


__all__ = ["from_networkx", "graph_edges", "read_graphml", "to_networkx"]
