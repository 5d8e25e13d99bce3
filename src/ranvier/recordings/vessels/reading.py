"""Published vessel graphs: Voreen's tables, and the raw files of the Open Graph Benchmark."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from ranvier.files.reading import decode, read_text, read_unpacked
from ranvier.recordings.vessels.graph import VesselGraph


def read_voreen(nodes: str | Path, edges: str | Path) -> VesselGraph:
    """A graph from Voreen's two tables, divided by semicolons (or commas): nodes with id, pos_x, pos_y, pos_z; edges
    with node1id, node2id, and length, avgRadiusAvg, minRadiusAvg where they are; further numeric columns are kept.

    Raises ValueError for a missing column, an unknown node, or a value that is no number, by file and line.

    >>> np.savetxt("nodes.csv", [[0, 0, 0, 0], [1, 3, 4, 0]], "%d", ";", header="id;pos_x;pos_y;pos_z", comments="")
    >>> np.savetxt("edges.csv", [[0, 0, 1, 6]], "%d", ";", header="id;node1id;node2id;length", comments="")
    >>> graph = rv.recordings.vessels.read_voreen("nodes.csv", "edges.csv")
    >>> graph.ends.tolist(), graph.length.tolist()
    ([[0, 1]], [6.0])
    """
    places = _rows(nodes, ("id", "pos_x", "pos_y", "pos_z"))
    index = {row["id"]: k for k, row in enumerate(places)}
    if len(index) < len(places):
        raise ValueError(f"{nodes} names a node twice; expected each id once")
    positions = [[_number(row, name, nodes, k) for name in ("pos_x", "pos_y", "pos_z")] for k, row in enumerate(places)]
    vessels = _rows(edges, ("node1id", "node2id"))
    ends = []
    for k, row in enumerate(vessels):
        for name in ("node1id", "node2id"):
            if row[name] not in index:
                raise ValueError(f"line {k + 2} of {edges} names node {row[name]!r:.40}; expected one of {nodes}")
        ends.append((index[row["node1id"]], index[row["node2id"]]))
    pairs = np.array(ends, np.int64).reshape(-1, 2)
    two = pairs[:, 0] != pairs[:, 1]  # loops that return to their place
    columns = {}
    for name in vessels[0] if vessels else ():
        if name in ("id", "node1id", "node2id") or not name:
            continue
        columns[name] = np.array([_number(row, name, edges, k) for k, row in enumerate(vessels)])[two]
    radius = columns.pop("avgRadiusAvg", columns.get("minRadiusAvg"))
    length = columns.pop("length", None)
    for name in ("positions", "ends", "radius"):  # of no table of Voreen's
        columns.pop(name, None)
    return VesselGraph.build(np.array(positions).reshape(-1, 3), pairs[two], radius, length, **columns)


def read_ogb(folder: str | Path) -> VesselGraph:
    """A graph from the raw folder of an OGB data set such as ogbl-vessel: edge.csv(.gz), node-feat.csv(.gz), of which
    the first three columns are the position, and, where it is, edge-feat.csv(.gz) with radius and length.

    Files of torch and pickles (PyG's processed/*.pt) are refused: nothing in a file runs here; write its arrays by
    `numpy.savetxt`. Raises FileNotFoundError and ValueError by name.

    >>> np.savetxt("edge.csv", [[0, 1], [1, 2]], "%d", ",")
    >>> np.savetxt("node-feat.csv", [[0, 0, 0], [3, 4, 0], [3, 4, 1]], "%d", ",")
    >>> graph = rv.recordings.vessels.read_ogb(".")
    >>> graph.ends.tolist(), graph.length.tolist()
    ([[0, 1], [1, 2]], [5.0, 1.0])
    """
    folder = Path(folder)
    edges, features = (_table(folder, name) for name in ("edge", "node-feat"))
    if edges is None or features is None:
        raise FileNotFoundError(f"{folder} holds no edge.csv(.gz) and node-feat.csv(.gz); expected OGB's raw folder")
    if edges.shape[1] != 2 or features.shape[1] < 3 or (edges != np.round(edges)).any():
        raise ValueError(f"{folder} holds edges of {edges.shape[1]} and nodes of {features.shape[1]} columns; expected "
                         "2, of whole numbers, and at least 3")  # fmt: skip
    extra = _table(folder, "edge-feat")
    if extra is not None and (len(extra) != len(edges) or extra.shape[1] < 2):
        raise ValueError(f"edge-feat of {folder} has shape {extra.shape}; expected ({len(edges)}, 2) or more")
    pairs = edges.astype(np.int64)
    two = pairs[:, 0] != pairs[:, 1]
    radius, length = (None, None) if extra is None else (extra[two, 0], extra[two, 1])
    return VesselGraph.build(features[:, :3], pairs[two], radius, length)


def _table(folder: Path, name: str) -> np.ndarray | None:
    for path in (folder / f"{name}.csv.gz", folder / f"{name}.csv"):
        if path.exists():
            text = decode(read_unpacked(path, "a table"), path, "a table")
            try:
                return np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2)
            except ValueError as error:
                raise ValueError(f"{path} is no table of numbers ({error}); expected them, and commas") from None
    return None


def _rows(path: str | Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    text = read_text(path, "a table")
    first = text.partition("\n")[0]
    rows = list(csv.DictReader(io.StringIO(text), delimiter=";" if ";" in first else ","))
    names = [n.strip() for n in first.split(";" if ";" in first else ",")]
    missing = [name for name in columns if name not in names]
    if missing:
        raise ValueError(f"{path} has columns {', '.join(names)[:200]}; expected {missing[0]} too, as Voreen writes it")
    return [{str(k).strip(): str(v).strip() for k, v in row.items()} for row in rows]


def _number(row: dict[str, str], name: str, path: str | Path, k: int) -> float:
    try:
        return float(row[name])
    except (KeyError, ValueError):
        raise ValueError(f"{name} in line {k + 2} of {path} is {row.get(name)!r:.40}; expected a number") from None


__all__ = ["read_ogb", "read_voreen"]
