"""`fit`: any learner over any loader, with progress, log, checkpoint and exact resume."""

from __future__ import annotations

import errno
import json
import time
import warnings
from collections.abc import Iterable, Iterator, Sized
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ranvier._progress import Progress
from ranvier._ranks import Ranks
from ranvier.files.locks import folder_lock
from ranvier.learners.fitting._checkpoint import Checkpoint
from ranvier.learners.fitting._log import Log
from ranvier.learners.fitting._random_state import random_state, set_random_state
from ranvier.learners.fitting._tree import from_bytes, to_bytes
from ranvier.learners.fitting.history import History

if TYPE_CHECKING:
    from torch.optim.lr_scheduler import LRScheduler

Metrics = dict[str, float]


@runtime_checkable
class Learner(Protocol):
    """What `fit` asks of a learning algorithm. Metrics are means over the batch; "examples" is its size.

    >>> model = rv.nn.LIF(4, 2)
    >>> learner = rv.learners.BPTT(model, rv.learners.rate_cross_entropy, torch.optim.Adam(model.parameters()))
    >>> isinstance(learner, rv.learners.Learner)
    True
    """

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
) -> History:
    """Let `learner` go `epochs` times through `loader`; the mean metrics of every epoch, a list of dicts that a
    notebook shows as a table (`to_pandas` makes one, `rv.plot.training` draws it).

    loader: yields batches whenever iterated again, such as a DataLoader; it may draw from torch's, NumPy's and
        Python's global random numbers and from the generators of a DataLoader and its samplers. (No checkpoint holds
        other generators, such as one given to `rate`, nor those of workers that persist from epoch to epoch.)
    checkpoint: a folder. The state is saved there every `save_every` steps and after every epoch, and log.jsonl
        gets a line a step and a line an epoch. If it holds a checkpoint of this learner, the run goes on from
        there, and ends with the very bits of a run that was never interrupted, wherever it was killed. More
        epochs may be requested than before.
    schedule: a scheduler of torch.optim.lr_scheduler over the learner's optimizer; it steps after every step of the
        learner, and is part of the checkpoint.
    validation: its metrics are added to every epoch's with "validation_" before their names.

    Under torchrun (`torch.distributed` initialised) every process calls `fit` with its own share of the data, as by a
    DistributedSampler, whose `set_epoch` is called, and a model in DistributedDataParallel: the first process alone
    writes, checkpoints hold the random states of all, epochs' metrics are means over all; a run goes on with as many
    processes as it had.

    Raises ValueError for a checkpoint that is damaged, or of another learner, schedule or loader, and for a log of
    another run (nothing is overwritten), for a schedule of another optimizer, for an empty loader, and for what the
    learner refuses; TypeError for what is no learner; `FolderInUseError` for a folder that another `fit` writes to;
    FileNotFoundError where the folder vanishes.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> _ = torch.manual_seed(0)
    >>> model = rv.nn.LIF(4, 2)
    >>> learner = rv.learners.BPTT(model, rv.learners.rate_cross_entropy, torch.optim.Adam(model.parameters(), 0.05))
    >>> batches = [(torch.rand(10, 8, 4), torch.arange(8) % 2)]
    >>> len(rv.fit(learner, batches, epochs=2, progress=False))
    2
    """
    if not (isinstance(epochs, int) and isinstance(save_every, int)) or epochs < 0 or save_every < 1:
        raise ValueError(
            f"epochs is {epochs!r}, save_every is {save_every!r}; "
            "expected whole numbers, epochs >= 0 and save_every >= 1"
        )
    for name, iterable in (("loader", loader), ("validation", validation)):
        if isinstance(iterable, Iterator):
            raise ValueError(f"there is a {name} that can be iterated once; expected one that begins again every epoch")
    if not isinstance(learner, Learner):
        raise TypeError(
            f"learner is a {type(learner).__name__}; "
            "expected a Learner, such as rv.learners.BPTT(model, loss, optimizer)"
        )
    schedule_settings = _settings(schedule)
    if schedule is not None and getattr(learner, "optimizer", schedule.optimizer) is not schedule.optimizer:
        raise ValueError("there is a schedule of another optimizer; expected one over the learner's")
    length = len(loader) if isinstance(loader, Sized) else None
    ranks = Ranks()
    if len({*ranks.gather(repr(length).encode())}) > 1:
        raise ValueError(f"there are {length} batches on this rank; expected as many on every one")
    with ExitStack() as stack:
        saved = None
        if checkpoint is not None:
            about = {"schedule": schedule_settings, "batches": length, "ranks": ranks.count, **learner.describe()}
            saved = Checkpoint(checkpoint, about)
            ranks.from_first(lambda: _hold(stack, saved))
        run = _Run(learner, loader, validation, schedule, saved, save_every, ranks)
        if saved is not None and saved.lock is None and run.epoch < epochs and ranks.first:
            raise PermissionError(f"{saved.folder} cannot be written to; expected a folder for checkpoints that can")
        if run.epoch > epochs and ranks.first:
            warnings.warn(
                f"{checkpoint} holds {run.epoch} epochs, epochs = {epochs} asks for fewer; expected at least as many: "
                f"nothing was learned, give epochs={run.epoch + 1} for one more, or another folder",
                UserWarning,
                stacklevel=2,
            )
        with Progress(total=length, show=progress and ranks.first) as bar:
            while run.epoch < epochs:
                bar.begin(f"epoch {run.epoch + 1} of {epochs}", length, run.position)
                run.go_through(bar)
        return History(run.history)


def _hold(stack: ExitStack, saved: Checkpoint) -> bytes:
    """Take the folder to the end of `stack`; one that cannot be written to may still be read."""
    try:
        saved.lock = stack.enter_context(folder_lock(saved.folder, "training"))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not saved.index.exists():
            raise
    return b""


class _Run:
    """Where a run of `fit` stands."""

    def __init__(
        self, learner: Learner, loader: Iterable[Any], validation: Iterable[Any] | None, schedule: LRScheduler | None,
        saved: Checkpoint | None, save_every: int, ranks: Ranks,
    ) -> None:  # fmt: skip
        self.learner, self.loader, self.validation, self.schedule = learner, loader, validation, schedule
        self.saved, self.save_every, self.ranks = saved, save_every, ranks
        self.epoch = self.position = self.step = 0
        self.totals: Metrics = {}
        self.history: list[Metrics] = []
        self.epoch_start: dict[str, Any] | None = None  # random states at the beginning of a begun epoch
        self.log: Log | None = None
        state = from_bytes(data) if saved and (data := ranks.from_first(self._read)) else None
        if state is not None:
            self.learner.load_state_dict(state["learner"])
            if schedule is not None:
                schedule.load_state_dict(state["schedule"])
            for name in ("epoch", "position", "step", "history"):
                setattr(self, name, state[name])
            own = state["ranks"][ranks.index]
            self.totals, self.epoch_start = own["totals"], own["epoch_start"]
            set_random_state(own["random"], loader)
        if self.log and saved and saved.lock:
            self.log.begin()

    def _read(self) -> bytes:
        """The checkpoint, and the log beside it; on the first rank."""
        assert self.saved is not None
        state = self.saved.load()
        step, history = (0, []) if state is None else (state["step"], state["history"])
        self.log = Log(self.saved.folder / "log.jsonl", step, history)
        return b"" if state is None else to_bytes(state)

    def go_through(self, bar: Progress) -> None:
        """The rest of an epoch."""
        batches = self._batches()
        for batch in batches:
            metrics = self.learner.step(batch)
            if self.schedule is not None:
                self.schedule.step()
            self.position, self.step = self.position + 1, self.step + 1
            _add(self.totals, metrics)
            self._write({"step": self.step, "epoch": self.epoch, **metrics})
            bar.advance(note=", ".join(f"{name} {value:.4g}" for name, value in metrics.items() if name != "examples"))
            if self.step % self.save_every == 0:
                self._save()
        if self.position == 0:
            raise ValueError("there is no batch in the loader; expected at least one")
        metrics = _means(self._over_ranks(self.totals))
        if self.validation is not None:
            totals: Metrics = {}
            for batch in self.validation:
                _add(totals, self.learner.evaluate(batch))
            if not totals:
                raise ValueError("there is no batch in the validation loader; expected at least one")
            metrics |= {f"validation_{name}": value for name, value in _means(self._over_ranks(totals)).items()}
        self.history.append(metrics)
        self._write({"epoch": self.epoch, "end": True, "time": round(time.time(), 3), **metrics})
        self.epoch, self.position, self.totals, self.epoch_start = self.epoch + 1, 0, {}, None
        self._save()

    def _batches(self) -> Iterator[Any]:
        set_epoch = getattr(getattr(self.loader, "sampler", None), "set_epoch", None)
        if set_epoch is not None:  # a DistributedSampler shuffles by it
            set_epoch(self.epoch)
        if self.epoch_start is None:
            self.epoch_start = random_state(self.loader)
            return iter(self.loader)
        # the same order again, up to where we were; then the random numbers of that moment
        now = random_state(self.loader)
        set_random_state(self.epoch_start, self.loader)
        batches = iter(self.loader)
        for _ in range(self.position):
            if next(batches, None) is None:
                raise ValueError(
                    f"there are fewer than {self.position} batches in the loader; "
                    "expected as many as before"
                )
        set_random_state(now, self.loader)
        return batches

    def _over_ranks(self, totals: Metrics) -> Metrics:
        """The sums of all ranks."""
        total: Metrics = {}
        for part in self.ranks.gather(json.dumps(totals).encode()):
            for name, value in json.loads(part).items():
                total[name] = total.get(name, 0) + value
        return total

    def _save(self) -> None:
        if not self.saved:
            return
        own = {"totals": self.totals, "epoch_start": self.epoch_start, "random": random_state(self.loader)}
        parts = self.ranks.gather(to_bytes(own) if self.ranks.count > 1 else b"")

        def write() -> bytes:
            assert self.saved is not None and self.saved.lock is not None
            self.saved.lock.check()
            state = {name: getattr(self, name) for name in ("epoch", "position", "step", "history")}
            state |= {"learner": self.learner.state_dict()}
            state["schedule"] = None if self.schedule is None else self.schedule.state_dict()
            state["ranks"] = [from_bytes(part) for part in parts] if self.ranks.count > 1 else [own]
            self.saved.save(self.step, state)
            return b""

        self.ranks.from_first(write)

    def _write(self, line: dict[str, Any]) -> None:
        if self.log and self.saved and self.saved.lock:
            try:
                self.log.write(line)
            except FileNotFoundError:
                self.saved.lock.check()  # says that the folder is gone
                raise


_MOVING = {"last_epoch", "_step_count", "_last_lr", "_get_lr_called_within_step", "_is_initial", "T_cur", "T_i"}


def _settings(schedule: LRScheduler | None) -> dict[str, Any] | None:
    """What does not move in a schedule, as JSON."""
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    if schedule is None:
        return None
    if not isinstance(schedule, LRScheduler):
        raise TypeError(f"schedule is a {type(schedule).__name__}; expected one of torch.optim.lr_scheduler")
    if isinstance(schedule, ReduceLROnPlateau):
        raise ValueError(
            "the schedule is ReduceLROnPlateau, which waits for a metric; "
            "expected a schedule that counts steps"
        )
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


__all__ = ["Learner", "Metrics", "fit"]
