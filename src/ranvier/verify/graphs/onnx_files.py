"""ONNX files as graphs: read by the package `onnx` from memory, sizes and indices checked, nothing in it is run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ranvier._text import one_line
from ranvier.files.reading import library_fault, read_unpacked, refusing
from ranvier.verify.graphs._onnx_arithmetic import ARITHMETIC, FUNCTIONS
from ranvier.verify.graphs._onnx_tensors import TENSORS
from ranvier.verify.graphs.builder import Builder
from ranvier.verify.graphs.graph import ComputationGraph

MOST_BYTES = 512 * 2**20
#: types of tensors that networks hold, as onnx numbers them: float, ints, bool, float16, double
_TYPES = {1, 2, 3, 5, 6, 7, 9, 10, 11}
_RULES = ARITHMETIC | TENSORS


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

    >>> import onnx
    >>> model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 13]> f (float[1, 2] x) => (float[1, 2] y)'
    ...                                 '{ y = Relu(x) }')
    >>> onnx.save(model, "relu.onnx")
    >>> graph = rv.verify.from_onnx("relu.onnx")
    >>> tuple(graph.input_shape), tuple(graph.output_shape)
    ((1, 2), (1, 2))
    """
    model = read_model(path)
    with refusing(path, "an ONNX file"):
        return translate(model, one_line(str(path)), input_shape)


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
        if node.domain not in ("", "ai.onnx") or (rule is None and node.op_type not in FUNCTIONS):
            b.refuse("has no translation; expected an operator that ranvier.verify knows")
        self._require_form(b, node)
        missing = [name for name in node.input if name and name not in self.values]
        if missing:
            b.refuse(f"reads {missing[0]!r:.80}, which comes from nowhere; expected an earlier node's output")
        args: list[Any] = [self.values[name] if name else None for name in node.input]
        attributes = {a.name: self._attribute(b, a) for a in node.attribute}
        try:
            if rule is None:
                return [b.unary(FUNCTIONS[node.op_type], args[0])]
            out = rule(b, args, attributes, self.opset)
        except (RuntimeError, IndexError, TypeError, KeyError, OverflowError, AttributeError, ValueError) as error:
            if repr(b.name) in str(error):  # refused in our own words
                raise
            raise ValueError(
                f"node {b.name!r} of {self.title} does not fit its inputs ({library_fault(error, (RuntimeError,))}); "
                "expected shapes and attributes as ONNX defines them"
            ) from error
        return out if isinstance(out, list) else [out]

    def _require_form(self, b: Builder, node: Any) -> None:
        """As many inputs as ONNX's own description of the operator says, and the attributes it cannot do without."""
        from onnx import defs

        try:
            schema = defs.get_schema(node.op_type, max_inclusive_version=self.opset)
        except defs.SchemaError:
            b.refuse(f"is no operator of opset {self.opset}; expected one that ONNX defines")
        least, most, count = schema.min_input, schema.max_input, len(node.input)
        if not least <= count <= most or not all(node.input[:least]):
            expected = least if least == most else f"{least} to {most}"
            b.refuse(f"has {sum(map(bool, node.input))} inputs; expected {expected}, as ONNX defines it")
        names = {a.name for a in node.attribute}
        if lost := [name for name, a in schema.attributes.items() if a.required and name not in names]:
            b.refuse(f"lacks the attribute {lost[0]!r}; expected it, as ONNX defines the operator")

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


__all__ = ["from_onnx", "import_onnx", "read_model", "translate"]
