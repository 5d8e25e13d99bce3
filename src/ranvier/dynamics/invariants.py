"""Invariants written in a library: from the field, ∇H · f = 0, or from trajectories, on each of which H is constant."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier._checks import function, instance, positive, returned
from ranvier._results import Fields
from ranvier.dynamics.integrators import Field
from ranvier.dynamics.monomials import Library

_DEPENDENT = 1e-9  # of the largest standard deviation: a combination of library functions that is constant everywhere
_CLEAN = 1e-6  # of the largest coefficient: what rounding leaves; of trajectories more, as they have errors


@dataclass(frozen=True)
class Invariants(Fields):
    """H_k = Σ_j coefficients[k, j] terms_j that do not change in time.

    coefficients: (K, F), in reduced form: each H_k is written by the first functions of the library that do.
    residuals: (M,), by rising size, of the M independent combinations of the library: of the field, the rate of
    change over that of the fastest; of trajectories, the share of the variance that lies within them. The first K
    are invariants. rank: how many of the K are independent, by the rank of their gradients; the others are
    functions of them. independent: the indices of `rank` such H_k.
    Returned by `field_invariants`.
    """

    terms: Library
    coefficients: Tensor
    residuals: Tensor
    rank: int
    independent: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """H (B, K) of states x (B, d)."""
        return self.terms(x) @ self.coefficients.to(x).T

    def expressions(self, digits: int = 4) -> tuple[str, ...]:
        """Each H_k in words of the library, such as "1 p^2 + 1 q^2"."""
        return tuple(
            " + ".join(f"{c:.{digits}g} {n}" for c, n in zip(row, self.terms.names, strict=True) if c)
            for row in self.coefficients.tolist()
        )


def field_invariants(field: Field, x: Tensor, library: Library, tolerance: float = 1e-6) -> Invariants:
    """Combinations H of the library with ∇H · field = 0 at states x (B, d).

    x spans what the library is looked at on, off single orbits: more states than functions. A combination counts when
    its rate of change, in units of its standard deviation, is below `tolerance` of the fastest one's.
    Raises ValueError for fewer states than functions and values that are not finite.

    >>> x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)  # (q, p)
    >>> field = lambda x: torch.stack([x[:, 1], -x[:, 0]], 1)  # a harmonic oscillator
    >>> found = rv.dynamics.field_invariants(field, x, rv.dynamics.monomials(["q", "p"], 2))
    >>> found.rank, found.expressions()  # its energy
    (1, ('1 q^2 + 1 p^2',))
    """
    _check_states(x, library)
    with torch.no_grad():
        function(field, "field", "states (B, d) -> their rates of change (B, d)")
        direction = returned(field(x), "field", tuple(x.shape)).double()
    values, slopes = _along(library, x.double(), direction)
    _require_finite(values, library)
    _require_finite(slopes, library)
    basis = _unit_variance(values)
    _, rates, axes = torch.linalg.svd(slopes @ basis / len(x) ** 0.5, full_matrices=True)
    rates = torch.cat([rates, rates.new_zeros(len(axes) - len(rates))])
    residuals = rates.flip(0) / rates.max().clamp_min(torch.finfo(rates.dtype).tiny)
    return _result(library, (basis @ axes.flip(0).T).T, residuals, positive(tolerance, "tolerance"), x, _CLEAN)


def trajectory_invariants(states: Tensor, library: Library, tolerance: float = 1e-6) -> Invariants:
    """Combinations of the library that are constant along trajectories states (T, B, d), and differ between them.

    No field is needed. The residual is the variance within trajectories over the whole variance: the squared error
    of the states bounds it from below, so `tolerance` is that of their integrator or measurement, squared.
    Raises ValueError for a single trajectory, fewer states than functions and values that are not finite.

    >>> field = lambda x: torch.stack([x[:, 1], -x[:, 0]], 1)
    >>> states = rv.dynamics.integrate(field, torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64), 0.1, 50)
    >>> rv.dynamics.trajectory_invariants(states, rv.dynamics.monomials(["q", "p"], 2), 1e-8).expressions()
    ('1 q^2 + 1 p^2',)
    """
    if not isinstance(states, Tensor) or states.ndim != 3 or states.shape[0] < 2 or states.shape[1] < 2:
        shape = tuple(states.shape) if isinstance(states, Tensor) else type(states).__name__
        raise ValueError(f"states is {shape}; expected (T, B, d), two or more times of two or more trajectories")
    flat = states.flatten(0, 1)
    _check_states(flat, library)
    with torch.no_grad():
        values = library(flat.double())
    _require_finite(values, library)
    basis = _unit_variance(values)
    scores = (values @ basis).unflatten(0, states.shape[:2])
    within = (scores - scores.mean(0)).flatten(0, 1)
    shares, axes = torch.linalg.eigh(within.T @ within / len(within))
    shares, limit = shares.clamp_min(0.0), positive(tolerance, "tolerance")
    if limit >= 1:
        raise ValueError(f"tolerance is {limit}; expected a share of the variance below 1")
    clean = max(_CLEAN, 10 * float(shares[shares < limit].sqrt().amax())) if bool((shares < limit).any()) else _CLEAN
    return _result(library, (basis @ axes).T, shares, limit, flat, clean)


def gradient_rank(gradients: Tensor, tolerance: float = 1e-5) -> int:
    """Of functions with gradients (B, K, d), how many are independent: the largest rank at any state.

    >>> rv.dynamics.gradient_rank(torch.tensor([[[1.0, 0.0], [2.0, 0.0]]]))  # two parallel gradients
    1
    """
    if gradients.shape[1] == 0:
        return 0
    scale = gradients.norm(dim=2, keepdim=True).amax(0, keepdim=True).clamp_min(torch.finfo(gradients.dtype).tiny)
    sizes = torch.linalg.svdvals(gradients / scale)
    return int((sizes > tolerance * sizes.amax()).sum(1).max())


def _result(library: Library, rows: Tensor, residuals: Tensor, tolerance: float, x: Tensor, clean: float) -> Invariants:
    with torch.no_grad():
        spread = library(x.double()).std(0).clamp_min(torch.finfo(torch.float64).tiny)
    coefficients = _reduced(rows[residuals < tolerance] * spread, clean) / spread  # what is small, in each one's units
    if len(coefficients):
        coefficients = coefficients / coefficients.abs().amax(1, keepdim=True)
    sample = x[torch.linspace(0, len(x) - 1, min(len(x), 50)).long()].double()

    gradients = _gradients(library, coefficients, sample)
    independent: list[int] = []
    for k in range(len(coefficients)):
        if gradient_rank(gradients[:, [*independent, k]], 10 * clean) > len(independent):
            independent.append(k)
    return Invariants(library, coefficients, residuals, len(independent), tuple(independent))


def _along(library: Library, x: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Values (B, F), and their derivatives along direction (B, d): the gradient, differentiated by its weights."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        values = library(at)
        weights = torch.zeros_like(values, requires_grad=True)
        (gradient,) = torch.autograd.grad(values, at, weights, create_graph=True)
        (slopes,) = torch.autograd.grad(gradient, weights, direction)
    return values.detach(), slopes


def _gradients(library: Library, coefficients: Tensor, x: Tensor) -> Tensor:
    """(B, K, d): of the combinations at states x (B, d)."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        values = library(at) @ coefficients.T
        rows = [torch.autograd.grad(column.sum(), at, retain_graph=True)[0] for column in values.T]
    return torch.stack(rows, 1) if rows else x[:, None][:, :0]


def _unit_variance(values: Tensor) -> Tensor:
    """(F, M): combinations of the library's functions, uncorrelated and of variance 1, without constant ones."""
    centred = values - values.mean(0)
    spread = centred.square().mean(0).sqrt()
    moving = spread > 1e-12 * values.abs().amax(0).clamp_min(torch.finfo(values.dtype).tiny)
    scale = torch.where(moving, 1 / spread.clamp_min(torch.finfo(values.dtype).tiny), torch.zeros_like(spread))
    _, sizes, axes = torch.linalg.svd(centred * scale / len(values) ** 0.5, full_matrices=False)
    chosen = sizes > _DEPENDENT * sizes[0].clamp_min(torch.finfo(values.dtype).tiny)
    if not bool(chosen.any()):
        raise ValueError("the library is constant on all states; expected functions that change: take other states")
    return scale[:, None] * axes[chosen].T / sizes[chosen]


def _reduced(rows: Tensor, clean: float) -> Tensor:
    """The same space of coefficients (K, F), row-reduced from the last function: simple invariants stand alone."""
    rows = rows / rows.abs().amax(1, keepdim=True) if len(rows) else rows
    # an orthonormal basis first, so that a small pivot means that a function is not needed
    rows = torch.linalg.svd(rows, full_matrices=False)[2] if len(rows) else rows
    pivots = 0
    for column in reversed(range(rows.shape[1])):
        if pivots == len(rows):
            break
        best = pivots + int(rows[pivots:, column].abs().argmax())
        if rows[best, column].abs() < clean:
            continue
        rows[[pivots, best]] = rows[[best, pivots]]
        rows[pivots] = rows[pivots] / rows[pivots, column]
        others = torch.arange(len(rows)) != pivots
        rows[others] -= rows[others, column, None] * rows[pivots]
        pivots += 1
    rows = rows.flip(0)
    if not len(rows):
        return rows
    rows = torch.where(rows.abs() > clean * rows.abs().amax(1, keepdim=True), rows, torch.zeros_like(rows))
    return rows * rows.gather(1, (rows != 0).long().argmax(1, keepdim=True)).sign()


def _check_states(x: Tensor, library: Library) -> None:
    instance(library, Library, "library", "a Library, as rv.dynamics.monomials makes it")
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim != 2:
        what = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"the states are {what}; expected a floating tensor (B, d)")
    if len(x) < 2 * len(library.names):
        raise ValueError(
            f"there are {len(x)} states for {len(library.names)} functions; expected {2 * len(library.names)} or more"
        )
    if not bool(torch.isfinite(x).all()):
        raise ValueError("a state is not finite; expected finite coordinates: leave such states out")


def _require_finite(values: Tensor, library: Library) -> None:
    bad = ~torch.isfinite(values).all(0)
    if bool(bad.any()):
        name = library.names[int(bad.nonzero()[0])]
        raise ValueError(f"{name!r} is not finite at a state; expected a function that is defined on all: leave it out")
