"""Torch modules as graphs: `torch.export` writes the operations down, each is translated or refused by name."""

from __future__ import annotations

import copy
import math
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.verify import functions as f
from ranvier.verify.builder import Builder, Operand, Value, scalar
from ranvier.verify.graph import ComputationGraph

aten = torch.ops.aten
#: what moves elements and computes nothing
_STRUCTURE = {
    aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.permute.default, aten.transpose.int,
    aten.t.default, aten.squeeze.dims, aten.squeeze.dim, aten.squeeze.default, aten.unsqueeze.default,
    aten.expand.default, aten.slice.Tensor, aten.select.int, aten.flip.default, aten.repeat.default,
    aten.split_with_sizes.default, aten.split.Tensor, aten.chunk.default, aten.unbind.int, aten.index_select.default,
    aten.diagonal.default, aten.as_strided.default, aten.unfold.default, aten.roll.default, aten.narrow.default,
}  # fmt: skip
_SAME = {
    aten.alias.default, aten.clone.default, aten.detach.default, aten.lift_fresh_copy.default, aten.contiguous.default,
    aten.dropout.default,
}  # fmt: skip
_FUNCTIONS: dict[Any, f.Function] = {
    aten.relu.default: f.LeakyRelu(), aten.sigmoid.default: f.Logistic(), aten.tanh.default: f.HyperbolicTangent(),
    aten.sin.default: f.Sine(), aten.cos.default: f.Sine(True), aten.exp.default: f.Exp(),
    aten.log.default: f.Logarithm(), aten.sqrt.default: f.Sqrt(), aten.rsqrt.default: f.ReciprocalSqrt(),
    aten.reciprocal.default: f.Reciprocal(), aten.abs.default: f.Abs(), aten.erf.default: f.Erf(),
    aten.silu.default: f.Silu(), aten.relu6.default: f.Clip(0, 6),
}  # fmt: skip


def from_module(
    module: nn.Module, example: Tensor, *, output: Callable[[Any], Tensor] | None = None
) -> ComputationGraph:
    """The graph of a module at inputs shaped as `example`, in float64; layers over time are unrolled.

    example: an input, with its batch (of 1, as a rule): the graph's input is all of it, (*example.shape). output: picks
    the tensor from what the module returns; by default itself, or a tuple's first. The module is copied; training
    layers such as dropout are as in `eval()`.

    Raises ValueError for an operation that has no translation, naming the node, and for data-dependent control flow.

    >>> layer = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh())
    >>> from_module(layer, torch.zeros(1, 2)).output_shape
    (1, 3)
    """
    if not isinstance(example, Tensor) or not example.is_floating_point():
        raise ValueError(f"example is {type(example).__name__}; expected a tensor of floating-point numbers")
    plain = _Alone(copy.deepcopy(module).eval(), output or _first).double().cpu()
    for part in plain.modules():
        if isinstance(getattr(part, "fused", None), bool):
            part.fused = False  # type: ignore[assignment]
    x = example.detach().to("cpu", torch.float64)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(plain, (x,)).run_decompositions()
        except Exception as error:
            raise ValueError(
                f"{type(module).__name__} cannot be traced ({str(error).splitlines()[0][:200]}); expected a module "
                "without control flow that depends on values"
            ) from error
    return _ProgramTranslation(program, type(module).__name__).graph()


def _first(value: Any) -> Tensor:
    return value[0] if isinstance(value, (tuple, list)) else value


class _Alone(nn.Module):
    def __init__(self, module: nn.Module, output: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.module, self.output = module, output

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.module(x))


class _ProgramTranslation:
    """One exported program, node by node."""

    def __init__(self, program: torch.export.ExportedProgram, title: str) -> None:
        self.program, self.title = program, title
        self.values: dict[Any, Any] = {}

    def graph(self) -> ComputationGraph:
        constants = _constants(self.program)
        builder: Builder | None = None
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                if node.name in constants:
                    self.values[node] = _double(constants[node.name])
                else:
                    builder = Builder(tuple(node.meta["val"].shape), self.title)
                    self.values[node] = builder.input
            elif node.op == "output":
                assert builder is not None
                return builder.graph(self.values[node.args[0][0]])
            else:
                assert builder is not None
                builder.name = f"{self.title}/{node.name} ({node.target})"
                self.values[node] = self._translated(builder, node)
        raise ValueError(f"{self.title} returns nothing; expected a tensor")

    def _translated(self, b: Builder, node: Any) -> Any:
        args = torch.fx.node.map_arg(node.args, self.values.__getitem__)
        kwargs = torch.fx.node.map_arg(node.kwargs, self.values.__getitem__)
        target = node.target
        if not _holds_value((args, kwargs)):
            return _double(target(*args, **kwargs))
        if target is operator.getitem:
            return args[0][args[1]]
        if target in _SAME or target is aten._to_copy.default:
            return args[0]
        if target in _FUNCTIONS:
            return b.unary(_FUNCTIONS[target], args[0])
        if target in _STRUCTURE:
            return _moved(b, target, args, kwargs)
        if target in _RULES:
            return _RULES[target](b, *args, **kwargs)
        if "assert" in str(target):
            return None
        b.refuse("has no translation; expected an operation that ranvier.verify knows")
        return None


def _constants(program: torch.export.ExportedProgram) -> dict[str, Tensor]:
    signature, state = program.graph_signature, program.state_dict
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    tensors = {**program.constants, **state}
    result = {name: tensors[target] for name, target in names.items()}
    lifted = getattr(signature, "inputs_to_lifted_tensor_constants", {})
    return result | {name: program.constants[target] for name, target in lifted.items()}


def _double(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.detach()
        return value.double() if value.is_floating_point() else value
    if isinstance(value, (tuple, list)):
        return [_double(v) for v in value]
    return value


def _holds_value(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(_holds_value(v) for v in value)
    if isinstance(value, dict):
        return _holds_value(list(value.values()))
    return isinstance(value, Value)


def _moved(b: Builder, target: Any, args: Sequence[Any], kwargs: Any) -> Any:
    x, rest = args[0], args[1:]
    probe = target(torch.zeros(x.shape), *rest, **kwargs)
    if isinstance(probe, (tuple, list)):
        return [b.take([x], lambda n, k=k: target(n, *rest, **kwargs)[k]) for k in range(len(probe))]
    return b.take([x], lambda n: target(n, *rest, **kwargs))


def _tensor(x: Any) -> Operand:
    return x if isinstance(x, (Value, Tensor)) else scalar(x)


def _scaled(b: Builder, x: Any, alpha: Any) -> Operand:
    return _tensor(x) if alpha == 1 else b.affine(_tensor(x), scalar(alpha))


def _add(b: Builder, x: Any, y: Any, alpha: Any = 1) -> Operand:
    return b.add(_tensor(x), _scaled(b, y, alpha))


def _sub(b: Builder, x: Any, y: Any, alpha: Any = 1) -> Operand:
    return b.add(_tensor(x), _scaled(b, y, alpha), -1)


def _mul(b: Builder, x: Any, y: Any) -> Operand:
    return b.multiply(_tensor(x), _tensor(y))


def _div(b: Builder, x: Any, y: Any) -> Operand:
    return b.divide(_tensor(x), _tensor(y))


def _pow(b: Builder, x: Operand, n: Any) -> Operand:
    return power(b, x, float(n))


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


def _cat(b: Builder, parts: Sequence[Operand], dim: int = 0) -> Operand:
    return b.combine([p for p in parts if math.prod(p.shape) or len(p.shape) > 1], lambda *n: torch.cat(n, dim))


def _stack(b: Builder, parts: Sequence[Operand], dim: int = 0) -> Operand:
    return b.combine(parts, lambda *n: torch.stack(n, dim))


def _convolution(
    b: Builder, x: Operand, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Operand:  # fmt: skip
    if transposed or not isinstance(x, Value) or not isinstance(weight, Tensor) or isinstance(bias, Value):
        b.refuse("is no convolution with constant weights; expected one that is not transposed")
    return b.convolution(x, weight, bias, stride, padding, dilation, groups)  # type: ignore[arg-type]


def _batch_norm(b: Builder, x: Operand, weight: Any, bias: Any, mean: Any, var: Any, *rest: Any) -> list[Operand]:
    return [affine_norm(b, x, weight, bias, mean, var, float(rest[-1]))]


def affine_norm(b: Builder, x: Operand, weight: Any, bias: Any, mean: Tensor, var: Tensor, epsilon: float) -> Operand:
    """A batch norm by its running statistics, channels on axis 1."""
    wide = (1, -1, *(1,) * (len(x.shape) - 2))
    scale = 1 / torch.sqrt(var.double() + epsilon)
    y = b.affine(b.add(x, mean.double().reshape(wide), -1), scale.reshape(wide))
    if weight is not None:
        y = b.affine(y, weight.double().reshape(wide))
    return y if bias is None else b.add(y, bias.double().reshape(wide))


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


def _max_pool(b: Builder, x: Operand, kernel: Any, stride: Any = (), padding: Any = (0,), dilation: Any = (1,), ceil: bool = False) -> list:  # noqa: E501
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
        return b.maximum(x, _tensor(low))
    return b.minimum(x, _tensor(high)) if high is not None else x


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
    return b.unary(f.Heaviside(), b.add(_tensor(x), _tensor(y), -1))


def _above(b: Builder, x: Any, y: Any) -> Operand:
    return b.unary(f.Heaviside(strict=True), b.add(_tensor(x), _tensor(y), -1))


def _equals(b: Builder, x: Any, y: Any) -> Operand:
    if isinstance(y, (int, float)) and math.isinf(y) and isinstance(x, Value):
        return torch.zeros(x.shape, dtype=torch.bool)  # a real number is never infinite
    b.refuse("compares for equality; expected no such comparison of values")
    return x


def _where(b: Builder, condition: Any, x: Any, y: Any) -> Operand:
    if isinstance(condition, Value):  # a 0 or 1 of a comparison
        x, y = _tensor(x), _tensor(y)
        return b.add(y, b.multiply(condition, b.add(x, y, -1)))
    parts = [b.expand(_tensor(p), _shape(condition, x, y)) for p in (x, y)]
    mask = condition.expand(parts[0].shape)
    return b.combine(parts, lambda n, m: torch.where(mask, n, m))


def _shape(*operands: Any) -> tuple[int, ...]:
    return tuple(torch.broadcast_shapes(*(tuple(_tensor(o).shape) if not isinstance(o, (Tensor, Value)) else tuple(o.shape) for o in operands)))  # noqa: E501


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


def _linear(b: Builder, x: Operand, weight: Operand, bias: Any = None) -> Operand:
    y = b.matmul(x, b.permute(weight, [1, 0]))
    return y if bias is None else b.add(y, bias)


_RULES: dict[Any, Callable[..., Any]] = {
    aten.add.Tensor: _add, aten.add.Scalar: _add, aten.sub.Tensor: _sub, aten.sub.Scalar: _sub,
    aten.rsub.Scalar: lambda b, x, y, alpha=1: _sub(b, y, x, alpha),
    aten.mul.Tensor: _mul, aten.mul.Scalar: _mul, aten.div.Tensor: _div, aten.div.Scalar: _div,
    aten.neg.default: lambda b, x: b.affine(x, scalar(-1.0)),
    aten.pow.Tensor_Scalar: _pow, aten.square.default: lambda b, x: b.multiply(x, x),
    aten.mm.default: lambda b, x, y: b.matmul(x, y), aten.bmm.default: lambda b, x, y: b.matmul(x, y),
    aten.matmul.default: lambda b, x, y: b.matmul(x, y), aten.mv.default: lambda b, x, y: b.matmul(x, y),
    aten.dot.default: lambda b, x, y: b.matmul(x, y), aten.addmm.default: _addmm, aten.linear.default: _linear,
    aten.baddbmm.default: _addmm, aten.sum.dim_IntList: _sum, aten.sum.default: _sum, aten.mean.dim: _mean,
    aten.mean.default: _mean, aten.cat.default: _cat, aten.stack.default: _stack,
    aten.convolution.default: _convolution,
    aten._softmax.default: lambda b, x, dim, half: b.softmax(x, dim),
    aten._safe_softmax.default: lambda b, x, dim, dtype=None: b.softmax(x, dim),
    aten._log_softmax.default: lambda b, x, dim, half: b.unary(f.Logarithm(), b.softmax(x, dim)),
    aten._native_batch_norm_legit_no_training.default: _batch_norm, aten.native_layer_norm.default: _layer_norm,
    aten.native_group_norm.default: _group_norm, aten.max_pool2d_with_indices.default: _max_pool,
    aten.avg_pool2d.default: _avg_pool, aten._adaptive_avg_pool2d.default: _adaptive_avg,
    aten.clamp.default: _clamp, aten.hardtanh.default: _clamp, aten.clamp_min.default: _clamp,
    aten.maximum.default: lambda b, x, y: b.maximum(_tensor(x), _tensor(y)),
    aten.minimum.default: lambda b, x, y: b.minimum(_tensor(x), _tensor(y)),
    aten.gelu.default: _gelu, aten.softplus.default: _softplus, aten.elu.default: _elu,
    aten.leaky_relu.default: _leaky, aten.ge.Scalar: _at_least, aten.ge.Tensor: _at_least, aten.gt.Scalar: _above,
    aten.gt.Tensor: _above, aten.eq.Scalar: _equals,
    aten.logical_not.default: lambda b, x: b.affine(x, scalar(-1.0), scalar(1.0)),
    aten.where.self: _where, aten.masked_fill.Scalar: _masked_fill, aten.index.Tensor: _index,
    aten.gather.default: _gather, aten._embedding_bag.default: _embedding_bag,
    aten._embedding_bag_forward_only.default: _embedding_bag, aten.index_add.default: _index_add,
    aten.index_put.default: _index_put, aten.scatter_add.default: _scatter_add,
    aten.full_like.default: lambda b, x, value, **_: torch.full(x.shape, float(value), dtype=torch.float64),
    aten.zeros_like.default: lambda b, x, **_: torch.zeros(x.shape, dtype=torch.float64),
    aten.ones_like.default: lambda b, x, **_: torch.ones(x.shape, dtype=torch.float64),
    aten.new_zeros.default: lambda b, x, size, **_: torch.zeros(*size, dtype=torch.float64),
    aten.log1p.default: lambda b, x: b.unary(f.Logarithm(), b.add(x, scalar(1.0))),
    aten.expm1.default: lambda b, x: b.add(b.unary(f.Exp(), x), scalar(-1.0)),
    aten.constant_pad_nd.default: lambda b, x, pads, value=0.0: padded(b, x, pads, value),
}  # fmt: skip


def padded(b: Builder, x: Operand, pads: Sequence[int], value: Any = 0.0) -> Operand:
    """Padding by a constant, widths from the last axis backwards, as torch's."""
    fill = torch.tensor([float(value)], dtype=torch.float64)
    return b.take([x], lambda n: torch.constant_pad_nd(n, list(pads), n.numel()), fill)  # type: ignore[list-item]


__all__ = ["affine_norm", "from_module", "padded", "power"]
