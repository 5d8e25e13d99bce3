"""Spoilt files through one reader, in a process that may die: prints what became of them as one line of JSON.

python -m tests.attack.fuzz TARGET SEED INPUTS FOLDER
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from tests.attack.payloads import payloads
from tests.attack.spoil import spoilt, structure
from tests.attack.targets import copied, targets
from tests.attack.victim import readers
from tests.laws.readers import foreign

HANG = 20  # s on the clock
MEMORY = 6 * 2**30  # bytes of data


def main(name: str, seed: int, inputs: int, folder: Path) -> None:
    target = targets()[name]
    read, rng = readers()[target.reader], random.Random(f"{name} {seed}")
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
    slowest = 0.0
    for k in range(inputs):
        if target.changes:
            shutil.rmtree(work)
            copied(target, original, work)
        victim.write_bytes(spoilt(data, parts, texts, rng))
        began, problem = time.perf_counter(), ""
        signal.alarm(HANG)
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
        signal.alarm(0)
        slowest = max(slowest, time.perf_counter() - began)
        if problem and len(errors) < 8:
            errors.setdefault(problem[:240], k)
    counts["inputs"] = inputs
    counts["ran"] = int(canary.exists())
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps({"counts": counts, "errors": errors, "slowest": round(slowest, 2), "MB": used}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
