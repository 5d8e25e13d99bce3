"""Long short-term memory with spiking output."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ranvier.engines.surrogates import ArcTan, Surrogate
from ranvier.nn.cell import CellState, SequenceCell, in_own_precision
from ranvier.nn.checks import require_finite, require_state
from ranvier.nn.domains import POSITIVE, require_sizes
from ranvier.nn.plain_modules import at_every_step, call


class SpikingLSTM(SequenceCell):
    """An LSTM whose hidden state is a membrane that spikes and is reset (snnTorch's SLSTM).

    i, f, g, o = W x + U v + b;  c ← σ(f) c + σ(i) tanh(g);  u = σ(o) tanh(c);  y = 1 where u ≥ threshold;
    v ← u − threshold y. The reset happens in the step of its spike; no gradient passes through the reset's y.

    Parameters
    ----------
    in_features, out_features : sizes; W is `linear`, U is `recurrent`, both nn.Linear with the four gates in the
        order i, f, g, o, as nn.LSTM has them.
    threshold : in (0, 1), since |u| < 1; a neuron with threshold 1 would never spike.
    surrogate : slope of the spike; default ArcTan().

    `forward(x[T, B, in_features], state=None) -> (y[T, B, out_features], state)`; the state is {"v", "c"}, (B,
    out_features). Raises ValueError for wrong shapes, T = 0, values that are not finite, and TypeError for what is no
    tensor.

    >>> y, state = rv.nn.SpikingLSTM(3, 4)(torch.rand(5, 2, 3))
    >>> y.shape, sorted(state)
    (torch.Size([5, 2, 4]), ['c', 'v'])
    """

    FIXED = frozenset({"in_features", "out_features"})
    threshold: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        threshold: float = 0.1,
        surrogate: Surrogate | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        require_sizes(in_features=in_features, out_features=out_features)
        POSITIVE.require("threshold", threshold)
        if threshold >= 1:
            raise ValueError(f"threshold is {threshold}; expected a number in (0, 1), as the membrane stays below 1")
        self.in_features, self.out_features = in_features, out_features
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_buffer("threshold", torch.tensor(threshold, **kind))
        self.linear = nn.Linear(in_features, 4 * out_features, **kind)
        self.recurrent = nn.Linear(out_features, 4 * out_features, bias=False, **kind)
        self.surrogate = surrogate or ArcTan()

    def init_state(self, batch: int) -> CellState:
        """Zeros."""
        rest = self.threshold.new_zeros(batch, self.out_features)
        return {"v": rest, "c": rest.clone()}

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, in_features) -> y (T, B, out_features) and the state after the last step."""
        self._require_sequence(x, self.threshold)
        require_finite(x)
        state = self.init_state(x.shape[1]) if state is None else state
        require_state(state, dict.fromkeys(("v", "c"), (x.shape[1], self.out_features)), self.threshold)
        v, c, outputs = state["v"], state["c"], []
        for row in at_every_step(self.linear, x).unbind(0):
            i, f, g, o = (row + call(self.recurrent, v)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            u = torch.sigmoid(o) * torch.tanh(c)
            y = self.surrogate(u - self.threshold)
            v = u - self.threshold * y.detach()
            outputs.append(y)
        return torch.stack(outputs), {"v": v, "c": c}

    def extra_repr(self) -> str:
        return (
            f"{self.in_features}, {self.out_features}, threshold={float(self.threshold):g}, surrogate={self.surrogate}"
        )


__all__ = ["SpikingLSTM"]
