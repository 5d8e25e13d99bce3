"""A graph of NIR without subgraphs, as a row of nodes where it is one, and what refuses what layers cannot hold."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

from ranvier.networks.nir import files as nir_files
from ranvier.nn.nir._time import neurons

Chain = list[tuple[str, Any]]


def row(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> tuple[Chain, dict[str, Chain]] | None:
    """From the input to the output, and by name of its neurons each way back to themselves; None where nodes branch,
    meet or loop otherwise."""
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
            weights = [n for n in path[1:] if not isinstance(nodes[n], nir.Delay)]
            spikes = isinstance(nodes[name], nir.LIF | nir.CubaLIF | nir.IF)
            if here == name and len(weights) == 1 and spikes and name not in loops:
                loops[name] = [(n, nodes[n]) for n in path[1:]]
                after[name].remove(first)
                after[path[-1]] = []
    back = {n for loop in loops.values() for n, _ in loop}
    into = [b for a in nodes for b in after[a]]
    start = [n for n, node in nodes.items() if isinstance(node, nir.Input)]
    if len(start) != 1:
        return None
    chain, here = [], start[0]
    while after[here]:
        here, *others = after[here]
        if others or into.count(here) > 1:
            return None
        chain.append((here, nodes[here]))
    used = {n for n, _ in chain} | {start[0]} | back
    if not chain or not isinstance(chain[-1][1], nir.Output) or used != set(nodes):
        return None
    return chain[:-1], loops


def live(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The part from which an output can be reached; a warning names the rest."""
    import nir

    leading = {n for n, node in nodes.items() if isinstance(node, nir.Output)}
    if not leading:
        refuse_from("a graph without an Output")
    while more := {a for a, b in edges if b in leading} - leading:
        leading |= more
    if idle := [n for n in nodes if n not in leading]:
        names = ", ".join(map(repr, idle[:3])) + (" ..." if len(idle) > 3 else "")
        warnings.warn(f"{len(idle)} of {len(nodes)} nodes lead to no output and are left out: {names}", stacklevel=4)
    return {n: m for n, m in nodes.items() if n in leading}, [e for e in edges if set(e) <= leading]


def refuse_to(what: str, remedy: str = "") -> NoReturn:
    """ValueError for what NIR cannot hold."""
    nir_files.refuse("to", what, remedy, by="nn.to_nir")


def refuse_from(what: str, remedy: str = "") -> NoReturn:
    """ValueError for what layers in a row cannot hold."""
    nir_files.refuse("from", what, remedy, held="A model of layers", by="nn.to_nir")


__all__ = ["Chain", "live", "refuse_from", "refuse_to", "row"]
