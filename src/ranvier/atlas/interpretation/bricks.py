"""Bricks of a six-language model: parts that emerged, routing to half of them, and a part that is grown."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.atlas.interpretation._languages import LANGUAGES, LETTERS, batches, corpus, split, trained
from ranvier.interpret import (
    MLP,
    Brick,
    activations,
    edit,
    enrichment,
    functional_neurons,
    log_perplexity,
    mlps,
    partition,
    plugged,
    predictivity,
    route,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

STEPS, PARTS, SHARE = 300, 16, 0.06
ENRICHED = 0.01  # the paper's .001 is for parts of hundreds of neurons, these have eight


def measure(
    seed: int, size: Size, neurons: str = "functional", working: float = 0.5, train: bool = True, left: bool = False
) -> dict[str, Any]:
    """Ablation of each language's functional neurons, how they gather in parts, accuracy with half of the parts, and
    a grown brick's effects. The functions are the languages; selection and evaluation use different texts.

    neurons: "functional", or "random" ones in their place. working: share of parts that work. train: whether the grown
    brick is trained. left: whether it is left plugged in.
    """
    model = trained(seed, True, STEPS)
    members = functional_neurons(scores(seed), SHARE)
    if neurons == "random":
        generator = torch.Generator().manual_seed(seed)
        members = members[torch.randperm(len(members), generator=generator)]
    held_out = batches(split(corpus(seed, True))[2])
    matrix = ablated(model, members, held_out)
    own = torch.eye(len(LANGUAGES), dtype=torch.bool)
    metrics = {
        "contrast": float(matrix[own].mean() / matrix[~own].mean().clamp_min(1e-3)),
        "enriched": gathered(model, members, seed),
        "kept_accuracy": routed_accuracy(model, held_out, working, seed),
        "matrix": matrix,
    }
    growth = grown(seed, train)
    return metrics | growth | ({"residue": growth["effect"]} if left else {})


@cache
def scores(seed: int) -> Tensor:
    """Predictivity of all neurons for each language."""
    model = trained(seed, True, STEPS)
    texts = {name: x[:20] for name, x in split(corpus(seed, True))[1].items()}
    names = [mlp.neurons.name for mlp in mlps(model)]
    record = activations(model, list(texts.values()), names)
    activity = torch.cat([record[name].movedim(1, 2).flatten(0, 1) for name in names], 1)
    languages = torch.arange(len(texts)).repeat_interleave(len(activity) // len(texts))
    return predictivity(activity, languages[:, None] == torch.arange(len(texts)))


def ablated(model: nn.Module, members: Tensor, texts: dict[str, list[Any]]) -> Tensor:
    """Rise of the log-perplexity without each function's neurons, (function, language of the texts)."""
    before = torch.tensor([log_perplexity(model, one) for one in texts.values()])
    rows = []
    for flags in members.T:
        with edit(model) as change:
            for mlp, part in zip(mlps(model), flags.split([mlp.size for mlp in mlps(model)]), strict=True):
                change.ablate(mlp.neurons, part.nonzero()[:, 0])
            rows.append(torch.tensor([log_perplexity(model, one) for one in texts.values()]) - before)
    return torch.stack(rows)


def gathered(model: nn.Module, members: Tensor, seed: int) -> float:
    """Pairs of part and function enriched at p ≤ .01, over their number in random parts of the same sizes (or one in
    twenty draws)."""
    count, random = 0, 0.0
    generator = torch.Generator().manual_seed(seed)
    for mlp, flags in zip(mlps(model), members.split([mlp.size for mlp in mlps(model)]), strict=True):
        parts = parts_of(mlp, seed)
        count += int((enrichment(flags, parts) <= ENRICHED).sum())
        for _ in range(20):
            shuffled = parts[torch.randperm(len(parts), generator=generator)]
            random += int((enrichment(flags, shuffled) <= ENRICHED).sum()) / 20
    return count / max(random, 0.05)


def parts_of(mlp: MLP, seed: int) -> Tensor:
    """Neurons sorted by what opens their gate and what they write."""
    rows = torch.cat([mlp.gate_weights, mlp.write_weights], 1).detach()
    return partition(nn.functional.normalize(rows, dim=1), PARTS, seed=seed)


def routed_accuracy(model: nn.Module, texts: dict[str, list[Any]], working: float, seed: int) -> float:
    """Next-token accuracy with a share of the parts at work, over that with all."""
    data = torch.cat([one[0]["input_ids"][:40] for one in texts.values()])

    def accuracy() -> float:
        with torch.no_grad():
            return float((model(input_ids=data).logits[:, :-1].argmax(2) == data[:, 1:]).double().mean())

    whole = accuracy()
    with edit(model) as change:
        for mlp in mlps(model):
            route(change, mlp, parts_of(mlp, seed), working)
        return accuracy() / whole


@cache
def grown(seed: int, train: bool) -> dict[str, float]:
    """A brick grown for a seventh language: what it gains there, and what is left of it once unplugged."""
    model = trained(seed, True, STEPS)
    new = corpus(seed + 31, True)["en"]
    old = torch.cat(list(split(corpus(seed, True))[2].values()))[::20]
    with torch.no_grad():
        before = model(input_ids=old).logits
    plain = log_perplexity(model, [new[400:]])
    torch.manual_seed(seed)
    bricks = {mlp.block: [Brick(32, 48)] for mlp in mlps(model)}
    parameters = [p for some in bricks.values() for brick in some for p in brick.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-2)
    generator = torch.Generator().manual_seed(seed)
    with plugged(model, bricks):
        for _ in range(60 if train else 0):
            x = new[torch.randint(400, (32,), generator=generator)]
            logits = model(input_ids=x).logits[:, :-1]
            loss = nn.functional.cross_entropy(logits.reshape(-1, LETTERS), x[:, 1:].flatten())
            gradients = torch.autograd.grad(loss, parameters)
            for p, g in zip(parameters, gradients, strict=True):
                p.grad = g
            optimizer.step()
        after = log_perplexity(model, [new[400:]])
        with torch.no_grad():
            plugged_in = model(input_ids=old).logits
    with torch.no_grad():
        unplugged = model(input_ids=old).logits
    return {
        "growth_gain": plain - after,
        "residue": float((unplugged - before).abs().max()),
        "effect": float((plugged_in - before).abs().max()),
    }


def matrix_picture(metrics: dict[str, Any]) -> Figure:
    """Rise of the log-perplexity by function and language."""
    figure, axes = canvas(4, 3.2)
    image = axes.imshow(metrics["matrix"].numpy(), cmap="Blues", vmin=0)
    axes.set(xlabel="texts", xticks=range(6), yticks=range(6), xticklabels=LANGUAGES, yticklabels=LANGUAGES)
    axes.set_ylabel("without the neurons of", color=COLOURS[4])
    figure.colorbar(image, ax=axes, shrink=0.7)
    return figure


PAPER = "Xiao et al. 2024"
register(
    Experiment(
        name="bricks",
        title="Bricks of a foundation model",
        paper="C. Xiao et al. (2024). Configurable foundation models: building LLMs from a modular perspective. "
        "arXiv 2409.02877.",
        summary="Neurons that predict a function best are its brick; parts of like neurons can be routed to, and new "
        "parts plugged in.",
        claims=(
            Claim(
                "Without a function's neurons the model loses five times as much of that function as of the others.",
                PAPER + ", specialisation of neurons", "contrast", AtLeast(5.0), 0.0, "a bound",
                {"neurons": "random"},
            ),
            Claim(
                "Parts of neurons of like weights gather a function's neurons twice as often as random parts.",
                PAPER + ", partitions", "enriched", AtLeast(2.0), 0.0, "a bound", {"neurons": "random"},
            ),
            Claim(
                "With half of the neurons, chosen token by token, 95 % of the accuracy is kept.",
                PAPER + ", sparse activation", "kept_accuracy", AtLeast(0.95), 0.0, "a bound", {"working": 0.125},
            ),
            Claim(
                "A grown brick learns a language that the model does not know.",
                PAPER + ", growing", "growth_gain", AtLeast(0.3), 0.0, "a quarter of the perplexity", {"train": False},
            ),
            Claim(
                "Unplugged it leaves the old outputs as they were, to the bit.",
                PAPER + ", modularity", "residue", AtMost(0.0), 0.0, "exact", {"left": True},
            ),
        ),
        measure=measure,
        pictures={"Rise of the log-perplexity without a function's neurons.": matrix_picture},
    )
)  # fmt: skip
