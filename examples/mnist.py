"""MNIST by backpropagation through time: 784-500-300-10, eight steps of constant input, a membrane readout.

python examples/mnist.py FOLDER_WITH_THE_IDX_FILES [--epochs 8] [--checkpoint out/mnist] [--test]

Validates on the last 5000 training images; the test set is read only with --test, once, at the end. A run that
is stopped goes on from its checkpoint.
"""

import argparse
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

import ganglion as gg
from ganglion.learners import BPTT, accuracy, membrane_cross_entropy, read_mnist


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--test", action="store_true")
    given = parser.parse_args()

    images, labels = read_mnist(given.folder)
    torch.manual_seed(0)
    model = gg.nn.Sequential(
        gg.nn.LIF(784, 500), torch.nn.Dropout(0.3),
        gg.nn.LIF(500, 300), torch.nn.Dropout(0.2),
        gg.nn.LI(300, 10),
    )  # fmt: skip
    learner = BPTT(
        model, membrane_cross_entropy, torch.optim.Adam(model.parameters(), 1e-3),
        encode=lambda x: x.expand(given.steps, *x.shape),
    )  # fmt: skip
    train = DataLoader(TensorDataset(images[:-5000], labels[:-5000]), batch_size=128, shuffle=True)
    held_out = DataLoader(TensorDataset(images[-5000:], labels[-5000:]), batch_size=500)
    began = time.perf_counter()
    history = gg.fit(learner, train, given.epochs, given.checkpoint, validation=held_out)
    for epoch, metrics in enumerate(history, 1):
        print(f"epoch {epoch}:", ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    print(f"{time.perf_counter() - began:.0f} s")
    if given.test:
        images, labels = read_mnist(given.folder, train=False)
        model.eval()
        with torch.no_grad():
            y, _ = model(learner.encode(images))  # type: ignore[misc]
        print(f"test accuracy {accuracy(y, labels):.4f}")


if __name__ == "__main__":
    main()
