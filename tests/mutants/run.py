"""Break the numerical source in small ways and see whether the nearest tests notice: `make mutants`.

A sample of each folder's changes (`operators`), the same every time, and the breaks of `planted.toml`, each in a copy
of the checkout. A break counts as caught only where the test that failed passes on the unbroken copy. Finished trials
are kept under build/mutants and hold as long as the source file says the same; survivors are tried again when their
tests change. Prints the table that is kept as benchmarks/results/mutants.md.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import multiprocessing
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.mutants import table
from tests.mutants.nearest import Nearest
from tests.mutants.operators import Mutant, mutants
from tests.mutants.trial import Copy, Outcome, preload

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
FOLDERS = (
    "analysis", "codegen", "dynamics", "energies", "engines", "equations", "learners", "networks", "neurons", "nn",
    "operators", "reservoirs", "rules", "symmetries", "synapses", "theory", "verify", "worlds",
)  # fmt: skip
#: where strings hold equations
EQUATIONS = ("neurons/", "synapses/", "rules/", "nn/")
#: of these files machine code may change although the text that it is kept by does not
UNSEEN = ("codegen/", "nn/spiking/_kernels.py", "nn/spiking/step.py", "equations/")
A_FILE = 3  # mutants of one file in a sample, at most
FILES = 8  # of tests, nearest first


def changes(file: str) -> list[Mutant]:
    """All mutants of a file, relative to the package."""
    text = (ROOT / "src" / "ranvier" / file).read_text("utf-8")
    return mutants(file, text, equations=file.startswith(EQUATIONS))


def sample(folder: str, size: int) -> list[Mutant]:
    """Mutants of a folder in an order that looks random and stays: a longer sample begins with the shorter one."""
    package = ROOT / "src" / "ranvier"
    files = [path.relative_to(package).as_posix() for path in sorted((package / folder).rglob("*.py"))]
    by_operator: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in sorted((m for file in files for m in changes(file)), key=lambda m: m.key):
        by_operator[mutant.operator.removeprefix("equation: ")].append(mutant)
    chosen: list[Mutant] = []
    places: dict[str, int] = defaultdict(int)
    limit = max(A_FILE, -(-2 * size // len(files)))
    while len(chosen) < size and any(by_operator.values()):
        for queue in by_operator.values():
            while queue:
                mutant = queue.pop(0)
                if places[mutant.file] < limit and mutant.key not in equivalent():
                    places[mutant.file] += 1
                    chosen.append(mutant)
                    break
    return chosen[:size]


@cache
def equivalent() -> dict[str, dict[str, str]]:
    """Mutants that change no result, by key: their file, and the reason."""
    return {entry["key"]: entry for entry in _toml("equivalent.toml").get("mutant", [])}


def planted() -> list[Mutant]:
    """Breaks written by hand: those that an audit of the tests found unnoticed."""
    out = []
    package = ROOT / "src" / "ranvier"
    texts = {path.relative_to(package).as_posix(): path.read_text("utf-8") for path in sorted(package.rglob("*.py"))}
    for entry in _toml("planted.toml")["mutant"]:
        places = [file for file, text in texts.items() for _ in range(text.count(entry["before"]))]
        if len(places) != 1:
            raise ValueError(
                f"the source holds {entry['before']!r} {len(places)} times ({', '.join(places)}); expected it once: "
                "bring planted.toml up to date"
            )
        at = (text := texts[places[0]]).index(entry["before"])
        line, start = text[:at].count("\n") + 1, len(text[:at].encode())
        end = start + len(entry["before"].encode())
        words = places[0], line, entry["what"], "planted", entry["before"], entry["after"]
        out.append(Mutant(*words, start, end, tests=tuple(entry.get("tests", ()))))
    return out


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / name).read_text("utf-8"))


class Judge:
    """Tries mutants in one copy. Tests that passed on the unbroken copy are remembered."""

    def __init__(self, number: int, keep: Path, seconds: float) -> None:
        self.copy, self.seconds = Copy(ROOT, keep / f"copy{number}", keep / "kernels"), seconds
        self.nearest = Nearest(ROOT)
        self.sound: dict[str, bool] = {}

    def passes(self, test: str) -> bool:
        """Whether a test (or a file's collection, or the import) passes on the unbroken copy."""
        test = test.removesuffix(" (collection)")
        if test == "(import)":
            test = "tests/neurons/test_models.py"
        if test not in self.sound:
            outcome = self.copy.run([test], 2 * self.seconds, clean=True)
            self.sound[test] = outcome.failed is None and outcome.running is None and outcome.passed > 0
        return self.sound[test]

    def judge(self, mutant: Mutant) -> dict[str, Any]:
        tests = list(mutant.tests) or self.nearest.of(mutant.file)[:FILES]
        text = (self.copy.folder / "src" / "ranvier" / mutant.file).read_text("utf-8")
        verdict, by, seconds = "undecided", "", 0.0
        outcome = Outcome(0, None, None, False, 0.0, "")
        for _ in range(3):  # each time without a file that fails on the unbroken copy as well
            with self.copy.broken(mutant.file, mutant.apply(text)):
                unseen = mutant.file.startswith(UNSEEN)
                outcome = self.copy.run(tests, self.seconds, clean=False, empty=unseen)
            seconds += outcome.seconds
            by = outcome.failed or outcome.running or ""
            if by and self.passes(by):
                verdict = "caught"
            elif by and outcome.running is None:
                tests = [t for t in tests if t != by.split("::")[0].removesuffix(" (collection)")]
                continue
            elif not by and outcome.passed and not outcome.cut:
                verdict = "survived"
            break
        return {
            "key": mutant.key, "file": mutant.file, "line": mutant.line, "function": mutant.function,
            "operator": mutant.operator, "before": mutant.before, "after": mutant.after, "verdict": verdict,
            "by": by, "message": outcome.message[-200:], "passed": outcome.passed, "tests": tests,
            "seconds": round(seconds, 1), "source": digest([f"src/ranvier/{mutant.file}"]), "judged_by": digest(tests),
        }  # fmt: skip


def digest(names: list[str]) -> str:
    """Of files of the checkout, or of the files of tests in it."""
    files = [ROOT / name.split("::")[0] for name in names]
    content = b"".join(file.read_bytes() if file.exists() else b"" for file in files)
    return hashlib.sha256(content).hexdigest()[:16]


def stored(file: Path) -> dict[str, dict[str, Any]]:
    """The last result of each mutant that still holds."""
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    last = {line["key"]: line for line in lines}
    return {
        key: row for key, row in last.items()
        if row["source"] == digest([f"src/ranvier/{row['file']}"])
        and (row["verdict"] == "caught" or row["judged_by"] == digest(row["tests"]))
    }  # fmt: skip


def work(number: int, of: int, waiting: list[Mutant], options: argparse.Namespace) -> None:
    """Judge every `of`-th of the mutants, from the `number`-th on, until the time is up."""
    preload()
    judge = Judge(number, options.keep, options.seconds)
    for mutant in waiting[number::of]:
        if time.time() > options.until:
            break
        row = judge.judge(mutant)
        with (options.keep / "results.jsonl").open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(row) + "\n")
        print(f"{row['verdict']:9} {row['seconds']:5.0f} s  {mutant.file}:{mutant.line} {mutant.operator}: "
              f"{mutant.before[:60]!r}  by {row['by'][-70:]}", file=sys.stderr, flush=True)  # fmt: skip


def chosen(options: argparse.Namespace) -> Iterator[Mutant]:
    """The planted breaks, then the folders' samples in turn."""
    if "planted" in options.folders:
        yield from planted()
    samples = [sample(folder, options.sample) for folder in options.folders if folder != "planted"]
    for k in range(options.sample):
        yield from (mutants[k] for mutants in samples if k < len(mutants))


def main() -> int:
    parse = argparse.ArgumentParser(description="Share of small breaks that the nearest tests notice.")
    parse.add_argument("--sample", type=int, default=60, help="mutants a folder")
    parse.add_argument("--folders", nargs="+", default=["planted", *FOLDERS])
    parse.add_argument("--seconds", type=float, default=40.0, help="of the processor: no test of a mutant begins later")
    parse.add_argument("--minutes", type=float, default=600.0, help="no mutant is begun later")
    parse.add_argument("--jobs", type=int, default=1)
    parse.add_argument("--keep", type=Path, default=ROOT / "build" / "mutants", help="where trials are kept")
    parse.add_argument("--stored", action="store_true", help="run nothing: the table of what is kept")
    options = parse.parse_args()
    options.until = time.time() + 60 * options.minutes
    options.keep = options.keep.absolute()
    options.keep.mkdir(parents=True, exist_ok=True)
    everything = list(chosen(options))
    finished = stored(options.keep / "results.jsonl")
    waiting = [] if options.stored else [m for m in everything if m.key not in finished]
    workers = [
        multiprocessing.get_context("spawn").Process(target=work, args=(k, options.jobs, waiting, options))
        for k in range(options.jobs if waiting else 0)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    finished = stored(options.keep / "results.jsonl")
    print(table.text([finished[m.key] for m in everything if m.key in finished], len(everything), equivalent()))
    return max((worker.exitcode or 0 for worker in workers), default=0)
