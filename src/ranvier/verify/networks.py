"""The network itself, outside our graph: what counterexamples are checked by."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ranvier._text import one_line
from ranvier.files.reading import refusing
from ranvier.verify.graphs.graph import ComputationGraph
from ranvier.verify.graphs.onnx_files import read_model, translate
from ranvier.verify.graphs.torch_modules import from_module


@dataclass(frozen=True)
class NetworkUnderTest:
    """A graph, and the network that it describes: `run(x)` (*input_shape) -> (*output_shape), in its own precision.
    Returned by `wrap`.
    """

    graph: ComputationGraph
    run: Callable[[Tensor], Tensor]


def load(path: str | Path) -> NetworkUnderTest:
    """A network in an ONNX file; it is run by onnx's own evaluator, in the precision of the file.

    >>> import onnx
    >>> model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 13]> f (float[1, 2] x) => (float[1, 2] y)'
    ...                                 '{ y = Relu(x) }')
    >>> onnx.save(model, "relu.onnx")
    >>> rv.verify.load("relu.onnx").run(torch.tensor([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]
    """
    model = read_model(path)
    with refusing(path, "an ONNX file"):
        graph = translate(model, one_line(Path(path).name))
        return NetworkUnderTest(graph, _evaluator(model))


def wrap(module: nn.Module, example: Tensor) -> NetworkUnderTest:
    """A torch module at inputs shaped as `example`; it is run as it is, by a call.

    >>> network = rv.verify.wrap(torch.nn.ReLU(), torch.zeros(2))
    >>> network.run(torch.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    graph, network = from_module(module, example), copy.deepcopy(module).eval()

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            out = network(x.to(example))
        return (out[0] if isinstance(out, (tuple, list)) else out).double()

    return NetworkUnderTest(graph, run)


def _evaluator(model: Any) -> Callable[[Tensor], Tensor]:
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class BatchNormalization(OpRun):
        """By running statistics: onnx's own takes the batch's for opsets 9 to 13, whatever the outputs."""

        op_domain = ""

        def _run(self, x, scale, bias, mean, var, epsilon=1e-5, **_):  # type: ignore[no-untyped-def]
            wide = (1, -1, *(1,) * (x.ndim - 2))
            y = (x - mean.reshape(wide)) / np.sqrt(var.reshape(wide) + epsilon)
            return ((y * scale.reshape(wide) + bias.reshape(wide)).astype(x.dtype),)

    evaluator = ReferenceEvaluator(model, new_ops=[BatchNormalization])
    constants = {tensor.name for tensor in model.graph.initializer}
    entry = next(i for i in model.graph.input if i.name not in constants)
    kind = {1: np.float32, 10: np.float16, 11: np.float64}.get(entry.type.tensor_type.elem_type, np.float32)

    def run(x: Tensor) -> Tensor:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            outputs: Any = evaluator.run(None, {entry.name: x.numpy().astype(kind)})
        return torch.from_numpy(np.asarray(outputs[0], dtype=np.float64))

    return run


__all__ = ["NetworkUnderTest", "load", "wrap"]
