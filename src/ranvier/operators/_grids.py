"""What every operator asks of a field: its shape, its type, the places of its samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def per_axis(value: int | Sequence[int], dims: int, name: str, low: int = 1) -> tuple[int, ...]:
    """One whole number an axis; ValueError for another number of them, or for numbers below `low`."""
    values = (value,) * dims if isinstance(value, int) else tuple(value)
    if isinstance(value, bool) or len(values) != dims or any(not isinstance(v, int) or v < low for v in values):
        raise ValueError(f"{name} is {value!r}; expected {dims} whole numbers from {low}, or one for all axes")
    return values


def check_dims(dims: int, most: int = 3) -> None:
    """ValueError unless 1 <= dims <= most."""
    if isinstance(dims, bool) or not isinstance(dims, int) or not 1 <= dims <= most:
        raise ValueError(f"dims is {dims!r}; expected a whole number from 1 to {most}: the grid's axes")


def check_field(u: Tensor, channels: int, dims: int, weight: Tensor) -> None:
    """ValueError unless u is (batch, channels, *grid) of the weight's type, with cells along every axis."""
    if not isinstance(u, Tensor):
        raise TypeError(f"the field is a {type(u).__name__}; expected a tensor (batch, {channels}, *grid)")
    grid = ", ".join(f"n{k + 1}" for k in range(dims))
    if u.ndim != dims + 2 or u.shape[1] != channels or 0 in u.shape[2:]:
        raise ValueError(
            f"the field has shape {tuple(u.shape)}; expected (batch, {channels}, {grid}): a channel axis after the "
            "batch, then the grid"
        )
    if u.dtype != weight.dtype:
        raise ValueError(f"the field is {u.dtype}; expected {weight.dtype} as the weights: use .to() on one of them")


def positions(size: Sequence[int], dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """Places of the samples in the unit box, (dims, *size): sample i lies in the middle of its cell, (i + 1/2)/n."""
    axes = [(torch.arange(n, dtype=dtype, device=device) + 0.5) / n for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))
