"""Generators of linear symmetries: x → exp(t L) x that leaves a function unchanged, from the function's gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ranvier._checks import count, floating, instance, positive, returned
from ranvier._checks import function as require_function
from ranvier._results import Fields


@dataclass(frozen=True)
class Generators(Fields):
    """basis: (K, d, d), orthonormal, spanning all L with residual below the tolerance. residuals: (d²,), rising: the
    mean squared cosine between the function's gradient and L x; 0 for a symmetry, 1/d for a direction at random.
    Returned by `invariance_generators`.
    """

    basis: Tensor
    residuals: Tensor


def rotations(n: int) -> Tensor:
    """The n(n − 1)/2 generators (n(n − 1)/2, n, n) of rotations of n dimensions, one a plane, orthonormal.

    >>> basis = rv.symmetries.rotations(3)
    >>> len(basis), bool(torch.equal(basis, -basis.mT))  # antisymmetric, one a plane
    (3, True)
    """
    n = count(n, "n", 1)
    rows, columns = torch.triu_indices(n, n, 1)
    basis = torch.zeros(len(rows), n, n, dtype=torch.float64)
    plane = torch.arange(len(rows))
    basis[plane, columns, rows], basis[plane, rows, columns] = 0.5**0.5, -(0.5**0.5)
    return basis


def boosts(n: int) -> Tensor:
    """The n − 1 boosts (n − 1, n, n) of one time, coordinate 0, and n − 1 places, orthonormal.

    >>> boost = rv.symmetries.boosts(2)[0]
    >>> metric = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
    >>> (boost.T @ metric + metric @ boost).abs().max().item()  # keeps t² − x²
    0.0
    """
    basis = torch.zeros(max(count(n, "n", 1) - 1, 0), n, n, dtype=torch.float64)
    for k in range(n - 1):
        basis[k, 0, k + 1] = basis[k, k + 1, 0] = 0.5**0.5
    return basis


def scaling(n: int) -> Tensor:
    """The generator (1, n, n) of dilations, of norm 1.

    >>> rv.symmetries.scaling(4)[0].diagonal().tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    return torch.eye(count(n, "n", 1), dtype=torch.float64)[None] / n**0.5


def invariance_generators(
    function: Callable[[Tensor], Tensor], x: Tensor, tolerance: float = 1e-8
) -> Generators:
    """All L with d/dt f(exp(t L) x) = ∇f(x)·L x = 0 at states x (B, d), of f: (B, d) → (B,) or (B, m).

    The condition is linear in L. Residuals are mean squared cosines, weighed by |∇f|² |L x|², so that functions and
    coordinates may have any units but must be of one size with each other. A learnt f has errors: take a tolerance
    above the square of its gradient's relative error (`fit_function`: .02).
    Raises ValueError for fewer states than d², states that do not span the space, a constant f, and other shapes.

    >>> x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> found = rv.symmetries.invariance_generators(lambda x: x.square().sum(1), x)
    >>> round(rv.symmetries.alignment(found.basis, rv.symmetries.rotations(2)), 6)  # the norm: rotations
    1.0
    """
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim != 2:
        what = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x is {what}; expected a floating tensor (B, d)")
    require_function(function, "function", "states (B, d) -> (B,) or (B, m)")
    d = x.shape[1]
    if len(x) < d * d or not bool(torch.isfinite(x).all()):
        raise ValueError(f"x has {len(x)} states, or some are not finite; expected {d * d} or more finite ones")
    tolerance = positive(tolerance, "tolerance")
    gradients = _gradients(function, x).double()  # (B, m, d)
    at = x.double()
    if not bool(torch.isfinite(gradients).all()):
        raise ValueError("the function's gradient is not finite at a state; expected a smooth function: leave it out")
    weight = gradients.square().sum((1, 2))
    if float(weight.max()) == 0.0:
        raise ValueError("the function is constant; expected one that changes: everything is a symmetry of it")
    # of f's rows, Σ (∇f·L x)² = vec(L)' A vec(L), and Σ |∇f|² |L x|² = vec(L)' (1 ⊗ N) vec(L)
    rows = torch.einsum("bmi,bj->bmij", gradients, at).reshape(-1, d * d)
    normal = torch.einsum("b,bi,bj->ij", weight, at, at)
    sizes, axes = torch.linalg.eigh(normal)
    if float(sizes[0]) <= 1e-12 * float(sizes[-1]):
        raise ValueError("the states lie in a plane through the origin; expected all directions: leave coordinates out")
    half = torch.kron(torch.eye(d, dtype=at.dtype), axes / sizes.sqrt() @ axes.T)
    residuals, vectors = torch.linalg.eigh(half @ (rows.T @ rows) @ half)
    residuals = residuals.clamp_min(0.0)
    basis = (half @ vectors[:, residuals < tolerance]).T
    basis = torch.linalg.qr(basis.T)[0].T if len(basis) else basis
    return Generators(basis.reshape(-1, d, d), residuals)


def alignment(basis: Tensor, truth: Tensor) -> float:
    """The smallest cosine of the angles between the spans of two sets of generators (K, d, d); 0 where their numbers
    differ.

    >>> plane = rv.symmetries.rotations(2)
    >>> [round(rv.symmetries.alignment(basis, plane), 6) for basis in (-plane, rv.symmetries.scaling(2))]
    [1.0, 0.0]
    """
    for name, value in (("basis", basis), ("truth", truth)):
        instance(value, Tensor, name, "a tensor of generators (K, d, d)")
        if len(value.shape) != 3 or value.shape[1] != value.shape[2]:
            raise ValueError(f"{name} has shape {tuple(value.shape)}; expected square matrices (K, d, d)")
    if not len(basis) or not len(truth):
        return 0.0
    for name, value in (("basis", basis), ("truth", truth)):
        floating(value, name, "(K, d, d)", 3)
    if basis.shape[1] != truth.shape[1]:
        raise ValueError(f"the generators are of {basis.shape[1]} and {truth.shape[1]} dimensions; expected as many")
    if len(basis) != len(truth):
        return 0.0
    a, b = (torch.linalg.qr(v.flatten(1).double().T)[0] for v in (basis, truth))
    return float(torch.linalg.svdvals(a.T @ b).min())


def fit_function(x: Tensor, y: Tensor, *, width: int = 64, steps: int = 600, seed: int = 0) -> nn.Module:
    """A smooth network f (B, d) → (B, m) fitted to data x (B, d), y (B, m) by Adam, for `invariance_generators`.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> y = x.sum(1, keepdim=True)
    >>> f = rv.symmetries.fit_function(x, y, width=16, steps=150)
    >>> bool((f(x) - y).square().mean() < 0.2 * y.var())
    True
    """
    floating(x, "x", "(B, d)", 2), floating(y, "y", "(B, m)", 2)
    if len(x) != len(y) or len(x) < 10 or x.dtype != y.dtype:
        raise ValueError(
            f"x and y are {tuple(x.shape)} of {x.dtype} and {tuple(y.shape)} of {y.dtype}; expected (B, d) and (B, m), "
            "B >= 10, of one dtype"
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(x.shape[1], width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, y.shape[1])
        ).to(x.dtype)
    target = (y - y.mean(0)) / y.std(0).clamp_min(1e-12)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, count(steps, "steps", 1))
    for _ in range(steps):
        rows = torch.randint(len(x), (256,), generator=generator)
        loss = (net(x[rows]) - target[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.requires_grad_(False)


def _gradients(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        values = returned(function(at), "function")
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) != len(x):
            raise ValueError(f"the function's values have shape {tuple(values.shape)}; expected (B,) or (B, m)")
        if not values.requires_grad:
            raise ValueError("the function's values do not depend on x; expected operations of torch on x")
        columns = [torch.autograd.grad(c.sum(), at, retain_graph=True, allow_unused=True)[0] for c in values.T]
    return torch.stack([torch.zeros_like(x) if c is None else c for c in columns], 1)
