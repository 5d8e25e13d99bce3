"""Burst-dependent learning: errors in the share of events that are bursts."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ranvier.learners._chains import blocks_of
from ranvier.learners._outputs import require_finite_input, share_right
from ranvier.learners.counting import meet, rows_of
from ranvier.learners.feedback.pathways import Pathway, RandomFeedback
from ranvier.learners.labelled import Encode, GradientLearner, Loss, Score, name


class BurstDependent(GradientLearner):
    """Burst-dependent plasticity in a hierarchy of layers (Payeur et al. 2021, eqs. 15 to 21).

    A layer's cells have event rates e_l = σ(W_l e_{l−1} + b_l), and a share p_l of events are bursts, set by apical
    dendrites that feedback reaches: p_l = σ(β u_l), u_l = h(e_l) ⊙ (Y_l p_{l+1} e_{l+1}), h(e) = σ'/e = 1 − e. First
    without a teacher, p̄; then with one, which moves the output's: p_L = p̄_L − κ h(e_L) ⊙ ∂L/∂e_L, within [0, 1].
    Weights follow ΔW_l ∝ ((p_l − p̄_l) ⊙ e_l) e_{l−1}ᵀ: one signal, forward and feedback at once, and a signed error
    that is a difference of two positive rates.

    Parameters
    ----------
    model : an nn.Sequential of pairs nn.Linear, nn.Sigmoid. Event rates lie within (0, 1).
    loss : of event rates (B, C) and labels, a mean over the batch.
    optimizer, encode, clip, accuracy : as for `BPTT`.
    pathway : whence Y comes, as in `FeedbackAlignment`. beta : β; at rest a step back multiplies errors by β/4.
    resting : p̄_L, the output's share of bursts without a teacher.
    teaching : κ; at 1/2 squared errors of rates are never cut off at a share of 0 or 1. Gradients are divided by it.

    >>> nn = torch.nn
    >>> model = nn.Sequential(nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 2), nn.Sigmoid())
    >>> loss = lambda y, labels: (y - nn.functional.one_hot(labels, 2)).square().sum(1).mean()
    >>> learner = rv.learners.BurstDependent(model, loss, torch.optim.SGD(model.parameters(), 0.1))
    >>> batch = torch.rand(8, 4), torch.arange(8) % 2
    >>> losses = [learner.step(batch)["loss"] for _ in range(20)]
    >>> losses[-1] < losses[0]
    True
    """

    counted: ClassVar[bool] = True

    def __init__(
        self,
        model: nn.Sequential,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        pathway: Pathway | None = None,
        beta: float = 1.0,
        resting: float = 0.5,
        teaching: float = 0.5,
        encode: Encode | None = None,
        clip: float | None = None,
        accuracy: Score | None = share_right,
    ) -> None:
        if not (0 < beta < math.inf and 0 < resting < 1 and 0 < teaching < math.inf):
            raise ValueError(
                f"beta is {beta}, resting {resting}, teaching {teaching}; expected numbers above 0, resting below 1"
            )
        self.blocks = blocks_of(model, "burst-dependent learning", (nn.Linear,))
        for k, block in enumerate(self.blocks):
            if [type(m) for m in block] != [nn.Linear, nn.Sigmoid]:
                kinds = ", ".join(type(m).__name__ for m in block)
                raise ValueError(f"layer {k} is {kinds}; expected Linear, Sigmoid: its outputs are rates of events")
        self.loss, self.accuracy, self.beta, self.resting = loss, accuracy, beta, resting
        self.teaching = teaching
        self.pathway = pathway or RandomFeedback()
        settings = {
            "loss": name(loss),
            "pathway": repr(self.pathway),
            "beta": beta,
            "resting": resting,
            "teaching": teaching,
        }
        super().__init__(model, optimizer, encode=encode, clip=clip, settings=settings)
        with torch.no_grad():
            self._feedback = [self.pathway.start(linear.weight) for linear in self._linears()]

    def _linears(self) -> list[Any]:
        return [block[0] for block in self.blocks]

    @torch.no_grad()
    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        require_finite_input(x, self.blocks[0][0])
        e = [x]
        for block in self.blocks:
            e.append(block(e[-1]))
        with torch.enable_grad():
            out = e[-1].detach().requires_grad_()
            loss = self.loss(out, labels)
        if not bool(torch.isfinite(loss)):
            return loss.item(), None
        (slope,) = torch.autograd.grad(loss, out)
        rest = torch.full_like(out, self.resting)
        taught = (rest - self.teaching * (1 - e[-1]) * slope * len(x)).clamp(0, 1)
        for k in reversed(range(len(self.blocks))):
            error = (taught - rest) * e[k + 1] / (self.teaching * len(x))
            linear = self._linears()[k]
            linear.weight.grad = -error.T @ e[k]
            if linear.bias is not None:
                linear.bias.grad = -error.sum(0)
            if (counted := rows_of(linear)) is not None:
                meet(counted.gradients, linear, e[k])
                counted.signals.multiply(2 * len(x) * linear.weight.numel() if k else 0)
            if k:
                feedback = self.pathway.current(self._feedback[k], linear.weight)
                taught, rest = (
                    torch.sigmoid(self.beta * (1 - e[k]) * (p * e[k + 1] @ feedback)) for p in (taught, rest)
                )
        return loss.item(), None if self.accuracy is None else self.accuracy(out, labels)

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        require_finite_input(x, self.blocks[0][0])
        out = self.model(x)
        return self.loss(out, labels).item(), None if self.accuracy is None else self.accuracy(out, labels)

    @torch.no_grad()
    def _update(self) -> None:
        before = [linear.weight.clone() for linear in self._linears()]
        super()._update()
        for feedback, linear, weight in zip(self._feedback, self._linears(), before, strict=True):
            self.pathway.learn(feedback, linear, weight)

    def state_dict(self) -> dict[str, Any]:
        """Of model, optimizer and feedback."""
        return super().state_dict() | {"feedback": [f.clone() for f in self._feedback]}

    def _take_up(self, state: dict[str, Any]) -> None:
        super()._take_up(state)
        self._feedback = [f.clone() for f in state["feedback"]]


__all__ = ["BurstDependent"]
