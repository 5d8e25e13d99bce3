"""The echo-state reservoir as a layer."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from ganglion.reservoirs.esn import ESN

State = dict[str, Tensor]


class Reservoir(nn.Module):
    """The reservoir of a fitted `ESN` as a `Cell`: r ← (1 − leak) r + leak tanh(W r + W_in x + b), y = r.

    All three weights are parameters, with the estimator's values, so that a reservoir can be trained further, or
    kept as it is by `requires_grad_(False)`; W stays as sparse as it was drawn. The readout is left to the estimator.

    `forward(x[T, B, d], state=None) -> (y[T, B, units], state)`; the state is a dict of r (B, units). Plain torch.
    Raises ValueError for wrong sizes and input that is not finite, NotFittedError for an estimator without weights.
    """

    sources: Tensor

    def __init__(self, fitted: ESN, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        check_is_fitted(fitted, "weights_")
        kind = dtype or torch.get_default_dtype()
        units = fitted.weights_.shape[1]
        sources = (np.arange(units)[:, None] + np.asarray(fitted.shifts_)) % units  # (units, inputs of each)
        self.register_buffer("sources", torch.from_numpy(sources))
        self.weight = nn.Parameter(torch.from_numpy(fitted.weights_.T.copy()).to(kind))
        self.input_weight = nn.Parameter(torch.from_numpy(fitted.input_weights_.copy()).to(kind))
        self.bias = nn.Parameter(torch.from_numpy(fitted.bias_.copy()).to(kind))
        self.leak = float(fitted.leak)

    def init_state(self, batch: int) -> State:
        """Zeros."""
        return {"r": self.bias.new_zeros(batch, len(self.bias))}

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """One step: x (B, d) -> (state, y (B, units))."""
        if x.ndim != 2:
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (B, {self.input_weight.shape[1]})")
        y, state = self(x[None], state)
        return state, y[0]

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """x (T, B, d) -> y (T, B, units) and the state after the last step."""
        units, inputs = self.input_weight.shape
        if x.ndim != 3 or x.shape[0] == 0 or x.shape[2] != inputs:
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (T, B, {inputs}) with T > 0")
        if not bool(torch.isfinite(x.detach()).all()):
            raise ValueError("found values in x that are not finite; expected finite input")
        state = self.init_state(x.shape[1]) if state is None else state
        if sorted(state) != ["r"] or state["r"].shape != (x.shape[1], units):
            found = {name: tuple(value.shape) for name, value in state.items()}
            raise ValueError(f"found a state {found}, expected r of {(x.shape[1], units)}: of another layer?")
        r, outputs = state["r"], []
        for row in F.linear(x, self.input_weight, self.bias).unbind(0):
            fed = F.embedding_bag(self.sources, r.T.contiguous(), mode="sum", per_sample_weights=self.weight).T
            r = (1 - self.leak) * r + self.leak * torch.tanh(row + fed)
            outputs.append(r)
        return torch.stack(outputs), {"r": r}

    def extra_repr(self) -> str:
        units, inputs = self.input_weight.shape
        return f"{inputs}, {units}, leak={self.leak}"


__all__ = ["Reservoir"]
