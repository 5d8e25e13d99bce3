"""Mutated files through one reader, in a process that may die: prints what became of them as one line of JSON.

python -m tests.attack.fuzz READER SEED SECONDS FOLDER
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from tests.attack.payloads import payloads
from tests.attack.victim import readers
from tests.laws.readers import mutations

HANG = 20  # s on the clock


def targets() -> dict[str, tuple[str, str | None]]:
    """name -> (how the original is made, the file of the folder that is attacked)."""
    from tests.networks.test_reader_laws import FILES

    return {f"{case.name}{k}": (case.name, case.part) for k, case in enumerate(FILES)}


def spoilt(data: bytes, texts: list[bytes], rng: random.Random) -> bytes:
    """One mutation: noise, or a payload in place of a stretch, of a word, or of a string."""
    if rng.random() < 0.5:
        return mutations(data, 4, rng.randrange(2**31))[rng.randrange(4)]
    text, at = rng.choice(texts), rng.randrange(len(data) + 1)
    marks = [k for k in range(len(data)) if data[k : k + 1] in b'",;\t \n'] if rng.random() < 0.7 else []
    if len(marks) > 1:
        k = rng.randrange(len(marks) - 1)
        return data[: marks[k] + 1] + text + data[marks[k + 1] :]
    return data[:at] + text + data[at + rng.randrange(0, 40) :]


def main(name: str, seed: int, seconds: float, folder: Path) -> None:
    from tests.networks.test_reader_laws import FILES

    case = next(c for k, c in enumerate(FILES) if f"{c.name}{k}" == name)
    read, rng = readers()[case.name], random.Random(seed)
    canary = folder / "canary"
    texts = [p.encode("utf-8", "surrogatepass") for p in payloads(canary)]
    original, work = folder / f"original{case.suffix}", folder / f"work{case.suffix}"
    case.write(original)
    data = case.file(original).read_bytes()
    counts: Counter[str] = Counter()
    errors: dict[str, str] = {}
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    end, slowest = time.monotonic() + seconds, 0.0
    if original.is_dir():
        shutil.copytree(original, work)
    victim = work if case.part is None else next(work.glob(case.part))
    while time.monotonic() < end:
        victim.write_bytes(spoilt(data, texts, rng))
        began = time.perf_counter()
        signal.alarm(HANG)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(work)
            counts["read"] += 1
        except (ValueError, OSError):
            counts["refused"] += 1
        except BaseException as error:
            counts["other errors"] += 1
            errors.setdefault(f"{type(error).__name__}: {error}"[:200], name)
        signal.alarm(0)
        slowest = max(slowest, time.perf_counter() - began)
        counts["inputs"] += 1
    counts["ran"] = int(canary.exists())
    print(json.dumps({"counts": counts, "errors": list(errors)[:5], "slowest": round(slowest, 2)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
