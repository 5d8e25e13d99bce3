"""Direct feedback alignment."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ranvier.learners._chains import blocks_of, weighted
from ranvier.learners._outputs import require_finite_input, share_right
from ranvier.learners.counting import rows_of
from ranvier.learners.feedback._backward import other_way
from ranvier.learners.labelled import Encode, GradientLearner, Loss, Score, name, whole


class DirectFeedbackAlignment(GradientLearner):
    """The output's error goes to every hidden layer at once, by a fixed random matrix each (Nøkland 2016):
    δ_l = (B_lᵀ e) ⊙ f'(z_l), with e the error of the last layer's output.

    B_l is normal, of variance 1/(errors), drawn when the layer is first met.

    model : an nn.Sequential of nn.Linear and nn.Conv1d to Conv3d, activations and the like, of batches (B, ...).
    loss, optimizer, encode, clip, accuracy : as for `BPTT`.
    """

    counted: ClassVar[bool] = True

    def __init__(
        self,
        model: nn.Sequential,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        encode: Encode | None = None,
        clip: float | None = None,
        accuracy: Score | None = share_right,
    ) -> None:
        blocks_of(model, "direct feedback")
        self.layers = weighted(model, "direct feedback")
        self.loss, self.accuracy = loss, accuracy
        super().__init__(model, optimizer, encode=encode, clip=clip, settings={"loss": name(loss)})
        self._own = {"feedback": {}}
        self._error: Tensor | None = None

    def _back(self, name: str, layer: Any, x: Tensor, g: Tensor) -> Tensor:
        if self._error is None:
            self._error = g.flatten(1)  # the way back begins at the last layer
        size = (self._error.shape[1], x[0].numel())
        feedback = self._own["feedback"].get(name)
        if feedback is None:
            feedback = torch.randn(size, dtype=x.dtype, device=x.device) / size[0] ** 0.5
            self._own["feedback"] = {**self._own["feedback"], name: feedback}
        if feedback.shape != size:
            raise ValueError(f"the input of layer {name} has {size[1]} values; expected {feedback.shape[1]}, as before")
        if (counted := rows_of(layer)) is not None:
            counted.signals.multiply(len(x) * feedback.numel())
        return (self._error @ feedback).view_as(x)

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        self._require(x)
        self._error = None
        with other_way(self.layers, self._back):
            loss, right = whole(self.model, self.loss, x, labels, self.accuracy)
            if bool(torch.isfinite(loss)):
                loss.backward()
        self._error = None
        return loss.item(), right

    def _require(self, x: Tensor) -> None:
        """As the first layer's weights are, unless whole numbers are looked up first."""
        require_finite_input(x, next(iter(self.layers.values())) if x.is_floating_point() else None)

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        self._require(x)
        loss, right = whole(self.model, self.loss, x, labels, self.accuracy)
        return loss.item(), right


__all__ = ["DirectFeedbackAlignment"]
