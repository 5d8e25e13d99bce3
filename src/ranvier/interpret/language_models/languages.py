"""Neurons of a multilingual model by the languages in which they are active (Tang et al. 2024; Zhang et al. 2026)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ranvier._checks import chance, number
from ranvier._results import Fields
from ranvier.interpret._batches import Data, batch_of, evaluating, require_tokens
from ranvier.interpret.editing import edit
from ranvier.interpret.language_models.perplexities import log_perplexity
from ranvier.interpret.layers import require_finite_weights
from ranvier.interpret.mlp_blocks import mlps


@dataclass(frozen=True)
class LanguageActivity(Fields):
    """Returned by `language_activity`.

    How often each neuron is active in each language.

    `probabilities` (neurons, languages) are shares of tokens, float64; neurons of all layers follow one another,
    `sizes` of them in each of `layers`; `tokens` (languages,) were counted.
    """

    languages: tuple[str, ...]
    layers: tuple[str, ...]
    sizes: tuple[int, ...]
    probabilities: Tensor
    tokens: Tensor


@dataclass(frozen=True)
class LanguageNeurons(Fields):
    """Neurons chosen for languages: `members` (neurons, languages), bool; `scores` (neurons,), the lower the more a
    neuron is a language's.

    >>> members = torch.tensor([[True, False], [True, True], [False, False]])
    >>> neurons = rv.interpret.LanguageNeurons(("en", "de"), ("mlp",), (3,), members, torch.zeros(3))
    >>> neurons.specific.tolist(), neurons.units("de")["mlp"].tolist()
    ([True, False, False], [1])
    """

    languages: tuple[str, ...]
    layers: tuple[str, ...]
    sizes: tuple[int, ...]
    members: Tensor
    scores: Tensor

    @property
    def specific(self) -> Tensor:
        """Neurons of one language, (neurons,) bool."""
        return self.members.sum(1) == 1

    @property
    def related(self) -> Tensor:
        """Neurons of several languages but not of all."""
        number_of = self.members.sum(1)
        return (number_of > 1) & (number_of < len(self.languages))

    @property
    def general(self) -> Tensor:
        """All others: neurons of no language in particular, or of all."""
        return ~(self.specific | self.related)

    def units(self, language: str) -> dict[str, Tensor]:
        """A language's neurons as indices within each layer that has any."""
        if language not in self.languages:
            raise ValueError(f"language is {language!r}; expected one of {', '.join(self.languages)}.")
        chosen = self.members[:, self.languages.index(language)].split(list(self.sizes))
        layers = zip(self.layers, chosen, strict=True)
        return {name: flags.nonzero()[:, 0] for name, flags in layers if bool(flags.any())}

    def per_layer(self) -> Tensor:
        """Numbers of specific, related and general neurons in each layer, (layers, 3)."""
        kinds = torch.stack([self.specific, self.related, self.general], 1)
        return torch.stack([piece.sum(0) for piece in kinds.split(list(self.sizes))])

    def shuffled(self, seed: int) -> LanguageNeurons:
        """A control: as many neurons of each pattern of languages in each layer, drawn at random."""
        generator = torch.Generator().manual_seed(seed)
        pieces = [p[torch.randperm(len(p), generator=generator)] for p in self.members.split(list(self.sizes))]
        return replace(self, members=torch.cat(pieces))


def language_activity(
    model: nn.Module, data: Mapping[str, Data], *, tokens: Literal["all", "response"] = "all"
) -> LanguageActivity:
    """Count in how many tokens of each language each MLP neuron is active, at constant memory.

    A neuron is active where its activation function gives a positive value: SiLU or GELU of the gate above 0, or of
    the only projection where there is no gate.

    Parameters
    ----------
    model
        A transformer whose MLPs `mlps` finds.
    data
        Language -> batches of a tokenizer.
    tokens
        "response": only those whose `labels` are not -100 (the alignment paper counts the answers, not the prompts).

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
    >>> config = LlamaConfig(**sizes, num_hidden_layers=1)
    >>> data = {"en": [torch.tensor([[1, 2, 3]])], "de": [torch.tensor([[4, 5, 6, 7]])]}
    >>> activity = rv.interpret.language_activity(LlamaForCausalLM(config), data)
    >>> activity.tokens.tolist(), tuple(activity.probabilities.shape)
    ([3, 4], (12, 2))
    """
    if len(data) < 2:
        raise ValueError(f"data have {len(data)} languages; expected two at least.")
    if tokens not in ("all", "response"):
        raise ValueError(f"tokens is {tokens!r}; expected 'all' or 'response'.")
    require_finite_weights(model)
    blocks = mlps(model)
    counts = {mlp.block: torch.zeros(mlp.size, dtype=torch.long) for mlp in blocks}
    mask: Tensor | None = None

    def counter(block: str) -> Any:
        def tally(x: Tensor) -> None:
            rows = x.flatten(0, -2) if mask is None else x.reshape(*mask.shape, -1)[mask]
            counts[block] += (rows > 0).sum(0)

        return tally

    columns, totals = [], []
    handles = [(mlp.layers[1]).attach(counter(mlp.block)) for mlp in blocks]
    try:
        with evaluating(model):
            for language, batches in data.items():
                for value in counts.values():
                    value.zero_()
                total = 0
                for position, one in enumerate(batches):
                    batch = batch_of(one, position)
                    require_tokens(batch, model, position)
                    mask = batch.mask
                    if tokens == "response":
                        if not isinstance(one, Mapping) or "labels" not in one:
                            raise ValueError(
                                f"batch {position} of {language} has no labels; expected labels of -100 at prompts, "
                                "where tokens='response'."
                            )
                        mask = (one["labels"] != -100) & (True if mask is None else mask)
                    batch.run(model)
                    ids = batch.named.get("input_ids", batch.args[0] if batch.args else None)
                    total += int(mask.sum()) if mask is not None else int(ids.numel())
                if not total:
                    raise ValueError(f"language {language} has no token; expected texts: leave it out.")
                columns.append(torch.cat([counts[mlp.block] for mlp in blocks]).double() / total)
                totals.append(total)
    finally:
        for handle in handles:
            handle.remove()
    return LanguageActivity(
        tuple(data),
        tuple(mlp.neurons.name for mlp in blocks),
        tuple(mlp.size for mlp in blocks),
        torch.stack(columns, 1),
        torch.tensor(totals),
    )


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy in nats of each neuron's probabilities, normalised over languages, (neurons,); of a neuron that never
    fires log K, as of a uniform one."""
    total = probabilities.sum(1, keepdim=True)
    share = torch.where(total > 0, probabilities / total.clamp_min(1e-300), 1 / probabilities.shape[1])
    return -torch.special.xlogy(share, share).sum(1)


def lape(activity: LanguageActivity, *, share: float = 0.01, percentile: float = 0.95) -> LanguageNeurons:
    """Language activation probability entropy (Tang et al. 2024, section 2.2).

    Of the neurons whose probability exceeds the `percentile` of all probabilities in some language, those of the
    lowest entropy, `share` of all neurons; each belongs to every language where it exceeds that percentile.

    >>> p = torch.full((100, 2), 0.1, dtype=torch.float64)
    >>> p[7] = torch.tensor([0.9, 0.0])  # neuron 7 is active in English alone
    >>> activity = rv.interpret.LanguageActivity(("en", "de"), ("mlp",), (100,), p, torch.tensor([50, 50]))
    >>> rv.interpret.lape(activity).members.nonzero().tolist()
    [[7, 0]]
    """
    p = activity.probabilities
    bar = _percentile(p, percentile)
    scores = entropy(p).masked_fill(~(p > bar).any(1), math.inf)
    return _lowest(activity, scores, share, bar)


def alignment_neurons(
    activity: LanguageActivity, weight: float | None = None, *, share: float = 0.01, percentile: float = 0.95
) -> LanguageNeurons:
    """Language neurons by H(p̄)/log K − λ max_k p_k K/H_K (the alignment paper), λ being `weight`, with
    H_K = 1 + 1/2 + ... + 1/K: entropy alone prefers neurons that are hardly ever active.

    `weight` None: the largest λ of `largest_weight`.

    >>> p = torch.full((100, 2), 0.1, dtype=torch.float64)
    >>> p[7] = torch.tensor([0.9, 0.0])  # neuron 7 is active in English alone
    >>> activity = rv.interpret.LanguageActivity(("en", "de"), ("mlp",), (100,), p, torch.tensor([50, 50]))
    >>> rv.interpret.alignment_neurons(activity).members.nonzero().tolist()
    [[7, 0]]
    """
    if weight is None:
        weight = largest_weight(activity, share=share, percentile=percentile)
    scores = alignment_score(activity.probabilities, number(weight, "weight"))
    return _lowest(activity, scores, share, _percentile(activity.probabilities, percentile))


def alignment_score(probabilities: Tensor, weight: float) -> Tensor:
    """H(p̄)/log K − λ max_k p_k K/H_K of each neuron, (neurons,)."""
    languages = probabilities.shape[1]
    harmonic = sum(1 / k for k in range(1, languages + 1))
    return entropy(probabilities) / math.log(languages) - weight * probabilities.amax(1) * languages / harmonic


def largest_weight(
    activity: LanguageActivity, *, share: float = 0.01, percentile: float = 0.95, high: float = 0.2, width: float = 1e-3
) -> float:
    """The largest λ from 0 to `high` at which no chosen neuron is shared by all languages, by bisection to `width`.

    0 where even that shares one.

    >>> p = torch.full((100, 2), 0.1, dtype=torch.float64)
    >>> p[7] = torch.tensor([0.9, 0.0])
    >>> activity = rv.interpret.LanguageActivity(("en", "de"), ("mlp",), (100,), p, torch.tensor([50, 50]))
    >>> round(rv.interpret.largest_weight(activity), 2)  # nothing is shared up to the end of the search
    0.2
    """

    def shared(weight: float) -> bool:
        members = alignment_neurons(activity, weight, share=share, percentile=percentile).members
        return bool(members.all(1).any())

    low = 0.0
    if not shared(high):
        return high
    while high - low > width:
        middle = (low + high) / 2
        low, high = (low, middle) if shared(middle) else (middle, high)
    return low


def masked_perplexities(
    model: nn.Module, neurons: LanguageNeurons, data: Mapping[str, Data]
) -> Tensor:
    """Rise of the log-perplexity (nats a token) on each language's texts where a language's neurons are set to zero,
    (masked language, language of the texts).

    `data` should not be what the neurons were chosen on. Batches are read once a row: give lists, not generators.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
    >>> config = LlamaConfig(**sizes, num_hidden_layers=1)
    >>> model = LlamaForCausalLM(config)
    >>> name = rv.interpret.mlps(model)[0].neurons.name
    >>> none = torch.zeros(12, 2, dtype=torch.bool)  # no neuron is chosen: nothing rises
    >>> neurons = rv.interpret.LanguageNeurons(("en", "de"), (name,), (12,), none, torch.zeros(12))
    >>> texts = {"en": [torch.tensor([[1, 2, 3]])], "de": [torch.tensor([[4, 5, 6]])]}
    >>> rv.interpret.masked_perplexities(model, neurons, texts).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    if missing := set(neurons.languages) - set(data):
        raise ValueError(f"data lack {', '.join(sorted(missing))}; expected texts of every language of the neurons.")
    texts = {language: list(data[language]) for language in neurons.languages}
    before = torch.tensor([log_perplexity(model, batches) for batches in texts.values()], dtype=torch.float64)
    rows = []
    for language in neurons.languages:
        with edit(model) as change:
            for name, units in neurons.units(language).items():
                change.ablate(name, units)
            rows.append([log_perplexity(model, batches) for batches in texts.values()])
    return torch.tensor(rows, dtype=torch.float64) - before


def stages(neurons: LanguageNeurons, number_of: int = 4) -> list[tuple[int, int]]:
    """Layers in `number_of` contiguous groups (first, last + 1) that differ most in their share of language neurons.

    The alignment paper sees four: understanding, shared reasoning, transformation, output. It reads them off a plot;
    here they are the split of least squared error about the groups' means, found exactly.

    >>> members = torch.zeros(6, 1, dtype=torch.bool)
    >>> members[:2] = True  # the first two of six layers of one neuron each
    >>> layers = tuple(f"mlp{k}" for k in range(6))
    >>> neurons = rv.interpret.LanguageNeurons(("en",), layers, (1,) * 6, members, torch.zeros(6))
    >>> rv.interpret.stages(neurons, 2)
    [(0, 2), (2, 6)]
    """
    table = neurons.per_layer().double()
    shares = (table[:, :2].sum(1) / table.sum(1)).tolist()
    size = len(shares)
    if not 1 <= number_of <= size:
        raise ValueError(f"number_of is {number_of} for {size} layers; expected 1 to {size} stages.")

    def cost(a: int, b: int) -> float:
        mean = sum(shares[a:b]) / (b - a)
        return sum((x - mean) ** 2 for x in shares[a:b])

    best: list[tuple[float, list[int]]] = [(cost(0, b), [0]) if b else (0.0, []) for b in range(size + 1)]
    for groups in range(2, number_of + 1):
        best = [
            min(((best[a][0] + cost(a, b), [*best[a][1], a]) for a in range(groups - 1, b)), default=(math.inf, []))
            for b in range(size + 1)
        ]
    starts = best[size][1]
    return list(zip(starts, [*starts[1:], size], strict=True))


def _percentile(probabilities: Tensor, percentile: float) -> float:
    """The value at that rank of all probabilities, as Tang et al.'s code takes it (no interpolation)."""
    flat = probabilities.flatten()
    rank = max(1, round(len(flat) * chance(percentile, "percentile")))
    return float(flat.kthvalue(rank).values)


def _lowest(activity: LanguageActivity, scores: Tensor, share: float, bar: float) -> LanguageNeurons:
    number_of = round(len(scores) * chance(share, "share"))
    order = torch.sort(scores, stable=True).indices[:number_of]
    order = order[torch.isfinite(scores[order])]
    members = torch.zeros_like(activity.probabilities, dtype=torch.bool)
    members[order] = activity.probabilities[order] > bar
    return LanguageNeurons(activity.languages, activity.layers, activity.sizes, members, scores)


__all__ = [
    "LanguageActivity",
    "LanguageNeurons",
    "alignment_neurons",
    "alignment_score",
    "entropy",
    "language_activity",
    "lape",
    "largest_weight",
    "masked_perplexities",
    "stages",
]
