"""Fields on other grids."""

from __future__ import annotations

import cmath
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ranvier.operators._grids import per_axis

#: where sample i of n lies in the unit box: at (i + 1/2)/n, or at i/n
Grid = Literal["cells", "vertices"]


def spectral_resample(u: Tensor, size: int | Sequence[int], *, grid: Grid = "cells") -> Tensor:
    """The trigonometric polynomial through the samples u (..., *grid), on a grid of another size.

    Exact for periodic fields below both grids' Nyquist frequencies; others are cut off (the finer field's) or absent.
    Half precision is computed in float32.

    Parameters
    ----------
    size : samples along each of the last axes, as many axes as numbers; a number alone: the last axis.
    grid : "cells": sample i lies at (i + 1/2)/n; "vertices": at i/n.

    >>> from ranvier.operators import spectral_resample
    >>> x = (torch.arange(8) + 0.5) / 8
    >>> y = spectral_resample(torch.sin(2 * torch.pi * x), 12)
    >>> torch.allclose(y, torch.sin(2 * torch.pi * (torch.arange(12) + 0.5) / 12), atol=1e-6)
    True
    """
    if grid not in ("cells", "vertices"):
        raise ValueError(f"grid is {grid!r}; expected 'cells' or 'vertices'")
    size = (size,) if isinstance(size, int) else tuple(size)
    sizes = per_axis(size, len(size), "size")
    if len(sizes) > u.ndim:
        raise ValueError(f"the field has shape {tuple(u.shape)}; expected {len(sizes)} axes at least, as size has")
    if u.numel() == 0:  # FFT libraries refuse empty batches
        return u.new_zeros(*u.shape[: u.ndim - len(sizes)], *sizes)
    precise = torch.float32 if u.dtype in (torch.float16, torch.bfloat16) else u.dtype
    v = u.to(precise)
    for axis, n in zip(range(-len(sizes), 0), sizes):
        if v.shape[axis] != n:
            v = _resample_axis(v, axis, n, 0.5 if grid == "cells" else 0.0)
    return v.to(u.dtype)


def _resample_axis(u: Tensor, axis: int, n: int, offset: float) -> Tensor:
    before = u.shape[axis]
    coefficients = torch.fft.rfft(u, dim=axis, norm="forward").movedim(axis, -1)
    least = min(before, n)
    coefficients = coefficients[..., : least // 2 + 1]
    k = torch.arange(least // 2 + 1, device=u.device, dtype=torch.float64)
    factor = torch.exp(2j * cmath.pi * k * (offset / n - offset / before))
    if least % 2 == 0:  # the Nyquist frequency stands once on its own grid, twice on a finer one
        factor[-1] = factor[-1] * (0.5 if before == least else 2.0)
    coefficients = coefficients * factor.to(coefficients.dtype)
    return torch.fft.irfft(coefficients, n=n, dim=-1, norm="forward").movedim(-1, axis)


__all__ = ["Grid", "spectral_resample"]
