"""One series, or several: arrays (rows, columns), (series, rows, columns), or lists of such of any lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def is_several(X: Any) -> bool:
    """Whether X holds several series: three axes, or a list or tuple of arrays of two."""
    if isinstance(X, list | tuple):
        return len(X) > 0 and all(getattr(x, "ndim", 0) == 2 for x in X)
    return getattr(X, "ndim", 0) == 3


def split(X: Any) -> list[Any]:
    """The series of X, itself if it is one. Raises ValueError for several without any."""
    if not is_several(X):
        return [X]
    if len(X) == 0:
        raise ValueError("X holds 0 series; expected one at least")
    return list(X)


def split_like(name: str, values: Any, X: Any) -> list[Any]:
    """What belongs to each series of X: targets, weights, histories, states; None for each where there is none."""
    if not is_several(X):
        return [values]
    if values is None:
        return [None] * len(X)
    if not hasattr(values, "__len__") or len(values) != len(X):
        count = len(values) if hasattr(values, "__len__") else "no sequence"
        raise ValueError(f"{name} is of {count} series; expected {len(X)}, as X: give one {name} a series of X")
    return list(values)


def joined(parts: Sequence[np.ndarray], X: Any) -> Any:
    """Answers in the form of X: an array for one series or an array of several, else a list."""
    if not is_several(X):
        return parts[0]
    return list(parts) if isinstance(X, list | tuple) else np.stack(list(parts))


def each(function: Callable[[Any], np.ndarray], X: Any) -> Any:
    """A function of one series, of all series of X."""
    return joined([function(x) for x in split(X)], X)
