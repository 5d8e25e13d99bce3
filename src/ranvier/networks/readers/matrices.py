"""Edge lists from matrices: SciPy's, NumPy's, Matrix Market's, and tables of numbers."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier._checks import LIMIT
from ranvier.files.reading import library_fault, read_unpacked, require_ratio
from ranvier.networks._edge_list import EdgeList
from ranvier.networks.readers._columns import NUMBER, role_of
from ranvier.networks.readers._rows import Row

_MOST, _ALWAYS, _A_BYTE = 2**26, 2**20, 8  # nodes: of any matrix, of any file, and of each byte of a file
_LAYOUTS = ("csr", "csc", "coo", "bsr", "dia")


def from_sparse(
    matrix: Any, names: Sequence[str] | None = None, classes: Sequence[str] | None = None, *, notes: Sequence[str] = ()
) -> EdgeList:
    """The edge list of a square matrix [target, source]: row i holds what reaches neuron i.

    `matrix`: SciPy sparse, or a dense array. Transpose one that is [source, target], as the adjacency
    matrices of graph libraries are. Entries that are stored as 0 are edges of weight 0 in a sparse matrix.
    Raises ValueError for a matrix that is not square, not of real numbers, or whose indices are damaged, and for
    another number of names.
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
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"Found {type(matrix).__name__} of shape {array.shape}; expected a square matrix of numbers."
        )
    return array


def read_sparse(path: str | Path) -> EdgeList:
    """Read a sparse matrix [target, source] that `scipy.sparse.save_npz` wrote.

    Raises FileNotFoundError, ValueError for another format and for a damaged matrix; nothing is unpickled.
    """
    path = Path(path)
    return npz_edges(read_unpacked(path, "a sparse matrix"), path)


def npz_edges(data: bytes, path: Path, rows: str = "targets") -> EdgeList:
    """An `.npz` archive: a sparse matrix of SciPy's, one square matrix, or arrays of sources, targets and weights."""
    arrays = _archive(data, path)
    broken = f"{path} is no sparse matrix of SciPy's"
    if "format" in arrays:
        try:
            matrix = _sparse(arrays)
        except (TypeError, ValueError, OverflowError, IndexError, MemoryError) as error:
            raise ValueError(f"{broken}: {error or 'it needs more memory than there is; expected less'}.") from error
        require_nodes(max(matrix.shape), len(data), path)
        return oriented(matrix, path, rows)
    roles = {role_of(name): name for name in arrays}
    if {"source", "target"} <= set(roles):
        return _build_from(path, len(data), {role: arrays[name] for role, name in roles.items() if role})
    square = [name for name, a in arrays.items() if a.ndim == 2 and a.shape[0] == a.shape[1] > 0]
    if len(square) != 1:
        listed = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        raise ValueError(
            f"{path} holds {listed[:200]}; expected a sparse matrix of SciPy's, one square matrix, or arrays named "
            "source, target and weight."
        )
    names = next((a for a in arrays.values() if a.shape == arrays[square[0]].shape[:1] and a.dtype.kind in "US"), None)
    return oriented(arrays[square[0]], path, rows, None if names is None else names.astype(str).tolist())


def npy_edges(data: bytes, path: Path, rows: str = "targets") -> EdgeList:
    """One array: a square matrix, or one edge a row: source, target, and perhaps weight and delay."""
    array = _array(data, str(path))
    if array.ndim == 2 and array.shape[0] != array.shape[1] and 2 <= array.shape[1] <= 4:
        return _build_from(path, len(data), dict(zip(("source", "target", "weight", "delay"), array.T)))
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(
            f"{path} holds {array.dtype} of shape {array.shape}; expected a square matrix, or edges as rows of 2 to 4."
        )
    return oriented(array, path, rows)


def _build_from(path: Path, size: int, columns: Mapping[str, Any]) -> EdgeList:
    from ranvier._checks import edge_indices

    try:
        ends = [edge_indices(columns[role], f"{role}s") for role in ("source", "target")]
        top = max((int(e.max()) for e in ends if len(e)), default=-1)
        require_nodes(top + 1, size, path)
        names = map(str, range(top + 1))
        return EdgeList.build(names, ends[0], ends[1], columns.get("weight"), columns.get("delay"))
    except (ValueError, TypeError) as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path} holds no edge list: {error}") from error


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
        if orientation is None and (readings := _readings(grid)) != ["matrix"]:
            if readings == ["edges"]:
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


def _readings(grid: list[list[str]]) -> list[str]:
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
    if any(cell and not NUMBER.match(cell) for cells in body for cell in cells):
        return None
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
        matrix = matrix if rows == "targets" else matrix.T
        one, other = ("targets", "sources") if rows == "targets" else ("sources", "targets")
        asymmetric = abs(matrix - matrix.T).max() > 0 if matrix.shape[0] == matrix.shape[1] > 0 else False
        remarks = [f"A matrix: its rows were taken as {one}, its columns as {other}; rows={other!r} turns it."]
        return from_sparse(matrix, names, notes=[*notes, *(remarks if asymmetric else ())])
    except (ValueError, TypeError, MemoryError) as error:
        raise ValueError(f"{path}: {error}") from error


def _archive(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz archive, each within the bounds that the file's size sets."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            items = archive.infolist()
            require_ratio(sum(item.file_size for item in items), len(data), path)
            if len(items) > 100:
                raise ValueError(f"it holds {len(items)} arrays; expected fewer")
            return {item.filename.removesuffix(".npy"): _array(archive.read(item), item.filename) for item in items}
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        fault = library_fault(error) if isinstance(error, UnicodeError) else str(error)
        raise ValueError(f"{path} is no archive of arrays that can be read: {fault}.") from error
    except Exception as error:  # zipfile and zlib fail in many ways
        fault = library_fault(error, (zipfile.BadZipFile, zlib.error))
        raise ValueError(f"{path} is no archive of arrays that can be read: {fault}.") from error


def _array(data: bytes, what: str) -> np.ndarray:
    """One .npy array, whose header may promise no more than its bytes hold; never unpickled."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read(stream)
        if kind.hasobject or kind.kind not in "biufUS":
            raise ValueError(f"it holds {kind}; expected numbers or text")
        rest = data[stream.tell() :]
        count = math.prod(shape)
        if any(n < 0 for n in shape) or count * kind.itemsize != len(rest):
            raise ValueError(
                f"{kind} of shape {shape} needs {count * kind.itemsize} bytes; expected as many, and there are "
                f"{len(rest)}"
            )
        return np.frombuffer(rest, kind).reshape(shape, order="F" if fortran else "C")
    except Exception as error:
        raise ValueError(f"{what} is no array of NumPy's ({error}); expected one.") from error


def _sparse(arrays: Mapping[str, np.ndarray]) -> Any:
    """A sparse matrix from the arrays that `scipy.sparse.save_npz` writes, checked before anything indexes by them."""
    import scipy.sparse as sp

    if arrays["format"].size != 1:
        raise ValueError(f"its format is of shape {arrays['format'].shape}; expected one text")
    layout = arrays["format"].item()
    layout = layout.decode("ascii", "replace") if isinstance(layout, bytes) else str(layout)
    if layout not in _LAYOUTS:
        raise ValueError(f"its format is {layout!r:.40}; expected one of {', '.join(_LAYOUTS)}")
    needed = {"coo": ("row", "col"), "dia": ("offsets",)}.get(layout, ("indices", "indptr"))
    for name in ("shape", "data", *needed):
        if name not in arrays:
            raise ValueError(f"it has no array {name!r}; expected {', '.join(('shape', 'data', *needed))}")
    if arrays["shape"].dtype.kind not in "iu":
        raise ValueError(f"its shape is {arrays['shape'].dtype}; expected whole numbers")
    shape = tuple(int(n) for n in arrays["shape"].reshape(-1))
    if len(shape) != 2 or not all(0 <= n <= LIMIT for n in shape):
        raise ValueError(f"its shape is {shape}; expected two numbers up to {LIMIT}")
    values = arrays["data"]
    if values.dtype.kind not in "biuf":
        raise ValueError(f"it holds {values.dtype}; expected real numbers")
    indices = {k: arrays[k] for k in ("indices", "indptr", "row", "col", "offsets") if k in arrays}
    for name, array in indices.items():
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}; expected whole numbers in a row")
    if layout == "coo":
        ends = [indices[k].astype(np.int64) for k in ("row", "col")]
        if not len(ends[0]) == len(ends[1]) == len(values) or values.ndim != 1:
            raise ValueError(
                f"{len(values)} values have {len(ends[0])} rows and {len(ends[1])} columns; expected one of each "
                "a value"
            )
        for which, size in zip(ends, shape, strict=True):
            if len(which) and (which.min() < 0 or which.max() >= size):
                raise ValueError(f"an index is out of range; expected 0 to {size - 1}")
        return sp.coo_array((values, tuple(ends)), shape=shape)
    if layout == "dia":
        return sp.dia_array((np.atleast_2d(values), indices["offsets"]), shape=shape)
    pointers, places = indices["indptr"].astype(np.int64), indices["indices"].astype(np.int64)
    block = values.shape[1:] if layout == "bsr" else (1, 1)
    if (layout == "bsr") != (values.ndim == 3) or min(block) < 1:
        raise ValueError(f"its values have shape {values.shape}; expected one that fits its blocks")
    if any(n % b for n, b in zip(shape, block, strict=True)):
        raise ValueError(f"blocks of {block} do not fill {shape}; expected blocks that do")
    major, minor = (shape[0] // block[0], shape[1] // block[1])
    if layout == "csc":
        major, minor = minor, major
    if len(pointers) != major + 1 or pointers[0] != 0 or (np.diff(pointers) < 0).any() or pointers[-1] > len(places):
        raise ValueError(f"its {len(pointers)} pointers do not ascend; expected 0 to at most {len(places)}")
    if len(places) != len(values) or (len(places) and (places.min() < 0 or places.max() >= minor)):
        raise ValueError(f"its indices do not fit; expected one a value, from 0 to {minor - 1}")
    kinds = {"csr": sp.csr_array, "csc": sp.csc_array, "bsr": sp.bsr_array}
    return kinds[layout]((values, places, pointers), shape=shape)


__all__ = ["from_sparse", "npy_edges", "npz_edges", "read_sparse", "require_nodes", "table_matrix"]
