"""Neurons described in words: learned on one network's units, said of another's, and used to edit a third."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, canvas, register
from ranvier.interpret import (
    Captioner,
    Exemplars,
    activations,
    concept_overlap,
    describe,
    edit,
    exemplars,
    fit_captioner,
    pooled_features,
    token_f1,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

SHAPES, COLOUR_WORDS, TEXTURES = ("square", "disc", "cross"), ("red", "green", "blue"), ("plain", "striped")
WORDS = (*SHAPES, *COLOUR_WORDS, *TEXTURES, "glyph", "anything")
LAYERS = ("1", "4", "7")
SIDE, TOP = 16, 15


class Scenes(NamedTuple):
    """Images (N, 3, 16, 16), attributes (N, 4): shape, colour, texture, glyph; concepts (N, 9, 16, 16): where each
    word but the last is."""

    images: Tensor
    attributes: Tensor
    concepts: Tensor


@cache
def scenes(number: int, seed: int, spurious: bool = False) -> Scenes:
    """One object on noise, and a white glyph in a corner: in half of the images, or, spuriously, with the squares."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda high: torch.randint(high, (number,), generator=generator)  # noqa: E731
    shape, colour, texture, glyph = draw(3), draw(3), draw(2), draw(2)
    if spurious:
        glyph = torch.where(torch.rand(number, generator=generator) < 0.98, (shape == 0).long(), glyph)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    cy, cx = draw(5)[:, None, None] + 6, draw(5)[:, None, None] + 6
    dy, dx = (y - cy).abs(), (x - cx).abs()
    forms = torch.stack([(dy < 4) & (dx < 4), dy**2 + dx**2 < 20, ((dy < 2) | (dx < 2)) & (dy < 5) & (dx < 5)], 1)
    form = forms[torch.arange(number), shape]
    stripes = torch.where((texture[:, None, None] == 1) & (y % 2 == 0), 0.15, 1.0)
    images = 0.15 * torch.rand(number, 3, SIDE, SIDE, generator=generator)
    ink = torch.nn.functional.one_hot(colour, 3).float()[:, :, None, None]
    images = torch.where(form[:, None], ink * stripes[:, None], images)
    corner = (y < 3) & (x < 3) & ((y + x) % 2 == 0)
    images = torch.where((glyph[:, None, None, None] == 1) & corner, 1.0, images)
    concepts = torch.zeros(number, 9, SIDE, SIDE, dtype=torch.bool)
    for k, offset in ((shape, 0), (colour, 3), (texture, 6)):
        concepts[torch.arange(number), k + offset] = form
    concepts[:, 8] = corner & (glyph[:, None, None] == 1)
    return Scenes(images - 0.2, torch.stack([shape, colour, texture, glyph], 1), concepts)


@cache
def network(seed: int, task: str, width: int) -> nn.Module:
    """A convolutional net that tells all attributes, or "spurious": shapes, where squares have the glyph."""
    torch.manual_seed(seed)
    sizes = (3, 3, 2, 2) if task == "all" else (3,)
    model = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, sum(sizes)),
    )  # fmt: skip
    data = scenes(1200, seed, task == "spurious")
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    for _ in range(110):
        rows = torch.randint(len(data.images), (40,), generator=generator)
        parts = model(data.images[rows]).split(sizes, 1)
        loss = sum(nn.functional.cross_entropy(p, data.attributes[rows, k]) for k, p in enumerate(parts))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
    return model.eval()


class Units(NamedTuple):
    """A network's units: exemplars, pooled features and true captions of each layer, and each unit's best concept."""

    exemplars: list[Exemplars]
    features: list[Tensor]
    captions: list[str]
    concepts: list[list[str]]


@cache
def units_of(seed: int, net: tuple[int, str, int], data_seed: int) -> Units:
    """The units of `network(*net)` on separate images; features are those of the first network of `seed`."""
    model, data = network(*net), scenes(800, data_seed, net[1] == "spurious")
    record = activations(model, data.images.split(100), LAYERS)
    units = [exemplars(record, layer, top=TOP) for layer in LAYERS]
    features = [pooled_features(network(seed, "all", 16), data.images, one, LAYERS) for one in units]
    captions = [caption for one in units for caption in true_captions(one, data)]
    concepts = [
        [WORDS[int(k)]]
        for one in units
        for k in concept_overlap(record[one.layer], one.threshold, data.concepts).argmax(1)
    ]
    return Units(units, features, captions, concepts)


def true_captions(units: Exemplars, data: Scenes) -> list[str]:
    """What most of a unit's exemplars share: the glyph where masks lie on it, else words of the object."""
    captions = []
    for examples, masks in zip(units.examples, units.masks((SIDE, SIDE)), strict=True):
        on = masks.flatten(1).float().sum().clamp_min(1)
        if float((masks & data.concepts[examples, 8]).float().sum() / on) > 0.3:
            captions.append("glyph")
            continue
        words = []
        for column, names in ((2, TEXTURES), (1, COLOUR_WORDS), (0, SHAPES)):
            counts = torch.bincount(data.attributes[examples, column], minlength=len(names))
            if int(counts.max()) >= 0.8 * TOP:
                words.append(names[int(counts.argmax())])
        captions.append(" ".join(words) or "anything")
    return captions


@cache
def captioners(seed: int) -> tuple[Captioner, Captioner]:
    """p(d | E) and p(d), from the units of two networks."""
    known = [units_of(seed, (seed + k, "all", 16), seed + 50 + k) for k in range(2)]
    features = torch.cat([one for units in known for one in units.features])
    captions = [caption for units in known for caption in units.captions]
    torch.manual_seed(seed)
    model, prior = Captioner(WORDS, 72, hidden=48), Captioner(WORDS, 0, hidden=16)
    fit_captioner(model, features, captions, steps=200, seed=seed)
    fit_captioner(prior, None, captions, steps=100, rate=2e-2, seed=seed)
    return model, prior


def say(seed: int, units: Units, weight: float, blind: bool) -> list[Any]:
    """What is said of units; blind, of their features in another order."""
    captioner, prior = captioners(seed)
    features = torch.cat(units.features)
    if blind:
        features = features[torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))]
    return describe(captioner, prior, features, weight=weight, beam=20, length=4)


def measure(seed: int, size: Size, blind: bool = False, edited: str = "glyph", weight: float = 0.2) -> dict[str, Any]:
    """F1 of what is said of another network's units, beside dissection's best concept; and editing.

    weight: of p(d) in reranking. blind: whether the captioner gets another unit's exemplars. edited: which units are
    ablated, those said to be "glyph", or as many "random" ones.
    """
    units = units_of(seed, (seed + 9, "all", 20), seed + 77)
    f1, plain = (mean_f1([one.words for one in say(seed, units, w, blind)], units.captions) for w in (weight, 0.0))
    metrics: dict[str, Any] = {"f1": f1, "f1_plain": plain}
    metrics["f1_dissection"] = mean_f1(units.concepts, units.captions)
    metrics["gain_dissection"] = f1 - metrics["f1_dissection"]
    metrics["gain_reranking"] = f1 - plain
    return metrics | editing(seed, edited)


def mean_f1(said: list[Any], true: list[str]) -> float:
    return sum(token_f1(list(a), b.split()) for a, b in zip(said, true, strict=True)) / len(true)


@cache
def editing(seed: int, edited: str) -> dict[str, Any]:
    """Accuracy on shapes where the glyph misleads a net that relies on it: with all units, without its glyph units, and
    without as many others."""
    net = (seed + 5, "spurious", 16)
    model, test = network(*net), misleading(scenes(1200, seed + 99))
    said = say(seed, units_of(seed, net, seed + 88), 0.2, False)
    glyph = [k for k, one in enumerate(said) if "glyph" in one.words]
    generator = torch.Generator().manual_seed(seed)
    draws = [torch.randperm(len(said), generator=generator)[: len(glyph)].tolist() for _ in range(6)]
    before = accuracy(model, test, [])
    after = accuracy(model, test, glyph if edited == "glyph" else draws[0])
    others = sum(accuracy(model, test, draw) for draw in draws[1:]) / 5
    return {"ablated": len(glyph), "before": before, "after": after, "random": others, "advantage": after - others}


def misleading(data: Scenes) -> Scenes:
    """Squares without the glyph, and other shapes with it."""
    rows = (data.attributes[:, 0] == 0) != (data.attributes[:, 3] == 1)
    return Scenes(*(one[rows] for one in data))


def accuracy(model: nn.Module, data: Scenes, ablated: list[int]) -> float:
    with edit(model) as change, torch.no_grad():
        for layer, a, b in zip(LAYERS, (0, 16, 40), (16, 40, 72), strict=True):
            change.ablate(layer, [k - a for k in ablated if a <= k < b])
        return float((model(data.images).argmax(1) == data.attributes[:, 0]).double().mean())


def bars(metrics: dict[str, Any]) -> Figure:
    """F1 of descriptions, and accuracy before and after editing."""
    figure, axes = canvas(7, 2.8, 1, 2)
    for axis, names in zip(axes[0], (("f1", "f1_plain", "f1_dissection"), ("before", "after", "random")), strict=True):
        axis.bar(range(len(names)), [metrics[name] for name in names], color=COLOURS[0])
        axis.set(xticks=range(len(names)), xticklabels=names, ylim=(0, 1))
    return figure


PAPER = "Hernandez et al. 2022"
register(
    Experiment(
        name="milan",
        title="Neurons described in words",
        paper="E. Hernandez, S. Schwettmann, D. Bau, T. Bagashvili, A. Torralba & J. Andreas (2022). Natural language "
        "descriptions of deep visual features. ICLR 2022. arXiv 2201.11114.",
        summary="A captioner that saw the exemplars of some networks' units describes another's; units said to be a "
        "spurious feature are ablated.",
        claims=(
            Claim(
                "Trained on two networks' units, it says most words right of another's.",
                PAPER + ", generalisation across networks", "f1", AtLeast(0.8), 0.0, "four words in five",
                {"blind": True},
            ),
            Claim(
                "It describes units better than the one concept of largest overlap.",
                PAPER + ", against network dissection", "gain_dissection", AtLeast(0.1), 0.0, "one word in ten",
                {"blind": True},
            ),
            Claim(
                "Reranking by mutual information, with a weight of .2, says more words right than the likeliest "
                "caption.",
                PAPER + ", section 3.2", "gain_reranking", AtLeast(0.0), 0.0, "no loss", {"weight": 3.0},
            ),
            Claim(
                "Where a spurious feature misleads, a network is more accurate without the units said to be that "
                "feature than without as many others.",
                PAPER + ", section 5 (editing): + 4.9 points", "advantage", AtLeast(0.04), 0.0,
                "two standard errors of 600 images", {"edited": "random"},
            ),
        ),
        measure=measure,
        pictures={"F1 of descriptions, and accuracy before and after editing.": bars},
    )
)  # fmt: skip
