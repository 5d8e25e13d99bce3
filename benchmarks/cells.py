"""NeuronGroup with rich dynamics beside ncps and plain loops, forward and backward: prints a table.

python -m benchmarks.cells [--cases ltc ltc_ncp cfc cfc_ncp elm] [--rounds 7]

64 units, T 100, B 64, 32 inputs (ELM: 200 inputs, 20 branches, 64 memories), one thread. Figures are median
process-CPU milliseconds over rounds in turn, after a warm-up, and ratios to ours. ncps lives in an environment of
its own. `plain` is our cell's own torch loop; for ELM, `loop` is the published one, synapse by synapse.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks._processes import ROOT, Process, answering, in_turn, install

FOLDER = ROOT / ".venv-peers-cells"
PYTHON = FOLDER / "bin" / "python"
PACKAGES = ("-c", str(ROOT / "constraints.txt"), "torch", "numpy", "ncps==1.0.1")
T, B, INPUTS, UNITS = 100, 64, 32, 64
CASES = {
    "ltc": ("ranvier", "ncps"), "ltc_ncp": ("ranvier", "ncps"), "cfc": ("ranvier", "plain", "ncps"),
    "cfc_ncp": ("ranvier", "plain", "ncps"), "elm": ("ranvier", "plain", "loop"),
}  # fmt: skip


def model(side: str, case: str) -> Callable[[Any], Any]:
    """x (T, B, inputs) -> y."""
    if case == "elm" and side == "loop":
        return elm_loop()
    if side == "ncps":
        import ncps.torch
        from ncps.wirings import AutoNCP, FullyConnected

        wiring = AutoNCP(UNITS, 8) if case.endswith("ncp") else FullyConnected(UNITS)
        if case.startswith("cfc"):
            cell = ncps.torch.CfC(INPUTS, wiring if case == "cfc_ncp" else UNITS, batch_first=False)
        else:
            cell = ncps.torch.LTC(INPUTS, wiring, batch_first=False)
        return lambda x: cell(x)[0]
    import ranvier as rv

    fused = side == "ranvier"
    if case == "elm":
        ours: Any = rv.nn.ELM(200, 2, memory=UNITS, branches=20, fused=fused)
    else:
        wires = rv.nn.AutoNCP(UNITS, 8) if case.endswith("ncp") else UNITS
        ours = (rv.nn.CfC if case.startswith("cfc") else rv.nn.LTC)(INPUTS, wires, fused=fused)
    return lambda x: ours(x)[0]


def elm_loop() -> Callable[[Any], Any]:
    """The neuron as it was published, one trace a synapse, in plain torch."""
    import torch
    from torch import nn

    mlp = nn.Sequential(nn.Linear(20 + UNITS, 2 * UNITS), nn.ReLU(), nn.Linear(2 * UNITS, UNITS))
    weights, readout = nn.Parameter(torch.full((200,), 0.5)), nn.Linear(UNITS, 2)
    kappa, kappa_s = torch.exp(-1 / torch.logspace(0, 2.176, UNITS)), torch.exp(torch.tensor(-0.2))

    def run(x):
        s, m, outputs, w = torch.zeros(B, 200), torch.zeros(B, UNITS), [], weights.relu()
        for row in x.unbind(0):
            s = kappa_s * s + w * row
            branches = s.view(B, 20, -1).sum(-1)
            update = 1.7159 * torch.tanh(2 / 3 * mlp(torch.cat([branches, kappa * m], -1)))
            m = kappa * m + 5 * (1 - kappa) * update
            outputs.append(readout(m))
        return torch.stack(outputs)

    return run


def worker(side: str, case: str) -> None:
    """Answer every line of input with the ms of one pass."""
    answer = answering()
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    run = model(side, case)
    x = (torch.rand(T, B, 200) < 0.05).float() if case == "elm" else torch.randn(T, B, INPUTS)
    g = torch.randn(run(x).shape)
    run(x).backward(g)
    answer("ready")
    for _ in sys.stdin:
        began = time.process_time()
        run(x).backward(g)
        answer(1000 * (time.process_time() - began))


def compare(case: str, sides: list[str], rounds: int) -> list[str]:
    """Rows of the table, measured in turn."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    processes = {
        side: Process(side, [str(PYTHON) if side == "ncps" else sys.executable, "-m", "benchmarks.cells", "--worker",
                             side, case], alone)
        for side in sides
    }  # fmt: skip
    times = in_turn({side: process.ask for side, process in processes.items()}, rounds)
    for process in processes.values():
        process.close()
    ours = statistics.median(times["ranvier"])
    return [
        f"| {case} | {side} | {statistics.median(v):.1f} ({min(v):.1f}) | {statistics.median(v) / ours:.2f} |"
        for side, v in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cells", description=__doc__)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if options.worker:
        return worker(*options.worker)
    reason = install(FOLDER, PACKAGES)
    if reason:
        print(f"ncps is missing: {reason}")
    print("| case | side | ms, median (least) | over ours |\n|---|---|---|---|")
    for case in options.cases:
        sides = [side for side in CASES[case] if not (reason and side == "ncps")]
        print("\n".join(compare(case, sides, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
