"""Splits of time into what is learned from and what is tested on, that share nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count, number
from ranvier._results import Fields
from ranvier.recordings.epochs import Epochs


@dataclass(frozen=True, eq=False)
class Split(Fields):
    """Stretches to learn from and to test on, (k, 2) and (m, 2) in ms: start ≤ t < stop.

    gap: ms that lie between any two of different kind, at least; as long as the memory of whatever is done to the
    data, such as a smoothing kernel. Raises ValueError where they come nearer, or overlap.

    >>> split = rv.recordings.Split([[0.0, 50.0]], [[60.0, 100.0]], gap=10.0)
    >>> split.in_train([10.0, 55.0, 70.0]).tolist(), split.in_test([10.0, 55.0, 70.0]).tolist()
    ([True, False, False], [False, False, True])
    """

    train: NDArray[np.float64]
    test: NDArray[np.float64]
    gap: float = 0.0

    def __post_init__(self) -> None:
        for name in ("train", "test"):
            spans = np.array(getattr(self, name), np.float64)
            flat = spans.ndim != 2 or spans.shape[1] != 2
            if flat or not np.isfinite(spans).all() or (spans[:, 1] < spans[:, 0]).any():
                raise ValueError(f"{name} is {spans.tolist()!r:.80}; expected stretches (k, 2) of start and later "
                                 "stop, ms")  # fmt: skip
            spans = spans[np.argsort(spans[:, 0], kind="stable")]
            spans.setflags(write=False)
            object.__setattr__(self, name, spans)
        if number(self.gap, "gap", "ms") < 0:
            raise ValueError(f"gap is {self.gap} ms; expected 0 or more")
        for a, b in self.train:
            near = (self.test[:, 0] < b + self.gap - 1e-9) & (self.test[:, 1] > a - self.gap + 1e-9)
            if near.any() and b > a:
                c, d = self.test[np.argmax(near)]
                raise ValueError(f"train stretch {a:g} to {b:g} ms and test stretch {c:g} to {d:g} ms are nearer than "
                                 f"the gap of {self.gap:g} ms; expected them apart: cut one of them")  # fmt: skip

    def in_train(self, times: ArrayLike) -> NDArray[np.bool_]:
        """Which of the times (ms) are learned from."""
        return _inside(self.train, times)

    def in_test(self, times: ArrayLike) -> NDArray[np.bool_]:
        """Which of the times (ms) are tested on."""
        return _inside(self.test, times)

    def __repr__(self) -> str:
        lengths = [float((s[:, 1] - s[:, 0]).sum()) / 1000 for s in (self.train, self.test)]
        return f"Split(train {lengths[0]:g} s, test {lengths[1]:g} s, gap {self.gap:g} ms)"


def hold_out(start: float, stop: float, *, share: float = 0.2, gap: float = 0.0) -> Split:
    """The last `share` of start ≤ t < stop (ms) to test on, all before it, but for the gap, to learn from.

    >>> split = rv.recordings.hold_out(0.0, 100.0, share=0.2, gap=5.0)
    >>> split.train.tolist(), split.test.tolist()
    ([[0.0, 75.0]], [[80.0, 100.0]])
    """
    border = stop - share * (stop - start)
    if not (0 < share < 1 and start < border - gap):
        raise ValueError(f"share is {share} of {stop - start:g} ms, gap {gap:g} ms; expected something to learn from")
    return Split(np.array([[start, border - gap]]), np.array([[border, stop]]), gap)


def blocked(start: float, stop: float, *, parts: int = 5, gap: float = 0.0) -> Iterator[Split]:
    """Cross-validation in time: each of `parts` consecutive blocks is tested on once; what lies within `gap` ms of it
    is left out of both.

    >>> for split in rv.recordings.blocked(0.0, 100.0, parts=2, gap=10.0):
    ...     print(split.train.tolist(), split.test.tolist())
    [[60.0, 100.0]] [[0.0, 50.0]]
    [[0.0, 40.0]] [[50.0, 100.0]]
    """
    count(parts, "parts", 2)
    edges = np.linspace(start, stop, parts + 1)
    if gap >= edges[1] - edges[0]:
        raise ValueError(f"gap is {gap:g} ms, a block {edges[1] - edges[0]:g} ms; expected shorter gaps or fewer "
                         "parts")  # fmt: skip
    for a, b in pairwise(edges):
        train = [[x, y] for x, y in ((start, a - gap), (b + gap, stop)) if y > x]
        yield Split(np.array(train), np.array([[a, b]]), gap)


def by_trial(
    trials: Epochs, *, parts: int = 5, group: str | None = None, gap: float = 0.0, seed: int = 0
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Cross-validation over trials: indices to learn from and to test on, so often as there are parts.

    Trials that overlap stay together, as do those that come within `gap` ms of one another, and those of one `group`
    (a column: the presentation, the block, the animal). Raises ValueError where fewer groups remain than parts.

    >>> trials = rv.recordings.Epochs([0.0, 5.0, 20.0, 40.0], [10.0, 15.0, 30.0, 50.0])  # the first two overlap
    >>> [sorted(test.tolist()) for _, test in rv.recordings.by_trial(trials, parts=3)].count([0, 1])
    1
    """
    count(parts, "parts", 2)
    label = grouped(trials, group=group, gap=gap)
    number_of = int(label.max(initial=-1)) + 1
    if number_of < parts:
        raise ValueError(f"{len(trials)} trials fall into {number_of} groups that must stay together; expected at "
                         f"least {parts}, one for each part: take fewer parts, or another group")  # fmt: skip
    part = np.random.default_rng(seed).permutation(number_of) % parts
    for k in range(parts):
        tested = part[label] == k
        yield np.flatnonzero(~tested), np.flatnonzero(tested)


def grouped(trials: Epochs, *, group: str | None = None, gap: float = 0.0) -> NDArray[np.int64]:
    """The group of each trial, (n,), counted from 0: trials that share time, or nearly, or a label, share a group.

    >>> trials = rv.recordings.Epochs([0.0, 5.0, 20.0], [10.0, 15.0, 30.0])
    >>> rv.recordings.grouped(trials).tolist()
    [0, 0, 1]
    """
    label = Epochs(trials.start, trials.stop + gap).components() if len(trials) else np.empty(0, np.int64)
    if group is None:
        return label
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, names = np.unique(trials[group], return_inverse=True)
    total = int(label.max(initial=-1)) + 1
    size = total + int(names.max(initial=-1)) + 1
    links: Any = coo_array((np.ones(len(trials)), (label, total + names.reshape(-1))), shape=(size, size))
    _, component = connected_components(links, directed=False)
    return np.unique(component[label], return_inverse=True)[1].astype(np.int64)


def _inside(spans: NDArray[np.float64], times: ArrayLike) -> NDArray[np.bool_]:
    return Epochs(spans[:, 0], spans[:, 1]).contains(times)


__all__ = ["Split", "blocked", "by_trial", "grouped", "hold_out"]
