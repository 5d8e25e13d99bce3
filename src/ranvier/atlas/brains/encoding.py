"""Encoding models of planted voxels: a perfect model reaches the noise ceiling, and no other does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.analysis.encoding import challenge_score, correlations, fit_encoder, noise_ceiling_share, search_layers
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

FEATURES = 40


def measure(
    seed: int, size: Size, linear: bool = True, repeats: int = 3, ordered: bool = True, copied: bool = False
) -> dict[str, Any]:
    """Voxels that weigh one layer's features, measured three times, and models of that layer and of others.

    linear: whether voxels are linear in the features. repeats: that the ceiling is taken to be of. ordered: whether the
    shuffled model is shuffled. copied: whether another layer has the same features.
    """
    stimuli, vertices = {"small": (1500, 150), "full": (10_000, 20_000)}[size]
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((stimuli, FEATURES))
    early = np.tanh(image @ rng.standard_normal((FEATURES, FEATURES)) / np.sqrt(FEATURES))
    layers = {"image": image, "early": early}
    layers["late"] = np.tanh(2 * early @ rng.standard_normal((FEATURES, FEATURES)) / np.sqrt(FEATURES))
    layers["late"] = early if copied else layers["late"]
    source = early if linear else np.sign(early[:, :1]) * early**2
    signal = source @ rng.standard_normal((FEATURES, vertices))
    signal /= signal.std(0)
    s = rng.uniform(0.5, 2.0, vertices)  # of the signal over the noise of one measurement
    actual = signal + rng.standard_normal((stimuli, vertices)) / (s * np.sqrt(3))
    counts = {1: (1, 0, 0), 2: (0, 1, 0), 3: (0, 0, 1)}[repeats]
    ceiling = noise_ceiling_share(s, *counts)
    train, test = slice(0, stimuli * 4 // 5), slice(stimuli * 4 // 5, None)
    predicted = {name: fit_encoder(x[train], actual[train], k=FEATURES)(x[test]) for name, x in layers.items()}
    scores = {name: challenge_score(p, actual[test], ceiling) for name, p in predicted.items()}
    best = next(iter(search_layers({n: x[train] for n, x in layers.items()}, actual[train], ceiling, k=FEATURES)))
    turned = predicted["early"][::-1] if ordered else predicted["early"]
    uncapped = float(np.median(correlations(signal[test], actual[test]) ** 2 / ceiling)) * 100
    return {
        "truth": uncapped, "right": scores["early"],
        "margin": scores["early"] - max(scores["image"], scores["late"]), "best": best == "early",
        "shuffled": challenge_score(turned, actual[test], ceiling), "scores": scores,
    }  # fmt: skip


def by_layer(material: dict[str, Any]) -> Figure:
    """The challenge's score of each layer."""
    figure, axis = canvas(3.6, 2.6)
    axis.bar(list(material["scores"]), list(material["scores"].values()), color=COLOURS[0])
    axis.axhline(100, color=COLOURS[5], lw=1)
    axis.set(ylabel="score (% of the noise ceiling)", xlabel="layer")
    return figure


GIFFORD = "Gifford et al. (2023)"
register(
    Experiment(
        name="encoding",
        title="Encoding models against noise ceilings",
        paper="A. T. Gifford, B. Lahner, S. Saba-Sadiya, M. G. Vilas, A. Lascelles, A. Oliva, K. Kay, G. Roig and "
        "R. M. Cichy (2023). The Algonauts Project 2023 Challenge. arXiv:2301.03198.",
        doi="10.48550/arXiv.2301.03198",
        summary="Planted voxels are linear in one layer's features, and noisy. Scored as in the challenge, r² over the "
        "noise ceiling, the truth reaches all of it, a model fitted to that layer nearly so, others less.",
        claims=(
            Claim("The true responses explain all that the noise ceiling allows.", GIFFORD, "truth", 100.0, 4.0,
                  "sampling of the median over voxels", {"repeats": 1}, "%"),
            Claim("A model fitted to the layer that voxels read comes near it.", GIFFORD, "right", AtLeast(90.0), 0.0,
                  "a bound; 40 weights of 1200 stimuli cost some 2 %", {"linear": False}, "%"),
            Claim("Models of other layers explain less.", GIFFORD, "margin", AtLeast(2.0), 0.0, "a bound",
                  {"copied": True}, "%"),
            Claim("Shuffled predictions explain nothing.", GIFFORD, "shuffled", AtMost(2.0), 0.0,
                  "r² of 300 unrelated stimuli", {"ordered": False}, "%"),
        ),
        measure=measure,
        pictures={"Score by layer.": by_layer},
    )
)  # fmt: skip
