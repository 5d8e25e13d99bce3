"""Distances of fields (batch, channels, *grid), relative to the target and free of the grid's spacing."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def relative_l2(y: Tensor, target: Tensor) -> Tensor:
    """Mean over the batch of |y − target|/|target|, norms over channels and the grid.

    ValueError for other shapes than the target's, and for a target that vanishes.

    >>> from ranvier.operators import relative_l2
    >>> float(relative_l2(torch.ones(1, 1, 4), torch.full((1, 1, 4), 2.0)))
    0.5
    """
    _check(y, target)
    return _ratio((y - target).flatten(1).norm(dim=1), target.flatten(1).norm(dim=1))


def relative_h1(y: Tensor, target: Tensor, *, cut: int | None = None) -> Tensor:
    """Mean over the batch of the relative distance in H¹: squares of values and of slopes, Σ (1 + |2πk|²)|û(k)|² over
    the frequencies of the unit box, those with |k| < cut only (20 in He, Liu & Xu 2024). Fields are taken as periodic.

    >>> target = torch.sin(2 * torch.pi * torch.arange(16) / 16).reshape(1, 1, 16)
    >>> round(rv.operators.relative_h1(1.5 * target, target).item(), 4)
    0.5
    """
    _check(y, target)
    axes = tuple(range(2, y.ndim))
    weight = torch.ones((), dtype=torch.float64, device=y.device)
    for k, axis in enumerate(axes):
        n = y.shape[axis]
        frequency = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64, device=y.device)
        shape = [1] * len(axes)
        shape[k] = n
        weight = weight + (2 * math.pi * frequency.reshape(shape)).square()
    if cut is not None:
        weight = torch.where(weight < 1 + (2 * math.pi * cut) ** 2, weight, 0.0)
    scale = weight.sqrt()

    def norm(u: Tensor) -> Tensor:
        precise = u.float() if u.dtype in (torch.float16, torch.bfloat16) else u
        spectrum = torch.fft.fftn(precise, dim=axes, norm="forward") * scale.to(precise.dtype)
        return torch.view_as_real(spectrum).flatten(1).norm(dim=1)

    return _ratio(norm(y - target), norm(target))


def _ratio(distance: Tensor, size: Tensor) -> Tensor:
    if not torch.compiler.is_compiling() and bool((size == 0).any()):
        k = int((size == 0).nonzero()[0])
        raise ValueError(f"the target {k} of the batch is zero; expected fields to be relative to: leave it out")
    return (distance / size).mean()


def _check(y: Tensor, target: Tensor) -> None:
    if y.shape != target.shape or y.ndim < 3:
        raise ValueError(
            f"the fields have shapes {tuple(y.shape)} and {tuple(target.shape)}; expected the same (batch, channels, "
            "*grid) twice"
        )


__all__ = ["relative_h1", "relative_l2"]
