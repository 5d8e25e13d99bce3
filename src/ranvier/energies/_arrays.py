"""Tensors from what a user may hold in their place: NumPy arrays, lists, numbers."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_tensor(name: str, value: Any, like: Tensor | None = None) -> Tensor:
    """A tensor as it is; an array, list or number as a tensor: floats of the type and on the device of `like`.

    Raises TypeError for anything else, and for arrays of anything but numbers.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray | np.generic | list | tuple | Number):
        try:
            tensor = torch.as_tensor(np.array(value))  # a copy: torch warns of read-only memory
        except (TypeError, ValueError):
            kind = type(value).__name__
            raise TypeError(f"{name} is a {kind} of other things; expected an array of numbers") from None
        if like is None:
            return tensor
        return tensor.to(like.device, like.dtype if tensor.is_floating_point() else tensor.dtype)
    raise TypeError(f"{name} is of type {type(value).__name__}; expected a tensor, or an array of numbers")


def as_floats(name: str, value: Any, like: Tensor | None = None) -> Tensor:
    """As `as_tensor`, and TypeError unless the numbers are floats."""
    tensor = as_tensor(name, value, like)
    if not tensor.is_floating_point():
        raise TypeError(f"{name} is of {tensor.dtype}; expected floats: convert by .to(torch.float32)")
    return tensor


__all__ = ["as_floats", "as_tensor"]
