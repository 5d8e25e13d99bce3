"""Decoupled learning of a recurrent network: a second network predicts the gradients that are still to come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ranvier.learners._outputs import require_finite_input, share_right
from ranvier.learners.decoupled._states import begun_anew, joined, leaves, like, rows
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.labelled import Encode, GradientLearner, Loss, Score, name

PARTS = ("cerebellum", "olive")


def synthesiser(
    size: int, hidden: Sequence[int] = (400, 400), *, dtype: torch.dtype | None = None, device: Any = None
) -> nn.Sequential:
    """A network of ReLU layers from a state (B, size) to the gradient at it; its last layer is 0 at first, so that
    learning begins as truncated backpropagation.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.learners.synthesiser(6, hidden=(8,))(torch.rand(3, 6)).abs().max().item()  # no gradient at first
    0.0
    """
    sizes = [size, *hidden]
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m, dtype=dtype, device=device), nn.ReLU()]
    last = nn.Linear(sizes[-1], size, dtype=dtype, device=device)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


class SideBySide(NamedTuple):
    """`number` windows that were run side by side, a batch each: outputs, and states before and after."""

    y: Tensor
    begin: Any
    end: Any
    number: int

    def outputs(self, batch: int) -> Tensor:
        """In the order of time, (T, B, ...)."""
        return self.y.unflatten(1, (self.number, batch)).transpose(0, 1).flatten(0, 1)

    def arrived(self, batch: int) -> Tensor:
        """The gradient that reached the beginning, of one example's loss, (number · B, values)."""
        held = leaves(self.begin)
        gradients = [torch.zeros_like(t) if t.grad is None else t.grad for t in held]
        return rows(gradients, batch * self.number) * batch


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

    >>> _ = torch.manual_seed(0)
    >>> model = rv.nn.LI(4, 2)
    >>> synthesiser = rv.learners.synthesiser(2)
    >>> optimizer = torch.optim.SGD([*model.parameters(), *synthesiser.parameters()], 0.1)
    >>> loss = rv.learners.rate_cross_entropy
    >>> learner = rv.learners.SyntheticGradients(model, synthesiser, loss, optimizer, every=5)
    >>> learner.step((torch.rand(10, 8, 4), torch.arange(8) % 2))["examples"]
    8
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
        steps, batch = self._checked(x, labels), x.shape[1]
        heard, learns = (part not in self._own["ablated"] for part in PARTS)
        groups = self._windows(x)
        outputs = torch.cat([group.outputs(batch) for group in groups])
        loss = self._total(outputs, steps, labels)
        if not bool(torch.isfinite(loss)):
            return loss.item(), None
        roots: list[Tensor] = [loss]
        seeds: list[Tensor | None] = [None]
        held = [rows([t.detach() for t in leaves(g.begin)], batch * g.number) for g in groups if leaves(g.begin)]
        if held:
            with torch.set_grad_enabled(learns):
                ahead = self._synthesised(torch.cat(held))
            if heard:
                seed = torch.cat([ahead.detach() * (self.scale / batch), torch.zeros_like(ahead[:batch])])
                for group in groups:
                    part, seed = seed[: batch * group.number], seed[batch * group.number :]
                    ends = leaves(group.end)
                    pairs = [(t, g) for t, g in zip(ends, like(part, ends), strict=True) if t.requires_grad]
                    roots, seeds = [*roots, *(t for t, _ in pairs)], [*seeds, *(g for _, g in pairs)]
        differentiable = [(r, s) for r, s in zip(roots, seeds, strict=True) if r.requires_grad]
        torch.autograd.backward([r for r, _ in differentiable], [s for _, s in differentiable])  # type: ignore[arg-type]
        self._synthesis = 0.0
        if held:
            target = torch.cat([group.arrived(batch) for group in groups if leaves(group.begin)])
            squared, power = (ahead - target).square().sum(), target.square().sum().item()
            self._synthesis = squared.item() / power if power else 0.0
            if learns:
                (squared / batch).backward()
        return loss.item(), self._right(outputs.detach()[steps], labels)

    def _total(self, outputs: Tensor, steps: list[int], labels: Tensor) -> Tensor:
        """The loss, a mean over the steps at which it is known; of labels (B,), of each window's share."""
        if labels.ndim > 1:
            return self.loss(outputs if len(steps) == len(outputs) else outputs[steps], _at(labels, steps))
        total = outputs.new_zeros(())
        for start, end in pairwise([*range(0, len(outputs), self.every), len(outputs)]):
            if own := [t for t in steps if start <= t < end]:
                total = total + self.loss(outputs[own], labels) * (len(own) / len(steps))
        return total

    def _windows(self, x: Tensor) -> list[SideBySide]:
        """Run the sequence, cut. Where the model has nothing random, and nothing that mixes a batch, windows between
        the first and a last, shorter one are run again as one batch, from states that a first run without gradients
        gives: what is then gone through, forward and back, has the length of one window."""
        y, state = self._run(x[: self.every], None)
        groups, batch, place = [SideBySide(y, None, state, 1)], x.shape[1], self.every
        many = len(x) // self.every - 1
        if many > 1 and not any(_mixes(m) for m in self.cortex.modules()):
            begins = [state]
            with torch.no_grad():
                for k in range(1, many):
                    begins.append(self._run(x[k * self.every : (k + 1) * self.every], begins[-1])[1])
                last = begins[-1]
            try:
                begin = begun_anew(joined(begins, batch))
            except ValueError:
                many = 1
            else:
                part = x[place : place + many * self.every]
                together = part.unflatten(0, (many, self.every)).transpose(0, 1).flatten(1, 2)
                y, end = self._run(together, begin)
                groups.append(SideBySide(y, begin, end, many))
                place += many * self.every
                with torch.no_grad():
                    state = self._run(x[place - self.every : place], last)[1] if place < len(x) else state
        while place < len(x):
            begin = begun_anew(state)
            y, state = self._run(x[place : place + self.every], begin)
            groups.append(SideBySide(y, begin, state, 1))
            place += self.every
        return groups

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


def _mixes(module: Any) -> bool:
    """Whether a module draws random numbers, or lets examples of a batch meet, while it learns."""
    kinds = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)
    return module.training and (isinstance(module, kinds) or getattr(module, "dropout", 0.0) not in (0, 0.0, None))


def _at(targets: Tensor, steps: list[int]) -> Tensor:
    """Labels (B,) as they are; of targets (B, T, ...) those of some steps, (t, B, ...)."""
    return targets if targets.ndim == 1 else targets[:, steps].transpose(0, 1)


__all__ = ["SideBySide", "SyntheticGradients", "synthesiser"]
