"""Edge lists from graphs: NetworkX, and the files that it reads."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ranvier.files.entries import Entry, shown
from ranvier.files.reading import library_fault, read_unpacked
from ranvier.networks._edge_list import EdgeList
from ranvier.networks.readers._columns import delay_parts, role_of
from ranvier.networks.readers._content import recognise
from ranvier.networks.readers._labels import labelled_edges
from ranvier.networks.readers.matrices import require_nodes


def from_networkx(
    graph: Any, *, weight: str = "weight", delay: str = "delay", classes: str = "class",
    signs: Mapping[str, int] | None = None,
) -> EdgeList:  # fmt: skip
    """The edge list of a NetworkX graph.

    An undirected edge becomes two. `weight`, `delay` (ms) and `classes` name the attributes of edges and
    nodes; where no edge has the first every edge counts 1, and where no node has the last, a usual name of classes
    does. Attributes of edges that name electrical synapses, transmitters or signs, and of nodes that name transmitters
    or signs, are used as `read_edges` uses such columns (`signs` is its argument); `notes` lists the others. Raises
    ValueError where only some edges have a weight or delay, TypeError for what is no NetworkX graph.

    >>> import networkx
    >>> edges = rv.networks.from_networkx(networkx.DiGraph([("a", "b"), ("b", "c")]))
    >>> list(edges.names), edges.weights.tolist()
    (['a', 'b', 'c'], [1.0, 1.0])
    """
    import networkx as nx

    if not isinstance(graph, nx.Graph):
        raise TypeError(f"Found {type(graph).__name__}; expected a NetworkX graph.")
    notes = []
    if not graph.is_directed():
        graph = graph.to_directed()
        notes.append("The graph is undirected: every edge was taken in both directions.")
    weights = _attribute(graph, weight)
    if weights is None:
        notes.append(f"No edge has an attribute {weight!r}: every edge counts 1.")
    columns = {"weight": weights, "delay": _attribute(graph, delay)}
    return labelled_edges(graph, {k: v for k, v in columns.items() if v is not None}, {weight, delay}, classes, signs,
                          notes)  # fmt: skip


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
    """The edge list as a `networkx.MultiDiGraph` with attributes weight, delay (ms) and, on nodes, class.

    >>> graph = rv.networks.to_networkx(rv.networks.from_sparse([[0.0, 0.0], [0.5, 0.0]], names=["a", "b"]))
    >>> list(graph.edges(data=True))
    [('a', 'b', {'weight': 0.5})]
    """
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

    >>> import networkx
    >>> networkx.write_graphml(networkx.DiGraph([("a", "b")]), "wiring.graphml")
    >>> list(rv.networks.read_graphml("wiring.graphml").names)
    ['a', 'b']
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
    return graph_edges(data, path, "graphml", None, **attributes)


def graph_edges(
    data: bytes, path: Path, kind: str, signs: Mapping[str, int] | None = None, **attributes: str
) -> EdgeList:
    """The edge list of a graph file of a kind that NetworkX reads: graphml, gexf, gml, pajek or json (node-link)."""
    import networkx as nx

    from ranvier.files.reading import decode

    title = {"graphml": "GraphML", "gexf": "GEXF", "gml": "GML", "pajek": "Pajek", "json": "node-link JSON"}[kind]
    try:
        match kind:
            case "graphml":
                graph = nx.read_graphml(io.BytesIO(data))
            case "gexf":
                graph = _gexf(data)
            case "gml":
                graph = _gml(decode(data, path, title))
            case "pajek":
                graph = nx.parse_pajek(_plain_pajek(decode(data, path, title), path))
            case _:
                graph = _json(json.loads(decode(data, path, title)))
    except Exception as error:  # NetworkX's parsers raise whatever a malformed document leads them to
        fault = str(error) if kind == "json" and type(error) is ValueError else library_fault(error, _malformed())
        expected = "" if "; expected" in fault else f"; expected {title}"
        raise ValueError(f"{path} is no {title} that can be read: {fault.rstrip('.')}{expected}.") from error
    named = [str(data.get("label", "")) for _, data in graph.nodes(data=True)]
    if all(named) and len(set(named)) == len(named):
        graph = nx.relabel_nodes(graph, dict(zip(graph.nodes, named, strict=True)))
    try:
        return from_networkx(graph, signs=signs, **_attributes(graph, attributes))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _malformed() -> tuple[type[BaseException], ...]:
    """Errors whose text is about the file."""
    from xml.etree.ElementTree import ParseError

    import networkx as nx

    return nx.NetworkXError, ParseError, json.JSONDecodeError


def _attributes(graph: Any, options: dict[str, str]) -> dict[str, str]:
    """The attributes of weights and delays by usual names, where the file has no `weight` or `delay` and no other is
    requested."""
    names = {name for _, _, data in graph.edges(data=True) for name in data}
    for role in ("weight", "delay"):
        known = sorted(name for name in names if role_of(str(name)) == role and _in_ms(str(name)))
        if known and role not in options and role not in names:
            options = {**options, role: known[0]}
    return options


def _in_ms(name: str) -> bool:
    parts = delay_parts(name)
    return parts is None or parts[1] == "ms"


def _gml(text: str) -> Any:
    import networkx as nx

    try:
        return nx.parse_gml(text)
    except nx.NetworkXError:  # nodes without labels, or with the same ones
        return nx.parse_gml(text, label="id")


def _gexf(data: bytes) -> Any:
    """With edges' types that are no directions, which NetworkX writes and does not read."""
    import networkx as nx

    graph = nx.read_gexf(io.BytesIO(data))
    elements = ElementTree.fromstring(data).iter()
    types = {e.get("id"): e.get("type") for e in elements if e.tag.rpartition("}")[2] == "edge"}
    for *_, attributes in graph.edges(data=True):
        word = types.get(attributes.get("id")) or ""
        if word not in ("", "directed", "undirected", "mutual"):
            attributes.setdefault("type", word)
    return graph


def _plain_pajek(text: str, path: Path) -> str:
    """Pajek without what NetworkX misreads: edges as two arcs, all of them in one section, lists an arc a line, and
    vertices without names with their numbers as such."""
    lines: list[str] = []
    arcs: list[str] = []
    section, listed, expected = "", 0, 0
    for line in [*text.splitlines(), "*"]:
        words = line.split()
        if line.lstrip().startswith("*"):
            if section == "vertices" and not listed:
                lines += [f'{k} "{k}"' for k in range(1, expected + 1)]
            section, listed = words[0][1:].lower(), 0
            if section == "vertices" and len(words) > 1 and words[1].isdecimal() and len(words[1]) < 19:
                expected = int(words[1])
                require_nodes(expected, len(text), path)
            if section in ("network", "vertices", "matrix"):
                lines.append(line)
            continue
        listed += bool(words)
        if section in _PAJEK_LINKS:
            arcs += _arcs(section, words)
        elif section in ("network", "vertices", "matrix"):
            lines.append(line)
    return "\n".join([*lines, *["*Arcs"][: len(arcs)], *arcs])


_PAJEK_LINKS = ("arcs", "edges", "arcslist", "edgeslist")


def _arcs(section: str, words: list[str]) -> list[str]:
    """A line of links as arcs: a list has one source and several targets, an edge goes both ways."""
    if len(words) < 2:
        return []
    pairs = [words] if section in ("arcs", "edges") else [[words[0], other] for other in words[1:]]
    back = [[b, a, *rest] for a, b, *rest in pairs if a != b] if section.startswith("edges") else []
    return [" ".join(pair) for pair in [*pairs, *back]]


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
