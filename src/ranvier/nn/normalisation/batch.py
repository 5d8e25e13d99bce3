"""Batch normalisation of sequences: one law for all steps (tdBN), or one a step (BNTT)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ranvier.nn.cell import CellState, FixedAttributes, in_own_precision
from ranvier.nn.checks import require_finite, require_state, require_steps, require_tensor
from ranvier.nn.domains import POSITIVE, Domain, require_sizes

_MOMENTUM = Domain(0.0, 1.0, open_low=True)


class _BatchNorm(FixedAttributes):
    """What both share: sizes, learned gain, running statistics; x (T, B, features, ...)."""

    FIXED = frozenset({"features", "steps"})
    NUMBERS = {"eps": POSITIVE, "momentum": _MOMENTUM, "threshold": POSITIVE, "scale": POSITIVE}
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, shape: tuple[int, ...], eps: float, momentum: float, kind: dict[str, Any]) -> None:
        super().__init__()
        POSITIVE.require("eps", eps)
        _MOMENTUM.require("momentum", momentum)
        self.features, self.eps, self.momentum = shape[-1], eps, momentum
        self.weight = nn.Parameter(torch.ones(shape, **kind))
        self.register_buffer("running_mean", torch.zeros(shape, **kind))
        self.register_buffer("running_var", torch.ones(shape, **kind))

    def step(self, state: CellState, x: Tensor) -> tuple[CellState, Tensor]:
        """One step: x (B, features, ...) -> (state, y of x's shape). Raises what `forward` raises."""
        require_tensor(x)
        if x.ndim < 2:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, {self.features}, ...)")
        y, state = self(x[None], state)
        return state, y[0]

    def _require(self, x: Tensor) -> None:
        require_tensor(x)
        if x.ndim < 3 or 0 in x.shape[:2] or x.shape[2] != self.features:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected (T, B, {self.features}, ...) with T > 0 and B > 0"
            )
        require_tensor(x, self.weight)
        require_finite(x)


class ThresholdBatchNorm(_BatchNorm):
    """Threshold-dependent batch normalisation, tdBN (Zheng et al. 2021, equations 5 to 8).

    y = weight · scale · threshold · (x − μ)/√(σ² + eps) + bias, with μ and σ² of each feature over all steps, examples
    and places of the batch in training, the running ones in evaluation. What drives the neurons then has the standard
    deviation of their threshold.

    Parameters
    ----------
    features : size of x's third axis.
    threshold : of the neurons that y drives; positive.
    scale : the paper's α, 1/√2 before the sum of a residual block; positive.
    eps, momentum : as of nn.BatchNorm1d; running statistics move by `momentum` a batch.

    A `Cell` without state, `forward(x[T, B, features, ...], state=None) -> (y, {})`. `step` in training takes the
    statistics of that step alone. Raises ValueError for wrong shapes, values that are not finite, a batch with a
    single value a feature in training, and TypeError for what is no tensor.

    >>> layer = rv.nn.Sequential(torch.nn.Conv2d(2, 8, 3), rv.nn.ThresholdBatchNorm(8), rv.nn.LIF())
    >>> layer(torch.rand(5, 4, 2, 6, 6))[0].shape
    torch.Size([5, 4, 8, 4, 4])
    """

    def __init__(
        self,
        features: int,
        *,
        threshold: float = 1.0,
        scale: float = 1.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_sizes(features=features)
        POSITIVE.require("threshold", threshold)
        POSITIVE.require("scale", scale)
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__((features,), eps, momentum, kind)
        self.bias = nn.Parameter(torch.zeros(features, **kind))
        self.threshold, self.scale = threshold, scale

    def init_state(self, batch: int) -> CellState:
        """Nothing."""
        return {}

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, features, ...) -> y of the same shape, and no state."""
        self._require(x)
        require_state({} if state is None else state, {}, self.weight)
        if self.training and x.numel() == self.features:
            raise ValueError(
                f"x of shape {tuple(x.shape)} holds one value a feature; expected two or more in training, which have "
                "a variance: give a larger batch, or call .eval()"
            )
        y = nn.functional.batch_norm(
            x.flatten(0, 1), self.running_mean, self.running_var, self.weight * (self.scale * self.threshold),
            self.bias, self.training, self.momentum, self.eps,
        )  # fmt: skip
        return y.unflatten(0, x.shape[:2]), {}

    def extra_repr(self) -> str:
        return f"{self.features}, threshold={self.threshold:g}, scale={self.scale:g}"


class BatchNormThroughTime(_BatchNorm):
    """Batch normalisation with statistics and a gain of every step, BNTT (Kim & Panda 2021, equation 6).

    y[t] = weight[t] (x[t] − μ[t])/√(σ²[t] + eps), without a bias, with μ[t] and σ²[t] over the examples and places of
    step t in training, the running ones of that step in evaluation.

    Parameters
    ----------
    features : size of x's third axis.
    steps : the longest sequence; steps beyond are refused.
    eps, momentum : as of nn.BatchNorm1d.

    The state is {"at": (B,)}, how many steps each example has come; `weight`, `running_mean` and `running_var` are
    (steps, features). Raises ValueError for wrong shapes, values that are not finite, sequences longer than `steps`, a
    step with a single value a feature in training, and TypeError for what is no tensor.

    >>> norm = rv.nn.BatchNormThroughTime(3, steps=10)
    >>> y, state = norm(torch.rand(10, 8, 3))
    >>> bool(y.mean(1).abs().max() < 1e-5), state["at"][0].item()
    (True, 10.0)
    """

    FIXED = frozenset({"features", "steps"})

    def __init__(
        self,
        features: int,
        steps: int,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_sizes(features=features, steps=steps)
        super().__init__((steps, features), eps, momentum, {"device": device, "dtype": dtype})
        self.steps = steps

    def init_state(self, batch: int) -> CellState:
        """The first step, for each of `batch` examples."""
        return {"at": self.weight.new_zeros(batch)}

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, features, ...) -> y of the same shape, and the state after the last step."""
        self._require(x)
        state = self.init_state(x.shape[1]) if state is None else state
        require_state(state, {"at": (x.shape[1],)}, self.weight)
        steps = torch.arange(len(x), device=x.device)[:, None] + state["at"].long()  # (T, B)
        self._require_steps(steps, state["at"])
        mean, var = self._own(x, steps[:, 0]) if self.training else (self.running_mean[steps], self.running_var[steps])
        gain = self.weight[steps] * torch.rsqrt(var + self.eps)
        places = (..., *[None] * (x.ndim - 3))
        return (x - mean[places]) * gain[places], {"at": state["at"] + len(x)}

    def _own(self, x: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """The statistics of each step of x, (T, 1, features); the running ones move towards them."""
        values = x.flatten(3).transpose(2, 3).flatten(1, 2) if x.ndim > 3 else x  # (T, B · places, features)
        count = values.shape[1]
        if count < 2:
            raise ValueError(
                f"x of shape {tuple(x.shape)} holds one value a feature and step; expected two or more in training, "
                "which have a variance: give a larger batch, or call .eval()"
            )
        var, mean = torch.var_mean(values, 1, correction=0, keepdim=True)
        with torch.no_grad():
            share = self.momentum
            self.running_mean[steps] = self.running_mean[steps].lerp(mean[:, 0], share)
            self.running_var[steps] = self.running_var[steps].lerp(var[:, 0] * (count / (count - 1)), share)
        return mean, var

    def _require_steps(self, steps: Tensor, reached: Tensor) -> None:
        if not require_steps(steps, self.steps, reached):
            return
        if self.training and bool((steps != steps[:, :1]).any()):
            raise ValueError(
                "the state's examples are at different steps; expected the same of all in training, where a step's "
                "statistics are those of its batch: call .eval(), or run them apart"
            )

    def extra_repr(self) -> str:
        return f"{self.features}, steps={self.steps}"


__all__ = ["BatchNormThroughTime", "ThresholdBatchNorm"]
