"""Two checkouts of Ranvier in turn: what a change costs. Prints a table.

python -m benchmarks.checkouts BEFORE AFTER [--processes 5] [--rounds 5] [--cases brunel lif100 ltc ...]

BEFORE and AFTER are working trees (`git worktree add --detach ../before d85a967`); each side runs its own package with
its own benchmarks' cases, in separate processes, on one thread. Where its arrays lie in memory is settled for a
process's life and may be worth a tenth of the time, so both sides start `--processes` times; of each the least of
`--rounds` rounds in turn counts. Simulations: wall time of the run phase; layers and cells: process-CPU time of a
forward and backward pass. A ratio above 1 says that AFTER is slower.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

SIMULATIONS = {"brunel": 1000.0, "eif": 1000.0, "eif_net": 10_000.0, "cuba4000": 1000.0, "cobahh": 1000.0}
LAYERS = ("lif100", "lif500", "ff", "rec")
CELLS = ("ltc", "ltc_ncp", "cfc", "elm")
LEAST = 0.5  # seconds a round of layers and cells, at least


def simulation(case: str) -> Callable[[], float]:
    """Seconds of the run phase; every call has another seed."""
    from benchmarks._sides import SIDES
    from benchmarks.cases import CASES

    side = SIDES["ranvier"](CASES[case], SIMULATIONS[case], 1)
    side.build()
    seeds = iter(range(1_000_000))
    return lambda: side.run(next(seeds))[0]


def passes(case: str) -> Callable[[], float]:
    """Process-CPU seconds of a forward and backward pass, the median of several."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    if case in LAYERS:
        from benchmarks.nn import prepare

        once = prepare("ranvier", case)[0]
    else:
        from benchmarks.cells import model

        run, x = model("ranvier", case), torch.randn(100, 64, 200 if case == "elm" else 32, requires_grad=True)

        def once() -> None:
            run(x).sum().backward()

    def measure() -> float:
        seconds, end = [], time.perf_counter() + LEAST
        while time.perf_counter() < end or len(seconds) < 3:
            began = time.process_time()
            once()
            seconds.append(time.process_time() - began)
        return statistics.median(seconds)

    return measure


def answer(case: str) -> None:
    """A line for every line that comes."""
    from benchmarks._processes import answering

    say = answering()
    measure = (simulation if case in SIMULATIONS else passes)(case)
    measure()
    say("ready")
    for _ in sys.stdin:
        say(measure())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkouts", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=[*SIMULATIONS, *LAYERS, *CELLS])
    options = parser.parse_args()
    from benchmarks._report import machine

    print(json.dumps(machine()))
    print("\n| case | before, ms | after, ms | after / before | processes before | after |\n|---|---|---|---|---|---|")
    for case in options.cases:
        times: dict[str, list[float]] = {"before": [], "after": []}
        for _ in range(options.processes):
            for name, seconds in least(case, options.before, options.after, options.rounds).items():
                times[name].append(1000 * seconds)
        before, after = (statistics.median(times[name]) for name in times)
        spreads = " | ".join(f"{min(t):.1f}–{max(t):.1f}" for t in times.values())
        print(f"| {case} | {before:.1f} | {after:.1f} | {after / before:.3f} | {spreads} |", flush=True)


def least(case: str, before: Path, after: Path, rounds: int) -> dict[str, float]:
    """The least seconds of each side in new processes."""
    from benchmarks._processes import Process, in_turn

    sides = {}
    for name, path in (("before", before), ("after", after)):
        tree = path.resolve()
        threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        env = os.environ | {"PYTHONPATH": f"{tree / 'src'}:{tree}"} | threads
        sides[name] = Process(name, [sys.executable, __file__, "--answer", case], env)
    times = in_turn({name: side.ask for name, side in sides.items()}, rounds)
    for side in sides.values():
        side.close()
    return {name: min(seconds) for name, seconds in times.items()}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--answer"]:
        answer(sys.argv[2])
    else:
        main()
