"""What one spike does: the inputs of its targets, and the marks that they are to be visited."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from ranvier.codegen.compilation import address
from ranvier.codegen.pointers import INNER, pointer, prefetch

_void, _long, _one = types.void, types.int64, np.uint64(1)


@njit(forceinline=True, **INNER)
def _mark(touched, groups, i):
    word = i >> 6
    touched[word] |= _one << np.uint64(i & 63)
    groups[word >> 6] |= _one << np.uint64(word & 63)


def constant(items, weights, table, a, b, inputs, size, touched_at, groups_at):
    """One weight for all; inputs: the address of the port's word in the first record, size: bytes of a record."""
    item, w = pointer(items, np.int32(0)), pointer(table, 0.0)[0]
    touched, groups = pointer(touched_at, np.uint64(0)), pointer(groups_at, np.uint64(0))
    for j in range(a, b):
        prefetch(inputs + size * types.int64(item[min(j + 12, b - 1)]))
        i = types.int64(item[j])
        pointer(inputs + size * i, 0.0)[0] += w
        _mark(touched, groups, i)


def indexed(items, weights, table, a, b, inputs, size, touched_at, groups_at):
    """Weights by their places in a table, in 16 bits."""
    item, place, w = pointer(items, np.int32(0)), pointer(weights, np.uint16(0)), pointer(table, 0.0)
    touched, groups = pointer(touched_at, np.uint64(0)), pointer(groups_at, np.uint64(0))
    for j in range(a, b):
        prefetch(inputs + size * types.int64(item[min(j + 12, b - 1)]))
        i = types.int64(item[j])
        pointer(inputs + size * i, 0.0)[0] += w[types.int64(place[j])]
        _mark(touched, groups, i)


def weighted(items, weights, table, a, b, inputs, size, touched_at, groups_at):
    """Weights one by one."""
    item, w = pointer(items, np.int32(0)), pointer(weights, 0.0)
    touched, groups = pointer(touched_at, np.uint64(0)), pointer(groups_at, np.uint64(0))
    for j in range(a, b):
        prefetch(inputs + size * types.int64(item[min(j + 12, b - 1)]))
        i = types.int64(item[j])
        pointer(inputs + size * i, 0.0)[0] += w[j]
        _mark(touched, groups, i)


def delivery_address(kind: str) -> int:
    """Of `constant`, `indexed` or `weighted`."""
    function = {"constant": constant, "indexed": indexed, "weighted": weighted}[kind]
    return address(function, _void(*[_long] * 9))


__all__ = ["delivery_address"]
