"""Supervised STDP with homeostasis: which of the 1024 words of ten bits a neuron takes for those it was shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ranvier.atlas import COLOURS, Claim, Experiment, canvas, register
from ranvier.learners import SupervisedSTDP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

WORDS = torch.tensor([[k >> bit & 1 for bit in range(10)] for k in range(1024)])
DISTANCES = range(1, 10)  # 0 is a duplicate, 10 the complement, which cancels


def measure(seed: int, size: Size, lag: float = 5.0, excess: float = 1.0, only: str = "all") -> dict[str, Any]:
    """Train detectors on one word, and on two at every Hamming distance; test each on all words.

    lag: ms from the word to the teacher's spike. excess: times the factor that homeostasis found. only: "one", or
    "all" with the pairs.
    """
    rng = np.random.default_rng(seed)
    one = detector([int(rng.integers(1024))], lag, excess)
    metrics: dict[str, Any] = {"factor": one["factor"], "accuracy_one": one["accuracy"]}
    metrics |= dict.fromkeys(("accuracy_error", "closed_form"))
    if only == "one":
        return metrics
    repeats = {"small": 1, "full": 30}[size]
    table: dict[int, list[dict[str, Any]]] = {h: [] for h in DISTANCES}
    for h in DISTANCES:
        for _ in range(repeats):
            first = int(rng.integers(1024))
            flips = sum(1 << int(bit) for bit in rng.permutation(10)[:h])
            table[h].append(detector([first, first ^ flips], lag, excess))
    accuracy = {h: np.array([row["accuracy"] for row in rows]) for h, rows in table.items()}
    metrics["accuracy_error"] = float(max(np.abs(accuracy[h] - (1 - (2**h - 2) / 1024)).max() for h in DISTANCES))
    metrics["closed_form"] = float(sum(row["differ"] for rows in table.values() for row in rows))
    metrics["table"] = accuracy
    return metrics


def detector(words: list[int], lag: float, excess: float) -> dict[str, Any]:
    """One detector: factor, accuracy over all words, and how many words it differs on from the closed form."""
    learner = SupervisedSTDP(lag=lag, resolution=1 / 256)
    learner.step(WORDS[words])
    learner.factor *= excess
    fired, expected = learner.fires(WORDS), torch.zeros(1024, dtype=torch.bool)
    expected[words] = True
    needed = 15 / (20 * (1 - np.exp(-1 / 20)))  # nA: the step's current that takes the membrane to threshold
    closed = learner.factor * ((2 * WORDS - 1).double() @ (learner.weights[1] - learner.weights[0])) >= needed
    return {
        "factor": learner.factor,
        "accuracy": float((fired == expected).double().mean()),
        "differ": int((fired != closed).sum()),
    }


def by_distance(metrics: dict[str, Any]) -> Figure:
    """Accuracy against the distance of the two words learned."""
    figure, axes = canvas(5, 3.2)
    h = np.array(list(DISTANCES))
    axes.plot(h, 1 - (2.0**h - 2) / 1024, color=COLOURS[1], label="1 − (2^h − 2)/1024")
    axes.plot(h, [metrics["table"][k].mean() for k in DISTANCES], "o", color=COLOURS[0], label="simulated")
    axes.set(xlabel="Hamming distance of the two words", ylabel="accuracy over 1024 words")
    axes.legend()
    return figure


SOURCE = "Davies et al., arXiv 2312.02659"
FORM = "closed form of the paper's network: fires iff H Σ(2b − 1)(W1 − W0) ≥ 15.378 nA"
EXACT = "a count of words: exact"

register(
    Experiment(
        name="stdp_table",
        title="Words learned in one showing: supervised STDP with homeostasis",
        paper="S. Davies, A. Gait, A. Rowley & A. Di Nuovo (2024). Supervised learning of spatial features with STDP "
        "and homeostasis using Spiking Neural Networks on SpiNNaker. Neurocomputing 611:128650. arXiv 2312.02659.",
        doi="10.1016/j.neucom.2024.128650",
        summary="A word's ones strengthen excitatory, its zeros inhibitory synapses, by spikes alone; all weights are "
        "then scaled until each word learned makes the neuron fire.",
        claims=(
            Claim(
                "Trained on one word, the neuron fires for it and for none of the other 1023.",
                SOURCE, "accuracy_one", 1.0, 0.0, EXACT, {"excess": 1.3, "only": "one"},
            ),
            Claim(
                "One word's weights must be scaled by 4.188.",
                SOURCE + ", in 8 bits of fraction", "factor", 4.188, 2e-4,
                "the search's precision, 1e-4, and rounding to three decimals", {"lag": 4.0, "only": "one"},
            ),
            Claim(
                "Two words at Hamming distance h: the neuron fires for 2^h words, an accuracy of 1 − (2^h − 2)/1024.",
                FORM, "accuracy_error", 0.0, 1e-12, "floating point", {"excess": 0.99},
            ),
        ),
        measure=measure,
        pictures={"Accuracy over all words, for pairs of words at each distance.": by_distance},
    )
)  # fmt: skip
