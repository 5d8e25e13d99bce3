"""Is the room occupied? Sequence classification by liquid cells, on samples a minute or so apart.

python examples/occupancy.py FOLDER [--cell ltc] [--wiring ncp] [--epochs 8] [--checkpoint out/occupancy]

FOLDER holds datatraining.txt, datatest.txt and datatest2.txt of the occupancy detection data (Candanedo & Feldheim
2016, UCI, CC BY 4.0). The last sixteen samples of temperature, humidity, light, CO2 and humidity ratio tell whether
somebody is there at the last one; the cell is told the time between samples. How many epochs are best, to the most
requested, is chosen on the last fifth of the training days, after training on those before; then a cell is trained
so long on all of them. The tests are read once, at the end. A run that is stopped goes on from its checkpoint.
"""

import argparse
import csv
import time
from datetime import datetime
from pathlib import Path

import torch
from _common import GRU, print_history, time_first, windows
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import ranvier as rv
from ranvier.learners import BPTT, accuracy, membrane_cross_entropy

LENGTH, MINUTE = 16, 60.0


def read(path: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Measurements (n, 5), minutes since the sample before (n,), occupancy (n,)."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    times = torch.tensor([datetime.fromisoformat(row[1]).timestamp() for row in rows], dtype=torch.float64)
    minutes = torch.cat([torch.ones(1), (times.diff() / MINUTE).float()])
    values = torch.tensor([[float(v) for v in row[2:7]] for row in rows])
    return values, minutes, torch.tensor([int(row[7]) for row in rows])


def sequences(path: Path, mean: Tensor, std: Tensor) -> TensorDataset:
    """Each (LENGTH, 6), measurements and the time, with the last sample's label."""
    values, minutes, labels = read(path)
    features = torch.cat([(values - mean) / std, minutes[:, None]], 1)
    return TensorDataset(windows(features, LENGTH), labels[LENGTH - 1 :])


class Last(nn.Module):
    """The last output of a cell."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        """x (T, B, 6) -> (1, B, 2)."""
        return self.cell(x)[0][-1:]


def make(cell: str, wiring: str) -> nn.Module:
    """A liquid or closed-form cell of 32 units, or a GRU that is not told the time."""
    wires = rv.nn.AutoNCP(32, 8) if wiring == "ncp" else 32
    if cell == "ltc":
        return Last(rv.nn.LTC(5, wires, projection=2, timed=True))
    if cell == "cfc":
        return Last(rv.nn.CfC(5, wires, projection=2, timed=True))
    return Last(GRU(5, 32, 2))


def learn(
    inputs: argparse.Namespace, data: TensorDataset, epochs: int, name: str, validation: DataLoader | None = None
) -> tuple[nn.Module, list[dict[str, float]]]:
    """A cell trained on `data`, and what every epoch brought; `name` is a folder within that of the checkpoint."""
    torch.manual_seed(inputs.seed)
    model = make(inputs.cell, inputs.wiring)
    optimizer = torch.optim.Adam(model.parameters(), 0.01 if inputs.cell == "ltc" else 0.002)
    learner = BPTT(model, membrane_cross_entropy, optimizer, encode=time_first, clip=1.0)
    place = inputs.checkpoint / name if inputs.checkpoint else None
    train = DataLoader(data, batch_size=64, shuffle=True)
    return model, rv.fit(learner, train, epochs, place, validation=validation, progress=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cell", choices=["ltc", "cfc", "gru"], default="ltc")
    parser.add_argument("--wiring", choices=["full", "ncp"], default="ncp")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path)
    options = parser.parse_args()

    values, _, _ = read(options.folder / "datatraining.txt")
    mean, std = values.mean(0), values.std(0)
    every = sequences(options.folder / "datatraining.txt", mean, std)
    cut = len(every) * 4 // 5
    last = DataLoader(TensorDataset(*every[cut + LENGTH :]), 512)  # which share no sample with those before
    began = time.perf_counter()
    _, history = learn(options, TensorDataset(*every[:cut]), options.epochs, "choose", last)
    print_history(history)
    epochs = 1 + min(range(len(history)), key=lambda k: history[k]["validation_loss"])
    model, _ = learn(options, every, epochs, ".")
    print(f"{epochs} epochs on all days; {time.perf_counter() - began:.0f} s in all")
    model.eval()
    with torch.no_grad():
        for name in ("datatest", "datatest2"):
            x, labels = sequences(options.folder / f"{name}.txt", mean, std)[:]
            print(f"{name}: accuracy {accuracy(model(time_first(x)), labels):.4f}, "
                  f"always empty {float((labels == 0).double().mean()):.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
