"""How will a running body move? Forecasting a simulated half-cheetah by liquid cells, one frame ahead.

python examples/half_cheetah.py FOLDER [--cell ltc] [--wiring full] [--epochs 15] [--checkpoint out/cheetah]

FOLDER holds the traces trace_0000.npy ... (1000 frames of 17 joint angles and velocities each; Hasani et al.,
Apache-2.0). Sequences of 32 frames, a new one every ten; ten traces to learn from, five to choose by, ten to test
on, once, at the end. Units are 64, and the readout gives the next frame. `fit` takes any learner: here is one for
regression. A run that is stopped goes on from its checkpoint.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import ganglion as gg

FRAMES, STRIDE, SIZE, UNITS = 32, 10, 17, 64


class Forecast:
    """Learns to give the next frame; metrics are squared errors, in the data's units."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer = model, optimizer

    def error(self, batch: list[Tensor]) -> Tensor:
        """Mean over frames and joints; a batch is (B, FRAMES + 1, SIZE)."""
        frames = batch[0].transpose(0, 1)
        return (self.model(frames[:-1])[0] - frames[1:]).square().mean()

    def step(self, batch: list[Tensor]) -> dict[str, float]:
        """Learn from one batch."""
        self.model.train()
        loss = self.error(batch)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return {"loss": loss.item(), "examples": len(batch[0])}

    def evaluate(self, batch: list[Tensor]) -> dict[str, float]:
        """The error."""
        self.model.eval()
        with torch.no_grad():
            return {"loss": self.error(batch).item(), "examples": len(batch[0])}

    def describe(self) -> dict[str, Any]:
        """What a checkpoint belongs to."""
        return {"learner": "Forecast", "model": repr(self.model)}

    def state_dict(self) -> dict[str, Any]:
        """Of model and optimizer."""
        return {"model": dict(self.model.state_dict()), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


class GRU(nn.Module):
    """A gated recurrent unit with a readout."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.readout = nn.GRU(SIZE, UNITS), nn.Linear(UNITS, SIZE)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (T, B, SIZE) -> y (T, B, SIZE), state."""
        h, state = self.gru(x)
        return self.readout(h), state


def make(cell: str, wiring: str) -> nn.Module:
    """A cell of 64 units with a readout."""
    wires = gg.nn.AutoNCP(UNITS, 24) if wiring == "ncp" else UNITS
    if cell == "gru":
        return GRU()
    return (gg.nn.LTC if cell == "ltc" else gg.nn.CfC)(SIZE, wires, projection=SIZE)


def read(folder: Path, first: int, last: int) -> TensorDataset:
    """Sequences of FRAMES + 1 frames of the traces first .. last − 1."""
    found = []
    for k in range(first, last):
        trace = torch.from_numpy(np.load(folder / f"trace_{k:04d}.npy").astype(np.float32))
        found.append(trace.unfold(0, FRAMES + 1, STRIDE).transpose(1, 2))
    return TensorDataset(torch.cat(found).contiguous())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cell", choices=["ltc", "cfc", "gru"], default="ltc")
    parser.add_argument("--wiring", choices=["full", "ncp"], default="full")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path)
    given = parser.parse_args()

    torch.manual_seed(given.seed)
    model = make(given.cell, given.wiring)
    learner = Forecast(model, torch.optim.Adam(model.parameters(), 0.01 if given.cell == "ltc" else 0.003))
    train = DataLoader(read(given.folder, 15, 25), batch_size=16, shuffle=True)
    began = time.perf_counter()
    history = gg.fit(
        learner, train, given.epochs, given.checkpoint, validation=DataLoader(read(given.folder, 0, 5), 256),
        progress=False,
    )  # fmt: skip
    for epoch, metrics in enumerate(history, 1):
        print(f"epoch {epoch}:", ", ".join(f"{name} {value:.5f}" for name, value in metrics.items()), flush=True)
    print(f"{time.perf_counter() - began:.0f} s")
    test = read(given.folder, 5, 15)
    frames = test.tensors[0].transpose(0, 1)
    print(f"test: mean squared error {learner.evaluate([test.tensors[0]])['loss']:.5f}, "
          f"of the last frame {float((frames[1:] - frames[:-1]).square().mean()):.5f}, "
          f"of the mean {float(frames.var()):.5f}")  # fmt: skip


if __name__ == "__main__":
    main()
