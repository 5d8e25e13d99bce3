"""Kernels of a network, and how well two of them are aligned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def tangent_kernel(y: Tensor, parameters: Sequence[Tensor], *, chunk: int = 256) -> Tensor:
    """The neural tangent kernel K = J Jᵀ, J = ∂y/∂parameters, of outputs y of any shape, flattened: (M, M)
    (Jacot et al. 2018).

        >>> from ranvier.learners.regimes import tangent_kernel
        >>> w = torch.tensor([[1.0, 2.0]], requires_grad=True)
        >>> tangent_kernel(torch.eye(2) @ w.T, [w])
        tensor([[1., 0.],
                [0., 1.]])

    y : computed with gradients, by operations that `torch.vmap` takes. chunk : outputs whose gradients are in memory at
    once, besides all of J. Raises ValueError where y depends on none of the parameters.
    """
    flat, learning = y.flatten(), list(parameters)
    if not flat.requires_grad or not learning:
        raise ValueError("y does not depend on parameters; expected outputs computed with gradients enabled")
    rows: list[Tensor] = []
    eye = torch.eye(len(flat), dtype=flat.dtype, device=flat.device)
    for start in range(0, len(flat), chunk):
        part = torch.autograd.grad(
            flat, learning, eye[start : start + chunk], retain_graph=True, is_grads_batched=True, allow_unused=True
        )
        slopes = [g.flatten(1) for g in part if g is not None]
        if not slopes:
            raise ValueError("y depends on none of the parameters; expected those of the model that gave it")
        rows.append(torch.cat(slopes, 1))
    jacobian = torch.cat(rows)
    return jacobian @ jacobian.T


def representation_kernel(activity: Tensor) -> Tensor:
    """K = H Hᵀ of activity H (examples, neurons).

    >>> rv.learners.regimes.representation_kernel(torch.tensor([[1.0, 2.0], [0.0, 1.0]])).tolist()
    [[5.0, 2.0], [2.0, 1.0]]
    """
    if activity.ndim != 2:
        raise ValueError(f"activity has shape {tuple(activity.shape)}; expected (examples, neurons)")
    return activity @ activity.T


def alignment(kernel: Tensor, other: Tensor) -> float:
    """tr(K K₀)/(‖K‖‖K₀‖) of two kernels (M, M): 1 where they are equal up to a factor, and then learning was lazy
    (Liu et al. 2024, eq. 3).

    Raises ValueError for kernels of different shape, or 0.

    >>> kernel = torch.eye(2)
    >>> one = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    >>> [round(rv.learners.regimes.alignment(kernel, other), 3) for other in (3 * kernel, one)]
    [1.0, 0.707]
    """
    if kernel.shape != other.shape or kernel.ndim != 2:
        raise ValueError(
            f"kernels have shapes {tuple(kernel.shape)} and {tuple(other.shape)}; expected two of shape (M, M)"
        )
    norms = kernel.double().norm() * other.double().norm()
    if not 0 < float(norms) < float("inf"):
        raise ValueError(f"kernels have norms of product {float(norms)}; expected finite ones that are not 0")
    return float((kernel.double() * other.double()).sum() / norms)


__all__ = ["alignment", "representation_kernel", "tangent_kernel"]
