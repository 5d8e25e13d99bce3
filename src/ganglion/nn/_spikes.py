"""Products with spikes: where most inputs are zero, add up the weights' rows of the others.

A layer's matrix products cost more than all its neurons; at a spike in ten steps this is several times quicker
than a dense product. Sums run over inputs in their order, so both ways through time share their bits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numba import types
from torch import Tensor
from torch.autograd.function import once_differentiable

from ganglion import _products
from ganglion.engines._machine import address
from ganglion.nn._buffers import empty
from ganglion.nn._spike_loops import add_outer, add_rows, count_active, list_active
from ganglion.nn._threads import in_threads

#: the dense product is quicker above this share of inputs that are not zero
_DENSEST = 0.2
_long = types.int64


@cache
def _compiled(function: Callable, integers: int, dtype: torch.dtype) -> Any:
    number, c_number = (
        (types.float64, ctypes.c_double) if dtype == torch.float64 else (types.float32, ctypes.c_float)
    )
    at = address(function, types.void(*[_long] * integers, number))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * integers, c_number)(at)


@dataclass(frozen=True)
class Active:
    """Where a matrix is not zero. table: the number of rows, then where each row's indices begin, and their end."""

    table: np.ndarray
    index: np.ndarray

    @property
    def starts(self) -> int:
        return self.table.ctypes.data + 8


def find_active(z: Tensor) -> Active | None:
    """Of a matrix with few inputs that are not zero; None for any other."""
    if z.device.type != "cpu" or z.dtype not in (torch.float32, torch.float64) or not z.is_contiguous():
        return None
    rows, inputs = z.shape
    table = np.empty(rows + 2, np.int64)
    table[0] = rows
    start = table.ctypes.data + 8
    _compiled(count_active, 4, z.dtype)(z.data_ptr(), rows, inputs, start, 0)
    if table[-1] > _DENSEST * rows * inputs:
        return None
    index = np.empty(table[-1] + 1, np.int32)
    _compiled(list_active, 5, z.dtype)(z.data_ptr(), rows, inputs, start, index.ctypes.data, 0)
    return Active(table, index)


def add_product(out: Tensor, z: Tensor, active: Active, weight: Tensor) -> None:
    """out (R, N) += z (R, K) @ weight (K, N); all contiguous."""
    rows, inputs = z.shape
    function, outputs = _compiled(add_rows, 9, z.dtype), weight.shape[1]

    def some(lo: int, hi: int) -> None:
        function(z.data_ptr(), weight.data_ptr(), active.index.ctypes.data, active.starts, out.data_ptr(), inputs,
                 outputs, lo, hi, 0)  # fmt: skip

    in_threads(some, rows, int(active.table[-1]) * outputs)


def outer(z: Tensor, g: Tensor, active: Active) -> Tensor:
    """g (R, N)ᵀ z (R, K): a weight's gradient (N, K)."""
    inputs, outputs = z.shape[1], g.shape[1]
    total = torch.zeros(inputs, outputs, dtype=z.dtype)
    function = _compiled(add_outer, 9, z.dtype)

    def some(lo: int, hi: int) -> None:
        function(z.data_ptr(), g.data_ptr(), active.index.ctypes.data, active.starts, total.data_ptr(), inputs,
                 outputs, lo, hi, 0)  # fmt: skip

    in_threads(some, outputs, int(active.table[-1]) * outputs)
    return total.T


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, z: Tensor, active: Active, weight: Tensor, start: Tensor | None
    ) -> Tensor:
        out = empty((len(z), len(weight)), z.dtype)
        if start is None:
            out.zero_()
        else:
            out.copy_(start.expand_as(out))
        add_product(out, z, active, weight.T.contiguous())
        ctx.save_for_backward(z, weight)
        ctx.active, ctx.start = active, None if start is None else start.ndim
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        z, weight = ctx.saved_tensors
        g_z = None
        if ctx.needs_input_grad[0]:
            g_z = _products.product(g, weight)
        g_weight = outer(z, g.contiguous(), ctx.active) if ctx.needs_input_grad[2] else None
        g_start = None
        if ctx.start is not None and ctx.needs_input_grad[3]:
            g_start = g.sum(0) if ctx.start == 1 else g
        return g_z, None, g_weight, g_start


def linear(x: Tensor, weight: Tensor, start: Tensor | None) -> Tensor:
    """x (..., K) @ weight (N, K)ᵀ + start; start is a bias (N,), or (R, N) for x (R, K)."""
    flat = x.flatten(0, -2)
    active = find_active(flat) if weight.dtype == x.dtype else None
    if active is not None:
        return _Product.apply(flat, active, weight, start).unflatten(0, x.shape[:-1])
    return _products.linear(x, weight, start)
