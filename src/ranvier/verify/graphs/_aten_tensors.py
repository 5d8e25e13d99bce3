"""Torch's operations that join, select, index and scatter elements, as operations of a builder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ranvier.verify.graphs.builder import Builder, Operand, Value, scalar
from ranvier.verify.graphs.operations import operand, padded

aten = torch.ops.aten


def _cat(b: Builder, parts: Sequence[Operand], dim: int = 0) -> Operand:
    return b.combine([p for p in parts if math.prod(p.shape) or len(p.shape) > 1], lambda *n: torch.cat(n, dim))


def _stack(b: Builder, parts: Sequence[Operand], dim: int = 0) -> Operand:
    return b.combine(parts, lambda *n: torch.stack(n, dim))


def _equals(b: Builder, x: Any, y: Any) -> Operand:
    if isinstance(y, (int, float)) and math.isinf(y) and isinstance(x, Value):
        return torch.zeros(x.shape, dtype=torch.bool)  # a real number is never infinite
    b.refuse("compares for equality; expected no such comparison of values")
    return x


def _where(b: Builder, condition: Any, x: Any, y: Any) -> Operand:
    if isinstance(condition, Value):  # a 0 or 1 of a comparison
        x, y = operand(x), operand(y)
        return b.add(y, b.multiply(condition, b.add(x, y, -1)))
    parts = [b.expand(operand(p), _shape(condition, x, y)) for p in (x, y)]
    mask = condition.expand(parts[0].shape)
    return b.combine(parts, lambda n, m: torch.where(mask, n, m))


def _shape(*operands: Any) -> tuple[int, ...]:
    return tuple(torch.broadcast_shapes(*(tuple(operand(o).shape) if not isinstance(o, (Tensor, Value)) else tuple(o.shape) for o in operands)))  # noqa: E501


def _masked_fill(b: Builder, x: Operand, mask: Any, value: Any) -> Operand:
    return _where(b, mask, scalar(value), x)


def _index(b: Builder, x: Operand, indices: Sequence[Any]) -> Operand:
    if any(isinstance(i, Value) for i in indices):
        b.refuse("indexes by values; expected constant indices")
    return b.take([x], lambda n: aten.index.Tensor(n, list(indices)))  # type: ignore[list-item]


def _gather(b: Builder, x: Operand, dim: int, index: Any, **_: Any) -> Operand:
    return b.take([x], lambda n: n.gather(dim, index))  # type: ignore[list-item]


def _embedding_bag(b: Builder, weight: Operand, indices: Tensor, offsets: Tensor, *rest: Any) -> list[Operand]:
    """Sums of rows, weighted by constants: sparse products."""
    scale, mode, _sparse, samples = rest[0], rest[1], rest[2], rest[3]
    if mode != 0 or isinstance(samples, Value) or scale:
        b.refuse("is an embedding bag with weights that are not constant; expected constant ones")
    rows = weight.shape[0]
    matrix = torch.zeros(len(offsets), rows, dtype=torch.float64)
    bag = torch.searchsorted(offsets, torch.arange(len(indices)), right=True) - 1
    ones = torch.ones(len(indices), dtype=torch.float64) if samples is None else samples
    matrix.index_put_((bag, indices), ones, accumulate=True)
    return [b.matmul(matrix, weight)]


def _index_add(b: Builder, x: Operand, dim: int, index: Tensor, source: Operand, alpha: Any = 1) -> Operand:
    matrix = torch.zeros(x.shape[dim], len(index), dtype=torch.float64)
    matrix[index, torch.arange(len(index))] = float(alpha)
    last = list(range(len(x.shape)))
    last.append(last.pop(dim))
    added = b.matmul(b.permute(source, last), matrix.T)
    back = sorted(range(len(last)), key=last.__getitem__)
    return b.add(x, b.permute(added, back))


def _index_put(b: Builder, x: Operand, indices: Sequence[Any], values: Operand, accumulate: bool = False) -> Operand:
    if any(isinstance(i, Value) for i in indices):
        b.refuse("indexes by values; expected constant indices")
    size = math.prod(x.shape)
    where = aten.index.Tensor(torch.arange(size).reshape(tuple(x.shape)), list(indices))
    flat = where.reshape(-1)
    spread = b.reshape(b.expand(values, tuple(where.shape)), (1, len(flat)))
    if accumulate:
        return _added_at(b, x, flat, spread)

    def put(old: Tensor, new: Tensor) -> Tensor:
        return old.reshape(-1).index_copy(0, flat, new.reshape(-1)).reshape(old.shape)

    return b.combine([x, spread], put)


def _added_at(b: Builder, x: Operand, flat: Tensor, values: Operand) -> Operand:
    """x with values (1, n) added at its elements `flat` (n,), which may repeat."""
    matrix = torch.zeros(len(flat), math.prod(x.shape), dtype=torch.float64)
    matrix[torch.arange(len(flat)), flat] = 1.0
    return b.add(x, b.reshape(b.matmul(values, matrix), x.shape))


def _scatter_add(b: Builder, x: Operand, dim: int, index: Any, source: Operand) -> Operand:
    if not isinstance(index, Tensor) or tuple(index.shape) != tuple(source.shape):
        b.refuse("scatters to indices that vary, or fewer than its source; expected constant ones of its shape")
    where = torch.arange(math.prod(x.shape)).reshape(tuple(x.shape)).gather(dim, index).reshape(-1)
    return _added_at(b, x, where, b.reshape(source, (1, len(where))))


TENSORS: dict[Any, Callable[..., Any]] = {
    aten.cat.default: _cat, aten.stack.default: _stack, aten.eq.Scalar: _equals, aten.where.self: _where,
    aten.masked_fill.Scalar: _masked_fill, aten.index.Tensor: _index, aten.gather.default: _gather,
    aten._embedding_bag.default: _embedding_bag, aten._embedding_bag_forward_only.default: _embedding_bag,
    aten.index_add.default: _index_add, aten.index_put.default: _index_put, aten.scatter_add.default: _scatter_add,
    aten.full_like.default: lambda b, x, value, **_: torch.full(x.shape, float(value), dtype=torch.float64),
    aten.zeros_like.default: lambda b, x, **_: torch.zeros(x.shape, dtype=torch.float64),
    aten.ones_like.default: lambda b, x, **_: torch.ones(x.shape, dtype=torch.float64),
    aten.new_zeros.default: lambda b, x, size, **_: torch.zeros(*size, dtype=torch.float64),
    aten.constant_pad_nd.default: lambda b, x, pads, value=0.0: padded(b, x, pads, value),
}  # fmt: skip

__all__ = ["TENSORS"]
