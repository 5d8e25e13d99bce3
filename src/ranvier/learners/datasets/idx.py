"""The idx format of MNIST (LeCun, Cortes & Burges): two zero bytes, type, number of axes, big-endian sizes, data."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ranvier.files.reading import read_unpacked

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 32  # of a NumPy array


def read_idx(path: str | Path) -> Tensor:
    """The array in an idx file, gzipped or not, with its shape and type: uint8, int8, int16, int32, float32 or
    float64.

    Raises FileNotFoundError, or ValueError for a file of another format, truncated, or with bytes to spare.

    >>> from pathlib import Path
    >>> _ = Path("numbers.idx").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))  # uint8, one axis of 3
    >>> rv.learners.read_idx("numbers.idx").tolist()
    [7, 8, 9]
    """
    path = Path(path)
    data = read_unpacked(path, "an idx file such as train-images-idx3-ubyte.gz")
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES or not 0 < data[3] <= _MOST_AXES:
        begins = data[:4].hex(" ")
        raise ValueError(f"{path} begins with {begins}; expected 00 00, a type code and up to {_MOST_AXES} axes")
    kind, axes = np.dtype(_TYPES[data[2]]), data[3]
    start = 4 + 4 * axes
    if len(data) < start:
        raise ValueError(f"{path} ends within its header; expected {axes} sizes")
    shape = struct.unpack(f">{axes}I", data[4:start])
    expected = start + kind.itemsize * math.prod(shape)
    if len(data) != expected:
        raise ValueError(f"{path} has {len(data)} bytes; expected {expected} for an array of {shape}")
    return torch.from_numpy(np.frombuffer(data, kind, offset=start).reshape(shape).astype(kind.newbyteorder("=")))


def read_mnist(folder: str | Path, *, train: bool = True) -> tuple[Tensor, Tensor]:
    """Images (n, 784) within [0, 1], float32, and labels (n,), int64, from a folder with the four idx files.

    Raises FileNotFoundError where one is missing, ValueError for what is no such file, or no set of images.

    >>> head = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28])
    >>> from pathlib import Path
    >>> _ = Path("train-images-idx3-ubyte").write_bytes(head + bytes([255]) * 784)  # one white image
    >>> _ = Path("train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))
    >>> images, labels = rv.learners.read_mnist(".")
    >>> images.mean().item(), labels.tolist()
    (1.0, [7])
    """
    folder, part = Path(folder), "train" if train else "t10k"
    arrays = []
    for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
        plain = folder / name
        arrays.append(read_idx(plain if plain.is_file() else folder / f"{name}.gz"))
    images, labels = arrays
    bytes_ = images.dtype == labels.dtype == torch.uint8
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not bytes_:
        raise ValueError(
            f"images have shape {tuple(images.shape)} and labels {tuple(labels.shape)} in {folder}; expected (n, rows, "
            "columns) and (n,), all of bytes"
        )
    return images.flatten(1).float() / 255, labels.long()
