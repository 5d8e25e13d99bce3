"""What cells refuse, in the same words, and the cells that are written for whole sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


def require_finite(x: Tensor) -> None:
    """Raise ValueError, with step, batch and feature, where x (T, B, ...) is not finite."""
    # a sum is quicker, but may overflow where no entry did
    if x.device.type == "meta" or not x.is_floating_point() or math.isfinite(x.detach().sum().item()):
        return
    bad = (~torch.isfinite(x)).nonzero()
    if len(bad):
        t, b, *n = bad[0].tolist()
        raise ValueError(
            f"found {x[tuple(bad[0])].item()} in x at step {t}, batch {b}, feature {neuron(n)}; expected finite input"
        )


def neuron(index: list[int]) -> int | tuple[int, ...]:
    """One axis of neurons is counted, several are a position."""
    return index[0] if len(index) == 1 else tuple(index)


def require_state(state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError for a state that has not these names and shapes."""
    if sorted(state) != sorted(expected):
        raise ValueError(f"found a state with {sorted(state)}, expected {sorted(expected)}: of another layer?")
    for name, value in state.items():
        if value.shape != expected[name]:
            raise ValueError(f"found the state {name} of shape {tuple(value.shape)}, expected {expected[name]}")


class SequenceCell(nn.Module):
    """A `Cell` whose step is its `forward` of a sequence of one; `in_features` are its inputs'."""

    in_features: int

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """One step: x (B, in_features) -> (state, y (B, ...)). Raises ValueError for another shape."""
        if x.ndim != 2:
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (B, {self.in_features})")
        y, state = self(x[None], state)
        return state, y[0]

    def _require_sequence(self, x: Tensor) -> None:
        if x.ndim != 3 or x.shape[0] == 0 or x.shape[2] != self.in_features:
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (T, B, {self.in_features}) with T > 0")


__all__ = ["SequenceCell", "State", "neuron", "require_finite", "require_state"]
