"""Outputs of models, with steps or without."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ranvier.learners.losses import accuracy


def output_of(model: nn.Module, x: Tensor) -> Tensor:
    """y of a model that returns y, or (y, state)."""
    out = model(x)
    return out[0] if isinstance(out, tuple) else out


def share_right(y: Tensor, labels: Tensor) -> float:
    """`accuracy` of y (B, C), or (T, B, C)."""
    return accuracy(y[None] if y.ndim == 2 else y, labels)


def require_finite_input(x: Any, layer: Any = None) -> None:
    """ValueError for a batch whose numbers are not all finite, or not of the type of a layer's weights; TypeError for
    what is no tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x is a {type(x).__name__}; expected a tensor: convert it by torch.as_tensor")
    if layer is not None and x.dtype != layer.weight.dtype:
        raise ValueError(f"x is of {x.dtype}; expected {layer.weight.dtype}: convert it, or the model by .to()")
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        count = int((~torch.isfinite(x)).sum())
        raise ValueError(f"x has {count} values that are not finite; expected none: look where it was computed")


__all__ = ["output_of", "require_finite_input", "share_right"]
