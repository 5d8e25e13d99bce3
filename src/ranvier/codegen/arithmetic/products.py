"""Dense float32 products on the CPU by oneDNN, which torch carries but leaves aside: its own `matmul` takes MKL.

MKL keeps to AVX2 on AMD's processors, where oneDNN uses AVX-512. Small products, whose call would cost more than
they do, other precisions and other devices stay with torch; so does everything where
`torch.backends.mkldnn.enabled` is False.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST = 1 << 21  # multiplications below which a call of oneDNN costs more than it saves


def product(a: Tensor, b: Tensor, start: Tensor | None = None) -> Tensor:
    """a (M, K) @ b (K, N) + start, (M, N) or (N,); new memory, no graph."""
    if not _quicker(a, b):
        return a @ b if start is None else torch.addmm(start, a, b)
    by_onednn = torch.ops.mkldnn._linear_pointwise
    if start is None or start.ndim == 1:
        return by_onednn(a, b.T, start, "none", [], "")
    return by_onednn.binary(a, start, b.T, None, "add")


def linear(x: Tensor, weight: Tensor, start: Tensor | None = None) -> Tensor:
    """x (..., K) @ weight (N, K)ᵀ + start: a bias (N,), or (M, N) for x (M, K). Gradients of any order."""
    if x.ndim > 2:
        return linear(x.flatten(0, -2), weight, start).unflatten(0, x.shape[:-1])
    if x.ndim == 2 and _quicker(x, weight.T) and not torch._C._are_functorch_transforms_active():
        return _Linear.apply(x, weight, start)
    return torch.addmm(start, x, weight.T) if start is not None and start.ndim == 2 else F.linear(x, weight, start)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a (M, K) @ b (K, N), as `linear`."""
    return linear(a, b.T)


def _quicker(a: Tensor, b: Tensor) -> bool:
    return (
        a.device.type == "cpu"
        and a.dtype == b.dtype == torch.float32
        and a.shape[1] == b.shape[0]  # torch's words for what does not fit are the clearer ones
        and a.numel() * b.shape[1] >= _LEAST
        and bool(torch.backends.mkldnn.enabled)
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, start: Tensor | None) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x, weight)
        ctx.start = 0 if start is None else start.ndim
        return product(x, weight.T, start)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        g_start = None
        if ctx.start and ctx.needs_input_grad[2]:
            g_start = g.sum(0) if ctx.start == 1 else g
        # by `linear` itself, so that gradients have gradients
        return (
            linear(g, weight.T) if ctx.needs_input_grad[0] else None,
            linear(g.T, x.T) if ctx.needs_input_grad[1] else None,
            g_start,
        )


__all__ = ["linear", "matmul", "product"]
