"""Language neurons: chosen by activity, and what the model loses in each language without them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, canvas, register
from ranvier.atlas.interpretation._languages import LANGUAGES, batches, corpus, split, trained
from ranvier.interpret import (
    LanguageActivity,
    alignment_neurons,
    language_activity,
    lape,
    largest_weight,
    masked_perplexities,
    stages,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

#: of a model of some hundred neurons, where the paper's lowest 1 % would be three
SHARE, PERCENTILE = 0.2, 0.9
STEPS = {"small": 300, "full": 3000}


def measure(seed: int, size: Size, neurons: str = "chosen", weight: float | None = None) -> dict[str, Any]:
    """Perplexities with each language's neurons set to zero, for both ways of choosing.

    neurons: "chosen", or "random" for as many of each layer. weight: λ of the alignment score instead of the largest
    that shares no neuron. The small size reads six drawn languages of one alphabet, the full size real text.
    """
    metrics: dict[str, Any] = {
        "contrast_lape": None, "contrast_alignment": None, "activity_gain": None,
    }  # fmt: skip
    if size == "full" and not corpus(seed, False):
        return metrics
    activity = observed(seed, size)
    selections = {
        "lape": lape(activity, share=SHARE, percentile=PERCENTILE),
        "alignment": alignment_neurons(activity, weight, share=SHARE, percentile=PERCENTILE),
    }
    if neurons == "random":
        selections = {name: one.shuffled(seed) for name, one in selections.items()}
    evaluation = batches(split(corpus(seed, size == "small"))[2])
    for name, one in selections.items():
        if weight is None or name == "alignment":
            matrix = masked_perplexities(trained(seed, size == "small", STEPS[size]), one, evaluation)
            metrics[f"contrast_{name}"] = contrast(matrix)
            metrics[f"matrix_{name}"] = matrix
            metrics[f"per_layer_{name}"] = one.per_layer()
    peak = activity.probabilities.amax(1)
    picked, plain = (
        alignment_neurons(activity, w, share=SHARE, percentile=PERCENTILE).scores.argsort()[: len(peak) // 5]
        for w in (weight, 0.0)
    )
    metrics["activity_gain"] = float(peak[picked].mean() - peak[plain].mean())
    metrics["weight"] = largest_weight(activity, share=SHARE, percentile=PERCENTILE) if weight is None else weight
    metrics["stages"] = str(stages(selections["lape"], 2))
    return metrics


@cache  # mutants share it
def observed(seed: int, size: Size) -> LanguageActivity:
    """Activity on texts that neither train the model nor evaluate it."""
    return language_activity(
        trained(seed, size == "small", STEPS[size]), batches(split(corpus(seed, size == "small"))[1])
    )


def contrast(matrix: Tensor) -> float:
    """The mean rise in the masked language over the mean rise in the others."""
    own = torch.eye(len(matrix), dtype=torch.bool)
    # a tenth of the own rise at least: the others' may be zero or below
    return float(matrix[own].mean() / matrix[~own].mean().clamp_min(1e-3))


def matrices(metrics: dict[str, Any]) -> Figure:
    """The rise of log-perplexity, row by masked language."""
    figure, axes = canvas(7, 3.2, 1, 2)
    for axis, name in zip(axes[0], ("lape", "alignment"), strict=True):
        if f"matrix_{name}" not in metrics:
            continue
        matrix = metrics[f"matrix_{name}"].numpy()
        image = axis.imshow(matrix, cmap="Blues", vmin=0)
        axis.set(title=name, xlabel="texts", xticks=range(6), yticks=range(6))
        axis.set_xticklabels(LANGUAGES)
        axis.set_yticklabels(LANGUAGES)
        figure.colorbar(image, ax=axis, shrink=0.7)
    axes[0, 0].set_ylabel("masked neurons of", color=COLOURS[4])
    return figure


ORIGIN = "the paper's figures show rises off the diagonal of a tenth and less; a fifth is allowed"
register(
    Experiment(
        name="language_neurons",
        title="Neurons of one language",
        paper="T. Tang et al. (2024). Language-specific neurons: the key to multilingual capabilities in large "
        "language models. ACL 2024. S. Zhang et al. (2026). How does alignment enhance LLMs' multilingual "
        "capabilities? A language neurons perspective. AAAI 2026.",
        summary="Neurons whose activity concentrates on one language are chosen on some texts; without them the model "
        "gets worse on other texts of that language, and not of the others.",
        claims=(
            Claim(
                "Masking a language's neurons of lowest activation entropy raises its perplexity five times as much as "
                "that of the other languages.",
                "Tang et al. 2024, Fig. 4", "contrast_lape", AtLeast(5.0), 0.0, ORIGIN, {"neurons": "random"},
            ),
            Claim(
                "So does masking the neurons of the alignment score.",
                "Zhang et al. 2026, masked perplexities", "contrast_alignment", AtLeast(5.0), 0.0, ORIGIN,
                {"neurons": "random"},
            ),
            Claim(
                "The score's second term prefers neurons that are often active: their largest probability is above "
                "that of neurons chosen by entropy alone.",
                "Zhang et al. 2026, section 3", "activity_gain", AtLeast(0.005), 0.0,
                "a difference of half a token in a hundred", {"weight": 0.0},
            ),
        ),
        measure=measure,
        pictures={"Rise of the log-perplexity without a language's neurons.": matrices},
    )
)  # fmt: skip
