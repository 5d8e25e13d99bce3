"""ONNX's arithmetic, as operations of a builder: products, convolutions, reductions, norms, pooling, activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ranvier.verify import functions as f
from ranvier.verify.graphs._onnx_tensors import Attributes, axes_of
from ranvier.verify.graphs.builder import Builder, Operand, Value, scalar
from ranvier.verify.graphs.operations import affine_norm, padded, power

FUNCTIONS = {
    "Relu": f.LeakyRelu(), "Sigmoid": f.Logistic(), "Tanh": f.HyperbolicTangent(), "Sin": f.Sine(), "Cos": f.Sine(True),
    "Exp": f.Exp(), "Log": f.Logarithm(), "Sqrt": f.Sqrt(), "Reciprocal": f.Reciprocal(), "Abs": f.Abs(),
    "Erf": f.Erf(), "Softplus": f.Softplus(),
}  # fmt: skip


def _gemm(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    x = b.permute(args[0], [1, 0]) if a.get("transA") else args[0]
    y = b.permute(args[1], [1, 0]) if a.get("transB") else args[1]
    bias = args[2] if len(args) > 2 else None
    alpha, beta = a.get("alpha", 1.0), a.get("beta", 1.0)
    if bias is not None and beta != 1.0:
        bias = b.affine(bias, scalar(beta))
    if isinstance(bias, Value) or alpha != 1.0:
        product = b.affine(b.matmul(x, y), scalar(alpha))
        return product if bias is None else b.add(product, bias)
    return b.matmul(x, y, bias)


def _arithmetic(kind: str) -> Callable[..., Operand]:
    def rule(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
        x, y = args
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            plain: dict[str, Callable[..., Tensor]] = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul}
            if kind == "Div":
                return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")
            return plain[kind](x, y)
        x, y = (v.double() if isinstance(v, Tensor) else v for v in (x, y))
        match kind:
            case "Add":
                return b.add(x, y)
            case "Sub":
                return b.add(x, y, -1)
            case "Mul":
                return b.multiply(x, y)
        return b.divide(x, y)

    return rule


def _pow(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    if not isinstance(args[1], Tensor) or args[1].numel() != 1:
        b.refuse("raises to a power that varies; expected one constant exponent")
    return power(b, args[0], float(args[1]))


def _convolution(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    x, weight, bias = args[0], args[1], args[2] if len(args) > 2 else None
    if not isinstance(x, Value) or not isinstance(weight, Tensor):
        b.refuse("convolves with values; expected constant weights")
    space = weight.ndim - 2
    if a.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        b.refuse(f"pads by {a['auto_pad']!r:.20}; expected explicit pads")
    pads = a.get("pads", [0] * 2 * space)
    before, after = pads[:space], pads[space:]
    if before != after:
        flat = [w for k in reversed(range(space)) for w in (before[k], after[k])]
        x, before = padded(b, x, flat), [0] * space
    return b.convolution(
        x, weight, bias, a.get("strides", [1] * space), before, a.get("dilations", [1] * space), a.get("group", 1)
    )


def _reduce(mean: bool) -> Callable[..., Operand]:
    def rule(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
        axes = axes_of(b, args, a)
        axes = list(range(len(args[0].shape))) if axes is None else axes
        return b.sum(args[0], axes, bool(a.get("keepdims", 1)), mean=mean)

    return rule


def _batch_norm(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    if len(args) < 5 or any(args[k] is None for k in range(5)):
        b.refuse(f"has {len(args)} inputs; expected 5: x, scale, bias, mean, variance")
    x, weight, bias, mean, var = args[:5]
    return affine_norm(b, x, weight, bias, mean, var, a.get("epsilon", 1e-5))


def _layer_norm(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    x, first = args[0], a.get("axis", -1) % len(args[0].shape)
    y = b.multiply(b.normalise(x, range(first, len(x.shape)), a.get("epsilon", 1e-5)), args[1])
    return b.add(y, args[2]) if len(args) > 2 and args[2] is not None else y


def _softmax(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    axis = a.get("axis", -1 if opset >= 13 else 1)
    if opset < 13 and axis % len(args[0].shape) != len(args[0].shape) - 1:
        b.refuse("is a softmax over several axes, as before opset 13; expected one over the last")
    return b.softmax(args[0], axis)


def _clip(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    low, high = (a.get("min"), a.get("max")) if opset < 11 else (*args[1:3], *(None,) * (3 - len(args)))
    low, high = (None if v is None else float(v) for v in (low, high))
    if low is not None and high is not None:
        return b.unary(f.Clip(low, high), args[0])
    x = args[0] if low is None else b.maximum(args[0], scalar(low))
    return x if high is None else b.minimum(x, scalar(high))


def _max_pool(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    return b.greatest(_windows(b, args, a), -1)


def _avg_pool(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
    return b.sum(_windows(b, args, a), [-1], mean=True)


def _windows(b: Builder, args: Any, a: Attributes) -> Operand:
    kernel = a["kernel_shape"]
    strides = a.get("strides", [1] * len(kernel))
    if len(kernel) != 2 or any(a.get("pads", [])) or a.get("ceil_mode") or any(d != 1 for d in a.get("dilations", [])):
        b.refuse("pools with padding, dilation or in other than two dimensions; expected none of these")
    return b.combine([args[0]], lambda n: n.unfold(-2, kernel[0], strides[0]).unfold(-2, kernel[1], strides[1]).flatten(-2))  # noqa: E501


def _folded(pair: Callable[..., Any]) -> Callable[..., Operand]:
    def rule(b: Builder, args: Any, a: Attributes, opset: int) -> Operand:
        total = args[0]
        for x in args[1:]:
            total = pair(b, total, x)
        return total

    return rule


def _share(b: Builder, alpha: float) -> float:
    if not 0 < alpha <= 1:
        b.refuse(f"has alpha = {alpha}; expected one in (0, 1]")
    return alpha


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Gemm": _gemm, "MatMul": lambda b, args, a, o: b.matmul(args[0], args[1]), "Conv": _convolution,
    "Add": _arithmetic("Add"), "Sub": _arithmetic("Sub"), "Mul": _arithmetic("Mul"), "Div": _arithmetic("Div"),
    "Neg": lambda b, args, a, o: -args[0] if isinstance(args[0], Tensor) else b.affine(args[0], scalar(-1.0)),
    "Pow": _pow, "ReduceSum": _reduce(False), "ReduceMean": _reduce(True), "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm, "Softmax": _softmax, "Clip": _clip,
    "Sum": _folded(lambda b, x, y: b.add(x, y)), "Max": _folded(lambda b, x, y: b.maximum(x, y)),
    "Min": _folded(lambda b, x, y: b.minimum(x, y)), "MaxPool": _max_pool, "AveragePool": _avg_pool,
    "GlobalAveragePool": lambda b, args, a, o: b.sum(args[0], range(2, len(args[0].shape)), True, mean=True),
    "LeakyRelu": lambda b, args, a, o: b.unary(f.LeakyRelu(_share(b, a.get("alpha", 0.01))), args[0]),
    "Elu": lambda b, args, a, o: b.unary(f.Elu(_share(b, a.get("alpha", 1.0))), args[0]),
    "Gelu": lambda b, args, a, o: b.unary(f.GeluTanh() if a.get("approximate") == "tanh" else f.Gelu(), args[0]),
}  # fmt: skip

__all__ = ["ARITHMETIC", "FUNCTIONS"]
