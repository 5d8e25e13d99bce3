"""Ranvier side by side with its peers: prints the ratios and writes them to benchmarks/results/.

python -m benchmarks [--quick] [--cases brunel eif] [--peers brian2 nest] [--rounds 5]
"""

import argparse
import json
import math
import shlex
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _extras, _peers, _report
from ._harness import Row, alternate
from .cases import CASES, Case

RESULTS = Path(__file__).parent / "results"


def entries(case: Case, peers: list[str]) -> list[tuple[str, int]]:
    """Who takes part: everybody on one thread, then everybody on two."""
    sides = ["ranvier", *(peer for peer in case.peers if peer in peers)]
    return [(side, threads) for threads in (1, 2) for side in sides]


@dataclass
class Session:
    """One call of the benchmark; `save` may be called at any time and writes what is there."""

    quick: bool
    rounds: int
    missing: dict[str, str]
    machine: dict[str, Any] = field(default_factory=_report.machine)
    started: float = field(default_factory=time.time)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    alone: dict[str, tuple[float, str]] = field(default_factory=dict)

    def duration(self, case: Case) -> float:
        return case.quick if self.quick else case.duration

    def measure(self, case: Case, peers: list[str]) -> None:
        present = [peer for peer in peers if peer not in self.missing]
        rows = alternate(case, entries(case, present), self.duration(case), self.rounds)
        rows += [Row(peer, 1, failure=self.missing[peer]) for peer in case.peers if peer in self.missing]
        self.rows[case.name] = rows

    def own_figures(self) -> None:
        """Figures of Ranvier alone, with what they have to reach."""
        self.alone["ranvier --help, s"] = (_extras.help_seconds(), "< 0.5")
        brunel = _report.ours(self.rows.get("brunel", []), 1)
        if brunel:
            synapses = CASES["brunel"].size * 1250
            above = (brunel.warmup["peak_mb"] - brunel.warmup["details"]["bare_mb"]) * 1e6 / synapses
            self.alone["Brunel: peak memory above the bare import, bytes a synapse"] = (above, "≤ 12")
            self.alone["Brunel: network build, s"] = (brunel.median("build_s"), "< 1")
        for name in ("cuba4000", "brunel", "eif", "cobahh"):
            if name in self.rows:
                for cache, (wall, processor) in _extras.first_call(name).items():
                    label = f"{name}: first call beyond the second, {cache}"
                    self.alone[f"{label}, s"] = (wall, "< 5" if cache == "empty cache" else "")
                    self.alone[f"{label}, processor s"] = (processor, "")

    def own_lines(self) -> list[str]:
        lines = [f"| {label} | {value:.2f} | {expected} |" for label, (value, expected) in self.alone.items()]
        return ["| Ranvier alone | measured | goal |", "|---|---|---|", *lines] if lines else []

    def save(self) -> None:
        kind = "quick" if self.quick else "full"
        command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
        versions = sorted({row.version for rows in self.rows.values() for row in rows if row.version})
        text = [
            _report.heading(command, self.started, self.machine, versions, self.rounds, self.quick),
            "",
            *_report.HEADER,
            *(line for n, rows in self.rows.items() for line in _report.lines(CASES[n], rows, not self.quick)),
            "",
            *self.own_lines(),
        ]
        record = {
            "command": command,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 1),
            "machine": self.machine,
            "versions": versions,
            "missing": self.missing,
            "cases": {
                name: [{**vars(row), "duration": self.duration(CASES[name])} for row in rows]
                for name, rows in self.rows.items()
            },
            "alone": {label: {"measured": value, "goal": expected} for label, (value, expected) in self.alone.items()},
        }
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{kind}.md").write_text("\n".join(text).rstrip() + "\n", "utf-8")
        (RESULTS / f"{kind}.json").write_text(json.dumps(finite(record), indent=1) + "\n", "utf-8")


def finite(value: Any) -> Any:
    """The same with null for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> None:
    names = list(_peers.SIMULATORS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs, three rounds")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--peers", nargs="*", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=0, help="timed rounds after the warm-up (5; quick: 3)")
    options = parser.parse_args()

    session = Session(
        options.quick, options.rounds or (3 if options.quick else 5), _peers.prepare(tuple(options.peers))
    )
    for name, reason in session.missing.items():
        print(f"{_report.NAMES[name]} is missing: {reason}")
    print("\n".join(_report.HEADER), flush=True)
    for name in options.cases:
        session.measure(CASES[name], options.peers)
        session.save()
        print("\n".join(_report.lines(CASES[name], session.rows[name], not options.quick)), flush=True)
    session.own_figures()
    session.save()
    print("\n" + "\n".join(session.own_lines()))
    print(f"written to {RESULTS.relative_to(_peers.ROOT)}")


if __name__ == "__main__":
    main()
