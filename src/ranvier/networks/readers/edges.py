"""`read_edges`: whatever file holds a wiring, by its content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ranvier._checks import nearest, unique
from ranvier.files.reading import read_unpacked
from ranvier.networks._edge_list import EdgeList
from ranvier.networks.readers import arrays, matrices
from ranvier.networks.readers._content import SUPPORTED, recognise
from ranvier.networks.readers._kinds import transmitter_signs
from ranvier.networks.readers._nodes import NodeTable, table_of
from ranvier.networks.readers._rows import Row, arrow_rows, sheet_rows, text_rows
from ranvier.networks.readers.graphs import graph_edges
from ranvier.networks.readers.market import market_edges
from ranvier.networks.readers.tables import edges_of

LAYOUTS = ("edges", "matrix")


def read_edges(
    path: str | Path,
    *,
    columns: Mapping[str, str | int] | Sequence[str] | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    nodes: int | Sequence[str] | str | Path | None = None,
    where: Mapping[str, str] | None = None,
    layout: str | None = None,
    rows: str | None = None,
    signs: Mapping[str, int] | None = None,
    sheet: str | None = None,
) -> EdgeList:
    """Read a wiring from a file, whose format is known by its content, never by its name.

    Tables with one edge a row (CSV, TSV, semicolons, white space; .xlsx, Parquet and Feather with the extra `tables`),
    adjacency matrices (as a table, .npy, .npz, SciPy's .npz, Matrix Market), and graphs (GraphML, GEXF, GML, Pajek,
    node-link JSON); each gzipped or not.

    Parameters
    ----------
    path
        The file. In text, `#` and `%` begin comments.
    columns
        Which column of a table is what where names are unusual: `{"source": "neuron", "target": 3}`, by the
        header's name or the place from 0; or the roles in order, `("source", "target", "weight")`. Roles: source,
        target, weight, delay, type, transmitter, sign. A source or target that names leave out is the column known as
        such.
    header
        Whether the first line names the columns; by default, whether it holds names that are known, or text above
        numbers. ValueError where that is undecidable.
    delimiter
        By default tab, else comma, else semicolon, else white space, whichever the first line has.
    nodes
        All nodes in order; their number n, for indices 0 to n − 1; or a file with one node a row and a header: id or
        name, and perhaps class, transmitter, sign, and others. By default those that occur: whole numbers in
        ascending order, names in order of their appearance.
    where
        Keep only lines with these texts in these columns: `{"Type": "chemical"}`.
    layout
        Of a table or a .npy: "edges" or "matrix", where it may be either.
    rows
        Of a matrix: "targets" (the default), as everywhere here ([target, source]), or "sources". Says, too, that a
        table is a matrix.
    signs
        Of transmitters, for those that act otherwise than is usual: `{"GLUT": -1}` where glutamate inhibits.
    sheet
        Of an Excel workbook with several.

    Returns
    -------
    EdgeList
        Without a column of weights each line counts 1. Repeated edges are summed, edges to oneself kept. Delays may
        carry a unit ("1.5 ms"); bare numbers are ms. Rows that a column of types calls electrical are kept apart, as
        `electrical`. A column of transmitters (each source counts with that of most of its synapses) or signs
        gives the weights' signs: GABA and glycine inhibit, acetylcholine and glutamate excite (in insects and
        nematodes glutamate also inhibits, by chloride channels: see `signs`). `notes` says what was done, and what was
        left out.

    Raises
    ------
    FileNotFoundError
        where there is no such file
    ValueError
        for content of another kind, with the formats that can be read; for up to four rows of as many whole numbers,
        which may be edges or a matrix; for an empty file, ragged lines, text for a
        number, NaN, infinities, a column that is not there, a delay that is not positive, a node out of range, with the
        line's number; and for a format whose library is not installed

    Example
    -------
    >>> from ranvier.networks import read_edges
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "edges.csv"
    >>> _ = file.write_text("pre,post,synapses\\na,b,3\\nb,a,1\\n")
    >>> read_edges(file).names
    ('a', 'b')
    """
    path = Path(path)
    data = read_unpacked(path, "an edge list")
    try:
        kind = recognise(data)
    except ValueError as error:
        raise ValueError(f"{path} is {error}; expected one of: {SUPPORTED}.") from error
    listed = read_nodes(nodes, signs) if isinstance(nodes, str | Path) else nodes
    try:
        return _read(data, path, kind, columns, header, delimiter, listed, where, layout, rows, sheet, signs)
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error


def _read(
    data: bytes, path: Path, kind: str, columns: Any, header: bool | None, delimiter: str | None,
    listed: NodeTable | int | Sequence[str] | None, where: Mapping[str, str] | None, layout: str | None,
    rows: str | None, sheet: str | None, signs: Mapping[str, int] | None,
) -> EdgeList:  # fmt: skip
    if layout not in (None, *LAYOUTS):
        raise ValueError(f"layout is {layout!r:.60}; {nearest(layout, LAYOUTS)}")
    transmitters = transmitter_signs(signs)
    if kind in ("text", "xlsx", "parquet", "feather"):
        table = rows_of(data, path, kind, delimiter, sheet)
        options = {"columns": columns, "header": header, "nodes": listed, "where": where, "signs": transmitters}
        return _from_table(table, path, layout, rows, options)
    for name, value in (("columns", columns), ("header", header), ("where", where), ("delimiter", delimiter)):
        if value is not None:
            raise ValueError(f"{path} is {kind}, which has no table; expected no {name}=. Leave it out.")
    if kind in ("graphml", "gexf", "gml", "pajek", "json"):
        edges = graph_edges(data, path, kind, signs)
    else:
        read = {"npz": arrays.npz_edges, "matrix market": market_edges}
        edges = (
            arrays.npy_edges(data, path, rows, layout) if kind == "npy" else read[kind](data, path, rows or "targets")
        )
    return edges if listed is None else described(edges, listed, path)


def read_nodes(path: str | Path, signs: Mapping[str, int] | None = None) -> NodeTable:
    """A table of nodes, in any form that a table of edges may have; `signs` of transmitters as in `read_edges`."""
    path = Path(path)
    data = read_unpacked(path, "a table of nodes")
    try:
        kind = recognise(data)
        if kind not in ("text", "xlsx", "parquet", "feather"):
            raise ValueError(kind)
    except ValueError as error:
        expected = "a table of nodes: CSV, TSV, .xlsx, Parquet or Feather"
        raise ValueError(f"{path} is {error}; expected {expected}.") from error
    return table_of(rows_of(data, path, kind, None, None), path, transmitter_signs(signs))


def rows_of(data: bytes, path: Path, kind: str, delimiter: str | None, sheet: str | None) -> list[Row]:
    """The rows of a table of that kind."""
    if kind == "text":
        return text_rows(data, path, delimiter)
    return sheet_rows(data, path, sheet) if kind == "xlsx" else arrow_rows(data, path, kind)


def _from_table(
    table: list[Row], path: Path, layout: str | None, rows: str | None, options: dict[str, Any]
) -> EdgeList:
    explicit = options["columns"] is not None or options["header"] is not None or options["where"] is not None
    if table and layout != "edges" and not explicit:
        matrix = matrices.table_matrix(table, path, rows or ("targets" if layout == "matrix" else None))
        if matrix is not None:
            return matrix if options["nodes"] is None else described(matrix, options["nodes"], path)
    if layout == "matrix" or rows is not None:
        raise ValueError(
            f"{path} is no matrix; expected as many columns as rows, all numbers, or the nodes' names above and beside."
        )
    try:
        return edges_of(table, path, **options)
    except ValueError as error:
        if explicit or not _foreign(table):
            raise
        raise ValueError(f"{str(error).rstrip('.')}; expected one of the formats {SUPPORTED}.") from error


def _foreign(table: list[Row]) -> bool:
    """Whether text looks like no table at all: lines of one word, or of differing numbers of them."""
    widths = {len(cells) for _, cells in table[:50]}
    return widths == {1} or len(widths) > 1


def described(edges: EdgeList, nodes: NodeTable | int | Sequence[str], path: Path) -> EdgeList:
    """An edge list with the order, classes, signs and other columns of listed nodes."""
    import numpy as np

    table = nodes if isinstance(nodes, NodeTable) else None
    listed = nodes.names if isinstance(nodes, NodeTable) else range(nodes) if isinstance(nodes, int) else nodes
    names = tuple(map(str, listed))
    unique(names, "the node's name in nodes=")
    place = {name: i for i, name in enumerate(names)}
    if missing := [name for name in edges.names if name not in place]:
        raise ValueError(f"{path}: {missing[0]!r} is not among the {len(names)} nodes; expected one of `nodes`.")
    order = np.array([place[name] for name in edges.names], np.int64)
    weights, notes = edges.weights, list(edges.notes)
    if table is not None and table.signs and not (weights < 0).any():
        signs = np.array([table.signs.get(edges.names[k], 0) for k in edges.sources])
        weights = np.where(signs < 0, -weights, weights)
        notes += table.notes
    return EdgeList.build(
        names, order[edges.sources], order[edges.targets], weights, edges.delays, notes=notes,
        classes=None if table is None else table.classes, attributes={} if table is None else table.attributes,
    )  # fmt: skip


__all__ = ["read_edges"]
