"""Finite volumes for −∇·(a ∇u) + c u = f with u = 0 on the faces of the unit box."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ranvier._checks import array


def diffusion_matrix(a: np.ndarray) -> Any:
    """The matrix of −∇·(a ∇u) on cells, in SciPy's CSC; between two cells flows the harmonic mean of their a, and
    through a face of the box, at half a cell's distance, 2 a. Second order in the cells' width."""
    import scipy.sparse as sp

    index = np.arange(a.size).reshape(a.shape)
    rows, columns, values = [], [], []
    diagonal = np.zeros(a.shape)
    for axis, n in enumerate(a.shape):
        a_, index_, diagonal_ = (np.moveaxis(x, axis, 0) for x in (a, index, diagonal))
        flow = n**2 * 2 * a_[1:] * a_[:-1] / (a_[1:] + a_[:-1])
        diagonal_[1:] += flow
        diagonal_[:-1] += flow
        diagonal_[0] += 2 * n**2 * a_[0]
        diagonal_[-1] += 2 * n**2 * a_[-1]
        for one, other in ((index_[1:], index_[:-1]), (index_[:-1], index_[1:])):
            rows.append(one.ravel())
            columns.append(other.ravel())
            values.append(-flow.ravel())
    rows.append(index.ravel())
    columns.append(index.ravel())
    values.append(diagonal.ravel())
    return sp.csc_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))))


def fields(value: Tensor | float, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Fields (batch, *grid) of 1 to 3 axes as float64; a number, or one field, where `shape` says the fields'."""
    x = array(value, name, "(batch, *grid)").detach().cpu().double().numpy()
    if shape is not None and x.shape in ((), shape[1:]):
        x = np.broadcast_to(x, shape)
    if (x.shape != shape) if shape is not None else (x.ndim not in (2, 3, 4) or min(x.shape[1:]) < 2):
        raise ValueError(
            f"{name} has shape {x.shape}; expected {shape or '(batch, *grid) of 1 to 3 axes of 2 cells or more'}"
        )
    if not np.isfinite(x).all():
        place = tuple(int(k) for k in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(f"{name} is {x[place]} at {place}; expected finite numbers")
    return x
