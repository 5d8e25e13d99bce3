"""`Signal`: sampled values over time, with holes where nothing was measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import positive, printable, reals
from ranvier._html import MOST
from ranvier._results import Curves, as_html, frame, spread
from ranvier._text import as_label, plural

if TYPE_CHECKING:
    import pandas

#: of the interval between samples: times that differ by no more are the same, as clocks and sums of intervals round
SAME = 1e-3


@dataclass(frozen=True, eq=False)
class Signal:
    """Values sampled at increasing times: activity, a behaviour, a stimulus.

    Parameters
    ----------
    times
        (T,) in ms, finite and increasing
    values
        (T,) or (T, K): an array, or anything that is cut like one (`numpy.memmap`, `h5py.Dataset`), which is read
        when it is requested. NaN: not measured.
    unit
        of the values
    period
        for circular values, as 2π for angles: means and interpolation go round
    source
        where it is from, as "activity of worm.npz": refused values are said to be there

    Raises ValueError for times that are not finite or do not increase, and for another number of values.

    >>> signal = rv.recordings.Signal([0.0, 10.0, 20.0], [0.0, 1.0, 2.0], unit="mV")
    >>> signal.dt, signal.at([5.0]).tolist(), signal.between(10.0, 20.0).read().tolist()
    (10.0, [0.5], [1.0])
    """

    times: NDArray[np.float64]
    values: Any
    unit: str = ""
    period: float | None = None
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        times = np.array(_plain(self.times), np.float64)
        times.setflags(write=False)
        object.__setattr__(self, "times", times)
        if isinstance(self.values, list | tuple) or hasattr(self.values, "detach"):
            object.__setattr__(self, "values", np.asarray(_plain(self.values)))
        if times.ndim != 1:
            raise ValueError(f"times has shape {times.shape}; expected one time a sample, (T,)")
        require_increasing(times, "times")
        shape = getattr(self.values, "shape", None)
        if shape is None or len(shape) not in (1, 2) or shape[0] != len(times):
            hint = ": turn them over" if shape is not None and len(shape) == 2 and shape[1] == len(times) else ""
            raise ValueError(f"values have shape {shape}; expected ({len(times)},) or ({len(times)}, K), one row a "
                             f"time{hint}")  # fmt: skip
        if np.dtype(self.values.dtype).kind not in "fiub":
            raise TypeError(f"values are {self.values.dtype}; expected real numbers")
        if self.period is not None:
            positive(self.period, "period")
        printable(self.unit, "a signal's unit")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def width(self) -> int:
        """K, the number of columns; 1 for values (T,)."""
        return int(self.values.shape[1]) if len(self.values.shape) == 2 else 1

    @cached_property
    def dt(self) -> float:
        """Median interval of the samples, ms; NaN for fewer than two."""
        return float(np.median(np.diff(self.times))) if len(self) > 1 else float("nan")

    def read(self, rows: slice | None = None, columns: ArrayLike | None = None) -> NDArray[np.float64]:
        """The values as float64, (T,) or (T, K); only these rows and columns are read."""
        part = np.asarray(self.values[rows if rows is not None else slice(None)])
        if columns is not None and part.ndim == 2:
            part = part[:, np.asarray(columns)]
        return reals(part.astype(np.float64), self.source or "a signal")  # the caller's own

    @property
    def _slack(self) -> float:
        return SAME * self.dt if len(self) > 1 else 0.0

    def to_pandas(self) -> pandas.DataFrame:
        """Columns time (ms) and value, or value_0 and so on; a row a sample. Raises ImportError without pandas."""
        return frame(self._columns())

    def _columns(self, rows: slice | None = None) -> dict[str, Any]:
        return {"time": self.times[slice(None) if rows is None else rows], **spread({"value": self.read(rows)})}

    def _repr_html_(self) -> str:
        unit = f", in {self.unit}" if self.unit else ""
        words = f"of {plural(len(self), 'sample')}, {plural(self.width, 'column')}{unit}"
        return as_html("Signal", words, self._columns(slice(MOST)), len(self))

    def _curves(self) -> Curves:
        lines = dict(list(self._columns().items())[1:11])
        return Curves(self.times, lines, "time (ms)", as_label(self.unit or "value"))

    def mask(self) -> NDArray[np.bool_]:
        """Where there is a finite value, as the shape of `values`."""
        return np.isfinite(self.read())

    def between(self, start: float, stop: float) -> Signal:
        """The samples of start ≤ t < stop, on the same clock; a time within `SAME` of an interval is that time."""
        slack = self._slack
        lo, hi = np.searchsorted(self.times, [start - slack, stop - slack])
        return replace(self, times=self.times[lo:hi], values=self.values[lo:hi])

    def at(self, times: ArrayLike, *, method: str = "linear", longest: float | None = None) -> NDArray[np.float64]:
        """Values at other times (ms), (M,) or (M, K), float64; NaN where nothing was measured nearby.

        method: "linear" between neighbours; "previous", the last sample at or before, which knows nothing of the
        future; "nearest". longest: ms between two finite samples across which nothing is said; None: three intervals.
        Each column goes over its own holes; a time within `SAME` of an interval of a sample is that sample's. Raises
        ValueError for another method.
        """
        if method not in ("linear", "previous", "nearest"):
            raise ValueError(f"method is {method!r}; expected 'linear', 'previous' or 'nearest'")
        times = np.asarray(_plain(times), np.float64)
        limit = 3 * self.dt if longest is None else positive(longest, "longest", "ms")
        values = self.read()
        columns = values.reshape(len(values), -1)
        out = np.full((len(times), columns.shape[1]), np.nan)
        for k, column in enumerate(columns.T):
            finite = np.isfinite(column)
            if finite.any():
                out[:, k] = _at(self.times[finite], column[finite], times, method, limit, self.period, self._slack)
        return out.reshape(len(times), *values.shape[1:])

    def __repr__(self) -> str:
        span = f"{self.times[0]:g} to {self.times[-1]:g} ms" if len(self) else "empty"
        size = f"{plural(len(self), 'sample')}, {plural(self.width, 'column')}"
        return f"Signal({size}, {span}{', ' + self.unit if self.unit else ''})"


def require_increasing(times: NDArray[np.float64], name: str) -> None:
    """Raise ValueError for times that are not finite, or do not increase."""
    if not np.isfinite(times).all():
        raise ValueError(f"{name} holds {times[~np.isfinite(times)][0]} at {np.argmin(np.isfinite(times))}; expected "
                         "finite times in ms: leave those samples out")  # fmt: skip
    if (np.diff(times) <= 0).any():
        at = int(np.argmax(np.diff(times) <= 0)) + 1
        raise ValueError(f"{name} go from {times[at - 1]:g} to {times[at]:g} ms at {at}; expected increasing times: "
                         "sort them, and leave repeated ones out")  # fmt: skip


def _at(
    known: NDArray[Any],
    values: NDArray[Any],
    times: NDArray[Any],
    method: str,
    limit: float,
    period: float | None,
    slack: float,
) -> NDArray[np.float64]:
    after = np.searchsorted(known, times + slack, side="right")
    before = np.clip(after - 1, 0, len(known) - 1)
    times = np.where(np.abs(times - known[before]) <= slack, known[before], times)
    after = np.clip(after, 0, len(known) - 1)
    if method == "previous":
        near = (known[before] <= times) & (times - known[before] <= limit)
        return np.where(near, values[before], np.nan)
    if method == "nearest":
        chosen = np.where(times - known[before] <= known[after] - times, before, after)
        return np.where(np.abs(times - known[chosen]) <= limit, values[chosen], np.nan)
    exact = known[before] == times
    span = known[after] - known[before]
    inside = (known[before] <= times) & (times <= known[after]) & (span <= limit)
    share = np.where(span > 0, (times - known[before]) / np.where(span > 0, span, 1.0), 0.0)
    step = values[after] - values[before]
    if period is not None:
        step = (step + period / 2) % period - period / 2
    value = values[before] + share * step
    return np.where(exact | inside, value if period is None else value % period, np.nan)


def _plain(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


__all__ = ["SAME", "Signal", "require_increasing"]
