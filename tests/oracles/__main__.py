"""Regenerate the peers' reference figures, run ours, and compare: `make oracles`.

python -m tests.oracles [--cases brunel] [--peers brian2 nest] [--stored]
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from benchmarks import _peers, _report  # noqa: E402
from benchmarks._harness import Worker  # noqa: E402
from benchmarks.cases import CASES, Case  # noqa: E402
from benchmarks.theory import lif_neurons  # noqa: E402

from tests.oracles._compare import REFERENCE, SEEDS, load, welch  # noqa: E402

TOO_UNLIKELY = 1e-3  # Welch's p; some twenty comparisons are made


def collect(side: str, case: Case, dt: float = 0.0) -> dict[str, Any]:
    """Rate and CV of every seed, each seed with its own wiring and its own noise."""
    worker = Worker(side, case, case.oracle, 1, skip=case.skip, rewire=True, dt=dt)
    try:
        seeds = list(range(1, SEEDS[case.name][side] + 1))
        answers = [worker.measure(seed) for seed in seeds]
    finally:
        worker.close()
    return {
        "version": worker.version,
        "seeds": seeds,
        "rate": [answer["rate"] for answer in answers],
        "cv": [answer["cv"] for answer in answers],
    }


def regenerate(case: Case, peers: list[str]) -> None:
    """Run the peers and store what they gave, keeping what is stored of the others."""
    path = REFERENCE / f"{case.name}.json"
    result = {peer: collect(peer, case) for peer in peers}
    stored = (load(case.name)["peers"] if path.exists() else {}) | result
    about = {
        "title": case.title,
        "duration": case.oracle,
        "skip": case.skip,
        "dt": case.dt,
        "size": case.size,
    }
    REFERENCE.mkdir(exist_ok=True)
    path.write_text(json.dumps({**about, "peers": stored}, indent=1) + "\n", "utf-8")


def regenerate_nnmt() -> None:
    """Siegert's rates of 200 neurons and transfer functions of 8; `test_nnmt` reads them."""
    if missing := _peers.prepare(("nnmt",)):
        print(f"NNMT is missing: {missing['nnmt']}; its stored figures stay")
        return
    neurons, frequencies = lif_neurons(200), [0.1, 1.0, 10.0, 50.0, 200.0, 1000.0]
    result = _peers.nnmt(neurons, frequencies, 8, 1)
    saved = {key: result[key] for key in ("version", "rates", "shift")}
    record = {"neurons": neurons, "frequencies": frequencies, **saved}
    (REFERENCE / "nnmt.json").write_text(json.dumps(record) + "\n", "utf-8")


def compare(case: Case) -> list[str]:
    """Lines of the table; a line ends with DIFFERS where chance does not explain the distance."""
    runs: dict[float, dict[str, Any]] = {}
    model = []
    for peer, theirs in load(case.name)["peers"].items():
        dt = case.compared_at(peer)
        mine = runs[dt] = runs.get(dt) or collect("ranvier", case, dt)
        for what in ("rate", "cv"):
            got = welch(mine[what], theirs[what])
            verdict = "agrees" if got["p"] > TOO_UNLIKELY else "DIFFERS"
            own, other = len(mine["seeds"]), len(theirs["seeds"])
            model.append(
                f"| {case.name} | {dt:g} | {what} | {got['ours']:.4f} ± {got['sd_ours']:.4f} ({own}) "
                f"| {theirs['version']} | {got['theirs']:.4f} ± {got['sd_theirs']:.4f} ({other}) "
                f"| {got['z']:+.2f} | {got['p']:.3f} | {verdict} |"
            )
    return model


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracles", description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--peers", nargs="*", choices=list(_peers.SIMULATORS), default=list(_peers.SIMULATORS))
    parser.add_argument("--stored", action="store_true", help="compare with the stored figures, run no peer")
    parser.add_argument("--peers-only", action="store_true", help="regenerate the peers' figures, compare nothing")
    options = parser.parse_args()

    peers = []
    if not options.stored:
        missing = _peers.prepare(tuple(options.peers))
        for name, reason in missing.items():
            print(f"{_report.NAMES[name]} is missing: {reason}; its stored figures stay")
        peers = [peer for peer in options.peers if peer not in missing]
        if options.cases == list(CASES):
            regenerate_nnmt()
    table = [
        "Mean ± standard deviation over seeds (their number); z is the difference over its standard error.",
        "",
        "| network | our step, ms | | Ranvier | peer | | z | p | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(table), flush=True)
    for name in options.cases:
        if peers:
            regenerate(CASES[name], peers)
        if not options.peers_only:
            new = compare(CASES[name])
            print("\n".join(new), flush=True)
            table += new
    if options.cases == list(CASES) and not options.peers_only:
        (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
        (ROOT / "benchmarks" / "results" / "oracles.md").write_text("\n".join(table) + "\n", "utf-8")
    return int(any(line.endswith("DIFFERS |") for line in table))


if __name__ == "__main__":
    sys.exit(main())
