"""Difference target propagation."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.learners._chains import blocks_of, first_weighted
from ranvier.learners._outputs import require_finite_input, share_right
from ranvier.learners.labelled import Encode, GradientLearner, Loss, Score, name


class TargetPropagation(GradientLearner):
    """Difference target propagation (Lee et al. 2015; without any gradient sent back, as in Bartunov et al. 2018).

    The output's target is ĥ_L = h_L − η ∂L/∂h_L, and each layer's below it ĥ_{l−1} = h_{l−1} + g_l(ĥ_l) − g_l(h_l),
    with g_l a learned inverse of layer l. Layers descend |f_l(h_{l−1}) − ĥ_l|²/2η, their inputs held, inverses
    |g_l(f_l(h_{l−1} + ε)) − h_{l−1} − ε|²/2, ε normal.

    Parameters
    ----------
    model : an nn.Sequential of nn.Linear and functions without weights.
    loss, optimizer, encode, clip, accuracy : as for `BPTT`; the loss is a mean over the batch.
    rate : η, how far the output's target lies, for the loss of one example.
    noise : standard deviation of ε.
    inverses : makes the inverses' optimizer; Adam at 1e-3 by default. They are nn.Linear and the activation of the
        layer below, where that is one function.

    Metrics: loss, accuracy.

    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    >>> loss = torch.nn.functional.cross_entropy
    >>> learner = rv.learners.TargetPropagation(model, loss, torch.optim.SGD(model.parameters(), 0.1))
    >>> batch = torch.eye(4), torch.tensor([0, 0, 1, 1])
    >>> losses = [learner.step(batch)["loss"] for _ in range(50)]
    >>> losses[-1] < losses[0]
    True
    """

    varying = (*GradientLearner.varying, r"inverse_optimizer\.state(\.\d+)?")

    def __init__(
        self,
        model: nn.Sequential,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        rate: float = 0.1,
        noise: float = 0.1,
        inverses: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None,
        encode: Encode | None = None,
        clip: float | None = None,
        accuracy: Score | None = share_right,
    ) -> None:
        if not (0 < rate < math.inf and 0 <= noise < math.inf):
            raise ValueError(f"rate is {rate}, noise {noise}; expected finite numbers, rate > 0 and noise >= 0")
        self.blocks = blocks_of(model, "target propagation", (nn.Linear,))
        self.loss, self.accuracy, self.rate, self.noise = loss, accuracy, rate, noise
        make = inverses or partial(torch.optim.Adam, lr=1e-3)
        settings = {"loss": name(loss), "rate": rate, "noise": noise, "inverses": name(make)}
        super().__init__(model, optimizer, encode=encode, clip=clip, settings=settings)
        self.inverses = nn.ModuleList(_inverse(a, b) for a, b in zip(self.blocks, self.blocks[1:], strict=False))
        weights = list(self.inverses.parameters())
        self._inverse_optimizer = make(weights) if weights else None

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        require_finite_input(x, first_weighted(self.blocks[0]))
        with torch.no_grad():
            h = [x]
            for block in self.blocks:
                h.append(block(h[-1]))
        out = h[-1].requires_grad_()
        loss = self.loss(out, labels)
        if not bool(torch.isfinite(loss)):
            return loss.item(), None
        (slope,) = torch.autograd.grad(loss, out)
        targets = self.targets(h, slope * len(x))
        for block, below, target in zip(self.blocks, h[:-1], targets, strict=True):
            (F.mse_loss(block(below), target, reduction="sum") / (2 * self.rate * len(x))).backward()
        self._learn_inverses(h)
        return loss.item(), None if self.accuracy is None else self.accuracy(out.detach(), labels)

    @torch.no_grad()
    def targets(self, h: list[Tensor], slope: Tensor) -> list[Tensor]:
        """Of every layer, from activities h (input first) and each example's slope of its loss at the output."""
        targets = [h[-1] - self.rate * slope]
        for inverse, below, above in zip(reversed(self.inverses), h[-2:0:-1], h[:1:-1], strict=True):  # type: ignore[call-overload]
            targets.insert(0, below + inverse(targets[0]) - inverse(above))
        return targets

    def _learn_inverses(self, h: list[Tensor]) -> None:
        if self._inverse_optimizer is None:
            return
        self._inverse_optimizer.zero_grad()
        for inverse, block, below in zip(self.inverses, self.blocks[1:], h[1:], strict=False):
            near = below.detach() + self.noise * torch.randn_like(below)
            with torch.no_grad():
                above = block(near)
            (0.5 * F.mse_loss(inverse(above), near, reduction="sum") / len(near)).backward()

    def _update(self) -> None:
        super()._update()
        if self._inverse_optimizer is not None:
            self._inverse_optimizer.step()

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        require_finite_input(x, first_weighted(self.blocks[0]))
        out = self.model(x)
        return self.loss(out, labels).item(), None if self.accuracy is None else self.accuracy(out, labels)

    def state_dict(self) -> dict[str, Any]:
        """Of model, inverses and both optimizers."""
        optimizer = None if self._inverse_optimizer is None else self._inverse_optimizer.state_dict()
        return super().state_dict() | {"inverses": dict(self.inverses.state_dict()), "inverse_optimizer": optimizer}

    def _take_up(self, state: dict[str, Any]) -> None:
        super()._take_up(state)
        self.inverses.load_state_dict(state["inverses"])
        if self._inverse_optimizer is not None:
            self._inverse_optimizer.load_state_dict(state["inverse_optimizer"])

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        more = {} if self._inverse_optimizer is None else {"inverse_optimizer": self._inverse_optimizer}
        return super()._optimizers() | more


def _inverse(below: nn.Sequential, block: nn.Sequential) -> nn.Sequential:
    """From a block's output to its input."""
    linear = first_weighted(block)
    back = nn.Linear(linear.out_features, linear.in_features, device=linear.weight.device, dtype=linear.weight.dtype)
    after = list(below)[1 + next(k for k, m in enumerate(below) if isinstance(m, nn.Linear)) :]
    return nn.Sequential(back, *(after if len(after) == 1 and not list(after[0].parameters()) else []))


__all__ = ["TargetPropagation"]
