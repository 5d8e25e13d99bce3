"""Surrogate gradients on MNIST and N-MNIST, where the data are: accuracy and operations beside networks without spikes.

The environment variable RANVIER_DATA names a folder with mnist/ (LeCun's idx files) and nmnist/ (recordings
SAMPLE.bs2, train1K.txt, test100.txt); without it, and at the small size, the claims stay untested.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, dataset, register
from ranvier.learners import (
    BPTT,
    accuracy,
    bin_events,
    latency,
    membrane_cross_entropy,
    rate,
    read_mnist,
    read_nmnist,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

FOLDS = 5
Encode = Callable[[Tensor], Tensor]


def measure(
    seed: int, size: Size, only: str = "mnist nmnist", surrogate: bool = True, code: str = "latency", epochs: int = 7
) -> dict[str, Any]:
    """only: the data sets to learn, by name. surrogate: whether spikes have a slope; without one no gradient reaches
    the hidden layers, and the readout alone learns. code: of MNIST's pixels, "latency" (4 steps) or "rate" (12).
    epochs: of training on MNIST; N-MNIST takes four times as many."""
    names = ["mnist", "mnist_gap", "mnist_operations", "mnist_minutes", "mnist_plain", "nmnist", "nmnist_linear",
             "nmnist_gain", "nmnist_gain_error", "nmnist_test", "nmnist_test_error"]  # fmt: skip
    metrics: dict[str, Any] = dict.fromkeys(names)
    if size == "full":
        if "mnist" in only.split() and (folder := dataset("mnist")) is not None:
            metrics |= _mnist(folder, seed, surrogate, code, epochs)
        if "nmnist" in only.split() and (folder := dataset("nmnist")) is not None:
            metrics |= _nmnist(folder, seed, surrogate, 4 * epochs)
    return metrics


def _mnist(folder: Path, seed: int, surrogate: bool, code: str, epochs: int) -> dict[str, Any]:
    """784-500-300-10, one spike a pixel at most; chosen on the last 5000 training images, which stay out of it."""
    x, labels = read_mnist(folder)
    unseen, answers = read_mnist(folder, train=False)
    torch.manual_seed(seed)
    spiking = rv.nn.Sequential(
        rv.nn.LIF(784, 500), nn.Dropout(0.3),
        rv.nn.LIF(500, 300), nn.Dropout(0.2),
        rv.nn.LI(300, 10),
    )  # fmt: skip
    encode = (lambda x: rate(x, 12)) if code == "rate" else (lambda x: latency(x, 4, threshold=0.1))
    began = time.process_time()
    ours = _trained(spiking, x[:-5000], labels[:-5000], encode, epochs, 128, surrogate)
    minutes = (time.process_time() - began) / 60
    right, counted = ours(unseen, answers)
    plain, macs = _rectifiers(folder, seed, epochs)
    return {
        "mnist": right.mean(),
        "mnist_plain": plain,
        "mnist_gap": plain - right.mean(),
        "mnist_operations": (counted.synops + counted.macs) / macs,
        "mnist_minutes": minutes,
    }


@cache  # a mutant changes the spiking network alone
def _rectifiers(folder: Path, seed: int, epochs: int) -> tuple[float, int]:
    """Test accuracy of 784-500-300-10 rectifiers on MNIST, and the multiply–accumulates that the test took."""
    x, labels = read_mnist(folder)
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(784, 500), nn.ReLU(), nn.Dropout(0.3), nn.Linear(500, 300), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(300, 10),
    )  # fmt: skip
    test = _trained(net, x[:-5000], labels[:-5000], lambda x: x[None], epochs, 128)
    right, counted = test(*read_mnist(folder, train=False))
    return float(right.mean()), counted.macs


def _nmnist(folder: Path, seed: int, surrogate: bool, epochs: int) -> dict[str, Any]:
    """A convolutional net on 15 frames of 20 ms; each fold of the 1000 recordings by a net that saw the others."""
    recordings, labels = read_nmnist(folder)
    frames = bin_events(recordings, 15, 20.0, binary=True, dtype=torch.uint8).transpose(0, 1)
    fold = torch.from_numpy(_folds(len(labels), seed))
    right = np.zeros(len(labels))
    for k in range(FOLDS):
        torch.manual_seed(FOLDS * seed + k)
        net = _trained(_convolutional(), frames[fold != k], labels[fold != k], _steps_first, epochs, 32, surrogate)
        right[fold == k], _ = net(frames[fold == k], labels[fold == k])
    linear = _linear(folder, seed)
    gain = right - linear
    torch.manual_seed(seed)
    net = _trained(_convolutional(), frames, labels, _steps_first, epochs, 32, surrogate)
    others, answers = read_nmnist(folder, train=False)
    test, _ = net(bin_events(others, 15, 20.0, binary=True, dtype=torch.uint8).transpose(0, 1), answers)
    return {
        "nmnist": right.mean(),
        "nmnist_linear": linear.mean(),
        "nmnist_gain": gain.mean(),
        "nmnist_gain_error": 3 * gain.std() / len(gain) ** 0.5,
        "nmnist_test": test.mean(),
        "nmnist_test_error": (test.mean() * (1 - test.mean()) / len(test)) ** 0.5,
    }


def _convolutional() -> rv.nn.Sequential:
    return rv.nn.Sequential(
        nn.Conv2d(2, 16, 5, stride=2), rv.nn.LIF(beta=0.8), nn.Dropout(0.3),
        nn.Conv2d(16, 32, 3, stride=2), rv.nn.LIF(beta=0.8), nn.Dropout(0.3),
        nn.Flatten(), rv.nn.LI(32 * 7 * 7, 10, beta=0.8),
    )  # fmt: skip


def _steps_first(frames: Tensor) -> Tensor:
    return frames.transpose(0, 1).float()


def _folds(examples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(examples) % FOLDS


@cache
def _linear(folder: Path, seed: int) -> np.ndarray:
    """Whether logistic regression on each pixel's and polarity's count of events is right, fold by fold: the best
    of three strengths of its penalty, with counts as they are and their roots, chosen on the very folds."""
    from sklearn.linear_model import LogisticRegression

    recordings, numbers = read_nmnist(folder)
    labels, fold = numbers.numpy(), _folds(len(numbers), seed)
    counts = bin_events(recordings, 1, 1000.0)[0].flatten(1).numpy()
    best = np.zeros(len(labels))
    for x in (counts / counts.std(), np.sqrt(counts) / np.sqrt(counts).std()):
        for C in (0.03, 0.1, 0.3):
            right = np.zeros(len(labels))
            for k in range(FOLDS):
                model = LogisticRegression(C=C, max_iter=1000).fit(x[fold != k], labels[fold != k])
                right[fold == k] = model.predict(x[fold == k]) == labels[fold == k]
            best = max(best, right, key=np.mean)
    return best


def _trained(
    model: Any, x: Tensor, labels: Tensor, encode: Encode, epochs: int, batch: int, surrogate: bool = True
) -> Callable[[Tensor, Tensor], tuple[np.ndarray, rv.nn.Operations]]:
    """Train; returns a function that says which of other examples are right, and what that took."""
    if not surrogate:
        model[:-1].requires_grad_(False)
    pairs = torch.utils.data.TensorDataset(x, labels)
    batches = torch.utils.data.DataLoader(pairs, batch_size=batch, shuffle=True)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, epochs * len(batches), pct_start=0.2)
    learner = BPTT(model, membrane_cross_entropy, optimizer, encode=encode)
    rv.fit(learner, batches, epochs, schedule=schedule, progress=False)
    model.eval()

    def test(x: Tensor, labels: Tensor) -> tuple[np.ndarray, rv.nn.Operations]:
        right = []
        with torch.no_grad(), rv.nn.count_operations(model) as counted:
            for some, answers in zip(x.split(100), labels.split(100), strict=True):
                out = model(encode(some))
                y = out[0] if isinstance(out, tuple) else out
                right += [accuracy(y[:, k : k + 1], answers[k : k + 1]) for k in range(len(answers))]
        return np.array(right), counted

    return test


def bars(material: dict[str, Any]) -> Figure:
    """Accuracies, where they were measured."""
    figure, axis = canvas(5.2, 2.6)
    shown = {"MNIST, spikes": "mnist", "MNIST, rectifiers": "mnist_plain", "N-MNIST, spikes": "nmnist",
             "N-MNIST, linear": "nmnist_linear"}  # fmt: skip
    for k, metric in enumerate(shown.values()):
        value = material[metric]
        axis.barh(k, 100 * (value or 0.0), color=COLOURS[k % 2], height=0.6)
        axis.annotate("not measured" if value is None else f"{100 * value:.1f} %", (2, k), va="center", fontsize=7)
    axis.set_yticks(range(len(shown)), list(shown))
    axis.set(xlim=(0, 100), xlabel="right on unseen examples (%)")
    axis.invert_yaxis()
    return figure


SURVEY = "Eshraghian et al. (2023), and the survey of Tavanaei et al. (2019)"

CLAIMS = (
    Claim(
        "784-500-300-10 spiking neurons, at most one spike a pixel, classify 98 % of MNIST's test images.",
        SURVEY, "mnist", AtLeast(0.98), 0.0, "none: a bound",
        {"only": "mnist", "surrogate": False},
        only="MNIST",
    ),
    Claim(
        "That is within two points of rectifiers of the same shape, trained alike.",
        SURVEY, "mnist_gap", AtMost(0.02), 0.0, "none: a bound",
        {"only": "mnist", "surrogate": False},
        only="MNIST",
    ),
    Claim(
        "It takes fewer synaptic operations than the rectifiers take multiply–accumulates.",
        SURVEY, "mnist_operations", AtMost(1.0), 0.0, "none: counted",
        {"only": "mnist", "code": "rate", "epochs": 1},
        only="MNIST",
    ),
    Claim(
        "On a thousand N-MNIST recordings spiking neurons are right where a linear classifier of each pixel's events "
        "is not: three points more, by cross-validation.",
        "Orchard et al. (2015) for the data; the claim is this entry's", "nmnist_gain", AtLeast(0.03), 0.0,
        "none: a bound; nmnist_gain_error holds three standard errors of the paired difference",
        {"only": "nmnist", "surrogate": False},
        only="N-MNIST",
    ),
)  # fmt: skip

register(
    Experiment(
        name="surrogate_training_mnist",
        title="Surrogate gradients on MNIST and on its event-camera recordings",
        paper="J. K. Eshraghian et al. (2023). Training spiking neural networks using lessons from deep learning. "
        "Proc. IEEE 111:1016-1054.",
        doi="10.1109/JPROC.2023.3308088",
        summary="Needs the data: see RANVIER_DATA in the module's first lines. Nets and schedules were chosen on "
        "parts of the training sets; the test sets are read by this entry alone. No augmentation.",
        claims=CLAIMS,
        measure=measure,
        pictures={"Accuracy on unseen examples.": bars},
    )
)
