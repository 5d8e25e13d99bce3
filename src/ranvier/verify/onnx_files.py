"""ONNX files as graphs: read by the package `onnx` from memory, sizes and indices checked, nothing in it is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ranvier._reading import read_unpacked
from ranvier._text import one_line
from ranvier.verify import functions as f
from ranvier.verify.builder import LARGEST, Builder, Operand, Value, scalar
from ranvier.verify.graph import ComputationGraph
from ranvier.verify.torch_modules import affine_norm, padded, power

MOST_BYTES = 512 * 2**20
_FUNCTIONS = {
    "Relu": f.LeakyRelu(), "Sigmoid": f.Logistic(), "Tanh": f.HyperbolicTangent(), "Sin": f.Sine(), "Cos": f.Sine(True),
    "Exp": f.Exp(), "Log": f.Logarithm(), "Sqrt": f.Sqrt(), "Reciprocal": f.Reciprocal(), "Abs": f.Abs(),
    "Erf": f.Erf(), "Softplus": f.Softplus(),
}  # fmt: skip
#: types of tensors that networks hold, as onnx numbers them: float, ints, bool, float16, double
_TYPES = {1, 2, 3, 5, 6, 7, 9, 10, 11}


def import_onnx() -> Any:
    """The package `onnx`, or an error that says how to get it."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "onnx is not installed; expected it for .onnx files: pip install 'ranvier[verify]'"
        ) from error
    return onnx


def read_model(path: str | Path) -> Any:
    """The checked onnx ModelProto of a file, gzipped or not.

    Raises FileNotFoundError, ImportError without `onnx`, and ValueError for what is no ONNX file of one input and one
    output, or holds weights in other files, functions, or subgraphs.
    """
    onnx = import_onnx()
    data = read_unpacked(path, "an ONNX file")
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path} has {len(data) >> 20} MiB; expected at most {MOST_BYTES >> 20}")
    try:
        model = onnx.load_from_string(data)
    except Exception as error:  # of protobuf, in whose words
        problem = one_line(str(error))[:120]
        raise ValueError(f"{path} is no ONNX file ({problem}); expected a network in ONNX") from error
    graph = model.graph
    if not graph.node or not graph.output:
        raise ValueError(f"{path} holds no network; expected an ONNX file with nodes and an output")
    if len(model.functions):
        raise ValueError(f"{path} defines functions; expected standard operators: export it inlined")
    for tensor in [*graph.initializer, *(a.t for n in graph.node for a in n.attribute if a.type == 4)]:
        if tensor.data_location == 1 or len(tensor.external_data):
            raise ValueError(f"{path} holds weights in other files; expected all in one: save it without external data")
        if tensor.data_type not in _TYPES:
            raise ValueError(f"{path} holds a tensor of type {tensor.data_type}; expected numbers")
        if any(d < 0 for d in tensor.dims) or math.prod(tensor.dims) > MOST_BYTES:
            raise ValueError(f"{path} holds a tensor of shape {tuple(tensor.dims)}; expected a smaller one")
    return model


def from_onnx(path: str | Path, *, input_shape: Sequence[int] | None = None) -> ComputationGraph:
    """The graph of a network in an ONNX file (gzipped or not), at a batch of one; its constants in float64.

    input_shape: where the file leaves sizes open; open batch sizes are taken as 1.
    Raises ValueError for an operator without translation, naming the node, for shapes that do not fit and indices out
    of range, and what `read_model` raises.
    """
    return translate(read_model(path), one_line(str(path)), input_shape)


def translate(model: Any, title: str, input_shape: Sequence[int] | None = None) -> ComputationGraph:
    """The graph of a checked ModelProto."""
    return _OnnxTranslation(model, title).graph(input_shape)


class _OnnxTranslation:
    def __init__(self, model: Any, title: str) -> None:
        self.model, self.title = model, title
        self.opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
        self.values: dict[str, Any] = {}

    def graph(self, input_shape: Sequence[int] | None) -> ComputationGraph:
        graph = self.model.graph
        for tensor in graph.initializer:
            self.values[tensor.name] = self._constant(tensor)
        inputs = [i for i in graph.input if i.name not in self.values]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise ValueError(
                f"{self.title} has {len(inputs)} inputs and {len(graph.output)} outputs; expected one of each"
            )
        shape = tuple(input_shape) if input_shape is not None else self._shape(inputs[0])
        builder = Builder(shape, self.title)
        self.values[inputs[0].name] = builder.input
        for k, node in enumerate(graph.node):
            builder.name = one_line(f"{node.name or k} ({node.op_type})")[:200]
            outputs = self._translated(builder, node)
            for name, value in zip(node.output, outputs, strict=False):
                self.values[name] = value
        last = graph.output[0].name
        if last not in self.values:
            raise ValueError(f"{self.title} has no node with the output {last!r:.80}; expected one")
        return builder.graph(self.values[last])

    def _shape(self, value: Any) -> tuple[int, ...]:
        sizes = []
        for axis, d in enumerate(value.type.tensor_type.shape.dim):
            size = d.dim_value if d.HasField("dim_value") else 0
            if size <= 0 and axis > 0:
                raise ValueError(
                    f"{self.title} leaves axis {axis} of its input open; expected a size: give input_shape="
                )
            sizes.append(max(size, 1))
        return tuple(sizes)

    def _constant(self, tensor: Any) -> Tensor:
        from onnx import numpy_helper

        try:
            array = numpy_helper.to_array(tensor)
        except Exception as error:
            raise ValueError(
                f"{self.title} holds a broken tensor {tensor.name!r:.80} ({one_line(str(error))[:80]}); "
                "expected as many numbers as its shape says"
            ) from error
        value = torch.from_numpy(array.copy())
        return value.double() if value.is_floating_point() else value

    def _translated(self, b: Builder, node: Any) -> Sequence[Any]:
        rule = _RULES.get(node.op_type)
        if node.domain not in ("", "ai.onnx") or (rule is None and node.op_type not in _FUNCTIONS):
            b.refuse("has no translation; expected an operator that ranvier.verify knows")
        missing = [name for name in node.input if name and name not in self.values]
        if missing:
            b.refuse(f"reads {missing[0]!r:.80}, which comes from nowhere; expected an earlier node's output")
        args: list[Any] = [self.values[name] if name else None for name in node.input]
        attributes = {a.name: self._attribute(b, a) for a in node.attribute}
        try:
            if rule is None:
                return [b.unary(_FUNCTIONS[node.op_type], args[0])]
            out = rule(b, args, attributes, self.opset)
        except (RuntimeError, IndexError, TypeError, KeyError, OverflowError, AttributeError) as error:
            raise ValueError(
                f"node {b.name!r} of {self.title} does not fit its inputs ({one_line(str(error))[:160]}); "
                "expected shapes and attributes as ONNX defines them"
            ) from error
        return out if isinstance(out, list) else [out]

    def _attribute(self, b: Builder, a: Any) -> Any:
        match a.type:
            case 1:
                return float(a.f)
            case 2:
                return int(a.i)
            case 3:
                return a.s.decode("ascii", "replace")
            case 4:
                return self._constant(a.t)
            case 6:
                return [float(v) for v in a.floats]
            case 7:
                return [int(v) for v in a.ints]
        b.refuse(f"has an attribute {a.name!r:.40} of type {a.type}; expected numbers, text or a tensor")
        return None


def _whole(b: Builder, x: Any, what: str) -> list[int]:
    """A constant's whole numbers."""
    if not isinstance(x, Tensor) or x.numel() > 64:
        b.refuse(f"takes its {what} from values; expected constants")
    return [int(v) for v in x.reshape(-1).tolist()]


def _reshape(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    x, target = args[0], _whole(b, args[1], "shape") if len(args) > 1 else a["shape"]
    sizes = [x.shape[k] if n == 0 and not a.get("allowzero") else n for k, n in enumerate(target)]
    total, rest = math.prod(x.shape), math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and rest:
        sizes[sizes.index(-1)] = total // rest
    if math.prod(sizes) != total or min(sizes, default=1) < 0:
        b.refuse(f"reshapes {tuple(x.shape)} to {target}; expected as many elements")
    return b.reshape(x, sizes)


def _flatten(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    axis = a.get("axis", 1) % (len(args[0].shape) + 1)
    shape = args[0].shape
    return b.reshape(args[0], (math.prod(shape[:axis]), math.prod(shape[axis:])))


def _axes_of(b: Builder, args: Any, a: dict, at: int = 1) -> list[int] | None:
    if len(args) > at and args[at] is not None:
        return _whole(b, args[at], "axes")
    return a.get("axes")


def _unsqueeze(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    axes = _axes_of(b, args, a) or []
    rank = len(args[0].shape) + len(axes)
    axes = sorted(axis % rank for axis in axes)
    shape = list(args[0].shape)
    for axis in axes:
        shape.insert(axis, 1)
    return b.reshape(args[0], shape)


def _squeeze(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    axes, shape = _axes_of(b, args, a), args[0].shape
    gone = {k for k, n in enumerate(shape) if n == 1} if axes is None else {k % len(shape) for k in axes}
    return b.reshape(args[0], [n for k, n in enumerate(shape) if k not in gone])


def _slice(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    x = args[0]
    if opset < 10:
        starts, ends, axes, steps = a["starts"], a["ends"], a.get("axes"), None
    else:
        parts = [None if p is None else _whole(b, p, "slice") for p in (*args[1:], None, None, None)]
        starts, ends, axes, steps = parts[0], parts[1], parts[2], parts[3]  # type: ignore[assignment]
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    index: list[Any] = [torch.arange(n) for n in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step == 0:
            b.refuse("slices by steps of 0; expected others")
        index[axis] = index[axis][torch.tensor(range(x.shape[axis])[slice(start, end if end >= 0 or step > 0 else (None if end < -x.shape[axis] else end), step)], dtype=torch.int64)]  # noqa: E501
    return b.combine([x], lambda n: n[torch.meshgrid(*index, indexing="ij")] if index else n)


def _gather(b: Builder, args: Any, a: dict, opset: int) -> Operand:
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


def _concat(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    return b.combine(args, lambda *n: torch.cat([t.reshape(t.shape) for t in n], a["axis"]))


def _split(b: Builder, args: Any, a: dict, opset: int) -> list[Operand]:
    x, axis = args[0], a.get("axis", 0)
    sizes = _whole(b, args[1], "split") if len(args) > 1 else a.get("split")
    if sizes is None:
        n = a.get("num_outputs", 2)
        each = -(-x.shape[axis] // n)
        sizes = [min(each, x.shape[axis] - k * each) for k in range(n)]
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    return [b.combine([x], lambda n, s=s, z=z: n.narrow(axis, s, z)) for s, z in zip(starts, sizes, strict=True)]  # type: ignore[misc]


def _expand(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    target = _whole(b, args[1], "shape")
    if min(target, default=1) < 1 or math.prod(target) > LARGEST:
        b.refuse(f"expands to {target}; expected sizes of at least 1 and at most {LARGEST} elements")
    return b.expand(args[0], torch.broadcast_shapes(tuple(args[0].shape), tuple(target)))


def _constant_of_shape(b: Builder, args: Any, a: dict, opset: int) -> Tensor:
    shape = _whole(b, args[0], "shape")
    if min(shape, default=0) < 0 or math.prod(shape) > LARGEST:
        b.refuse(f"makes a constant of shape {shape}; expected at most {LARGEST} elements")
    value = a.get("value", torch.zeros(1, dtype=torch.float64))
    return value.reshape(-1)[0].expand(shape).clone()


def _range(b: Builder, args: Any, a: dict, opset: int) -> Tensor:
    start, stop, step = (float(v) for v in args)
    if step == 0 or abs((stop - start) / step) > LARGEST:
        b.refuse("makes too long a range; expected a shorter one")
    return torch.arange(start, stop, step, dtype=args[0].dtype)


def _gemm(b: Builder, args: Any, a: dict, opset: int) -> Operand:
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
    def rule(b: Builder, args: Any, a: dict, opset: int) -> Operand:
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


def _pow(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    if not isinstance(args[1], Tensor) or args[1].numel() != 1:
        b.refuse("raises to a power that varies; expected one constant exponent")
    return power(b, args[0], float(args[1]))


def _convolution(b: Builder, args: Any, a: dict, opset: int) -> Operand:
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
    def rule(b: Builder, args: Any, a: dict, opset: int) -> Operand:
        axes = _axes_of(b, args, a)
        axes = list(range(len(args[0].shape))) if axes is None else axes
        return b.sum(args[0], axes, bool(a.get("keepdims", 1)), mean=mean)

    return rule


def _batch_norm(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    if len(args) < 5 or any(args[k] is None for k in range(5)):
        b.refuse(f"has {len(args)} inputs; expected 5: x, scale, bias, mean, variance")
    x, weight, bias, mean, var = args[:5]
    return affine_norm(b, x, weight, bias, mean, var, a.get("epsilon", 1e-5))


def _layer_norm(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    x, first = args[0], a.get("axis", -1) % len(args[0].shape)
    y = b.multiply(b.normalise(x, range(first, len(x.shape)), a.get("epsilon", 1e-5)), args[1])
    return b.add(y, args[2]) if len(args) > 2 and args[2] is not None else y


def _softmax(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    axis = a.get("axis", -1 if opset >= 13 else 1)
    if opset < 13 and axis % len(args[0].shape) != len(args[0].shape) - 1:
        b.refuse("is a softmax over several axes, as before opset 13; expected one over the last")
    return b.softmax(args[0], axis)


def _clip(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    low, high = (a.get("min"), a.get("max")) if opset < 11 else (*args[1:3], *(None,) * (3 - len(args)))
    low, high = (None if v is None else float(v) for v in (low, high))
    if low is not None and high is not None:
        return b.unary(f.Clip(low, high), args[0])
    x = args[0] if low is None else b.maximum(args[0], scalar(low))
    return x if high is None else b.minimum(x, scalar(high))


def _max_pool(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    return b.greatest(_windows(b, args, a), -1)


def _avg_pool(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    return b.sum(_windows(b, args, a), [-1], mean=True)


def _windows(b: Builder, args: Any, a: dict) -> Operand:
    kernel = a["kernel_shape"]
    strides = a.get("strides", [1] * len(kernel))
    if len(kernel) != 2 or any(a.get("pads", [])) or a.get("ceil_mode") or any(d != 1 for d in a.get("dilations", [])):
        b.refuse("pools with padding, dilation or in other than two dimensions; expected none of these")
    return b.combine([args[0]], lambda n: n.unfold(-2, kernel[0], strides[0]).unfold(-2, kernel[1], strides[1]).flatten(-2))  # noqa: E501


def _where(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    if not isinstance(args[0], Tensor):
        b.refuse("selects by values; expected a constant condition")
    shape = torch.broadcast_shapes(*(tuple(v.shape) for v in args))
    mask = args[0].bool().expand(shape)
    if all(isinstance(v, Tensor) for v in args):
        return torch.where(mask, args[1], args[2])
    return b.combine([b.expand(v, shape) for v in args[1:]], lambda n, m: torch.where(mask, n, m))


def _compared(compare: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def rule(b: Builder, args: Any, a: dict, opset: int) -> Tensor:
        if not all(isinstance(v, Tensor) for v in args):
            b.refuse("compares values; expected constants")
        return compare(*args)

    return rule


def _cast(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    if isinstance(args[0], Value):
        if a.get("to") not in (1, 10, 11):
            b.refuse("casts values to whole numbers; expected floating-point ones")
        return args[0]
    return args[0].double() if a.get("to") in (1, 10, 11) else args[0].bool() if a.get("to") == 9 else args[0].long()


def _constant(b: Builder, args: Any, a: dict, opset: int) -> Tensor:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in a:
            value = a[name] if isinstance(a[name], Tensor) else torch.tensor(a[name])
            return value.double() if value.is_floating_point() else value
    b.refuse("is a constant of another kind; expected numbers")
    raise AssertionError


def _pad(b: Builder, args: Any, a: dict, opset: int) -> Operand:
    widths = a["pads"] if opset < 11 else _whole(b, args[1], "pads")
    value = a.get("value", 0.0) if opset < 11 else (float(args[2]) if len(args) > 2 and args[2] is not None else 0.0)
    rank = len(args[0].shape)
    if a.get("mode", "constant") != "constant" or len(widths) != 2 * rank or min(widths) < 0 or max(widths) > 4096:
        b.refuse("pads otherwise than by a constant on all axes; expected widths from 0 to 4096")
    return padded(b, args[0], [w for k in reversed(range(rank)) for w in (widths[k], widths[rank + k])], value)


def _folded(pair: Callable[..., Any]) -> Callable[..., Operand]:
    def rule(b: Builder, args: Any, a: dict, opset: int) -> Operand:
        total = args[0]
        for x in args[1:]:
            total = pair(b, total, x)
        return total

    return rule


_RULES: dict[str, Callable[..., Any]] = {
    "Constant": _constant, "ConstantOfShape": _constant_of_shape, "Range": _range, "Cast": _cast,
    "Identity": lambda b, args, a, o: args[0], "Dropout": lambda b, args, a, o: args[0],
    "Shape": lambda b, args, a, o: torch.tensor(tuple(args[0].shape)), "Reshape": _reshape, "Flatten": _flatten,
    "Transpose": lambda b, args, a, o: b.permute(args[0], a.get("perm", list(range(len(args[0].shape)))[::-1])),
    "Unsqueeze": _unsqueeze, "Squeeze": _squeeze, "Slice": _slice, "Gather": _gather, "Concat": _concat,
    "Split": _split, "Expand": _expand, "Pad": _pad, "Where": _where, "Equal": _compared(torch.eq),
    "Not": _compared(torch.logical_not), "Greater": _compared(torch.gt), "Less": _compared(torch.lt),
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


def _share(b: Builder, alpha: float) -> float:
    if not 0 < alpha <= 1:
        b.refuse(f"has alpha = {alpha}; expected one in (0, 1]")
    return alpha


__all__ = ["from_onnx", "import_onnx", "read_model", "translate"]
