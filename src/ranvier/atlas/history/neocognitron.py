"""The neocognitron (1979): layers that find features, and layers that blur where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ranvier.atlas import AtLeast, AtMost, Claim, Experiment, Size, digits, gallery, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 14  # pixels of the retina; a digit takes 8


def measure(
    seed: int, size: Size, blur: bool = True, features: int = 48, both: bool = False
) -> dict[str, Any]:
    """Accuracy on digits where they were learnt, and shifted by up to two pixels, with cells C and without.

    blur: whether cells C pool over places. features: kinds of cells S. both: whether the retina itself is pooled.
    """
    rng = np.random.default_rng(seed)
    data = digits(seed)
    train, tests = {"small": (600, 200), "full": (1400, 397)}[size]
    x, y = data.x[:train].numpy().reshape(-1, 8, 8), data.y[:train].numpy()
    z, labels = data.x_test[:tests].numpy().reshape(-1, 8, 8), data.y_test[:tests].numpy()
    centre = np.full((tests, 2), 3)
    shifts = centre + np.array([(-2, 0), (2, 0), (0, 2), (0, -2)])[rng.integers(0, 4, tests)]
    images = {"learnt": place(x, np.full((train, 2), 3)), "centred": place(z, centre), "shifted": place(z, shifts)}
    templates = grow(rng, images["learnt"], features)
    responses = {name: respond(image, templates, blur) for name, image in images.items()}
    flat = {name: image.reshape(len(image), -1) for name, image in images.items()}

    def accuracy(parts: dict[str, np.ndarray], test: str) -> float:
        return float(np.mean(y[nearest(parts["learnt"], parts[test])] == labels))

    return {
        "centred": accuracy(responses, "centred"),
        "shifted": accuracy(responses, "shifted"),
        "pixels": accuracy(responses if both else flat, "shifted"),
        "rows": np.stack([flat["centred"][:8], flat["shifted"][:8]]),
    }


def place(x: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Digits (B, 8, 8) on a retina (B, SIDE, SIDE), each with its upper left corner at corner (B, 2)."""
    retina = np.zeros((len(x), SIDE, SIDE))
    for image, digit, (i, j) in zip(retina, x, corner, strict=True):
        image[i : i + 8, j : j + 8] = digit
    return retina


def patches(images: np.ndarray) -> np.ndarray:
    """(B, SIDE − 2, SIDE − 2, 9) of images (B, SIDE, SIDE)."""
    return sliding_window_view(images, (3, 3), (1, 2)).reshape(len(images), SIDE - 2, SIDE - 2, 9)


def grow(rng: np.random.Generator, images: np.ndarray, features: int) -> np.ndarray:
    """Templates (features, 9) of cells S, without labels: a patch unlike all cells so far becomes the next one."""
    samples = patches(images).reshape(-1, 9)
    samples = samples[samples.sum(1) > 1.0]
    samples = samples[rng.permutation(len(samples))[:3000]]
    samples /= np.linalg.norm(samples, axis=1, keepdims=True)
    chosen, likeness = [0], samples @ samples[0]
    for _ in range(features - 1):
        chosen.append(int(np.argsort(likeness)[len(likeness) // 50]))  # the oddest ones are noise
        likeness = np.maximum(likeness, samples @ samples[chosen[-1]])
    return samples[chosen]


def respond(images: np.ndarray, templates: np.ndarray, blur: bool) -> np.ndarray:
    """Cells C (B, ...): cells S of each template at each place, inhibited by the whole input there, then blurred over
    four places; without `blur`, cells S."""
    x = patches(images)
    S = np.maximum(x @ templates.T / (np.linalg.norm(x, axis=3, keepdims=True) + 0.5) - 0.6, 0)
    if not blur:
        return S.reshape(len(S), -1)
    reach = np.arange(SIDE - 2)
    kernel = np.exp(-0.5 * ((reach[::2, None] - reach) / 4) ** 2)
    C = np.einsum("ia,jb,nabf->nijf", kernel, kernel, S, optimize=True)
    level = C.mean((1, 2, 3), keepdims=True) + 1e-12
    return (C / (level + C)).reshape(len(C), -1)  # saturates: that a feature is there counts, not how often


def nearest(learnt: np.ndarray, tests: np.ndarray) -> np.ndarray:
    """Index of the learnt response of the largest cosine, for each test."""
    unit = learnt / (np.linalg.norm(learnt, axis=1, keepdims=True) + 1e-12)
    return (tests @ unit.T).argmax(1)


def retina(material: dict[str, Any]) -> Figure:
    """Digits and shifted digits."""
    return gallery(6, 1.8, material["rows"], ["learnt there", "shifted"], 0, 1)[0]


FUKUSHIMA = "Fukushima (1980), figure 6"
#: 200 digits of the training set, of three splits; 48 kinds of cells do better on them than 12 and 24
VALIDATION = "four standard errors of 200 digits from what validation digits give"

register(
    Experiment(
        name="neocognitron",
        title="The neocognitron",
        paper="K. Fukushima (1979). Neural network model for a mechanism of pattern recognition unaffected by shift in "
        "position (in Japanese). Trans. IECE J62-A:658-665; (1980). Biol. Cybern. 36:193-202.",
        doi="10.1007/BF00344251",
        summary="Cells S find a feature at each place, with the same weights everywhere; cells C blur where it was. "
        "Both layers of the visual cortex became the convolution and the pooling of today. Learnt without labels, it "
        "names digits that were shifted, where the retina's own pixels do not. One of its "
        "stages is built; the original had three.",
        claims=(
            Claim(
                "It names digits where they were learnt.",
                FUKUSHIMA, "centred", AtLeast(0.89), 0.0, f"{VALIDATION}: .95", {"features": 1}, ours=True,
            ),
            Claim(
                "Shifted by two pixels it names most of them.",
                FUKUSHIMA, "shifted", AtLeast(0.75), 0.0, f"{VALIDATION}: .85", {"blur": False}, ours=True,
            ),
            Claim(
                "By the retina's pixels hardly any.",
                "a control", "pixels", AtMost(0.25), 0.0, f"{VALIDATION}: .14", {"both": True}, ours=True,
            ),
        ),
        measure=measure,
        pictures={"Digits on the retina.": retina},
    )
)  # fmt: skip
