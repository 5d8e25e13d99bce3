"""The standing attack: fuzzed files, killed runs, a day of biological time, networks made anew ten thousand times.

python -m tests.attack [--seconds N] [--kills N] [--rebuilds N]: prints a table, kept as benchmarks/results/attack.txt.
`--seconds` is the time of fuzzing for each reader. Exit status 1 if anything ran, crashed, hung or differed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.attack import kills
from tests.attack.fuzz import targets

ROOT = Path(__file__).parents[2]


def fuzz(seconds: float, folder: Path) -> bool:
    """All readers of files in turn; True if nothing went wrong."""
    good, total = True, 0
    heads = ("inputs", "read", "refused", "other", "crashed", "hung", "ran")
    print("{:16} {:>9} {:>8} {:>9} {:>6} {:>8} {:>5} {:>4}".format("reader", *heads) + "  slowest s")
    for name in targets():
        sums = dict.fromkeys(("inputs", "read", "refused", "other errors", "crashed", "hung", "ran"), 0)
        errors: list[str] = []
        end, seed, slowest = time.monotonic() + seconds, 0, 0.0
        while (left := end - time.monotonic()) > 0.5:
            seed += 1
            place = folder / f"{name}-{seed}"
            place.mkdir()
            done = subprocess.run(
                [sys.executable, "-m", "tests.attack.fuzz", name, str(seed), str(left), str(place)], cwd=ROOT,
                capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            if done.returncode == 0:
                answer = json.loads(done.stdout.splitlines()[-1])
                for key, count in answer["counts"].items():
                    sums[key] += count
                errors += answer["errors"]
                slowest = max(slowest, answer["slowest"])
            else:
                hung = done.returncode == -signal.SIGALRM
                sums["hung" if hung else "crashed"] += 1
                errors.append(f"status {done.returncode}, seed {seed}: {done.stderr[-300:]}")
        total += sums["inputs"]
        good &= not (sums["other errors"] or sums["crashed"] or sums["hung"] or sums["ran"])
        row = [sums[k] for k in ("inputs", "read", "refused", "other errors", "crashed", "hung", "ran")]
        print("{:16} {:9} {:8} {:9} {:6} {:8} {:5} {:4}".format(name, *row) + f"  {slowest:.2f}", flush=True)
        for error in dict.fromkeys(errors):
            print(f"    {error!r}", flush=True)
    print(f"{'together':16} {total:9}")
    return good


def day() -> bool:
    """24 h of biological time at steps of 0.5 ms: the last spike of a regular train comes when it must."""
    import torch

    import ranvier as rv

    net, length = rv.Network(), 86_400_000.0
    net.add(rv.SpikeTimes(torch.tensor([0.5, length]), torch.tensor([0, 0])), 1, "ends")
    cell = net.add(rv.LIF(tau_m=20.0, E_L=0.0, V_th=10.0, V_reset=0.0, t_ref=0.0), 1, "cell", drive=20.0)
    began = time.perf_counter()
    run = rv.simulate(net, length, dt=0.5, seed=0)
    first = float(run.times[run.neurons == cell.start][0])
    times = run.times[run.neurons == cell.start].double()
    exact = bool((times == first * torch.arange(1, len(times) + 1, dtype=torch.float64)).all())
    ends = run.times[run.neurons == 0].tolist()
    print(f"a day: {len(times)} spikes every {first} ms, all on their step: {exact}; given spikes at {ends} ms; "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    return exact and ends == [0.5, length] and len(times) == int(length // first)


def rebuilds(count: int) -> bool:
    """Memory over networks that are made, run and dropped."""
    import ranvier as rv

    sizes = []
    for k in range(count):
        net = rv.Network(seed=k)
        cells = net.add(rv.LIF(), 50, drive=20.0, noise=2.0)
        net.connect(cells, cells, weight=0.1, probability=0.1)
        rv.simulate(net, 5.0, seed=k)
        if k in (count // 10, count - 1):
            sizes.append(resident())
    grown = sizes[-1] - sizes[0]
    print(f"{count} networks made, run and dropped: resident memory {sizes[0]:.0f} -> {sizes[-1]:.0f} MB")
    return grown < 20.0


def resident() -> float:
    """MB of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> int:
    parse = argparse.ArgumentParser(description="Attack the package: fuzzing, kills, a long day, many networks.")
    parse.add_argument("--seconds", type=float, default=60.0, help="of fuzzing, for each reader")
    parse.add_argument("--kills", type=int, default=200)
    parse.add_argument("--rebuilds", type=int, default=10_000)
    options = parse.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = fuzz(options.seconds, folder)
        for what in kills.WORK:
            place = folder / what.replace(" ", "-")
            place.mkdir()
            outcome = kills.attack(what, -(-options.kills // len(kills.WORK)), place)
            row = "{}: {kills} SIGKILLs, {differing} results differ, {failed} attempts failed; {seconds} s whole"
            print(row.format(what, **outcome), outcome["error"], flush=True)
            good &= not (outcome["differing"] or outcome["failed"])
        good &= day()
        good &= rebuilds(options.rebuilds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
