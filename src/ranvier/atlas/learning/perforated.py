"""Perforated backpropagation on parity and digits: dendrites that follow their neuron's error, random ones, none."""

from __future__ import annotations

import itertools
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import stats
from torch import nn

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, digits, register
from ranvier.learners import PerforatedBackpropagation, Plateau, count_dendrites, perforate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

BITS, HIDDEN, CYCLES = 4, 4, 3
WINDOWS = 8  # of learning in each phase


def measure(
    seed: int, size: Size, dendrites: str = "grown", larger: int = 5, parts: str = "parity digits frozen"
) -> dict[str, Any]:
    """Gains in accuracy over networks that learned as long: lower ends of 95 % intervals over paired seeds.

    dendrites: what replaces those that grew, "grown", "random" (frozen as drawn) or "none". larger: hidden units of
    the plain network that a perforated one of 4 is held against. parts: what is measured.
    """
    names = ("parity", "parity_gain", "parity_over_random", "gain", "over_random", "compression", "parameters", "still",
             "accuracy")  # fmt: skip
    metrics: dict[str, Any] = dict.fromkeys(names)
    arms = tuple(dict.fromkeys(("none", "random", dendrites)))
    if "parity" in parts:
        each = range(seed, seed + (3 if size == "small" else 20))
        scores = {kind: np.array([on_parity(s, kind) for s in each]) for kind in arms}
        metrics |= {"parity": float(scores[dendrites].mean()), "arms": scores}
        metrics["parity_gain"] = least(scores[dendrites] - scores["none"])
        metrics["parity_over_random"] = least(scores[dendrites] - scores["random"])
    if "digits" in parts and size == "full":
        each = range(seed, seed + 12)
        scores = {kind: np.array([on_digits(s, kind, HIDDEN) for s in each]) for kind in arms}
        wide = np.array([on_digits(s, "none", larger) for s in each])
        metrics |= {"accuracy": float(scores[dendrites].mean()), "digits": scores}
        metrics["gain"] = least(scores[dendrites] - scores["none"])
        metrics["over_random"] = least(scores[dendrites] - scores["random"])
        metrics["compression"] = least(scores[dendrites] - wide)
        metrics["parameters"] = parameters(HIDDEN, CYCLES) / parameters(larger, 0)
    if "frozen" in parts:
        metrics["still"] = movement(seed, dendrites)
    return metrics


def least(differences: np.ndarray) -> float:
    """Lower end of the mean's 95 % interval, by Student's t over paired seeds."""
    n = len(differences)
    return float(differences.mean() - stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n))


def network(seed: int, hidden: int) -> nn.Module:
    """Tanh units and a readout, all of which may have dendrites."""
    torch.manual_seed(seed)
    return perforate(nn.Sequential(nn.Linear(64, hidden), nn.Tanh(), nn.Linear(hidden, 10)), activation="tanh")


def learner(
    model: nn.Module, kind: str, cycles: int, window: int = 60, rate: float = 0.01
) -> PerforatedBackpropagation:
    """As many steps for the neurons in all arms; dendrites' own come on top, and leave the neurons as they are."""
    most = WINDOWS * (cycles + 1) if kind == "none" else WINDOWS
    return PerforatedBackpropagation(
        model, nn.functional.cross_entropy, torch.optim.Adam(model.parameters(), rate),
        cycles=0 if kind == "none" else cycles,
        neurons=Plateau(window, patience=most, most=most),
        dendrites=Plateau(window, patience=WINDOWS, most=0 if kind == "random" else WINDOWS),
        candidates=partial(torch.optim.Adam, lr=rate, eps=1e-20),
    )  # fmt: skip


@cache
def on_parity(seed: int, kind: str) -> float:
    """Share of the 16 patterns of four bits whose parity a layer of two neurons tells, with no hidden units at all."""
    x = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=BITS)))
    y = (x.prod(1) > 0).long()
    torch.manual_seed(seed)
    trained = learner(perforate(nn.Linear(BITS, 2), activation="tanh"), kind, BITS, 15, 0.05)
    while not trained.finished:
        trained.step((x, y))
    return trained.evaluate((x, y))["accuracy"]


@cache
def on_digits(seed: int, kind: str, hidden: int) -> float:
    """On held-out digits after all cycles."""
    data = digits(seed)
    x, y = data.x.float(), data.y
    trained = learner(network(seed, hidden), kind, CYCLES)
    order = torch.Generator().manual_seed(seed)
    while not trained.finished:
        batch = torch.randint(len(x), (64,), generator=order)
        trained.step((x[batch], y[batch]))
    return trained.evaluate((data.x_test.float(), data.y_test))["accuracy"]


def parameters(hidden: int, dendrites: int) -> int:
    """Of the network, with that many dendrites a neuron counted: their maps, links to each other and weights."""
    neurons = hidden + 10
    maps = hidden * 65 + 10 * (hidden + 1)
    return maps * (1 + dendrites) + neurons * (dendrites + dendrites * (dendrites - 1) // 2)


def movement(seed: int, dendrites: str) -> float:
    """Largest change of the network's output by growing dendrites and freezing them, before their weights learn."""
    data = digits(seed)
    x, y = data.x.float()[:256], data.y[:256]
    model = network(seed, 4)
    before = model(x)
    phase = Plateau(1, most=1)
    trained = PerforatedBackpropagation(
        model, nn.functional.cross_entropy, torch.optim.Adam(model.parameters(), 0.0), neurons=phase, dendrites=phase
    )
    for _ in range(2):
        trained.step((x, y))
    if count_dendrites(model) != 1:
        raise RuntimeError(f"the model has {count_dendrites(model)} dendrites a neuron; expected 1")
    if dendrites != "grown":  # what a dendrite that is heard at once would do
        model.state_dict()["0.dendrites.grown.0.weight"].fill_(1.0)
    return float((model(x) - before).detach().abs().max())


def bars(material: dict[str, Any]) -> Figure:
    """Accuracy of every seed, by arm."""
    figure, axes = canvas(4.4, 3.0)
    arms = material.get("digits", material["arms"])
    for k, values in enumerate(arms.values()):
        axes.plot(np.full(len(values), k) + np.linspace(-0.1, 0.1, len(values)), values, "o", ms=4, color=COLOURS[k])
    axes.set(xticks=range(len(arms)), xticklabels=list(arms), ylabel="accuracy")
    return figure


PAPER = "Brenner & Itti (2025), arXiv 2501.18018"
INTERVAL = "the interval of the mean over paired seeds"
FAHLMAN = "Fahlman & Lebiere (1990), NIPS 2:524, whose cascades learn parity"
RANDOM = {"dendrites": "random", "parts": "digits"}

register(
    Experiment(
        name="perforated",
        title="Perforated backpropagation",
        paper="R. Brenner & L. Itti (2025). Perforated Backpropagation: A Neuroscience Inspired Extension to "
        "Artificial Neural Networks. arXiv 2501.18018.",
        doi="10.48550/arXiv.2501.18018",
        summary="A trained network grows one dendrite a neuron, which learns to correlate with the neuron's error, is "
        "frozen, and then helps. On parity and on digits it does better than what learned as long without, and "
        "than with dendrites frozen as they were drawn.",
        claims=(
            Claim(
                "A layer without hidden units learns the parity of four bits, with four dendrites a neuron.",
                FAHLMAN, "parity", 1.0, 0.0, "all 16 patterns, in every seed",
                {"dendrites": "random", "parts": "parity"},
            ),
            Claim(
                "Without dendrites it cannot.",
                FAHLMAN, "parity_gain", AtLeast(0.25), 0.0, INTERVAL + "; half of what chance leaves",
                {"dendrites": "none", "parts": "parity"},
            ),
            Claim(
                "With dendrites frozen as they were drawn it cannot, either.",
                "control: ours", "parity_over_random", AtLeast(0.1), 0.0, INTERVAL + "; two of 16 patterns nearly",
                {"dendrites": "random", "parts": "parity"},
            ),
            Claim(
                "Dendrites make a network better at digits than as long a training without.",
                PAPER, "gain", AtLeast(0.0), 0.0, INTERVAL + ": .920 against .899 over nine, at least .013 better",
                {"dendrites": "none", "parts": "digits"},
                only="full size",
            ),
            Claim(
                "What they learned does that: dendrites frozen as drawn are not as good.",
                "control: ours", "over_random", AtLeast(0.0), 0.0,
                INTERVAL + ": .920 against .899 over nine, at least .011 better", RANDOM,
                only="full size",
            ),
            Claim(
                "A perforated network of 4 hidden units matches a plain one of 5.",
                PAPER + ": compression without a loss in accuracy", "compression", AtLeast(0.0), 0.01,
                "one point of accuracy: refuted, .920 against .926 over nine seeds, with 3.4 times the parameters",
                RANDOM,
                only="full size",
            ),
            Claim(
                "Growing a dendrite leaves the network as it is until its weight learns.",
                "the method's definition", "still", AtMost(0.0), 0.0, "exact",
                {"dendrites": "heard", "parts": "frozen"},
            ),
        ),
        measure=measure,
        pictures={"Accuracy of every seed, without dendrites, with random ones, with grown ones.": bars},
    )
)  # fmt: skip
