"""A model's operations by kind, and the activations of its ReLUs under examples."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

_POOLS = (
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
)  # fmt: skip
_MODULES: dict[str, tuple[type[nn.Module], ...]] = {
    "weighted": (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d), "pool": _POOLS, "flatten": (nn.Flatten,),
    "relu": (nn.ReLU,), "norm": (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    "dropped": (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Identity),
}  # fmt: skip
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "relu": (torch.relu, torch.relu_, F.relu, F.relu_, "relu", "relu_"),
    "flatten": (torch.flatten, "flatten", "view", "reshape", torch.reshape),
    "add": (operator.add, operator.iadd, torch.add, "add", "add_"), "size": ("size", len, getattr, operator.getitem),
    "dropped": (F.dropout, F.dropout2d, "contiguous"),
    "pool": (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d),
}  # fmt: skip
_POOL_OF = {
    F.avg_pool1d: nn.AvgPool1d, F.avg_pool2d: nn.AvgPool2d, F.avg_pool3d: nn.AvgPool3d,
    F.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d, F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}  # fmt: skip
_REMEDIES = {
    "MaxPool": "train it with average pools", "Softmax": "leave it out, the largest output stays the largest",
    "Sigmoid": "train it with ReLU", "Tanh": "train it with ReLU", "GELU": "train it with ReLU",
}  # fmt: skip


#: what changes its input in place
_IN_PLACE = (torch.relu_, F.relu_, "relu_", "add_", operator.iadd)


def refuse(what: str, name: str, remedy: str = "") -> NoReturn:
    """ValueError for what has no spiking counterpart."""
    remedy = remedy or next((text for part, text in _REMEDIES.items() if part.lower() in what.lower()), "")
    raise ValueError(
        f"{name!r} is {what}, which has no spiking counterpart; expected Linear, Conv, BatchNorm right after these, "
        f"ReLU, average pools, Flatten, Dropout and sums of branches{f': {remedy}' if remedy else ''}"
    )


def require_floats(model: nn.Module, x: Tensor, name: str) -> None:
    """TypeError for inputs in another precision than the model's."""
    like = next((p for p in model.parameters() if p.is_floating_point()), x)
    if x.dtype != like.dtype:
        raise TypeError(f"{name} are {x.dtype}; expected {like.dtype}, the model's: convert by .to()")


def trace(model: nn.Module) -> GraphModule:
    """The model's operations. ValueError where its forward depends on data."""
    from torch.fx import symbolic_trace

    try:
        return symbolic_trace(model)
    except Exception as error:  # whatever the user's forward raises when it meets a tracer
        raise ValueError(
            f"torch.fx cannot trace the model: {error}; expected a forward without conditions on the data"
        ) from error


def kind_of(node: Node, modules: dict[str, nn.Module]) -> str:
    """What a node does. ValueError, by name, for what has no spiking counterpart."""
    if node.op in ("placeholder", "output"):
        return {"placeholder": "input", "output": "output"}[node.op]
    if node.op == "call_module":
        module = modules[str(node.target)]
        for kind, types in _MODULES.items():
            if type(module) in types:
                return kind
        refuse(type(module).__name__, str(node.target))
    if node.op in ("call_function", "call_method"):
        for kind, targets in _FUNCTIONS.items():
            if node.target in targets:
                if kind == "add" and not (len(node.args) == 2 and all(hasattr(a, "users") for a in node.args)):
                    refuse("a sum with a constant", node.name, "put it into a bias")
                if kind == "add" and node.kwargs.get("alpha", 1) != 1:
                    refuse("a weighted sum (alpha)", node.name, "put the factor into the weights of that branch")
                return kind
    refuse(getattr(node.target, "__name__", str(node.target)), node.name)


def require_own(node: Node, modules: dict[str, nn.Module]) -> None:
    """ValueError for a node that changes in place what another one uses as well."""
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    within = node.target in _IN_PLACE or node.kwargs.get("inplace") or getattr(module, "inplace", False)
    within = within or (node.target is F.relu and True in node.args[1:])
    if within and kind_of(node, modules) != "dropped" and len(node.all_input_nodes[0].users) > 1:
        refuse("a change in place of what is used again", node.name, "make it one out of place")


class ReluActivations:
    """Of a traced model under examples: each ReLU's level, the percentile of its activations, and shapes."""

    def __init__(self, traced: GraphModule, percentile: float = 100.0) -> None:
        self.traced, self.percentile = traced, percentile
        self.modules = dict(traced.named_modules())
        self.levels: dict[str, float] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.values: dict[str, Tensor] = {}

    def measure(self, x: Tensor, *, keep: bool = False) -> Tensor:
        """The model's output; `keep`: ReLUs' activations, too."""
        from torch.fx import Interpreter

        outer, self._batch = self, len(x)

        class ReluRun(Interpreter):
            def run_node(self, n: Node) -> Any:
                value = super().run_node(n)
                outer._record(n, value, keep)
                return value

        for node in self.traced.graph.nodes:
            kind_of(node, self.modules)  # refused before anything is computed
            require_own(node, self.modules)
        with torch.no_grad():
            return ReluRun(self.traced).run(x)

    def _record(self, node: Node, value: Any, keep: bool) -> None:
        if not isinstance(value, Tensor) or node.op == "output":
            return
        self.shapes[node.name] = tuple(value.shape[1:])
        kind = kind_of(node, self.modules)
        if kind == "size" or value.shape[:1] != (self._batch,):
            refuse(f"a choice or a change of shape to {tuple(value.shape)}", node.name, "keep the batch as first axis")
        if kind == "relu":
            if keep:
                self.values[node.name] = value.clone()
            else:
                self.levels[node.name] = float(np.percentile(value.detach().cpu().double().numpy(), self.percentile))

    def shape_module(self, node: Node, kind: str) -> nn.Module:
        """An average pool or Flatten as a module, whether the model calls one or a function."""
        if node.op == "call_module":
            return self.modules[str(node.target)]
        if kind == "pool":
            return _POOL_OF[node.target](*node.args[1:], **node.kwargs)  # type: ignore[index,arg-type]
        if len(self.shapes[node.name]) != 1:
            refuse(f"a change of shape to (B, *{self.shapes[node.name]})", node.name, "flatten to (B, N)")
        return nn.Flatten()


__all__ = ["ReluActivations", "kind_of", "refuse", "require_floats", "trace"]
