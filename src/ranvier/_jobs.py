"""Independent jobs: one after the other, on the cores of this machine by joblib, or on a cluster's by dask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

#: seconds in which a scheduler must answer
PATIENCE = 20.0

T = TypeVar("T")


def each(work: Callable[..., T], items: Iterable[Any], jobs: int | str = 1, *, threads: bool = False) -> Iterator[T]:
    """`work(*item)` of every item, as each is done.

    Parameters
    ----------
    jobs
        How many at the same time on this machine, or the address of a dask scheduler, such as "tcp://host:8786", whose
        workers see the same files: one of them does one job at a time.
    threads
        Whether jobs of this machine share its memory, as where compiled code does the work; else they are processes.

    Raises
    ------
    ValueError
        for a number of jobs below 1, or text that is no address.
    ImportError
        for an address without dask.
    ConnectionError
        where no scheduler answers there.
    """
    items = list(items)
    if isinstance(jobs, str) and jobs.strip().isdigit():
        jobs = int(jobs)
    if isinstance(jobs, str):
        yield from _on_cluster(work, items, jobs)
        return
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; expected 1 or more, or the address of a dask scheduler")
    if min(jobs, len(items)) <= 1:
        for item in items:
            yield work(*item)
        return
    from joblib import Parallel, delayed, parallel_config

    options: dict[str, Any] = {"backend": "threading"} if threads else {"backend": "loky", "inner_max_num_threads": 1}
    with parallel_config(**options):
        pool = Parallel(n_jobs=min(jobs, len(items)), return_as="generator_unordered")
        yield from pool(delayed(work)(*item) for item in items)


def _on_cluster(work: Callable[..., T], items: list[Any], address: str) -> Iterator[T]:
    if "://" not in address:
        raise ValueError(f"jobs is {address!r:.80}; expected a number, or an address of dask such as tcp://host:8786")
    try:
        from dask.distributed import Client, as_completed
    except ImportError:
        raise ImportError(
            f"jobs is {address!r:.80}, which dask reaches; expected that package: pip install 'ranvier[scale]'"
        ) from None
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except OSError as error:
        raise ConnectionError(
            f"no dask scheduler answers at {address} ({str(error)[:120]}); expected one: run dask scheduler, and "
            "dask worker ADDRESS --nthreads 1 on each machine"
        ) from None
    with client:
        futures = [client.submit(work, *item, pure=False) for item in items]
        for future in as_completed(futures, loop=client.loop):
            yield future.result()


__all__ = ["each"]
