"""What a neuron's own weights say in the words of the output vocabulary (Davies 2025, arXiv:2501.02688)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ranvier._checks import count, number
from ranvier._results import Fields
from ranvier.interpret._batches import Data, batch_of, evaluating, require_tokens
from ranvier.interpret.editing import edit
from ranvier.interpret.layers import UnitLayer, require_finite_weights
from ranvier.interpret.mlp_blocks import MLP, mlps

Part = Literal["read", "gate", "write"]


@dataclass(frozen=True)
class FeatureNeurons(Fields):
    """Returned by `feature_neurons`.

    The tokens that each neuron's weights decode to: softmax(W_U w_n), the largest first.

    `tokens` and `probabilities` hold a tensor (neurons, top) for each of `layers` (blocks' names).
    """

    part: str
    layers: tuple[str, ...]
    tokens: tuple[Tensor, ...]
    probabilities: tuple[Tensor, ...]

    @property
    def size(self) -> int:
        """The number of neurons."""
        return sum(len(one) for one in self.tokens)

    def of_token(self, token: int) -> list[tuple[str, int, float]]:
        """Neurons whose first token is this one: (layer, neuron, probability), the surest first."""
        rows = [
            (name, int(n), float(probabilities[n, 0]))
            for name, tokens, probabilities in zip(self.layers, self.tokens, self.probabilities, strict=True)
            for n in (tokens[:, 0] == token).nonzero()[:, 0].tolist()
        ]
        return sorted(rows, key=lambda row: -row[2])


def feature_neurons(
    model: nn.Module,
    part: Part = "read",
    *,
    top: int = 5,
    vocabulary: Tensor | None = None,
    chunk: int = 512,
) -> FeatureNeurons:
    """Project the weights of every MLP neuron by the output embedding.

    Parameters
    ----------
    model
        A transformer with an output embedding (`get_output_embeddings`).
    part
        "read": the rows of the up projection, what a neuron looks for in the residual stream (the paper's choice);
        "gate": the gate's rows; "write": the columns of the down projection, what it adds to the stream.
    top
        Tokens a neuron.
    vocabulary
        The output embedding, (tokens, width); the model's own where none is given.
    chunk
        Neurons at a time; logits take chunk × tokens numbers.

    Raises
    ------
    ValueError
        for a model without MLPs, gate or output embedding, and for weights that are not finite.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
    >>> config = LlamaConfig(**sizes, num_hidden_layers=1)
    >>> model = LlamaForCausalLM(config)
    >>> neurons = rv.interpret.feature_neurons(model, top=1)
    >>> logits = rv.interpret.mlps(model)[0].read_weights @ model.lm_head.weight.T
    >>> torch.equal(neurons.tokens[0][:, 0], logits.argmax(1))
    True
    """
    if part not in ("read", "gate", "write"):
        raise ValueError(f"part is {part!r}; expected 'read', 'gate' or 'write'.")
    chunk = count(chunk, "chunk", 1)
    require_finite_weights(model)
    matrix = output_embedding(model) if vocabulary is None else vocabulary
    top = count(top, "top", 1)
    if top > len(matrix):
        raise ValueError(f"top is {top} of {len(matrix)} tokens; expected at most as many.")
    blocks = mlps(model)
    tokens, probabilities = [], []
    with torch.no_grad():
        for mlp in blocks:
            weights = {"read": lambda m: m.read_weights, "gate": lambda m: m.gate_weights}.get(
                part, lambda m: m.write_weights
            )(mlp)
            if weights.shape[1] != matrix.shape[1]:
                raise ValueError(
                    f"MLP {mlp.block} has weights of width {weights.shape[1]} and the output embedding "
                    f"{matrix.shape[1]}; expected one width: name the blocks of one residual stream."
                )
            pieces = [_decode(rows, matrix, top) for rows in weights.split(chunk)]
            tokens.append(torch.cat([piece[0] for piece in pieces]))
            probabilities.append(torch.cat([piece[1] for piece in pieces]))
    return FeatureNeurons(part, tuple(mlp.block for mlp in blocks), tuple(tokens), tuple(probabilities))


def _decode(rows: Tensor, matrix: Tensor, top: int) -> tuple[Tensor, Tensor]:
    logits = rows @ matrix.T
    values, tokens = logits.topk(top, dim=1)
    return tokens, (values - logits.logsumexp(1, keepdim=True)).exp()


def output_embedding(model: nn.Module) -> Tensor:
    """The matrix from the residual stream to the tokens' logits, (tokens, width).

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
    >>> config = LlamaConfig(**sizes, num_hidden_layers=1)
    >>> model = LlamaForCausalLM(config)
    >>> torch.equal(rv.interpret.output_embedding(model), model.lm_head.weight)
    True
    """
    head: Any = getattr(model, "get_output_embeddings", lambda: None)()
    if head is None or not isinstance(getattr(head, "weight", None), Tensor):
        raise ValueError(f"{type(model).__name__} has no output embedding; expected a language model with a head.")
    weight: Tensor = head.weight
    return weight.detach()


def persistence(before: FeatureNeurons, after: FeatureNeurons) -> float:
    """The share of neurons whose first token is the same in both: 0.754 from Llama 3.1 8B to its Instruct (Davies
    2025). ValueError where the two are not of one architecture and part.

    >>> tokens, p = torch.tensor([[1], [2], [3], [4]]), torch.ones(4, 1)
    >>> before = rv.interpret.FeatureNeurons("read", ("mlp",), (tokens,), (p,))
    >>> after = rv.interpret.FeatureNeurons("read", ("mlp",), (tokens.clamp(max=3),), (p,))
    >>> rv.interpret.persistence(before, after)
    0.75
    """
    shapes = [[tuple(t.shape[:1]) for t in one.tokens] for one in (before, after)]
    if shapes[0] != shapes[1] or before.part != after.part:
        raise ValueError(
            f"the two have {before.size} neurons ({before.part}) and {after.size} ({after.part}); expected one model "
            "before and after training, and one part."
        )
    same = [(a[:, 0] == b[:, 0]).double() for a, b in zip(before.tokens, after.tokens, strict=True)]
    return float(torch.cat(same).mean())


def clamped_lift(
    model: nn.Module, data: Data, where: MLP | UnitLayer | str, neuron: int, token: int, value: float
) -> float:
    """How much clamping a neuron to `value` at every position raises a token's log-probability as the next one, in
    nats, averaged over the last tokens of all texts.

    `data`: batches of a tokenizer, padded on either side. Edits are undone. ValueError for neurons and tokens that
    the model does not have.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
    >>> config = LlamaConfig(**sizes, num_hidden_layers=1)
    >>> model = LlamaForCausalLM(config)
    >>> block = rv.interpret.mlps(model)[0]
    >>> _ = torch.nn.init.zeros_(block.down.weight)  # neurons that write nothing
    >>> rv.interpret.clamped_lift(model, [torch.tensor([[1, 2, 3]])], block, neuron=0, token=5, value=10.0)
    0.0
    """
    target = where.neurons if isinstance(where, MLP) else where
    value, neuron = number(value, "value"), count(neuron, "neuron")
    token = count(token, "token")
    size = len(output_embedding(model))
    if token >= size:
        raise ValueError(f"token is {token}; expected 0 to {size - 1}, the model's vocabulary.")
    total, texts = 0.0, 0
    with evaluating(model):
        for position, one in enumerate(data):
            batch = batch_of(one, position)
            require_tokens(batch, model, position)
            plain = _last(batch.run(model).logits, batch.mask)
            with edit(model) as change:
                change.clamp(target, neuron, value)
                clamped = _last(batch.run(model).logits, batch.mask)
            lift = clamped.log_softmax(1)[:, token] - plain.log_softmax(1)[:, token]
            total, texts = total + float(lift.double().sum()), texts + len(lift)
    if not texts:
        raise ValueError("data have no batch; expected one at least.")
    return total / texts


def _last(logits: Tensor, mask: Tensor | None) -> Tensor:
    """The logits at each text's last token that is no padding, (B, tokens)."""
    if mask is None:
        return logits[:, -1]
    steps = torch.arange(mask.shape[1]).expand_as(mask)
    return logits[torch.arange(len(mask)), steps.masked_fill(~mask, -1).amax(1)]


__all__ = ["FeatureNeurons", "clamped_lift", "feature_neurons", "output_embedding", "persistence"]
