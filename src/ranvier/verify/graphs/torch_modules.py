"""Torch modules as graphs: `torch.export` writes the operations down, each is translated or refused by name."""

from __future__ import annotations

import copy
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.verify.graphs._aten_arithmetic import ARITHMETIC, FUNCTIONS
from ranvier.verify.graphs._aten_tensors import TENSORS
from ranvier.verify.graphs.builder import Builder, Value
from ranvier.verify.graphs.graph import ComputationGraph

aten = torch.ops.aten
_RULES = ARITHMETIC | TENSORS
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


def from_module(
    module: nn.Module, example: Tensor, *, output: Callable[[Any], Tensor] | None = None
) -> ComputationGraph:
    """The graph of a module at inputs shaped as `example`, in float64; layers over time are unrolled.

    example: an input, with its batch (of 1, as a rule): the graph's input is all of it, (*example.shape). output: picks
    the tensor from what the module returns; by default itself, or a tuple's first. The module is copied; training
    layers such as dropout are as in `eval()`.

    Raises ValueError for an operation that has no translation, naming the node, and for data-dependent control flow.

    >>> from ranvier.verify import from_module
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
        if target in FUNCTIONS:
            return b.unary(FUNCTIONS[target], args[0])
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


__all__ = ["from_module"]
