"""Operations that several formats of networks have, on a builder: powers, norms by constants, padding, scalars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ranvier.verify import functions as f
from ranvier.verify.graphs.builder import Builder, Operand, Value, scalar


def operand(x: Any) -> Operand:
    return x if isinstance(x, (Value, Tensor)) else scalar(x)


def power(b: Builder, x: Operand, n: float) -> Operand:
    """xⁿ for a constant n: whole, a half or minus a half."""
    if n == 1:
        return x
    if n == int(n) and 2 <= n <= 16:
        return b.unary(f.Power(int(n)), x)
    if n == int(n) and -16 <= n <= -1:
        return b.unary(f.Reciprocal(), power(b, x, -n))
    if n == 0.5:
        return b.unary(f.Sqrt(), x)
    if n == -0.5:
        return b.unary(f.ReciprocalSqrt(), x)
    b.refuse(f"has the exponent {n}; expected a whole number of at most 16, 0.5 or -0.5")
    return x


def affine_norm(b: Builder, x: Operand, weight: Any, bias: Any, mean: Tensor, var: Tensor, epsilon: float) -> Operand:
    """A batch norm by its running statistics, channels on axis 1."""
    wide = (1, -1, *(1,) * (len(x.shape) - 2))
    scale = 1 / torch.sqrt(var.double() + epsilon)
    y = b.affine(b.add(x, mean.double().reshape(wide), -1), scale.reshape(wide))
    if weight is not None:
        y = b.affine(y, weight.double().reshape(wide))
    return y if bias is None else b.add(y, bias.double().reshape(wide))


def padded(b: Builder, x: Operand, pads: Sequence[int], value: Any = 0.0) -> Operand:
    """Padding by a constant, widths from the last axis backwards, as torch's."""
    fill = torch.tensor([float(value)], dtype=torch.float64)
    return b.take([x], lambda n: torch.constant_pad_nd(n, list(pads), n.numel()), fill)  # type: ignore[list-item]


__all__ = ["affine_norm", "operand", "padded", "power"]
