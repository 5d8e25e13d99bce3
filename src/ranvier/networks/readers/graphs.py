"""Edge lists from graphs and matrices: NetworkX, GraphML, SciPy sparse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.networks._edge_list import EdgeList


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
    import networkx as nx

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; expected GraphML. Look at the path's spelling.")
    try:
        graph = nx.read_graphml(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # its parser raises whatever a malformed document leads it to
        raise ValueError(
            f"{path} is no GraphML that can be read ({type(error).__name__}: {error})."
        ) from error
    named = [str(data.get("label", "")) for _, data in graph.nodes(data=True)]
    if all(named) and len(set(named)) == len(named):
        graph = nx.relabel_nodes(graph, dict(zip(graph.nodes, named, strict=True)))
    return from_networkx(graph, **attributes)


def from_sparse(
    matrix: Any, names: Sequence[str] | None = None, classes: Sequence[str] | None = None
) -> EdgeList:
    """The edge list of a square matrix [target, source]: row i holds what reaches neuron i.

    `matrix`: SciPy sparse, or a dense array. Transpose one that is [source, target], as the adjacency
    matrices of graph libraries are. Entries that are stored as 0 are edges of weight 0 in a sparse matrix.
    Raises ValueError for a matrix that is not square or not of real numbers, and for another number of names.
    """
    from scipy.sparse import coo_array, issparse

    sparse = matrix.tocoo() if issparse(matrix) else coo_array(_dense(matrix))
    if len(sparse.shape) != 2 or sparse.shape[0] != sparse.shape[1]:
        raise ValueError(f"The matrix has shape {sparse.shape}; expected a square one [target, source].")
    if sparse.dtype.kind not in "biuf":
        raise ValueError(f"The matrix holds {sparse.dtype}; expected real numbers.")
    n = sparse.shape[0]
    names = [str(i) for i in range(n)] if names is None else list(names)
    if len(names) != n:
        raise ValueError(f"Found {len(names)} names for {n} nodes; expected one a node.")
    row, column = (np.asarray(x) for x in (sparse.row, sparse.col))
    return EdgeList.build(names, column, row, sparse.data, classes=classes)


def _dense(matrix: Any) -> np.ndarray:
    array = np.asarray(matrix)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"Found {type(matrix).__name__} of shape {array.shape}; expected a square matrix of numbers."
        )
    return array


def read_sparse(path: str | Path) -> EdgeList:
    """Read a sparse matrix [target, source] that `scipy.sparse.save_npz` wrote.

    Raises FileNotFoundError, ValueError for another format; nothing is unpickled.
    """
    from scipy.sparse import load_npz

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}; expected a sparse matrix. Look at the path's spelling."
        )
    try:
        matrix = load_npz(path)  # never unpickles
        matrix.tocoo()
    except Exception as error:  # a foreign archive fails in as many ways as zip and NumPy have
        raise ValueError(
            f"{path} is no sparse matrix of SciPy's ({type(error).__name__}: {error})."
        ) from error
    return from_sparse(matrix)


__all__ = ["from_networkx", "from_sparse", "read_graphml", "read_sparse", "to_networkx"]
