"""Backpropagation through time."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ranvier.learners.labelled import Encode, Loss, Score, SupervisedLearner
from ranvier.learners.losses import accuracy as _accuracy


class BPTT(SupervisedLearner):
    """Backpropagation through time with surrogate gradients (Neftci et al. 2019; Eshraghian et al. 2023).

    A batch is (x, labels). x goes through `encode`, if given, to (T, B, N), then through the model, then to
    loss(y, labels); the loss's gradient goes to the optimizer. Metrics: loss, accuracy.

    Parameters
    ----------
    model : a `Cell` module, or one that returns y (T, B, C) alone.
    loss : of y (T, B, C) and the labels, such as `rv.learners.rate_cross_entropy`; torch's own know no T.
    optimizer : a torch optimizer over the model's parameters.
    encode : (B, ...) -> (T, B, N), such as `lambda x: rv.learners.rate(x, steps=25)`.
    clip : the gradient's largest norm.
    accuracy : of the output and the labels, such as `rv.learners.first_spike_accuracy`; None where the labels are no
        classes, as in a regression.

    Raises ValueError for a loss that is not finite, before any parameter is changed.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> _ = torch.manual_seed(0)
    >>> model = rv.nn.LIF(4, 2)
    >>> learner = rv.learners.BPTT(model, rv.learners.rate_cross_entropy, torch.optim.Adam(model.parameters(), 0.05))
    >>> batch = torch.rand(10, 8, 4), torch.arange(8) % 2  # (T, B, N), labels
    >>> sorted(learner.step(batch))
    ['accuracy', 'examples', 'loss']
    """

    counted: ClassVar[bool] = True

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        encode: Encode | None = None,
        clip: float | None = None,
        accuracy: Score | None = _accuracy,
    ) -> None:
        super().__init__(model, loss, optimizer, encode=encode, clip=clip, accuracy=accuracy)
