"""The tree's linear system in torch, with gradients."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from ranvier.cables.stepping import eliminate


def tree_solve(diagonal: Tensor, axial: Tensor, current: Tensor, V: Tensor, parent: NDArray[Any]) -> Tensor:
    """δ of (D + G) δ = I − G V, with G the tree's axial conductances (Hines's elimination, both ways).

    diagonal, current, V: (n, cells) of one precision; axial: (n,) to the parents, whose first entry means nothing;
    parent: (n,) int64, below the own index. Returns (n, cells); gradients reach all four (first ones only): with λ the
    solution for δ's gradient, −λ δ for D, λ for I, −G λ for V, and −(λ_i − λ_p)(δ_i + V_i − δ_p − V_p) for g_i.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ranvier.cables import tree_solve
    >>> one = torch.ones(2, 1)
    >>> tree_solve(one, one[:, 0], torch.tensor([[3.0], [0.0]]), torch.zeros(2, 1), np.array([-1, 0])).tolist()
    [[2.0], [1.0]]
    """
    return _TreeSolve.apply(diagonal, axial, current, V, parent)


def _solved(D: Tensor, axial: Tensor, R: Tensor, V: Tensor, parent: NDArray[Any]) -> Tensor:
    D, R = (x.detach().clone(memory_format=torch.contiguous_format) for x in (D, R))
    eliminate(
        D.reshape(-1).numpy(), R.reshape(-1).numpy(), axial.detach().numpy(), parent,
        V.detach().contiguous().reshape(-1).numpy(), D.shape[1],
    )  # fmt: skip
    return R


class _TreeSolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, D: Tensor, axial: Tensor, R: Tensor, V: Tensor, parent: NDArray[Any]) -> Tensor:
        x = _solved(D, axial, R, V, parent)
        ctx.save_for_backward(D, axial, V, x)
        ctx.parent = parent
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        D, axial, V, x = ctx.saved_tensors
        parent = torch.from_numpy(ctx.parent[1:])
        adjoint = _solved(D, axial, grads[0], torch.zeros_like(D), ctx.parent)
        apart, total = adjoint[1:] - adjoint[parent], x + V
        by_axial = torch.zeros_like(axial)
        by_axial[1:] = -(apart * (total[1:] - total[parent])).sum(1)
        flow = axial[1:, None] * apart
        by_V = torch.zeros_like(V)
        by_V[1:] -= flow
        by_V.index_add_(0, parent, flow)
        return -adjoint * x, by_axial, adjoint, by_V, None


__all__ = ["tree_solve"]
