"""A network as a graph of networkx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import networkx

    from ranvier.networks._network import Network


def to_networkx(net: Network) -> networkx.MultiDiGraph:
    """Nodes are global indices with name, population and class; edges have weight, delay, synapse and projection."""
    import networkx

    graph = networkx.MultiDiGraph(seed=net.seed)
    populations = [p.name for p in net.populations for _ in range(p.size)]
    for n, (name, population, label) in enumerate(zip(net.names, populations, net.classes, strict=True)):
        graph.add_node(n, name=name, population=population, **{"class": label})
    for p in net.projections:
        sources, targets = (np.asarray(ends) for ends in p.edges())
        weights, delays = (_values(value, len(sources)) for value in (p.weight, p.delay))
        synapse = type(p.synapse).__name__
        graph.add_edges_from(
            (s, t, {"weight": w, "delay": d, "synapse": synapse, "projection": p.index})
            for s, t, w, d in zip(
                (sources + p.source.start).tolist(), (targets + p.target.start).tolist(), weights, delays, strict=True
            )
        )
    return graph


def _values(value: Any, size: int) -> list[Any]:
    """One an edge."""
    if value is None:
        return [None] * size
    array = np.asarray(value.detach() if hasattr(value, "detach") else value, np.float64)
    return np.broadcast_to(array, (size,)).tolist()


__all__ = ["to_networkx"]
