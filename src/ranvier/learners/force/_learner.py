"""What FORCE and full-FORCE share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ranvier.learners._checked_state import CheckedState
from ranvier.learners.counting import rows_of
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.force.least_squares import RecursiveLeastSquares
from ranvier.learners.force.rate_network import RateNetwork


class LeastSquaresLearner(CheckedState):
    """A learner of a `RateNetwork` without gradients: its weights change while it runs."""

    counts_itself: ClassVar[bool] = True

    def __init__(self, model: RateNetwork, alpha: float, every: int, settings: dict[str, Any]) -> None:
        if not isinstance(model, RateNetwork):
            raise TypeError(f"the model is a {type(model).__name__}; expected a rv.learners.RateNetwork")
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every is {every!r}; expected a whole number of steps >= 1")
        self.model, self.every = model, every
        self.least_squares = RecursiveLeastSquares(len(model.recurrent), alpha)
        self._settings = {"alpha": alpha, "every": every, **settings}

    @abstractmethod
    def _run(self, x: Tensor, targets: Tensor, more: Sequence[Tensor]) -> Metrics:
        """Go through a batch, learning; squared errors before each update."""

    def _count(self, steps: int, trials: int, updates: int, learned: int, more: int = 0) -> None:
        """A run of so many steps; each update by P r (signals), by P's change and `learned` weights' (gradients).

        Of P one triangle is worked on, of n(n + 1)/2 entries; `more`: other signals of a step and trial."""
        if (rows := rows_of(self)) is not None:
            size = len(self.model.recurrent)
            each = sum(p.numel() for p in self.model.parameters())
            rows.forward.multiply(steps * trials * each)
            rows.signals.multiply(steps * trials * more + updates * trials * size * size)
            rows.gradients.multiply(updates * trials * (size * (size + 1) // 2 + learned))

    def _checked(self, batch: Any, parts: Sequence[tuple[str, int]]) -> list[Tensor]:
        """The batch's tensors, (T, B, width) each; ValueError or TypeError for others."""
        if not isinstance(batch, tuple | list) or len(batch) != len(parts):
            size = len(batch) if isinstance(batch, tuple | list) else type(batch).__name__
            raise ValueError(f"the batch is of {size}; expected {len(parts)}: {', '.join(n for n, _ in parts)}")
        dtype, shape = self.model.recurrent.dtype, None
        for (name, width), value in zip(parts, batch, strict=True):
            if not isinstance(value, Tensor):
                raise TypeError(f"{name} is a {type(value).__name__}; expected a tensor: use torch.as_tensor")
            shape = shape or value.shape[:2]
            if value.ndim != 3 or value.shape[2] != width or value.shape[:2] != shape or 0 in shape:
                want = (*(shape if value.ndim == 3 and 0 not in shape else ("T > 0", "B > 0")), width)
                raise ValueError(f"{name} has shape {tuple(value.shape)}; expected ({', '.join(map(str, want))})")
            if value.dtype != dtype:
                raise ValueError(f"{name} is of {value.dtype}; expected {dtype}: convert it, or the model by .to()")
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name} has {int((~torch.isfinite(value)).sum())} entries not finite; expected none")
        return list(batch)

    def _parts(self) -> list[tuple[str, int]]:
        return [("x", self.model.inputs.shape[1]), ("targets", len(self.model.outputs))]

    @torch.no_grad()
    def step(self, batch: Any) -> Metrics:
        """Run through one batch, learning. ValueError where the network diverges; nothing is then changed."""
        x, targets, *more = self._checked(batch, self._parts())
        before = [p.detach().clone() for p in self.model.parameters()], self.least_squares.inverse
        try:
            metrics = self._run(x, targets, more)
            diverged = not all(math.isfinite(v) for v in metrics.values())
        except ValueError:  # P is no longer positive
            diverged = True
        if diverged:
            for p, value in zip(self.model.parameters(), before[0], strict=True):
                p.copy_(value)
            self.least_squares.inverse = before[1]
            raise ValueError(
                "loss is not finite; expected a run that converges: take a larger alpha; nothing was learned"
            )
        return metrics | {"examples": x.shape[1]}

    @torch.no_grad()
    def evaluate(self, batch: Any) -> Metrics:
        """Mean squared error of a run without learning, and over the targets' power: `loss`, `relative`."""
        x, targets, *_ = self._checked(batch, self._parts())
        error = (self.model(x)[0] - targets).square().mean().item()
        power = targets.square().mean().item()
        return {"loss": error, "relative": error / power if power else error, "examples": x.shape[1]}

    def describe(self) -> dict[str, Any]:
        """Model, and settings."""
        tensors = {k: [list(v.shape), str(v.dtype)] for k, v in self.model.state_dict().items()}
        return {"learner": type(self).__name__, "model": repr(self.model), "tensors": tensors, **self._settings}

    def state_dict(self) -> dict[str, Any]:
        """Of the model, and P."""
        return {"model": dict(self.model.state_dict()), "inverse": self.least_squares.inverse.clone()}

    def _take_up(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.least_squares.inverse = state["inverse"].clone()


__all__ = ["LeastSquaresLearner"]
