"""Loops that release Python's lock, shared out over torch's number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache

import torch

_LEAST_WORK = 1 << 16  # operations below which a second thread costs more than it brings


def in_threads(some: Callable[[int, int], None], count: int, work: int) -> None:
    """some(lo, hi) for 0 .. count − 1 in as many parts as threads; which thread does what changes no result."""
    threads = min(torch.get_num_threads(), count)
    if threads <= 1 or work < _LEAST_WORK:
        some(0, count)
        return
    ends = [count * k // threads for k in range(threads + 1)]
    pool = _pool(threads - 1, os.getpid())
    others = [pool.submit(some, ends[k], ends[k + 1]) for k in range(1, threads)]
    try:
        some(0, ends[1])
    finally:
        wait(others)
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="ganglion")
