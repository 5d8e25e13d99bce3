"""Eligibility traces: how a neuron's own past makes its next spike depend on each of its weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ranvier.learners.local._layers import arriving, require_own_weight, sent
from ranvier.nn.cell import CellState
from ranvier.nn.spiking.layer import DynamicalLayer


class EligibilityFilter:
    """e_ij[t] of a layer's neurons (Bellec et al. 2020, eqs. 13, 14), for any equations.

    With h_i the state of neuron i and x_j[t] what reaches synapse j (the input, one for a bias, and the layer's
    own last spikes):

        ε_ij[t+1] = ∂h_i[t+1]/∂h_i[t] ε_ij[t] + ∂h_i[t+1]/∂I_i x_j[t]
        e_ij[t]   = ∂z_i[t]/∂h_i[t] ε_ij[t] + ∂z_i[t]/∂I_i x_j[t]

    with the surrogate's slope for the spike's derivative; derivatives by autograd, so that whatever a layer
    does within a step is in them. A trace that is the same for all neurons is held once, (B, 1, M).
    """

    def __init__(self, layer: DynamicalLayer) -> None:
        if layer.linear is None:
            raise ValueError("there is a layer without weights; expected sizes for input and output")
        require_own_weight(layer.linear)
        self.layer = layer
        self.names = [name for name, _ in layer.equations.states]
        self.traces: list[Tensor | None] = [None] * len(self.names)
        self.constants = {name: value.detach() for name, value in layer._constants().items()}
        self.weight = [layer.linear.weight.detach()]
        if layer.linear.bias is not None:
            self.weight.append(layer.linear.bias.detach()[:, None])
        if layer.recurrent is not None:
            self.weight.append(layer.recurrent.detach())
        self.weights = torch.cat(self.weight, 1)

    def presynaptic(self, state: CellState, x: Tensor) -> Tensor:
        """(B, M): input, one for a bias, own last spikes, in the order of `split`."""
        parts = [x]
        if self.layer.linear is not None and self.layer.linear.bias is not None:
            parts.append(torch.ones_like(x[:, :1]))
        if self.layer.recurrent is not None:
            parts.append(arriving(self.layer, state))
        return torch.cat(parts, 1) if len(parts) > 1 else x

    def split(self, total: Tensor) -> dict[str, Tensor]:
        """(N, M) by parameter: weight, bias, recurrent."""
        names = ["weight", *(["bias"] if self.layer.linear.bias is not None else [])]  # type: ignore[union-attr]
        names += ["recurrent"] if self.layer.recurrent is not None else []
        pieces = dict(zip(names, total.split([w.shape[1] for w in self.weight], 1), strict=True))
        if "bias" in pieces:
            pieces["bias"] = pieces["bias"][:, 0]
        return pieces

    @torch.no_grad()
    def step(self, state: CellState, x: Tensor) -> tuple[CellState, Tensor, Tensor]:
        """One step: x (B, in) -> state, y (B, N), e (B, N, M)."""
        pre = self.presynaptic(state, x)
        held = [state[name].detach() for name in self.names]
        with torch.enable_grad():
            inputs = [h.clone().requires_grad_() for h in (*held, F.linear(pre, self.weights))]
            named = dict(zip(self.names, inputs, strict=False))
            y, after = self.layer.equations.evaluate(self.layer.surrogate, inputs[-1], **named, **self.constants)
            rows = [_slopes(value, inputs) for value in (*(after[name] for name in self.names), y)]
        traces = [self._row(row, pre) for row in rows]
        self.traces = traces[:-1]
        e = traces[-1]
        e = torch.zeros(1) if e is None else e
        following = {name: after[name].detach() for name in self.names}
        y = y.detach()
        return sent(self.layer, state, following, y), y, e.expand(len(x), y.shape[1], pre.shape[1])

    def _row(self, slopes: list[Tensor | None], pre: Tensor) -> Tensor | None:
        """Σ over states of slope · trace, plus the input's slope · presynaptic activity."""
        total = None
        for slope, trace in zip(slopes, [*self.traces, pre[:, None]], strict=True):
            if slope is None or trace is None:
                continue
            low, high = torch.aminmax(slope)
            part = trace * low if bool(low == high) else slope[:, :, None] * trace
            total = part if total is None else total + part
        return total


def _slopes(value: Tensor, inputs: list[Tensor]) -> list[Tensor | None]:
    if not value.requires_grad:
        return [None] * len(inputs)
    return list(torch.autograd.grad(value, inputs, torch.ones_like(value), retain_graph=True, allow_unused=True))
