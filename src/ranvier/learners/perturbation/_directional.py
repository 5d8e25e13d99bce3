"""What the learners share that try random directions."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import nn

from ranvier.learners._outputs import share_right
from ranvier.learners.labelled import Encode, Loss, Score, SupervisedLearner


class DirectionalLearner(SupervisedLearner):
    """`samples` random directions a batch, of which each is tried at a distance of sigma on both sides."""

    counted: ClassVar[bool] = True

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        sigma: float = 1e-3,
        samples: int = 1,
        encode: Encode | None = None,
        clip: float | None = None,
        accuracy: Score | None = share_right,
    ) -> None:
        if not (0 < sigma < math.inf) or samples < 1:
            raise ValueError(f"sigma is {sigma}, samples {samples}; expected sigma > 0, finite, and samples >= 1")
        self._accept(model)
        self.sigma, self.samples = sigma, samples
        settings = {"sigma": sigma, "samples": samples}
        super().__init__(model, loss, optimizer, encode=encode, clip=clip, accuracy=accuracy, settings=settings)

    def _accept(self, model: nn.Module) -> None:
        """ValueError for a model that cannot learn in this way; none, unless a subclass says so."""
