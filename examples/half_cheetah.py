"""How will a running body move? Forecasting a simulated half-cheetah by liquid cells, one frame ahead.

python examples/half_cheetah.py FOLDER [--cell ltc] [--wiring full] [--epochs 15] [--checkpoint out/cheetah]

FOLDER holds the traces trace_0000.npy ... (1000 frames of 17 joint angles and velocities each; Hasani et al.,
Apache-2.0). Sequences of 32 frames, a new one every ten; ten traces to learn from, five to choose by, ten to test
on, once, at the end. Units are 64, and the readout gives the next frame. A run that is stopped goes on from its
checkpoint.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from _common import GRU, print_history, time_first, windows
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import ranvier as rv

FRAMES, STRIDE, SIZE, UNITS = 32, 10, 17, 64


def error(y: Tensor, following: Tensor) -> Tensor:
    """Mean square over frames and joints: y (FRAMES, B, SIZE), the frames that follow (B, FRAMES, SIZE)."""
    return (y - following.transpose(0, 1)).square().mean()


def make(cell: str, wiring: str) -> nn.Module:
    """A cell of 64 units with a readout."""
    wires = rv.nn.AutoNCP(UNITS, 24) if wiring == "ncp" else UNITS
    if cell == "gru":
        return GRU(SIZE, UNITS, SIZE)
    return (rv.nn.LTC if cell == "ltc" else rv.nn.CfC)(SIZE, wires, projection=SIZE)


def read(folder: Path, first: int, last: int) -> TensorDataset:
    """Sequences of FRAMES frames of the traces first .. last − 1, and the frames that follow each."""
    result = []
    for k in range(first, last):
        trace = torch.from_numpy(np.load(folder / f"trace_{k:04d}.npy").astype(np.float32))
        result.append(windows(trace, FRAMES + 1, STRIDE))
    frames = torch.cat(result)
    return TensorDataset(frames[:, :-1].contiguous(), frames[:, 1:].contiguous())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cell", choices=["ltc", "cfc", "gru"], default="ltc")
    parser.add_argument("--wiring", choices=["full", "ncp"], default="full")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    model = make(options.cell, options.wiring)
    optimizer = torch.optim.Adam(model.parameters(), 0.01 if options.cell == "ltc" else 0.003)
    learner = rv.learners.BPTT(model, error, optimizer, encode=time_first, clip=1.0, accuracy=None)
    train = DataLoader(read(options.folder, 15, 25), batch_size=16, shuffle=True)
    began = time.perf_counter()
    history = rv.fit(
        learner, train, options.epochs, options.checkpoint, validation=DataLoader(read(options.folder, 0, 5), 256),
        progress=False,
    )  # fmt: skip
    print_history(history)
    print(f"{time.perf_counter() - began:.0f} s")
    test = read(options.folder, 5, 15)
    observed, following = test.tensors
    print(f"test: mean squared error {learner.evaluate((observed, following))['loss']:.5f}, "
          f"of the last frame {float((following - observed).square().mean()):.5f}, "
          f"of the mean {float(observed.var()):.5f}")  # fmt: skip


if __name__ == "__main__":
    main()
