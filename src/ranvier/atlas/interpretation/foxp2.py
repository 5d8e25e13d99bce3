"""Steering a bilingual model to its lesser language along sparse features."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.atlas.interpretation._languages import model_of, train
from ranvier.interpret import (
    SparseAutoencoder,
    Spectrum,
    activations,
    best_window,
    difference_spectrum,
    edit,
    feature_lift,
    fit_autoencoder,
    language_shift,
    log_perplexity,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

SHARED, BASE, TARGET = torch.arange(0, 6), torch.arange(6, 15), torch.arange(15, 24)
LAYERS, PREFIX, LENGTH = 4, 4, 20
STEPS = {"small": 140, "full": 1500}


def sentences(language: str, number: int, seed: int) -> Tensor:
    """Texts (number, LENGTH): letters that both languages share, then those of one, each likely after some."""
    own = BASE if language == "base" else TARGET
    rules = torch.Generator().manual_seed(7 if language == "base" else 8)
    following = torch.stack([torch.randperm(9, generator=rules)[:3] for _ in range(24)])
    generator = torch.Generator().manual_seed(seed)
    letters = [SHARED[torch.randint(6, (number,), generator=generator)] for _ in range(PREFIX)]
    while len(letters) < LENGTH:
        choice = torch.randint(3, (number,), generator=generator)
        letters.append(own[following[letters[-1], choice]])
    return torch.stack(letters, 1)


class Bilingual(NamedTuple):
    """A model of nine parts base and one part target, with an autoencoder, a spectrum of differences and the base's
    mean features for each layer."""

    model: Any
    autoencoders: list[SparseAutoencoder]
    spectra: list[Spectrum]
    bases: list[Tensor]
    means: list[Tensor]


@cache
def bilingual(seed: int, size: Size) -> Bilingual:
    model = model_of(24, seed, layers=LAYERS)
    mixed = torch.cat([sentences("base", 1800, seed), sentences("target", 200, seed + 1)])
    train(model, {"mixed": mixed}, STEPS[size], seed)
    names = [f"model.layers.{k}" for k in range(LAYERS)]
    pairs = {name: sentences(name, 250, seed + 2 + k) for k, name in enumerate(("base", "target"))}
    records = {name: activations(model, [x], names) for name, x in pairs.items()}
    prompts = sentences("base", 6, seed + 9)[:, :PREFIX]
    autoencoders, spectra, bases, means = [], [], [], []
    for layer in names:
        rows = {}
        for name, record in records.items():
            tokens = record[layer].movedim(1, 2)[:, PREFIX + 2 :]
            rows[name] = torch.nn.functional.normalize(tokens, dim=-1)
        torch.manual_seed(seed)
        one = SparseAutoencoder(32)
        fit_autoencoder(one, torch.cat([x.flatten(0, 1) for x in rows.values()]), epochs=8, rate=3e-3, seed=seed)
        with torch.no_grad():
            z = {name: one.encode(x).mean(1) for name, x in rows.items()}
        selectivity = z["target"].mean(0) - z["base"].mean(0)
        likely = selectivity.argsort(descending=True)[:40]
        lift = feature_lift(model, layer, one, prompts, likely, TARGET, BASE)
        score = selectivity[likely] * lift
        chosen = likely[score.argsort(descending=True)[:20]]
        differences = torch.zeros_like(z["base"])
        differences[:, chosen] = (z["target"] - z["base"])[:, chosen]
        autoencoders.append(one)
        spectra.append(difference_spectrum(differences, seed=seed))
        bases.append(torch.nn.functional.normalize(z["base"].mean(0), dim=0))
        means.append(rows["target"].mean((0, 1)) - rows["base"].mean((0, 1)))
    return Bilingual(model, autoencoders, spectra, bases, means)


def measure(
    seed: int, size: Size, direction: str = "features", strength: float = 0.4, beta: float = 0.3, said: int = 0
) -> dict[str, Any]:
    """Share of the target language in continuations of prompts in shared letters, before and after steering, and the
    cost on target texts; selection and evaluation use different texts.

    direction: "features", "mean" for the mean difference of activations or "random", each of one length. strength: λ.
    beta: of the compensation of the base language. said: letters of the target language that prompts already have.
    """
    job = bilingual(seed, size)
    window = best_window([one.score for one in job.spectra], least=2, most=3)
    prompts = sentences("target" if said else "base", 100, seed + 20)[:, : PREFIX + said]
    texts = sentences("target", 100, seed + 21)
    before = share(job.model, prompts, seed)
    plain = log_perplexity(job.model, [texts])
    shares, costs = {}, {}
    for kind in ("features", "mean", "random"):
        used = direction if kind == "features" else kind
        with edit(job.model) as change:
            steer(change, job, window, used, strength, beta, seed)
            shares[kind] = share(job.model, prompts, seed)
            costs[kind] = math.exp(log_perplexity(job.model, [texts]) - plain) - 1
    best = job.spectra[window[0]]
    return {
        "share_before": before,
        "share_after": shares["features"],
        "share_mean": shares["mean"],
        "share_random": shares["random"],
        "cost": costs["features"],
        "cost_mean": costs["mean"],
        "saving": costs["mean"] - costs["features"],
        "beats_random": shares["features"] - shares["random"],
        "effective_rank": best.effective_rank,
        "eigengap": best.eigengap,
        "window": str(window),
    }


def steer(
    change: Any, job: Bilingual, window: tuple[int, int], kind: str, strength: float, beta: float, seed: int
) -> None:
    """Put the shift into every layer of the window, at all tokens; other directions are as long as the features'."""
    generator = torch.Generator().manual_seed(seed)
    for k in range(*window):
        one = job.autoencoders[k]
        layer = f"model.layers.{k}"
        if kind == "features":
            change.transform(layer, language_shift(one, job.spectra[k].mean, job.bases[k], strength, beta))
            continue
        length = strength * float((job.spectra[k].mean @ one.weight.detach()).norm())
        vector = job.means[k] if kind == "mean" else torch.randn(32, generator=generator)
        vector = length * vector / vector.norm()
        change.transform(layer, lambda h, v=vector: h + h.norm(dim=-1, keepdim=True) * v)


def share(model: Any, prompts: Tensor, seed: int) -> float:
    """The share of target letters among those of one language in sampled continuations of six letters."""
    generator = torch.Generator().manual_seed(seed)
    x = prompts
    with torch.no_grad():
        for _ in range(6):
            chances = model(input_ids=x).logits[:, -1].softmax(1)
            x = torch.cat([x, torch.multinomial(chances, 1, generator=generator)], 1)
    new = x[:, prompts.shape[1] :]
    target, base = (int(torch.isin(new, letters).sum()) for letters in (TARGET, BASE))
    return target / max(1, target + base)


def shares(metrics: dict[str, Any]) -> Figure:
    """Share of the target language by direction."""
    figure, axes = canvas(5, 3)
    names = ("share_before", "share_random", "share_mean", "share_after")
    axes.bar(range(4), [metrics[name] for name in names], color=COLOURS[0])
    axes.set(xticks=range(4), xticklabels=["none", "random", "mean", "features"], ylabel="target language", ylim=(0, 1))
    return figure


PAPER = "Neural FOXP2 2026"
register(
    Experiment(
        name="foxp2",
        title="Steering to a lesser language",
        paper="Neural FOXP2 (2026). Language-specific neuron steering for targeted language improvement in LLMs. "
        "arXiv 2602.00945.",
        summary="Features of a sparse autoencoder that a language and its next words share give a direction in each "
        "layer; a model of nine parts of one language and one of another is steered along it.",
        claims=(
            Claim(
                "Without steering, ambiguous prompts go on in the lesser language one time in five at most.",
                "a control of the training", "share_before", AtMost(0.2), 0.0, "the mixture is one in ten",
                {"said": 2},
            ),
            Claim(
                "Steered, four in five go on in it.",
                PAPER + ", language defaultness", "share_after", AtLeast(0.8), 0.0, "one in five",
                {"direction": "random"},
            ),
            Claim(
                "The target's perplexity rises by a fifth at most.",
                PAPER + ", cost", "cost", AtMost(0.2), 0.0, "a bound", {"strength": 6.0},
            ),
            Claim(
                "The features' direction does more than a random one of the same length.",
                PAPER + ", controls", "beats_random", AtLeast(0.3), 0.0, "three in ten", {"direction": "random"},
            ),
            Claim(
                "It costs the target's perplexity less than the mean difference of activations of the same length.",
                PAPER + ", controls", "saving", AtLeast(0.01), 0.0, "a hundredth of the perplexity",
                {"direction": "mean"},
            ),
        ),
        measure=measure,
        pictures={"Share of the target language in continuations.": shares},
    )
)  # fmt: skip
