"""Simulators that stay alive and are asked in turn."""

import json
import os
import statistics
import sys
from dataclasses import dataclass, field
from typing import Any

from . import _peers
from ._processes import Failed, Process
from .cases import Case


class Worker(Process):
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
        self.python = sys.executable if side == "ranvier" else str(_peers.PYTHON)
        request = {
            "side": side, "case": case.name, "duration": duration, "threads": threads,
            "skip": skip, "rewire": rewire, "dt": dt,
        }  # fmt: skip
        environment = os.environ if side == "ranvier" else _peers.environment()
        super().__init__(side, [self.python, "-m", "benchmarks._worker", json.dumps(request)], environment)
        self.version = self.first["version"]

    def measure(self, seed: int) -> dict[str, Any]:
        return self.ask({"seed": seed})


@dataclass
class Row:
    """What one simulator did in one case with that many threads: every round's answer."""

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
