"""Spoilt files through one reader, in a process that may die."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.attack.forks import forked
from tests.attack.payloads import payloads
from tests.attack.spoil import spoilt, structure
from tests.attack.targets import copied, targets
from tests.attack.victim import readers
from tests.laws.readers import foreign

HANG, WAIT = 20, 600  # s of computing, and on the clock: an input may need a process, and the machine be busy
MEMORY = 6 * 2**30  # bytes of data


@cache
def known_readers() -> dict[str, Callable]:
    """All readers, once for every process that is forked from here."""
    return readers()


def fuzz(name: str, inputs: int, seed: int, folder: Path) -> dict[str, Any]:
    """So many spoilt files through one reader, in a fork of this process; one that dies costs its count."""
    known_readers()
    began = time.perf_counter()
    status, answer = forked(lambda: attempt(name, seed, inputs, folder))
    if status != 0:
        how = "hung" if status in (-signal.SIGALRM, -signal.SIGPROF) else "crashed"
        answer = {"counts": {how: 1}, "errors": {f"status {status}: {answer[-300:]}": -1}, "slowest": 0.0, "MB": 0}
    return {**answer, "seed": seed, "seconds": time.perf_counter() - began}


def attempt(name: str, seed: int, inputs: int, folder: Path) -> dict[str, Any]:
    """What became of the inputs."""
    target = targets()[name]
    read, rng = known_readers()[target.reader], random.Random(f"{name} {seed}")
    canary = folder / "canary"
    texts = payloads(canary)
    original, work = folder / f"original{target.suffix}", folder / f"work{target.suffix}"
    target.write(original)
    data, victim = target.file(original).read_bytes(), copied(target, original, work)
    parts = structure(data)
    counts: Counter[str] = Counter()
    errors: dict[str, int] = {}
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    read(work)  # as it is, or nothing that follows means anything
    slowest, start = 0.0, time.perf_counter()
    for k in range(inputs):
        if target.changes:
            shutil.rmtree(work)
            copied(target, original, work)
        victim.write_bytes(spoilt(data, parts, texts, rng))
        began, problem = time.perf_counter(), ""
        signal.setitimer(signal.ITIMER_PROF, HANG)
        signal.alarm(WAIT)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(work)
            counts["read"] += 1
        except (ValueError, OSError) as error:
            counts["refused"] += 1
            if work.name not in str(error) or foreign(str(error)):
                counts["unclear"] += 1
                problem = f"unclear, {type(error).__name__}: {error}"
        except BaseException as error:
            counts["other"] += 1
            problem = f"{type(error).__name__}: {error}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        slowest = max(slowest, time.perf_counter() - began)
        if problem and len(errors) < 8:
            errors.setdefault(problem[:240], k)
    counts["inputs"] = inputs
    counts["ran"] = int(canary.exists())
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {"counts": counts, "errors": errors, "slowest": round(slowest, 2), "MB": used,
            "inner": time.perf_counter() - start}  # fmt: skip
