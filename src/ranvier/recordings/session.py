"""`Session`: one recorded brain: activity, neurons, behaviour, stimuli and trials on one clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import nearest, positive, printable
from ranvier._html import paragraph, table
from ranvier._results import frame, in_brief
from ranvier._steps import frame_of, window_of, windows_in
from ranvier._text import plural
from ranvier.analysis import SpikeQuestions, Spikes, counts
from ranvier.networks.groups import Group, resolve
from ranvier.recordings.epochs import Epochs
from ranvier.recordings.neurons import MOST_NEURONS, Neurons
from ranvier.recordings.signals import Signal

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

_ROWS = 8192  # samples of continuous activity held in memory at a time


class Session(SpikeQuestions):
    """What was recorded of one brain: spikes, or continuous activity as of calcium; times in ms.

    Parameters
    ----------
    spikes, activity
        one of the two: a stream of spikes, or a `Signal` (T, N) with a column for each neuron, NaN where it was not
        measured
    neurons
        names and confidence; None: unnamed
    behaviour, stimuli
        name -> `Signal` on the same clock; a stimulus may also be `Epochs`
    trials
        `Epochs`, None where there are none
    name, notes
        of the session, and what was done or left out when it was read

    It answers the questions of a simulation's `Recording`. Of continuous activity `covariance` and `correlation` are
    those of means over windows, of each pair where both were measured; what is only of spikes is refused.

    >>> from ranvier.recordings import Session
    >>> session = Session.from_times([5.0, 12.0, 20.0], [0, 1, 0], duration=25.0)
    >>> session.rates().tolist()
    [80.0, 40.0]
    """

    def __init__(
        self,
        *,
        spikes: Spikes | None = None,
        activity: Signal | None = None,
        neurons: Neurons | None = None,
        behaviour: Mapping[str, Signal] | None = None,
        stimuli: Mapping[str, Signal | Epochs] | None = None,
        trials: Epochs | None = None,
        name: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        if (spikes is None) == (activity is None):
            which = "neither" if spikes is None else "both"
            raise ValueError(f"{which} of spikes= and activity= given; expected one: a session holds one kind")
        size = spikes.n_neurons if spikes is not None else activity.width  # type: ignore[union-attr]
        self.neurons = Neurons.unnamed(size) if neurons is None else neurons
        if len(self.neurons) != size:
            raise ValueError(f"{len(self.neurons)} neurons are described; expected the {size} that were recorded")
        self.spikes, self.activity = spikes, activity
        self.behaviour, self.stimuli = dict(behaviour or {}), dict(stimuli or {})
        for key, value in (*self.behaviour.items(), *self.stimuli.items()):
            printable(key, "the name of a behaviour or stimulus")
            if not isinstance(value, Signal | Epochs) or (key in self.behaviour and not isinstance(value, Signal)):
                raise TypeError(f"{key!r} is a {type(value).__name__}; expected a Signal (or Epochs, of a stimulus)")
        self.trials = trials
        self.name = printable(name, "the session's name")
        self.notes = tuple(notes)

    @classmethod
    def from_times(
        cls,
        times: ArrayLike,
        owners: ArrayLike,
        *,
        duration: float,
        start: float = 0.0,
        size: int | None = None,
        dt: float = 0.1,
        **options: Any,
    ) -> Session:
        """A session from spike times (n,) in ms, in any order, and the neuron of each (its index).

        Spikes lie in start < t ≤ start + duration, and are kept to a step of `dt`; a duration that is no whole number
        of steps is prolonged to one. size: the number of neurons; None: as far as they are named. Other options are the
        session's. Raises ValueError for times that are not finite or outside.
        """
        times, owners = np.asarray(times, np.float64), np.asarray(owners)
        if owners.dtype.kind not in "iu" and owners.size:
            raise TypeError(f"owners is {owners.dtype}; expected indices of neurons, whole numbers")
        owners = owners.astype(np.int64)
        if (owners < 0).any() or owners.max(initial=0) >= MOST_NEURONS:
            odd = owners.min() if (owners < 0).any() else owners.max()
            raise ValueError(f"owners holds {odd}; expected indices of neurons, from 0 to below {MOST_NEURONS}")
        positive(duration, "duration", "ms"), positive(dt, "dt", "ms")
        if times.shape != owners.shape or times.ndim != 1:
            raise ValueError(f"times has shape {times.shape}, owners {owners.shape}; expected one neuron a spike: "
                             "(n,) both")  # fmt: skip
        if not np.isfinite(times).all():
            raise ValueError("times holds NaN or infinity; expected finite times in ms: leave those spikes out")
        origin = round(start / dt)
        steps = origin + window_of(times - origin * dt, dt) + 1
        order = np.lexsort((owners, steps))
        count = int(owners.max(initial=-1)) + 1 if size is None else int(size)
        stop = origin + max(1, int(window_of(start + duration - origin * dt, dt)) + 1)
        spikes = Spikes.from_steps(steps[order], owners[order], n_neurons=count, dt=dt, start=origin, stop=stop)
        return cls(spikes=spikes, **options)

    @classmethod
    def from_counts(cls, table: ArrayLike, *, bin: float, start: float = 0.0, **options: Any) -> Session:
        """A session from spike counts (T, N) in consecutive bins of `bin` ms; a bin's spikes lie at its end.

        Raises ValueError for counts that are negative, fractional or not finite.
        """
        table = np.asarray(table)
        positive(bin, "bin", "ms")
        if table.ndim != 2:
            raise ValueError(f"table has shape {table.shape}; expected counts (T, N), a row a bin")
        whole = table.dtype.kind in "iub" or (np.isfinite(table).all() and (table == np.round(table)).all())
        if not whole or (table.size and table.min() < 0):
            raise ValueError("table holds values that are no counts; expected whole numbers from 0: give continuous "
                             "activity as activity=Signal(times, values)")  # fmt: skip
        rows, columns = np.nonzero(table)
        times = table[rows, columns].astype(np.int64)
        origin = round(start / bin)
        spikes = Spikes.from_steps(
            origin + 1 + np.repeat(rows, times), np.repeat(columns, times), n_neurons=table.shape[1], dt=bin,
            start=origin, stop=origin + len(table),
        )  # fmt: skip
        return cls(spikes=spikes, **options)

    @classmethod
    def of_simulation(cls, recording: Any, **options: Any) -> Session:
        """A simulation's `Recording` as if it were a brain's, its neurons named as the recording has it.

        Of a run without spikes, as of graded neurons, the first recorded variable is the activity.
        """
        names = recording.names
        if recording.n_spikes or not recording.states:
            return cls(spikes=recording.spikes, neurons=Neurons(tuple(names)), **options)
        trace = recording.states[next(iter(recording.states))]
        own = Neurons(tuple(names[k] for k in trace.neurons.tolist()))
        return cls(activity=Signal(trace.times.numpy(), trace.values.numpy()), neurons=own, **options)

    # What was recorded

    @property
    def kind(self) -> str:
        """ "spikes" or "continuous"."""
        return "spikes" if self.spikes is not None else "continuous"

    @property
    def n_neurons(self) -> int:
        """N."""
        return len(self.neurons)

    @property
    def start(self) -> float:
        """Begin of the activity on the session's clock, ms."""
        if self.spikes is not None:
            return self.spikes.start * self.spikes.dt
        return float(self.activity.times[0]) if len(self.activity) else 0.0  # type: ignore[union-attr, arg-type]

    @property
    def duration(self) -> float:
        """Length of the activity, ms; a continuous session's last sample counts as long as the median one."""
        if self.spikes is not None:
            return self.spikes.duration
        signal = self._continuous("duration")
        return float(signal.times[-1] - signal.times[0] + signal.dt) if len(signal) > 1 else 0.0

    @property
    def stop(self) -> float:
        """End of the activity, ms."""
        return self.start + self.duration

    @property
    def dt(self) -> float:
        """Step of the spikes' clock, or median interval of the samples, ms."""
        return self.spikes.dt if self.spikes is not None else self._continuous("dt").dt

    def places(self, neurons: Any = None) -> NDArray[np.int64]:
        """Indices of neurons given by index, mask, slice, name or a list of names; None: all."""
        if neurons is None:
            return np.arange(self.n_neurons)
        if isinstance(neurons, str):
            return np.array([self.neurons.index(neurons)])
        if isinstance(neurons, list | tuple) and any(isinstance(n, str) for n in neurons):
            neurons = [self.neurons.index(n) if isinstance(n, str) else n for n in neurons]
        return resolve(neurons, (Group("neurons", 0, self.n_neurons),), self.n_neurons)

    def select(self, neurons: Any) -> Session:
        """These neurons alone, renumbered in the order given."""
        chosen = self.places(neurons)
        spikes = None if self.spikes is None else self.spikes.select(chosen)
        activity = self.activity and replace(self.activity, values=_matrix(self.activity.values)[:, chosen])
        return self._with(spikes=spikes, activity=activity, neurons=self.neurons.select(chosen))

    def spike_steps(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Of every spike in order: its step of `dt`, counted from time 0, and its neuron, (n,) each; in memory.

        Raises ValueError for continuous activity."""
        if self.spikes is None:
            raise ValueError("the session holds continuous activity; expected spikes: its samples are in activity")
        ((steps, neurons),) = self.spikes.cut([0, self.spikes.n_steps])
        return steps + self.spikes.start + 1, neurons

    def binned(self, width: float, *, neurons: Any = None) -> Signal:
        """Activity in consecutive bins of `width` ms from `start` on: a `Signal` at the bins' centres, (bins, N).

        Spike counts; of continuous activity the means of what was measured in a bin, NaN where nothing was.
        """
        positive(width, "width", "ms")
        if self.spikes is not None:
            table: NDArray[Any] = counts(self._selected(neurons), width)
        else:
            table = self._means(width, self.places(neurons))
        centers = np.asarray(self.start + (np.arange(len(table)) + 0.5) * width, np.float64)
        return Signal(centers, table)

    def measured(self) -> NDArray[np.float64]:
        """Share of the samples in which each neuron was measured, (N,); 1 for spikes."""
        if self.spikes is not None:
            return np.ones(self.n_neurons)
        total = np.zeros(self.n_neurons)
        for piece in self._pieces(np.arange(self.n_neurons)):
            total += np.isfinite(piece).sum(0)
        return total / max(1, len(self._continuous("measured")))

    def signal(self, name: str) -> Signal:
        """A behaviour, or a stimulus that is a signal, by its name."""
        everything = {**self.stimuli, **self.behaviour}
        if name not in everything:
            raise ValueError(f"nothing is named {name!r}; {nearest(name, everything)}")
        value = everything[name]
        if not isinstance(value, Signal):
            raise ValueError(f"{name!r} are {value!r}; expected a signal: read its epochs from stimuli[{name!r}]")
        return value

    # The questions of a simulation's recording

    def covariance(self, window: float, *, neurons: Any = None, return_error: bool = False, blocks: int = 20) -> Any:
        """Covariance of spike counts, or of mean activity, in windows of `window` ms, (N, N)."""
        if self.spikes is not None:
            return super().covariance(window, neurons=neurons, return_error=return_error, blocks=blocks)
        return self._pairs(window, neurons, return_error)[0]

    def correlation(self, window: float, *, neurons: Any = None, return_error: bool = False, blocks: int = 20) -> Any:
        """Pearson correlation of spike counts, or of mean activity, in windows of `window` ms, (N, N)."""
        if self.spikes is not None:
            return super().correlation(window, neurons=neurons, return_error=return_error, blocks=blocks)
        return self._pairs(window, neurons, return_error)[1]

    def _selected(self, neurons: Any) -> Spikes:
        if self.spikes is None:
            raise ValueError("the session holds continuous activity; expected spikes for this question: ask "
                             "binned(), covariance() or correlation()")  # fmt: skip
        return self.spikes if neurons is None else self.spikes.select(self.places(neurons))

    def _continuous(self, what: str) -> Signal:
        if self.activity is None:
            raise ValueError(f"the session holds spikes; expected continuous activity for {what}")
        return self.activity

    def _pieces(self, places: NDArray[np.int64]) -> Any:
        signal = self._continuous("samples")
        for at in range(0, len(signal), _ROWS):
            piece = signal.read(slice(at, at + _ROWS), places)
            yield piece if piece.ndim == 2 else piece[:, None]

    def _means(self, width: float, places: NDArray[np.int64]) -> NDArray[np.float64]:
        signal = self._continuous("binned")
        bins = windows_in(self.duration, width)
        if bins < 1:
            raise ValueError(f"width is {width:g} ms; expected at most the session's {self.duration:g} ms")
        frame = frame_of(signal.times - self.start, width)
        total, number = np.zeros((bins, len(places))), np.zeros((bins, len(places)))
        for k, piece in enumerate(self._pieces(places)):
            row = frame[k * _ROWS : k * _ROWS + len(piece)]
            inside, finite = row < bins, np.isfinite(piece)
            np.add.at(total, row[inside], np.where(finite, piece, 0.0)[inside])
            np.add.at(number, row[inside], finite[inside])
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    def _pairs(self, window: float, neurons: Any, return_error: bool) -> tuple[Tensor, Tensor]:
        """Covariance and correlation of each pair over the windows in which both were measured."""
        import torch

        if return_error:
            raise ValueError("return_error is True; expected False of continuous activity, whose samples are not "
                             "independent: take blocks by hand")  # fmt: skip
        x = self.binned(window, neurons=neurons).read()
        there = np.isfinite(x).astype(np.float64)
        if len(x) < 2:
            raise ValueError(f"window is {window:g} ms, {len(x)} in the session; expected at least 2: shorten it")
        center = np.nansum(x, 0) / np.maximum(there.sum(0), 1)
        y = np.where(there > 0, x - center, 0.0)
        number, first = there.T @ there, y.T @ there  # first[i, j]: Σ of i where both were measured
        with np.errstate(divide="ignore", invalid="ignore"):
            covariance = (y.T @ y - first * first.T / number) / (number - 1)
            own = ((y * y).T @ there - first**2 / number) / (number - 1)
            correlation = np.clip(covariance / np.sqrt(own * own.T), -1, 1)
        covariance[number < 2] = correlation[number < 2] = np.nan
        return torch.from_numpy(covariance), torch.from_numpy(correlation)

    def _with(self, **changes: Any) -> Session:
        parts = {name: getattr(self, name) for name in ("spikes", "activity", "neurons", "behaviour", "stimuli",
                                                        "trials", "name", "notes")}  # fmt: skip
        return Session(**{**parts, **changes})

    def to_pandas(self) -> pandas.DataFrame:
        """Columns time (ms), neuron and name, a row a spike; of continuous activity time and a column a neuron, by its
        name where no other has it, or its index. Raises ImportError without pandas."""
        if self.spikes is None:
            signal = self._continuous("to_pandas")
            unique = {n: k for k, n in enumerate(self.neurons.names) if n and self.neurons.names.count(n) == 1}
            keys = {k: n for n, k in unique.items()}
            columns = signal.read().reshape(len(signal), -1).T
            return frame({"time": signal.times, **{keys.get(k, str(k)): c for k, c in enumerate(columns)}})
        steps, neurons = self.spike_steps()
        names = np.array(self.neurons.names, object)[neurons]
        return frame({"time": steps * self.dt, "neuron": neurons, "name": names})

    def _repr_html_(self) -> str:
        rows = [(name, "behaviour", in_brief(value)) for name, value in self.behaviour.items()]
        rows += [(name, "stimulus", in_brief(value)) for name, value in self.stimuli.items()]
        rows += [("", "note", note) for note in self.notes]
        return paragraph("Session", repr(self)[8:-1]) + table(("", "", ""), rows)

    def __repr__(self) -> str:
        size, named = plural(self.n_neurons, "neuron"), int(self.neurons.labelled.sum())
        parts = [f"{self.duration / 1000:g} s", f"{size} ({named} named)", self.kind]
        parts += [f"behaviour {', '.join(self.behaviour)}"] if self.behaviour else []
        parts += [f"stimuli {', '.join(self.stimuli)}"] if self.stimuli else []
        parts += [plural(len(self.trials), "trial")] if self.trials is not None else []
        return f"Session({self.name + ': ' if self.name else ''}{'; '.join(parts)})"


def _matrix(values: Any) -> Any:
    return values if len(values.shape) == 2 else np.asarray(values)[:, None]


__all__ = ["Session"]
