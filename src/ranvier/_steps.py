"""Times as whole numbers of steps.

A time that a simulator writes is k·dt in floating point, a little below or above the number meant: .3/.1 is
2.9999999999999996. Whoever takes its floor loses a step. Every conversion from times to steps or windows goes
through these functions.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SLACK = 1e-6  # of a step, at least: rounding of k·dt for float64 times up to 1e9 steps


def require_time(value: Any, name: str, *, or_zero: bool = False) -> None:
    """Raise TypeError for a time that is no plain number, ValueError for one that is not positive and finite."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r:.60}; expected a plain number of ms, without a unit")
    number = float(value)
    if not (math.isfinite(number) and (number >= 0 if or_zero else number > 0)):
        expected = "a step in ms, or 0 for none" if or_zero else "a positive number of ms"
        raise ValueError(f"{name} is {value}; expected {expected}")


#: how a simulation looks for crossings of a hard threshold: at the ends of steps, or within them, too
THRESHOLDS = ("step", "bridge")


def require_threshold(value: Any) -> None:
    """Raise ValueError unless it is one of `THRESHOLDS`."""
    if value not in THRESHOLDS:
        raise ValueError(f"threshold is {value!r}; expected one of {', '.join(map(repr, THRESHOLDS))}")


def whole_steps(ms: float, dt: float, what: str) -> int:
    """How many steps of dt make `ms`, at least one. Raises ValueError, which begins with `what`, where none do, and
    TypeError for what is no plain number."""
    if isinstance(ms, bool) or not isinstance(ms, Real):
        raise TypeError(f"{what}, a {type(ms).__name__}; expected a plain number of ms, without a unit")
    if not math.isfinite(ms):
        raise ValueError(f"{what}; expected a multiple of the step dt = {dt:g} ms")
    steps = round(ms / dt)
    if steps < 1 or abs(steps * dt - ms) > 1e-6 * dt + 1e-14 * ms:
        raise ValueError(f"{what}; expected a multiple of the step dt = {dt:g} ms")
    return steps


def nearest_steps(ms: float, dt: float) -> int:
    """The whole number of steps of dt nearest to `ms`, at least one: for a window that need not be exact."""
    return max(1, round(ms / dt))


def rounded_steps(times: ArrayLike, dt: float) -> NDArray[np.int64]:
    """The whole number of steps of dt nearest to each time, halves up, int64 of the shape of `times`: spike times and
    delays. What rounding has left below a half counts as one: .15/.1 is 1.4999999999999998."""
    times = np.asarray(times)
    steps = np.floor(times.astype(np.float64) / dt + 0.5 + _slack(times, dt))
    return np.clip(steps, -(2.0**62), 2.0**62).astype(np.int64)  # later than any run


def windows_in(duration: float, width: float) -> int:
    """How many whole windows of `width` fit into `duration`, both in the same unit."""
    return int(np.floor(duration / width + _slack(np.asarray(duration, np.float64), width)))


def window_of(times: ArrayLike, width: float) -> NDArray[np.int64]:
    """The window of each time, int64 of the shape of `times`: k where k·width < t ≤ (k + 1)·width, as a spike that is
    written at the end of its step belongs to that step. Time 0 belongs to the first window; times before it have
    negative numbers. `times` and `width` have the same unit."""
    times = np.asarray(times)
    window = np.ceil(times.astype(np.float64) / width - _slack(times, width)).astype(np.int64) - 1
    return np.where((window == -1) & (times >= -_SLACK * width), 0, window)


def frame_of(times: ArrayLike, width: float) -> NDArray[np.int64]:
    """The frame of each time, int64 of the shape of `times`: k where k·width ≤ t < (k + 1)·width, as cameras and
    sampled series have it. `times` and `width` have the same unit."""
    times = np.asarray(times)
    return np.floor(times.astype(np.float64) / width + _slack(times, width)).astype(np.int64)


def _slack(times: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """How far, in windows, rounding may have moved each time: some units in the last place of its type."""
    size = np.abs(times.astype(np.float64)) / width
    unit = np.finfo(times.dtype).eps if times.dtype.kind == "f" else np.finfo(np.float64).eps
    return np.clip(4 * unit * size, _SLACK, 0.25)

