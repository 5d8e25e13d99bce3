"""Decoupled learning of a recurrent network: a second network predicts the gradients that are still to come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ranvier.learners._outputs import require_finite_input, share_right
from ranvier.learners.decoupled._states import begun_anew, leaves, like, rows
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.labelled import Encode, GradientLearner, Loss, Score, name

PARTS = ("cerebellum", "olive")


def synthesiser(
    size: int, hidden: Sequence[int] = (400, 400), *, dtype: torch.dtype | None = None, device: Any = None
) -> nn.Sequential:
    """A network of ReLU layers from a state (B, size) to the gradient at it; its last layer is 0 at first, so that
    learning begins as truncated backpropagation."""
    sizes = [size, *hidden]
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m, dtype=dtype, device=device), nn.ReLU()]
    last = nn.Linear(sizes[-1], size, dtype=dtype, device=device)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


class SyntheticGradients(GradientLearner):
    """Truncated backpropagation, to whose cuts a synthesiser adds the gradient of the loss that is still to come
    (Jaderberg et al. 2017; as a model of cerebellum and cortex Pemberton et al. 2021).

    The sequence is cut into windows of `every` steps. Into a window's end state h goes `scale` Ĝ(h); what then reaches
    its beginning, of loss and synthesiser together, is what Ĝ(h_begin) learns to be, by its squared error: the target
    is bootstrapped. All that is summed to one step of the optimizer a sequence. Gradients are those of one
    example's loss.

    Parameters
    ----------
    model : a `Cell`, or any module called as model(x (T, B, ...), state) -> (y (T, B, ...), state), with None at first.
    synthesiser : from all of the state (B, values) to as many, see `rv.learners.synthesiser`; the "cerebellum".
    loss : of y (t, B, C) and targets, a mean over steps and examples. Targets are labels (B,), or (B, T, ...), of which
        the loss gets (t, B, ...).
    optimizer : over the parameters of both.
    every : steps in a window. feedback_every : the loss is known at each such step alone.
    scale : of what is injected.
    accuracy : of outputs at these steps and labels; None for other targets.
    encode, clip : as for `BPTT`.

    `ablate("cerebellum")` injects no more; `ablate("olive")`: the synthesiser learns no more, but is heard.

    Metrics: loss; `synthesis`, the squared error of Ĝ over that of predicting 0; accuracy.
    """

    counted: ClassVar[bool] = True
    varying = (*GradientLearner.varying, r"own\.ablated")

    def __init__(
        self,
        model: nn.Module,
        synthesiser: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        every: int = 1,
        feedback_every: int = 1,
        scale: float = 0.1,
        encode: Encode | None = None,
        clip: float | None = None,
        accuracy: Score | None = share_right,
    ) -> None:
        if every < 1 or feedback_every < 1 or not 0 <= scale < math.inf:
            raise ValueError(
                f"every is {every}, feedback_every {feedback_every}, scale {scale}; expected whole numbers >= 1, and a "
                "finite scale >= 0"
            )
        self.cortex, self.synthesiser, self.loss, self.accuracy = model, synthesiser, loss, accuracy
        self.every, self.feedback_every, self.scale = every, feedback_every, scale
        settings = {"loss": name(loss), "every": every, "feedback_every": feedback_every, "scale": scale}
        parts = nn.ModuleDict({"cortex": model, "synthesiser": synthesiser})
        super().__init__(parts, optimizer, encode=encode, clip=clip, settings=settings)
        self._own = {"ablated": []}
        self._synthesis = 0.0

    def ablate(self, part: str) -> None:
        """Lose "cerebellum" or "olive", for good."""
        if part not in PARTS:
            raise ValueError(f"the part is {part!r}; expected one of {PARTS}")
        self._own = {"ablated": sorted({*self._own["ablated"], part})}

    def _take_up(self, state: dict[str, Any]) -> None:
        ablated = state["own"]["ablated"]
        if not all(part in PARTS for part in ablated):
            raise ValueError(f"state.own.ablated is {ablated!r:.80}; expected parts among {', '.join(PARTS)}")
        super()._take_up(state)

    def step(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Learn from one batch: x (T, B, ...) and labels (B,), or targets (B, T, ...)."""
        metrics = super().step(batch)
        return metrics | {"synthesis": self._synthesis}

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        steps = self._checked(x, labels)
        batch = x.shape[1]
        intact = [part not in self._own["ablated"] for part in PARTS]
        total, outputs, state = 0.0, [], None
        error, power = 0.0, 0.0
        for start, end in pairwise([*range(0, len(x), self.every), len(x)]):
            begin = begun_anew(state)
            y, state = self._run(x[start:end], begin)
            ends = leaves(state)
            roots: list[Any] = []
            seeds: list[Any] = []
            if end < len(x) and intact[0]:
                with torch.no_grad():
                    ahead = self._synthesised(rows([t.detach() for t in ends], batch)) * (self.scale / batch)
                pairs = [(t, g) for t, g in zip(ends, like(ahead, ends), strict=True) if t.requires_grad]
                roots, seeds = [t for t, _ in pairs], [g for _, g in pairs]
            if mine := [t for t in steps if start <= t < end]:
                out = y[[t - start for t in mine]]
                loss = self.loss(out, _at(labels, mine)) * (len(mine) / len(steps))
                total += loss.item()
                if not math.isfinite(total):
                    return total, None
                outputs.append(out.detach())
                roots, seeds = [*roots, loss], [*seeds, None]
            if roots:
                torch.autograd.backward(roots, seeds)
            if start:
                held = leaves(begin)
                target = rows([torch.zeros_like(t) if t.grad is None else t.grad for t in held], batch) * batch
                miss = self._synthesised(rows([t.detach() for t in held], batch)) - target
                squared = miss.square().sum()
                error, power = error + squared.item(), power + target.square().sum().item()
                if intact[1]:
                    (squared / batch).backward()
        self._synthesis = error / power if power else 0.0
        return total, self._right(torch.cat(outputs), labels)

    def _synthesised(self, h: Tensor) -> Tensor:
        out = self.synthesiser(h)
        if out.shape != h.shape:
            raise ValueError(
                f"the synthesiser gives {tuple(out.shape)}; expected {tuple(h.shape)}, as the state it reads"
            )
        return out

    def _run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        out = self.cortex(x, state)
        if not (isinstance(out, tuple) and len(out) == 2 and leaves(out[1])):
            raise TypeError(
                f"the {type(self.cortex).__name__} returns no state; expected a recurrent cell: model(x, state) -> "
                "(y, state)"
            )
        return out

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        steps = self._checked(x, labels)
        y = self._run(x, None)[0][steps]
        return self.loss(y, _at(labels, steps)).item(), self._right(y, labels)

    def _right(self, y: Tensor, labels: Tensor) -> float | None:
        return None if self.accuracy is None else self.accuracy(y, labels)

    def _checked(self, x: Tensor, labels: Tensor) -> list[int]:
        """The steps at which the loss is known."""
        require_finite_input(x)
        if x.ndim < 2 or len(x) < self.feedback_every or x.shape[1] != len(labels):
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected (T, {len(labels)}, ...) with T >= {self.feedback_every}: the "
                "loss is known at no step"
            )
        if labels.ndim > 1 and labels.shape[1] != len(x):
            raise ValueError(f"targets have shape {tuple(labels.shape)}; expected ({len(labels)}, {len(x)}, ...)")
        return list(range(self.feedback_every - 1, len(x), self.feedback_every))


def _at(targets: Tensor, steps: list[int]) -> Tensor:
    """Labels (B,) as they are; of targets (B, T, ...) those of some steps, (t, B, ...)."""
    return targets if targets.ndim == 1 else targets[:, steps].transpose(0, 1)


__all__ = ["SyntheticGradients", "synthesiser"]
