"""Torch's arithmetic, as operations of a builder: sums, products, convolutions, norms, pooling, activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ranvier.verify import functions as f
from ranvier.verify.graphs.builder import Builder, Operand, Value, scalar
from ranvier.verify.graphs.operations import affine_norm, operand, power

aten = torch.ops.aten
FUNCTIONS: dict[Any, f.Function] = {
    aten.relu.default: f.LeakyRelu(), aten.sigmoid.default: f.Logistic(), aten.tanh.default: f.HyperbolicTangent(),
    aten.sin.default: f.Sine(), aten.cos.default: f.Sine(True), aten.exp.default: f.Exp(),
    aten.log.default: f.Logarithm(), aten.sqrt.default: f.Sqrt(), aten.rsqrt.default: f.ReciprocalSqrt(),
    aten.reciprocal.default: f.Reciprocal(), aten.abs.default: f.Abs(), aten.erf.default: f.Erf(),
    aten.silu.default: f.Silu(), aten.relu6.default: f.Clip(0, 6),
}  # fmt: skip


def _scaled(b: Builder, x: Any, alpha: Any) -> Operand:
    return operand(x) if alpha == 1 else b.affine(operand(x), scalar(alpha))


def _add(b: Builder, x: Any, y: Any, alpha: Any = 1) -> Operand:
    return b.add(operand(x), _scaled(b, y, alpha))


def _sub(b: Builder, x: Any, y: Any, alpha: Any = 1) -> Operand:
    return b.add(operand(x), _scaled(b, y, alpha), -1)


def _mul(b: Builder, x: Any, y: Any) -> Operand:
    return b.multiply(operand(x), operand(y))


def _div(b: Builder, x: Any, y: Any) -> Operand:
    return b.divide(operand(x), operand(y))


def _pow(b: Builder, x: Operand, n: Any) -> Operand:
    return power(b, x, float(n))


def _addmm(b: Builder, bias: Operand, x: Operand, y: Operand, beta: Any = 1, alpha: Any = 1) -> Operand:
    product = b.matmul(x, y)
    if alpha != 1:
        product = b.affine(product, scalar(alpha))
    return b.add(product, _scaled(b, bias, beta))


def _sum(b: Builder, x: Operand, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Operand:
    return b.sum(x, _axes(x, dims), keepdim)


def _mean(b: Builder, x: Operand, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Operand:
    return b.sum(x, _axes(x, dims), keepdim, mean=True)


def _axes(x: Operand, dims: Any) -> list[int]:
    if dims is None or dims == []:
        return list(range(len(x.shape)))
    return [dims] if isinstance(dims, int) else list(dims)


def _convolution(
    b: Builder, x: Operand, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Operand:  # fmt: skip
    if transposed or not isinstance(x, Value) or not isinstance(weight, Tensor) or isinstance(bias, Value):
        b.refuse("is no convolution with constant weights; expected one that is not transposed")
    return b.convolution(x, weight, bias, stride, padding, dilation, groups)  # type: ignore[arg-type]


def _batch_norm(b: Builder, x: Operand, weight: Any, bias: Any, mean: Any, var: Any, *rest: Any) -> list[Operand]:
    return [affine_norm(b, x, weight, bias, mean, var, float(rest[-1]))]


def _layer_norm(b: Builder, x: Operand, shape: Any, weight: Any, bias: Any, eps: float) -> list[Operand]:
    y = b.normalise(x, list(range(len(x.shape) - len(shape), len(x.shape))), eps)
    if weight is not None:
        y = b.multiply(y, weight)
    return [y if bias is None else b.add(y, bias)]


def _group_norm(
    b: Builder, x: Operand, weight: Any, bias: Any, n: int, channels: int, space: int, groups: int, eps: float
) -> list[Operand]:
    y = b.normalise(b.reshape(x, (n, groups, channels // groups * space)), [2], eps)
    wide = (1, channels, *(1,) * (len(x.shape) - 2))
    y = b.reshape(y, x.shape)
    if weight is not None:
        y = b.multiply(y, weight.reshape(wide))
    return [y if bias is None else b.add(y, bias.reshape(wide))]


def _pooled(b: Builder, x: Operand, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Value:
    """(N, C, outputs..., window) of two-dimensional pooling; what padding adds is refused."""
    if ceil or any(p != 0 for p in padding):
        b.refuse("pools with padding or ceil_mode; expected neither")
    kernel = list(kernel) * (2 // len(kernel))
    stride = (list(stride) or kernel) * (2 // len(stride or kernel))
    dilation = list(dilation) * (2 // len(dilation))

    def windows(n: Tensor) -> Tensor:
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        cut = n.unfold(-2, reach[0], stride[0]).unfold(-2, reach[1], stride[1])
        return cut[..., :: dilation[0], :: dilation[1]].flatten(-2)

    return b.take([x], windows)  # type: ignore[list-item]


def _max_pool(b: Builder, x: Operand, kernel: Any, stride: Any = (), padding: Any = (0,), dilation: Any = (1,), ceil: bool = False) -> list[Any]:  # noqa: E501
    return [b.greatest(_pooled(b, x, kernel, stride, padding, dilation, ceil), -1)]


def _avg_pool(b: Builder, x: Operand, kernel: Any, stride: Any = (), padding: Any = (0,), ceil: bool = False, *rest: Any) -> Operand:  # noqa: E501
    return b.sum(_pooled(b, x, kernel, stride, padding, (1,), ceil), [-1], mean=True)


def _adaptive_avg(b: Builder, x: Operand, size: Any) -> Operand:
    if any(n % m for n, m in zip(x.shape[-2:], size, strict=True)):
        b.refuse(f"pools {tuple(x.shape[-2:])} to {tuple(size)}; expected sizes that divide")
    kernel = [n // m for n, m in zip(x.shape[-2:], size, strict=True)]
    return _avg_pool(b, x, kernel, kernel)


def _clamp(b: Builder, x: Operand, low: Any = None, high: Any = None) -> Operand:
    if low is not None and high is not None:
        return b.unary(f.Clip(float(low), float(high)), x)
    if low is not None:
        return b.maximum(x, operand(low))
    return b.minimum(x, operand(high)) if high is not None else x


def _gelu(b: Builder, x: Operand, approximate: str = "none") -> Operand:
    return b.unary(f.GeluTanh() if approximate == "tanh" else f.Gelu(), x)


def _softplus(b: Builder, x: Operand, beta: Any = 1, threshold: Any = 20) -> Operand:
    return b.unary(f.Softplus(float(beta)), x)


def _elu(b: Builder, x: Operand, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Operand:
    if scale != 1 or input_scale != 1 or not 0 < float(alpha) <= 1:
        b.refuse(f"is an ELU of alpha = {alpha}, scale = {scale}; expected alpha in (0, 1] and no scale")
    return b.unary(f.Elu(float(alpha)), x)


def _leaky(b: Builder, x: Operand, slope: Any = 0.01) -> Operand:
    if not 0 <= float(slope) <= 1:
        b.refuse(f"has the slope {slope}; expected one in [0, 1]")
    return b.unary(f.LeakyRelu(float(slope)), x)


def _at_least(b: Builder, x: Any, y: Any) -> Operand:
    return b.unary(f.Heaviside(), b.add(operand(x), operand(y), -1))


def _above(b: Builder, x: Any, y: Any) -> Operand:
    return b.unary(f.Heaviside(strict=True), b.add(operand(x), operand(y), -1))


def _linear(b: Builder, x: Operand, weight: Operand, bias: Any = None) -> Operand:
    y = b.matmul(x, b.permute(weight, [1, 0]))
    return y if bias is None else b.add(y, bias)


ARITHMETIC: dict[Any, Callable[..., Any]] = {
    aten.add.Tensor: _add, aten.add.Scalar: _add, aten.sub.Tensor: _sub, aten.sub.Scalar: _sub,
    aten.rsub.Scalar: lambda b, x, y, alpha=1: _sub(b, y, x, alpha), aten.mul.Tensor: _mul, aten.mul.Scalar: _mul,
    aten.div.Tensor: _div, aten.div.Scalar: _div, aten.neg.default: lambda b, x: b.affine(x, scalar(-1.0)),
    aten.pow.Tensor_Scalar: _pow, aten.square.default: lambda b, x: b.multiply(x, x),
    aten.mm.default: lambda b, x, y: b.matmul(x, y), aten.bmm.default: lambda b, x, y: b.matmul(x, y),
    aten.matmul.default: lambda b, x, y: b.matmul(x, y), aten.mv.default: lambda b, x, y: b.matmul(x, y),
    aten.dot.default: lambda b, x, y: b.matmul(x, y), aten.addmm.default: _addmm, aten.linear.default: _linear,
    aten.baddbmm.default: _addmm, aten.sum.dim_IntList: _sum, aten.sum.default: _sum, aten.mean.dim: _mean,
    aten.mean.default: _mean, aten.convolution.default: _convolution,
    aten._softmax.default: lambda b, x, dim, half: b.softmax(x, dim),
    aten._safe_softmax.default: lambda b, x, dim, dtype=None: b.softmax(x, dim),
    aten._log_softmax.default: lambda b, x, dim, half: b.unary(f.Logarithm(), b.softmax(x, dim)),
    aten._native_batch_norm_legit_no_training.default: _batch_norm, aten.native_layer_norm.default: _layer_norm,
    aten.native_group_norm.default: _group_norm, aten.max_pool2d_with_indices.default: _max_pool,
    aten.avg_pool2d.default: _avg_pool, aten._adaptive_avg_pool2d.default: _adaptive_avg, aten.clamp.default: _clamp,
    aten.hardtanh.default: _clamp, aten.clamp_min.default: _clamp,
    aten.maximum.default: lambda b, x, y: b.maximum(operand(x), operand(y)),
    aten.minimum.default: lambda b, x, y: b.minimum(operand(x), operand(y)), aten.gelu.default: _gelu,
    aten.softplus.default: _softplus, aten.elu.default: _elu, aten.leaky_relu.default: _leaky,
    aten.ge.Scalar: _at_least, aten.ge.Tensor: _at_least, aten.gt.Scalar: _above, aten.gt.Tensor: _above,
    aten.logical_not.default: lambda b, x: b.affine(x, scalar(-1.0), scalar(1.0)),
    aten.log1p.default: lambda b, x: b.unary(f.Logarithm(), b.add(x, scalar(1.0))),
    aten.expm1.default: lambda b, x: b.add(b.unary(f.Exp(), x), scalar(-1.0)),
}  # fmt: skip

__all__ = ["ARITHMETIC", "FUNCTIONS"]
