"""Augmentation of event recordings: each is a record, called with events and a generator, and returns events.

Events are structured arrays with x, y, t (µs) and p, in order of time (`ranvier.learners.read_nmnist` and the like, the
data sets of tonic); what comes back is so again, and what came in is unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranvier import _checks
from ranvier.learners.datasets.events import Recording

#: of a jitter, ms, and of a stretch: whole µs of 64 bits hold what comes of them
_LONGEST, _MOST = 1e9, 1e6


def _sorted(events: Recording) -> Recording:
    return events[np.argsort(events["t"], kind="stable")]


@dataclass(frozen=True)
class TimeJitter:
    """Each time moves by a normal number of standard deviation `deviation` (ms), not below 0.

    >>> events = np.zeros(3, rv.learners.EVENT)
    >>> bool((rv.learners.TimeJitter(1.0)(events, np.random.default_rng(0))["t"] >= 0).all())
    True
    """

    deviation: float

    def __post_init__(self) -> None:
        if _checks.positive(self.deviation, "deviation", "ms") > _LONGEST:
            raise ValueError(f"deviation is {self.deviation} ms; expected at most {_LONGEST:g}")

    def __call__(self, events: Recording, rng: np.random.Generator) -> Recording:
        events = events.copy()
        moved = events["t"] + rng.normal(0.0, 1000.0 * self.deviation, len(events))
        events["t"] = np.maximum(np.rint(moved), 0)
        return _sorted(events)


@dataclass(frozen=True)
class DropEvents:
    """Each event is left out with `chance`.

    >>> len(rv.learners.DropEvents(1.0)(np.zeros(3, rv.learners.EVENT), np.random.default_rng(0)))
    0
    """

    chance: float

    def __post_init__(self) -> None:
        _checks.chance(self.chance, "chance")

    def __call__(self, events: Recording, rng: np.random.Generator) -> Recording:
        return events[rng.random(len(events)) >= self.chance]


@dataclass(frozen=True)
class FlipSides:
    """Left becomes right, with `chance`, on a sensor of `width` pixels.

    >>> rv.learners.FlipSides(34, chance=1.0)(np.zeros(1, rv.learners.EVENT), np.random.default_rng(0))["x"].tolist()
    [33]
    """

    width: int
    chance: float = 0.5

    def __post_init__(self) -> None:
        _checks.chance(self.chance, "chance")
        _checks.count(self.width, "width", 1)

    def __call__(self, events: Recording, rng: np.random.Generator) -> Recording:
        events = events.copy()
        if rng.random() < self.chance:
            events["x"] = self.width - 1 - events["x"]
        return events


@dataclass(frozen=True)
class CropPixels:
    """A window of `to` (height, width) at a drawn place of a sensor of `size`; pixels count from its corner.

    >>> crop = rv.learners.CropPixels((34, 34), to=(34, 34))
    >>> len(crop(np.zeros(2, rv.learners.EVENT), np.random.default_rng(0)))
    2
    """

    size: tuple[int, int]
    to: tuple[int, int]

    def __post_init__(self) -> None:
        if not all(1 <= small <= large for small, large in zip(self.to, self.size, strict=True)):
            raise ValueError(f"to is {self.to} of a sensor of {self.size}; expected a window within it")

    def __call__(self, events: Recording, rng: np.random.Generator) -> Recording:
        top, left = (int(rng.integers(large - small + 1)) for small, large in zip(self.to, self.size, strict=True))
        events = events.copy()
        events["y"] -= top
        events["x"] -= left
        height, width = self.to
        return events[(events["y"] >= 0) & (events["y"] < height) & (events["x"] >= 0) & (events["x"] < width)]


@dataclass(frozen=True)
class SwapPolarity:
    """On becomes off, and off on, of all events with `chance`.

    >>> rv.learners.SwapPolarity(1.0)(np.zeros(1, rv.learners.EVENT), np.random.default_rng(0))["p"].tolist()
    [1]
    """

    chance: float = 0.5

    def __post_init__(self) -> None:
        _checks.chance(self.chance, "chance")

    def __call__(self, events: Recording, rng: np.random.Generator) -> Recording:
        events = events.copy()
        if rng.random() < self.chance:
            events["p"] = 1 - events["p"]
        return events


@dataclass(frozen=True)
class ReverseTime:
    """The last event becomes the first, with `chance`; polarities swap, as brightness then changes the other way.

    >>> events = np.array([(0, 0, 1, 1), (5, 0, 9, 1)], rv.learners.EVENT)
    >>> rv.learners.ReverseTime(1.0)(events, np.random.default_rng(0)).tolist()
    [(5, 0, 1, 0), (0, 0, 9, 0)]
    """

    chance: float = 0.5

    def __post_init__(self) -> None:
        _checks.chance(self.chance, "chance")

    def __call__(self, events: Recording, rng: np.random.Generator) -> Recording:
        events = events.copy()
        if len(events) and rng.random() < self.chance:
            events["t"] = events["t"][0] + events["t"][-1] - events["t"]
            events["p"] = 1 - events["p"]
            return events[::-1].copy()
        return events


@dataclass(frozen=True)
class StretchTime:
    """All times are multiplied by one factor, uniform from `low` to `high`.

    >>> events = np.array([(0, 0, 100, 1)], rv.learners.EVENT)
    >>> rv.learners.StretchTime(2.0, 2.0)(events, np.random.default_rng(0))["t"].tolist()
    [200]
    """

    low: float = 0.8
    high: float = 1.25

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high <= _MOST:
            raise ValueError(f"low is {self.low}, high is {self.high}; expected 0 < low <= high <= {_MOST:g}")

    def __call__(self, events: Recording, rng: np.random.Generator) -> Recording:
        events = events.copy()
        events["t"] = np.rint(events["t"] * rng.uniform(self.low, self.high))
        return events


__all__ = ["CropPixels", "DropEvents", "FlipSides", "ReverseTime", "StretchTime", "SwapPolarity", "TimeJitter"]
