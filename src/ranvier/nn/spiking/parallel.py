"""Spiking neurons without reset, all of whose steps are computed at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ranvier.engines.surrogates import ArcTan, Surrogate
from ranvier.nn.cell import CellState, SequenceCell, in_own_precision
from ranvier.nn.checks import require_finite, require_state, require_steps
from ranvier.nn.domains import POSITIVE, require_sizes


class SlidingPSN(SequenceCell):
    """Parallel spiking neurons with a sliding window (Fang et al. 2023, equations 10 and 11).

    h[t] = Σ_i kernel[i] x[t − i], i from 0 to order − 1, with zeros before the first step; y[t] = 1 where
    h[t] ≥ threshold. There is no reset, so that no step waits for the last; the kernel is shared by all neurons.

    Parameters
    ----------
    in_features : number of neurons.
    order : length of the window in steps; the kernel starts as 2^−i.
    threshold : where it starts; learned, positive.
    surrogate : slope of the spike; default ArcTan().

    `forward(x[T, B, N], state=None) -> (y, state)`; the state is {"past": (order − 1, B, N)}, the last inputs, the
    newest last. Raises ValueError for wrong shapes, T = 0, values that are not finite, and TypeError for what is no
    tensor.

    >>> layer = rv.nn.SlidingPSN(1, order=3)
    >>> layer(torch.tensor([0.7, 0.7, 0.0, 0.0]).reshape(4, 1, 1))[0].flatten()  # h: 0.7, 1.05, 0.525, 0.175
    tensor([0., 1., 0., 0.], grad_fn=<ViewBackward0>)
    """

    FIXED = frozenset({"in_features", "order"})

    def __init__(
        self,
        in_features: int,
        order: int = 4,
        *,
        threshold: float = 1.0,
        surrogate: Surrogate | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        require_sizes(in_features=in_features, order=order)
        POSITIVE.require("threshold", threshold)
        self.in_features, self.order = in_features, order
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.kernel = nn.Parameter(0.5 ** torch.arange(order, **kind))
        self.threshold = nn.Parameter(torch.tensor(threshold, **kind))
        self.surrogate = surrogate or ArcTan()

    def init_state(self, batch: int) -> CellState:
        """No input before."""
        return {"past": self.kernel.new_zeros(self.order - 1, batch, self.in_features)}

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, N) -> y (T, B, N) and the state after the last step."""
        self._require_sequence(x, self.kernel)
        require_finite(x)
        state = self.init_state(x.shape[1]) if state is None else state
        require_state(state, {"past": (self.order - 1, *x.shape[1:])}, self.kernel)
        whole, last = torch.cat([state["past"], x]), self.order - 1
        h = self.kernel[0] * x
        for i in range(1, self.order):
            h = h + self.kernel[i] * whole[last - i : last - i + len(x)]
        return self.surrogate(h - self.threshold), {"past": whole[len(x) :]}

    def extra_repr(self) -> str:
        return f"{self.in_features}, order={self.order}, surrogate={self.surrogate}"


class PSN(SequenceCell):
    """Parallel spiking neurons with a weight for every pair of steps (Fang et al. 2023, equation 8).

    h[t] = Σ_s weight[t, s] x[s]; y[t] = 1 where h[t] ≥ threshold[t]. There is no reset; weight (steps, steps) and
    threshold (steps,) are learned and shared by all neurons.

    Parameters
    ----------
    in_features : number of neurons.
    steps : the longest sequence, from the first step on; steps beyond are refused.
    causal : only s ≤ t count (the paper's masked PSN of order `steps`), so that sequences may be cut and run step by
        step; False: the whole matrix, on whole sequences of `steps` steps alone, the future included.
    threshold : where thresholds start.
    surrogate : slope of the spike; default ArcTan().

    `forward(x[T, B, N], state=None) -> (y, state)`; the state is {"inputs": (B, steps, N), those up to now, "at":
    (B,)}, how many they are, in the layer's precision: bfloat16 counts to 256. Weights start as those of
    nn.Linear(steps, steps), so that neurons are silent until the drive is normalised or grows: put a batch norm before.
    Raises ValueError for wrong shapes, T = 0, values that are not finite, sequences longer than `steps`, or of another
    length where not causal, and a state beyond what its precision counts, TypeError for what is no tensor.

    >>> layer = rv.nn.PSN(1, steps=2)
    >>> _ = layer.weight.data.copy_(torch.tensor([[1.0, 9.0], [-1.0, 1.0]]))  # the 9 is of the future
    >>> layer(torch.tensor([1.0, 1.5]).reshape(2, 1, 1))[0].flatten().tolist()  # h: 1, 0.5
    [1.0, 0.0]
    """

    FIXED = frozenset({"in_features", "steps", "causal"})

    def __init__(
        self,
        in_features: int,
        steps: int,
        *,
        causal: bool = True,
        threshold: float = 1.0,
        surrogate: Surrogate | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        require_sizes(in_features=in_features, steps=steps)
        POSITIVE.require("threshold", threshold)
        self.in_features, self.steps, self.causal = in_features, steps, bool(causal)
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(nn.Linear(steps, steps, bias=False, **kind).weight.detach())
        self.threshold = nn.Parameter(torch.full((steps,), threshold, **kind))
        self.surrogate = surrogate or ArcTan()

    def init_state(self, batch: int) -> CellState:
        """No input before."""
        zeros = self.weight.new_zeros(batch, self.steps, self.in_features)
        return {"inputs": zeros, "at": self.weight.new_zeros(batch)}

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, N) -> y (T, B, N) and the state after the last step."""
        self._require_sequence(x, self.weight)
        require_finite(x)
        first = state is None
        state = self.init_state(x.shape[1]) if state is None else state
        shapes = {"inputs": (x.shape[1], self.steps, self.in_features), "at": (x.shape[1],)}
        require_state(state, shapes, self.weight)
        at = state["at"].long()[:, None] + torch.arange(len(x), device=x.device)  # (B, T)
        self._require_steps(at, state["at"])
        index = at[:, :, None].expand(-1, -1, self.in_features)
        inputs = state["inputs"].scatter(1, index, x.transpose(0, 1))
        weight = self.weight.tril() if self.causal else self.weight
        h = torch.matmul(weight[: len(x)] if first else weight[at], inputs)  # (B, T, N)
        y = self.surrogate(h - self.threshold[at][:, :, None])
        return y.transpose(0, 1), {"inputs": inputs, "at": state["at"] + len(x)}

    def _require_steps(self, at: Tensor, reached: Tensor) -> None:
        if not require_steps(at, self.steps, reached) or self.causal:
            return
        low, high = int(at.min()), int(at.max())
        if high - low + 1 != self.steps or at.shape[1] != self.steps:
            raise ValueError(
                f"x goes from step {low} to {high}; expected all {self.steps} at once, as causal=False reads the future"
            )

    def extra_repr(self) -> str:
        return f"{self.in_features}, steps={self.steps}, causal={self.causal}, surrogate={self.surrogate}"


__all__ = ["PSN", "SlidingPSN"]
