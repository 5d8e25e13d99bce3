"""Full-FORCE, also with recorded activities as further targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.force._learner import LeastSquaresLearner
from ranvier.learners.force.rate_network import RateNetwork


class FullFORCE(LeastSquaresLearner):
    """Full-FORCE (DePasquale, Cueva, Rajan, Escola & Abbott 2018), and learning from sparse recordings on its basis
    (Salatiello & Giese 2020).

    A second network, of random weights J_d, is driven by what the first shall do, by the targets f and by `recorded`
    signals h: τ dx_d/dt = −x_d + J_d r_d + W_in u + W_t f + W_h h. The first learns, without these, to give each of
    its units the same current, J r → J_d r_d + W_t f + W_h h, and w r → f, by recursive least squares. Where h are the
    activities of a few units of a circuit, its dynamics become those of the circuit.

    A batch is (x (T, B, inputs), targets (T, B, outputs)), and, with recorded > 0, a third, (T, B, recorded).
    Metrics: loss, the mean squared error of z; `currents`, that of currents over their targets' power; both before
    each update.

    model : a `RateNetwork` without feedback. recorded : the number of signals h. gain : of J_d; W_t and W_h are
        uniform on [−1, 1], times `strength`, and W_h over √recorded. seed : of J_d, W_t and W_h.
    alpha, every : as for `FORCE`.

    >>> _ = torch.manual_seed(0)
    >>> model = rv.learners.RateNetwork(1, 100, 1)
    >>> learner = rv.learners.FullFORCE(model)
    >>> target = torch.sin(torch.arange(300) / 20).reshape(300, 1, 1)
    >>> losses = [learner.step((torch.ones(300, 1, 1), target))["loss"] for _ in range(5)]
    >>> losses[-1] < 0.05  # of a target of power 1/2
    True
    """

    def __init__(
        self, model: RateNetwork, *, recorded: int = 0, gain: float = 1.5, strength: float = 1.0, alpha: float = 1.0,
        every: int = 2, seed: int = 0,
    ) -> None:  # fmt: skip
        settings: dict[str, Any] = {"recorded": recorded, "gain": gain, "strength": strength, "seed": seed}
        super().__init__(model, alpha, every, settings)
        if model.feedback is not None:
            raise ValueError("the model has feedback; expected a RateNetwork with feedback=False")
        if isinstance(recorded, bool) or not isinstance(recorded, int) or recorded < 0:
            raise ValueError(f"recorded is {recorded!r}; expected a whole number of signals >= 0")
        if not (0 <= gain < float("inf") and 0 < strength < float("inf")):
            raise ValueError(f"gain is {gain}, strength {strength}; expected finite numbers, gain >= 0, strength > 0")
        size, outputs = len(model.recurrent), len(model.outputs)
        draw, like = torch.Generator().manual_seed(seed), model.recurrent

        def uniform(*shape: int) -> Tensor:
            return (2 * torch.rand(*shape, generator=draw, dtype=torch.float64) - 1).to(like)

        normal = torch.randn(size, size, generator=draw, dtype=torch.float64)
        self.driven = (normal * gain / size**0.5).to(like)
        self.drives = [strength * uniform(size, outputs)]
        if recorded:
            self.drives.append(strength * uniform(size, recorded) / recorded**0.5)

    def _parts(self) -> list[tuple[str, int]]:
        recorded = self._settings["recorded"]
        return [*super()._parts(), *([("recorded", recorded)] if recorded else [])]

    def _run(self, x: Tensor, targets: Tensor, more: Sequence[Tensor]) -> Metrics:
        model, rate = self.model, self.model.dt / self.model.tau
        own = [model.recurrent.data, model.outputs.data]
        signals = [targets, *more]
        drive = sum(s @ w.T for s, w in zip(signals, self.drives, strict=True))
        entering = x @ model.inputs.T
        own_x = driven_x = model.init_state(x.shape[1])["x"]
        total, miss, power, count = 0.0, 0.0, 0.0, 0
        for t, f in enumerate(targets):
            r, driven_r = torch.tanh(own_x), torch.tanh(driven_x)
            goal = driven_r @ self.driven.T + drive[t]  # type: ignore[index]
            if (t + 1) % self.every == 0 or t + 1 == len(x):
                errors = [r @ own[0].T - goal, r @ own[1].T - (targets[t - 1] if t else torch.zeros_like(f))]
                self.least_squares.update(own, r, errors)
                total, count = total + errors[1].square().mean().item(), count + 1
                miss, power = miss + errors[0].square().sum().item(), power + goal.square().sum().item()
            own_x = own_x + rate * (r @ own[0].T + entering[t] - own_x)
            driven_x = driven_x + rate * (goal + entering[t] - driven_x)
        driven = self.driven.numel() + sum(w.numel() for w in self.drives)
        self._count(len(x), x.shape[1], count, model.recurrent.numel() + model.outputs.numel(), driven)
        return {"loss": total / count, "currents": miss / power if power else miss}


__all__ = ["FullFORCE"]
