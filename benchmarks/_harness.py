"""Workers that stay alive and are asked in turn, so that the machine's moods meet everybody alike."""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

from . import _peers
from .cases import Case


class Failed(RuntimeError):
    """A worker could not do what it was asked."""


class Worker:
    """One simulator with one case in its own process."""

    def __init__(
        self,
        side: str,
        case: Case,
        duration: float,
        threads: int,
        *,
        skip: float = 0.0,
        rewire: bool = False,
        dt: float = 0.0,
    ) -> None:
        self.side, self.threads = side, threads
        self.python = sys.executable if side == "ganglion" else str(_peers.PYTHON)
        request = {
            "side": side, "case": case.name, "duration": duration, "threads": threads,
            "skip": skip, "rewire": rewire, "dt": dt,
        }  # fmt: skip
        self.process = subprocess.Popen(
            [self.python, "-m", "benchmarks._worker", json.dumps(request)],
            cwd=_peers.ROOT,
            env=_peers.environment() if side != "ganglion" else dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            self.version = self._read()["version"]
        except Failed:
            self.close()
            raise

    def measure(self, seed: int) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"seed": seed}) + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.side}'s process ended with {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{self.side}: {answer['error']}")
        return answer


@dataclass
class Row:
    """What one simulator did in one case with so many threads: every round's answer."""

    side: str
    threads: int
    version: str = ""
    warmup: dict[str, Any] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""

    def median(self, key: str) -> float:
        return statistics.median(r[key] for r in self.rounds)

    def detail(self, key: str) -> float | None:
        values = [r["details"][key] for r in self.rounds if key in r["details"]]
        return statistics.median(values) if values else None

    @property
    def rate(self) -> float:
        return statistics.fmean(r["rate"] for r in self.rounds)


def alternate(case: Case, entries: list[tuple[str, int]], duration: float, rounds: int) -> list[Row]:
    """Warm every simulator up, then ask them in turn, each round beginning with another one."""
    rows = [Row(side, threads) for side, threads in entries]
    workers: dict[int, Worker] = {}
    try:
        for index, row in enumerate(rows):
            try:
                workers[index] = Worker(row.side, case, duration, row.threads)
                row.version = workers[index].version
            except Failed as failure:
                row.failure = str(failure)
        for turn in range(rounds + 1):
            for step in range(len(rows)):
                index = (turn + step) % len(rows)
                if index not in workers:
                    continue
                try:
                    answer = workers[index].measure(seed=turn + 1)
                except (Failed, OSError) as failure:
                    rows[index].failure = str(failure)
                    workers.pop(index).close()
                    continue
                if turn:
                    rows[index].rounds.append(answer)
                else:
                    rows[index].warmup = answer
    finally:
        for worker in workers.values():
            worker.close()
    return rows
