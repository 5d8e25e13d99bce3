"""Layers with dendrites: linear, convolutional and recurrent ones, and their cells."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.learners.perforated._inference import run_without_gradients
from ranvier.learners.perforated.dendrites import Dendrites, unwatched

CONVOLUTIONS: dict[type, int] = {nn.Conv1d: -2, nn.Conv2d: -3, nn.Conv3d: -4}  # axis of the channels
SEQUENCES = (nn.RNN, nn.LSTM, nn.GRU)
CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)


class Perforated(nn.Module):
    """nn.Linear, nn.Conv1d, Conv2d or Conv3d with dendrites (see `perforate`): main(x) + Σ_k w_k o_k(x)."""

    def __init__(self, main: Any, activation: str, through: bool) -> None:
        super().__init__()
        self.main = main
        make: Any
        kind: Any = type(main)
        if isinstance(main, nn.Linear):
            make, axis = partial(nn.Linear, main.in_features, main.out_features), -1
        else:
            axis = CONVOLUTIONS[kind]
            make = partial(
                kind, main.in_channels, main.out_channels, main.kernel_size, main.stride, main.padding,
                main.dilation, main.groups, True, main.padding_mode,
            )  # fmt: skip
        self.dendrites = Dendrites(make, axis, main.weight, activation, through)

    def forward(self, x: Tensor) -> Tensor:
        """As the layer within."""
        if unwatched(self.main) and unwatched(self.dendrites):
            return self.dendrites.forward(self.main.forward(x), x, fresh=True)
        return self.dendrites(self.main(x), x)


class PerforatedCell(nn.Module):
    """nn.RNNCell, LSTMCell or GRUCell whose gates have dendrites, which read the input and the last state."""

    def __init__(self, main: Any, activation: str, through: bool) -> None:
        super().__init__()
        self.main = main
        make = partial(nn.Linear, main.input_size + main.hidden_size, len(main.weight_ih))
        self.dendrites = Dendrites(make, -1, main.weight_ih, activation, through)

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """As the cell within."""
        m = self.main
        flat = x.ndim == 1
        x = x[None] if flat else x
        pair = isinstance(m, nn.LSTMCell)
        h, c = state if pair and state is not None else (state, None)
        h, c = (x.new_zeros(len(x), m.hidden_size) if t is None else t[None] if flat else t for t in (h, c))
        biases = (m.bias_ih, m.bias_hh) if m.bias else (None, None)
        h, c = advance(_kind(m), self.dendrites, x, h, c, (m.weight_ih, m.weight_hh), biases)
        h, c = (h[0], c[0]) if flat else (h, c)
        return (h, c) if pair else h


class PerforatedSequence(nn.Module):
    """nn.RNN, LSTM or GRU whose gates have dendrites, which read the input and the last state; step by step, once
    there are dendrites, where the layer within is one call."""

    def __init__(self, main: Any, activation: str, through: bool) -> None:
        super().__init__()
        self.main = main
        gates, width = len(main.weight_ih_l0), main.hidden_size
        ways = 2 if main.bidirectional else 1
        sizes = [main.input_size, *[width * ways] * (main.num_layers - 1)]
        makes = [partial(nn.Linear, size + width, gates) for size in sizes for _ in range(ways)]
        like = main.weight_ih_l0
        self.dendrites = nn.ModuleList(Dendrites(make, -1, like, activation, through) for make in makes)

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """As the layer within; PackedSequence is refused."""
        if not isinstance(x, Tensor):
            raise TypeError(f"x is a {type(x).__name__}; expected a tensor: pad sequences for a perforated layer")
        if not any(len(d.grown) or d.candidate is not None for d in self.dendrites):  # type: ignore[arg-type]
            return self.main(x, state)
        m = self.main
        pair, flat = isinstance(m, nn.LSTM), x.ndim == 2
        x = x[:, None] if flat else x.transpose(0, 1) if m.batch_first else x
        h, c = state if pair and state is not None else (state, None)
        shape = (len(self.dendrites), x.shape[1], m.hidden_size)
        h, c = (x.new_zeros(shape) if t is None else t[:, None] if flat else t for t in (h, c))
        ways, ends = 2 if m.bidirectional else 1, []
        for layer in range(m.num_layers):
            outs = []
            for way in range(ways):
                y, end = self._run(layer, way, x, h[layer * ways + way], c[layer * ways + way])
                outs.append(y)
                ends.append(end)
            x = torch.cat(outs, -1)
            if m.dropout and layer + 1 < m.num_layers:
                x = F.dropout(x, m.dropout, self.training)
        h, c = (torch.stack([end[k] for end in ends]) for k in (0, 1))
        if flat:
            x, h, c = x[:, 0], h[:, 0], c[:, 0]
        elif m.batch_first:
            x = x.transpose(0, 1)
        return x, ((h, c) if pair else h)

    def _run(self, layer: int, way: int, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One layer in one direction."""
        m = self.main
        end = f"l{layer}{'_reverse' * way}"
        weights = tuple(getattr(m, f"weight_{kind}_{end}") for kind in ("ih", "hh"))
        biases = tuple(getattr(m, f"bias_{kind}_{end}") if m.bias else None for kind in ("ih", "hh"))
        dendrites: Any = self.dendrites[layer * (2 if m.bidirectional else 1) + way]
        kind, outs = _kind(m), []
        parts = (dendrites, *dendrites.grown, *(d.inner for d in dendrites.grown))
        if not torch.is_grad_enabled() and len(x) and all(map(unwatched, parts)):
            return run_without_gradients(kind, dendrites, x, h, c, weights, biases, backwards=bool(way))
        for t in reversed(range(len(x))) if way else range(len(x)):
            h, c = advance(kind, dendrites, x[t], h, c, weights, biases)
            outs.append(h)
        return torch.stack(outs[::-1] if way else outs), (h, c)


def advance(
    kind: str, dendrites: Dendrites, x: Tensor, h: Tensor, c: Tensor, weights: Any, biases: Any
) -> tuple[Tensor, Tensor]:
    """One step of torch's own equations; what dendrites give is added to the input's part of the gates."""
    inward = dendrites(F.linear(x, weights[0], biases[0]), torch.cat([x, h], -1))
    back = F.linear(h, weights[1], biases[1])
    if kind == "LSTM":
        i, f, g, o = (inward + back).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
    if kind == "GRU":
        (r, z, n), (hr, hz, hn) = inward.chunk(3, -1), back.chunk(3, -1)
        n = torch.tanh(n + torch.sigmoid(r + hr) * hn)
        z = torch.sigmoid(z + hz)
        return (1 - z) * n + z * h, c
    return (torch.tanh if kind == "tanh" else torch.relu)(inward + back), c


def _kind(m: Any) -> str:
    if isinstance(m, nn.LSTM | nn.LSTMCell):
        return "LSTM"
    return "GRU" if isinstance(m, nn.GRU | nn.GRUCell) else m.nonlinearity


__all__ = ["CELLS", "CONVOLUTIONS", "SEQUENCES", "Perforated", "PerforatedCell", "PerforatedSequence"]
