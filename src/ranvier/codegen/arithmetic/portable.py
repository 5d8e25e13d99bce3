"""Elementary functions and small products of float64 tensors, with the same bits on every processor.

torch's own take other polynomials and other orders of summation with AVX-512 than with AVX2 or NEON. These are made of
operations that IEEE 754 fixes to the last bit (+, −, ×, /, comparison), so a network's coefficients, computed once a
run, are the same everywhere. Errors are a few ulp. Gradients flow.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# ln 2 and π/2 in parts whose products with whole numbers below 2^21 (2^20) are exact
_LN2 = (0.6931471803691238, 1.9082149292705877e-10)
_HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
_MAGIC = 6755399441055744.0  # added and taken away again, it rounds to whole numbers


def _polynomial(coefficients: list[float], x: Tensor) -> Tensor:
    """Highest power first."""
    total = torch.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        total = total * x + c
    return total


def _round(x: Tensor) -> Tensor:
    return (x + _MAGIC) - _MAGIC


def _power_of_two(n: Tensor) -> Tensor:
    """2ⁿ for whole n from −1022 to 1023."""
    return ((n.to(torch.int64) + 1023) << 52).view(torch.float64)


def exp(x: Tensor) -> Tensor:
    """eˣ; NaN, infinite and vanishing where torch's is."""
    inside = x.clamp(-745.2, 709.79)
    n = _round(inside.detach() * (1 / math.log(2)))
    r = (inside - n * _LN2[0]) - n * _LN2[1]
    p = _polynomial([1 / math.factorial(k) for k in range(14, -1, -1)], r)
    half = torch.floor(n * 0.5)  # in two factors: 2ⁿ alone may lie beyond the range
    value = (p * _power_of_two(half.nan_to_num())) * _power_of_two((n - half).nan_to_num())
    value = torch.where(x > 709.782712893384, math.inf, value)
    return torch.where(x < -745.14, 0.0, value)


def expm1(x: Tensor) -> Tensor:
    """eˣ − 1 without cancellation."""
    small = x.abs() < 0.5
    near = torch.where(small, x, 0.0)
    series = near * _polynomial([1 / math.factorial(k + 1) for k in range(14, -1, -1)], near)
    return torch.where(small, series, exp(torch.where(small, 1.0, x)) - 1.0)


def log(x: Tensor) -> Tensor:
    """ln x; −∞ at 0, NaN below."""
    positive = (x > 0) & (x < math.inf)
    safe = torch.where(positive, x, 1.0)
    subnormal = safe < 2.0**-1022
    scaled = torch.where(subnormal, safe * 2.0**54, safe)
    bits = scaled.detach().contiguous().view(torch.int64)
    e = (bits - 0x3FE6A09E667F3BCD) >> 52  # the mantissa is taken from [√½, √2)
    m = scaled * _power_of_two(-e.to(torch.float64))
    s = (m - 1.0) / (m + 1.0)
    e = e.to(torch.float64) - torch.where(subnormal, 54.0, 0.0)
    value = e * _LN2[0] + (e * _LN2[1] + s * _polynomial([2 / k for k in range(23, 0, -2)], s * s))
    value = torch.where(positive, value, torch.where(x == 0, -math.inf, math.nan))
    return torch.where(x == math.inf, math.inf, value)


def sqrt(x: Tensor) -> Tensor:
    """√x, correctly rounded: MKL's, which torch takes, is not."""
    with np.errstate(invalid="ignore"):
        value = torch.from_numpy(np.asarray(np.sqrt(np.asarray(x.detach()))))
    if not x.requires_grad:
        return value
    return value + (x - x.detach()) * (0.5 / torch.where(value > 0, value, math.inf))


def power(x: Any, y: Any) -> Tensor:
    """xʸ: whole exponents by products, others by logarithms."""
    x, y = (torch.as_tensor(v, dtype=torch.float64) for v in (x, y))
    if y.ndim == 0 and float(y.detach()).is_integer() and abs(float(y.detach())) <= 64:
        count, total = abs(int(y.detach())), torch.ones_like(x)
        for _ in range(count):
            total = total * x
        return total if float(y.detach()) >= 0 else 1.0 / total
    value = exp(y * log(torch.where(x == 0, 1.0, x)))
    at_zero = torch.where(y > 0, 0.0, torch.where(y == 0, 1.0, math.inf))
    return torch.where(x == 0, at_zero, value)


def _quadrant(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    n = _round(x.detach() * (2 / math.pi))
    r = ((x - n * _HALF_PI[0]) - n * _HALF_PI[1]) - n * _HALF_PI[2]
    q = r * r
    sine = r * _polynomial([(-1) ** k / math.factorial(2 * k + 1) for k in range(9, -1, -1)], q)
    cosine = _polynomial([(-1) ** k / math.factorial(2 * k) for k in range(9, -1, -1)], q)
    return n.nan_to_num().to(torch.int64) & 3, sine, cosine


def sin(x: Tensor) -> Tensor:
    """sin x for |x| < 10⁶."""
    quadrant, sine, cosine = _quadrant(x)
    value = torch.where(quadrant % 2 == 1, cosine, sine)
    return torch.where(quadrant >= 2, -value, value)


def cos(x: Tensor) -> Tensor:
    """cos x for |x| < 10⁶."""
    quadrant, sine, cosine = _quadrant(x)
    value = torch.where(quadrant % 2 == 1, sine, cosine)
    return torch.where((quadrant == 1) | (quadrant == 2), -value, value)


def sinh(x: Tensor) -> Tensor:
    """sinh x."""
    t = expm1(x.abs())
    value = torch.where(t < 1e300, (t + t / (t + 1.0)) * 0.5, math.inf)
    return torch.where(x < 0, -value, value)


def cosh(x: Tensor) -> Tensor:
    """cosh x."""
    return (exp(x) + exp(-x)) * 0.5


def tanh(x: Tensor) -> Tensor:
    """tanh x."""
    t = expm1((2.0 * x.abs()).clamp(max=700.0))
    value = t / (t + 2.0)
    return torch.where(x < 0, -value, value)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a b of matrices (..., n, k), (..., k, m), for small k: summed in order."""
    total = a[..., :, :1] * b[..., :1, :]
    for k in range(1, a.shape[-1]):
        total = total + a[..., :, k : k + 1] * b[..., k : k + 1, :]
    return total


def matrix_exp(a: Tensor) -> Tensor:
    """exp of matrices (..., n, n): Taylor's series after division by a power of two, then squares."""
    n = a.shape[-1]
    norm = torch.zeros(a.shape[:-2], dtype=a.dtype)
    for i in range(n):
        row = torch.zeros_like(norm)
        for j in range(n):
            row = row + a.detach()[..., i, j].abs()
        norm = torch.maximum(norm, row)
    largest = float(norm.max()) if norm.numel() else 0.0
    squares = max(0, math.frexp(largest)[1] + 1) if math.isfinite(largest) else 0  # below 1/2 after division
    scaled = a * 2.0**-squares
    identity = torch.eye(n, dtype=a.dtype).expand_as(a)
    total = identity
    for k in range(16, 0, -1):
        total = identity + matmul(scaled, total) / k
    for _ in range(squares):
        total = matmul(total, total)
    return total


_FUNCTIONS = {
    torch.exp: exp, torch.expm1: expm1, torch.log: log, torch.sqrt: sqrt, torch.pow: power, torch.sin: sin,
    torch.cos: cos, torch.sinh: sinh, torch.cosh: cosh, torch.tanh: tanh, torch.matmul: matmul,
    torch.matrix_exp: matrix_exp, torch.linalg.matrix_exp: matrix_exp, torch.Tensor.matmul: matmul,
    torch.Tensor.__matmul__: matmul, torch.Tensor.pow: power, torch.Tensor.__pow__: power, torch.Tensor.exp: exp,
    torch.Tensor.expm1: expm1, torch.Tensor.log: log, torch.Tensor.sqrt: sqrt,
}  # fmt: skip


class Portable(TorchFunctionMode):
    """Within it, torch's functions of float64 tensors are those of this module."""

    def __torch_function__(self, function: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        """torch's protocol of overriding."""
        ours = _FUNCTIONS.get(function)
        if ours is not None and not kwargs and all(_is_double(x) for x in args if isinstance(x, Tensor)):
            return ours(*args)
        return function(*args, **(kwargs or {}))


def _is_double(x: Tensor) -> bool:
    return x.dtype == torch.float64 and x.device.type == "cpu"
