"""A trained network of rectified units (ReLU) as a spiking one, by data-based normalisation."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ranvier.nn.checks import require_finite, require_tensor, require_values
from ranvier.nn.conversion._activations import ReluActivations, kind_of, refuse, require_floats, trace
from ranvier.nn.domains import DECAY, Domain
from ranvier.nn.elementwise import Scale
from ranvier.nn.graph import Graph
from ranvier.nn.spiking.lif import LIF

if TYPE_CHECKING:
    from torch.fx import Node

_PERCENTILE = Domain(0.0, 100.0, open_low=True)


def from_ann(model: nn.Module, examples: Tensor, *, percentile: float = 99.9, initial: float = 0.5) -> Graph:
    """A trained network of rectified units as a spiking one (Diehl et al. 2015; Rueckauer et al. 2017; Bu et al. 2022).

    Every ReLU becomes integrate-and-fire neurons (`LIF` of beta 1) whose spikes take off their threshold θ (soft
    reset): θ times the spikes a step is then the activation, clipped to [0, θ]. θ is that percentile of the ReLU's
    activations under `examples`; the next weights are multiplied by it, which is Diehl's normalisation of both by θ.
    Membranes begin at `initial` · θ: half a threshold rounds to the nearest count instead of down, and is optimal for
    evenly spread activations (Bu et al. 2022, theorem 2). Under a constant input, and while no membrane ends outside
    [0, θ), a layer's error is at most θ/T after T steps, and θ/(2 T) with half a threshold.

    Parameters
    ----------
    model : of nn.Linear, nn.Conv1d to Conv3d, batch norms right after these (folded into their weights), ReLU, average
        pools, Flatten, Dropout (left out), Identity, and sums of branches, as modules or as the functions of torch in
        its forward; without branches that depend on data (torch.fx traces it). It is left as it is.
    examples : inputs (B, ...) of the training set, hundreds.
    percentile : of the activations; 100 is the largest, which a single outlier makes too large for all others.
    initial : in [0, 1].

    Returns an `rv.nn.Graph`, whose neurons have the names of the model's ReLUs, in the precision of its parameters:
    `y, state = network(x.expand(T, *x.shape))`, and `y.mean(0)` is what `model(x)` would be. `conversion_loss` measures
    what is lost at which T. Raises ValueError, by name, for parts without a spiking counterpart (max pools, softmax,
    a value that is changed in place and used again), for a ReLU whose percentile is 0, and for weights that are not
    finite or on the meta device; TypeError for what is no module or tensor.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> _ = torch.manual_seed(0)
    >>> ann = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)).double()
    >>> x = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> network = rv.nn.from_ann(ann, x, percentile=100.0)
    >>> y, state = network(x.expand(1000, 50, 2))
    >>> bool((y.mean(0) - ann(x)).abs().max() < 0.001)
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type(model).__name__}; expected a torch.nn.Module of Linear, Conv and ReLU layers")
    require_tensor(examples)
    if examples.ndim < 2 or 0 in examples.shape:
        raise ValueError(f"examples have shape {tuple(examples.shape)}; expected (B, ...) with B > 0")
    require_finite(examples)
    _PERCENTILE.require("percentile", percentile)
    DECAY.require("initial", initial)
    require_values("examples", examples)
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        require_values(f"{name} of the model", value)
        if not bool(value.isfinite().all()):
            raise ValueError(f"{name} of the model is not finite; expected a trained model: look where training failed")
    require_floats(model, examples, "examples")
    traced = trace(copy.deepcopy(model).eval())
    activations = ReluActivations(traced, percentile)
    try:
        activations.measure(examples)
    except RuntimeError as error:
        raise ValueError(
            f"examples of shape {tuple(examples.shape)} do not go through the model: {error}; expected its inputs"
        ) from error
    return _Conversion(traced, activations, initial).graph()


class _Conversion:
    """The graph as it grows: for each of the model's nodes, what carries its value, and the value of one unit of it."""

    def __init__(self, traced: Any, activations: ReluActivations, initial: float) -> None:
        self.traced, self.activations, self.initial = traced, activations, initial
        self.modules = dict(traced.named_modules())
        self.nodes: dict[str, nn.Module] = {}
        self.edges: list[tuple[str, str]] = []
        self.source: dict[Node, str] = {}
        self.unit: dict[Node, float] = {}
        self.inputs: list[str] = []
        self.like = next((p for p in traced.parameters() if p.is_floating_point()), torch.empty(()))

    def graph(self) -> Graph:
        for node in self.traced.graph.nodes:
            self._add(node)
        if not any(isinstance(module, LIF) for module in self.nodes.values()):
            raise ValueError("the model has no ReLU; expected one at least, which becomes spiking neurons")
        return Graph(self.nodes, self.edges, self.inputs, ("output",))

    def _add(self, node: Node) -> None:
        match kind_of(node, self.modules):
            case "input":
                self.inputs.append(node.name)
                self.source[node], self.unit[node] = node.name, 1.0
            case "output":
                if len(node.all_input_nodes) != 1:
                    refuse("an output of several tensors", node.name, "return one tensor")
                self.edges.append((self._plain(node.all_input_nodes[0]), "output"))
            case "dropped":
                of = node.all_input_nodes[0]
                self.source[node], self.unit[node] = self.source[of], self.unit[of]
            case "weighted":
                of, module = node.all_input_nodes[0], copy.deepcopy(self.modules[str(node.target)])
                with torch.no_grad():
                    module.weight.mul_(self.unit[of])
                self._node(node, module, [self.source[of]])
            case "pool" | "flatten" as kind:
                of = node.all_input_nodes[0]
                self._node(node, self.activations.shape_module(node, kind), [self.source[of]], self.unit[of])
            case "norm":
                self._fold(node)
            case "relu":
                self._neurons(node)
            case "add":
                self._sum(node)

    def _sum(self, node: Node) -> None:
        sources = [self._plain(of) for of in (node.args[0], node.args[1])]  # type: ignore[arg-type]
        if sources[0] == sources[1]:  # edges are a set: the second goes a way of its own
            sources[1] = self._extra(f"{node.name}_twice", nn.Identity(), sources[0])
        self._node(node, nn.Identity(), sources)

    def _neurons(self, node: Node) -> None:
        level, shape = self.activations.levels[node.name], self.activations.shapes[node.name]
        if not level > 0:
            raise ValueError(
                f"the ReLU {node.name!r} is 0 at percentile {self.activations.percentile:g} of its activations; "
                "expected a number above 0: give more examples, or a larger percentile"
            )
        layer = LIF(
            shape[0] if len(shape) == 1 else shape, beta=1.0, threshold=level, initial=self.initial * level,
            device=self.like.device, dtype=self.like.dtype,
        )  # fmt: skip
        self._node(node, layer, [self._plain(node.all_input_nodes[0])], level)

    def _fold(self, node: Node) -> None:
        """A batch norm into the weights before it."""
        from torch.nn.utils import fusion

        norm, (before, *_) = self.modules[str(node.target)], node.all_input_nodes
        if kind_of(before, self.modules) != "weighted" or len(before.users) > 1 or norm.running_mean is None:
            refuse(type(norm).__name__, node.name, "place it right after a Linear or Conv, with running statistics")
        linear: Any = self.nodes[before.name]
        if norm.weight is None:  # of affine=False
            norm = copy.deepcopy(norm)
            norm.weight = nn.Parameter(torch.ones_like(norm.running_var))
            norm.bias = nn.Parameter(torch.zeros_like(norm.running_var))
        fuse = fusion.fuse_linear_bn_eval if isinstance(linear, nn.Linear) else fusion.fuse_conv_bn_eval
        self.nodes[before.name] = fuse(linear.eval(), norm)
        self.source[node], self.unit[node] = before.name, 1.0

    def _plain(self, node: Node) -> str:
        """What carries a node's value itself, not in units of a threshold."""
        if self.unit[node] == 1.0:
            return self.source[node]
        name = f"{self.source[node]}_scaled"
        if name not in self.nodes:
            scale = Scale(self.unit[node], dtype=self.like.dtype).to(self.like.device)
            self._extra(name, scale, self.source[node])
        return name

    def _node(self, node: Node, module: nn.Module, sources: list[str], unit: float = 1.0) -> None:
        self.nodes[node.name] = module
        self.edges += [(source, node.name) for source in sources]
        self.source[node], self.unit[node] = node.name, unit

    def _extra(self, name: str, module: nn.Module, source: str) -> str:
        self.nodes[name] = module
        self.edges.append((source, name))
        return name


__all__ = ["from_ann"]
