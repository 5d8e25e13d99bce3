"""Memory for loops: arrays that begin with a cache line, and large tensors whose memory is used again.

Fresh memory costs a page fault every 4 kB, more than a LIF's arithmetic on it. A tensor of `empty` gives its
memory back as soon as the last reference to its storage goes, whoever holds it: a graph, a view, the user.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import deque

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

_LINE = 64  # bytes of a cache line, and of the longest vectors
_LEAST = 1 << 18  # bytes; smaller ones are left to torch
_MOST_IDLE = 1 << 30  # bytes kept for later
_KINDS = {torch.float32: np.float32, torch.float64: np.float64, torch.int32: np.int32}

_lock = threading.Lock()
_idle: list[np.ndarray] = []  # the longest idle first
_returned: deque[np.ndarray] = deque()  # filled by finalizers, which must not wait for a lock


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised CPU tensor, in memory used before if a block of this size is idle."""
    size = math.prod(shape) * dtype.itemsize
    if size < _LEAST:
        return torch.empty(shape, dtype=dtype, device="cpu")
    block = _take(size)
    array = block.view(_KINDS[dtype]).reshape(shape)
    weakref.finalize(array, _returned.append, block).atexit = False
    return torch.from_numpy(array)


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An array whose memory begins with a cache line: where NumPy's begins is chance, and a vector that lies across
    two lines is loaded twice."""
    kind = np.dtype(dtype)
    raw = np.zeros(math.prod(np.atleast_1d(shape).tolist()) * kind.itemsize + _LINE, np.uint8)
    return _aligned(raw).view(kind).reshape(shape)


def release_buffers() -> None:
    """Give idle memory back to the system; up to 1 GiB is kept for the next sequences otherwise.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.release_buffers()
    """
    with _lock:
        _returned.clear()
        _idle.clear()


def idle_bytes() -> int:
    """Memory kept for later."""
    with _lock:
        _collect()
        return sum(block.nbytes for block in _idle)


def _take(size: int) -> np.ndarray:
    with _lock:
        _collect()
        for k in range(len(_idle) - 1, -1, -1):
            if _idle[k].nbytes == size:
                return _idle.pop(k)
    return _aligned(np.empty(size + _LINE, np.uint8))


def _aligned(raw: np.ndarray) -> np.ndarray:
    """All but _LINE bytes of it, from the beginning of a cache line."""
    start = -raw.ctypes.data % _LINE
    return raw[start : start + len(raw) - _LINE]


def _collect() -> None:
    if not _returned:
        return
    while _returned:
        _idle.append(_returned.popleft())
    total = sum(block.nbytes for block in _idle)
    while total > _MOST_IDLE:
        total -= _idle.pop(0).nbytes
