"""Neurons that decode to a word: their weights in the words of the output vocabulary, and what clamping them does."""

from __future__ import annotations

import time
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, canvas, register
from ranvier.atlas.interpretation._languages import LETTERS, batches, corpus, model_of, split, train, trained
from ranvier.interpret import (
    clamped_lift,
    feature_neurons,
    mlps,
    output_embedding,
    persistence,
    read_model,
    stored_models,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

STEPS = 300
TESTED, RIVALS = 8, 20
CLAMP = 8.0


def measure(seed: int, size: Size, decoding: str = "output", tuned: str = "same") -> dict[str, Any]:
    """Lifts of decoded tokens by clamped neurons beside random ones, and first tokens before and after fine-tuning.

    decoding: by the "output" embedding, or by one whose rows are "shuffled". tuned: the "same" model, or "another".
    The full size also maps all neurons of SmolLM2 where it is in the cache (`make models`).
    """
    model = trained(seed, True, STEPS)
    matrix = output_embedding(model)
    if decoding == "shuffled":
        matrix = matrix[torch.randperm(len(matrix), generator=torch.Generator().manual_seed(seed))]
    features = feature_neurons(model, "write", vocabulary=matrix)
    before = feature_neurons(model, "write")
    after = feature_neurons(another(seed) if tuned == "another" else finetuned(seed), "write")
    lifts, rivals = lift_of(seed, features.tokens[-1], features.probabilities[-1])
    metrics: dict[str, Any] = {
        "wins": float((lifts > rivals.amax(1)).double().mean()),
        "persistence": persistence(before, after),
        "lifts": lifts,
        "rivals": rivals,
        "minutes": None,
    }
    if size == "full" and decoding == "output" and "smollm2" in stored_models():
        real, _ = read_model("smollm2")
        start = time.perf_counter()
        metrics["neurons"] = feature_neurons(real, "read", top=1).size
        metrics["minutes"] = (time.perf_counter() - start) / 60
    return metrics


def lift_of(seed: int, tokens: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Of the surest neurons of the last layer: the rise of their token's log-probability by clamping them, (TESTED,),
    and by clamping random other neurons, (TESTED, RIVALS). Texts are held out."""
    model, block = trained(seed, True, STEPS), mlps(trained(seed, True, STEPS))[-1]
    held_out = batches({"all": torch.cat(list(split(corpus(seed, True))[2].values()))[::20, :8]})["all"]
    surest = probabilities[:, 0].argsort(descending=True)[:TESTED].tolist()
    generator = torch.Generator().manual_seed(seed)
    lifts, rivals = [], []
    for neuron in surest:
        token = int(tokens[neuron, 0])
        lifts.append(clamped_lift(model, held_out, block, neuron, token, CLAMP))
        others = [n for n in torch.randperm(block.size, generator=generator).tolist() if n != neuron][:RIVALS]
        rivals.append([clamped_lift(model, held_out, block, n, token, CLAMP) for n in others])
    return torch.tensor(lifts), torch.tensor(rivals)


@cache
def finetuned(seed: int) -> Any:
    """The model after a short training on half of the languages."""
    model = deepcopy(trained(seed, True, STEPS))
    texts = dict(list(split(corpus(seed, True))[0].items())[:3])
    train(model, texts, STEPS // 15, seed + 1, rate=1e-3)
    return model


@cache
def another(seed: int) -> Any:
    """A model of the same shape that shares nothing with the first."""
    return model_of(LETTERS, seed + 1)


def comparison(metrics: dict[str, Any]) -> Figure:
    """Lifts of decoded tokens, and of the same tokens by other neurons."""
    figure, axes = canvas(5, 3)
    for k, (lift, rivals) in enumerate(zip(metrics["lifts"], metrics["rivals"], strict=True)):
        axes.plot([k] * len(rivals), rivals, ".", color=COLOURS[5], ms=4)
        axes.plot(k, lift, "D", color=COLOURS[0], ms=5)
    axes.set(xlabel="neuron", ylabel="rise of its token's log-probability")
    return figure


register(
    Experiment(
        name="feature_neurons",
        title="Neurons that decode to a word",
        paper="T. Davies (2025). Decoding specialised feature neurons in LLMs with the final projection layer. "
        "arXiv 2501.02688.",
        summary="The output embedding reads a neuron's weights as a distribution over words; clamping the neuron makes "
        "the model say the word, and fine-tuning leaves most neurons their word.",
        claims=(
            Claim(
                "Clamping a neuron raises the word it decodes to more than clamping any of 20 others does.",
                "Davies 2025, section 4: the clamped dog neuron", "wins", AtLeast(1.0), 0.25, "two of eight neurons",
                {"decoding": "shuffled"},
            ),
            Claim(
                "Three quarters of the neurons keep their first word through fine-tuning.",
                "Davies 2025: 75.4 % from Llama 3.1 8B to Instruct", "persistence", AtLeast(0.754), 0.0,
                "a lower bound: this fine-tuning is shorter", {"tuned": "another"},
            ),
        ),
        measure=measure,
        pictures={"Lifts by the decoding neuron (diamonds) and by 20 others.": comparison},
    )
)  # fmt: skip
