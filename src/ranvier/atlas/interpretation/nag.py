"""Training texts ranked by the neurons that they share with a target's."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, canvas, register
from ranvier.atlas.interpretation._languages import LANGUAGES, LETTERS, corpus, model_of, split, train, trained
from ranvier.interpret import ActivationGraphs, activation_graphs, edit, log_perplexity, select_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

DOMAINS = LANGUAGES[:5]
TOP = 12  # of 128 neurons a layer
STEPS = 300
RETRAINING = {"small": 40, "full": 400}


def measure(seed: int, size: Size, ranking: str = "graph", neurons: str = "graph") -> dict[str, Any]:
    """A pool of five domains ranked for each as a target: by graphs, their last layer, embeddings and bigrams.

    ranking: what chooses the texts that precision and retraining are measured on: the "graph", or "random". neurons:
    what is set to zero: the target's "graph", or as many "random" ones.
    """
    pool, targets = texts(seed)
    labels = torch.arange(5).repeat_interleave(len(pool) // 5)
    graphs, examples = described(seed)
    tokens = graphs.tokens
    precision: dict[str, list[float]] = {name: [] for name in ("graph", "last", "embedding", "bigrams")}
    profiles = [examples.profile(slice(k * 20, k * 20 + 20)) for k in range(5)]
    generator = torch.Generator().manual_seed(seed)
    picked = []
    for k, profile in enumerate(profiles):
        mine = targets[k * 20 : k * 20 + 20]
        scores = {
            "graph": graphs.similarity(profile),
            "last": graphs.similarity(profile, slice(-1, None)),
            "embedding": embedding_similarity(seed, pool, mine),
            "bigrams": bigram_similarity(pool, mine),
        }
        if ranking == "random":
            scores["graph"] = torch.rand(len(pool), generator=generator, dtype=torch.float64)
        for name, one in scores.items():
            chosen = select_texts(one, tokens)
            precision[name].append(float((labels[chosen] == k).double().mean()))
            if name == "graph":
                picked.append(chosen)
    means = {f"precision_{name}": sum(values) / 5 for name, values in precision.items()}
    return {
        **means,
        "layers_gain": means["precision_graph"] - means["precision_last"],
        "retraining_gain": retraining_gain(seed, size, tuple(picked[0].tolist())),
        "ablation_ratio": ablation_ratio(seed, neurons),
    }


@cache
def texts(seed: int) -> tuple[Tensor, Tensor]:
    """A pool of 60 texts a domain, and 20 of each as targets' examples; the model was trained on others."""
    _, pool, examples = split(corpus(seed, True))
    return torch.cat([pool[name][:60] for name in DOMAINS]), torch.cat([examples[name][:20] for name in DOMAINS])


@cache
def described(seed: int) -> tuple[ActivationGraphs, ActivationGraphs]:
    model = trained(seed, True, STEPS)
    pool, targets = texts(seed)
    return activation_graphs(model, pool.split(100), top=TOP), activation_graphs(model, [targets], top=TOP)


def embedding_similarity(seed: int, pool: Tensor, targets: Tensor) -> Tensor:
    """Cosine of mean token embeddings of a text and of the examples."""
    table = trained(seed, True, STEPS).get_input_embeddings().weight.detach().double()  # type: ignore[operator]
    return torch.cosine_similarity(table[pool].mean(1), table[targets].mean((0, 1))[None])


def bigram_similarity(pool: Tensor, targets: Tensor) -> Tensor:
    """Cosine of a text's and the examples' counts of pairs of letters."""

    def counts(x: Tensor) -> Tensor:
        pairs = x[:, :-1] * LETTERS + x[:, 1:]
        return torch.stack([torch.bincount(row, minlength=LETTERS**2) for row in pairs]).double()

    return torch.cosine_similarity(counts(pool), counts(targets).sum(0)[None])


@cache
def retraining_gain(seed: int, size: Size, rows: tuple[int, ...]) -> float:
    """How much lower the target's log-perplexity is after training on the chosen texts than on as many random ones."""
    pool, targets = texts(seed)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for chosen in (torch.tensor(rows), torch.randperm(len(pool), generator=generator)[: len(rows)]):
        model = model_of(LETTERS, seed + 3)
        train(model, {"all": pool[chosen]}, RETRAINING[size], seed, batch=24)
        losses.append(log_perplexity(model, [targets[:20]]))
    return losses[1] - losses[0]


@cache
def ablation_ratio(seed: int, neurons: str) -> float:
    """The rise of the targets' log-perplexity without the top of their profiles over that without random neurons."""
    model = trained(seed, True, STEPS)
    _, examples = described(seed)
    _, _, held_out = split(corpus(seed, True))
    generator = torch.Generator().manual_seed(seed)
    rises = {"graph": 0.0, "random": 0.0}
    for k, name in enumerate(DOMAINS):
        profile = examples.profile(slice(k * 20, k * 20 + 20))
        data = [held_out[name][20:]]
        before = log_perplexity(model, data)
        for kind in rises:
            for _ in range(1 if kind == "graph" else 4):
                with edit(model) as change:
                    for layer, weights in zip(examples.layers, profile, strict=True):
                        units = torch.randperm(len(weights), generator=generator)[:TOP]
                        if kind == "graph" and neurons == "graph":
                            units = weights.argsort(descending=True)[:TOP]
                        change.ablate(layer, units)
                    rises[kind] += (log_perplexity(model, data) - before) / (1 if kind == "graph" else 4)
    return rises["graph"] / rises["random"]


def precisions(metrics: dict[str, Any]) -> Figure:
    """Precision of the choice by each kind of ranking."""
    figure, axes = canvas(5, 3)
    names = ("graph", "last", "embedding", "bigrams")
    axes.bar(range(4), [metrics[f"precision_{name}"] for name in names], color=COLOURS[0])
    axes.axhline(0.2, color=COLOURS[5], lw=1)
    axes.set(xticks=range(4), xticklabels=names, ylabel="chosen texts of the target's domain", ylim=(0, 1))
    return figure


PAPER = "NAG 2026"
register(
    Experiment(
        name="nag",
        title="Training texts by their neurons",
        paper="Neuron-activated graphs for pre-training data selection (NAG, 2026).",
        summary="A text's strongest neurons in each layer are held against those of a target's examples; the texts of "
        "the largest overlap are chosen within a budget of tokens.",
        claims=(
            Claim(
                "Of a pool of five domains the fifth of the tokens that is chosen is the target's domain.",
                PAPER + ", ranking", "precision_graph", AtLeast(0.9), 0.0, "one text in ten", {"ranking": "random"},
            ),
            Claim(
                "All layers rank at least as well as the last alone.",
                PAPER + ", ablation of layers", "layers_gain", AtLeast(0.0), 0.03,
                "two standard errors of shares of 300 texts", {"ranking": "random"},
            ),
            Claim(
                "A model trained on the chosen texts predicts the target better than one trained on random texts.",
                PAPER + ": + 4.9 % over random", "retraining_gain", AtLeast(0.05), 0.0,
                "five per cent of perplexity", {"ranking": "random"},
            ),
            Claim(
                "Setting the graph's neurons to zero costs more than setting as many random ones to zero.",
                PAPER + ": − 23.5 % on tasks", "ablation_ratio", AtLeast(1.5), 0.0, "half as much again",
                {"neurons": "random"},
            ),
        ),
        measure=measure,
        pictures={"Share of chosen texts that are the target's.": precisions},
    )
)  # fmt: skip
