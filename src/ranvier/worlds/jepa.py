"""Joint-embedding predictive architectures: prediction in the space of codes, not of pixels (LeCun 2022)."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from ranvier._checks import count, floating

Target = Literal["average", "stop", "shared"]


class JEPA(nn.Module):
    """Codes z = encoder(x); the predictor leads z_0 along actions to the codes of later frames.

    loss = invariance · mean (ẑ − z̄)² + variance · mean max(0, 1 − sd z) + covariance · Σ_{i≠j} cov(z)²/size, the last
    two over all frames of a batch (VICReg; Bardes et al. 2022: 25, 25, 1). z̄ are codes by the encoder's moving average,
    without gradients (target "average"), by the encoder itself without ("stop") or with them ("shared").

    inputs, actions : entries of a frame and of an action (0: prediction without). size, hidden : of codes and of the
    one hidden layer of encoder and predictor. momentum : of the moving average.

    >>> from ranvier.worlds import JEPA
    >>> model = JEPA(16, 2, size=4, hidden=8)
    >>> model.predict(model.encode(torch.zeros(3, 5, 16))[0], torch.zeros(2, 5, 2)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(
        self, inputs: int, actions: int, *, size: int = 16, hidden: int = 128, target: Target = "average",
        momentum: float = 0.99, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0,
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inputs, self.actions = count(inputs, "inputs", 1), count(actions, "actions")
        self.size = count(size, "size", 1)
        if target not in ("average", "stop", "shared"):
            raise ValueError(f"target is {target!r}; expected 'average', 'stop' or 'shared'")
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum is {momentum}; expected 0 to 1")
        self.kind, self.momentum = target, momentum
        self.weights = invariance, variance, covariance
        random = torch.Generator().manual_seed(seed)
        self.encoder = perceptron(inputs, hidden, size, random)
        self.predictor = perceptron(size + actions, hidden, size, random)
        self.average = copy.deepcopy(self.encoder).requires_grad_(False)

    def encode(self, x: Tensor) -> Tensor:
        """Codes (..., size) of frames (..., inputs)."""
        floating(x, "x", f"(..., {self.inputs}), pixels last", last=self.inputs)
        codes: Tensor = self.encoder(x)
        return codes

    def predict(self, code: Tensor, actions: Tensor) -> Tensor:
        """Codes (H, B, size) after each of the actions (H, B, actions), from a code (B, size)."""
        floating(code, "code", f"(B, {self.size})", last=self.size)
        if not isinstance(actions, Tensor) or not actions.is_floating_point():
            what = f"a tensor of {actions.dtype}" if isinstance(actions, Tensor) else type(actions).__name__
            raise TypeError(f"actions is {what}; expected a floating tensor (H, B, {self.actions})")
        if len(actions) == 0 or not bool(actions.isfinite().all()):
            raise ValueError(f"actions has shape {tuple(actions.shape)} or is not finite; expected one step or more")
        if code.shape[-1:] != (self.size,) or actions.shape[1:] != (*code.shape[:-1], self.actions):
            raise ValueError(
                f"code and actions have shapes {tuple(code.shape)}, {tuple(actions.shape)}; "
                f"expected (B, {self.size}) and (H, B, {self.actions})"
            )
        codes = []
        for action in actions:
            code = code + self.predictor(torch.cat([code, action], -1))
            codes.append(code)
        return torch.stack(codes)

    def forward(self, x: Tensor) -> Tensor:
        """Codes, as `encode` has them."""
        return self.encode(x)

    def loss(self, x: Tensor, actions: Tensor) -> Tensor:
        """Of frames (T, B, inputs) and actions (T, B, actions), of which the last leads nowhere."""
        require_scene(x, actions, self.inputs, self.actions)
        z = self.encode(x)
        return self._loss(z, x, self.predict(z[0], actions[:-1]))

    def _loss(self, z: Tensor, x: Tensor, predicted: Tensor) -> Tensor:
        if self.kind == "average":
            with torch.no_grad():
                goal = self.average(x[1:])
        else:
            goal = z[1:].detach() if self.kind == "stop" else z[1:]
        spread, overlap = regularisers(z.flatten(0, 1))
        invariance, variance, covariance = self.weights
        return invariance * (predicted - goal).square().mean() + variance * spread + covariance * overlap

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the average towards the encoder."""
        for slow, fast in zip(self.average.parameters(), self.encoder.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.momentum)


class HierarchicalJEPA(nn.Module):
    """Two levels: `upper` predicts codes of `lower`, every `stride` frames, without actions (LeCun 2022).

    So far ahead only what persists can be predicted. Each level has its own loss; gradients of the upper one end at
    the lower's codes.

    >>> model = rv.worlds.HierarchicalJEPA(rv.worlds.JEPA(9, 2, size=4, hidden=8), stride=2, size=3)
    >>> lower, upper = model.encode(torch.rand(6, 5, 9))
    >>> lower.shape[-1], upper.shape[-1], bool(torch.isfinite(model.loss(torch.rand(6, 5, 9), torch.rand(6, 5, 2))))
    (4, 3, True)
    """

    def __init__(self, lower: JEPA, *, stride: int = 3, size: int = 3, hidden: int = 64, seed: int = 1) -> None:
        super().__init__()
        self.lower, self.stride = lower, count(stride, "stride", 1)
        self.upper = JEPA(lower.size, 0, size=size, hidden=hidden, seed=seed)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of both levels, (..., lower.size) and (..., size)."""
        z = self.lower.encode(x)
        return z, self.upper.encode(z)

    def loss(self, x: Tensor, actions: Tensor) -> Tensor:
        """The sum of both levels' losses; needs `stride` + 1 frames at least."""
        if len(x) <= self.stride:
            raise ValueError(f"x has {len(x)} frames; expected more than the stride, {self.stride}")
        loss = self.lower.loss(x, actions)
        z = self.lower.encode(x[:: self.stride]).detach()
        return loss + self.upper.loss(z, z.new_zeros(*z.shape[:2], 0))

    def after_step(self) -> None:
        """Of both levels."""
        self.lower.after_step()
        self.upper.after_step()


class PixelPredictor(JEPA):
    """The same encoder and predictor, followed by a linear decoder: what is predicted are the next frames' pixels.

    >>> model = rv.worlds.PixelPredictor(9, 2, size=4, hidden=8)
    >>> bool(model.loss(torch.rand(6, 5, 9), torch.rand(6, 5, 2)) > 0)
    True
    """

    def __init__(self, inputs: int, actions: int, *, size: int = 16, hidden: int = 128, seed: int = 0) -> None:
        super().__init__(inputs, actions, size=size, hidden=hidden, target="shared", seed=seed)
        self.decoder = linear(size, inputs, torch.Generator().manual_seed(seed + 1))

    def _loss(self, z: Tensor, x: Tensor, predicted: Tensor) -> Tensor:
        loss: Tensor = (self.decoder(predicted) - x[1:]).square().mean()
        return loss


def regularisers(z: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and covariance terms of codes (n, size): mean max(0, 1 − √(var + 1e-4)), and Σ_{i≠j} cov²/size."""
    if len(z) < 2:
        raise ValueError(f"a batch has {len(z)} codes; expected two at least, or they have no variance")
    centred = z - z.mean(0)
    covariance = centred.T @ centred / (len(z) - 1)
    own = covariance.diagonal()
    spread = torch.relu(1 - (own + 1e-4).sqrt()).mean()
    return spread, (covariance.square().sum() - own.square().sum()) / z.shape[1]


def perceptron(inputs: int, hidden: int, outputs: int, random: torch.Generator) -> nn.Sequential:
    """One hidden layer of rectified units, with weights drawn from `random`."""
    return nn.Sequential(linear(inputs, hidden, random), nn.ReLU(), linear(hidden, outputs, random))


def linear(inputs: int, outputs: int, random: torch.Generator) -> nn.Linear:
    """Weights and biases uniform within ± 1/√inputs, drawn from `random`."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_((2 * torch.rand(p.shape, generator=random) - 1) / inputs**0.5)
    return layer


def require_scene(x: Tensor, actions: Tensor, inputs: int, choices: int) -> None:
    """ValueError for sequences of other shapes, and for what is not finite."""
    for name, value in (("x", x), ("actions", actions)):
        if not isinstance(value, Tensor) or not value.is_floating_point():
            what = f"a tensor of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{name} is {what}; expected a floating tensor (T, B, ...)")
    if x.ndim != 3 or x.shape[2] != inputs or len(x) < 2 or x.shape[1] == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, {inputs}) with two frames or more")
    if actions.shape != (*x.shape[:2], choices):
        raise ValueError(f"actions has shape {tuple(actions.shape)}; expected {(*x.shape[:2], choices)}: one a frame")
    for name, value in (("x", x), ("actions", actions)):
        if not bool(value.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinity; expected finite numbers")


__all__ = ["JEPA", "HierarchicalJEPA", "PixelPredictor", "regularisers"]
