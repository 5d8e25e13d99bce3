"""Networks whose synapses have equations of their own, side by side with Brian2's C++ standalone mode: prints a table.

python -m benchmarks.synapses [--cases stp nmda] [--size 10000] [--duration 200] [--rounds 3]

The networks are those of `benchmarks/cases`: short-term plasticity; and AMPA, NMDA and GABA receptors. Figures are
medians of process-CPU seconds of the run phase on one thread, over rounds in turn after a warm-up; Brian2 computes
in its own default, float64, Ranvier in its own, float32. The goal is 5 times.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import _peers, _report, _standalone
from benchmarks.cases import Case

GOAL = 5.0
CASES = {
    "stp": Case("stp", "Short-term plasticity", "stp", 10_000, 200.0, 200.0, peers=("brian2",)),
    "nmda": Case("nmda", "AMPA, NMDA and GABA", "nmda", 10_000, 200.0, 200.0, peers=("brian2",)),
}


def ranvier_side(name: str, size: int, duration: float, seed: int) -> tuple[float, float]:
    """CPU seconds of the run phase, and the rate (Hz)."""
    from ranvier.engines.compiled.engine import CompiledEngine
    from ranvier.engines.protocol import EngineOptions

    case = CASES[name]
    engine = CompiledEngine.prepare(case.load().ranvier(size, seed), EngineOptions(case.dt, seed=seed, threads=1))
    began = time.process_time()
    steps, _, _ = engine.advance(round(duration / case.dt))
    return time.process_time() - began, len(steps) / size / duration * 1000


def brian2_build(name: str, folder: str, size: int, duration: float) -> None:
    """In Brian2's own environment: build the standalone binary."""
    import brian2 as b2

    _standalone.begin(b2, folder, CASES[name].dt)
    parts = CASES[name].load().brian2(b2, size)
    monitor = b2.SpikeMonitor(parts[0], name="spikes", record=False)
    _standalone.end(b2, folder, b2.Network(*parts, monitor), duration)


def brian2_side(folder: Path, size: int, duration: float, seed: int) -> tuple[float, float]:
    import numpy as np

    cpu = _standalone.run(folder, seed)
    count = np.fromfile(next((folder / "results").glob("_array_spikes_count_*")), np.int32).sum()
    return cpu, count / size / duration * 1000


def measure(name: str, size: int, duration: float, rounds: int) -> list[str]:
    """Rows of the table."""
    folder = Path(tempfile.mkdtemp(prefix="ranvier-synapses-"))
    code = f"from benchmarks.synapses import brian2_build; brian2_build({name!r}, {str(folder)!r}, {size}, {duration})"
    figures: dict[str, list[tuple[float, float]]] = {"Ranvier": [], "Brian2": []}
    try:
        subprocess.run([str(_peers.PYTHON), "-c", code], cwd=_peers.ROOT, env=_peers.environment(), check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        for turn in range(rounds + 1):
            figures["Ranvier"].append(ranvier_side(name, size, duration, turn + 1))
            figures["Brian2"].append(brian2_side(folder, size, duration, turn + 1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    steps, rows = size * duration / CASES[name].dt, []
    ours = statistics.median(cpu for cpu, _ in figures["Ranvier"][1:])
    for side, answers in figures.items():
        cpu, rate = statistics.median(c for c, _ in answers[1:]), statistics.fmean(r for _, r in answers[1:])
        row = f"| {name} | {side} | {cpu:.3f} | {cpu / ours:.1f} | {cpu / steps * 1e9:.1f} | {rate:.2f} |"
        rows.append(row)
    return rows


def main() -> None:
    parser: Any = argparse.ArgumentParser(prog="python -m benchmarks.synapses", description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--duration", type=float, default=200.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if missing := _peers.prepare(("brian2",)):
        sys.exit(f"Brian2 is missing: {missing['brian2']}")
    about = _report.machine()
    print(f"{about['processor']}, {about['cores']} cores, {about['simd']}; load at the start {about['load_at_start']}")
    print(f"python -m benchmarks.synapses --duration {options.duration:g} --rounds {options.rounds}")
    print(f"{options.size} neurons, {options.duration:g} ms, one thread; goal: {GOAL:g} ×\n")
    print("| network | | CPU s | × ours | ns a neuron and step | rate (Hz) |\n|---|---|---|---|---|---|", flush=True)
    for name in options.cases:
        print("\n".join(measure(name, options.size, options.duration, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
