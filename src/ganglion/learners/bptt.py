"""Backpropagation through time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ganglion.learners._fit import Metrics
from ganglion.learners.losses import accuracy


class BPTT:
    """Backpropagation through time with surrogate gradients (Neftci et al. 2019; Eshraghian et al. 2023).

    A batch is (x, labels). x goes through `encode`, if given, to (T, B, N), then through the model, then to
    loss(y, labels); the loss's gradient goes to the optimizer. Metrics: loss, accuracy.

    Parameters
    ----------
    model : a `Cell` module, or one that returns y (T, B, C) alone.
    loss : such as `gg.learners.rate_cross_entropy`.
    optimizer : a torch optimizer over the model's parameters.
    encode : (B, ...) -> (T, B, N), such as `lambda x: gg.learners.rate(x, steps=25)`.
    clip : the gradient's largest norm.

    Raises ValueError for a loss that is not finite, before any parameter is changed.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        encode: Callable[[Tensor], Tensor] | None = None,
        clip: float | None = None,
    ) -> None:
        known = {id(p) for p in model.parameters()}
        if any(id(p) not in known for group in optimizer.param_groups for p in group["params"]):
            raise ValueError("found a parameter in the optimizer that is not the model's, expected model.parameters()")
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.encode, self.clip = encode, clip
        self._settings = _plain(optimizer.defaults)

    def step(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Forward, backward, one step of the optimizer."""
        self.model.train()
        y, labels = self._output(batch)
        loss = self.loss(y, labels)
        if not bool(torch.isfinite(loss)):
            raise ValueError(
                f"found a loss of {loss.item()}, expected a finite one; no parameter was changed: see the input, "
                "or lower the learning rate"
            )
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        return {"loss": loss.item(), "accuracy": accuracy(y.detach(), labels), "examples": len(labels)}

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Loss and accuracy, in the model's evaluation mode."""
        self.model.eval()
        with torch.no_grad():
            y, labels = self._output(batch)
            loss = self.loss(y, labels)
        return {"loss": loss.item(), "accuracy": accuracy(y, labels), "examples": len(labels)}

    def _output(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, labels = batch
        out = self.model(x if self.encode is None else self.encode(x))
        return (out[0] if isinstance(out, tuple) else out), labels

    def describe(self) -> dict[str, Any]:
        """Model with shapes and types, loss, optimizer with its settings."""
        tensors = {k: [list(v.shape), str(v.dtype)] for k, v in self.model.state_dict().items()}
        return {
            "learner": type(self).__name__,
            "model": repr(self.model),
            "tensors": tensors,
            "loss": _name(self.loss),
            "encode": _name(self.encode),
            "clip": self.clip,
            "optimizer": type(self.optimizer).__name__,
            "settings": self._settings,
        }

    def state_dict(self) -> dict[str, Any]:
        """Of model and optimizer."""
        return {"model": dict(self.model.state_dict()), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold; the others by their text."""
    simple = (bool, int, float, str, type(None))
    return {k: v if isinstance(v, simple) else str(v) for k, v in settings.items()}


def _name(function: Any) -> str | None:
    return None if function is None else getattr(function, "__qualname__", type(function).__name__)
