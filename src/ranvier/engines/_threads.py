"""One loop on several threads, which wait for each other within it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_on(threads: int, work: Callable[[int], T]) -> T:
    """`work(thread)` on all threads at once; the answer of the first, the caller's own."""
    if threads == 1:
        return work(0)
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work, t) for t in range(1, threads)]
        mine = work(0)
        for other in others:
            other.result()
    return mine


__all__ = ["run_on"]
