"""Helmholtz' equation: standing waves in a medium of varying speed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ranvier.operators.problems._elliptic import diffusion_matrix, fields
from ranvier.operators.problems.random_fields import gaussian_field


def solve_helmholtz(speed: Tensor, omega: float, source: Tensor | float = 1.0) -> Tensor:
    """u (batch, *grid), float64, of −Δu − (ω/c)² u = source in the unit box, u = 0 on its faces.

    speed c (batch, *grid) above 0, at cell centres, 1 to 3 axes; solved directly, error of second order in 1/n.
    ValueError where ω is a resonance of the medium to rounding: there is no solution.

    >>> n = 100  # −u'' = 1 in 1 dimension as omega goes to 0: u = x (1 − x)/2
    >>> u = rv.operators.problems.solve_helmholtz(torch.ones(1, n), 1e-6)
    >>> round(u[0, n // 2].item(), 3)
    0.125
    """
    from scipy.sparse import diags
    from scipy.sparse.linalg import splu

    c = fields(speed, "speed")
    f = fields(source, "source", c.shape)
    if not (c > 0).all() or not math.isfinite(omega):
        raise ValueError(f"speed, omega are {c.min()} at least, {omega}; expected speeds above 0, a finite frequency")
    laplacian = diffusion_matrix(np.ones(c.shape[1:]))
    solutions = []
    for k, (c_, f_) in enumerate(zip(c, f)):
        matrix = (laplacian - diags((omega / c_.ravel()) ** 2)).tocsc()
        try:
            u = splu(matrix).solve(f_.ravel())
        except RuntimeError:  # a pivot is zero
            u = np.full(f_.size, np.inf)
        if not np.isfinite(u).all() or np.abs(u).max() > 1e12 * max(1e-300, np.abs(f_).max()):
            raise ValueError(f"omega is {omega}, a resonance of medium {k}; expected another frequency: there is no u")
        solutions.append(u.reshape(f_.shape))
    return torch.from_numpy(np.stack(solutions) if solutions else np.zeros(f.shape))


def helmholtz_examples(
    count: int,
    size: Sequence[int] = (32, 32),
    *,
    omega: float = 5.5,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Speeds c = 1 + tanh(μ)/4 of a random field μ, and waves for a source of 1, each (count, 1, *size).

    The default ω lies between the first two resonances of the square with c = 1, 4.44 and 7.02.

    >>> speed, wave = rv.operators.problems.helmholtz_examples(2, (8, 8))
    >>> bool(((speed > 0.75) & (speed < 1.25)).all())
    True
    """
    c = 1 + torch.tanh(5.0 * gaussian_field(count, size, alpha=2.5, tau=3.0, seed=seed)) / 4
    return c[:, None].to(dtype), solve_helmholtz(c, omega)[:, None].to(dtype)
