"""HDF5 files as dictionaries of arrays and texts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.files.reading import ALWAYS, LARGEST, RATIO, read_bytes, require_file

_PROGRAM = Path(__file__).with_name("apart.py")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SECONDS = 60.0  # on the clock; the program itself computes for a second or two


def read_hdf5(path: str | Path, what: str = "HDF5") -> dict[str, Any]:
    """Groups as dictionaries, numbers as arrays (() as NumPy scalars), texts as str or nested lists of str.

    The file is read in a process apart, since the C library may run for ever or crash on a hostile one. Raises
    FileNotFoundError without a file, ValueError for what is no HDF5, links out of the tree, complex numbers, values
    kept in other files, and arrays that unpack to far more than the file holds.
    """
    data = read_bytes(path, what)
    broken = f"{path} is no {what} file that can be read"
    if not any(data.startswith(_SIGNATURE, at) for at in (0, *(512 << k for k in range(20)))):
        raise ValueError(f"{broken}: it does not begin as HDF5; expected HDF5.")
    output = _apart(broken, data)
    size = int.from_bytes(output[:8], "little")
    head = json.loads(output[8 : 8 + size])
    if "refused" in head:
        raise ValueError(f"{broken}: {head['refused']}.")
    values = memoryview(output)[8 + size :]
    tree, end = _unpacked(head["tree"], values, 0)
    if end != len(values):
        raise ValueError(f"{broken}: {len(values) - end} bytes are left over; expected none.")
    return tree


def require_sound(path: str | Path, what: str = "HDF5") -> None:
    """Go through an HDF5 file in a process apart, before a library opens it here.

    All objects, their attributes and 64 MiB of values are read there. Raises FileNotFoundError without a file,
    ValueError for what is no HDF5, links to other files, values kept in other files, unusual filters, and arrays that
    unpack to far more than the file holds.
    """
    require_file(path, what)
    broken = f"{path} is no {what} file that can be read"
    output = _apart(broken, b"", str(Path(path).absolute()))
    head = json.loads(output[8:])
    if "refused" in head:
        raise ValueError(f"{broken}: {head['refused']}; expected a whole file with all its data in it.")


def _apart(broken: str, data: bytes, *arguments: str) -> bytes:
    """What the program answers; ValueError where it ends otherwise."""
    command = [sys.executable, "-P", str(_PROGRAM), *(str(x) for x in (LARGEST, ALWAYS, RATIO)), *arguments]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"{broken}: it takes more than {_SECONDS:g} s; expected a whole file: fetch or write it again."
        ) from None
    if done.returncode != 0:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ValueError(
            f"{broken}: HDF5's library ends with {how}{f' ({last})' if last else ''}; "
            "expected a whole file: fetch or write it again."
        )
    return done.stdout


def _unpacked(tree: dict[str, Any], values: memoryview, at: int) -> tuple[dict[str, Any], int]:
    out: dict[str, Any] = {}
    for name, item in tree.items():
        if set(item) == {"text"} and not isinstance(item["text"], dict):
            out[name] = item["text"]
        elif set(item) == {"dtype", "shape"} and isinstance(item["dtype"], str):
            kind, shape = np.dtype(item["dtype"]), tuple(item["shape"])
            size = kind.itemsize * int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(values[at : at + size], kind).reshape(shape).copy()
            out[name], at = array if shape else array[()], at + size
        else:
            out[name], at = _unpacked(item, values, at)
    return out, at


__all__ = ["read_hdf5", "require_sound"]
