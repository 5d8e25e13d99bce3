"""The processor's time that a test takes, with that of its child processes: on a loaded machine it is the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver

import hypothesis
import pytest

MOST = 60.0  # s a test, kernels compiled anew on a slow processor: one that takes longer is made smaller


def used() -> float:
    """Seconds of processor time of this process and of those of its children that have ended."""
    return sum(os.times()[:4]) + _of_fork_server()


@contextmanager
def limit(name: str, most: float = MOST) -> Iterator[None]:
    """Fails the test whose code takes longer; it has no say where the code fails, or searches for examples."""
    before = used()
    yield
    seconds = used() - before
    if seconds > most and hypothesis.settings().max_examples <= 100:
        pytest.fail(
            f"{name} took {seconds:.0f} s of processor time; expected at most {most:g}: make it smaller or split it",
            pytrace=False,
        )


def _of_fork_server() -> float:
    """Of the server of `tests.processes` and of its children, which are not this process's own."""
    pid = getattr(forkserver._forkserver, "_forkserver_pid", None)
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
