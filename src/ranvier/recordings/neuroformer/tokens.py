"""Spikes as tokens: the neuron, and the bin of time in its window; what came before, and what else was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ranvier._checks import count, positive
from ranvier._steps import windows_in
from ranvier.recordings.session import Session
from ranvier.recordings.signals import Signal


@dataclass(frozen=True)
class Frames:
    """A modality: a signal (T, D) sampled at `samples` times in the `span` ms up to the end of each window, the last
    sample at or before each of them. Any number of modalities is read alike, by its name.

    >>> signal = rv.recordings.Signal([0.0, 10.0, 20.0], [[1.0], [2.0], [3.0]])
    >>> frames = rv.recordings.neuroformer.Frames(signal, span=20.0, samples=2)
    >>> frames.at(np.array([20.0])).tolist()  # at 10 and 20 ms
    [[[2.0], [3.0]]]
    """

    signal: Signal
    span: float
    samples: int = 1

    def at(self, ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """(windows, samples, D); 0 where nothing was measured."""
        back = np.linspace(self.span * (1 - 1 / self.samples), 0.0, self.samples) if self.samples > 1 else np.zeros(1)
        values = self.signal.at((ends[:, None] - back).ravel(), method="previous")
        return np.nan_to_num(values.reshape(len(ends), self.samples, -1))


@dataclass(frozen=True, eq=False)
class Windows:
    """W windows as tokens.

    ids, bins: (W, L), what the model reads: a start token, then each spike's neuron and bin, in order of bins, then
    neurons; `size` + 1 pads. next_ids, next_bins: (W, L), what it is to say: each next spike, at the end `size`;
    −1 where nothing is scored. past_ids, past_bins: (W, P), the spikes before, the last ones last. modalities: name ->
    (W, F, D). labels: name -> (W,), NaN where there is none. starts: (W,) in ms.
    Returned by `tokenise`.
    """

    ids: Tensor
    bins: Tensor
    next_ids: Tensor
    next_bins: Tensor
    past_ids: Tensor
    past_bins: Tensor
    starts: Tensor
    size: int
    window: float
    past: float
    bin: float
    modalities: dict[str, Tensor] = field(default_factory=dict)
    labels: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> Windows:
        """Those windows alone."""
        tables: dict[str, Any] = {name: getattr(self, name)[rows].clone() for name in _TABLES}
        for name in ("modalities", "labels"):
            tables[name] = {key: value[rows].clone() for key, value in getattr(self, name).items()}
        return replace(self, **tables)

    def trimmed(self) -> Windows:
        """Without the columns in which all pad."""
        length = max(1, int((self.ids <= self.size).sum(1).max())) if len(self) else 1
        before = max(1, int((self.past_ids < self.size).sum(1).max())) if len(self) else 1
        ahead = {name: getattr(self, name)[:, :length] for name in ("ids", "bins", "next_ids", "next_bins")}
        return replace(self, **ahead, past_ids=self.past_ids[:, :before], past_bins=self.past_bins[:, :before])

    @property
    def spikes(self) -> int:
        """Number of spikes to say."""
        return int(((self.next_ids >= 0) & (self.next_ids < self.size)).sum())

    def counts(self) -> Tensor:
        """Spikes of each neuron in each window, (W, N)."""
        table = torch.zeros(len(self), self.size + 2, dtype=torch.float64)
        return table.scatter_add_(1, self.ids, torch.ones(self.ids.shape, dtype=torch.float64))[:, : self.size]


_TABLES = ("ids", "bins", "next_ids", "next_bins", "past_ids", "past_bins", "starts")


def tokenise(
    session: Session, *, window: float = 50.0, past: float = 150.0, bin: float = 10.0, spans: ArrayLike | None = None,
    step: float | None = None, longest: int = 100, modalities: Mapping[str, Frames] | None = None,
    labels: Mapping[str, Signal] | None = None,
) -> Windows:  # fmt: skip
    """Windows of `window` ms every `step` ms (None: one after the other), with the `past` ms before, in bins.

    spans: stretches (k, 2) in ms, as of a `Split`: a window and its past lie within one of them, so that nothing of
    another enters. None: the whole session. longest: spikes of a window, or a past, at most: the first of a window and
    the last of a past are kept. labels: values at each window's end, to be decoded.

    Raises ValueError for a session without spikes, lengths that are not whole bins, and where no window fits.

    >>> session = rv.recordings.Session.from_times([5.0, 60.0, 110.0], [0, 1, 0], duration=200.0)
    >>> windows = rv.recordings.neuroformer.tokenise(session, past=50.0)
    >>> windows.counts().int().tolist()  # of the windows from 50, 100 and 150 ms on
    [[0, 1], [1, 0], [0, 0]]
    """
    if session.spikes is None:
        raise ValueError("the session holds continuous activity; expected spikes: make them by `events`")
    for name, value in {"window": window, "past": past}.items():
        if abs(positive(value, name, "ms") / positive(bin, "bin", "ms") - round(value / bin)) > 1e-6:
            raise ValueError(f"{name} is {value:g} ms; expected whole bins of {bin:g} ms")
    step = window if step is None else positive(step, "step", "ms")
    count(longest, "longest", 1)
    stretches = np.array([[session.start, session.stop]]) if spans is None else np.asarray(spans, np.float64)
    if stretches.ndim != 2 or stretches.shape[1] != 2 or not np.isfinite(stretches).all():
        raise ValueError(f"spans has shape {stretches.shape}; expected finite stretches (k, 2) of start and stop, ms")
    starts = np.concatenate([
        a + past + step * np.arange(max(0, windows_in(b - a - past - window, step) + 1))
        for a, b in stretches
    ])  # fmt: skip
    if not len(starts):
        raise ValueError(f"no window of {window:g} ms with {past:g} ms before it lies within the stretches; expected "
                         "longer ones")  # fmt: skip
    chunks = list(session.spikes.source())
    times = np.concatenate([np.zeros(0), *(steps * session.dt for steps, _ in chunks)])
    owners = np.concatenate([np.zeros(0, np.int64), *(neurons for _, neurons in chunks)]).astype(np.int64)
    size = session.n_neurons
    ids, bins = _cut(times, owners, starts, window, bin, longest, size, last=False)
    past_ids, past_bins = _cut(times, owners, starts - past, past, bin, longest, size, last=True)
    tokens = ids < size
    one, rows = np.ones((len(ids), 1), np.int64), np.arange(len(ids))
    read = np.concatenate([size * one, np.where(tokens, ids, size + 1)], 1)
    said = np.concatenate([np.where(tokens, ids, -1), -one], 1)
    said[rows, tokens.sum(1)] = size  # the end
    said_bins = np.concatenate([np.where(tokens, bins, -1), -one], 1)
    tables = (read, np.concatenate([0 * one, bins], 1), said, said_bins, past_ids, past_bins, starts)
    ends = starts + window
    read_at = {name: signal.at(ends, method="previous") for name, signal in (labels or {}).items()}
    named = dict(zip(_TABLES, (torch.from_numpy(table) for table in tables), strict=True))
    return Windows(
        **named, size=size, window=window, past=past, bin=bin,
        modalities={name: torch.from_numpy(frames.at(ends)).float() for name, frames in (modalities or {}).items()},
        labels={name: torch.from_numpy(values).float() for name, values in read_at.items()},
    )  # fmt: skip


def events(session: Session, *, threshold: float = 1.0, least: float = 0.0) -> Session:
    """Spikes from continuous activity: where a neuron's change from sample to sample goes above `threshold` deviations
    of its own changes; `least`: ms between two of a neuron. Deviations are taken over changes up to then, so that no
    event knows what follows.

    >>> trace = np.zeros((200, 1))
    >>> trace[100:] = 5.0  # one step up
    >>> noise = 1e-3 * np.random.default_rng(0).normal(size=(200, 1))
    >>> signal = rv.recordings.Signal(np.arange(200.0) * 10, trace + noise)
    >>> session = rv.recordings.Session(neurons=rv.recordings.Neurons(("a",)), activity=signal)
    >>> found = rv.recordings.neuroformer.events(session, threshold=5.0)
    >>> int(rv.analysis.counts(found.spikes, found.spikes.duration).sum())
    1
    """
    from ranvier.recordings.preparation import causal_zscore

    signal = session.activity
    if signal is None:
        raise ValueError("the session holds spikes; expected continuous activity")
    x = signal.read()
    change = np.diff(x, axis=0, prepend=x[:1])
    score = causal_zscore(change)
    up = (score > threshold) & ~(np.roll(score, 1, 0) > threshold)
    rows, columns = np.nonzero(np.nan_to_num(up))
    times = signal.times[rows]
    if least > 0:
        order = np.lexsort((times, columns))
        near = (np.diff(times[order], prepend=-np.inf) < least) & (np.diff(columns[order], prepend=-1) == 0)
        order = order[~near]
        times, columns = times[order], columns[order]
    half = signal.dt / 2
    return Session.from_times(
        times + half, columns, duration=session.duration + signal.dt, start=session.start, size=session.n_neurons,
        dt=half, neurons=session.neurons, behaviour=session.behaviour, stimuli=session.stimuli, trials=session.trials,
        name=session.name,
    )  # fmt: skip


def _cut(
    times: NDArray[Any], owners: NDArray[Any], starts: NDArray[Any], length: float, bin: float, longest: int, size: int,
    last: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Neurons and bins (W, L) of the spikes of start < t ≤ start + length, padded with size + 1 and 0."""
    slack = 1e-9 * max(1.0, float(np.abs(starts).max()))
    lo, hi = np.searchsorted(times, starts + slack, "right"), np.searchsorted(times, starts + length + slack, "right")
    number_of = np.minimum(hi - lo, longest)
    first = hi - number_of if last else lo
    width = max(1, int(number_of.max(initial=0)))
    place = first[:, None] + np.arange(width)
    inside = np.arange(width) < number_of[:, None]
    place = np.where(inside, place, 0)
    if not len(times):
        return np.full((len(starts), 1), size + 1), np.zeros((len(starts), 1), np.int64)
    ids = np.where(inside, owners[place], size + 1)
    bins = np.ceil((times[place] - starts[:, None]) / bin - 1e-6).astype(np.int64) - 1
    bins = np.where(inside, np.clip(bins, 0, round(length / bin) - 1), round(length / bin))
    order = np.lexsort((ids, bins), axis=1)
    ids, bins = np.take_along_axis(ids, order, 1), np.take_along_axis(bins, order, 1)
    return ids.astype(np.int64), np.where(ids == size + 1, 0, bins)


__all__ = ["Frames", "Windows", "events", "tokenise"]
