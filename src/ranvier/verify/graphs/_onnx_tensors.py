"""ONNX's operators that make constants and that reshape, join, select and pad, as operations of a builder."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ranvier.verify.graphs.builder import LARGEST, Builder, Operand, Value
from ranvier.verify.graphs.operations import padded

Attributes = dict[str, Any]


def whole(b: Builder, x: Any, what: str) -> list[int]:
    """A constant's whole numbers."""
    if not isinstance(x, Tensor) or x.numel() > 64:
        b.refuse(f"takes its {what} from values; expected constants")
    return [int(v) for v in x.reshape(-1).tolist()]


def _reshape(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    x, target = args[0], whole(b, args[1], "shape") if len(args) > 1 else a["shape"]
    sizes = [x.shape[k] if n == 0 and not a.get("allowzero") else n for k, n in enumerate(target)]
    total, rest = math.prod(x.shape), math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and rest:
        sizes[sizes.index(-1)] = total // rest
    if math.prod(sizes) != total or min(sizes, default=1) < 0:
        b.refuse(f"reshapes {tuple(x.shape)} to {target}; expected as many elements")
    return b.reshape(x, sizes)


def _flatten(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    axis = a.get("axis", 1) % (len(args[0].shape) + 1)
    shape = args[0].shape
    return b.reshape(args[0], (math.prod(shape[:axis]), math.prod(shape[axis:])))


def axes_of(b: Builder, args: Any, a: Attributes, at: int = 1) -> list[int] | None:
    if len(args) > at and args[at] is not None:
        return whole(b, args[at], "axes")
    return a.get("axes")


def _unsqueeze(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    axes = axes_of(b, args, a) or []
    rank = len(args[0].shape) + len(axes)
    axes = sorted(axis % rank for axis in axes)
    shape = list(args[0].shape)
    for axis in axes:
        shape.insert(axis, 1)
    return b.reshape(args[0], shape)


def _squeeze(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    axes, shape = axes_of(b, args, a), args[0].shape
    gone = {k for k, n in enumerate(shape) if n == 1} if axes is None else {k % len(shape) for k in axes}
    return b.reshape(args[0], [n for k, n in enumerate(shape) if k not in gone])


def _slice(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    x = args[0]
    if opset < 10:
        starts, ends, axes, steps = a["starts"], a["ends"], a.get("axes"), None
    else:
        parts = [None if p is None else whole(b, p, "slice") for p in (*args[1:], None, None, None)]
        starts, ends, axes, steps = parts[0], parts[1], parts[2], parts[3]  # type: ignore[assignment]
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    index: list[Any] = [torch.arange(n) for n in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step == 0:
            b.refuse("slices by steps of 0; expected others")
        index[axis] = index[axis][torch.tensor(range(x.shape[axis])[slice(start, end if end >= 0 or step > 0 else (None if end < -x.shape[axis] else end), step)], dtype=torch.int64)]  # noqa: E501
    return b.combine([x], lambda n: n[torch.meshgrid(*index, indexing="ij")] if index else n)


def _gather(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    x, where = args[0], args[1]
    if not isinstance(where, Tensor) or where.is_floating_point():
        b.refuse("gathers at values; expected constant whole numbers")
    axis = a.get("axis", 0) % len(x.shape)
    size = x.shape[axis]
    if where.numel() and (int(where.min()) < -size or int(where.max()) >= size):
        b.refuse(f"gathers element {int(where.max())} of {size}; expected a smaller index")
    flat = torch.where(where < 0, where + size, where).reshape(-1).long()
    shape = (*x.shape[:axis], *where.shape, *x.shape[axis + 1 :])
    return b.combine([x], lambda n: n.index_select(axis, flat).reshape(shape))


def _concat(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    return b.combine(args, lambda *n: torch.cat([t.reshape(t.shape) for t in n], a["axis"]))


def _split(b: Builder, args: Any, a: Attributes, opset: int) -> list[Operand]:
    x, axis = args[0], a.get("axis", 0)
    sizes = whole(b, args[1], "split") if len(args) > 1 else a.get("split")
    if sizes is None:
        n = a.get("num_outputs", 2)
        each = -(-x.shape[axis] // n)
        sizes = [min(each, x.shape[axis] - k * each) for k in range(n)]
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    return [b.combine([x], lambda n, s=s, z=z: n.narrow(axis, s, z)) for s, z in zip(starts, sizes, strict=True)]  # type: ignore[misc]


def _expand(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    target = whole(b, args[1], "shape")
    if min(target, default=1) < 1 or math.prod(target) > LARGEST:
        b.refuse(f"expands to {target}; expected sizes of at least 1 and at most {LARGEST} elements")
    return b.expand(args[0], torch.broadcast_shapes(tuple(args[0].shape), tuple(target)))


def _constant_of_shape(b: Builder, args: Any, a: Attributes, opset: int) -> Tensor:
    shape = whole(b, args[0], "shape")
    if min(shape, default=0) < 0 or math.prod(shape) > LARGEST:
        b.refuse(f"makes a constant of shape {shape}; expected at most {LARGEST} elements")
    value = a.get("value", torch.zeros(1, dtype=torch.float64))
    return value.reshape(-1)[0].expand(shape).clone()


def _range(b: Builder, args: Any, a: Attributes, opset: int) -> Tensor:
    start, stop, step = (float(v) for v in args)
    if step == 0 or abs((stop - start) / step) > LARGEST:
        b.refuse("makes too long a range; expected a shorter one")
    return torch.arange(start, stop, step, dtype=args[0].dtype)


def _where(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    if not isinstance(args[0], Tensor):
        b.refuse("selects by values; expected a constant condition")
    shape = torch.broadcast_shapes(*(tuple(v.shape) for v in args))
    mask = args[0].bool().expand(shape)
    if all(isinstance(v, Tensor) for v in args):
        return torch.where(mask, args[1], args[2])
    return b.combine([b.expand(v, shape) for v in args[1:]], lambda n, m: torch.where(mask, n, m))


def _compared(compare: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def rule(b: Builder, args: Any, a: Attributes, opset: int) -> Tensor:
        if not all(isinstance(v, Tensor) for v in args):
            b.refuse("compares values; expected constants")
        return compare(*args)

    return rule


def _cast(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    if isinstance(args[0], Value):
        if a.get("to") not in (1, 10, 11):
            b.refuse("casts values to whole numbers; expected floating-point ones")
        return args[0]
    return args[0].double() if a.get("to") in (1, 10, 11) else args[0].bool() if a.get("to") == 9 else args[0].long()


def _constant(b: Builder, args: Any, a: Attributes, opset: int) -> Tensor:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in a:
            value = a[name] if isinstance(a[name], Tensor) else torch.tensor(a[name])
            return value.double() if value.is_floating_point() else value
    b.refuse("is a constant of another kind; expected numbers")
    raise AssertionError


def _pad(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    widths = a["pads"] if opset < 11 else whole(b, args[1], "pads")
    value = a.get("value", 0.0) if opset < 11 else (float(args[2]) if len(args) > 2 and args[2] is not None else 0.0)
    rank = len(args[0].shape)
    if a.get("mode", "constant") != "constant" or len(widths) != 2 * rank or min(widths) < 0 or max(widths) > 4096:
        b.refuse("pads otherwise than by a constant on all axes; expected widths from 0 to 4096")
    return padded(b, args[0], [w for k in reversed(range(rank)) for w in (widths[k], widths[rank + k])], value)


TENSORS: dict[str, Callable[..., Any]] = {
    "Constant": _constant, "ConstantOfShape": _constant_of_shape, "Range": _range, "Cast": _cast,
    "Identity": lambda b, args, a, o: args[0], "Dropout": lambda b, args, a, o: args[0],
    "Shape": lambda b, args, a, o: torch.tensor(tuple(args[0].shape)), "Reshape": _reshape, "Flatten": _flatten,
    "Transpose": lambda b, args, a, o: b.permute(args[0], a.get("perm", list(range(len(args[0].shape)))[::-1])),
    "Unsqueeze": _unsqueeze, "Squeeze": _squeeze, "Slice": _slice, "Gather": _gather, "Concat": _concat,
    "Split": _split, "Expand": _expand, "Pad": _pad, "Where": _where, "Equal": _compared(torch.eq),
    "Not": _compared(torch.logical_not), "Greater": _compared(torch.gt), "Less": _compared(torch.lt),
}  # fmt: skip

__all__ = ["TENSORS", "Attributes", "axes_of"]
