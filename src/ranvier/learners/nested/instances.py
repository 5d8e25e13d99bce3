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

    >>> lens = rv.learners.nested.gradient_learner(lambda p, x: p * x, torch.tensor([2.0]), 1, 1, rate=0.1)
    >>> p, y, back = rv.learners.nested.step(lens, lens.start, torch.tensor([3.0]), torch.tensor([1.0]))
    >>> y.item(), round(p.item(), 6), back.item()  # p x; p - 0.1 x; p
    (6.0, 1.7, 2.0)
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
    """A `Cell`: signals (batch, inputs) -> (batch, outputs), to which nothing comes back; its state moves with each.

    >>> lens = rv.learners.nested.from_cell(rv.nn.LI(beta=0.5), batch=1, inputs=1, outputs=1)
    >>> _, out = rv.learners.nested.run(lens, [(torch.ones(1, 1), ())] * 3)
    >>> [y.item() for y, _ in out]
    [1.0, 1.5, 1.75]
    """

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
    the nerve cell is what stands between two of them, a wire.

    >>> rule = rv.rules.STDP(A_plus=0.1, A_minus=0.0, w_max=1.0)
    >>> lens = rv.learners.nested.from_rule(rule, torch.full((1, 1), 0.5, dtype=torch.float64), batch=1)
    >>> x = torch.ones(1, 1, dtype=torch.float64)
    >>> lens.forward(lens.start, x).tolist()
    [[0.5]]
    """

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
    state at hand at every call, so that the lens is pure for learners that draw no random numbers.

    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2))
    >>> loss = torch.nn.functional.cross_entropy
    >>> lens = rv.learners.nested.from_learner(
    ...     rv.learners.BPTT(model, loss, torch.optim.SGD(model.parameters(), 0.1), accuracy=None)
    ... )
    >>> batch = torch.eye(4), torch.tensor([0, 0, 1, 1])
    >>> _, out = rv.learners.nested.run(lens, [(batch, ())] * 3)
    >>> out[-1][0]["loss"] < out[0][0]["loss"]
    True
    """

    def forward(state: Any, batch: Any) -> dict[str, float]:
        learner.load_state_dict(copy.deepcopy(state))
        return learner.evaluate(batch)

    def backward(state: Any, batch: Any, d: tuple[()]) -> tuple[Any, tuple[()]]:
        learner.load_state_dict(copy.deepcopy(state))
        learner.step(batch)
        return copy.deepcopy(learner.state_dict()), ()

    return DynamicLens(Untyped("batches"), Untyped("metrics"), copy.deepcopy(learner.state_dict()), forward, backward)


__all__ = ["from_cell", "from_learner", "from_rule", "gradient_learner"]
