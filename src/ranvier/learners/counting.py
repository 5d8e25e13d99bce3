"""Operations of learning, counted while a learner runs: forward, learning signals, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.autograd.graph import register_multi_grad_hook
from torch.utils._pytree import tree_leaves

from ranvier._results import Fields
from ranvier.nn.counting.counts import Counts
from ranvier.nn.counting.operations import Operations, count_operations
from ranvier.nn.plain_modules import Observer
from ranvier.nn.spiking.layer import DynamicalLayer

_WEIGHTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Learning(Fields):
    """What was counted, in three parts, each with a row a layer.

    forward: the model's operations, and its memory.
    signals: what tells every neuron how to change: errors on their way back through the weights; of a local rule, its
        feedback, its traces (a decay and a sum: a multiply–accumulate) and their products (each taken as one).
    gradients: a neuron's signal times what its synapses received, summed over batch and steps. Times spikes, these
        are additions.

    As in the forward pass, work on parameters alone is left out (the optimizer's, a standardised weight's), and so
    are pooling, the loss, and slopes of activation functions. Of autograd's backward pass the products with weights
    are counted, the neurons' own arithmetic is not.
    Returned by `count_learning`.
    """

    forward: Operations
    signals: Operations
    gradients: Operations

    @property
    def total(self) -> Operations:
        """All three."""
        parts = (self.forward, self.signals, self.gradients)
        return Operations([row for part in parts for row in part.layers], self.signals.uncounted,
                          self.forward.state_bytes, self.forward.activation_bytes)  # fmt: skip

    def __str__(self) -> str:
        return "\n".join(f"{name}\n{getattr(self, name)}" for name in ("forward", "signals", "gradients"))


class Rows(NamedTuple):
    """Where one layer's operations go."""

    forward: Counts
    signals: Counts
    gradients: Counts

    @staticmethod
    def dense_of(weights: nn.Module | nn.Parameter, x: Tensor) -> int:
        """Products that inputs x and these weights take, if nothing is sparse."""
        own = Counts("")
        meet(own, weights, x)
        return own.dense


_NOW: ContextVar[dict[int, Rows] | None] = ContextVar("rows", default=None)


def rows_of(part: Any) -> Rows | None:
    """Those of the layer that `part` is, or belongs to, or of a learner that counts by itself, while a learner is
    counted; else None."""
    now = _NOW.get()
    return None if now is None else now.get(id(part))


def meet(counts: Counts, weights: nn.Module | nn.Parameter, x: Tensor) -> None:
    """Inputs x met the weights of an nn.Linear, an nn.Conv2d or a parameter (N, M), or were met by their changes."""
    if isinstance(weights, nn.Parameter):
        counts.fan(x, len(weights))
    elif isinstance(weights, nn.Linear):
        counts.fan(x, weights.out_features)
    else:
        counts.convolve(weights, x)


@contextmanager
def count_learning(learner: Any) -> Iterator[Learning]:
    """Count all that `learner` does within the block: `with count_learning(learner) as learning: learner.step(batch)`.

    For learners whose class says `counted`: those by backpropagation, TESS, feedback alignment, direct feedback,
    bursts, perturbations (of spiking networks too), forward-forward, synthetic gradients, FORCE and full-FORCE,
    perforated layers (dendrites that grow within the block apart). TypeError for learners whose operations
    are not all counted.

    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2))
    >>> loss = torch.nn.functional.cross_entropy
    >>> learner = rv.learners.BPTT(model, loss, torch.optim.SGD(model.parameters(), 0.1), accuracy=None)
    >>> with rv.learners.count_learning(learner) as learning:
    ...     _ = learner.step((torch.rand(8, 4), torch.arange(8) % 2))
    >>> learning.gradients.macs  # 4 x 2 synapses of 8 examples
    64
    """
    if getattr(learner, "counts_itself", False):
        with _by_itself(learner) as learning:
            yield learning
        return
    if not getattr(learner, "counted", False):
        raise TypeError(
            f"learner is a {type(learner).__name__}; expected BPTT, TESS, FeedbackAlignment or another "
            "learner whose class "
            "says counted = True"
        )
    with count_operations(learner.model) as forward:
        learning = Learning(forward, Operations(), Operations())
        named = {row.name: row for row in forward.layers}
        known: dict[int, Rows] = {}
        hooks: list[Any] = []
        others = list(forward.uncounted)
        for path, module in learner.model.named_modules():
            row = named.get(name := f"{path or 'model'}: {type(module).__name__}")
            if row is None:
                continue
            rows = Rows(row, Counts(name), Counts(name))
            learning.signals.layers.append(rows.signals)
            learning.gradients.layers.append(rows.gradients)
            for part in (*module.modules(), *module.parameters()):
                known.setdefault(id(part), rows)
            if isinstance(module, (DynamicalLayer, *_WEIGHTS)):
                hooks += _watch(module, rows)
            else:
                others.append(name)
        learning.signals.uncounted = learning.gradients.uncounted = tuple(others)
        token = _NOW.set(known)
        try:
            yield learning
        finally:
            _NOW.reset(token)
            for hook in hooks:
                hook.remove()


@contextmanager
def _by_itself(learner: Any) -> Iterator[Learning]:
    """One row, which the learner's own steps add to."""
    rows = Rows(*(Counts(type(learner).__name__) for _ in range(3)))
    learning = Learning(*(Operations([row]) for row in rows))
    token = _NOW.set({id(learner): rows})
    try:
        yield learning
    finally:
        _NOW.reset(token)


def _watch(module: Any, rows: Rows) -> list[Any]:
    """Count autograd's products with a module's weights: as many as forward, but for inputs that need no gradient."""
    before: list[tuple[int, int, int]] = []

    def begin(module: Any, args: Any, kwargs: Any, out: Any) -> None:
        before.append(_counted(rows.forward))

    def end(module: Any, args: Any, kwargs: Any, out: Any) -> None:
        layer_input = args[0] if args else next(iter(kwargs.values()))
        synops, macs, dense = (n - n0 for n, n0 in zip(_counted(rows.forward), before.pop(), strict=True))
        if not (differentiable := [tensor for tensor in tree_leaves(out) if tensor.requires_grad]):
            return
        linear = module.linear if isinstance(module, DynamicalLayer) else module
        own = Counts("")
        if linear is not None and not layer_input.requires_grad:
            meet(own, linear, layer_input.detach())
        learn = any(p.requires_grad and p.ndim > 1 for p in module.parameters())

        def arrive(gradient: Tensor) -> None:
            rows.signals.multiply(dense - own.dense)
            if learn:
                rows.gradients.synops += synops
                rows.gradients.macs += macs
                rows.gradients.dense += dense

        register_multi_grad_hook(differentiable, arrive, mode="any")  # the output's, or only the state's

    return [
        module.register_forward_pre_hook(Observer(begin), with_kwargs=True),
        module.register_forward_hook(Observer(end), with_kwargs=True),
    ]


def _counted(row: Counts) -> tuple[int, int, int]:
    return row.synops, row.macs, row.dense


__all__ = ["Learning", "Rows", "count_learning", "meet", "rows_of"]
