"""Watching the gradients that leave the steps of a network: recurrent spikes may multiply them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import partial

from torch import Tensor

#: how many times as much as by a spike more or less at every step a loss may seem to change with one parameter
GROWTH = 1000.0


class GradientWatch:
    """Warns after a backward pass whose gradients have exploded.

    A step back through a spike multiplies by weight times the surrogate's slope, so that gradients may grow
    exponentially with the number of steps. Compared are |∂L/∂p · p| of a weight or coefficient p and the largest
    gradient that enters at an output, times the number of steps and the batch.
    """

    def __init__(self, steps: int, batch: int) -> None:
        self.steps, self.batch, self.entering, self.quiet = steps, batch, 0.0, True

    def parameters(self, values: Iterable[Tensor | None]) -> None:
        """The tensors of a forward pass, made from parameters for it alone, whose gradients are watched."""
        for value in values:
            if value is not None and value.requires_grad and value.grad_fn is not None:
                value.register_hook(partial(self._leave, value.detach()))

    def outputs(self, y: Tensor) -> Tensor:
        """All outputs (T, B, N)."""
        if y.requires_grad:
            y.register_hook(self._enter)
        return y

    def _enter(self, gradient: Tensor | None) -> None:
        self.entering = 0.0 if gradient is None else float(gradient.detach().abs().amax())
        self.quiet = False

    def _leave(self, own: Tensor, gradient: Tensor | None) -> None:
        if self.quiet or gradient is None or not gradient.numel() or self.entering == 0:
            return
        growth = float((gradient.detach() * own).abs().amax()) / (self.entering * self.steps * self.batch)
        if not growth <= GROWTH:
            self.quiet = True
            warnings.warn(
                f"gradients exploded in {self.steps} steps: a parameter's, times the parameter, is {growth:.1g} times "
                f"what enters at the outputs of all of them; expected at most {GROWTH:g} times: train on fewer steps "
                "at a time (detach the state), with a wider surrogate or smaller weights, or clip the gradients",
                RuntimeWarning,
                stacklevel=2,
            )


__all__ = ["GROWTH", "GradientWatch"]
