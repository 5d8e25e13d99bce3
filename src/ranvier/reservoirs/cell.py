"""The echo-state reservoir as a layer."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.nn.cell import CellState, SequenceCell, in_own_precision
from ranvier.nn.checks import require_finite, require_state
from ranvier.nn.domains import Domain
from ranvier.nn.precision import warn_of_long_memory
from ranvier.reservoirs.esn import ESN
from ranvier.reservoirs.transformer import ReservoirTransformer


class Reservoir(SequenceCell):
    """The reservoir of a fitted `ESN` or `ReservoirTransformer` as a `Cell`,

        r ← (1 − leak) r + leak tanh(W r + W_in x + b), y = r.

    All three weights are parameters, with the estimator's values, so that a reservoir can be trained further, or
    kept as it is by `requires_grad_(False)`; W stays as sparse as it is. The readout is left to the estimator.

    `forward(x[T, B, d], state=None) -> (y[T, B, units], state)`; the state is a dict of r (B, units). Plain torch.
    Raises ValueError for wrong sizes and input that is not finite, NotFittedError for an estimator without weights.

    >>> series = np.sin(0.3 * np.arange(60))[:, None]
    >>> fitted = rv.reservoirs.ReservoirTransformer(20, random_state=0).fit(series)
    >>> cell = rv.reservoirs.Reservoir(fitted, dtype=torch.float64)
    >>> y, state = cell(torch.from_numpy(series)[:, None])
    >>> np.allclose(y[:, 0].detach(), fitted.transform(series))
    True
    """

    FIXED = frozenset({"in_features"})
    NUMBERS = {"leak": Domain(0.0, 1.0, open_low=True)}
    sources: Tensor
    starts: Tensor

    def __init__(self, fitted: ESN | ReservoirTransformer, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        check_is_fitted(fitted, "reservoir_")
        weights = fitted.reservoir_
        if weights.inputs.shape[1] != fitted.n_features_in_:
            raise ValueError(
                f"the estimator's units hear {weights.inputs.shape[1] - fitted.n_features_in_} outputs; expected "
                "feedback_scaling=0: a layer has no readout"
            )
        kind, matrix = dtype or torch.get_default_dtype(), fitted.W_
        self.register_buffer("sources", torch.from_numpy(matrix.indices.astype(np.int64)))
        self.register_buffer("starts", torch.from_numpy(matrix.indptr[:-1].astype(np.int64)))
        self.weight = nn.Parameter(torch.from_numpy(matrix.data.copy()).to(kind))
        self.input_weight = nn.Parameter(torch.from_numpy(weights.inputs.copy()).to(kind))
        self.bias = nn.Parameter(torch.from_numpy(weights.bias.copy()).to(kind))
        self.leak, self.in_features = float(weights.leak), self.input_weight.shape[1]

    def init_state(self, batch: int) -> CellState:
        """r of zeros (batch, units)."""
        return {"r": self.bias.new_zeros(batch, len(self.bias))}

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, d) -> y (T, B, units) and the state after the last step."""
        self._require_sequence(x, self.bias)
        require_finite(x)
        state = self.init_state(x.shape[1]) if state is None else state
        require_state(state, {"r": (x.shape[1], len(self.bias))}, self.bias)
        warn_of_long_memory(self, {"leak": 1 / self.leak}, x.dtype)
        r, outputs = state["r"], []
        for row in F.linear(x, self.input_weight, self.bias).unbind(0):
            fed = F.embedding_bag(
                self.sources, r.T.contiguous(), self.starts, mode="sum", per_sample_weights=self.weight
            ).T  # fmt: skip
            r = (1 - self.leak) * r + self.leak * torch.tanh(row + fed)
            outputs.append(r)
        return torch.stack(outputs), {"r": r}

    def extra_repr(self) -> str:
        return f"{self.in_features}, {len(self.bias)}, leak={self.leak}"


__all__ = ["Reservoir"]
