"""`fit`: any learner over any loader, with progress, log, checkpoint and exact resume."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ranvier.learners.fitting._checkpoint import Checkpoint
from ranvier.learners.fitting._log import Log
from ranvier.learners.fitting._random_state import random_state, set_random_state

if TYPE_CHECKING:
    from torch.optim.lr_scheduler import LRScheduler

Metrics = dict[str, float]


@runtime_checkable
class Learner(Protocol):
    """What `fit` asks of a learning algorithm. Metrics are means over the batch; "examples" is its size."""

    def step(self, batch: Any) -> Metrics:
        """Learn from one batch."""

    def evaluate(self, batch: Any) -> Metrics:
        """Metrics of one batch, without learning."""

    def describe(self) -> dict[str, Any]:
        """What the state belongs to, as JSON: a checkpoint of anything else is refused."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on, but for random states."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state."""


def fit(
    learner: Learner,
    loader: Iterable[Any],
    epochs: int,
    checkpoint: str | Path | None = None,
    *,
    validation: Iterable[Any] | None = None,
    schedule: LRScheduler | None = None,
    save_every: int = 100,
    progress: bool = True,
) -> list[Metrics]:
    """Let `learner` go `epochs` times through `loader`; the mean metrics of every epoch.

    loader: yields batches whenever iterated anew, such as a DataLoader; it may draw from torch's, NumPy's and
        Python's global random numbers and from the generators of a DataLoader and its samplers. (No checkpoint holds
        other generators, such as one given to `rate`, nor those of workers that persist from epoch to epoch.)
    checkpoint: a folder. The state is saved there every `save_every` steps and after every epoch, and log.jsonl
        gets a line a step and a line an epoch. If it holds a checkpoint of this learner, the run goes on from
        there, and ends with the very bits of a run that was never interrupted, wherever it was killed. More
        epochs may be asked for than before.
    schedule: a scheduler of torch.optim.lr_scheduler over the learner's optimizer; it steps after every step of the
        learner, and is part of the checkpoint.
    validation: its metrics are added to every epoch's with "validation_" before their names.

    Raises ValueError for a checkpoint that is damaged, or of another learner, schedule or loader, and for a log of
    another run (nothing is overwritten), for a schedule of another optimizer, for an empty loader, and for what the
    learner refuses; TypeError for what is no learner.
    """
    if not (isinstance(epochs, int) and isinstance(save_every, int)) or epochs < 0 or save_every < 1:
        raise ValueError(
            f"found epochs = {epochs!r}, save_every = {save_every!r}, expected whole numbers, epochs >= 0 and "
            "save_every >= 1"
        )
    for name, given in (("loader", loader), ("validation", validation)):
        if isinstance(given, Iterator):
            raise ValueError(f"found a {name} that can be iterated once, expected one that begins anew every epoch")
    if not isinstance(learner, Learner):
        raise TypeError(
            f"found a {type(learner).__name__} as learner, expected a Learner, such as rv.learners.BPTT(model, loss, "
            "optimizer)"
        )
    schedule_settings = _settings(schedule)
    if schedule is not None and getattr(learner, "optimizer", schedule.optimizer) is not schedule.optimizer:
        raise ValueError("found a schedule of another optimizer, expected one over the learner's")
    length = len(loader) if isinstance(loader, Sized) else None
    kept = None
    if checkpoint is not None:
        kept = Checkpoint(checkpoint, {"schedule": schedule_settings, "batches": length, **learner.describe()})
    run = _Run(learner, loader, validation, schedule, kept, save_every)
    with _bar(progress, epochs, length) as bar:
        while run.epoch < epochs:
            run.go_through(bar)
    return run.history


class _Run:
    """Where a run of `fit` stands."""

    def __init__(
        self, learner: Learner, loader: Iterable[Any], validation: Iterable[Any] | None, schedule: LRScheduler | None,
        kept: Checkpoint | None, save_every: int,
    ) -> None:  # fmt: skip
        self.learner, self.loader, self.validation, self.schedule = learner, loader, validation, schedule
        self.kept, self.save_every = kept, save_every
        self.epoch = self.position = self.step = 0
        self.totals: Metrics = {}
        self.history: list[Metrics] = []
        self.began: dict[str, Any] | None = None  # random states at the beginning of a begun epoch
        state = kept.load() if kept else None
        self.log: Log | None = None
        if kept is not None:
            step, history = (0, []) if state is None else (state["step"], state["history"])
            self.log = Log(kept.folder / "log.jsonl", step, history)
        if state is not None:
            self.learner.load_state_dict(state["learner"])
            if schedule is not None:
                schedule.load_state_dict(state["schedule"])
            for name in ("epoch", "position", "step", "totals", "history", "began"):
                setattr(self, name, state[name])
            set_random_state(state["random"], loader)
        if self.log:
            self.log.begin()

    def go_through(self, bar: Any) -> None:
        """The rest of an epoch."""
        batches = self._batches()
        bar.begin(self.epoch, self.position)
        for batch in batches:
            metrics = self.learner.step(batch)
            if self.schedule is not None:
                self.schedule.step()
            self.position, self.step = self.position + 1, self.step + 1
            _add(self.totals, metrics)
            self._write({"step": self.step, "epoch": self.epoch, **metrics})
            bar.advance(metrics)
            if self.step % self.save_every == 0:
                self._save()
        if self.position == 0:
            raise ValueError("found no batch in the loader, expected at least one")
        metrics = _means(self.totals)
        if self.validation is not None:
            seen: Metrics = {}
            for batch in self.validation:
                _add(seen, self.learner.evaluate(batch))
            if not seen:
                raise ValueError("found no batch in the validation loader, expected at least one")
            metrics |= {f"validation_{name}": value for name, value in _means(seen).items()}
        self.history.append(metrics)
        self._write({"epoch": self.epoch, "end": True, "time": round(time.time(), 3), **metrics})
        self.epoch, self.position, self.totals, self.began = self.epoch + 1, 0, {}, None
        self._save()

    def _batches(self) -> Iterator[Any]:
        if self.began is None:
            self.began = random_state(self.loader)
            return iter(self.loader)
        # the same order again, up to where we were; then the random numbers of that moment
        now = random_state(self.loader)
        set_random_state(self.began, self.loader)
        batches = iter(self.loader)
        for _ in range(self.position):
            if next(batches, None) is None:
                raise ValueError(f"found fewer than {self.position} batches in the loader, expected as many as before")
        set_random_state(now, self.loader)
        return batches

    def _save(self) -> None:
        if self.kept:
            names = ("epoch", "position", "step", "totals", "history", "began")
            state = {name: getattr(self, name) for name in names}
            state |= {"learner": self.learner.state_dict(), "random": random_state(self.loader)}
            state["schedule"] = None if self.schedule is None else self.schedule.state_dict()
            self.kept.save(self.step, state)

    def _write(self, line: dict[str, Any]) -> None:
        if self.log:
            self.log.write(line)


_MOVING = {"last_epoch", "_step_count", "_last_lr", "_get_lr_called_within_step", "_is_initial", "T_cur", "T_i"}


def _settings(schedule: LRScheduler | None) -> dict[str, Any] | None:
    """What does not move in a schedule, as JSON."""
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    if schedule is None:
        return None
    if not isinstance(schedule, LRScheduler):
        raise TypeError(f"found a {type(schedule).__name__} as schedule, expected one of torch.optim.lr_scheduler")
    if isinstance(schedule, ReduceLROnPlateau):
        raise ValueError("found ReduceLROnPlateau, which waits for a metric; expected a schedule that counts steps")
    return {"class": type(schedule).__name__, "state": _fixed(schedule.state_dict())}


def _fixed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _fixed(inner) for key, inner in value.items() if key not in _MOVING}
    return [_fixed(inner) for inner in value] if isinstance(value, list | tuple) else repr(value)


def _add(totals: Metrics, metrics: Metrics) -> None:
    count = metrics.get("examples", 1)
    totals["examples"] = totals.get("examples", 0) + count
    for name, value in metrics.items():
        if name != "examples":
            totals[name] = totals.get(name, 0.0) + value * count


def _means(totals: Metrics) -> Metrics:
    return {name: value / totals["examples"] for name, value in totals.items() if name != "examples"}


@contextmanager
def _bar(shown: bool, epochs: int, length: int | None) -> Iterator[Any]:
    if not shown:
        yield _NoBar()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[seen]}")) as display:
        yield _Bar(display, epochs, length)


class _NoBar:
    def begin(self, epoch: int, position: int) -> None:
        """Nothing to show."""

    def advance(self, metrics: Metrics) -> None:
        """Nothing to show."""


class _Bar:
    def __init__(self, display: Any, epochs: int, length: int | None) -> None:
        self.display, self.epochs, self.length = display, epochs, length

    def begin(self, epoch: int, position: int) -> None:
        name = f"epoch {epoch + 1} of {self.epochs}"
        self.task = self.display.add_task(name, total=self.length, completed=position, seen="")

    def advance(self, metrics: Metrics) -> None:
        seen = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items() if name != "examples")
        self.display.update(self.task, advance=1, seen=seen)


__all__ = ["Learner", "Metrics", "fit"]
