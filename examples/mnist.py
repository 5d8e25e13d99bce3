"""MNIST by backpropagation through time: 784-500-300-10, at most one spike a pixel in four steps, a membrane readout.

python examples/mnist.py FOLDER_WITH_THE_IDX_FILES [--epochs 7] [--checkpoint out/mnist] [--test]

Validates on the last 5000 training images; the test set is read only with --test, once, at the end. A run that
is stopped goes on from its checkpoint.
"""

import argparse
import time
from pathlib import Path

import torch
from _common import print_history
from torch.utils.data import DataLoader, TensorDataset

import ranvier as rv
from ranvier.learners import BPTT, accuracy, latency, membrane_cross_entropy, read_mnist


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()

    images, labels = read_mnist(options.folder)
    torch.manual_seed(0)
    model = rv.nn.Sequential(
        rv.nn.LIF(784, 500), torch.nn.Dropout(0.3),
        rv.nn.LIF(500, 300), torch.nn.Dropout(0.2),
        rv.nn.LI(300, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)

    def encode(x: torch.Tensor) -> torch.Tensor:
        return latency(x, options.steps, threshold=0.1)

    learner = BPTT(model, membrane_cross_entropy, optimizer, encode=encode)
    train = DataLoader(TensorDataset(images[:-5000], labels[:-5000]), batch_size=128, shuffle=True)
    held_out = DataLoader(TensorDataset(images[-5000:], labels[-5000:]), batch_size=500)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, options.epochs * len(train), pct_start=0.2)
    began = time.process_time()
    history = rv.fit(learner, train, options.epochs, options.checkpoint, validation=held_out, schedule=schedule)
    print_history(history)
    print(f"{time.process_time() - began:.0f} s of CPU time")
    model.eval()
    with torch.no_grad(), rv.nn.count_operations(model) as counts:
        model(encode(images[-5000:]))
    dense = 784 * 500 + 500 * 300 + 300 * 10
    print(
        f"{counts.synops / 5000:,.0f} synaptic operations an image; rectifiers of this shape multiply {dense:,} times"
    )
    if options.test:
        images, labels = read_mnist(options.folder, train=False)
        with torch.no_grad():
            y, _ = model(encode(images))
        print(f"test accuracy {accuracy(y, labels):.4f}")


if __name__ == "__main__":
    main()
