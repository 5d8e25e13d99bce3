"""Contrastive Hebbian learning."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.energies import Clamp, Descent
from ranvier.energies.graphs.layered import Layered
from ranvier.learners.energy_based.equilibrium import Phases
from ranvier.learners.labelled import Encode


class ContrastiveHebbian(Phases):
    """Contrastive Hebbian learning (Movellan 1991; Xie and Seung 2003).

    The network settles freely, then with its output held at the target: weights move by the second phase's Hebbian
    products less the first's. It is equilibrium propagation with β → ∞: where both phases reach the same basin it
    lowers E(clamped) − E(free) >= 0, not the cost itself, and it may fail where they do not.

    Parameters as in `EquilibriumPropagation`, with clamped_steps for nudged_steps.

    >>> _ = torch.manual_seed(0)
    >>> model = rv.energies.Layered([torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)], (4,))
    >>> learner = rv.learners.ContrastiveHebbian(model, torch.optim.SGD(model.parameters(), 0.1))
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
        free_steps: int = 20,
        clamped_steps: int = 10,
        step: float = 0.5,
        evaluation_steps: int | None = None,
        particles: int | None = None,
        encode: Encode | None = None,
        clip: float | None = None,
    ) -> None:
        if not model.confined:
            raise ValueError(f"activations are {model.lagrangian}; expected lagrangian=None: 0 and 1 are held")
        super().__init__(
            model, optimizer, free_steps=free_steps, second_steps=clamped_steps, step=step,
            evaluation_steps=evaluation_steps, particles=particles, encode=encode, clip=clip, settings={},
        )  # fmt: skip

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        field = self.model.drive(x)
        free = self._free(field.detach())
        with torch.no_grad():
            clamp = Clamp.at(self.model.outputs, self._target(labels), self.model.units)
            held = Descent(self.model, self.rule).relax({"x": free}, self.second_steps, clamp, field.detach())["x"]
        coupling = self.model.coupling(held) - self.model.coupling(free)
        (-(coupling + ((held - free) * field).sum(1)).mean()).backward()
        return self._metrics(free, labels)


__all__ = ["ContrastiveHebbian"]
