"""A table of numbers, a row a time and a column a neuron: text, .npy or .npz."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import nearest
from ranvier.files.reading import decode, read_unpacked
from ranvier.networks.readers.arrays import array_of, arrays_of

_WHAT = "a table of numbers (CSV, .npy or .npz)"
_BETWEEN = re.compile(r"[,;\s]+")


def read_values(path: str | Path, name: str | None = None) -> NDArray[np.float64]:
    """The numbers of a file, (T,) or (T, columns); `name`: which array of an .npz file. Raises ValueError."""
    path = Path(path)
    data = read_unpacked(path, _WHAT)
    if data[:6] == b"\x93NUMPY":
        array = array_of(data, str(path))
    elif data[:2] == b"PK":
        array = _chosen(arrays_of(data, path), path, name)
    else:
        array = _numbers(decode(data, path, _WHAT), path)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {array.dtype}; expected real numbers")
    return array.astype(np.float64)


def _chosen(arrays: dict[str, NDArray[np.float64]], path: Path, name: str | None) -> NDArray[np.float64]:
    if name is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    if name is None or name not in arrays:
        raise ValueError(f"{path} has no array {name!r} to read; {nearest(str(name), arrays)}")
    return arrays[name]


def _numbers(text: str, path: Path) -> NDArray[np.float64]:
    """Rows of text; a first line without a number is a heading."""
    rows: list[list[float | None]] = []
    headed = False
    for k, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        row = [_number(x) for x in _BETWEEN.split(line.strip().rstrip(",;"))]
        if not rows and not headed and all(x is None for x in row):
            headed = True
            continue
        if None in row:
            raise ValueError(f"line {k} of {path} is {line!r:.60}; expected numbers, a column a neuron")
        if rows and len(row) != len(rows[0]):
            raise ValueError(f"line {k} of {path} has {len(row)} numbers; expected {len(rows[0])}, as the first has")
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no numbers; expected {_WHAT}, a row a time")
    out = np.array(rows, np.float64)
    return out[:, 0] if out.shape[1] == 1 else out


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


__all__ = ["read_values"]
