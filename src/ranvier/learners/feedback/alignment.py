"""Feedback alignment, and how its feedback weights may learn."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ranvier.learners._chains import input_gradient, require_layer_input, weighted
from ranvier.learners._outputs import share_right
from ranvier.learners.counting import rows_of
from ranvier.learners.feedback._backward import other_way
from ranvier.learners.feedback.pathways import Pathway, RandomFeedback
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.labelled import Encode, Loss, Score, SupervisedLearner, whole


class FeedbackAlignment(SupervisedLearner):
    """Backpropagation in which errors go back by other weights than those that signals came by (Lillicrap et al. 2016):
    δ_l = (B_{l+1}ᵀ δ_{l+1}) ⊙ f'(z_l), in any model of nn.Linear and nn.Conv1d to Conv3d, recurrent use included.

    Parameters
    ----------
    model, loss, optimizer, encode, clip, accuracy : as for `BPTT`.
    pathway : whence B comes, see `rv.learners.pathways`: `RandomFeedback` (the default), `SignSymmetry`,
        `KolenPollack`, `WeightMirror`.

    Metrics: loss, accuracy, `weight_angle`: degrees between B and W, mean over layers, before the step.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.01)
    >>> learner = rv.learners.FeedbackAlignment(model, torch.nn.functional.cross_entropy, optimizer)
    >>> learner.step((torch.rand(8, 4), torch.arange(8) % 2))["examples"]
    8
    """

    counted: ClassVar[bool] = True

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        pathway: Pathway | None = None,
        encode: Encode | None = None,
        clip: float | None = None,
        accuracy: Score | None = share_right,
    ) -> None:
        self.pathway = pathway or RandomFeedback()
        if not isinstance(self.pathway, Pathway):
            raise TypeError(
                f"pathway is a {type(pathway).__name__}; expected one of rv.learners.pathways, as RandomFeedback()"
            )
        self.layers = weighted(model, "feedback alignment")
        settings = {"pathway": repr(self.pathway)}
        super().__init__(
            model, loss, optimizer, encode=encode, clip=clip, accuracy=accuracy, settings=settings
        )
        with torch.no_grad():
            self._own = {"feedback": {k: self.pathway.start(m.weight) for k, m in self.layers.items()}}

    def step(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Learn from one batch (x, labels)."""
        angle = self.weight_angle()
        return super().step(batch) | {"weight_angle": angle}

    @torch.no_grad()
    def weight_angle(self) -> float:
        """Degrees between feedback and forward weights, mean over layers."""
        angles = [degrees(self._feedback(k, m), m.weight) for k, m in self.layers.items()]
        return sum(angles) / len(angles)

    def _feedback(self, name: str, layer: Any) -> Tensor:
        return self.pathway.current(self._own["feedback"][name], layer.weight.detach())

    def _back(self, name: str, layer: Any, x: Tensor, g: Tensor) -> Tensor:
        if (counted := rows_of(layer)) is not None:
            counted.signals.multiply(counted.dense_of(layer, x))
        return input_gradient(layer, self._feedback(name, layer), x, g)

    def _backward(self) -> AbstractContextManager[None]:
        return other_way(self.layers, self._back)

    def _require(self, x: Tensor) -> None:
        require_layer_input(x, self.layers)

    @torch.no_grad()
    def _update(self) -> None:
        before = {k: m.weight.clone() for k, m in self.layers.items()}
        super()._update()
        for k, layer in self.layers.items():
            self.pathway.learn(self._own["feedback"][k], layer, before[k])

    def _take_up(self, state: dict[str, Any]) -> None:
        super()._take_up(state)
        self._own = {"feedback": {k: v.clone() for k, v in state["own"]["feedback"].items()}}  # changed in place

    def state_dict(self) -> dict[str, Any]:
        """Of model, optimizer and feedback."""
        feedback = {k: v.clone() for k, v in self._own["feedback"].items()}
        return super().state_dict() | {"own": {"feedback": feedback}}


def degrees(a: Tensor, b: Tensor) -> float:
    """Angle between two tensors of one shape, 0 to 180; nan where one is 0."""
    norms = float(a.norm() * b.norm())
    return math.degrees(math.acos(max(-1.0, min(1.0, float((a * b).sum()) / norms)))) if norms else math.nan


def gradient_angles(learner: Any, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Degrees between what a learner leaves in each parameter's `.grad` for a batch, and the gradient of its loss.

    learner : one with `model` and `loss`, such as `FeedbackAlignment` or `NodePerturbation`. Nothing is learned; a
    parameter without a gradient is left out. Random learners draw from torch's generator.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.01)
    >>> learner = rv.learners.FeedbackAlignment(model, torch.nn.functional.cross_entropy, optimizer)
    >>> angles = rv.learners.gradient_angles(learner, (torch.rand(8, 4), torch.arange(8) % 2))
    >>> max(angles.values()) < 0.1  # one layer: nothing goes back
    True
    """
    model, (x, labels) = learner.model, batch
    model.zero_grad()
    learner._learn(learner._encoded(x), labels)
    own = {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    whole(model, learner.loss, learner._encoded(x), labels, None)[0].backward()
    true = {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return {k: degrees(own[k], true[k]) for k in own if k in true}


__all__ = ["FeedbackAlignment", "degrees", "gradient_angles"]
