"""Recurrent layers with dendrites, without gradients: one product for all weights that meet the input, one a step for
all that meet the last state, sums in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ranvier.learners.perforated.dendrites import IN_PLACE, Dendrites


def run_without_gradients(
    kind: str, dendrites: Dendrites, x: Tensor, h: Tensor, c: Tensor, weights: Any, biases: Any, *, backwards: bool
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """x (T, B, N) through one layer in one direction, from h and c (B, H): outputs (T, B, H), and the last h and c."""
    grown: list[Any] = list(dendrites.grown)
    size, gates, inputs = h.shape[1], len(weights[0]), x.shape[2]
    order = torch.arange(gates, device=x.device)
    if kind == "LSTM":  # i, f, o, g: those with a sigmoid side by side
        order = torch.cat([order[: 2 * size], order[3 * size :], order[2 * size : 3 * size]])
    zero = x.new_zeros(gates)
    own, back = (zero if b is None else b for b in biases)
    entering = torch.cat([weights[0][order], *(d.inner.weight[order, :inputs] for d in grown)])
    returning = torch.cat([weights[1][order], *(d.inner.weight[order, inputs:] for d in grown)]).T
    first = own if kind == "GRU" else own + back
    driven = F.linear(x, entering, torch.cat([first[order], *(d.inner.bias[order] for d in grown)]))
    scales, links = [d.weight[order] for d in grown], [d.links[order] for d in grown]
    squash, out, c = IN_PLACE[dendrites.activation], x.new_empty(len(x), x.shape[1], size), c.clone()
    for t in reversed(range(len(x))) if backwards else range(len(x)):
        if kind == "GRU":
            y, recurrent = driven[t], h @ returning
            y[:, gates:] += recurrent[:, gates:]
        else:
            y = torch.addmm(driven[t], h, returning)
        total, *parts = y.split(gates, 1)
        for k, part in enumerate(parts):
            for j in range(k):
                part.addcmul_(links[k][:, j], parts[j])
            total.addcmul_(scales[k], squash(part))
        if kind == "LSTM":
            i, f, o = total[:, : 3 * size].sigmoid_().split(size, 1)
            c.mul_(f).addcmul_(i, total[:, 3 * size :].tanh_())
            h = torch.mul(o, torch.tanh(c), out=out[t])
        elif kind == "GRU":
            hidden = recurrent[:, :gates] + back
            r, z = (total[:, : 2 * size] + hidden[:, : 2 * size]).sigmoid_().split(size, 1)
            n = torch.tanh(total[:, 2 * size :].addcmul_(r, hidden[:, 2 * size :]))
            h = torch.add(n, (h - n).mul_(z), out=out[t])
        else:
            h = (torch.tanh if kind == "tanh" else torch.relu)(total)
            out[t] = h
    return out, (h.clone(), c)


__all__ = ["run_without_gradients"]
