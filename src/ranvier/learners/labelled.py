"""What the learners of labelled batches share: model, loss, optimizer, encoding, metrics, state."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ranvier.learners._checked_state import CheckedState
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.losses import accuracy
from ranvier.nn.spiking.layer import DynamicalLayer

Loss = Callable[[Tensor, Tensor], Tensor]
Encode = Callable[[Tensor], Tensor]
Score = Callable[[Tensor, Tensor], float]

_SIMPLE = (bool, int, float, str, type(None))
_SCHEDULED = {"lr", "momentum", "betas"}  # what schedules change


class GradientLearner(CheckedState):
    """A `Learner` that leaves something in its parameters' `.grad` and lets a torch optimizer use it.

    A batch is (x, labels). x goes through `encode`, if given, to (T, B, ...). Subclasses say how the gradients
    come about (`_learn`) and how a batch is measured without learning (`_measure`).

    settings : what else `describe` should tell, as JSON.
    counted : whether `count_learning` sees all that such a learner does.
    """

    counted: ClassVar[bool] = False
    varying: ClassVar[tuple[str, ...]] = (r"optimizer\.state(\.\d+)?",)

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        encode: Encode | None = None,
        clip: float | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        known = {id(p) for p in model.parameters()}
        if any(id(p) not in known for group in optimizer.param_groups for p in group["params"]):
            raise ValueError("parameter in the optimizer is not the model's; expected model.parameters()")
        if isinstance(optimizer, torch.optim.LBFGS):
            raise ValueError(
                "the optimizer is LBFGS, which asks for the loss several times a step; "
                "expected one that asks once"
            )
        self.model, self.optimizer = model, optimizer
        self.encode, self.clip = encode, clip
        self._settings = {"optimizer": type(optimizer).__name__, **(settings or {})}
        self._own: dict[str, Any] = {}  # what a learner keeps beside model and optimizer

    @abstractmethod
    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        """Leave gradients in the parameters; the batch's loss and accuracy. Called with gradients at None."""

    @abstractmethod
    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        """Loss and accuracy, without learning."""

    def step(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Learn from one batch (x, labels (B,)): gradients, then one step of the optimizer; its metrics.

        Raises ValueError where the loss is not finite; the optimizer's step is then not taken.
        """
        self.model.train()
        x, labels = pair_of(batch)
        self.model.zero_grad()
        loss, right = self._learn(self._encoded(x), labels)
        if not math.isfinite(loss):
            self.model.zero_grad()
            raise ValueError(
                f"loss is {loss}; "
                "expected a finite one; the optimizer's step was not taken: see the input, or lower the learning rate"
            )
        self._update()
        return _metrics(loss, right, self._examples(labels))

    def _update(self) -> None:
        """Clip, and one step of the optimizer."""
        if self.clip is not None:
            learning = [p for group in self.optimizer.param_groups for p in group["params"]]
            norm = nn.utils.clip_grad_norm_(learning, self.clip)
            if not bool(torch.isfinite(norm)):
                self.model.zero_grad()
                raise ValueError(
                    f"there is a gradient of norm {norm.item()}; "
                    "expected a finite one to clip; the optimizer's step was "
                    "not taken"
                )
        self.optimizer.step()

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Metrics of a batch (x, labels (B,)), in the model's evaluation mode. ValueError for a loss not finite."""
        self.model.eval()
        x, labels = pair_of(batch)
        with torch.no_grad():
            loss, right = self._measure(self._encoded(x), labels)
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss}; expected a finite one: see the input and the weights")
        return _metrics(loss, right, self._examples(labels))

    def _examples(self, labels: Tensor) -> int:
        """The size of a batch."""
        return len(labels)

    def _encoded(self, x: Tensor) -> Tensor:
        return x if self.encode is None else self.encode(x)

    def describe(self) -> dict[str, Any]:
        """Model with shapes and types, optimizer with its settings, and the learner's own."""
        tensors = {k: [list(v.shape), str(v.dtype)] for k, v in self.model.state_dict().items()}
        return {
            "learner": type(self).__name__,
            "model": repr(self.model),
            "tensors": tensors,
            "constants": constants(self.model),
            "encode": name(self.encode),
            "clip": self.clip,
            **self._settings,
            "groups": self._groups(),
        }

    def _groups(self) -> list[dict[str, Any]]:
        """The optimizer's groups: names of their parameters, and settings as they were before any schedule."""
        names = {id(p): name for name, p in self.model.named_parameters()}
        collected = []
        for group in self.optimizer.param_groups:
            settings = {key: group[key] for key in self.optimizer.defaults if key in group and key not in _SCHEDULED}
            rate = group.get("initial_lr", group.get("lr"))
            settings |= {"lr": float(rate) if isinstance(rate, Tensor) else rate}
            collected.append({"parameters": [names[id(p)] for p in group["params"]], **plain(settings)})
        return collected

    def state_dict(self) -> dict[str, Any]:
        """Of model and optimizer, and what the learner keeps beside them."""
        own = dict(self._own)
        return {"model": dict(self.model.state_dict()), "optimizer": self.optimizer.state_dict(), "own": own}

    def _take_up(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._own = dict(state["own"])

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"optimizer": self.optimizer}


class SupervisedLearner(GradientLearner):
    """A `GradientLearner` whose loss is of the whole model's output: loss(y, labels).

    Gradients come by autograd, within `_backward`, where a subclass may bend the way back; `_require` refuses input
    that cannot be learned from.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        encode: Encode | None = None,
        clip: float | None = None,
        accuracy: Score | None = accuracy,
        settings: dict[str, Any] | None = None,
    ) -> None:
        settings = {"loss": name(loss), **(settings or {})}
        super().__init__(model, optimizer, encode=encode, clip=clip, settings=settings)
        self.loss, self.accuracy = loss, accuracy

    def _require(self, x: Tensor) -> None:
        """ValueError or TypeError for input that is refused; none is, unless a subclass says so."""

    def _backward(self) -> AbstractContextManager[Any]:
        """What holds while the loss is computed and goes back."""
        return nullcontext()

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        self._require(x)
        with self._backward():
            loss, right = whole(self.model, self.loss, x, labels, self.accuracy)
            if bool(torch.isfinite(loss)):
                loss.backward()
        return loss.item(), right

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        self._require(x)
        loss, right = whole(self.model, self.loss, x, labels, self.accuracy)
        return loss.item(), right


def whole(
    model: nn.Module, loss: Loss, x: Tensor, labels: Tensor, score: Score | None = accuracy
) -> tuple[Tensor, float | None]:
    """Loss and accuracy of the model's run over a whole sequence."""
    out = model(x)
    y = out[0] if isinstance(out, tuple) else out
    return loss(y, labels), None if score is None else score(y.detach(), labels)


def pair_of(batch: Any) -> tuple[Any, Any]:
    """A batch's two parts; ValueError unless it is a pair with an example or more, TypeError for arrays and tables."""
    if isinstance(batch, tuple | list) and len(batch) == 2:
        for name, part in zip(("x", "labels"), batch, strict=True):
            if hasattr(part, "__array__") and not isinstance(part, Tensor):
                kind = type(part).__name__
                raise TypeError(f"{name} of a batch is a {kind}; expected a tensor: convert it by torch.as_tensor")
        if len(batch[1]) == 0:
            raise ValueError("there is an empty batch; expected one example at least")
        return batch[0], batch[1]
    collected = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, tuple | list) else "")
    raise ValueError(
        f"there are {collected} as a batch; "
        "expected a pair (x, labels); a loader or a list yields such pairs"
    )


def _metrics(loss: float, right: float | None, examples: int) -> Metrics:
    known = {"loss": loss, "examples": examples}
    return known if right is None else known | {"accuracy": right}


def constants(model: nn.Module) -> dict[str, float]:
    """Numbers that layers were given and do not learn, such as a decay, which a checkpoint would replace."""
    collected = {}
    for path, module in model.named_modules():
        for label in module._values if isinstance(module, DynamicalLayer) else ():
            value = getattr(module, label)
            if value.ndim == 0 and not isinstance(value, nn.Parameter):
                collected[f"{path}.{label}" if path else label] = float(f"{value.item():.7g}")
    return collected


def plain(settings: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold; the others by their text."""
    return {k: v if isinstance(v, _SIMPLE) else str(v) for k, v in settings.items()}


def name(function: Any) -> str | None:
    """How a function is called in a description; of a partial one, with the numbers and texts it was given."""
    if isinstance(function, partial):
        arguments = [repr(v) for v in function.args if isinstance(v, _SIMPLE)]
        arguments += [f"{key}={v!r}" for key, v in function.keywords.items() if isinstance(v, _SIMPLE)]
        return f"{name(function.func)}({', '.join(arguments)})"
    return None if function is None else getattr(function, "__qualname__", type(function).__name__)


__all__ = [
    "Encode", "GradientLearner", "Loss", "Score", "SupervisedLearner", "constants", "name", "pair_of", "plain", "whole",
]  # fmt: skip
