"""A transformer over spikes: what is in the window attends to its past, to stimuli, and to itself (Antoniades et al.
2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier._checks import count
from ranvier.recordings.neuroformer.tokens import Windows


class Output(NamedTuple):
    """What the model says of W windows: logits of the next neuron or the end (W, L, N + 1), and of its bin (W, L, B);
    labels by name (W,); the window's and each modality's embedding for the contrastive term, (W, E), of unit length.

    >>> session = rv.recordings.Session.from_times([5.0, 60.0, 110.0], [0, 1, 0], duration=200.0)
    >>> windows = rv.recordings.neuroformer.tokenise(session, past=50.0)
    >>> output = rv.recordings.neuroformer.Neuroformer(2, bins=5, past_bins=5, width=8)(windows)
    >>> output.ids.shape[-1], output.bins.shape[-1]  # two neurons and the end; five bins
    (3, 5)
    """

    ids: Tensor
    bins: Tensor
    labels: dict[str, Tensor]
    state: Tensor
    contexts: dict[str, Tensor]


class Neuroformer(nn.Module):
    """Neuroformer of N = `size` neurons.

    Parameters
    ----------
    size
        number of neurons
    bins, past_bins
        bins of the window, and of its past
    modalities
        name -> (samples, features) of each: any number, each with a projection and cross-attention of its own, whose
        cost is linear in its features
    labels
        names of what is decoded from the window
    width, heads, layers, dropout
        of the transformer: `layers` of cross-attention to the past, to each modality, and of causal self-attention
    contrast
        width of the embeddings that are aligned by contrast; 0: none

    >>> from ranvier.recordings.neuroformer import Neuroformer
    >>> model = Neuroformer(30, bins=5, past_bins=15, modalities={"video": (4, 100), "speed": (1, 1)})
    """

    def __init__(
        self, size: int, *, bins: int, past_bins: int, modalities: Mapping[str, tuple[int, int]] | None = None,
        labels: Sequence[str] = (), width: int = 32, heads: int = 2, layers: int = 1, dropout: float = 0.0,
        contrast: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        numbers = {"size": size, "bins": bins, "past_bins": past_bins, "heads": heads, "layers": layers}
        for name, value in numbers.items():
            count(value, name, 1)
        if width % heads:
            raise ValueError(f"width is {width}, heads {heads}; expected a multiple of heads")
        self.size = size
        self.neuron = nn.Embedding(size + 2, width, padding_idx=size + 1)
        self.bin = nn.Embedding(bins, width)
        self.past_bin = nn.Embedding(past_bins, width)
        modalities = dict(modalities or {})
        self.project = nn.ModuleDict({name: nn.Linear(features, width) for name, (_, features) in modalities.items()})
        self.frame = nn.ParameterDict({name: 0.02 * torch.randn(n, width) for name, (n, _) in modalities.items()})
        self.to_past: Any = nn.ModuleList(CrossAttention(width, heads, dropout) for _ in range(layers))
        self.to_context: Any = nn.ModuleDict(
            {name: nn.ModuleList(CrossAttention(width, heads, dropout) for _ in range(layers)) for name in modalities}
        )
        self.to_self = nn.ModuleList(CrossAttention(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.say_id, self.say_bin = nn.Linear(width, size + 1), nn.Linear(width, bins)
        self.read = nn.ModuleDict({name: _readout(width) for name in labels})
        self.contrast = contrast
        if contrast:
            self.align_state = nn.Linear(width, contrast)
            self.align = nn.ModuleDict({name: nn.Linear(width, contrast) for name in modalities})
        for embedding in (self.neuron, self.bin, self.past_bin):
            nn.init.normal_(embedding.weight, std=0.1)
        with torch.no_grad():
            self.neuron.weight[size + 1] = 0.0

    def forward(self, windows: Windows) -> Output:
        """What the model says of the windows."""
        self._check(windows)
        x = self.neuron(windows.ids) + self.bin(windows.bins)
        past, there = self.embed_past(windows)
        contexts = {name: self.project[name](windows.modalities[name].to(x.dtype)) + self.frame[name]
                    for name in self.project}  # fmt: skip
        for attend in self.to_past:
            x = attend(x, past, there[:, None])
        for name, context in contexts.items():
            for attend in self.to_context[name]:
                x = attend(x, context)
        length = x.shape[1]
        real = windows.ids <= self.size
        causal = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        for attend in self.to_self:
            x = attend(x, x, causal & (real[:, None] | torch.eye(length, dtype=torch.bool, device=x.device)))
        x = self.norm(x)
        # the whole window, and its past, in one vector
        pooled = (x * real[..., None]).sum(1) / real.sum(1, keepdim=True)
        state, aligned = pooled, {}
        if self.contrast:
            state = functional.normalize(self.align_state(pooled), dim=1)
            aligned = {name: functional.normalize(self.align[name](c.mean(1)), dim=1) for name, c in contexts.items()}
        labels = {name: read(pooled)[:, 0] for name, read in self.read.items()}
        return Output(self.say_id(x), self.say_bin(x), labels, state, aligned)

    def embed_past(self, windows: Windows) -> tuple[Tensor, Tensor]:
        """Embedded spikes of the past (W, P, E), and which are there (W, P)."""
        return self.neuron(windows.past_ids) + self.past_bin(windows.past_bins), windows.past_ids < self.size

    def _check(self, windows: Windows) -> None:
        bins, past = round(windows.window / windows.bin), round(windows.past / windows.bin)
        if (windows.size, bins, past) != (self.size, self.bin.num_embeddings, self.past_bin.num_embeddings):
            raise ValueError(f"windows have {windows.size} neurons, {bins} and {past} bins; expected {self.size}, "
                             f"{self.bin.num_embeddings} and {self.past_bin.num_embeddings}, those of the "
                             "model")  # fmt: skip
        missing = [name for name in self.project if name not in windows.modalities]
        if missing:
            raise ValueError(f"windows have no modality {missing[0]!r}; expected {', '.join(self.project)}: give it "
                             "to tokenise")  # fmt: skip


class CrossAttention(nn.Module):
    """x + attention of x (W, L, E) to a context (W, M, E), then a network of two layers; and the same weights apart.

    A context's first place is a learned vector that is always there, so that nothing need be attended to.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.nothing = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.before, self.between, self.around = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: (W, L or 1, M), True where a place may be attended to."""
        query, key, value = self._parts(x, context)
        if mask is not None:
            mask = functional.pad(mask, (1, 0), value=True)[:, None]
        y = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.dropout(self.out(y.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mix(self.between(x)))

    def weights(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """How much each place of x attends to each of the context, (W, heads, L, M); the rest of 1 goes to nothing."""
        query, key, _ = self._parts(x, context)
        score = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        if mask is not None:
            score = score.masked_fill(~functional.pad(mask, (1, 0), value=True)[:, None], -torch.inf)
        return score.softmax(-1)[..., 1:]

    def carried(self, context: Tensor) -> Tensor:
        """What each head would add to x if it attended to one place alone, (W, heads, M, E)."""
        wide = self.value(self.around(context)).unflatten(2, (self.heads, -1)).transpose(1, 2)
        matrix = self.out.weight.unflatten(1, (self.heads, -1))  # (E, heads, E/heads)
        return torch.einsum("whmd,ehd->whme", wide, matrix)

    def _parts(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c = self.around(torch.cat([self.nothing.expand(len(context), 1, -1), context], 1))
        split = lambda y: y.unflatten(2, (self.heads, -1)).transpose(1, 2)  # noqa: E731
        return split(self.query(self.before(x))), split(self.key(c)), split(self.value(c))


def _readout(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))


__all__ = ["CrossAttention", "Neuroformer", "Output"]
