"""Neuron-activation graphs: the neurons of most impact in each layer, as a profile that ranks texts (NAG 2026)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ranvier._checks import chance, count
from ranvier._results import Fields
from ranvier.interpret._batches import Data, batch_of, evaluating, require_tokens
from ranvier.interpret.layers import require_finite_weights
from ranvier.interpret.mlp_blocks import mlps


@dataclass(frozen=True)
class ActivationGraphs(Fields):
    """Returned by `activation_graphs`.

    The neurons of most impact of each text: `units` (texts, layers, top), the strongest first; `tokens` (texts,)
    that are no padding; `sizes` neurons in each of `layers` (named as `edit` takes them).
    """

    layers: tuple[str, ...]
    sizes: tuple[int, ...]
    units: Tensor
    tokens: Tensor

    def profile(self, texts: Tensor | slice = slice(None)) -> list[Tensor]:
        """How often each neuron is among the top of these texts, a tensor (neurons,) of sum 1 for each layer."""
        chosen = self.units[texts]
        if not len(chosen):
            raise ValueError("texts are none; expected one at least for a profile.")
        counts = [torch.bincount(chosen[:, k].flatten(), minlength=size) for k, size in enumerate(self.sizes)]
        return [one.double() / one.sum() for one in counts]

    def similarity(self, profile: Sequence[Tensor], layers: slice = slice(None)) -> Tensor:
        """The mean over layers of the summed weights that a text's neurons have in a profile, (texts,).

        `layers`: those that count, slice(-1, None) for the last alone.
        """
        if [len(one) for one in profile] != list(self.sizes):
            raise ValueError(
                f"profile has {[len(one) for one in profile]} neurons; expected {list(self.sizes)}, those of the model."
            )
        columns = [one[self.units[:, k]].sum(1) for k, one in enumerate(profile)]
        return torch.stack(columns, 1)[:, layers].mean(1)


def activation_graphs(model: nn.Module, data: Data, *, top: int = 20) -> ActivationGraphs:
    """Each text's `top` neurons of every MLP by impact, the mean over its tokens of |up projection's output|.

    data: batches of a tokenizer (the paper cuts texts to 120 tokens). Memory does not depend on what is in the texts.
    Of neurons of one impact the lower comes first. Raises ValueError for models without MLPs, weights that are not
    finite, tokens outside the vocabulary, and more neurons than a layer has.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
    >>> config = LlamaConfig(**sizes, num_hidden_layers=2)
    >>> graphs = rv.interpret.activation_graphs(LlamaForCausalLM(config), [torch.tensor([[1, 2, 3], [4, 5, 6]])], top=3)
    >>> tuple(graphs.units.shape), graphs.tokens.tolist()  # (texts, layers, top)
    ((2, 2, 3), [3, 3])
    """
    require_finite_weights(model)
    blocks = mlps(model)
    top = count(top, "top", 1)
    if top > min(mlp.size for mlp in blocks):
        raise ValueError(f"top is {top}; expected at most {min(mlp.size for mlp in blocks)}, the neurons of a layer.")
    mask: Tensor | None = None
    strongest: dict[str, Tensor] = {}

    def ranker(block: str) -> Any:
        def rank(x: Tensor) -> None:
            if mask is None:
                impact = x.abs().mean(1)
            else:
                weight = mask.to(x)[:, :, None]
                impact = (x.reshape(*mask.shape, -1).abs() * weight).sum(1) / weight.sum(1)
            strongest[block] = torch.sort(impact, dim=1, descending=True, stable=True).indices[:, :top]

        return rank

    handles = [mlp.layers[-1].attach(ranker(mlp.block)) for mlp in blocks]
    units, tokens = [], []
    try:
        with evaluating(model):
            for position, one in enumerate(data):
                batch = batch_of(one, position)
                require_tokens(batch, model, position)
                mask = batch.mask
                batch.run(model)
                units.append(torch.stack([strongest[mlp.block] for mlp in blocks], 1))
                length = batch.tokens or (batch.args[0].shape[1] if batch.args else 0)
                tokens.append(torch.full((batch.size,), length) if mask is None else mask.sum(1))
    finally:
        for handle in handles:
            handle.remove()
    if not units:
        raise ValueError("data have no batch; expected one at least.")
    names = tuple(mlp.neurons.name for mlp in blocks)
    return ActivationGraphs(names, tuple(mlp.size for mlp in blocks), torch.cat(units), torch.cat(tokens))


def select_texts(scores: Tensor, tokens: Tensor, budget: float = 0.2, quality: Tensor | None = None) -> Tensor:
    """Texts of the highest scores up to a share `budget` of all tokens, as indices in order of rank; of equal scores
    the lower index first. The text that would pass the budget ends the choice.

    quality: another score of each text; both are brought to [0, 1] by their extremes, and added.

    >>> scores, tokens = torch.tensor([0.1, 0.9, 0.5]), torch.tensor([10, 10, 10])
    >>> rv.interpret.select_texts(scores, tokens, budget=0.7).tolist()  # 20 of 30 tokens
    [1, 2]
    """
    budget = chance(budget, "budget")
    if scores.shape != tokens.shape or scores.ndim != 1:
        raise ValueError(f"scores are {tuple(scores.shape)} and tokens {tuple(tokens.shape)}; expected one a text.")
    if quality is not None:
        if quality.shape != scores.shape:
            raise ValueError(f"quality is {tuple(quality.shape)}; expected one number a text: ({len(scores)},).")
        scores = _unit(scores) + _unit(quality)
    if not bool(torch.isfinite(scores).all()):
        raise ValueError("scores are not finite; expected a number a text: look at how they were computed.")
    order = torch.sort(scores, descending=True, stable=True).indices
    return order[tokens[order].cumsum(0) <= budget * float(tokens.sum())]


def merge_selections(scores: Sequence[Tensor], tokens: Tensor, budget: float = 0.2) -> Tensor:
    """Texts for several targets: each target chooses an equal share of the budget, and the choices are merged, each
    text once, in their order.

    >>> scores = [torch.tensor([3.0, 2.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 2.0, 3.0])]
    >>> rv.interpret.merge_selections(scores, torch.ones(4), budget=0.5).tolist()  # the best text of each target
    [0, 3]
    """
    if not scores:
        raise ValueError("scores are none; expected those of one target at least.")
    merged: dict[int, None] = {}
    for one in scores:
        merged |= dict.fromkeys(select_texts(one, tokens, budget / len(scores)).tolist())
    return torch.tensor(list(merged), dtype=torch.long)


def _unit(x: Tensor) -> Tensor:
    low, high = x.min(), x.max()
    return torch.zeros_like(x) if bool(high == low) else (x - low) / (high - low)


__all__ = ["ActivationGraphs", "activation_graphs", "merge_selections", "select_texts"]
