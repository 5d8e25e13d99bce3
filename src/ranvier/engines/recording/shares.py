"""A state divided among ranks: each writes what it owns, with where that stands, and anyone puts it together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: before the name of an array that is a share: where it stands in the whole one
_PLACES = "places/"


class Places(NamedTuple):
    """Which rows (axis 0) or columns (axis 1) of an array a share holds, one after the other: [first, last) each."""

    axis: int
    ranges: list[tuple[int, int]]


def cut(arrays: Mapping[str, NDArray[Any]], places: Mapping[str, Places]) -> dict[str, NDArray[Any]]:
    """Copies of the parts of arrays, and where they stand: "places/NAME", (axis, length) before the ranges."""
    out = {}
    for name, array in arrays.items():
        axis, ranges = places[name]
        pieces = [array[..., a:b] if axis else array[a:b] for a, b in ranges]
        out[name] = np.concatenate([array[..., :0] if axis else array[:0], *pieces], axis)
        out[_PLACES + name] = np.array([(axis, array.shape[axis]), *ranges], np.int64)
    return out


def whole(shares: Iterable[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The state of which these are all shares, in the order of the ranks; arrays without places follow each other.

    Raises ValueError for shares that do not fit together.
    """
    shares, out = list(shares), {}
    for name in (name for name in shares[0] if not name.startswith(_PLACES)):
        if any(name not in share or (_PLACES + name in share) != (_PLACES + name in shares[0]) for share in shares):
            raise ValueError(f"some ranks have no {name} in their state; expected it of all: the files are damaged")
        if _PLACES + name not in shares[0]:
            out[name] = np.concatenate([share[name] for share in shares])
            continue
        axis, length = (int(x) for x in shares[0][_PLACES + name][0])
        shape = list(shares[0][name].shape)
        shape[axis] = length
        out[name] = np.zeros(shape, shares[0][name].dtype)
        for share in shares:
            _put(out[name], share[name], share[_PLACES + name], name)
    return out


def _put(array: NDArray[Any], share: NDArray[Any], places: NDArray[np.int64], name: str) -> None:
    (axis, length), ranges = (int(x) for x in places[0]), places[1:]
    ends = np.cumsum(ranges[:, 1] - ranges[:, 0]) if len(ranges) else np.zeros(1, np.int64)
    fits = axis in (0, 1) and array.ndim > axis and array.shape[axis] == length and share.shape[axis] == ends[-1]
    if not fits or (len(ranges) and (ranges.min() < 0 or ranges.max() > length or (ranges[:, 1] < ranges[:, 0]).any())):
        raise ValueError(f"a rank's {name} does not fit its places; expected {length} in all: the files are damaged")
    at = 0
    for a, b in ranges:
        if axis:
            array[..., a:b] = share[..., at : at + b - a]
        else:
            array[a:b] = share[at : at + b - a]
        at += b - a


__all__ = ["Places", "cut", "whole"]
