"""Compiled loops shared out over torch's number of threads.

Where torch's threads are those of GNU's OpenMP, the loops run on the very team that its matrix products run on: its
threads wait awake between two stretches of work, each on its own core. Threads of a second pool would often be
woken on a core that is busy, or contend with that team for one.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba import types

from ranvier.codegen import shares as share_loops
from ranvier.codegen.compilation import FASTMATH, address

_LEAST_WORK = 1 << 16  # operations below which a second thread costs more than it brings
_SHARES: dict[torch.dtype, tuple[Any, Callable[..., Any]]] = {
    torch.float32: (types.float32, share_loops.take32),
    torch.float64: (types.float64, share_loops.take64),
}


def shares(count: int, work: int) -> list[tuple[int, int]]:
    """0 .. count − 1 as (first, end) for each thread that is worth its start; who does what changes no result."""
    threads = min(torch.get_num_threads(), count) if work >= _LEAST_WORK else 1
    ends = [count * k // threads for k in range(threads + 1)]
    return list(pairwise(ends))


def run_shares(loop: Callable[..., Any], dtype: torch.dtype, rows: Sequence[Sequence[int]]) -> None:
    """loop(row, one) for every row of whole numbers, given by its address, at the same time; `one` tells the number
    type. Whatever the rows point to must live until then."""
    at, work = _compiled(loop, dtype)
    table = np.array(rows, np.int64)
    head = np.array([at, table.ctypes.data, table.strides[0], len(table), 0], np.int64)
    team = _team() if len(table) > 1 else None
    if team is not None:
        # always as many threads: a team that changes its size starts and ends some
        team(work, head.ctypes.data, torch.get_num_threads(), 0)
        return
    function = _function(work)
    others = [_pool(len(table) - 1, os.getpid()).submit(function, head.ctypes.data) for _ in table[1:]]
    try:
        function(head.ctypes.data)
    finally:
        wait(others)  # they write to memory that an interrupt would let go


@cache
def _compiled(loop: Callable[..., Any], dtype: torch.dtype) -> tuple[int, int]:
    number, take = _SHARES[dtype]
    return address(loop, types.void(types.int64, number), FASTMATH), address(take, types.void(types.int64))


@cache
def _function(at: int) -> Any:
    return ctypes.CFUNCTYPE(None, ctypes.c_int64)(at)  # ctypes lets other threads run meanwhile


@cache
def _team() -> Any:
    """`GOMP_parallel` of the library that torch runs on; None where there is none."""
    path = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    if not path.exists():
        return None
    try:
        team = ctypes.CDLL(str(path)).GOMP_parallel
    except (OSError, AttributeError):
        return None
    team.restype, team.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    return team


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="ranvier")
