"""`Epochs`: stretches of time with what is known of each: trials, presentations, stretches of sleep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import nearest, printable
from ranvier._results import Columns, spread


@dataclass(frozen=True, eq=False)
class Epochs(Columns):
    """Stretches start ≤ t < stop (ms), in order of their starts, with columns of labels.

    Parameters
    ----------
    start, stop
        (n,) in ms; given in any order, they are kept sorted by start, columns along with them
    columns
        name -> (n,): what is known of each, as a stimulus, a choice, the presentation that a trial repeats

    They may overlap: `components` says which belong together. Raises ValueError for unequal lengths, times that are
    not finite, and a stop before its start.

    >>> epochs = rv.recordings.Epochs([20.0, 0.0], [30.0, 10.0], {"choice": np.array(["right", "left"])})
    >>> epochs.start.tolist(), epochs.columns["choice"].tolist(), epochs.contains([5.0, 15.0]).tolist()
    ([0.0, 20.0], ['left', 'right'], [True, False])
    """

    start: NDArray[np.float64]
    stop: NDArray[np.float64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        start, stop = np.array(self.start, np.float64), np.array(self.stop, np.float64)
        if start.ndim != 1 or start.shape != stop.shape:
            raise ValueError(f"start has shape {start.shape}, stop {stop.shape}; expected one of each an epoch, (n,)")
        if not (np.isfinite(start).all() and np.isfinite(stop).all()):
            at = int(np.argmin(np.isfinite(start) & np.isfinite(stop)))
            raise ValueError(f"epoch {at} goes from {start[at]} to {stop[at]} ms; expected finite times")
        if (stop < start).any():
            at = int(np.argmax(stop < start))
            raise ValueError(f"epoch {at} goes from {start[at]:g} to {stop[at]:g} ms; expected it to stop later")
        order = np.lexsort((stop, start))
        columns = {}
        for name, column in dict(self.columns).items():
            printable(name, "the name of a column")
            column = np.asarray(column)
            if column.shape[:1] != start.shape:
                raise ValueError(f"column {name!r} has shape {column.shape}; expected one value for each of "
                                 f"{len(start)} epochs")  # fmt: skip
            columns[name] = column[order]
        for name, array in (("start", start[order]), ("stop", stop[order])):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "columns", columns)

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, which: Any) -> Any:
        """A column by its name, or the epochs that a mask or indices choose."""
        if isinstance(which, str):
            if which not in self.columns:
                raise ValueError(f"the epochs have no column {which!r}; {nearest(which, self.columns)}")
            return self.columns[which]
        which = np.atleast_1d(np.asarray(which))
        return Epochs(self.start[which], self.stop[which], {name: c[which] for name, c in self.columns.items()})

    def _columns(self) -> dict[str, Any]:
        return {"start": self.start, "stop": self.stop, **spread(self.columns)}

    def components(self) -> NDArray[np.int64]:
        """The group of each epoch, (n,): epochs that overlap, directly or through others, are in one."""
        if not len(self):
            return np.empty(0, np.int64)
        reach = np.maximum.accumulate(self.stop)
        return np.cumsum(np.append(0, self.start[1:] >= reach[:-1])).astype(np.int64)

    @property
    def overlapping(self) -> bool:
        """Whether any two share time."""
        return bool(len(self)) and int(self.components()[-1]) + 1 < len(self)

    def contains(self, times: ArrayLike) -> NDArray[np.bool_]:
        """Which of the times (ms) lie in any of them."""
        times = np.asarray(times, np.float64)
        times = times + 4 * np.finfo(np.float64).eps * np.abs(times)  # .3 is .1 + .1 + .1
        inside = np.searchsorted(self.start, times, side="right") - np.searchsorted(
            np.sort(self.stop), times, side="right"
        )
        return inside > 0

    def union(self) -> NDArray[np.float64]:
        """The time that they cover, as stretches (k, 2) without overlap, in ms."""
        if not len(self):
            return np.empty((0, 2))
        group = self.components()
        first = np.flatnonzero(np.append(True, np.diff(group) > 0))
        return np.column_stack([self.start[first], np.maximum.reduceat(self.stop, first)])

    def __repr__(self) -> str:
        columns = f", {', '.join(self.columns)}" if self.columns else ""
        return f"Epochs({len(self)}{', overlapping' if self.overlapping else ''}{columns})"


__all__ = ["Epochs"]
