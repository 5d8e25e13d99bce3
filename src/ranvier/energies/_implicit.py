"""Gradients through a fixed point: one linear solve instead of a long tape."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class ConvergenceWarning(UserWarning):
    """A descent, or the solve behind an implicit gradient, ended before its criterion was met.

    >>> import warnings
    >>> descent = rv.energies.Descent(rv.energies.ModernHopfield(torch.eye(2)), rv.energies.Fixed(0.01), max_steps=1)
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     end = descent.settle(torch.tensor([[1.0, 0.0]]))
    >>> caught[0].category is rv.energies.ConvergenceWarning, end.ending[0].item() == rv.energies.Ending.MOVING
    (True, True)
    """


def gmres(
    operator: Callable[[Tensor], Tensor], b: Tensor, *, tol: float, restart: int = 60, max_restarts: int = 20
) -> tuple[Tensor, Tensor]:
    """Solve A v = b for every row of b (B, N) apart (Saad & Schultz 1986): v, and |b − A v|/|b| (B,)."""
    least = torch.finfo(b.dtype).tiny
    scale = b.norm(dim=1).clamp_min(least)
    v, left = torch.zeros_like(b), b
    for _ in range(max_restarts):
        size = left.norm(dim=1)
        if bool((size <= tol * scale).all()):
            break
        basis, rows = [left / size.clamp_min(least)[:, None]], []
        for k in range(min(restart, b.shape[1])):
            w = operator(basis[k])
            Q = torch.stack(basis, 1)  # (B, k + 1, N)
            h = torch.zeros_like(Q[:, :, 0])
            for _ in range(2):  # a second pass restores the orthogonality that rounding costs the first
                more = (Q @ w[:, :, None])[:, :, 0]
                w = w - (Q.mT @ more[:, :, None])[:, :, 0]
                h = h + more
            length = w.norm(dim=1)
            rows.append(torch.cat([h, length[:, None]], 1))
            spent = length <= 10 * torch.finfo(b.dtype).eps * h.norm(dim=1)  # goes on with zeros
            basis.append(torch.where(spent[:, None], 0.0, w / length.clamp_min(least)[:, None]))
            if k % 6 == 5 or bool(spent.all()):
                weights, rest = _least_squares(rows, size)
                if bool((rest <= tol * scale).all()) or bool(spent.all()):
                    break
        weights, _ = _least_squares(rows, size)
        v = v + (torch.stack(basis[: len(rows)], 1).mT @ weights)[:, :, 0]
        left = b - operator(v)
    return v, left.norm(dim=1) / scale


def _least_squares(rows: list[Tensor], size: Tensor) -> tuple[Tensor, Tensor]:
    """The y (B, k, 1) that minimises |size e_1 − H y|, and that minimum (B,); H from its columns."""
    count = len(rows)
    H = torch.stack([torch.nn.functional.pad(row, (0, count + 1 - row.shape[1])) for row in rows], 2)
    first = torch.zeros_like(H[:, :, :1])
    first[:, 0, 0] = size
    y = torch.linalg.pinv(H, rtol=10 * torch.finfo(H.dtype).eps) @ first
    return y, (first - H @ y)[:, :, 0].norm(dim=1)


class FixedPoint(torch.autograd.Function):
    """Forward: x unchanged. Backward: (I − ∂T/∂x)ᵀ v = grad, to go on through T's last application."""

    @staticmethod
    def forward(ctx: Any, mapped: Tensor, at: Tensor, applied: Tensor, tol: float) -> Tensor:
        ctx.at, ctx.applied, ctx.tol = at, applied, tol
        return mapped.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        def operator(v: Tensor) -> Tensor:
            with torch.enable_grad():
                (back,) = torch.autograd.grad(ctx.applied, ctx.at, v, retain_graph=True, allow_unused=True)
            return v if back is None else v - back

        v, error = gmres(operator, grad, tol=ctx.tol)
        if bool((error > 10 * ctx.tol).any()):
            warnings.warn(
                f"the solve for an implicit gradient ended with a relative residual of {float(error.max()):.1e}, "
                f"expected {ctx.tol:.1e}: the gradient is off by about that much; is the state a strict minimum?",
                ConvergenceWarning,
                stacklevel=2,
            )
        return v, None, None, None


def through_fixed_point(map_: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """x (B, N), a fixed point of `map_`, with the gradient of the fixed point in all that `map_` depends on."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        applied = map_(at)  # for vector-Jacobian products in x
        mapped = map_(x.detach())  # carries the gradient on into parameters and inputs
    if not mapped.requires_grad:
        return x.detach()
    tol = 1e-12 if x.dtype == torch.float64 else 1e-6
    # the value handed on is x, not T(x): the two differ by the tolerance of the descent
    return FixedPoint.apply(mapped + (x.detach() - mapped.detach()), at, applied, tol)


__all__ = ["ConvergenceWarning", "gmres", "through_fixed_point"]
