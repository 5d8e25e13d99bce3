"""What a conversion loses: accuracy and rates beside the activations, by the number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ranvier._checks import count, instance
from ranvier._results import Columns, Curves
from ranvier.nn.checks import require_tensor
from ranvier.nn.conversion._activations import ReluActivations, require_floats, trace
from ranvier.nn.graph import Graph
from ranvier.nn.spiking.lif import LIF


@dataclass(frozen=True)
class ConversionLoss(Columns):
    """What `conversion_loss` measured.

    steps : numbers of steps, ascending. accuracy : of the spiking network after each of them; model_accuracy : of the
    model. error, correlation : by layer, after each number of steps: the mean of |θ · rate − activation| in units of
    the threshold θ, over units and examples, and Pearson's correlation of the two (NaN where one does not vary).
    """

    steps: tuple[int, ...]
    accuracy: tuple[float, ...]
    model_accuracy: float
    error: dict[str, tuple[float, ...]]
    correlation: dict[str, tuple[float, ...]]

    @property
    def loss(self) -> tuple[float, ...]:
        """Accuracy lost after each number of steps; negative where the spiking network is better."""
        return tuple(self.model_accuracy - a for a in self.accuracy)

    def _columns(self) -> dict[str, Any]:
        errors = {f"error of {name}": row for name, row in self.error.items()}
        alike = {f"correlation of {name}": row for name, row in self.correlation.items()}
        return {"steps": self.steps, "accuracy": self.accuracy, "loss": self.loss, **errors, **alike}

    def _curves(self) -> Curves:
        model = (self.model_accuracy,) * len(self.steps)
        return Curves(self.steps, {"spiking": self.accuracy, "model": model}, "steps", "accuracy")

    def __str__(self) -> str:
        names = "  ".join(f"error of {name}" for name in self.error)
        lines = [f"steps  accuracy (model {self.model_accuracy:.4f})  {names}"]
        for k, (T, a) in enumerate(zip(self.steps, self.accuracy, strict=True)):
            lines.append(f"{T:5d}  {a:.4f}  " + "  ".join(f"{row[k]:.4f}" for row in self.error.values()))
        return "\n".join(lines)


def conversion_loss(
    model: nn.Module, network: Graph, x: Tensor, labels: Tensor, steps: Sequence[int] = (4, 8, 16, 32, 64)
) -> ConversionLoss:
    """The loss of a conversion, `network = rv.nn.from_ann(model, ...)`, on examples x (B, ...) and labels (B,).

    The network runs once, over the largest number of `steps`, from its own initial state. Raises ValueError for a
    network without the model's ReLUs as neurons, no examples, labels of another number, and steps that are not
    positive whole numbers; TypeError for what is no module, Graph or tensor, and for examples of another precision.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> _ = torch.manual_seed(0)
    >>> ann = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> x = torch.rand(50, 2)
    >>> measured = rv.nn.conversion_loss(ann, rv.nn.from_ann(ann, x), x, (ann(x)).argmax(1), steps=(8, 256))
    >>> measured.model_accuracy, measured.error["_1"][1] < 0.01
    (1.0, True)
    """
    instance(model, nn.Module, "model", "the torch.nn.Module that was converted")
    instance(network, Graph, "network", "an rv.nn.Graph, of from_ann(model, ...)")
    instance(steps, Sequence, "steps", "positive whole numbers, such as (8, 32)")
    require_tensor(x)
    require_floats(model, x, "x")
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, ...) with B > 0")
    ends = sorted({count(T, "a number of steps", 1) for T in steps})
    if not ends:
        raise ValueError("steps are (); expected positive whole numbers")
    if not isinstance(labels, Tensor) or labels.shape != x.shape[:1] or labels.is_floating_point():
        shape = tuple(labels.shape) if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"labels are {shape}; expected whole numbers ({len(x)},), one an example")
    was_training = model.training
    try:
        activations = ReluActivations(trace(model.eval()))
        right = activations.measure(x, keep=True).argmax(1) == labels
    finally:
        model.train(was_training)
    layers: dict[str, Any] = {name: network.nodes[name][0] for name in activations.values if name in network.nodes}
    if not layers or not all(isinstance(layer, LIF) for layer in layers.values()):
        raise ValueError("the network has no neurons with names of the model's ReLUs; expected from_ann(model, ...)")
    accuracy: list[float] = []
    error: dict[str, list[float]] = {name: [] for name in layers}
    correlation: dict[str, list[float]] = {name: [] for name in layers}
    for T, total, counts in _courses(network, layers, x, ends):
        accuracy.append(float((total.argmax(1) == labels).double().mean()))
        for name, layer in layers.items():
            rate, activation = counts[name] * layer.threshold / T, activations.values[name]
            error[name].append(float(((rate - activation).abs() / layer.threshold).double().mean()))
            both = torch.stack([rate.flatten(), activation.flatten()]).double()
            correlation[name].append(float(torch.corrcoef(both)[0, 1]))
    return ConversionLoss(
        tuple(ends), tuple(accuracy), float(right.double().mean()),
        {name: tuple(row) for name, row in error.items()}, {name: tuple(row) for name, row in correlation.items()},
    )  # fmt: skip


def _courses(network: Graph, layers: dict[str, Any], x: Tensor, ends: list[int]) -> Any:
    """After each number of steps: itself, the sum of outputs (B, C), the spike counts of layers."""
    counts: dict[str, Any] = dict.fromkeys(layers, 0)

    def count(name: str, _: nn.Module, __: Any, output: Any) -> None:
        counts[name] = counts[name] + output[0].sum(0)

    handles = [layer.register_forward_hook(partial(count, name)) for name, layer in layers.items()]
    total, state, done = 0, None, 0
    try:
        with torch.no_grad():
            for T in ends:
                while done < T:
                    chunk = min(T - done, 16)  # bounds the memory for large images
                    y, state = network(x[None].expand(chunk, *x.shape), state)
                    total, done = total + y.sum(0), done + chunk
                yield T, total, counts
    finally:
        for handle in handles:
            handle.remove()


__all__ = ["ConversionLoss", "conversion_loss"]
