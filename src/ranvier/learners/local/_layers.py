"""What rules that are local in time need of layers: one step that tells how far from threshold every neuron was,
and weight gradients collected step by step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from ranvier.codegen.arithmetic.products import linear, product
from ranvier.engines.surrogates import Surrogate
from ranvier.learners.counting import meet, rows_of
from ranvier.nn.cell import CellState
from ranvier.nn.plain_modules import uses_its_weight
from ranvier.nn.spiking.layer import DynamicalLayer


class Watched(Surrogate):
    """Another surrogate's spike, without a gradient, that stores the distance to threshold it was called with."""

    def __init__(self) -> None:
        self.distance: Tensor | None = None

    def __call__(self, distance: Tensor, strict: bool = False) -> Tensor:
        self.distance = distance
        return (distance > 0 if strict else distance >= 0).to(distance.dtype)


def advance(layer: DynamicalLayer, state: CellState, current: Tensor) -> tuple[CellState, Tensor, Tensor | None]:
    """One step of the neurons alone, given all their input (B, N...): state, y, distance to threshold (None: no
    threshold)."""
    watched = Watched()
    own = {name: state[name] for name, _ in layer.equations.states}
    y, after = layer.equations.evaluate(watched, current, **own, **layer._constants())
    if (counted := rows_of(layer)) is not None:
        counted.forward.update(layer.equations.equations, y.numel())
    return sent(layer, state, after, y), y, watched.distance


def begin(layer: DynamicalLayer, current: Tensor) -> CellState:
    """The state at rest, for input (B, N...) of a shape that the layer may have left open."""
    state = {name: torch.zeros_like(current) for name, _ in layer.equations.states}
    if layer.recurrent is not None:
        state[layer.delays.name] = current.new_zeros(layer.delays.shape(len(current), current.shape[1]))
    return state


def arriving(layer: DynamicalLayer, state: CellState) -> Tensor:
    """The layer's own spikes (B, N) that arrive at this step."""
    return layer.delays.arriving(state[layer.delays.name])


def sent(layer: DynamicalLayer, before: CellState, after: CellState, y: Tensor) -> CellState:
    """The state after a step, with the spikes that are on their way."""
    if layer.recurrent is None:
        return after
    return {**after, layer.delays.name: layer.delays.after(before[layer.delays.name], y)}


class LayerSynapses:
    """A weight (and bias) that turns presynaptic activity into input, and collects Σ post ⊗ pre.

    module : an nn.Linear or nn.Conv2d, whose weight may be parametrized; or a parameter (N, N).
    """

    def __init__(self, module: nn.Linear | nn.Conv2d | nn.Parameter) -> None:
        self.module = module
        plain = isinstance(module, nn.Parameter)
        if not isinstance(module, nn.Parameter):
            require_own_weight(module)
        self.effective: Tensor = module if plain else module.weight  # type: ignore[assignment, union-attr]
        self.weight = self.effective.detach()
        self.bias: Tensor | None = None if plain else module.bias  # type: ignore[union-attr]
        self.sum = torch.zeros_like(self.weight)
        self.bias_sum = None if self.bias is None else torch.zeros_like(self.bias)

    def __call__(self, x: Tensor) -> Tensor:
        maps = isinstance(self.module, nn.Conv2d)
        sources = self.weight.shape[1] * (self.module.groups if isinstance(self.module, nn.Conv2d) else 1)
        if x.ndim != 2 + 2 * maps or x.shape[1] != sources or x.dtype != self.weight.dtype:
            raise ValueError(
                f"x has shape {tuple(x.shape)} and {x.dtype} at a step; expected (B, {sources}"
                f"{', height, width' * maps}) of {self.weight.dtype}"
            )
        if (counted := rows_of(self.module)) is not None:
            meet(counted.forward, self.module, x)
        bias = None if self.bias is None else self.bias.detach()
        if isinstance(self.module, nn.Conv2d):
            return self.module._conv_forward(x, self.weight, bias)
        return linear(x, self.weight, bias)

    def collect(self, post: Tensor, pre: Tensor, bias_trace: float = 1.0) -> None:
        """Add the batch's sum of post (B, N...) times pre (B, M...); a bias's presynaptic trace is a number."""
        if (counted := rows_of(self.module)) is not None:
            meet(counted.gradients, self.module, pre)
        if isinstance(self.module, nn.Conv2d):
            m = self.module
            self.sum += conv2d_weight(pre, self.weight.shape, post, m.stride, m.padding, m.dilation, m.groups)  # type: ignore[arg-type]
        else:
            self.sum += product(post.T, pre)
        if self.bias_sum is not None:
            over = [k for k in range(post.ndim) if k != 1]
            self.bias_sum += bias_trace * post.sum(over)

    def leave(self, scale: float) -> None:
        """Put scale · the sum into the parameters' gradients, through whatever makes the weight from them."""
        if self.effective.requires_grad:
            self.effective.backward(scale * self.sum)
        if self.bias is not None and self.bias.requires_grad:
            assert self.bias_sum is not None
            self.bias.grad = scale * self.bias_sum


def require_finite_states(states: Iterable[Tensor]) -> None:
    """ValueError where what goes from one step to the next is not finite, though the input is."""
    if not all(bool(torch.isfinite(state).all()) for state in states):
        raise ValueError("states are not finite though x is; expected finite weights, not too large")


def require_own_weight(module: nn.Module) -> None:
    """ValueError for a module whose call does not simply take its weight: a rule that reads it would learn another."""
    if not uses_its_weight(module):
        raise ValueError(
            f"there is {module!r}, a subclass or one with hooks, whose call need not take its weight "
            "as it is; expected "
            "nn.Linear or nn.Conv2d, plain or parametrized: use torch.nn.utils.parametrizations, prune.remove, or "
            "rv.learners.BPTT, which calls it"
        )


def is_parametrized(module: nn.Module) -> bool:
    """Whether a weight is made from other parameters."""
    return bool(getattr(module, "parametrizations", None))


def own_synapses(layer: Any) -> list[LayerSynapses]:
    """Input synapses, then recurrent ones, of a layer."""
    synapses = [] if layer.linear is None else [LayerSynapses(layer.linear)]
    return synapses + ([] if layer.recurrent is None else [LayerSynapses(layer.recurrent)])
