"""What everything that goes to or comes from NIR has in common (the neuromorphic intermediate representation,
Pedersen et al. 2024)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NoReturn

from ranvier._files import write_atomic

MS = 1e-3  # s


def refuse(way: str, what: str, remedy: str = "", *, held: str = "A network", by: str = "networks.to_nir") -> NoReturn:
    """Raise ValueError: `way` is "to" NIR or "from" it, into what is `held` here; the docstring of `by` is the list."""
    holder = "NIR cannot hold" if way == "to" else f"{held} here cannot hold"
    raise ValueError(f"{holder} {what}; expected what ranvier.{by} lists. {remedy}".strip())


def require_graph(graph: Any) -> None:
    """TypeError for what is no `nir.NIRGraph`, ValueError for an edge without a node at its end."""
    import nir

    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(f"Found {type(graph).__name__}; expected a nir.NIRGraph.")
    for source, target in graph.edges:
        if source not in graph.nodes or target not in graph.nodes:
            raise ValueError(f"The edge from {source!r} to {target!r} has an end that is no node of the graph.")


def write_graph(graph: Any, path: str | Path) -> Path:
    """Write a `nir.NIRGraph` as a NIR file (HDF5), atomically."""
    import nir

    buffer = io.BytesIO()
    nir.write(buffer, graph)
    return write_atomic(path, buffer.getvalue())


def read_graph(path: str | Path) -> Any:
    """The `nir.NIRGraph` of a file. FileNotFoundError without one, ValueError for what is none."""
    import nir

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; expected NIR. Look at the path's spelling.")
    try:
        return nir.read(path)
    except Exception as error:  # its reader asserts, and h5py fails in many ways
        raise ValueError(f"{path} is no NIR file that can be read ({type(error).__name__}: {error}).") from error
