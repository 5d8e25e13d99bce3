"""Direct feedback alignment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ranvier.learners._chains import blocks_of, require_layer_input, weighted
from ranvier.learners._outputs import share_right
from ranvier.learners.counting import rows_of
from ranvier.learners.feedback._backward import other_way
from ranvier.learners.labelled import Encode, Loss, Score, SupervisedLearner


class DirectFeedbackAlignment(SupervisedLearner):
    """The output's error goes to every hidden layer at once, by a fixed random matrix each (Nøkland 2016):
    δ_l = (B_lᵀ e) ⊙ f'(z_l), with e the error of the last layer's output.

    B_l is normal, of variance 1/(errors), drawn when the layer is first met.

    model : an nn.Sequential of nn.Linear and nn.Conv1d to Conv3d, activations and the like, of batches (B, ...).
    loss, optimizer, encode, clip, accuracy : as for `BPTT`.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.01)
    >>> learner = rv.learners.DirectFeedbackAlignment(model, torch.nn.functional.cross_entropy, optimizer)
    >>> learner.step((torch.rand(8, 4), torch.arange(8) % 2))["examples"]
    8
    """

    counted: ClassVar[bool] = True
    varying = (*SupervisedLearner.varying, r"own\.feedback")

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
        super().__init__(model, loss, optimizer, encode=encode, clip=clip, accuracy=accuracy)
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
        if feedback.shape != size or feedback.dtype != x.dtype:
            raise ValueError(f"the input of layer {name} has {size[1]} values of {x.dtype}; expected as before, for "
                             f"feedback {tuple(feedback.shape)} of {feedback.dtype}")  # fmt: skip
        if (counted := rows_of(layer)) is not None:
            counted.signals.multiply(len(x) * feedback.numel())
        return (self._error @ feedback).view_as(x)

    @contextmanager
    def _backward(self) -> Iterator[None]:
        self._error = None
        with other_way(self.layers, self._back):
            yield
        self._error = None

    def _take_up(self, state: dict[str, Any]) -> None:
        feedback = state["own"]["feedback"]
        for name, value in feedback.items():
            if name not in self.layers or not isinstance(value, Tensor) or value.ndim != 2:
                raise ValueError(f"state.own.feedback has {name!r:.80}; expected matrices (outputs, inputs) of layers "
                                 + ", ".join(self.layers))  # fmt: skip
        super()._take_up(state)

    def _require(self, x: Tensor) -> None:
        require_layer_input(x, self.layers)


__all__ = ["DirectFeedbackAlignment"]
