"""The standing attack: fuzzed files, killed runs, a day of biological time, networks made again ten thousand times.

python -m tests.attack [--inputs N] [--kills N] [--rebuilds N] [--only NAME]: prints a table, kept as
benchmarks/results/attack.txt. It goes in parts, each kept under build/attack as it ends: a stopped attack goes on,
and a part is done again with `--again`, or where another size is requested. Exit status 1 if anything ran,
crashed, hung, differed, or was refused in words that help nobody.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.attack import kills
from tests.attack.fuzz import fuzz
from tests.attack.targets import targets

ROOT = Path(__file__).parents[2]
FAULTS = ("unclear", "other", "crashed", "hung", "ran")
AT_ONCE = 4000  # inputs of one process, for a target of share 1
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a file system that waits for no disk

Part = tuple[str, dict[str, Any], Callable[[Path], dict[str, Any]]]


def child(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A module of this folder in a separate process."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def killed(what: str, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """So many SIGKILLs at random moments."""
    return kills.attack(what, count, folder, seed)


def apart(*arguments: str) -> dict[str, Any]:
    """A part that prints its own row."""
    done = child(*arguments)
    if done.returncode:
        return {"row": f"{' '.join(arguments)} failed: {done.stderr[-300:]}", "good": False}
    return json.loads(done.stdout.splitlines()[-1])


def parts(inputs: int, kill_count: int, rebuild_count: int) -> list[Part]:
    """(name, size, work) of everything, in order."""
    out: list[Part] = []
    known = targets().values()
    for target in known:
        count = round(inputs * target.share / sum(t.share for t in known))
        step = max(1, round(AT_ONCE * target.share))
        for k in range(0, count, step):
            size = {"inputs": min(step, count - k), "seed": k // step}
            work = partial(fuzz, target.name, size["inputs"], size["seed"])
            out.append((f"fuzz {target.name}", size, work))
    for what in kills.WORK:
        count = -(-kill_count // len(kills.WORK))
        for k in range(0, count, 10):
            size = {"kills": min(10, count - k), "seed": k // 10}
            out.append((f"kill {what}", size, lambda p, w=what, s=size: killed(w, s["kills"], s["seed"], p)))
    out.append(("day", {}, lambda _: apart("tests.attack.long", "day")))
    rebuilds = {"count": rebuild_count}
    out.append(("rebuilds", rebuilds, lambda _: apart("tests.attack.long", "rebuilds", str(rebuild_count))))
    return out


def table(results: list[tuple[str, dict[str, Any]]]) -> bool:
    """Print what came of all parts; True if nothing went wrong."""
    good, total = True, 0
    heads = ("inputs", "read", "refused", *FAULTS)
    print("{:38} {:>8} {:>8} {:>8} {:>8} {:>6} {:>8} {:>5} {:>4}".format("fuzzed", *heads) + "  slowest s  MB")
    for name in dict.fromkeys(n for n, _ in results if n.startswith("fuzz ")):
        mine = [result for n, result in results if n == name]
        sums = sum((Counter(result["counts"]) for result in mine), Counter[str]())
        total += sums["inputs"]
        good &= not any(sums[key] for key in FAULTS)
        row = "{:38} {:8} {:8} {:8} {:8} {:6} {:8} {:5} {:4}".format(name[5:], *(sums[key] for key in heads))
        print(f"{row}  {max(r['slowest'] for r in mine):9.2f}  {max(r['MB'] for r in mine)}")
        errors = {error: (r["seed"], k) for r in mine for error, k in r["errors"].items()}
        for error, (seed, k) in list(errors.items())[:8]:
            print(f"    seed {seed}, input {k}: {error!r}")
    print(f"{'together':38} {total:8}\n")
    for what in kills.WORK:
        mine = [result for name, result in results if name == f"kill {what}"]
        if mine:
            count, differing, failed = (sum(r[key] for r in mine) for key in ("kills", "differing", "failed"))
            print(f"{what}: {count} SIGKILLs, {differing} results differ, {failed} attempts failed; "
                  f"{mine[0]['seconds']} s whole", *(r["error"] for r in mine if r["error"]))  # fmt: skip
            good &= not (differing or failed)
    for _, result in results:
        if "row" in result:
            print(result["row"])
            good &= result["good"]
    return good


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{names[0].partition(':')[2].strip() if names else 'unknown'} ({os.cpu_count()} cores)"


def main() -> int:
    parse = argparse.ArgumentParser(description="Attack the package: fuzzing, kills, a long day, many networks.")
    parse.add_argument("--inputs", type=int, default=1_000_000, help="spoilt files, over all readers")
    parse.add_argument("--kills", type=int, default=200)
    parse.add_argument("--rebuilds", type=int, default=10_000)
    parse.add_argument("--only", default="", help="parts whose names begin so; the table is of these")
    parse.add_argument("--keep", type=Path, default=ROOT / "build" / "attack", help="where finished parts are kept")
    parse.add_argument("--stored", action="store_true", help="run nothing: the table of all parts finished")
    parse.add_argument("--again", action="store_true", help="do finished parts again")
    options = parse.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    results, commits, seconds = [], Counter[str](), 0.0
    for name, size, work in [] if options.stored else parts(options.inputs, options.kills, options.rebuilds):
        if not name.startswith(options.only):
            continue
        label = "-".join([name, *(f"{key}{value}" for key, value in size.items())])
        file = options.keep / f"{''.join(c if c.isalnum() or c == '-' else '_' for c in label)}.json"
        if options.again or not file.exists():
            began = time.perf_counter()
            with tempfile.TemporaryDirectory(dir=_MEMORY if name.startswith("fuzz") else None) as folder:
                result = work(Path(folder))
            about = {"name": name, "commit": _commit(), "took": time.perf_counter() - began}
            file.write_text(json.dumps({**result, **about}))
            print(f"{label}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        results.append(json.loads(file.read_text()))
    if options.stored:
        stored = [json.loads(file.read_text()) for file in sorted(options.keep.glob("*.json"))]
        results = [result for result in stored if result["name"].startswith(options.only)]
    for result in results:
        commits[result["commit"]] += 1
        seconds += result["took"]
    print(f"python -m tests.attack {' '.join(sys.argv[1:])}".rstrip())
    print(f"{_processor()}, {time.strftime('%Y-%m-%d')}, {seconds / 60:.0f} min in all; parts by commit: "
          + ", ".join(f"{count} at {commit}" for commit, count in commits.items()) + "\n")  # fmt: skip
    return 0 if table([(result["name"], result) for result in results]) else 1


if __name__ == "__main__":
    sys.exit(main())
