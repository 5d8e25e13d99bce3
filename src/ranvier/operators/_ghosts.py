"""Boundary conditions of fields at cell centres, by padding: what lies beyond the domain's faces."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

#: what a field does at the faces of its domain: it vanishes, its slope vanishes, or it goes on at the other side
Boundary = Literal["dirichlet", "neumann", "periodic"]


def check_boundary(boundary: str) -> None:
    """ValueError for a name that is no boundary condition."""
    if boundary not in get_args(Boundary):
        raise ValueError(f"boundary is {boundary!r}; expected {', '.join(get_args(Boundary))}: choose one")


def pad(u: Tensor, boundary: str, left: int, right: int, dims: int) -> Tensor:
    """The field u (..., *grid) with `left` and `right` more cells along each of its last `dims` axes.

    The cells beyond mirror those within: with the opposite sign (dirichlet: zero on the face), the same (neumann: no
    slope there), or they repeat the other side (periodic). A grid may have fewer cells than are requested.
    """
    for axis in range(-dims, 0):
        u = _pad_axis(u, boundary, left, right, axis)
    return u


def _pad_axis(u: Tensor, boundary: str, left: int, right: int, axis: int) -> Tensor:
    n = u.shape[axis]
    if max(left, right) > n:  # as on the coarsest of grids: in two goes
        first = _pad_axis(u, boundary, min(left, n), min(right, n), axis)
        return _pad_axis(first, boundary, left - min(left, n), right - min(right, n), axis)
    if boundary == "periodic":
        parts = [u.narrow(axis, n - left, left), u, u.narrow(axis, 0, right)]
    else:
        sign = -1 if boundary == "dirichlet" else 1
        before, after = u.narrow(axis, 0, left).flip(axis), u.narrow(axis, n - right, right).flip(axis)
        parts = [sign * before, u, sign * after]
    return torch.cat(parts, axis)
