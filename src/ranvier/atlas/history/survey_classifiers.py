"""A survey of classifiers on the same digits: perceptrons, convolutions, recurrence, segmentation, and P(y|x)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.atlas import AtLeast, AtMost, Claim, Digits, Experiment, Size, digits, gallery, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def measure(
    seed: int, size: Size, hidden: bool = True, shared: bool = True, memory: bool = True, field: int = 3,
    calibrated: bool = True,
) -> dict[str, Any]:
    """Held-out accuracies of an MLP, a CNN and an RNN, overlap of a segmentation, excess loss on a known law.

    hidden: whether the MLP's neurons are non-linear, on classes that need it. shared: whether the CNN's weights are
    the same at all places. memory: whether the RNN's state lasts. field: width of the segmentation's kernels.
    calibrated: whether the logistic model's probabilities are its own, else sharpened threefold.
    """
    overlap, rows = segmentation(seed, size, field)
    return {
        "mlp": parity(seed, size, hidden),
        "shift": shift(seed, shared),
        "rnn": recurrent(seed, size, memory),
        "overlap": overlap,
        "excess": excess(seed, {"small": 300, "full": 3000}[size], calibrated),
        "excess_error": {"small": 0.25, "full": 0.08}[size],
        "rows": rows,
    }


def begin(seed: int, size: Size) -> tuple[Digits, torch.Generator, int]:
    """Digits in single precision, a random stream, and epochs; the global stream is begun again, too."""
    torch.manual_seed(seed)
    data = digits(seed)
    n = {"small": 800, "full": 1400}[size]
    data = Digits(data.x[:n].float(), data.y[:n], data.x_test.float(), data.y_test)
    return data, torch.Generator().manual_seed(seed), {"small": 8, "full": 40}[size]


@lru_cache(maxsize=4)
def parity(seed: int, size: Size, hidden: bool) -> float:
    """Accuracy of a multi-layer perceptron on even against odd digits."""
    data, generator, epochs = begin(seed, size)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU() if hidden else nn.Identity(), nn.Linear(64, 2))
    fit(net, data.x, data.y % 2, epochs, generator)
    return accuracy(net, data.x_test, data.y_test % 2)


def shift(seed: int, shared: bool) -> float:
    """Largest change of a convolutional network's outputs when an image moves within an empty margin."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1) if shared else Local(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, 10),
    )  # fmt: skip
    image = F.pad(torch.rand(4, 1, 4, 4), (2, 2, 2, 2))
    with torch.no_grad():
        return float((net(image) - net(image.roll((1, -1), (2, 3)))).abs().max())


@lru_cache(maxsize=4)
def recurrent(seed: int, size: Size, memory: bool) -> float:
    """Accuracy of a recurrent network on digits."""
    data, generator, epochs = begin(seed, size)
    net = RowReader(memory)
    fit(net, data.x, data.y, epochs, generator)
    return accuracy(net, data.x_test, data.y_test)


class Local(nn.Module):
    """A convolution whose weights differ from place to place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.3 * torch.randn(channels, 9, 64))

    def forward(self, x: Tensor) -> Tensor:
        return (F.unfold(x, 3, padding=1)[:, None] * self.weight).sum(2).unflatten(2, (8, 8))


class RowReader(nn.Module):
    """A recurrent network that sees a digit row by row, and names it after the last."""

    def __init__(self, memory: bool) -> None:
        super().__init__()
        self.cell, self.read, self.memory = nn.GRU(8, 48), nn.Linear(48, 10), memory

    def forward(self, x: Tensor) -> Tensor:
        sequence = x.unflatten(1, (8, 8)).movedim(1, 0)  # (T, B, 8)
        return self.read(self.cell(sequence if self.memory else sequence[-1:])[0][-1])


def fit(model: nn.Module, x: Tensor, y: Tensor, epochs: int, generator: torch.Generator) -> None:
    """Adam on the cross-entropy of batches of 32."""
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(32):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float((model(x).argmax(1) == y).double().mean())


@lru_cache(maxsize=4)
def segmentation(seed: int, size: Size, width: int) -> tuple[float, Any]:
    """Intersection over union of strokes found in digits under noise as strong as they are; and some of them."""
    data, generator, epochs = begin(seed, size)
    clean = (data.x[:400] > 0.4).float().unflatten(1, (1, 8, 8))
    noisy = clean + torch.randn(clean.shape, generator=generator) * 0.6
    pad = width // 2
    net = nn.Sequential(
        nn.Conv2d(1, 16, width, padding=pad), nn.ReLU(), nn.Conv2d(16, 16, width, padding=pad), nn.ReLU(),
        nn.Conv2d(16, 1, 1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(2 * epochs):
        for rows in torch.randperm(300, generator=generator).split(32):
            loss = F.binary_cross_entropy_with_logits(net(noisy[rows]), clean[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        result = (net(noisy[300:]) > 0).float()
    truth = clean[300:]
    union = ((result + truth) > 0).sum()
    images = torch.stack([noisy[300:308], result[:8], truth[:8]]).flatten(2)
    return float((result * truth).sum() / union), images.numpy()


@lru_cache(maxsize=4)
def excess(seed: int, trials: int, calibrated: bool, n: int = 400, d: int = 4) -> float:
    """2 n/d times the mean held-out KL divergence of the population's P(y|x) from a logistic model's fitted to n draws.

    The expectation is 1 to first order in d/n (Akaike 1973; White 1982), as the population is logistic.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = torch.tensor([1.0, -1.0, 0.5, 0.0], dtype=torch.float64)
    x = torch.randn(trials, n, d, dtype=torch.float64, generator=generator)
    p = torch.sigmoid(x @ weights)
    y = (torch.rand(p.shape, dtype=torch.float64, generator=generator) < p).double()
    w = torch.zeros(trials, d, dtype=torch.float64)
    for _ in range(8):  # Newton's method
        q = torch.sigmoid((x @ w[:, :, None])[:, :, 0])
        slope = (x * (y - q)[:, :, None]).sum(1)
        curvature = (x * (q * (1 - q))[:, :, None]).mT @ x
        w = w + torch.linalg.solve(curvature, slope)
    new = torch.randn(4000, d, dtype=torch.float64, generator=generator)
    p = torch.sigmoid(new @ weights)[:, None]
    logits = (1.0 if calibrated else 3.0) * new @ w.T
    loss = F.binary_cross_entropy_with_logits(logits, p.expand_as(logits))
    entropy = F.binary_cross_entropy(p, p)
    return float(2 * n / d * (loss - entropy))


def strokes(material: dict[str, Any]) -> Figure:
    """Noisy digits, what the network marks, and the truth."""
    return gallery(6, 2.6, material["rows"], ["input", "marked", "truth"], 0, 1)[0]


register(
    Experiment(
        name="survey_classifiers",
        title="A survey: classifiers",
        paper="C. Seitz (2021). Stochastic computation in recurrent networks of spiking neurons (slides); H. White "
        "(1982). Maximum likelihood estimation of misspecified models. Econometrica 50:1-25; Y. LeCun et al. (1989). "
        "Neural Comput. 1:541-551; J. L. Elman (1990). Cogn. Sci. 14:179-211.",
        summary="Multi-layer, convolutional and recurrent networks and a segmentation, on one set of digits; and what "
        "all of them compute, P(y|x), held against a population that is known.",
        claims=(
            Claim(
                "Hidden neurons tell even digits from odd ones.",
                "a survey of architectures", "mlp", AtLeast(0.925), 0.0,
                "2.3 standard errors (1.1 %) below .950, the mean of seeds 10 to 13", {"hidden": False},
                ours=True,
            ),
            Claim(
                "A convolution and a mean over places do not notice a shift.",
                "LeCun et al. (1989)", "shift", AtMost(0.0), 1e-5, "rounding in single precision", {"shared": False},
            ),
            Claim(
                "A recurrent network names digits that it reads row by row.",
                "Elman (1990)", "rnn", AtLeast(0.8), 0.0,
                "3.2 deviations (.034) below .909, the mean of seeds 10 to 13",
                {"memory": False},
                ours=True,
            ),
            Claim(
                "Segmentation marks strokes by their neighbourhood under noise that hides single pixels.",
                "a survey of architectures", "overlap", AtLeast(0.64), 0.0,
                "a tenth below .71, the mean of seeds 10 to 13", {"field": 1},
                ours=True,
            ),
            Claim(
                "Trained on n draws, P(y|x) is d/2n away from the population's, in nats.",
                "White (1982): the expected divergence of a model that holds", "excess", 1.0, "excess_error",
                "four standard errors of a chi-squared mean, and order d/n", {"calibrated": False},
            ),
        ),
        measure=measure,
        pictures={"Segmentation of digits under noise.": strokes},
    )
)  # fmt: skip
