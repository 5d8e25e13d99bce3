"""Every neuron's spikes fed back to all, one step or several later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ganglion.nn._spikes import add_product, find_active, outer


@dataclass(frozen=True)
class Recurrence:
    """total[t] = x[t] + W y[t−1], and its adjoint; W (N, N) is [target, source]."""

    weight: Tensor

    def tensors(self, state: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What autograd must know: the spikes before the first step, and the weight."""
        return state["y"], self.weight

    def last(self, first: Tensor, y: Tensor) -> Tensor:
        """The spikes that the next sequence needs."""
        return y[-1]

    def forward(self, x: Tensor, total: Tensor, y: Tensor, first: Tensor, weight: Tensor) -> Iterator[None]:
        """Fills total[t], at each next(), for the next t; total may be x itself. y is filled meanwhile."""
        own = total is x
        # a dense product's last bits depend on alignment: rows that begin anywhere go by way of others
        aligned = x.stride(0) * x.element_size() % 64 == 0 and x.data_ptr() % 64 == 0
        pre, sent, by_source = torch.empty_like(x[0]), torch.empty_like(x[0]), weight.T.contiguous()
        previous = first.contiguous()
        for t in range(len(x)):
            drive = total[t] if aligned else pre
            active = find_active(previous)
            if active is not None:
                if not (own and aligned):
                    drive.copy_(x[t])
                add_product(drive, previous, active, by_source)
            else:
                sent = previous if aligned else sent.copy_(previous)
                torch.addmm(x[t], sent, weight.T, out=drive)
            if not aligned:
                total[t].copy_(pre)
            previous = y[t]
            yield

    def backward(self, g: Tensor, g_x: Tensor, weight: Tensor) -> Iterator[Tensor]:
        """y's gradient at each step, from the last; g_x is filled meanwhile."""
        sent = torch.empty_like(g[0])
        yield g[-1]
        for t in range(len(g) - 2, -1, -1):
            yield torch.addmm(g[t], g_x[t + 1], weight, out=sent)

    def gradients(self, g_x: Tensor, y: Tensor, first: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """By the spikes before the first step, and by the weight."""
        later, sent = g_x[1:].flatten(0, 1), y[:-1].flatten(0, 1)
        active = find_active(sent)
        g_weight = later.T @ sent if active is None else outer(sent, later, active)
        return g_x[0] @ weight, g_weight + g_x[0].T @ first
