"""MATLAB's files of version 5 to 7: arrays of numbers, in plain Python: SciPy's reader may crash on damaged ones."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.files.reading import library_fault, read_bytes, require_ratio
from ranvier.recordings.readers._tools import Lazy, once

#: miINT8 ... miUINT64: how numbers are stored
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
#: mxCHAR, mxDOUBLE ... mxUINT64: what they are
_CLASSES = {4: "u2", 6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_MATRIX, _COMPRESSED, _CHAR, _LOGICAL, _COMPLEX = 14, 15, 4, 0x0200, 0x0800
#: what damaged bytes raise
_BROKEN = (struct.error, zlib.error, ValueError, KeyError, IndexError, TypeError, OverflowError, StopIteration)
_HEAD = 4096  # unpacked bytes in which a variable's name and shape lie


def read_matlab(path: str | Path) -> dict[str, Lazy]:
    """Name -> array of numbers, which is unpacked when it is first cut; cells, structures and the like are left out.

    Raises ValueError for a file that is broken, or not of this format.
    """
    path = Path(path)
    data = read_bytes(path, "a .mat file")
    if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
        raise ValueError(f"{path} is a broken .mat file; expected one of MATLAB, version 5 to 7.3")
    order = "<" if data[126:128] == b"IM" else ">"
    table: dict[str, Lazy] = {}
    try:
        for kind, body in _elements(data[128:], order, padded=False):
            head = _unpacked(body, _HEAD, path)[8:] if kind == _COMPRESSED else body
            if kind not in (_COMPRESSED, _MATRIX):
                continue
            described = _described(head, order)
            if described is not None:
                name, shape, dtype = described
                table[name] = once(shape, dtype, partial(_values, body, kind == _COMPRESSED, order, path, name))
    except _BROKEN as error:
        fault = library_fault(error, (zlib.error,))
        raise ValueError(f"{path} is a broken .mat file ({fault}); expected one of MATLAB, version 5 to 7.3") from error
    return table


def _elements(data: bytes, order: str, *, padded: bool = True) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of each element, one after the other; a small one lies within its tag."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:
            yield kind & 0xFFFF, data[at + 4 : at + 4 + min(kind >> 16, 4)]
            at += 8
            continue
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + (size + (-size % 8) * padded)


def _unpacked(body: bytes, most: int, path: Path) -> bytes:
    out = zlib.decompressobj().decompress(body, most)
    require_ratio(len(out), len(body), path)
    return out


def _described(body: bytes, order: str) -> tuple[str, tuple[int, ...], np.dtype] | None:
    """Name, shape and type of an array of numbers; None for anything else."""
    parts = _elements(body, order)
    flags = struct.unpack(f"{order}II", next(parts)[1])[0]
    if flags & 0xFF not in _CLASSES or flags & _COMPLEX:
        return None
    kind, raw = next(parts)
    shape = tuple(int(n) for n in np.frombuffer(raw, order + _STORED[kind]))
    name = next(parts)[1].decode("ascii")
    if not name or not 2 <= len(shape) <= 8 or min(shape) < 0:
        return None
    if flags & 0xFF == _CHAR:
        return (name, shape[:1], np.dtype(f"U{max(1, shape[1])}")) if len(shape) == 2 else None
    return name, shape, np.dtype("?" if flags & _LOGICAL else _CLASSES[flags & 0xFF])


def _values(body: bytes, packed: bool, order: str, path: Path, name: str) -> NDArray[Any]:
    try:
        described = _described(_unpacked(body, _HEAD, path)[8:] if packed else body, order)
        shape, dtype = described[1:]  # type: ignore[index]
        if packed:
            each = 2 * (dtype.itemsize // 4) if dtype.kind == "U" else 8
            body = _unpacked(body, each * math.prod(shape) + 2 * _HEAD, path)[8:]
        kind, raw = list(_elements(body, order))[3]
        stored = np.dtype(order + {16: "u1", 17: "u2"}.get(kind, _STORED.get(kind, "u1")))  # miUTF8, miUTF16
        flat = np.frombuffer(raw[: len(raw) // stored.itemsize * stored.itemsize], stored)
        # rows without a character, of which a file could claim any number, or rows of any length
        if len(flat) < max(shape[0], dtype.itemsize // 4 * (dtype.kind == "U" and len(flat) > 0)):
            raise ValueError(f"its shape is {shape}, its values {len(flat)}; expected as many")
        if dtype.kind == "U":
            rows = flat.reshape((shape[0], -1), order="F")
            return np.array(["".join(map(chr, row)) for row in rows], dtype)
        return flat.reshape(shape, order="F").astype(dtype)
    except _BROKEN as error:
        fault = library_fault(error, (zlib.error, ValueError))
        raise ValueError(f"{name} of {path} is broken ({fault}); expected an array of numbers") from error


__all__ = ["read_matlab"]
