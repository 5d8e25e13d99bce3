"""The library's own cells, rules and learners as dynamic lenses, and gradient descent as one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ranvier.learners.fitting.loop import Learner
from ranvier.learners.nested.interfaces import Reals, Signals, Untyped
from ranvier.learners.nested.lenses import DynamicLens


def gradient_learner(
    function: Callable[[Tensor, Tensor], Tensor], parameters: Tensor, source: int, target: int, rate: float
) -> DynamicLens:
    """y = function(parameters, x), and back: gradients. The state are the parameters, which descend by `rate`.

    Composed, such lenses are backpropagation with stochastic gradient descent (Fong, Spivak & Tuyéras 2019).
    """

    def backward(p: Tensor, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            inputs = p.detach().requires_grad_(), x.detach().requires_grad_()
            slopes = torch.autograd.grad(function(*inputs), inputs, d, allow_unused=True)
        dp, dx = (torch.zeros_like(v) if g is None else g for g, v in zip(slopes, inputs, strict=True))
        return p - rate * dp, dx

    return DynamicLens(Reals(source), Reals(target), parameters, lambda p, x: function(p, x).detach(), backward)


@torch.no_grad()
def from_cell(cell: Any, batch: int, inputs: int, outputs: int) -> DynamicLens:
    """A `Cell`: signals (batch, inputs) -> (batch, outputs), to which nothing comes back; its state moves with each."""

    @torch.no_grad()
    def forward(state: Any, x: Tensor) -> Tensor:
        return cell.step(state, x)[1]

    @torch.no_grad()
    def backward(state: Any, x: Tensor, d: tuple[()]) -> tuple[Any, tuple[()]]:
        return cell.step(state, x)[0], ()

    return DynamicLens(Signals(inputs), Signals(outputs), cell.init_state(batch), forward, backward)


def from_rule(rule: Any, weight: Tensor, batch: int, dt: float = 1.0) -> DynamicLens:
    """A `Rule` with the weights (target, source) that it changes: forward, presynaptic signals (batch, source) become
    drive (batch, target); back comes the neurons' answer, and weights learn. So the thing that learns is the synapse;
    the nerve cell is what stands between two of them, a wire."""

    def forward(state: Any, pre: Tensor) -> Tensor:
        return pre @ state[1].T

    def backward(state: Any, pre: Tensor, post: Tensor) -> tuple[Any, tuple[()]]:
        own, w = state
        own, change = rule.step(own, w, pre, post, dt=dt)
        return (own, w + change), ()

    start = rule.init_state(weight, batch), weight
    return DynamicLens(Signals(weight.shape[1]), Reals(len(weight)), start, forward, backward)


def from_learner(learner: Learner) -> DynamicLens:
    """A `Learner`: batches to metrics, to which nothing comes back; its state is its `state_dict`. It is put into the
    state at hand at every call, so that the lens is pure for learners that draw no random numbers."""

    def forward(state: Any, batch: Any) -> dict[str, float]:
        learner.load_state_dict(copy.deepcopy(state))
        return learner.evaluate(batch)

    def backward(state: Any, batch: Any, d: tuple[()]) -> tuple[Any, tuple[()]]:
        learner.load_state_dict(copy.deepcopy(state))
        learner.step(batch)
        return copy.deepcopy(learner.state_dict()), ()

    return DynamicLens(Untyped("batches"), Untyped("metrics"), copy.deepcopy(learner.state_dict()), forward, backward)


__all__ = ["from_cell", "from_learner", "from_rule", "gradient_learner"]
