"""What the attributes of a graph's edges and nodes say: types of synapses, transmitters, signs, classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ranvier.networks._edge_list import EdgeList
from ranvier.networks.readers._columns import role_of, says
from ranvier.networks.readers._kinds import sign_of, transmitter_signs
from ranvier.networks.readers._nodes import NodeTable, node_signs, role_of_node
from ranvier.networks.readers.tables import edges_of

_DRAWING = frozenset("id label key viz x y z shape pos color name nodes parallel edges".split())  # noqa: SIM905


def labelled_edges(
    graph: Any, numbers: Mapping[str, Sequence[float]], used: set[str], classes: str,
    signs: Mapping[str, int] | None, notes: Iterable[str],
) -> EdgeList:  # fmt: skip
    """The edges of a directed graph with `numbers` (weights, delays) of each and what its other attributes say.

    used: edge attributes that are read already; classes: the nodes' attribute of classes.
    """
    table, rest = _node_table(graph, classes, signs)
    place = {node: i for i, node in enumerate(graph.nodes)}
    ends = [(place[u], place[v]) for u, v in graph.edges()]
    labels = _edge_labels(graph)
    known = used | set(labels.values()) | _DRAWING
    rest += sorted({str(a) for *_, data in graph.edges(data=True) for a in data} - known)
    remarks = [*notes, *([f"Attributes that were not read: {', '.join(rest)[:200]}."] if rest else [])]
    if not ends or not (labels or table.signs):
        sources, targets = zip(*ends, strict=True) if ends else ((), ())
        return EdgeList.build(
            table.names, sources, targets, numbers.get("weight"), numbers.get("delay"), notes=remarks,
            classes=table.classes, attributes=table.attributes,
        )  # fmt: skip
    numbers = {"weight": [1.0] * len(ends), **numbers}
    columns = [[table.names[s] for s, _ in ends], [table.names[t] for _, t in ends]]
    columns += [[repr(float(x)) for x in values] for values in numbers.values()]
    columns += [[str(data.get(name, "")).strip() for *_, data in graph.edges(data=True)] for name in labels.values()]
    roles = {role: at for at, role in enumerate(("source", "target", *numbers, *labels))}
    head = ["source", "target", *numbers, *labels.values()]
    rows = [(0, head), *((k, list(cells)) for k, cells in enumerate(zip(*columns, strict=True), start=1))]
    edges = edges_of(
        rows, Path("the graph"), columns=roles, header=True, nodes=table, where=None, signs=transmitter_signs(signs),
        notes=remarks,
    )  # fmt: skip
    return edges


def _edge_labels(graph: Any) -> dict[str, str]:
    """role -> attribute of edges, for types, transmitters and signs whose words are known."""
    labels: dict[str, str] = {}
    words: dict[str, set[str]] = {}
    for *_, data in graph.edges(data=True):
        for name, value in data.items():
            words.setdefault(name, set()).add(str(value))
    for name in sorted(words, key=str):
        role = role_of(str(name))
        if role in ("type", "transmitter", "sign") and any(says(role, word) for word in words[name]):
            labels.setdefault(role, name)
    return labels


def _node_table(graph: Any, classes: str, signs: Mapping[str, int] | None) -> tuple[NodeTable, list[str]]:
    """The nodes, and their attributes that nothing was made of."""
    names = tuple(str(node) for node in graph.nodes)
    attributes = sorted({str(name) for _, data in graph.nodes(data=True) for name in data} - _DRAWING)
    texts = {a: tuple(str(data.get(a, "")) for _, data in graph.nodes(data=True)) for a in attributes}
    group = classes if classes in texts else next((a for a in attributes if role_of_node(a) == "class"), None)
    values, titles = {}, {}
    for a in attributes:
        role = role_of_node(a)
        if role in ("transmitter", "sign") and role not in values and any(sign_of(t) for t in texts[a]):
            values[role], titles[role] = texts[a], a
    by_node, notes = node_signs(names, values, titles, transmitter_signs(signs))
    rest = [a for a in attributes if a != group and a not in titles.values()]
    columns_of_nodes = {titles["transmitter"]: values["transmitter"]} if "transmitter" in values else {}
    return NodeTable(names, None if group is None else texts[group], by_node, columns_of_nodes, tuple(notes)), rest


__all__ = ["labelled_edges"]
