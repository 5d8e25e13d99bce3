"""Matrix Market: coordinates or an array of numbers, as text.

Read here line by line: SciPy's reader is compiled code that a malformed line can crash.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.networks._edge_list import EdgeList
from ranvier.networks.readers.matrices import oriented, require_nodes

_BLOCK = 2**24  # bytes of text at a time
_COLUMNS = {"coordinate": {"pattern": 2, "integer": 3, "real": 3}, "array": {"integer": 1, "real": 1}}
_SYMMETRIES = ("general", "symmetric", "skew-symmetric")


def market_edges(data: bytes, path: Path, rows: str = "targets") -> EdgeList:
    """Matrix Market, coordinates or an array: symmetric and skew-symmetric matrices whole, patterns as 1."""
    head = data[:200].split(b"\n")[0].decode("ascii", "replace").lower().split()
    if len(head) == 5 and (head[3] == "complex" or head[4] == "hermitian"):
        raise ValueError(f"{path} holds complex numbers; expected real ones, integers, or a pattern.")
    if len(head) != 5 or head[1] != "matrix" or head[3] not in _COLUMNS.get(head[2], ()) or head[4] not in _SYMMETRIES:
        raise ValueError(
            f"{path} begins with {' '.join(head)!r:.99}; expected '%%MatrixMarket matrix coordinate real general'."
        )
    layout, field, symmetry = head[2:]
    start, shape, count = _size(data, path, layout)
    entries = _entries(data, start, path, _COLUMNS[layout][field])
    matrix = (_sparse if layout == "coordinate" else _dense)(entries, path, shape, count, symmetry)
    notes = []
    if symmetry != "general":
        notes.append(f"The file holds one half of a {symmetry} matrix: both were taken.")
    if field == "pattern":
        notes.append("The file holds a pattern without values: every entry counts 1.")
    return oriented(matrix, path, rows, notes=notes)


def _size(data: bytes, path: Path, layout: str) -> tuple[int, tuple[int, int], int]:
    """(where the entries begin, shape, their number), which the rest of the file can hold."""
    at, size = 0, b""
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        line, at = data[at:end], end
        if line.strip() and not line.startswith(b"%"):
            size = line
            break
    words = size.split()
    numbers = [int(word) for word in words if word.isdigit() and len(word) < 20]
    if len(words) != len(numbers) or len(numbers) != (3 if layout == "coordinate" else 2):
        raise ValueError(f"{path} has the size line {size.strip()[:60]!r}; expected rows, columns, entries.")
    count = numbers[2] if layout == "coordinate" else math.prod(numbers)
    if count > len(data):
        raise ValueError(f"{path} promises {count} entries in {len(data)} bytes; expected as many as it holds.")
    require_nodes(max(numbers[:2]), len(data), path)
    return at, (numbers[0], numbers[1]), count


def _entries(data: bytes, start: int, path: Path, columns: int) -> Iterator[NDArray[np.float64]]:
    """The lines' numbers, (lines, columns) at a time."""
    while start < len(data):
        end = data.find(b"\n", start + _BLOCK) + 1 or len(data)
        block, start = data[start:end], end
        if not block.strip():
            continue
        try:
            numbers = np.loadtxt(io.BytesIO(block), ndmin=2, comments="%", encoding="latin-1")
        except ValueError as error:
            line = data[:start].count(b"\n") - block.count(b"\n") + 1
            raise ValueError(
                f"{path} holds something that is no number, or a line of another length, from line {line} on; "
                f"expected {columns} numbers a line"
            ) from error
        if numbers.size and numbers.shape[1] != columns:
            raise ValueError(f"{path} has lines of {numbers.shape[1]} numbers; expected {columns}.")
        yield numbers.reshape(-1, columns)


def _joined(entries: Iterator[NDArray[np.float64]], path: Path, count: int) -> NDArray[np.float64]:
    parts = list(entries)
    if (total := sum(map(len, parts))) != count:
        raise ValueError(f"{path} promises {count} entries and holds {total}; expected as many. Fetch it again.")
    return np.concatenate(parts) if parts else np.empty((0, 3))


def _sparse(
    entries: Iterator[NDArray[np.float64]], path: Path, shape: tuple[int, int], count: int, symmetry: str
) -> Any:
    from scipy.sparse import coo_array

    lines = _joined(entries, path, count)
    places, values = lines[:, :2], lines[:, 2] if lines.shape[1] > 2 else np.ones(len(lines))
    if ((places != np.floor(places)) | (places < 1) | (places > shape)).any():
        raise ValueError(f"{path} has an entry outside of its shape {shape}; expected places from 1 on.")
    row, column = (places - 1).astype(np.int64).T
    if symmetry != "general":
        off = row != column
        sign = -1.0 if symmetry == "skew-symmetric" else 1.0
        row, column = np.concatenate([row, column[off]]), np.concatenate([column, row[off]])
        values = np.concatenate([values, sign * values[off]])
    return coo_array((values, (row, column)), shape=shape)


def _dense(
    entries: Iterator[NDArray[np.float64]], path: Path, shape: tuple[int, int], count: int, symmetry: str
) -> NDArray[np.float64]:
    if symmetry == "general":
        return _joined(entries, path, count).reshape(shape, order="F")
    n, first = shape[0], int(symmetry == "skew-symmetric")
    if shape[0] != shape[1]:
        raise ValueError(f"{path} is {symmetry} with {shape[0]} rows and {shape[1]} columns; expected as many.")
    upper, lower = np.triu_indices(n, first)  # of the transpose: column by column, below the diagonal
    matrix = np.zeros(shape)
    matrix[lower, upper] = _joined(entries, path, len(lower))[:, 0]
    return matrix + (-1.0 if first else 1.0) * np.tril(matrix, -1).T


__all__ = ["market_edges"]
