"""Cycles of perforated backpropagation as a learner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ranvier.learners._outputs import share_right
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.labelled import Encode, Loss, Score, SupervisedLearner, name
from ranvier.learners.perforated.perforation import adopt, count_dendrites, dendrites_of, grow

_NORMALISED = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Plateau:
    """When a phase ends: after `patience` windows in which the measure got no better than its best by more than
    `threshold` of it, or after `most` windows (None: no limit; 0: at once). A window is `window` steps of the learner.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.learners.Plateau(window=50).patience
    5
    """

    window: int = 100
    patience: int = 5
    threshold: float = 1e-3
    most: int | None = None

    def __post_init__(self) -> None:
        if self.window < 1 or self.patience < 1 or not self.threshold >= 0 or (self.most is not None and self.most < 0):
            raise ValueError(f"it is {self}; expected window >= 1, patience >= 1, threshold >= 0, most >= 0 or None")


class PerforatedBackpropagation(SupervisedLearner):
    """Backpropagation in cycles (Brenner & Itti 2025): the network learns to a plateau; every neuron grows a dendrite
    that learns to correlate with its error; dendrites are frozen; the network goes on; and so on.

    Parameters
    ----------
    model : a perforated one, see `perforate`. loss : of its output and the labels. optimizer : over its parameters; the
        weights from dendrites to neurons join its last group.
    cycles : dendrites a neuron at the end.
    neurons, dendrites : when each phase ends, see `Plateau`. Neurons are measured by the loss of `held_out`, or of what
        they learn from; dendrites by their scores' sum. `Plateau(most=0)` for dendrites takes them as they are drawn:
        the control.
    candidates : makes the optimizer of growing dendrites from their parameters; Adam at 1e-2 by default, with an
        epsilon far below errors of a network that has learned.
    held_out : batches that no learning sees. At the end of each phase, and of all, the network goes back to where their
        loss was least, and then learns no more; without it, learning goes on after the last cycle.
    encode, clip, accuracy : as for `BPTT`.

    Metrics: loss, accuracy; `dendrites`, frozen ones a neuron; `growing`, 1 while dendrites learn. While they do, all
    else stands still, running averages of BatchNorm included.

    Raises ValueError for a model without dendrites, or with some already (`adopt` them, and train by one's own loop).

    >>> model = rv.learners.perforate(torch.nn.Sequential(torch.nn.Linear(4, 2)))
    >>> loss = torch.nn.functional.cross_entropy
    >>> learner = rv.learners.PerforatedBackpropagation(model, loss, torch.optim.SGD(model.parameters(), 0.1), cycles=1)
    >>> metrics = learner.step((torch.rand(8, 4), torch.arange(8) % 2))
    >>> metrics["dendrites"], metrics["growing"]  # neurons learn first
    (0.0, 0.0)
    """

    counted: ClassVar[bool] = True
    varying = (
        *SupervisedLearner.varying, r"model", r"own\.best_state", r"candidates\.state(\.\d+)?",
        r"(optimizer|candidates)\.param_groups\.\d+\.params",
    )  # fmt: skip
    loose = (r"own\.best(_state)?", r"candidates", r"(model|own\.best_state)\..*dendrites\..*", r"\w+\.state\..*")

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        cycles: int = 1,
        neurons: Plateau | None = None,
        dendrites: Plateau | None = None,
        candidates: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None,
        held_out: Sequence[tuple[Tensor, Tensor]] | None = None,
        encode: Encode | None = None,
        clip: float | None = None,
        accuracy: Score | None = share_right,
    ) -> None:
        if not isinstance(cycles, int) or cycles < 0:
            raise ValueError(f"cycles is {cycles!r}; expected a whole number >= 0")
        if count_dendrites(model) or any(d.candidate for d in dendrites_of(model)):
            raise ValueError(f"the model has {count_dendrites(model)} dendrites a neuron; expected none yet")
        if held_out is not None and len(held_out) == 0:
            raise ValueError("held_out has no batch; expected one at least, or None")
        self.cycles, self.held_out = cycles, held_out
        self.neurons, self.dendrites = neurons or Plateau(), dendrites or Plateau()
        self.candidates = candidates or partial(torch.optim.Adam, lr=1e-2, eps=1e-20)
        settings: dict[str, Any] = {
            "cycles": cycles, "neurons": repr(self.neurons), "dendrites": repr(self.dendrites),
            "candidates": name(self.candidates), "held_out": None if held_out is None else len(held_out),
        }  # fmt: skip
        super().__init__(model, loss, optimizer, encode=encode, clip=clip, accuracy=accuracy, settings=settings)
        self._joined: list[nn.Parameter] = []  # weights of dendrites in the optimizer
        self._candidate_optimizer: torch.optim.Optimizer | None = None
        self._own = {"phase": "neurons", "best_state": None, **_start()}

    @property
    def growing(self) -> bool:
        """Whether dendrites learn, and all else stands still."""
        return self._own["phase"] == "dendrites"

    @property
    def finished(self) -> bool:
        """Whether the last cycle is over."""
        return self._own["phase"] == "finished"

    def step(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Learn from one batch (x, labels): dendrites or all else, whichever's turn it is; see whether that is over."""
        status = {"dendrites": float(count_dendrites(self.model)), "growing": float(self.growing)}
        if self.finished and self.held_out is not None:
            return self.evaluate(batch) | status
        metrics = super().step(batch)
        self._watch(metrics["loss"])
        return metrics | status

    def _backward(self) -> AbstractContextManager[None]:
        return _standing_still(self.model, self._optimised()) if self.growing else nullcontext()

    def _update(self) -> None:
        if self._candidate_optimizer is None:
            super()._update()
        else:
            self._candidate_optimizer.step()

    def _optimised(self) -> list[Any]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _watch(self, loss: float) -> None:
        """Count the step; at a window's end, measure, and go to the next phase where this one is over."""
        own, plateau = self._own, self.dendrites if self.growing else self.neurons
        own["steps"] += 1
        own["total"] += loss
        if self.finished or own["steps"] < plateau.window:
            return
        value = self._value(own["total"] / own["steps"])
        own["steps"], own["total"], own["windows"] = 0, 0.0, own["windows"] + 1
        if own["best"] is None or value < own["best"] - plateau.threshold * abs(own["best"]):
            own["best"], own["stale"] = value, 0
            if self.held_out is not None and not self.growing:
                own["best_state"] = {k: v.clone() for k, v in self.model.state_dict().items()}
        else:
            own["stale"] += 1
        if own["stale"] >= plateau.patience or own["windows"] == plateau.most:
            self._turn()

    def _value(self, loss: float) -> float:
        """What a phase lets fall."""
        if self.growing:
            candidates = [d.candidate for d in dendrites_of(self.model) if d.candidate is not None]
            return -float(sum(float(c.best_score.sum()) for c in candidates))
        if self.held_out is None:
            return loss
        each = [self.evaluate(batch) for batch in self.held_out]
        return sum(m["loss"] * m["examples"] for m in each) / sum(m["examples"] for m in each)

    def _turn(self) -> None:
        """To the next phase."""
        if self.growing:
            self._join(adopt(self.model))
            self._candidate_optimizer, self._own["phase"] = None, "neurons"
        else:
            if self._own["best_state"] is not None:
                self.model.load_state_dict(self._own["best_state"])
            if count_dendrites(self.model) == self.cycles:
                self._own["phase"] = "finished"
            else:
                self._candidate_optimizer, self._own["phase"] = self.candidates(grow(self.model)), "dendrites"
        self._own |= {"best_state": None, **_start()}
        if self.growing and self.dendrites.most == 0:
            self._turn()

    def _join(self, weights: list[nn.Parameter]) -> None:
        self.optimizer.param_groups[-1]["params"].extend(weights)
        self._joined += weights

    def describe(self) -> dict[str, Any]:
        """As of the model without its dendrites: a checkpoint of any cycle is this learner's."""
        about = super().describe()
        about["tensors"] = {k: v for k, v in about["tensors"].items() if ".dendrites." not in f".{k}"}
        return about

    def _groups(self) -> list[dict[str, Any]]:
        groups = super()._groups()
        return [{**g, "parameters": [n for n in g["parameters"] if ".dendrites." not in f".{n}"]} for g in groups]

    def state_dict(self) -> dict[str, Any]:
        """Model with dendrites, optimizers, and where the cycle stands."""
        candidates = None if self._candidate_optimizer is None else self._candidate_optimizer.state_dict()
        return super().state_dict() | {"candidates": candidates}

    def _take_up(self, state: dict[str, Any]) -> None:
        """Take up a state of any cycle: dendrites are grown, or taken away, to its number."""
        self.model.load_state_dict(state["model"])
        joined = {id(p) for p in self._joined}
        last = self.optimizer.param_groups[-1]
        last["params"] = [p for p in last["params"] if id(p) not in joined]
        self._joined = []
        groups = list(dendrites_of(self.model))
        for k in range(len(groups[0].grown)):
            self._join([group.grown[k].weight for group in groups])  # type: ignore[misc]
        super()._take_up(state)
        self._candidate_optimizer = None
        if state["candidates"] is not None:
            growing = [group.candidate.dendrite for group in groups if group.candidate is not None]
            self._candidate_optimizer = self.candidates([p for d in growing for p in d.learning()])
            self._candidate_optimizer.load_state_dict(state["candidates"])
        if self._own["phase"] not in ("neurons", "dendrites", "finished"):
            raise ValueError(f"state.own.phase is {self._own['phase']!r:.40}; expected neurons, dendrites or finished")
        if self.growing != (self._candidate_optimizer is not None):
            raise ValueError("state.candidates does not belong to state.own.phase; expected it where dendrites grow")

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        more = {} if self._candidate_optimizer is None else {"candidates": self._candidate_optimizer}
        return super()._optimizers() | more


def _start() -> dict[str, Any]:
    """Of a phase: steps of this window and their losses' sum, windows so far, the best value, windows since."""
    return {"steps": 0, "total": 0.0, "windows": 0, "best": None, "stale": 0}


@contextmanager
def _standing_still(model: nn.Module, parameters: list[Any]) -> Iterator[None]:
    """Parameters without gradients, and BatchNorm without its running averages' update, within the block."""
    learning = [p for p in parameters if p.requires_grad]
    normalised = [m for m in model.modules() if isinstance(m, _NORMALISED) and m.training]
    for p in learning:
        p.requires_grad_(False)
    for m in normalised:
        m.eval()
    try:
        yield
    finally:
        for p in learning:
            p.requires_grad_()
        for m in normalised:
            m.train()


__all__ = ["PerforatedBackpropagation", "Plateau"]
