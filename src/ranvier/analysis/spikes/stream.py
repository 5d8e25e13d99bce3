"""`Spikes`: the spikes of a run as a stream of sorted arrays, and the cuts every statistic is made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import index_pairs, instance, reals
from ranvier._results import Fields
from ranvier._steps import whole_steps, window_of

Chunk = tuple[NDArray[np.int64], NDArray[np.int32]]


@dataclass(frozen=True, eq=False)
class _Held:
    """Spikes in memory, as a source."""

    steps: NDArray[np.int64]
    neurons: NDArray[np.int32]

    def __call__(self) -> list[Chunk]:
        return [(self.steps, self.neurons)]


@dataclass(frozen=True)
class Spikes(Fields):
    """Spikes of `n_neurons` neurons at steps start < s ≤ stop of length `dt` (ms).

    `source()` yields steps (n,) int64 and neurons (n,) int32 in the order of time; it is called once for every pass,
    so that a run on disk never needs to lie in memory as a whole. Statistics cut the stream at places of their
    own, never at the borders of what `source` yields: the same spikes give the same bits however they
    are stored.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.SpikeTimes([1.0, 2.0], [0, 1]), 2)
    >>> spikes = rv.simulate(net, 10.0, dt=1.0, engine="torch").spikes
    >>> spikes.n_neurons, spikes.stop
    (2, 10)
    """

    source: Callable[[], Iterable[Chunk]] = field(repr=False)
    n_neurons: int
    dt: float
    stop: int
    start: int = 0

    @classmethod
    def from_steps(
        cls, steps: ArrayLike, neurons: ArrayLike, *, n_neurons: int, dt: float, stop: int, start: int = 0
    ) -> Spikes:
        """Spikes from sorted step numbers (n,) in start < s ≤ stop and neuron indices (n,); dt in ms.

        Raises ValueError for arrays of unequal length, unsorted steps, and steps or neurons out of range.
        """
        steps = np.asarray(steps, dtype=np.int64)
        neurons = np.asarray(neurons, dtype=np.int32)
        check(steps, neurons, n_neurons, start, stop)
        if not dt > 0:
            raise ValueError(f"dt is {dt}; expected a step above 0 ms")
        return cls(_Held(steps, neurons), int(n_neurons), float(dt), int(stop), int(start))

    @classmethod
    def from_times(
        cls, times: ArrayLike, neurons: ArrayLike, *, n_neurons: int, duration: float, dt: float = 0.1
    ) -> Spikes:
        """Spikes from times (n,) in ms, 0 < t ≤ duration, in any order, each rounded up to a step of `dt` (ms).

        neurons: (n,), from 0 to n_neurons − 1. duration: in ms, rounded to a step.
        Raises ValueError for arrays of unequal length, and for times and neurons that are not finite or out of range.
        """
        times = reals(times, "times")
        neurons = np.asarray(neurons)
        if not np.isfinite(times).all():
            raise ValueError("spike times hold NaN or infinity; expected finite times in ms")
        steps = window_of(times, dt) + 1
        if times.shape != neurons.shape:
            raise ValueError(f"{times.size} spike times but {neurons.size} neuron indices; expected as many")
        order = np.lexsort((neurons, steps))
        stop = round(duration / dt)
        return cls.from_steps(steps[order], neurons[order], n_neurons=n_neurons, dt=dt, stop=stop)

    def __getstate__(self) -> dict[str, Any]:
        """To other processes go the arrays, or the files, that a source reads; a function does not, its spikes do."""
        state = dict(self.__dict__)
        if isinstance(self.source, FunctionType):
            ((steps, neurons),) = self.cut([0, self.n_steps])
            state["source"] = _Held(steps + self.start + 1, neurons)
        return state

    @property
    def n_steps(self) -> int:
        """Length of the record in steps."""
        return self.stop - self.start

    @property
    def duration(self) -> float:
        """Length of the record in ms."""
        return self.n_steps * self.dt

    def after(self, step: int) -> Spikes:
        """The same without everything up to and including `step`, which becomes `start`; ValueError for one outside."""
        if not self.start <= step < self.stop:
            raise ValueError(f"cut at step {step}; expected {self.start} ≤ step < {self.stop}")
        return replace(self, start=int(step))

    def select(self, neurons: ArrayLike) -> Spikes:
        """Only these neurons (n,), renumbered 0, 1, ... in the order given.

        Raises ValueError for a neuron named twice, and for one that there is not.
        """
        neurons = np.asarray(neurons, dtype=np.int64)
        if neurons.ndim != 1 or np.unique(neurons).size != neurons.size:
            raise ValueError("the selection names a neuron twice; expected a list of different indices")
        if neurons.size and not (neurons.min() >= 0 and neurons.max() < self.n_neurons):
            raise ValueError(
                f"the selection holds neuron {neurons.min() if neurons.min() < 0 else neurons.max()}; "
                f"expected indices from 0 to {self.n_neurons - 1}"
            )
        table = np.full(self.n_neurons, -1, dtype=np.int32)
        table[neurons] = np.arange(neurons.size, dtype=np.int32)
        return self._relabelled(table, neurons.size)

    def group(self, labels: ArrayLike) -> Spikes:
        """The pooled spikes of groups: labels (N,) are the neurons' groups, counted from 0, −1 for none.

        Raises ValueError for another number of labels.
        """
        table = np.asarray(labels, dtype=np.int32)
        if table.shape != (self.n_neurons,):
            raise ValueError(f"{table.size} labels; expected one for each of {self.n_neurons} neurons")
        return self._relabelled(table, int(table.max(initial=-1)) + 1)

    def _relabelled(self, table: NDArray[np.int32], size: int) -> Spikes:
        def source() -> Iterator[Chunk]:
            for steps, neurons in self.source():
                new = table[neurons]
                inside = new >= 0
                yield steps[inside], new[inside]

        return replace(self, source=source, n_neurons=size)

    def cut(self, edges: Sequence[int] | NDArray[np.int64]) -> Iterator[Chunk]:
        """One (steps, neurons) for each a < s ≤ b of neighbouring edges; both count from `start`.

        The steps yielded are s − start − 1, hence a ≤ step < b.
        """
        borders = [self.start + int(edge) for edge in edges]
        piece = 0
        held: list[Chunk] = []
        for steps, neurons in self.source():
            at = int(np.searchsorted(steps, borders[0], side="right"))
            while at < len(steps):
                if piece + 1 == len(borders):
                    return
                end = int(np.searchsorted(steps, borders[piece + 1], side="right"))
                held.append((steps[at:end], neurons[at:end]))
                at = end
                if end < len(steps):  # else the next chunk may go on within this piece
                    yield self._joined(held)
                    held, piece = [], piece + 1
        while piece + 1 < len(borders):
            yield self._joined(held)
            held, piece = [], piece + 1

    def _joined(self, held: list[Chunk]) -> Chunk:
        if not held:
            return np.empty(0, np.int64), np.empty(0, np.int32)
        steps = np.concatenate([steps for steps, _ in held])
        return steps - (self.start + 1), np.concatenate([neurons for _, neurons in held])

    def steps_of(self, window: float, name: str = "window") -> int:
        """A length in ms as a whole number of steps; raises ValueError where it is none, or longer than the record."""
        steps = whole_steps(window, self.dt, f"{name} is {window} ms")
        if steps > self.n_steps:
            raise ValueError(f"{name} is {window} ms; expected at most the record's {self.duration:g} ms")
        return steps


def check(
    steps: NDArray[np.int64], neurons: NDArray[np.int32], n_neurons: int, start: int, stop: int
) -> None:
    """Raise ValueError unless these are sorted spikes of n_neurons neurons with start < step ≤ stop."""
    if steps.ndim != 1 or steps.shape != neurons.shape:
        raise ValueError(
            f"spike steps of shape {steps.shape} and neurons of shape {neurons.shape}; "
            "expected two vectors of one length"
        )
    if not steps.size:
        return
    if (np.diff(steps) < 0).any():
        at = int(np.argmax(np.diff(steps) < 0))
        raise ValueError(f"step {steps[at + 1]} comes after step {steps[at]}; expected spikes sorted by step")
    if steps[0] <= start or steps[-1] > stop:
        bad = steps[0] if steps[0] <= start else steps[-1]
        raise ValueError(f"a spike lies at step {bad}; expected {start} < step ≤ {stop}")
    if neurons.min() < 0 or neurons.max() >= n_neurons:
        bad = neurons.min() if neurons.min() < 0 else neurons.max()
        raise ValueError(f"a spike belongs to neuron {bad}; expected 0 to {n_neurons - 1}")


def block_edges(n: int, blocks: int, chunk: int) -> list[NDArray[np.int64]]:
    """Edges of 0..n cut into `blocks` nearly equal blocks, each again into chunks of at most `chunk`."""
    if n < blocks:
        raise ValueError(f"{n} windows for {blocks} blocks; expected a longer record or a shorter window")
    borders = np.linspace(0, n, blocks + 1).astype(np.int64)
    return [np.append(np.arange(a, b, chunk), b) for a, b in pairwise(borders)]


def pair_indices(pairs: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different neurons of `pairs` (P, 2), and the pairs as places among these."""
    chosen = index_pairs(pairs)
    used, places = np.unique(chosen, return_inverse=True)
    return used, places.reshape(chosen.shape)


def require_spikes(spikes: Any) -> None:
    """TypeError for what is no `Spikes`."""
    instance(
        spikes, Spikes,
        "spikes", "Spikes: make them by Spikes.from_steps, or ask a recording itself, as in recording.rates()",
    )  # fmt: skip


def require_memory(entries: int, what: str, remedy: str) -> None:
    """Raise ValueError where `entries` float64 numbers would fill more than the machine's memory."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if 8 * entries > memory:
        needed, there = 8 * entries / 2**30, memory / 2**30
        raise ValueError(
            f"{what} would take {needed:.1f} GiB of the {there:.1f} GiB there are; expected less: {remedy}"
        )
