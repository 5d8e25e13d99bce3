"""A graph of NIR as a row of nodes, and what refuses the others."""

from __future__ import annotations

from typing import Any, NoReturn

from ranvier.networks import nir_files
from ranvier.nn.nir._time import neurons

Chain = list[tuple[str, Any]]


def flat(graph: Any, prefix: str = "") -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges with those of subgraphs in their places, joined through their Inputs and Outputs."""
    import nir

    nodes: dict[str, Any] = {}
    edges = [(prefix + a, prefix + b) for a, b in graph.edges]
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            nodes[prefix + name] = node
            continue
        inner, between = flat(node, f"{prefix}{name}.")
        ends = {kind: [n for n, m in inner.items() if isinstance(m, kind)] for kind in (nir.Input, nir.Output)}
        if len(ends[nir.Input]) != 1 or len(ends[nir.Output]) != 1:
            refuse_from(f"the subgraph {name!r} with several inputs or outputs")
        inlet, outlet = ends[nir.Input][0], ends[nir.Output][0]
        edges = [(outlet if a == prefix + name else a, inlet if b == prefix + name else b) for a, b in edges]
        nodes |= inner
        edges += between
    for name in [n for n, node in nodes.items() if isinstance(node, nir.Input | nir.Output)]:
        into, out = [a for a, b in edges if b == name], [b for a, b in edges if a == name]
        if into and out:
            del nodes[name]
            edges = [e for e in edges if name not in e] + [(a, b) for a in into for b in out]
    return nodes, list(dict.fromkeys(edges))


def rows(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> tuple[Chain, dict[str, Chain]]:
    """From the input to the output, and by name of its neurons each way back to themselves."""
    import nir

    after: dict[str, list[str]] = {name: [b for a, b in edges if a == name] for name in nodes}
    loops: dict[str, Chain] = {}
    passed = nir.Linear | nir.Affine | nir.Delay
    for name in [n for n, node in nodes.items() if isinstance(node, neurons())]:
        for first in list(after[name]):
            path, here = [name], first
            while here not in path and isinstance(nodes[here], passed) and len(after[here]) == 1:
                path.append(here)
                here = after[here][0]
            if here == name and len(path) > 1 and name not in loops:
                loops[name] = [(n, nodes[n]) for n in path[1:]]
                after[name].remove(first)
                after[path[-1]] = []
    back = {n for loop in loops.values() for n, _ in loop}
    into = [b for a in nodes for b in after[a]]
    start = [n for n, node in nodes.items() if isinstance(node, nir.Input)]
    if len(start) != 1:
        refuse_from(f"{len(start)} inputs")
    chain, here = [], start[0]
    while after[here]:
        if len(after[here]) > 1:
            refuse_from(f"the branch behind {here!r}, to {' and '.join(map(repr, after[here]))}")
        here = after[here][0]
        if into.count(here) > 1:
            refuse_from(f"the ways that meet at {here!r}")
        chain.append((here, nodes[here]))
    if not chain or not isinstance(chain[-1][1], nir.Output):
        refuse_from(f"the end at {here!r}, which is no Output")
    if lost := set(nodes) - {n for n, _ in chain} - {start[0]} - back:
        refuse_from(f"the node {min(lost)!r}, which is not on the way from the input to the output")
    return chain[:-1], loops


def refuse_to(what: str, remedy: str = "") -> NoReturn:
    """ValueError for what NIR cannot hold."""
    nir_files.refuse("to", what, remedy, by="nn.to_nir")


def refuse_from(what: str, remedy: str = "") -> NoReturn:
    """ValueError for what layers in a row cannot hold."""
    nir_files.refuse("from", what, remedy, held="A Sequential", by="nn.to_nir")


__all__ = ["Chain", "flat", "refuse_from", "refuse_to", "rows"]
