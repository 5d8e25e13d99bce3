"""What several readers need: optional packages, units of time, arrays that are read when they are cut."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: ms in one of each unit of time
UNITS = {"ms": 1.0, "s": 1000.0, "us": 1e-3, "min": 60_000.0}


def tool(name: str, extra: str = "brain") -> Any:
    """A package of an extra. ImportError, with the command, where it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(
            f'{package} is not installed; expected it for this reader: pip install "ranvier[{extra}]"'
        ) from error


def milliseconds(unit: str) -> float:
    """ms in one `unit`; ValueError for an unknown one."""
    if unit not in UNITS:
        raise ValueError(f"unit is {unit!r}; expected one of {', '.join(UNITS)}")
    return UNITS[unit]


class Lazy:
    """An array that lies in a file: `shape` and `dtype` are known, values are read when they are cut."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, read: Callable[[Any], NDArray[Any]]) -> None:
        self.shape, self.dtype, self._read = tuple(shape), np.dtype(dtype), read

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return self._read(key)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        values = self._read(slice(None))
        return values if dtype is None else values.astype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Lazy({self.shape}, {self.dtype})"


def once(shape: tuple[int, ...], dtype: Any, read: Callable[[], NDArray[Any]]) -> Lazy:
    """An array that is read as a whole, when it is first cut, and then values."""
    values: list[NDArray[Any]] = []

    def cut(key: Any) -> NDArray[Any]:
        if not values:
            values.append(read())
        return values[0][key]

    return Lazy(shape, dtype, cut)


__all__ = ["UNITS", "Lazy", "milliseconds", "once", "tool"]
