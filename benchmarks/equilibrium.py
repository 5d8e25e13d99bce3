"""Equilibrium propagation on MNIST, 784-500-10: `OMP_NUM_THREADS=1 python -m benchmarks.equilibrium MNIST_FOLDER`.

Prints, for every epoch, CPU seconds, training error and test error, with the paper's settings (batches of 20, 20 free
and 4 nudged steps of 0.5, β = 0.5 of random sign, rates 0.1 and 0.05), but for the rates, which fall along a cosine.
The aim is an epoch in three minutes on two cores. --seconds stops the first epoch and extrapolates its length.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

import ranvier as rv
from ranvier.learners import EquilibriumPropagation


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.equilibrium", description=__doc__)
    parser.add_argument("folder", type=Path, help="with MNIST's four idx files")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--constant", action="store_true", help="the paper's constant rates")
    parser.add_argument("--particles", action="store_true", help="states of examples persist between epochs")
    parser.add_argument("--seconds", type=float, help="measure for that long, and extrapolate to an epoch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    x, labels = rv.learners.read_mnist(options.folder)
    test = rv.learners.read_mnist(options.folder, train=False)
    torch.manual_seed(options.seed)
    model = rv.energies.Layered.dense(784, 500, 10)
    layers = [{"params": list(m.parameters()), "lr": lr} for m, lr in zip(model.maps, (0.1, 0.05), strict=True)]
    optimizer = torch.optim.SGD(layers)
    particles = len(x) if options.particles else None
    learner = EquilibriumPropagation(model, optimizer, evaluation_steps=50, particles=particles)
    indices = [torch.arange(len(x))] if options.particles else []
    loader = DataLoader(TensorDataset(x, labels, *indices), batch_size=20, shuffle=True)
    if options.seconds:
        began, count = time.process_time(), 0
        for batch in loader:
            learner.step(tuple(batch))
            count += 1
            if time.process_time() - began > options.seconds:
                break
        spent = time.process_time() - began
        print(f"{1000 * spent / count:.2f} ms CPU a batch, {spent / count * len(loader):.1f} s an epoch")
        return
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)
    print("| epoch | CPU s | training error % | test error % |\n|---|---|---|---|")
    for epoch in range(1, options.epochs + 1):
        began = time.process_time()
        log = rv.fit(learner, loader, 1, progress=False)[0]
        spent = time.process_time() - began
        if not options.constant:
            schedule.step()
        wrong = 100 * (1 - learner.evaluate(test)["accuracy"])
        print(f"| {epoch} | {spent:.1f} | {100 * (1 - log['accuracy']):.2f} | {wrong:.2f} |", flush=True)


if __name__ == "__main__":
    main()
