"""Liquid cells beside ncps' on the occupancy data, trained alike: accuracy, and process-CPU seconds of training.

python -m benchmarks.occupancy FOLDER [--seeds 3] [--epochs 3]

FOLDER holds the data of examples/occupancy.py. Both sides begin with the weights that ncps draws (AutoNCP of 32 units
and 8 outputs, a linear readout), see the same batches of 64 sequences of 16 samples in the same order, and take the
same steps (Adam, 0.01; gradients clipped to 1); time spans are 1, for ncps 1.0.1 takes none for a batch. One thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._processes import ROOT, Process, answering, install
from benchmarks.cells import FOLDER, PACKAGES, PYTHON

UNITS, MOTOR, BATCH, RATE = 32, 8, 64, 0.01


def prepare(data: Path, file: Path) -> None:
    """Standardised sequences (B, T, 5) and labels, in a file that both sides read."""
    import numpy as np

    sys.path.insert(0, str(ROOT / "examples"))
    from occupancy import read, sequences  # type: ignore[import-not-found]

    values, _, _ = read(data / "datatraining.txt")
    saved = {}
    for name in ("datatraining", "datatest", "datatest2"):
        x, labels = sequences(data / f"{name}.txt", values.mean(0), values.std(0)).tensors
        saved[f"{name}.x"], saved[f"{name}.y"] = x[..., :-1].numpy(), labels.numpy()
    np.savez(file, **saved)


def worker(side: str, file: str, start: str, seed: str, epochs: str) -> None:
    """Train and test once; ncps' side leaves its first weights in the file `start`."""
    answer = answering()
    import numpy as np
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(int(seed))
    saved = {name: torch.from_numpy(value) for name, value in np.load(file, allow_pickle=False).items()}
    inputs = saved["datatraining.x"].shape[-1]
    readout = nn.Linear(MOTOR, 2)
    if side == "ncps":
        import ncps.torch
        from ncps.wirings import AutoNCP

        cell = ncps.torch.LTC(inputs, AutoNCP(UNITS, MOTOR, seed=int(seed)), batch_first=False)
        np.savez(start, **{name: value.numpy() for name, value in cell.state_dict().items()})
    else:
        import ranvier as rv

        state = {name: torch.from_numpy(value) for name, value in np.load(start, allow_pickle=False).items()}
        cell = rv.nn.LTC.from_ncps(state)

    def loss(x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(readout(cell(x.transpose(0, 1))[0][-1]), y)

    parameters = [*cell.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(parameters, RATE)
    order, x, y = torch.Generator().manual_seed(int(seed)), saved["datatraining.x"], saved["datatraining.y"]
    loss(x[:BATCH], y[:BATCH]).backward()  # compiles
    took, first = 0.0, list[float]()
    for _ in range(int(epochs)):
        for rows in torch.randperm(len(x), generator=order).split(BATCH):
            began = time.process_time()
            optimizer.zero_grad()
            value = loss(x[rows], y[rows])
            value.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            took += time.process_time() - began
            first += [value.item()] if len(first) < 100 else []
    with torch.no_grad():
        tests = {
            name: float((readout(cell(saved[f"{name}.x"].transpose(0, 1))[0][-1]).argmax(1) == saved[f"{name}.y"])
                        .double().mean()) for name in ("datatest", "datatest2")
        }  # fmt: skip
    answer({"seconds": took, "losses": first, **tests})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.occupancy", description=__doc__)
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    if options.worker:
        return worker(*options.worker)
    if options.folder is None:
        parser.error("found no FOLDER, expected the folder of the occupancy data")
    if reason := install(FOLDER, PACKAGES):
        sys.exit(f"ncps is missing: {reason}")
    seconds: dict[str, list[float]] = {"ncps": [], "ranvier": []}
    print("| seed | side | datatest | datatest2 | CPU s | loss of the first step | of the 100th |\n" + "|---" * 7 + "|")
    with tempfile.TemporaryDirectory() as place:
        data, start = os.path.join(place, "data.npz"), os.path.join(place, "start.npz")
        prepare(options.folder, Path(data))
        for seed in range(options.seeds):
            for side in seconds:  # ncps first, whose weights ours take
                python = str(PYTHON) if side == "ncps" else sys.executable
                arguments = ["--worker", side, data, start, str(seed), str(options.epochs)]
                environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
                process = Process(side, [python, "-m", "benchmarks.occupancy", *arguments], environment)
                result = process.first
                process.close()
                seconds[side].append(result["seconds"])
                row = [f"{result['datatest']:.4f}", f"{result['datatest2']:.4f}", f"{result['seconds']:.1f}"]
                row += [f"{result['losses'][k]:.6f}" for k in (0, -1)]
                print("| " + " | ".join([str(seed), side, *row]) + " |", flush=True)
    ratio = statistics.median(a / b for a, b in zip(seconds["ncps"], seconds["ranvier"], strict=True))
    print(f"ncps takes {ratio:.1f} times as long (median of {options.seeds} seeds).")


if __name__ == "__main__":
    main()
