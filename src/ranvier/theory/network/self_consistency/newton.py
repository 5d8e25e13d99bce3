"""Newton's method for the rates of a network, and the linear systems I - G."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ranvier._progress import reached

if TYPE_CHECKING:
    from ranvier.theory.network.groups import NeuronGroup
    from ranvier.theory.network.self_consistency.rates import Coupling

DENSE = 1500  # nodes up to which a dense factorisation is quicker than GMRES
ROUGH, FINE = 1e-7, 1e-14  # residuals, relative to the largest rate
LEAST = 1e-16  # 1/ms: a residual that is none
STEPS, RELAXATION = 60, 200


class Solved(NamedTuple):
    cells: Sequence[NeuronGroup]
    rates: Tensor
    slopes: Tensor
    iterations: int
    residual: float


def solve_rates(
    linearised: Callable[[Sequence[NeuronGroup], Tensor], tuple[Tensor, Tensor, Tensor]],
    gridded: Callable[[Tensor], Sequence[NeuronGroup]],
    r: Tensor,
    coupling: Coupling,
    rough: bool = False,
) -> Solved:
    """r = phi(r) by Newton's method; where a full step does not help, by shorter ones; at last by relaxation.

    linearised(cells, r) -> (phi, its slope in the input, G at the edges). Grids move with the first steps and
    are then held, so that the last ones see a smooth function; `rough` leaves these out. Raises ValueError where no
    rates are found.
    """
    try:
        return _newton(linearised, gridded, r, coupling, rough)
    except ValueError:
        return _newton(linearised, gridded, _relaxed(linearised, gridded, r, coupling), coupling, rough)


def _relaxed(
    linearised: Callable[[Sequence[NeuronGroup], Tensor], tuple[Tensor, Tensor, Tensor]],
    gridded: Callable[[Tensor], Sequence[NeuronGroup]],
    r: Tensor,
    coupling: Coupling,
) -> Tensor:
    """r after it has followed dr/ds = phi(r) - r, more slowly where inhibition would make it overshoot."""
    cells = gridded(r)
    for step in range(RELAXATION):
        reached("rates, by relaxation", step + 1, RELAXATION)
        phi, _, slopes = linearised(cells, r)
        r = r + (phi - r) / (1 + coupling.into((-slopes).clamp(min=0.0)))
        if step % 20 == 0:
            cells = gridded(r)
    return r


def _newton(
    linearised: Callable[[Sequence[NeuronGroup], Tensor], tuple[Tensor, Tensor, Tensor]],
    gridded: Callable[[Tensor], Sequence[NeuronGroup]],
    r: Tensor,
    coupling: Coupling,
    rough: bool,
) -> Solved:
    reached("rates, first guess")
    cells = gridded(r)
    phi, _, slopes = linearised(cells, r)
    worst, slow, count = _size(phi - r), 0.0, 0
    near = worst <= max(ROUGH * _size(r), LEAST)  # the grid is that of rates near enough
    tolerance = FINE if near else ROUGH
    for count in range(1, STEPS + 1):
        reached("rates, step", count)
        trial = (r + solve_linear(coupling, slopes, phi - r, shift=slow)).clamp(min=0.0)
        tried = linearised(cells, trial)
        error = _size(tried[0] - trial)
        if error < worst or not np.isfinite(worst):
            r, (phi, _, slopes), worst, slow = trial, tried, error, slow / 4 if slow > 0.05 else 0.0
            gained = True
        else:
            slow, gained = max(0.5, 4 * slow), False
        scale = max(_size(r), 1e-12)
        if worst <= max(tolerance * scale, LEAST) or (not gained and tolerance == FINE and worst <= 1e-11 * scale):
            if tolerance == FINE or rough:
                return Solved(cells, r, slopes, count, worst)
            tolerance, slow, cells = FINE, 0.0, gridded(r)
            phi, _, slopes = linearised(cells, r)
            worst = _size(phi - r)
        if slow > 1e12:
            break
    if tolerance == FINE and worst <= max(1e-9 * scale, LEAST):
        return Solved(cells, r, slopes, count, worst)
    raise ValueError(
        f"no self-consistent rates found after {count} steps: a residual of {1000 * worst:.3g} Hz remains at "
        f"rates up to {1000 * _size(r):.3g} Hz. The network may have no stationary state; expected weaker "
        "weights, more noise or another drive"
    )


def _size(x: Tensor) -> float:
    return float(x.abs().max()) if len(x) else 0.0


def solve_linear(
    coupling: Coupling, slopes: Tensor, right: Tensor, *, transpose: bool = False, shift: float = 0.0
) -> Tensor:
    """(I (1 + shift) - G)^-1 right, or with the transpose; G has the entries `slopes` at the edges."""
    n = coupling.size
    if not len(slopes):
        return right / (1 + shift)
    if n <= DENSE:
        G = coupling.dense(slopes)
        matrix = (1 + shift) * torch.eye(n, dtype=torch.float64) - (G.T if transpose else G)
        return torch.linalg.solve(matrix, right)
    return _krylov(coupling, slopes, right, transpose, shift)


def sparse(coupling: Coupling, values: Tensor) -> Any:
    """SciPy matrix [target, source] of values at the edges."""
    from scipy.sparse import coo_array

    ends = (coupling.targets.numpy(), coupling.sources.numpy())
    return coo_array((values.detach().numpy(), ends), shape=(coupling.size,) * 2).tocsr()


def _krylov(coupling: Coupling, slopes: Tensor, right: Tensor, transpose: bool, shift: float) -> Tensor:
    from scipy.sparse.linalg import LinearOperator, gmres

    G = sparse(coupling, slopes)
    G = G.T.tocsr() if transpose else G
    operator = LinearOperator(G.shape, matvec=lambda x: (1 + shift) * x - G @ x, dtype=float)
    b = right.detach().numpy()
    x, failed = gmres(operator, b, rtol=1e-13, atol=0.0, restart=60, maxiter=20)
    if failed and np.linalg.norm(operator @ x - b) > 1e-9 * np.linalg.norm(b):
        x = np.linalg.solve((1 + shift) * np.eye(len(b)) - G.toarray(), b)
    return torch.from_numpy(np.ascontiguousarray(x))
