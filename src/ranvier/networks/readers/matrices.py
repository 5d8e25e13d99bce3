"""Edge lists from matrices: sparse or dense ones, and tables of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier._checks import LIMIT
from ranvier.networks._edge_list import EdgeList
from ranvier.networks.readers._columns import NUMBER
from ranvier.networks.readers._rows import Row

_MOST, _ALWAYS, _A_BYTE = 2**26, 2**20, 8  # nodes: of any matrix, of any file, and of each byte of a file
_MISSING = re.compile(r"(?:[-+]?nan|n/?a|null|none|-)\Z", re.IGNORECASE)


def from_sparse(
    matrix: Any, names: Sequence[str] | None = None, classes: Sequence[str] | None = None, *, notes: Sequence[str] = ()
) -> EdgeList:
    """The edge list of a square matrix [target, source]: row i holds what reaches neuron i.

    `matrix`: SciPy sparse, or a dense array. Transpose one that is [source, target], as the adjacency
    matrices of graph libraries are. Entries that are stored as 0 are edges of weight 0 in a sparse matrix.
    Raises ValueError for a matrix that is not square, not of real numbers, or whose indices are damaged, and for
    another number of names.

    >>> edges = rv.networks.from_sparse([[0.0, 0.0], [0.5, 0.0]], names=["a", "b"])  # from a to b
    >>> edges.sources.tolist(), edges.targets.tolist(), edges.weights.tolist()
    ([0], [1], [0.5])
    """
    from scipy.sparse import coo_array, issparse

    if issparse(matrix):
        require_structure(matrix)
        sparse = matrix.tocoo()
    else:
        sparse = coo_array(_dense(matrix))
    if len(sparse.shape) != 2 or sparse.shape[0] != sparse.shape[1]:
        raise ValueError(f"The matrix has shape {sparse.shape}; expected a square one [target, source].")
    if sparse.dtype.kind not in "biuf":
        raise ValueError(f"The matrix holds {sparse.dtype}; expected real numbers.")
    n = sparse.shape[0]
    if n > LIMIT or (names is None and n > _MOST):
        raise ValueError(f"The matrix has {n} rows; expected at most {_MOST}, or their names.")
    names = [str(i) for i in range(n)] if names is None else list(names)
    if len(names) != n:
        raise ValueError(f"Found {len(names)} names for {n} nodes; expected one a node.")
    row, column = (np.asarray(x) for x in (sparse.row, sparse.col))
    return EdgeList.build(names, column, row, sparse.data, classes=classes, notes=notes)


def require_nodes(count: int, size: int, path: Path) -> None:
    """Refuse far more nodes than a file of `size` bytes can be about: each takes memory, with edges or without."""
    most = min(_MOST, max(_ALWAYS, _A_BYTE * size))
    if count > most:
        raise ValueError(f"{path} promises {count} nodes in {size} bytes; expected up to {most}. Number them densely.")


def require_structure(matrix: Any) -> None:
    """Raise ValueError where a sparse matrix's arrays do not fit together; compiled code trusts them."""
    try:
        if matrix.format in ("csr", "csc", "bsr"):
            matrix.check_format(full_check=True)
            pointers = np.asarray(matrix.indptr)
            if (np.diff(pointers) < 0).any() or pointers[0] != 0 or pointers[-1] > len(matrix.indices):
                raise ValueError("its pointers do not ascend; expected rows one after the other")
        elif matrix.format == "coo":
            for ends, size in zip(matrix.coords, matrix.shape, strict=True):
                if len(ends) != len(matrix.data):
                    raise ValueError("it has more indices than values, or fewer; expected one each")
                if len(ends) and (ends.min() < 0 or ends.max() >= size):
                    raise ValueError(f"an index is out of range; expected 0 to {size - 1}")
        elif matrix.format == "dia" and len(np.unique(matrix.offsets)) != len(matrix.offsets):
            raise ValueError("two of its diagonals have the same place; expected each once")
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(f"The sparse matrix is damaged: {error}; expected indices within its shape.") from error


def _dense(matrix: Any) -> np.ndarray:
    array = np.asarray(matrix)
    array = array.astype(np.uint8) if array.dtype.kind == "b" else array
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"Found {type(matrix).__name__} of shape {array.shape}; expected a square matrix of numbers."
        )
    return array


def table_matrix(rows: Sequence[Row], path: Path, orientation: str | None) -> EdgeList | None:
    """The edge list of a table that is an adjacency matrix: square and all numbers, or with names above and beside.

    None where it is neither. Names that stand on one side alone are nodes without entries on the other. Raises
    ValueError where up to four rows of as many whole numbers may be edges as well, which `orientation` decides.
    """
    width = len(rows[0][1])
    if any(len(cells) != width for _, cells in rows):
        return None
    grid = [cells for _, cells in rows]
    if all(NUMBER.match(cell) for cells in grid for cell in cells):
        if len(grid) != width or width < 2:
            return None
        if orientation is None and (possible := readings(grid)) != ["matrix"]:
            if possible == ["edges"]:
                return None
            roles = ", ".join(("source", "target", "weight", "delay")[:width])
            raise ValueError(
                f"{path} holds {width} rows of {width} numbers, which may be a matrix of {width} neurons or {width} "
                f"edges ({roles}); expected one reading: say rows='targets' or 'sources' for a matrix, header=False "
                "for edges (--rows, --no-header)."
            )
        return oriented(np.array(grid, float), path, orientation or "targets")
    orientation = orientation or "targets"
    corners = [(top, left) for top in range(min(4, len(grid) - 1)) for left in range(min(4, width - 1))]
    candidates = [labelled for corner in corners if (labelled := _labelled(grid, *corner))]
    if not candidates:
        return None
    names, values = max(candidates, key=lambda labelled: len(labelled[0]))
    return oriented(values, path, orientation, names)


def readings(grid: list[list[str]]) -> list[str]:
    """What a square table of numbers may be: "matrix", "edges", or both.

    Edges have whole numbers as ends, delays above 0, and at most four columns. Where whole numbers stand everywhere,
    distinct edges between different nodes with weights other than 0 pass for edges unless the diagonal is empty, as it
    is in a matrix, which rows that are no such edges then are.
    """
    ends = [tuple(cells[:2]) for cells in grid]
    if len(grid) > 4 or not all(cell.isdigit() for pair in ends for cell in pair):
        return ["matrix"]
    if len(grid) == 4 and any(float(cells[3]) <= 0 for cells in grid):
        return ["matrix"]
    if not all(cell.isdigit() for cells in grid for cell in cells):
        return ["edges"]
    numbers = [[int(cell) for cell in cells] for cells in grid]
    distinct = len(set(ends)) == len(ends) and all(a != b for a, b in ends)
    as_edges = distinct and all(row[2] for row in numbers if len(row) > 2)
    empty = not any(row[k] for k, row in enumerate(numbers))
    if as_edges != empty:
        return ["edges"] if as_edges else ["matrix"]
    return ["edges"] if as_edges and numbers == [[0, 1], [1, 0]] else ["edges", "matrix"]


def _labelled(grid: list[list[str]], top: int, left: int) -> tuple[list[str], np.ndarray] | None:
    """(names, matrix) where row `top` and column `left` are names, and all beyond are numbers or empty."""
    above, beside = grid[top][left + 1 :], [cells[left] for cells in grid[top + 1 :]]
    if NUMBER.match(grid[top][left]) and all(NUMBER.match(name) for name in (*above, *beside) if name):
        return None  # numbers name nodes only below a corner that is none
    columns = [k for k, name in enumerate(above) if name]
    lines = [k for k, name in enumerate(beside) if name]
    across, down = [above[k] for k in columns], [beside[k] for k in lines]
    if len(columns) < 2 or len(lines) < 2 or len(set(across)) < len(across) or len(set(down)) < len(down):
        return None
    common = set(across) & set(down)
    if len(common) < max(2, min(len(across), len(down)) // 2):
        return None
    if len(above) - len(columns) > 2 or len(beside) - len(lines) > 2:  # of sums, or the names once more
        return None
    body = [[grid[top + 1 + i][left + 1 + k] for k in columns] for i in lines]
    if any(cell and not (NUMBER.match(cell) or _MISSING.match(cell)) for cells in body for cell in cells):
        return None
    for i, cells in enumerate(body):
        for k, cell in enumerate(cells):
            if _MISSING.match(cell):
                raise ValueError(
                    f"the matrix has {cell!r} from {across[k]!r:.60} to {down[i]!r:.60}; expected a number, or an "
                    "empty cell where there is no synapse"
                )
    names = list(dict.fromkeys([*down, *across]))
    place = {name: i for i, name in enumerate(names)}
    values = np.zeros((len(names), len(names)))
    at = np.ix_([place[name] for name in down], [place[name] for name in across])
    values[at] = [[float(cell or 0) for cell in cells] for cells in body]
    return names, values


def oriented(
    matrix: Any, path: Path, rows: str, names: Sequence[str] | None = None, notes: Sequence[str] = ()
) -> EdgeList:
    """A matrix whose rows are "targets" or "sources"; errors name the file."""
    if rows not in ("targets", "sources"):
        raise ValueError(f"rows is {rows!r:.60}; expected 'targets' or 'sources'.")
    try:
        if hasattr(matrix, "tocoo"):
            require_structure(matrix)
            matrix = matrix.tocoo()
        else:
            matrix = _dense(matrix)
        matrix = matrix if rows == "targets" else matrix.T
        one, other = ("targets", "sources") if rows == "targets" else ("sources", "targets")
        asymmetric = abs(matrix - matrix.T).max() > 0 if matrix.shape[0] == matrix.shape[1] > 0 else False
        remarks = [f"A matrix: its rows were taken as {one}, its columns as {other}; rows={other!r} turns it."]
        return from_sparse(matrix, names, notes=[*notes, *(remarks if asymmetric else ())])
    except (ValueError, TypeError, MemoryError) as error:
        raise ValueError(f"{path}: {error}") from error


__all__ = ["from_sparse", "oriented", "readings", "require_nodes", "table_matrix"]
