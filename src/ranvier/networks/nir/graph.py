"""NIR's graphs without their subgraphs."""

from __future__ import annotations

from typing import Any


def flat(graph: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges of a `nir.NIRGraph`, those of its subgraphs among them as "subgraph.node".

    Subgraphs are joined to what is round them through their one Input and one Output; an Input or Output on the way
    from node to node is left out. Raises ValueError for a subgraph with several inputs or outputs, or none.
    """
    return _without_ends(*_all_nodes(graph, ""))


def _all_nodes(graph: Any, prefix: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    import nir

    nodes: dict[str, Any] = {}
    edges = [(prefix + a, prefix + b) for a, b in graph.edges]
    heads, tails = {}, {}  # of subgraphs: where edges to them lead, and edges from them begin
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            _add(nodes, prefix + name, node)
            continue
        ends = {kind: [n for n, m in node.nodes.items() if isinstance(m, kind)] for kind in (nir.Input, nir.Output)}
        inlets, outlets = ends[nir.Input], ends[nir.Output]
        if len(inlets) != 1 or len(outlets) != 1:
            raise ValueError(
                f"The subgraph {prefix + name!r} has {len(inlets)} inputs and {len(outlets)} outputs; expected one of "
                "each: put its nodes into the graph round it."
            )
        inner, between = _all_nodes(node, f"{prefix}{name}.")
        for key, value in inner.items():
            _add(nodes, key, value)
        edges += between
        heads[prefix + name], tails[prefix + name] = f"{prefix}{name}.{inlets[0]}", f"{prefix}{name}.{outlets[0]}"
    return nodes, [(tails.get(a, a), heads.get(b, b)) for a, b in edges]


def _add(nodes: dict[str, Any], name: str, node: Any) -> None:
    if name in nodes:
        raise ValueError(f"Two nodes are called {name!r}, one of them in a subgraph; expected one: rename one of them.")
    nodes[name] = node


def _without_ends(
    nodes: dict[str, Any], edges: list[tuple[str, str]]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Without the Inputs and Outputs that lie between other nodes."""
    import nir

    before: dict[str, dict[str, None]] = {name: {} for name in nodes}  # in order, each once
    after: dict[str, dict[str, None]] = {name: {} for name in nodes}
    for a, b in edges:
        before[b][a] = after[a][b] = None
    for name in [n for n, node in nodes.items() if isinstance(node, nir.Input | nir.Output)]:
        for side in (before, after):
            side[name].pop(name, None)  # an edge to itself says nothing
        if not (before[name] and after[name]):
            continue
        for a in before[name]:
            after[a].pop(name)
            after[a] |= after[name]
        for b in after[name]:
            before[b].pop(name)
            before[b] |= before[name]
        del nodes[name], before[name], after[name]
    return nodes, [(a, b) for a in nodes for b in after[a]]


__all__ = ["flat"]
