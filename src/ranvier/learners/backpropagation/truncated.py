"""Truncated backpropagation through time."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ranvier.learners.labelled import Encode, GradientLearner, Loss, name
from ranvier.learners.losses import accuracy
from ranvier.nn.checks import require_finite


class TruncatedBPTT(GradientLearner):
    """Every `every` steps, the loss of these steps goes back through the last `back` steps, and no further
    (Williams & Peng 1990, BPTT(h; h') with h = back, h' = every).

    The sequence is cut into windows of `every` steps; the states between them are kept, their graphs only for
    the last `back` steps, so that memory does not grow with T (the input itself apart). Every window's loss
    counts by its share of the steps: for a loss that is a mean over steps, `back` >= T gives BPTT's gradient
    exactly; one window, `every` >= T, gives it for any loss.

    Parameters
    ----------
    model : a `Cell`, such as `rv.nn.Sequential`.
    loss : of a window's output and labels, such as `rv.learners.membrane_cross_entropy`.
    optimizer : a torch optimizer over the model's parameters.
    every : k1, steps in a window.
    back : k2, a multiple of `every`; default `every`.
    update : "sequence": one step of the optimizer a batch, on the sum; "window": one a window, for which
        `back` must equal `every` (older graphs hold the older weights).
    encode, clip : as for `BPTT`.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = rv.nn.LIF(4, 2)
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.01)
    >>> learner = rv.learners.TruncatedBPTT(model, rv.learners.rate_cross_entropy, optimizer, every=5)
    >>> learner.step((torch.rand(10, 8, 4), torch.arange(8) % 2))["examples"]
    8
    """

    counted: ClassVar[bool] = True

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        every: int,
        back: int | None = None,
        update: str = "sequence",
        encode: Encode | None = None,
        clip: float | None = None,
    ) -> None:
        back = every if back is None else back
        if every < 1 or back < every or back % every:
            raise ValueError(f"every is {every}, back is {back}; expected back to be a multiple of every >= 1")
        if update not in ("sequence", "window"):
            raise ValueError(f'update is {update!r}; expected "sequence" or "window"')
        if update == "window" and back != every:
            raise ValueError(f'there is update = "window" with every = {every}, back = {back}; expected them equal')
        if not hasattr(model, "init_state"):
            raise TypeError(f"there is a {type(model).__name__}; expected a Cell: its state is carried over the cuts")
        settings = {"loss": name(loss), "every": every, "back": back, "update": update}
        super().__init__(model, optimizer, encode=encode, clip=clip, settings=settings)
        self.loss, self.every, self.back, self.update = loss, every, back, update

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        return self._run(x, labels, learn=True)

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        return self._run(x, labels, learn=False)

    def _run(self, x: Tensor, labels: Tensor, *, learn: bool) -> tuple[float, float]:
        if x.ndim < 3 or len(x) == 0:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, ...) with T > 0")
        require_finite(x)  # before any window changes a weight
        cuts = [*range(0, len(x), self.every), len(x)]
        state, total, votes = None, 0.0, None
        chain: deque[tuple[list[Tensor], list[Tensor]]] = deque(maxlen=self.back // self.every)
        for start, end in pairwise(cuts):
            begin = _tree(state, lambda t: t.detach().requires_grad_(learn and t.is_floating_point()))
            y, state = self.model(x[start:end], begin)
            loss = self.loss(y, labels) * ((end - start) / len(x))
            chain.append((_leaves(begin), _leaves(state)))
            if learn and bool(torch.isfinite(loss)):
                self._back(loss, chain)
                if self.update == "window" and end < len(x):
                    self._apply()
            total += loss.item()
            votes = y.detach().sum(0) if votes is None else votes + y.detach().sum(0)
        return total, accuracy(votes[None], labels)  # type: ignore[index]

    def _back(self, loss: Tensor, chain: deque[tuple[list[Tensor], list[Tensor]]]) -> None:
        """Through the windows that are still there; their beginnings are leaves whose gradients we pass on."""
        for begin, _ in chain:
            for leaf in begin:
                leaf.grad = None
        loss.backward(retain_graph=len(chain) > 1 or self.back > self.every)
        later = chain[-1][0]
        for begin, ends in list(chain)[-2::-1]:
            pairs = [(e, s.grad) for e, s in zip(ends, later, strict=True) if s.grad is not None and e.requires_grad]
            if not pairs:
                return
            torch.autograd.backward([e for e, _ in pairs], [g for _, g in pairs], retain_graph=True)
            later = begin

    def _apply(self) -> None:
        self._update()
        self.model.zero_grad()


def _leaves(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    if isinstance(state, dict):
        return [t for value in state.values() for t in _leaves(value)]
    if isinstance(state, list | tuple):
        return [t for value in state for t in _leaves(value)]
    return []


def _tree(state: Any, change: Any) -> Any:
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, dict):
        return {key: _tree(value, change) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(_tree(value, change) for value in state)
    return state
