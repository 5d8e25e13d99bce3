"""FORCE."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.force._learner import LeastSquaresLearner
from ranvier.learners.force.rate_network import RateNetwork


class FORCE(LeastSquaresLearner):
    """First-order reduced and controlled error (Sussillo & Abbott 2009): the readout of a network of rates learns by
    recursive least squares while it is fed back, so that errors are small from the first steps on.

    A batch is (x (T, B, inputs), targets (T, B, outputs)); every trial begins at rest, where a network without any
    input stays and learns nothing: give it a pulse or a constant. Trials of a batch learn at once. Only
    `model.outputs` changes. Metrics: loss, the mean squared error before each update.

    model : a `RateNetwork`, with feedback=True for what the paper is about. alpha : P is 1/alpha at first.
    every : steps between updates.

    >>> _ = torch.manual_seed(0)
    >>> model = rv.learners.RateNetwork(1, 100, 1, feedback=True)
    >>> learner = rv.learners.FORCE(model)
    >>> target = torch.sin(torch.arange(300) / 20).reshape(300, 1, 1)
    >>> losses = [learner.step((torch.ones(300, 1, 1), target))["loss"] for _ in range(5)]
    >>> losses[-1] < 0.05  # of a target of power 1/2
    True
    """

    def __init__(self, model: RateNetwork, *, alpha: float = 1.0, every: int = 2) -> None:
        super().__init__(model, alpha, every, {})

    def _run(self, x: Tensor, targets: Tensor, more: Sequence[Tensor]) -> Metrics:
        model, total, count = self.model, 0.0, 0
        state = model.init_state(x.shape[1])
        for t, (u, f) in enumerate(zip(x, targets, strict=True)):
            state, z = model.step(state, u)
            if (t + 1) % self.every == 0 or t + 1 == len(x):
                error = z - f
                self.least_squares.update([model.outputs.data], torch.tanh(state["x"]), [error])
                total, count = total + error.square().mean().item(), count + 1
        self._count(len(x), x.shape[1], count, model.outputs.numel())
        return {"loss": total / count}


__all__ = ["FORCE"]
