"""Ganglion side by side with its peers: prints the ratios and writes them to benchmarks/results/.

python -m benchmarks [--quick] [--cases brunel eif] [--peers brian2 nest] [--rounds 5]
"""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from . import _extras, _peers, _report
from ._harness import Row, alternate
from .cases import CASES, Case

RESULTS = Path(__file__).parent / "results"
THREADS = {"ganglion": (1, 2), "brian2": (1, 2), "nest": (1, 2)}


def entries(case: Case, peers: list[str]) -> list[tuple[str, int]]:
    """Who takes part: everybody on one thread, then everybody on two."""
    sides = ["ganglion", *(peer for peer in case.peers if peer in peers)]
    return [(side, threads) for threads in (1, 2) for side in sides if threads in THREADS[side]]


def alone(tables: dict[str, list[Row]], cases: list[str]) -> dict[str, Any]:
    """Figures of Ganglion alone, with what they have to reach."""
    found: dict[str, Any] = {"ganglion --help, s": (_extras.help_seconds(), "< 0.5")}
    brunel = _report.ours(tables.get("brunel", []), 1)
    if brunel:
        synapses = CASES["brunel"].size * 1250
        above = (brunel.rounds[0]["peak_mb"] - brunel.rounds[0]["details"]["bare_mb"]) * 1e6
        found["Brunel: peak memory above the bare import, bytes a synapse"] = (above / synapses, "≤ 12")
        found["Brunel: network build, s"] = (brunel.median("build_s"), "< 1")
    for name in ("cuba4000", "brunel", "eif", "cobahh"):
        if name in cases:
            for cache, seconds in _extras.first_call(name).items():
                wanted = "< 5" if cache == "empty cache" else ""
                found[f"{name}: extra time of the first call, {cache}, s"] = (seconds, wanted)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs, three rounds")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument(
        "--peers", nargs="*", choices=list(_peers.REQUIREMENTS), default=list(_peers.REQUIREMENTS)
    )
    parser.add_argument("--rounds", type=int, default=0, help="timed rounds after the warm-up (5; quick: 3)")
    given = parser.parse_args()
    rounds = given.rounds or (3 if given.quick else 5)

    about = _report.machine()
    missing = _peers.prepare(tuple(given.peers))
    for name, reason in missing.items():
        print(f"{_report.NAMES[name]} is missing: {reason}")
    tables: dict[str, list[Row]] = {}
    started = time.time()
    text = [_report.HEADER, "|---|---|---|---|---|---|---|---|---|---|"]
    print("\n".join(text), flush=True)
    for name in given.cases:
        case = CASES[name]
        duration = case.quick if given.quick else case.duration
        present = [peer for peer in given.peers if peer not in missing]
        rows = alternate(case, entries(case, present), duration, rounds)
        rows += [Row(peer, 1, failure=missing[peer]) for peer in case.peers if peer in missing]
        tables[name] = rows
        new = _report.lines(case, rows, full=not given.quick)
        print("\n".join(new), flush=True)
        text += new

    own = alone(tables, given.cases)
    text += ["", "| Ganglion alone | measured | goal |", "|---|---|---|"]
    text += [f"| {label} | {value:.2f} | {wanted} |" for label, (value, wanted) in own.items()]
    print("\n".join(text[-len(own) - 3 :]))

    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    versions = sorted({row.version for rows in tables.values() for row in rows if row.version})
    kind = "quick" if given.quick else "full"
    head = [
        f"`{command}` on {time.strftime('%Y-%m-%d', time.gmtime(started))}: {about['processor']}, "
        f"{about['cores']} cores, {about['simd']}, {about['system']}, Python {about['python']}; "
        f"load at the start {about['load_at_start']}; {', '.join(versions)}.",
        "",
        f"Run: median wall seconds of the run phase over {rounds} rounds, in turn, after a warm-up; "
        "against ours: how many times longer the peer takes on as many threads (least–greatest round). "
        + ("Shortened runs: only the full ones are held to the goals." if given.quick else ""),
        "",
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{kind}.md").write_text("\n".join(head + text) + "\n", "utf-8")
    record = {
        "command": command,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
        "machine": about,
        "versions": versions,
        "missing": missing,
        "cases": {
            name: [
                {**vars(row), "duration": CASES[name].quick if given.quick else CASES[name].duration}
                for row in rows
            ]
            for name, rows in tables.items()
        },
        "alone": {label: {"measured": value, "goal": wanted} for label, (value, wanted) in own.items()},
    }
    (RESULTS / f"{kind}.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"written to {RESULTS.relative_to(_peers.ROOT)}/{kind}.md and {kind}.json")


if __name__ == "__main__":
    main()
