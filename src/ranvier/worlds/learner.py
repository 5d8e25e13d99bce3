"""How models of worlds learn: from sequences alone."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from ranvier.learners.labelled import GradientLearner


@runtime_checkable
class WorldModel(Protocol):
    """What `WorldLearner` asks of a torch module; after_step() comes after each step of the optimizer, if there.

    >>> isinstance(rv.worlds.JEPA(9, 2), rv.worlds.WorldModel), isinstance(torch.nn.Linear(2, 2), rv.worlds.WorldModel)
    (True, False)
    """

    def loss(self, x: Tensor, actions: Tensor) -> Tensor:
        """What is minimised, of sequences x (T, B, ...) and actions (T, B, ...)."""


class WorldLearner(GradientLearner):
    """Gradient descent on model.loss(x, actions) of batches (x (T, B, ...), actions (T, B, ...)), a `Learner`.

    model.after_step(), where there is one, follows each step of the optimizer: moving averages, counts.
    Of an empty batch, a model without a loss, or a loss that is not finite it raises, and changes nothing.

    >>> import ranvier as rv, torch
    >>> world, model = rv.worlds.GridWorld(3, 3), rv.worlds.TEMTransformer(size=16)
    >>> learner = rv.worlds.WorldLearner(model, torch.optim.Adam(model.parameters(), 3e-3), clip=1.0)
    >>> log = rv.fit(learner, rv.worlds.Walks(world, steps=10, batch=4, batches=2), epochs=1, progress=False)
    >>> log[0]["loss"] > 0
    True
    """

    def __init__(self, model: nn.Module, optimizer: Any, *, clip: float | None = None) -> None:
        if not isinstance(model, WorldModel):
            raise TypeError(f"model is {type(model).__name__}; expected one with loss(x, actions), as rv.worlds.JEPA")
        super().__init__(model, optimizer, clip=clip)

    def _loss(self, x: Tensor, actions: Tensor) -> Tensor:
        assert isinstance(self.model, WorldModel)
        return self.model.loss(x, actions)

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        loss = self._loss(x, labels)
        if bool(loss.isfinite()):
            loss.backward()
        return loss.item(), None

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        return self._loss(x, labels).item(), None

    def _update(self) -> None:
        super()._update()
        after = getattr(self.model, "after_step", None)
        if after is not None:
            after()

    def _examples(self, labels: Tensor) -> int:
        return labels.shape[1]


__all__ = ["WorldLearner", "WorldModel"]
