"""Equilibrium propagation: a network settles, its output is nudged, and the difference is the gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ranvier.energies import Descent, Fixed
from ranvier.energies.graphs.lagrangians import Identity, Sigmoid, Tanh
from ranvier.energies.graphs.layered import Layered
from ranvier.learners.energy_based._nudged import Complexified, Nudged, to_complex, to_real
from ranvier.learners.energy_based.nudging import Nudging, RandomSign
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.labelled import Encode, GradientLearner
from ranvier.learners.losses import accuracy, check_labels


class Phases(GradientLearner):
    """What learners that compare two phases of a `Layered` energy share: the free phase, and measuring by it."""

    model: Layered

    def __init__(
        self,
        model: Layered,
        optimizer: torch.optim.Optimizer,
        *,
        free_steps: int,
        second_steps: int,
        step: float,
        evaluation_steps: int | None,
        particles: int | None,
        encode: Encode | None,
        clip: float | None,
        settings: dict[str, Any],
    ) -> None:
        if not isinstance(model, Layered):
            raise TypeError(f"model is a {type(model).__name__}; expected rv.energies.Layered")
        if min(free_steps, second_steps) < 1:
            raise ValueError(f"there are phases of {free_steps} and {second_steps} steps; expected 1 at least")
        settings |= {
            "steps": [free_steps, second_steps, step],
            "particles": particles,
        }
        super().__init__(model, optimizer, encode=encode, clip=clip, settings=settings)
        self.free_steps, self.second_steps, self.rule = free_steps, second_steps, Fixed(step)
        self.evaluation_steps = evaluation_steps or free_steps
        self._index: Tensor | None = None
        if particles is not None:
            self._own["particles"] = model.init_state(particles).half()  # where descents begin: no more is needed

    def step(self, batch: tuple[Tensor, ...]) -> Metrics:  # type: ignore[override]
        """Learn from (x, labels), or from (x, labels, index) where states persist."""
        if "particles" not in self._own:
            return super().step(batch)  # type: ignore[arg-type]
        if len(batch) != 3:
            raise ValueError(f"the batch has {len(batch)} parts; expected (x, labels, index): states persist")
        x, labels, self._index = batch
        if not len(x) == len(labels) == len(self._index):
            counts = f"{len(x)} inputs, {len(labels)} labels and {len(self._index)} places"
            raise ValueError(f"the value is {counts}; expected as many of each")
        return super().step((x, labels))

    def evaluate(self, batch: tuple[Tensor, ...]) -> Metrics:  # type: ignore[override]
        """Loss and accuracy of the free phase, from rest, of (x (B, ...), labels (B,))."""
        return super().evaluate((batch[0], batch[1]))

    @torch.no_grad()
    def _free(self, field: Tensor) -> Tensor:
        """The free state (B, N), from where the examples' last one was, if it persists."""
        start = self.model.init_state(len(field))
        if self._index is not None:
            start = self._own["particles"][self._index].to(field.dtype)
        x = settle(self.model, start, field, self.free_steps, self.rule)
        if self._index is not None:
            self._own["particles"][self._index] = x.half()
        return x

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        field = self.model.drive(x)
        state = settle(self.model, self.model.init_state(len(x)), field, self.evaluation_steps, self.rule)
        return self._metrics(state, labels)

    def _metrics(self, state: Tensor, labels: Tensor) -> tuple[float, float]:
        out = self.model.output(state)
        return float(cost(out, self._target(labels)).mean()), accuracy(out[None], labels)

    def _target(self, labels: Tensor) -> Tensor:
        where = self.model.outputs
        like = next(self.model.parameters())
        classes = where.stop - where.start
        return F.one_hot(check_labels(like.new_empty(1, len(labels), classes), labels), classes).to(like.dtype)


class EquilibriumPropagation(Phases):
    """Equilibrium propagation (Scellier and Bengio 2017).

    The network settles freely; a force β (target − output) nudges its output, and it settles again near by. The
    difference of ∂E/∂θ at these states, over β, is the gradient of the cost |output − target|²/2 as β → 0: two
    local, Hebbian terms, without a network to carry errors back.

    Parameters
    ----------
    model : a `rv.energies.Layered`, dense or convolutional.
    optimizer : a torch optimizer over its parameters.
    nudging : `OneSided`, `RandomSign`, `Symmetric` or `Holomorphic` (for smooth activations).
    free_steps, nudged_steps, step : of the descent. Too few nudged steps, and what is nudged does not reach the
        layers far from the output.
    evaluation_steps : of the free phase in `evaluate`; None takes free_steps.
    particles : how many examples there are, if each shall begin where its last free phase ended. Batches are then
        (x, labels, index), and a checkpoint holds the states of all, two bytes a unit (half precision).
    encode, clip : as in `rv.learners.BPTT`.

    A batch is (x, labels). Metrics: loss (the cost in the free phase) and accuracy.

    >>> _ = torch.manual_seed(0)
    >>> model = rv.energies.Layered([torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)], (4,))
    >>> learner = rv.learners.EquilibriumPropagation(model, torch.optim.SGD(model.parameters(), 0.1))
    >>> batch = torch.eye(4), torch.tensor([0, 0, 1, 1])
    >>> losses = [learner.step(batch)["loss"] for _ in range(30)]
    >>> losses[-1] < losses[0]
    True
    """

    def __init__(
        self,
        model: Layered,
        optimizer: torch.optim.Optimizer,
        *,
        nudging: Nudging | None = None,
        free_steps: int = 20,
        nudged_steps: int = 4,
        step: float = 0.5,
        evaluation_steps: int | None = None,
        particles: int | None = None,
        encode: Encode | None = None,
        clip: float | None = None,
    ) -> None:
        self.nudging = nudging or RandomSign(0.5)
        super().__init__(
            model, optimizer, free_steps=free_steps, second_steps=nudged_steps, step=step,
            evaluation_steps=evaluation_steps, particles=particles, encode=encode, clip=clip,
            settings={"nudging": repr(self.nudging)},
        )  # fmt: skip

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        field = self.model.drive(x)
        free = self._free(field.detach())
        nudged_gradient(self.model, free, field, self._target(labels), self.nudging, self.second_steps, self.rule)
        return self._metrics(free, labels)


def nudged_gradient(
    model: Layered, free: Tensor, field: Tensor, target: Tensor, nudging: Nudging, steps: int, rule: Fixed
) -> None:
    """Add the gradient of the mean cost to the parameters' `.grad`, as the nudged phases estimate it.

    free (B, N): the free state. field (B, N): `model.drive(x)`, with its graph. target (B, classes).
    """
    weighted, energies = torch.zeros_like(free), torch.zeros((), dtype=free.dtype)
    for beta, weight in nudging.points():
        state = free if beta == 0 else nudged(model, free, field.detach(), target, beta, steps, rule)
        y = model.activations(state)
        energies = energies - (weight * model.coupling(y)).real.mean()
        weighted = weighted + (weight * y).real
    (energies - (weighted * field).sum() / len(free)).backward()


@torch.no_grad()
def nudged(
    model: Layered, free: Tensor, field: Tensor, target: Tensor, beta: complex, steps: int, rule: Fixed
) -> Tensor:
    """Where the nudged network gets from the free state (B, N) in `steps` steps; complex if β is."""
    if not isinstance(beta, complex):
        return settle(Nudged(model, target, beta), free, field, steps, rule)
    if model.confined or not isinstance(model.lagrangian, Identity | Sigmoid | Tanh):
        kind = "confined to [0, 1]" if model.confined else f"of {model.lagrangian}"
        raise ValueError(f"there are activations {kind}; expected holomorphic ones: those of Sigmoid() or Tanh()")
    energy = Complexified(Nudged(model, target, beta))
    return to_complex(settle(energy, to_real(free), to_real(field), steps, rule))


def settle(energy: Any, start: Tensor, field: Tensor, steps: int, rule: Fixed) -> Tensor:
    """The state (B, N) after `steps` steps from `start` (B, N), under a field (B, N)."""
    return Descent(energy, rule).relax({"x": start}, steps, field=field)["x"]


def cost(output: Tensor, target: Tensor) -> Tensor:
    """|output − target|²/2 (B,)."""
    return 0.5 * (output - target).square().sum(1)


__all__ = ["EquilibriumPropagation", "Phases", "cost", "nudged", "nudged_gradient", "settle"]
