"""Neuron paths of a vision transformer: found greedily, held against other ways to choose, and against all paths."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, digits, register
from ranvier.atlas.interpretation._vision import images, vision_transformer
from ranvier.interpret import NeuronPaths, baseline_paths, edit, mlps, neuron_paths, path_overlap, path_scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

IMAGES = {"small": 60, "full": 397}
STEPS = {"small": 450, "full": 3000}
NAMES = ["0", "1", "2"]  # layers of the perceptron
LEFT = 2  # of 16 neurons a layer, where only a class's paths are left


def measure(
    seed: int, size: Size, kind: str = "path", rule: str = "gauss", part: str = "all", keep: str = "most"
) -> dict[str, Any]:
    """Joint attribution of greedy paths beside other paths, what zeroing and keeping them does, and completeness.

    kind: "path", or "activation", "random" to put such paths in their place. rule: of the path integral where
    completeness is measured. keep: the neurons that a class's paths use "most", or "least". part: "all", or
    "completeness", "keeping" or "choice" alone.
    """
    model = vision_transformer(seed, steps=STEPS[size])
    data, number = digits(seed), IMAGES[size]
    x, y = images(data.x_test)[:number], data.y_test[:number]
    names = ("beats_activation", "beats_random", "rank", "drop", "drop_gradient", "overlap", "pruned_gain", "residue")
    metrics: dict[str, Any] = dict.fromkeys(names)
    if part in ("all", "completeness"):
        metrics["residue"] = residue(model, x[:20], y[:20], rule)
    if part in ("all", "keeping"):
        metrics["pruned_gain"] = pruned_gain(model, seed, keep == "most")
    if part not in ("all", "choice"):
        return metrics
    paths = chosen(model, x, y, kind, seed)
    scores = path_scores(model, x, paths.units, targets=y)
    rivals = others(model, seed, number)
    for one in ("activation", "random"):
        metrics[f"beats_{one}"] = float((scores.scores >= rivals[one].scores).double().mean())
    metrics["drop"] = float(scores.change.mean() / rivals["activation"].change.mean())
    metrics["drop_gradient"] = float(scores.change.mean() / rivals["gradient"].change.mean())
    within, between = path_overlap(paths)
    metrics["overlap"] = within - between
    metrics["rank"] = rank(seed, kind)
    metrics["sizes"] = {"path": scores.change, **{one: rival.change for one, rival in rivals.items()}}
    return metrics


@cache  # the same for every choice
def others(model: nn.Module, seed: int, number: int) -> dict[str, Any]:
    """Scores of other ways to choose paths, of the first `number` test images."""
    data = digits(seed)
    x, y = images(data.x_test)[:number], data.y_test[:number]
    units = {one: chosen(model, x, y, one, seed + 1).units for one in ("activation", "gradient", "random")}
    return {one: path_scores(model, x, some, targets=y) for one, some in units.items()}


def chosen(model: nn.Module, x: Tensor, y: Tensor, kind: str, seed: int) -> NeuronPaths:
    if kind == "path":
        return neuron_paths(model, x, targets=y)
    return baseline_paths(model, x, kind, targets=y, seed=seed)  # type: ignore[arg-type]


def residue(model: nn.Module, x: Tensor, y: Tensor, rule: str) -> float:
    """How far contributions are from adding up to the change of the probability, at worst; float64."""
    units = neuron_paths(model, x, targets=y).units
    model = model.double()
    try:
        result = path_scores(model, x.double(), units, targets=y, rule=rule)  # type: ignore[arg-type]
    finally:
        model.float()
    return float((result.contributions.sum(1) - result.change).abs().max())


@cache
def pruned_gain(model: nn.Module, seed: int, most: bool) -> float:
    """Accuracy with the neurons alone that a class's paths use most (or least), chosen on training images,
    minus that with random sets of the same size; on test images of that class."""
    data = digits(seed)
    train, test = images(data.x), images(data.x_test)
    gains = []
    for digit in range(10):
        x, held_out = train[data.y == digit][:15], test[data.y_test == digit]
        paths = neuron_paths(model, x, targets=torch.full((len(x),), digit))
        counts = [torch.bincount(column, minlength=16) for column in paths.units.T]
        sets = [[c.argsort(descending=most, stable=True)[:LEFT] for c in counts]]
        generator = torch.Generator().manual_seed(seed + digit)
        sets += [[torch.randperm(16, generator=generator)[:LEFT] for _ in counts] for _ in range(6)]
        right = [accuracy_with(model, held_out, digit, one) for one in sets]
        gains.append(right[0] - sum(right[1:]) / 6)
    return sum(gains) / 10


def accuracy_with(model: nn.Module, x: Tensor, digit: int, units: list[Tensor]) -> float:
    with edit(model) as change, torch.no_grad():
        for mlp, some in zip(mlps(model), units, strict=True):
            others = torch.ones(16, dtype=torch.bool)
            others[some] = False
            change.ablate(mlp.neurons, others.nonzero()[:, 0])
        return float((model(x).logits.argmax(1) == digit).double().mean())


@cache
def perceptron(seed: int) -> nn.Module:
    """Three layers of 16 neurons that know the digits."""
    torch.manual_seed(seed)
    sizes = (64, 16, 16, 16)
    blocks = [nn.Sequential(nn.Linear(a, b), nn.GELU()) for a, b in pairwise(sizes)]
    model = nn.Sequential(*blocks, nn.Linear(16, 10))
    data = digits(seed)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        loss = nn.functional.cross_entropy(model(data.x.float()), data.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def rank(seed: int, kind: str) -> float:
    """The mean share of all 4096 paths of the perceptron whose joint score is not above that of the path chosen."""
    model, data = perceptron(seed), digits(seed)
    shares = []
    for k, scores in enumerate(every_score(seed)):
        one, target = data.x_test[k : k + 1].float(), data.y_test[k : k + 1]
        if kind == "path":
            path = neuron_paths(model, one, NAMES, targets=target, token=None)
        else:
            path = baseline_paths(model, one, kind, NAMES, targets=target, token=None, seed=seed)  # type: ignore[arg-type]
        score = path_scores(model, one, path.units, NAMES, targets=target, token=None).scores
        shares.append(float((scores <= score + 1e-6).double().mean()))
    return sum(shares) / len(shares)


@cache
def every_score(seed: int) -> list[Tensor]:
    """Joint scores of the perceptron's 4096 paths, of each of four images."""
    model, data = perceptron(seed), digits(seed)
    every = torch.tensor(list(product(range(16), repeat=3)))
    return [
        path_scores(model, x.expand(len(every), -1), every, NAMES, targets=y.expand(len(every)), token=None).scores
        for x, y in zip(data.x_test[:4].float(), data.y_test[:4], strict=True)
    ]


def drops(metrics: dict[str, Any]) -> Figure:
    """How much of the answer's probability goes with each kind of path."""
    figure, axes = canvas(5, 3)
    sizes = metrics.get("sizes", {})
    for k, change in enumerate(sizes.values()):
        axes.bar(k, float(change.mean()), color=COLOURS[k])
    axes.set(xticks=range(len(sizes)), xticklabels=list(sizes), ylabel="loss of probability")
    return figure


PAPER, CHANCE = "NeuronPath 2025", {"kind": "random", "part": "choice"}
COIN = (
    "the bound is ours: equal scores reach it once in 750 draws of 60 images, and how far networks lie above it "
    "differs from one to the next"
)
register(
    Experiment(
        name="neuron_paths",
        title="Paths of neurons through a vision transformer",
        paper="NeuronPath (2025). Discovering influential neuron paths in vision transformers. ICLR 2025.",
        summary="One neuron a layer, chosen so that they carry the answer together: greedy search by a joint "
        "attribution score. The claims are the paper's unless they say otherwise; the bounds are ours, as are the "
        "networks, far smaller than its.",
        claims=(
            Claim(
                "The path's joint attribution is above that of the most active neurons in most images.",
                PAPER, "beats_activation", AtLeast(0.7), 0.0, COIN, CHANCE,
            ),
            Claim(
                "And above that of random paths.",
                PAPER, "beats_random", AtLeast(0.7), 0.0, COIN, CHANCE,
            ),
            Claim(
                "Among all 4096 paths of a perceptron of three layers the greedy path is within the best tenth.",
                "a bound of ours on the paper's greedy search, by brute force", "rank", AtLeast(0.9), 0.0,
                "a bound", CHANCE,
            ),
            Claim(
                "Setting the path to zero costs more of the answer's probability than setting the most active "
                "neurons to zero.",
                PAPER + ", removal of paths", "drop", AtLeast(1.0), 0.0, "equal costs", CHANCE,
            ),
            Claim(
                "It costs more than setting to zero the neurons of largest integrated gradient in each layer.",
                PAPER + ", removal of paths", "drop_gradient", AtLeast(1.0), 0.0, "equal costs", CHANCE,
            ),
            Claim(
                "Paths of images of one class share more neurons than paths of different classes.",
                PAPER + ", similarity of paths", "overlap", AtLeast(0.1), 0.0, "a tenth of the layers",
                CHANCE,
            ),
            Claim(
                "With only the neurons of a class's paths the network knows the class better than with as many "
                "random ones.",
                PAPER + ", pruning", "pruned_gain", AtLeast(0.02), 0.0, "one answer in fifty",
                {"keep": "least", "part": "keeping"},
            ),
            Claim(
                "Contributions along the path add up to the change of the answer's probability.",
                "Sundararajan et al. 2017, completeness", "residue", AtMost(0.0), 1e-4, "the quadrature's error",
                {"rule": "riemann", "part": "completeness"},
            ),
        ),
        measure=measure,
        pictures={"Loss of the answer's probability where paths are set to zero.": drops},
    )
)  # fmt: skip
