"""Products with spikes: where most inputs are zero, add up the weights' rows of the others.

A layer's matrix products cost more than all its neurons; at a spike in ten steps this is about twice as quick as
the dense product of `_products`. Sums run over inputs in their order, so both ways through time share their bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranvier.codegen.arithmetic import products
from ranvier.codegen.arithmetic.tiles import LANES, PACK
from ranvier.codegen.buffers import empty
from ranvier.codegen.calls import addressable, call, transformed
from ranvier.codegen.threads import run_shares, shares
from ranvier.nn.spiking._spike_loops import add_outer, add_rows, count_active, list_active

#: the dense product is quicker above this share of inputs that are not zero
_DENSEST = 0.25
#: multiplications of a dense product that takes no longer than to look where its inputs are zero
SMALL = 1 << 16


@dataclass(frozen=True)
class Active:
    """Where a matrix is not zero, and what it is there. table: the number of rows, then where each row's indices
    begin, and their end."""

    table: np.ndarray
    index: Tensor
    values: Tensor

    @property
    def places(self) -> tuple[int, int, int]:
        """As the loops take it."""
        return self.index.data_ptr(), self.values.data_ptr(), self.table.ctypes.data + 8


def find_active(z: Tensor, densest: float = _DENSEST) -> Active | None:
    """Of a matrix with few inputs that are not zero, at most the share `densest`; None for any other."""
    if z.device.type != "cpu" or z.dtype not in (torch.float32, torch.float64) or not z.is_contiguous():
        return None
    rows, inputs = z.shape
    table = np.empty(rows + 2, np.int64)
    table[0] = rows
    start = table.ctypes.data + 8
    call(count_active, "iiii", z.dtype)(z.data_ptr(), rows, inputs, start)
    if table[-1] > densest * rows * inputs:
        return None
    places = int(table[-1]) + PACK
    places += -places % (1 << max(places.bit_length() - 4, 0))  # few sizes, so that memory used before fits
    index, values = empty((places,), torch.int32), empty((places,), z.dtype)
    call(list_active, "iiiii", z.dtype)(z.data_ptr(), rows, inputs, index.data_ptr(), values.data_ptr())
    return Active(table, index, values)


def tiled(weight: Tensor) -> Tensor:
    """weight (N, K) as its tiles (⌈N/LANES⌉, K, LANES), filled up with zeros: what `add_product` takes."""
    outputs, inputs = weight.shape
    count = -(-outputs // LANES)
    if outputs % LANES:
        weight = torch.cat([weight, weight.new_zeros(count * LANES - outputs, inputs)])
    return weight.reshape(count, LANES, inputs).transpose(1, 2).contiguous()


def add_product(out: Tensor, z: Tensor, active: Active, tiles: Tensor) -> None:
    """out (R, N) += z (R, K) @ weight (N, K)ᵀ, given `tiled`; all contiguous."""
    (rows, inputs), outputs = z.shape, out.shape[1]
    parts = shares(rows, int(active.table[-1]) * outputs)
    spare = z.new_empty(len(parts), LANES)
    addresses = (tiles.data_ptr(), *active.places, out.data_ptr(), inputs, outputs)
    run_shares(add_rows, z.dtype, [
        (*addresses, *part, own.data_ptr()) for part, own in zip(parts, spare, strict=True)
    ])


def outer(z: Tensor, g: Tensor, active: Active) -> Tensor:
    """g (R, N)ᵀ z (R, K): a weight's gradient (N, K)."""
    inputs, outputs = z.shape[1], g.shape[1]
    count = -(-outputs // LANES)
    tiles = z.new_zeros(count, inputs, LANES)
    parts = shares(count, int(active.table[-1]) * outputs)
    spare = z.new_zeros(len(parts), LANES)
    addresses = (g.data_ptr(), *active.places, tiles.data_ptr(), inputs, outputs)
    run_shares(add_outer, z.dtype, [
        (*addresses, *part, own.data_ptr()) for part, own in zip(parts, spare, strict=True)
    ])
    return tiles.transpose(1, 2).reshape(count * LANES, inputs)[:outputs]


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
        add_product(out, z, active, tiled(weight))
        ctx.save_for_backward(z, weight)
        ctx.active, ctx.start = active, None if start is None else start.ndim
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        z, weight = ctx.saved_tensors
        graph = torch.is_grad_enabled() or not addressable(g)  # gradients of gradients, or several at once
        g_z = g_weight = None
        if ctx.needs_input_grad[0]:
            g_z = products.matmul(g, weight) if graph else products.product(g, weight)
        if ctx.needs_input_grad[2]:
            g_weight = products.matmul(g.T, z) if graph else outer(z, g.contiguous(), ctx.active)
        g_start = None
        if ctx.start is not None and ctx.needs_input_grad[3]:
            g_start = g.sum(0) if ctx.start == 1 else g
        return g_z, None, g_weight, g_start


def linear(x: Tensor, weight: Tensor, start: Tensor | None, densest: float = _DENSEST) -> Tensor:
    """x (..., K) @ weight (N, K)ᵀ + start; start is a bias (N,), or (R, N) for x (R, K)."""
    if transformed():
        if start is not None and start.ndim == 2:
            return torch.addmm(start, x, weight.T)
        return torch.nn.functional.linear(x, weight, start)
    if densest == _DENSEST and x.numel() * len(weight) < SMALL:
        return products.linear(x, weight, start)
    flat = x.flatten(0, -2)
    active = find_active(flat, densest) if weight.dtype == x.dtype and addressable(flat, weight) else None
    if active is not None:
        return _Product.apply(flat, active, weight, start).unflatten(0, x.shape[:-1])
    return products.linear(x, weight, start)
