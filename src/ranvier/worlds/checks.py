"""Walks that models can follow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def require_walk(observations: Any, actions: Any, stimuli: int, choices: int) -> None:
    """TypeError for anything but tensors of whole numbers, ValueError for other shapes or numbers out of range."""
    for name, value in (("observations", observations), ("actions", actions)):
        if not isinstance(value, Tensor) or value.dtype != torch.int64:
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{name} is {kind}; expected a tensor of int64: .long() turns whole numbers into one")
    if observations.ndim != 2 or observations.shape != actions.shape or 0 in observations.shape:
        raise ValueError(
            f"observations and actions have shapes {tuple(observations.shape)} and {tuple(actions.shape)}; "
            "expected (T, B) both: one action a step, of which the last leads nowhere"
        )
    for name, value, limit in (("observations", observations, stimuli), ("actions", actions, choices)):
        if int(value.min()) < 0 or int(value.max()) >= limit:
            bad = int(value.min()) if int(value.min()) < 0 else int(value.max())
            raise ValueError(f"{name} holds {bad}; expected 0 to {limit - 1}: make the model for as many")


__all__ = ["require_walk"]
