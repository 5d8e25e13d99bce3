"""N-MNIST, an event camera's recordings, by backpropagation through time: two convolutions of spiking neurons.

python examples/nmnist.py FOLDER_WITH_THE_RECORDINGS [--epochs 20] [--checkpoint out/nmnist]

Trains on four fifths of the recordings in train1K.txt, validates on the others, and counts operations. Recordings
of any other camera that `tonic` reads work the same: give their arrays to `bin_events`.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from _common import print_history
from torch import Tensor, nn
from torch.utils.data import DataLoader

import ranvier as rv
from ranvier.learners import BPTT, bin_events, membrane_cross_entropy, read_nmnist


def binned(pairs: list) -> tuple[Tensor, Tensor]:
    """Recordings and labels as frames of 20 ms, (15, B, 2, 34, 34): a batch at a time, so that the data stay small."""
    recordings, labels = zip(*pairs, strict=True)
    return bin_events(recordings, 15, 20.0, binary=True), torch.stack(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--checkpoint", type=Path)
    options = parser.parse_args()

    pairs: Any = list(zip(*read_nmnist(options.folder), strict=True))
    torch.manual_seed(0)
    model = rv.nn.Sequential(
        nn.Conv2d(2, 16, 5, stride=2), rv.nn.LIF((16, 15, 15), beta=0.8), nn.Dropout(0.3),
        nn.Conv2d(16, 32, 3, stride=2), rv.nn.LIF((32, 7, 7), beta=0.8), nn.Dropout(0.3),
        nn.Flatten(), rv.nn.LI(32 * 7 * 7, 10, beta=0.8),
    )  # fmt: skip
    cut = len(pairs) * 4 // 5
    train = DataLoader(pairs[:cut], batch_size=32, shuffle=True, collate_fn=binned)
    held_out = DataLoader(pairs[cut:], batch_size=100, collate_fn=binned)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, options.epochs * len(train), pct_start=0.2)
    learner = BPTT(model, membrane_cross_entropy, optimizer)
    history = rv.fit(learner, train, options.epochs, options.checkpoint, validation=held_out, schedule=schedule)
    print_history(history)
    model.eval()
    with torch.no_grad(), rv.nn.count_operations(model) as counts:
        model(binned(pairs[cut:])[0])
    print(counts)


if __name__ == "__main__":
    main()
