"""Edge lists from NumPy's files: matrices, SciPy's sparse matrices, and arrays of edges; nothing is unpickled."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ranvier._checks import LIMIT
from ranvier.files.reading import library_fault, read_unpacked, require_ratio
from ranvier.networks._edge_list import EdgeList
from ranvier.networks.readers._columns import role_of
from ranvier.networks.readers._kinds import kind_of
from ranvier.networks.readers.matrices import oriented, readings, require_nodes
from ranvier.networks.readers.tables import junctions

_LAYOUTS = ("csr", "csc", "coo", "bsr", "dia")
_ROLES = ("source", "target", "weight", "delay")


def read_sparse(path: str | Path) -> EdgeList:
    """Read a sparse matrix [target, source] that `scipy.sparse.save_npz` wrote.

    Raises FileNotFoundError, ValueError for another format and for a damaged matrix; nothing is unpickled.

    >>> import scipy.sparse
    >>> scipy.sparse.save_npz("wiring.npz", scipy.sparse.csr_array([[0.0, 0.0], [0.5, 0.0]]))
    >>> edges = rv.networks.read_sparse("wiring.npz")
    >>> edges.sources.tolist(), edges.targets.tolist(), edges.weights.tolist()
    ([0], [1], [0.5])
    """
    path = Path(path)
    return npz_edges(read_unpacked(path, "a sparse matrix"), path)


def npz_edges(data: bytes, path: Path, rows: str = "targets") -> EdgeList:
    """An `.npz` archive: a sparse matrix of SciPy's, one square matrix, or arrays of sources, targets and weights."""
    arrays = arrays_of(data, path)
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
    ends = arrays.get("edge_index", np.empty(0))
    if ends.ndim == 2 and len(ends) == 2:  # of PyTorch Geometric
        columns = {"source": ends[0], "target": ends[1]}
        weights = [arrays[k].reshape(-1) for k in ("edge_weight", "edge_attr") if k in arrays]
        columns |= {"weight": weights[0]} if weights and len(weights[0]) == ends.shape[1] else {}
        return _build_from(path, len(data), columns)
    square = [name for name, a in arrays.items() if a.ndim == 2 and a.shape[0] == a.shape[1] > 0]
    kinds = {kind_of(name): name for name in square}
    if len(square) == 2 and set(kinds) == {"chemical", "electrical"}:
        names = _names(arrays, arrays[square[0]])
        edges, gaps = (oriented(arrays[kinds[kind]], path, rows, names) for kind in ("chemical", "electrical"))
        both = junctions(edges.names, gaps.sources, gaps.targets, gaps.weights)
        return replace(edges, electrical=both)
    if len(square) != 1:
        listed = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        raise ValueError(
            f"{path} holds {listed[:200]}; expected a sparse matrix of SciPy's, one square matrix, or arrays named "
            "source, target and weight."
        )
    return oriented(arrays[square[0]], path, rows, _names(arrays, arrays[square[0]]))


def _names(arrays: Mapping[str, np.ndarray], matrix: np.ndarray) -> list[str] | None:
    names = next((a for a in arrays.values() if a.shape == matrix.shape[:1] and a.dtype.kind in "US"), None)
    return None if names is None else names.astype(str).tolist()


def npy_edges(data: bytes, path: Path, rows: str | None = None, layout: str | None = None) -> EdgeList:
    """One array: a square matrix, or one edge a row: source, target, and perhaps weight and delay, in this order or as
    named fields. Raises ValueError where a square array may be either, which `rows` or `layout` decides."""
    array = array_of(data, str(path))
    if array.dtype.names:
        named = {role_of(name): array[name] for name in array.dtype.names}
        if array.ndim != 1 or not {"source", "target"} <= set(named):
            raise ValueError(
                f"{path} has the fields {', '.join(array.dtype.names)[:200]}; expected source and target, and perhaps "
                "weight and delay, one edge an entry"
            )
        return _build_from(path, len(data), {role: a for role, a in named.items() if role in _ROLES})
    if layout is None and rows is None and array.ndim == 2 and array.shape[0] == array.shape[1] <= 4:
        layout = _layout(array, path)
    as_edges = array.ndim == 2 and 2 <= array.shape[1] <= 4 and array.dtype.kind in "iuf"
    if as_edges and (layout == "edges" or (layout is None and array.shape[0] != array.shape[1])):
        return _build_from(path, len(data), dict(zip(_ROLES, array.T)))
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(
            f"{path} holds {array.dtype} of shape {array.shape}; expected a square matrix, or edges as rows of 2 to 4."
        )
    return oriented(array, path, rows or "targets")


def _layout(array: np.ndarray, path: Path) -> str:
    """Of a small square array: "matrix" or "edges", as of a table of the same numbers."""
    if array.dtype.kind not in "iuf" or array.shape[0] < 2:
        return "matrix"
    grid = [[f"{x:.0f}" if float(x).is_integer() else repr(float(x)) for x in row] for row in array.tolist()]
    possible = readings(grid)
    if len(possible) > 1:
        roles = ", ".join(_ROLES[: len(grid)])
        raise ValueError(
            f"{path} holds {len(grid)} rows of {len(grid)} numbers, which may be a matrix of {len(grid)} neurons or "
            f"{len(grid)} edges ({roles}); expected one reading: say rows='targets' or 'sources' for a matrix "
            "(--rows), layout='edges' for edges"
        )
    return possible[0]


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


def arrays_of(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz archive, each within the bounds that the file's size sets."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            items = archive.infolist()
            require_ratio(sum(item.file_size for item in items), len(data), path)
            if len(items) > 100:
                raise ValueError(f"it holds {len(items)} arrays; expected fewer")
            return {item.filename.removesuffix(".npy"): array_of(archive.read(item), item.filename) for item in items}
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        fault = library_fault(error) if isinstance(error, UnicodeError) else str(error)
        raise ValueError(f"{path} is no archive of arrays that can be read: {fault}.") from error
    except Exception as error:  # zipfile and zlib fail in many ways
        fault = library_fault(error, (zipfile.BadZipFile, zlib.error))
        raise ValueError(f"{path} is no archive of arrays that can be read: {fault}.") from error


def array_of(data: bytes, what: str) -> np.ndarray:
    """One .npy array, whose header may promise no more than its bytes hold; never unpickled."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read(stream)
        plain = [kind] if kind.names is None else [kind[name] for name in kind.names]
        if any(each.hasobject or each.kind not in "biufUS" or each.shape for each in plain):
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


__all__ = ["npy_edges", "npz_edges", "read_sparse"]
