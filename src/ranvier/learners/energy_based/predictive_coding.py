"""Predictive coding as a learning algorithm: infer first, then let every synapse learn from its own error."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ranvier.energies import Backtracking, Descent, Fixed
from ranvier.energies.predictive.hierarchy import FixedPredictions, Hierarchy
from ranvier.energies.steps import StepRule, begin
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.labelled import Encode, GradientLearner
from ranvier.learners.losses import accuracy, check_labels

Direction = Literal["discriminative", "generative", "unsupervised"]


class PredictiveCoding(GradientLearner):
    """Inference to equilibrium, then the gradient of the free energy there: Π_l ε_l times what the layer below sent
    (Whittington and Bogacz 2017; Friston 2005), for weights and precisions alike.

    Parameters
    ----------
    model : a `rv.energies.predictive.hierarchy.Hierarchy`.
    optimizer : a torch optimizer over its parameters.
    direction : what a batch (x, labels) clamps. "discriminative": layer0 at x, the last layer at the labels' one-hot
        code. "generative": layer0 at the code, the last layer at x. "unsupervised": the last layer at x alone; layer0
        needs a prior.
    steps, rule : of the inference; `Backtracking` and `Conjugate` never let the free energy rise.
    fixed_predictions : hold predictions where the states began, which gives backpropagation's gradient (`Fixed` steps).
    encode, clip : as in `rv.learners.BPTT`.

    Metrics: loss, the mean free energy after inference (of the squared error alone when evaluating
    "discriminative"), and, but for "unsupervised", accuracy: by prediction from x, or by inferring the code.

    >>> _ = torch.manual_seed(0)
    >>> model = rv.energies.predictive.Hierarchy([torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)], (4,))
    >>> learner = rv.learners.PredictiveCoding(model, torch.optim.SGD(model.parameters(), 0.1))
    >>> batch = torch.eye(4), torch.tensor([0, 0, 1, 1])
    >>> losses = [learner.step(batch)["loss"] for _ in range(30)]
    >>> losses[-1] < losses[0]
    True
    """

    model: Hierarchy

    def __init__(
        self,
        model: Hierarchy,
        optimizer: torch.optim.Optimizer,
        *,
        direction: Direction = "discriminative",
        steps: int = 20,
        rule: StepRule | None = None,
        fixed_predictions: bool = False,
        encode: Encode | None = None,
        clip: float | None = None,
    ) -> None:
        if not isinstance(model, Hierarchy):
            raise TypeError(f"model is a {type(model).__name__}; expected a Hierarchy")
        if direction not in ("discriminative", "generative", "unsupervised") or steps < 1:
            raise ValueError(
                f"direction is {direction!r}, steps is {steps}; expected 'discriminative', 'generative' or "
                "'unsupervised', and 1 step at least"
            )
        if direction == "unsupervised" and model.mean is None:
            raise ValueError("there is no prior; expected Hierarchy(..., prior=True): layer0 is inferred")
        self.rule = rule or (Fixed(0.5) if fixed_predictions else Backtracking(0.1))
        if fixed_predictions and not (isinstance(self.rule, Fixed) and direction == "discriminative"):
            raise ValueError("fixed_predictions is True; expected Fixed steps and 'discriminative': it is no descent")
        self.direction, self.steps, self.fixed_predictions = direction, steps, fixed_predictions
        settings: dict[str, Any] = {
            "direction": direction, "steps": steps, "rule": repr(self.rule), "fixed_predictions": fixed_predictions,
        }  # fmt: skip
        super().__init__(model, optimizer, encode=encode, clip=clip, settings=settings)

    def step(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Learn from one batch (x (B, ...), labels (B,))."""
        return self._metrics(super().step(batch))

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Metrics of one batch (x (B, ...), labels (B,)), without learning."""
        return self._metrics(super().evaluate(batch))

    def _metrics(self, metrics: Metrics) -> Metrics:
        if self.direction == "unsupervised":
            del metrics["accuracy"]
        return metrics

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        ends = self._ends(x, labels)
        start = self._start(ends.get("layer0"), len(x))
        state = self.infer(start, ends)
        if self.fixed_predictions:
            free_energy = self._local(start, state)
        else:
            free_energy = self.model.energy(state).mean()
        free_energy.backward()
        if self.direction != "discriminative":
            return free_energy.item(), 0.0 if self.direction == "unsupervised" else self._recognised(x, labels)
        return free_energy.item(), self._right(start, labels)

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        if self.direction == "discriminative":
            start = self._start(x, len(x))
            out = self.model.layout.split(start)[self.model.top]
            error = 0.5 * (out - self._code(labels, self.model.top)).square().flatten(1).sum(1).mean()
            return float(error), self._right(start, labels)
        ends = self._ends(x, labels)
        state = self.infer(self._start(ends.get("layer0"), len(x)), ends)
        right = 0.0 if self.direction == "unsupervised" else self._recognised(x, labels)
        return float(self.model.energy(state).mean()), right

    @torch.no_grad()
    def infer(self, start: Tensor, ends: dict[str, Tensor]) -> Tensor:
        """States (B, N) after the steps of inference, from `start`, with whole layers held."""
        energy = FixedPredictions(self.model, start) if self.fixed_predictions else self.model
        state = begin(self.rule, start)
        return Descent(energy, self.rule).relax(state, self.steps, self.model.layout.clamp(**ends))["x"]

    def _ends(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Which layers a batch holds, at what."""
        if self.direction == "discriminative":
            return {"layer0": x, self.model.top: self._code(labels, self.model.top)}
        if self.direction == "generative":
            return {"layer0": self._code(labels, "layer0"), self.model.top: x}
        return {self.model.top: x}

    @torch.no_grad()
    def _start(self, x: Tensor | None, batch: int) -> Tensor:
        return self.model.predict(x, batch)

    def _code(self, labels: Tensor, name: str) -> Tensor:
        size = self.model.layout.shapes[name][0]
        like = next(self.model.parameters())
        return F.one_hot(check_labels(like.new_empty(1, len(labels), size), labels), size).to(like.dtype)

    def _right(self, state: Tensor, labels: Tensor) -> float:
        return accuracy(self.model.layout.split(state)[self.model.top][None], labels)

    @torch.no_grad()
    def _recognised(self, x: Tensor, labels: Tensor) -> float:
        """Accuracy of the inferred layer0, from a code that favours no class."""
        size = self.model.layout.shapes["layer0"][0]
        state = self.infer(self._start(x.new_full((len(x), size), 1 / size), len(x)), {self.model.top: x})
        return accuracy(self.model.layout.split(state)["layer0"][None], labels)

    def _local(self, start: Tensor, state: Tensor) -> Tensor:
        """A scalar whose gradient is −Σ Π_l ε_l · ∂f_l/∂θ at the held predictions; its value is the free energy's
        quadratic part."""
        first, layers = (self.model.layout.split(s) for s in (start, state))
        total = torch.zeros((), dtype=start.dtype)
        for l, module in enumerate(self.model.maps, 1):
            name = f"layer{l}"
            weighted = (self.model.precision(name) * (layers[name] - first[name])).detach()
            sent = module(first[f"layer{l - 1}"])
            error = weighted * (layers[name] - first[name])
            total = total + (0.5 * error - weighted * (sent - sent.detach())).flatten(1).sum(1).mean()
        return total


__all__ = ["PredictiveCoding"]
