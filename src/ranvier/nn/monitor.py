"""What layers do while a model trains: spikes, rates, membranes, the gradients that reach them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ranvier._checks import count, instance
from ranvier._results import Columns
from ranvier._text import plural
from ranvier.nn.checks import holds_values
from ranvier.nn.padding import select_examples
from ranvier.nn.sequential import is_cell

_MEMBRANES = ("v", "V")


class LayerMonitor(Columns):
    """Records the layers of neurons in a model, by name, while it is used within a `with` block; the model computes
    what it computes without it.

    Every `every`-th call of a layer is recorded, in training or not. Of each recorded call there are numbers in
    `calls[name]` (which call, counted from 0), `rates[name]` (spikes a step and neuron), `silent[name]` (share of
    neurons without a spike in the batch), both NaN for layers whose output is no spikes, and `gradients[name]` (root
    mean square, over all entries, of the loss's gradient by the output; NaN where none came). Of the last one, for
    example `sample` of its batch, there are `spikes[name]` (T, N), where the layer has any, and, with `membranes`,
    `voltages[name]` (T, N): N flattens the neurons' axes.

    Parameters
    ----------
    model : any module with layers of rv.nn in it.
    every : of how many calls one is recorded.
    sample : the example whose spikes and membranes are stored.
    membranes : record membranes, by running that example a second time, step by step, without gradients.
    weights : also store a copy of each layer's own weights at every recorded call, `weights[name]`.

    A layer that a forward pass calls several times, or step by step, has a record for each call. What torch.compile has
    compiled, and copies of the model, have none. Raises TypeError for what is no module, ValueError for a model without
    layers of neurons.

    >>> model = rv.nn.Sequential(rv.nn.LIF(3, 4), rv.nn.LI(4, 2))
    >>> with rv.nn.LayerMonitor(model, membranes=True) as monitor:
    ...     model(torch.rand(5, 8, 3))[0].sum().backward()
    >>> list(monitor.rates), monitor.voltages["0"].shape, monitor.gradients["1"]
    (['0', '1'], torch.Size([5, 4]), [1.0])
    """

    def __init__(
        self, model: nn.Module, *, every: int = 1, sample: int = 0, membranes: bool = False, weights: bool = False
    ) -> None:
        instance(model, nn.Module, "model", "a torch.nn.Module")
        self.every, self.sample = count(every, "every", 1), count(sample, "sample")
        self.membranes, self.keep_weights = membranes, weights
        self.layers = {name or type(m).__name__: m for name, m in model.named_modules() if _is_layer(m)}
        if not self.layers:
            raise ValueError(
                f"the model is {type(model).__name__}; expected layers of neurons, such as rv.nn.LIF, in it"
            )
        self.calls: dict[str, list[int]] = {name: [] for name in self.layers}
        self.rates: dict[str, list[float]] = {name: [] for name in self.layers}
        self.silent: dict[str, list[float]] = {name: [] for name in self.layers}
        self.gradients: dict[str, list[float]] = {name: [] for name in self.layers}
        self.weights: dict[str, list[Tensor]] = {name: [] for name in self.layers}
        self.spikes: dict[str, Tensor] = {}
        self.voltages: dict[str, Tensor] = {}
        self._counts = dict.fromkeys(self.layers, 0)
        self._handles: list[RemovableHandle] = []
        self._running = False

    def __enter__(self) -> LayerMonitor:
        for name, layer in self.layers.items():
            self._handles.append(layer.register_forward_hook(_Hook(partial(self._called, name)), with_kwargs=True))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _columns(self) -> dict[str, Any]:
        names = [name for name, calls in self.calls.items() for _ in calls]
        kinds: dict[str, Any] = {"call": self.calls, "rate": self.rates, "silent": self.silent}
        kinds["gradient"] = self.gradients
        return {"layer": names, **{key: [v for row in kind.values() for v in row] for key, kind in kinds.items()}}

    def __repr__(self) -> str:
        calls = sum(map(len, self.calls.values()))
        return f"LayerMonitor({plural(len(self.layers), 'layer')}, {plural(calls, 'call')})"

    def _called(self, name: str, layer: nn.Module, arguments: Any, named: Any, output: Any) -> None:
        if self._running or torch.compiler.is_compiling():
            return
        call, self._counts[name] = self._counts[name], self._counts[name] + 1
        y: Tensor = output[0]
        if call % self.every or not y.numel() or not holds_values(y):
            return
        if self.sample >= y.shape[1]:
            raise ValueError(f"sample is {self.sample} in a batch of {y.shape[1]}; expected a smaller one")
        flat = y.detach().flatten(2)
        self.calls[name].append(call)
        spikes = bool(((flat == 0) | (flat == 1)).all()) and ("surrogate" in vars(layer) or bool(flat.any()))
        self.rates[name].append(float(flat.double().mean()) if spikes else math.nan)
        self.silent[name].append(float((flat == 0).all(0).all(0).double().mean()) if spikes else math.nan)
        if spikes:
            self.spikes[name] = flat[:, self.sample].clone()
        self.gradients[name].append(math.nan)
        if y.requires_grad:
            y.register_hook(partial(self._reached, name, len(self.gradients[name]) - 1))
        if self.keep_weights and isinstance(getattr(layer, "linear", None), nn.Module):
            self.weights[name].append(layer.linear.weight.detach().clone())  # type: ignore[union-attr,operator]
        if self.membranes:
            state = arguments[1] if len(arguments) > 1 else named.get("state")
            self._record_membranes(name, layer, arguments[0] if arguments else named["x"], state)

    def _reached(self, name: str, place: int, gradient: Tensor) -> None:
        self.gradients[name][place] = float(gradient.detach().double().square().mean().sqrt())

    def _record_membranes(self, name: str, layer: Any, x: Tensor, state: Any) -> None:
        key = next((k for k in _MEMBRANES if k in layer.init_state(1)), None)
        if key is None:  # before it runs: a norm would take the second run into its statistics
            return
        rows, row = [], torch.tensor([self.sample])
        self._running = True  # its steps are calls of the layer as well
        try:
            with torch.no_grad():
                state = layer.init_state(1) if state is None else select_examples(state, row)
                for value in x.detach()[:, self.sample : self.sample + 1].unbind(0):
                    state, _ = layer.step(state, value)
                    rows.append(state[key].flatten())
        finally:
            self._running = False
        self.voltages[name] = torch.stack(rows)


class _Hook:
    """What a layer calls; a copy of the layer calls nothing."""

    def __init__(self, call: Callable[..., None] | None) -> None:
        self.call = call

    def __call__(self, *arguments: Any) -> None:
        if self.call is not None:
            self.call(*arguments)

    def __deepcopy__(self, memo: Any) -> _Hook:
        return _Hook(None)


def _is_layer(module: nn.Module) -> bool:
    """A cell with outputs of neurons, that holds no other."""
    inner = any(is_cell(part) for part in module.modules() if part is not module)
    return is_cell(module) and not inner and bool(module.init_state(1))  # type: ignore[operator]


__all__ = ["LayerMonitor"]
