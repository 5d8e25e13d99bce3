"""Quadratic neurons: what one of them can do, and the start that keeps deep networks of them from diverging."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH, WIDTH = 8, 16


def layer(kind: str, start: str, inputs: int, outputs: int) -> nn.Module:
    """Quadratic neurons or their linear twins."""
    return rv.nn.QuadraticLinear(inputs, outputs, start=start) if kind == "quadratic" else nn.Linear(inputs, outputs)


def train(
    model: nn.Module, x: Tensor, labels: Tensor, steps: int, lr: float, quadratic_lr: float
) -> tuple[float, bool]:
    """Accuracy after gradient descent on the logistic loss, and whether it diverged: a loss that is not finite."""
    groups: Any = model.parameters()
    if any(isinstance(m, rv.nn.QuadraticLinear) for m in model.modules()):
        groups = rv.nn.quadratic_groups(model, lr, quadratic_lr)
    optimizer = torch.optim.SGD(groups, lr)
    for _ in range(steps):
        loss = nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], labels)
        if not math.isfinite(loss.item()):
            return 0.0, True
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float(((model(x)[:, 0] > 0) == (labels > 0)).double().mean()), False


def ring(points: int) -> tuple[Tensor, Tensor]:
    """Points of a disc's inside, and of a ring around it."""
    labels = (torch.arange(points) % 2).float()
    radius = 0.5 + labels + 0.12 * torch.randn(points)
    angle = 2 * math.pi * torch.rand(points)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1), labels


def measure(
    seed: int, size: Size, kind: str = "quadratic", start: str = "relinear", ring_lr: float = 0.2, depth: int = DEPTH,
    width: int = 2,
) -> dict[str, Any]:
    """Share of seeds in which a neuron solves XOR; share that diverge; accuracy on the ring beside linear twins."""
    runs = {"small": 4, "full": 20}[size]
    solved = exclusive_or(seed, runs, kind)
    diverged, random_diverged = (divergence(seed, runs, first, depth) for first in (start, "random"))
    linear = ring_scores(seed, runs, "linear", width, 0.2)
    quadratic = ring_scores(seed, runs, "quadratic", width, ring_lr)
    gain = torch.tensor(quadratic) - torch.tensor(linear)
    return {
        "xor": solved,
        "diverged": diverged,
        "random_diverged": random_diverged,
        "ring": sum(quadratic) / runs,
        "ring_linear": sum(linear) / runs,
        "ring_gain": float(gain.mean()),
        "ring_gain_error": float(gain.std() / runs**0.5),
        "scores": {"linear": linear, "quadratic": quadratic},
        "seed": seed,
    }


@cache  # mutants share what they do not change
def exclusive_or(seed: int, runs: int, kind: str) -> float:
    """Share of neurons that solve XOR."""
    torch.manual_seed(seed)
    x, labels = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]), torch.tensor([0.0, 1.0, 1.0, 0.0])
    return sum(train(layer(kind, "relinear", 2, 1), x, labels, 200, 0.2, 0.2)[0] == 1.0 for _ in range(runs)) / runs


@cache
def divergence(seed: int, runs: int, start: str, depth: int) -> float:
    """Share of deep quadratic networks that diverge."""
    diverged = 0
    for run in range(runs):
        torch.manual_seed(1000 * seed + run)
        data = ring(200)
        hidden = [m for a, b in pairwise([2, *[WIDTH] * (depth - 1)])
                  for m in (layer("quadratic", start, a, b), nn.ReLU())]  # fmt: skip
        model = nn.Sequential(*hidden, layer("quadratic", start, WIDTH, 1))
        diverged += train(model, *data, 40, 0.1, 1e-5)[1]
    return diverged / runs


@cache
def ring_scores(seed: int, runs: int, kind: str, width: int, quadratic_lr: float) -> list[float]:
    """Accuracy on the ring of networks with one hidden layer."""
    scores = []
    for run in range(runs):
        torch.manual_seed(1000 * seed + run)
        points, side = ring(200)
        model = nn.Sequential(layer(kind, "relinear", 2, width), nn.ReLU(), layer(kind, "relinear", width, 1))
        scores.append(train(model, points, side, 300, 0.2, quadratic_lr)[0])
    return scores


def ring_task(material: dict[str, Any]) -> Figure:
    """The task, and both networks' accuracy, seed by seed."""
    torch.manual_seed(material["seed"])
    x, labels = ring(400)
    figure, axes = canvas(7, 3, 1, 2)
    left, right = axes[0]
    for label, colour in ((0, COLOURS[0]), (1, COLOURS[1])):
        left.scatter(*x[labels == label].T, s=5, color=colour, lw=0)
    left.set(aspect="equal", xlabel="x₁", ylabel="x₂")
    scores = material["scores"]
    for a, b in zip(scores["linear"], scores["quadratic"], strict=True):
        right.plot([0, 1], [a, b], "o-", color=COLOURS[5], mfc=COLOURS[0], mec="none", ms=5, lw=0.8)
    right.set(xticks=[0, 1], xticklabels=["linear", "quadratic"], xlim=(-0.3, 1.3), ylim=(0.45, 1.02))
    right.set_ylabel("accuracy")
    return figure


PAPER = "Fan et al. 2021, arXiv 2110.06081"

register(
    Experiment(
        name="quadratic",
        title="Quadratic neurons and ReLinear",
        paper="F. Fan, M. Li, F. Wang, R. Lai and G. Wang (2021). On expressivity and trainability of quadratic "
        "networks. arXiv 2110.06081.",
        summary="A neuron of second order separates what a linear one cannot. Deep networks of them diverge unless "
        "they begin as linear ones, with a slow rate for what is quadratic.",
        claims=(
            Claim(
                "One quadratic neuron learns exclusive or, whatever its start.",
                PAPER, "xor", 1.0, 0.0, "a share of runs", {"kind": "linear"},
            ),
            Claim(
                "Begun as its linear twin, a deep quadratic network never diverges.",
                PAPER, "diverged", 0.0, 0.0, "a share of runs", {"start": "random"},
            ),
            Claim(
                "Begun at random, it does, at the same depth and rates.",
                PAPER, "random_diverged", AtLeast(0.9), 0.0, "no number in the paper; nearly all runs", {"depth": 2},
            ),
            Claim(
                "On rings a small quadratic network beats its linear twin.",
                PAPER, "ring_gain", AtLeast(0.1), 0.0, "no number in the paper; a tenth of all points",
                {"ring_lr": 0.0},
            ),
            Claim(
                "The linear twin, of two hidden neurons, does not learn the rings.",
                PAPER, "ring_linear", AtMost(0.9), 0.0, "two half-planes of a disc within a ring", {"width": 16},
            ),
        ),
        measure=measure,
        pictures={"The rings, and both networks' accuracy, a line a seed.": ring_task},
    )
)  # fmt: skip
