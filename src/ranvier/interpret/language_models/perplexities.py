"""Perplexity of a causal language model on batches of texts."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from ranvier.interpret._batches import Data, batch_of, evaluating, require_tokens


def log_perplexity(model: nn.Module, data: Data) -> float:
    """The mean negative log-probability of the next token, in nats; its exponential is the perplexity.

    Every token of every text after its first counts once; padding (attention mask 0) and `labels` of -100 do not.

    Raises
    ------
    ValueError
        for tokens outside the vocabulary and where no token is left to predict.
    FloatingPointError
        where the model's logits are not finite.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
    >>> config = LlamaConfig(**sizes, num_hidden_layers=1)
    >>> model = LlamaForCausalLM(config)
    >>> _ = torch.nn.init.zeros_(model.lm_head.weight)  # all 16 tokens are equally likely
    >>> round(rv.interpret.log_perplexity(model, [torch.tensor([[1, 2, 3]])]), 4)  # ln 16
    2.7726
    """
    total, tokens = 0.0, 0
    with evaluating(model):
        for position, one in enumerate(data):
            batch = batch_of(one, position)
            require_tokens(batch, model, position)
            ids = batch.named.get("input_ids", batch.args[0] if batch.args else None)
            assert ids is not None  # for mypy: batch_of says so
            targets = (one["labels"] if isinstance(one, dict) and "labels" in one else ids)[:, 1:].clone()
            if batch.mask is not None:
                targets[~(batch.mask[:, 1:] & batch.mask[:, :-1])] = -100
            logits = batch.run(model).logits[:, :-1]
            losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
            total, tokens = total + float(losses.double().sum()), tokens + int((targets != -100).sum())
    if not tokens:
        raise ValueError("data have no token to predict; expected texts of two tokens at least.")
    if not math.isfinite(total):
        raise FloatingPointError(
            "the model's log-perplexity is not finite; expected finite logits: look at its weights."
        )
    return total / tokens


def perplexity(model: nn.Module, data: Data) -> float:
    """exp(`log_perplexity`).

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
    >>> config = LlamaConfig(**sizes, num_hidden_layers=1)
    >>> model = LlamaForCausalLM(config)
    >>> _ = torch.nn.init.zeros_(model.lm_head.weight)  # all 16 tokens are equally likely
    >>> round(rv.interpret.perplexity(model, [torch.tensor([[1, 2, 3]])]), 3)
    16.0
    """
    return float(torch.tensor(log_perplexity(model, data), dtype=torch.float64).exp())


__all__ = ["log_perplexity", "perplexity"]
