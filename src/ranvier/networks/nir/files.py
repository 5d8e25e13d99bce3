"""What everything that goes to or comes from NIR has in common (the neuromorphic intermediate representation,
Pedersen et al. 2024)."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, NoReturn

from ranvier._checks import printable
from ranvier.files.atomic import write_atomic
from ranvier.files.reading import library_fault

MS = 1e-3  # s
DEEPEST = 20  # graphs within graphs, and the groups between them
WIDEST = 2**24  # values at one node


def refuse(way: str, what: str, remedy: str = "", *, held: str = "A network", by: str = "networks.to_nir") -> NoReturn:
    """Raise ValueError: `way` is "to" NIR or "from" it, into what is `held` here; the docstring of `by` is the list."""
    holder = "NIR cannot hold" if way == "to" else f"{held} here cannot hold"
    raise ValueError(f"{holder} {what}; expected what ranvier.{by} lists. {remedy}".strip())


def require_graph(graph: Any, depth: int = 0) -> None:
    """TypeError for what is no `nir.NIRGraph`, ValueError for an edge, in a subgraph too, without a node at its end."""
    import nir

    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(f"graph is {type(graph).__name__}; expected a nir.NIRGraph: a file is read by read_nir.")
    if depth > DEEPEST:
        raise ValueError(f"The graph holds graphs more than {DEEPEST} deep; expected {DEEPEST} at most: flatten them.")
    for source, target in graph.edges:
        if source not in graph.nodes or target not in graph.nodes:
            raise ValueError(
                f"The edge from {source!r} to {target!r} has an end that is no node of the graph; expected names of "
                "nodes: add the node, or leave the edge out."
            )
    for node in graph.nodes.values():
        if isinstance(node, nir.NIRGraph):
            require_graph(node, depth + 1)


def write_graph(graph: Any, path: str | Path) -> Path:
    """Write a `nir.NIRGraph` as a NIR file (HDF5), atomically."""
    import nir

    buffer = io.BytesIO()
    nir.write(buffer, graph)
    return write_atomic(path, buffer.getvalue())


def read_graph(path: str | Path, *, type_check: bool = True) -> Any:
    """The `nir.NIRGraph` of a file; `type_check` False leaves out NIR's own check of shapes.

    Raises FileNotFoundError without one, ValueError for what is none.
    """
    import nir

    from ranvier.networks.hdf5.reading import read_hdf5

    tree = read_hdf5(path, "NIR")
    try:
        node = tree.get("node")
        if not isinstance(node, dict) or node.get("type") != "NIRGraph":
            raise ValueError("it has no graph; expected a group 'node' that is a NIRGraph")
        _require_plain(node, "node", 0)
        return nir.dict2NIRNode({**node, "type_check": type_check})
    except Exception as error:  # its reader asserts, and fails in many ways
        fault = library_fault(error, (ValueError, AssertionError))
        raise ValueError(f"{path} is no NIR file that can be read: {fault}; expected NIR's nodes.") from error


def _require_plain(tree: dict[str, Any], path: str, depth: int) -> None:
    """Names without control characters; shapes of inputs and outputs that memory can hold."""
    import numpy as np

    if depth > DEEPEST:
        raise ValueError(f"{path} is nested more than {DEEPEST} deep; expected less")
    for name, value in tree.items():
        printable(name, f"a name in {path}")
        if isinstance(value, dict):
            _require_plain(value, f"{path}/{name}", depth + 1)
        elif name in ("shape", "input_type", "input_shape") and isinstance(value, np.ndarray):
            sizes = value.reshape(-1).tolist()
            whole = all(isinstance(x, int) and x > 0 for x in sizes) and len(sizes) <= 8
            if not whole or math.prod(sizes) > WIDEST:
                raise ValueError(f"{path} has the {name} {sizes[:8]}; expected whole numbers, together up to {WIDEST}")
