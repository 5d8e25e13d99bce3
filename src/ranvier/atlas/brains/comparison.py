"""Brain areas against the layers of a trained network: which measures find the layer that cells were drawn from?"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.analysis.comparison import bootstrap, cka, noise_ceiling, pseudo_depth, rsa, ssm, svcca
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, digits, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

IMAGES, LAYERS, WIDTH, NOISE = 118, 6, 96, 3.0  # as many images as in the paper


def measure(
    seed: int, size: Size, mixed: bool = False, parallel: bool = False, cells: int = 2000, few: int = 10,
    repeats: int = 50, noise: float = 3.0,
) -> dict[str, Any]:
    """Planted areas of 2000 cells (or `cells`), their best layers, and what few cells, repeats and images do to them.

    mixed: whether an area's images come in another order than the network's. parallel: whether the "serial" areas all
    are drawn from one layer. few: in place of the 10 cells. repeats: of each image, averaged. noise: of the trials
    whose ceiling is taken.
    """
    draws = {"small": 12, "full": 200}[size]
    rng = np.random.default_rng(seed)
    layers = network(seed)
    first, second = [x[:IMAGES] for x in layers], [x[IMAGES : 2 * IMAGES] for x in layers]
    order = rng.permutation(IMAGES) if mixed else np.arange(IMAGES)
    by_cells = {n: _near(rng, first, order, n, repeats, draws) for n in sorted({few, 50, 300, cells})}
    drop = np.mean([ssm(_area(rng, x, cells, repeats)[order], x) - ssm(_area(rng, x, few, repeats)[order], x)
                    for x in first])  # fmt: skip
    ladder = [_area(rng, first[2 if parallel else k], 300, repeats)[order] for k in range(LAYERS)]
    depths = np.array([pseudo_depth(area, first, ssm).layer for area in ladder])
    flat = np.array([pseudo_depth(_area(rng, first[2], 300, repeats)[order], first, ssm).layer for _ in range(LAYERS)])
    area = _area(rng, first[3], 300, repeats)[order]
    by_repeats = {}
    for n in (2, 10, 50):
        trials = first[3] @ _weights(rng, 300) + noise * rng.standard_normal((n, IMAGES, 300))
        by_repeats[n] = noise_ceiling(trials, ssm, splits=3)[0]
    other = [pseudo_depth(_area(rng, x, 300, repeats)[order], second, ssm).layer for x in second]
    measures = {"SSM": ssm, "SVCCA": svcca, "CKA": cka, "RSA": lambda a, b: rsa(a, b, metric="euclidean")}
    curves = {name: pseudo_depth(area, first, m).scores for name, m in measures.items()}
    spread = bootstrap(area, first[3], cka, draws=10 if size == "small" else 200, seed=seed).std()
    slope = float(np.polyfit(np.arange(LAYERS), depths, 1)[0])
    return {
        "near": by_cells[cells], "near_50": by_cells[50], "near_10": by_cells[few],
        "drop": float(drop), "serial": slope,
        "parallel": float(np.polyfit(np.arange(LAYERS), flat, 1)[0]),
        "ceiling_gain": by_repeats[50] - by_repeats[2], "agreement": float(np.abs(depths - other).mean()),
        "spread": float(spread), "curves": curves, "by_cells": by_cells, "by_repeats": by_repeats,
    }  # fmt: skip


def _near(
    rng: np.random.Generator, layers: list[np.ndarray], order: np.ndarray, cells: int, repeats: int, draws: int
) -> float:
    """Share of draws in which the best layer is the planted one, or next to it."""
    right = 0
    for k in range(draws):
        truth = k % LAYERS
        right += abs(pseudo_depth(_area(rng, layers[truth], cells, repeats)[order], layers, ssm).layer - truth) <= 1
    return right / draws


def _area(rng: np.random.Generator, layer: np.ndarray, cells: int, repeats: int) -> np.ndarray:
    """Cells that weigh a layer's units at random, with noise averaged over repeats."""
    signal = layer @ _weights(rng, cells)
    return signal + NOISE / np.sqrt(repeats) * rng.standard_normal(signal.shape)


def _weights(rng: np.random.Generator, cells: int) -> np.ndarray:
    return rng.standard_normal((WIDTH, cells)) * (rng.random((WIDTH, cells)) < 0.2) / np.sqrt(0.2 * WIDTH)


@lru_cache(maxsize=1)
def network(seed: int) -> list[np.ndarray]:
    """Responses (images, units), of unit variance, of each layer of a network trained on digits, to test images."""
    import torch
    from torch import nn

    data = digits(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = [64] + [WIDTH] * LAYERS
        layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        readout = nn.Linear(WIDTH, 10)
        optimizer = torch.optim.Adam([*layers.parameters(), *readout.parameters()], 2e-3)
        x, y = data.x.float(), data.y
        for _ in range(25):
            for part in torch.randperm(len(x)).split(100):
                h = x[part]
                for layer in layers:
                    h = torch.relu(layer(h))
                optimizer.zero_grad()
                nn.functional.cross_entropy(readout(h), y[part]).backward()
                optimizer.step()
        responses, h = [], data.x_test.float()
        with torch.no_grad():
            for layer in layers:
                h = torch.relu(layer(h))
                responses.append((h / h.std()).double().numpy())
    return responses


def layer_curves(material: dict[str, Any]) -> Figure:
    """Each measure's score of every layer, for cells drawn from the fourth; and how cells and repeats matter."""
    figure, (row,) = canvas(9, 2.8, 1, 3)
    for colour, (name, scores) in zip(COLOURS, material["curves"].items()):
        row[0].plot(np.arange(1, LAYERS + 1), scores, "o-", ms=3, color=colour, label=name)
    row[0].set(xlabel="layer", ylabel="likeness")
    row[0].legend()
    for axis, name, label in ((row[1], "by_cells", "cells"), (row[2], "by_repeats", "repeats")):
        axis.plot(list(material[name]), list(material[name].values()), "o-", color=COLOURS[0])
        axis.set(xscale="log", xlabel=label, ylim=(0, 1.02))
    row[1].set_ylabel("best layer within one")
    row[2].set_ylabel("noise ceiling (SSM)")
    return figure


SHI = "Shi, Shea-Brown & Buice (2019)"
register(
    Experiment(
        name="comparison",
        title="Which layer is an area like?",
        paper="J. Shi, E. Shea-Brown and M. Buice (2019). Comparison against task driven artificial neural networks "
        "reveals functional properties in mouse visual cortex. NeurIPS 32.",
        summary="Cells are drawn from the layers of a network trained on digits, and noise is added. The similarity of "
        "similarity matrices finds the layer, from enough cells; serial and parallel hierarchies are distinguished.",
        claims=(
            Claim("Of 2000 cells and 118 images the best layer is right within one in nine draws of ten.", SHI, "near",
                  AtLeast(0.9), 0.0, "a bound", {"mixed": True}),
            Claim("Ten cells are less like their own layer, by a fifth or more.", SHI + ", on numbers of neurons",
                  "drop", AtLeast(0.2), 0.0, "a bound on the fall of the SSM", {"few": 2000}),
            Claim("Areas in a chain have pseudo-depths that rise, layer by layer.", SHI, "serial", AtLeast(0.6), 0.0,
                  "1 by construction, and neighbours mistaken", {"parallel": True}),
            Claim("More repeats raise the noise ceiling.", SHI + ", on repeats", "ceiling_gain", AtLeast(0.2), 0.0,
                  "a bound", {"noise": 0.0}),
            Claim("Another set of images gives the same layers: half a layer apart, in the mean.",
                  SHI + ", on disjoint images", "agreement", AtMost(0.5), 0.0, "a bound", {"mixed": True}),
        ),
        measure=measure,
        pictures={"Likeness by layer; what cells and repeats do.": layer_curves},
    )
)  # fmt: skip
