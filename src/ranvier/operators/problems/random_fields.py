"""Gaussian random fields in the unit box, which are the same function on every grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ranvier.operators._grids import per_axis


def gaussian_field(
    count: int,
    size: Sequence[int],
    *,
    alpha: float = 2.0,
    tau: float = 3.0,
    boundary: Literal["neumann", "periodic"] = "neumann",
    modes: int = 64,
    seed: int = 0,
) -> Tensor:
    """`count` fields (count, *size), float64, of covariance C = τ^(2α − d)(−Δ + τ²)^(−α) without its constant, at cell
    centres (i + 1/2)/n.

    The Laplacian has no slope at the faces (cosines), or is periodic. The coefficients of the first `modes`
    frequencies an axis are drawn once and evaluated on the grid: a seed gives the same functions at any size. Fields
    differ less with every mode: the variance left out falls as modes^(d − 2α); alpha > d/2, else there is no limit.

    >>> from ranvier.operators.problems import gaussian_field
    >>> coarse, fine = (gaussian_field(1, (n,), seed=3) for n in (5, 15))
    >>> torch.allclose(coarse, fine[:, 1::3])
    True
    """
    dims = len(size)
    sizes = per_axis(size, dims, "size")
    if not alpha > dims / 2 or not tau > 0:
        raise ValueError(f"alpha, tau are {alpha}, {tau}; expected alpha above {dims / 2} (half the axes), tau above 0")
    if boundary not in ("neumann", "periodic"):
        raise ValueError(f"boundary is {boundary!r}; expected 'neumann' or 'periodic'")
    if count < 0 or modes < 2:
        raise ValueError(f"count, modes are {count}, {modes}; expected 0 and 2 or more")
    periodic = boundary == "periodic"
    kinds = 2 * modes - 1 if periodic else modes  # cosines and sines, or cosines alone
    order = torch.arange(kinds, dtype=torch.float64)
    frequency = 2 * math.pi * ((order + 1) // 2) if periodic else math.pi * order
    square = torch.zeros((1,) * dims, dtype=torch.float64)
    for axis in range(dims):
        square = square + frequency.square().reshape([-1 if k == axis else 1 for k in range(dims)])
    deviation = tau ** (alpha - dims / 2) * (square + tau**2) ** (-alpha / 2)
    deviation.view(-1)[0] = 0
    generator = torch.Generator().manual_seed(seed)
    field = deviation * torch.randn(count, *[kinds] * dims, dtype=torch.float64, generator=generator)
    for n in sizes:  # one axis after the other becomes a grid; the next is then the first
        x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        basis = torch.cos(x[:, None] * frequency)
        if periodic:
            even = (order % 2 == 0) & (order > 0)
            basis[:, even] = torch.sin(x[:, None] * frequency[even])
        basis[:, 1:] *= math.sqrt(2)
        field = torch.tensordot(field, basis.T, dims=([1], [0]))
    return field
