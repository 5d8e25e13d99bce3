"""Weight perturbation."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.learners._outputs import require_finite_input
from ranvier.learners.counting import rows_of
from ranvier.learners.labelled import whole
from ranvier.learners.perturbation._directional import DirectionalLearner


class WeightPerturbation(DirectionalLearner):
    """The loss's slope along random directions of all parameters, times these (Jabri & Flower 1992; Werfel, Xie & Seung
    2005): ĝ = (L(θ + σξ) − L(θ − σξ))/2σ · ξ, ξ normal, mean over `samples`.

    To first order in σ, E[ĝ] is the gradient g, and E|ĝ − g|² = (n + 1)|g|²/samples for n parameters.

    model : any torch module. loss, optimizer, encode, clip, accuracy : as for `BPTT`. sigma : σ.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = torch.nn.Linear(4, 2)
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.01)
    >>> learner = rv.learners.WeightPerturbation(model, torch.nn.functional.cross_entropy, optimizer)
    >>> learner.step((torch.rand(8, 4), torch.arange(8) % 2))["examples"]
    8
    """

    def _require(self, x: Tensor) -> None:
        require_finite_input(x)

    @torch.no_grad()
    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        self._require(x)
        learning = [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]
        start = [p.clone() for p in learning]
        total = [torch.zeros_like(p) for p in learning]
        loss, right = 0.0, 0.0
        for _ in range(self.samples):
            noise = [torch.randn_like(p) for p in learning]
            randomness = torch.get_rng_state()
            losses = []
            for sign in (1, -1):
                torch.set_rng_state(randomness)  # dropout's choice is the same on both sides
                for p, s, n in zip(learning, start, noise, strict=True):
                    p.copy_(s + sign * self.sigma * n)
                try:
                    value, share = whole(self.model, self.loss, x, labels, self.accuracy)
                finally:
                    for p, s in zip(learning, start, strict=True):
                        p.copy_(s)
                losses.append(value.item())
                right += 0.0 if share is None else share / (2 * self.samples)
            slope = (losses[0] - losses[1]) / (2 * self.sigma * self.samples)
            for t, n in zip(total, noise, strict=True):
                t.add_(n, alpha=slope)
            loss += sum(losses) / (2 * self.samples)
        for p, t in zip(learning, total, strict=True):
            p.grad = t
            if (counted := rows_of(p)) is not None:
                counted.gradients.multiply(self.samples * p.numel())
        return loss, None if self.accuracy is None else right


__all__ = ["WeightPerturbation"]
