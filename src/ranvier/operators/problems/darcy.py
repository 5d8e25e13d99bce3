"""Darcy's flow: pressure in a medium of varying permeability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ranvier.operators.problems._elliptic import diffusion_matrix, fields
from ranvier.operators.problems.random_fields import gaussian_field


def solve_darcy(a: Tensor, source: Tensor | float = 1.0) -> Tensor:
    """u (batch, *grid), float64, of −∇·(a ∇u) = source in the unit box, u = 0 on its faces.

    a (batch, *grid) above 0, source a number, a field, or one each; values at cell centres (i + 1/2)/n, 1 to 3 axes.
    Finite volumes with harmonic means, solved directly; error of second order in 1/n for smooth a.

    >>> from ranvier.operators.problems import solve_darcy
    >>> u = solve_darcy(torch.ones(1, 64))          # u = x (1 - x)/2
    >>> abs(float(u.max()) - 0.125) < 1e-4
    True
    """
    from scipy.sparse.linalg import splu

    permeability = fields(a, "a")
    f = fields(source, "source", permeability.shape)
    if not (permeability > 0).all():
        place = tuple(int(k) for k in np.argwhere(~(permeability > 0))[0])
        raise ValueError(f"a is {permeability[place]} at {place}; expected permeabilities above 0")
    u = [splu(diffusion_matrix(a_)).solve(f_.ravel()).reshape(f_.shape) for a_, f_ in zip(permeability, f)]
    return torch.from_numpy(np.stack(u) if u else np.zeros(f.shape))


def darcy_examples(
    count: int,
    size: Sequence[int] = (32, 32),
    *,
    medium: Literal["two phases", "smooth"] = "two phases",
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Permeabilities and pressures, each (count, 1, *size), for a source of 1 (Li et al. 2021, section 5.2).

    a = ψ(μ) of a field μ of covariance (−Δ + 9)^−2: 12 where it is positive and 3 elsewhere ("two phases"), or
    exp(3.4 μ), whose exponent has a standard deviation of 1 ("smooth").
    The permeabilities of a seed are the same functions on every grid.

    >>> permeability, pressure = rv.operators.problems.darcy_examples(2, (8, 8))
    >>> sorted(permeability.unique().tolist()), bool((pressure > 0).all())
    ([3.0, 12.0], True)
    """
    if medium not in ("two phases", "smooth"):
        raise ValueError(f"medium is {medium!r}; expected 'two phases' or 'smooth'")
    field = gaussian_field(count, size, alpha=2.0, tau=3.0, seed=seed)
    a = torch.where(field > 0, 12.0, 3.0) if medium == "two phases" else torch.exp(3.4 * field)
    return a[:, None].to(dtype), solve_darcy(a)[:, None].to(dtype)
