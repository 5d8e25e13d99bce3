"""What one spike does: the inputs of its targets, which come on the list of those to be visited."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from ranvier.codegen.compilation import address
from ranvier.codegen.pointers import INNER, pointer, prefetch
from ranvier.engines.events.records import part

_void, _long = types.void, types.int64
_CONSTANT, _INDEXED, _WEIGHTED = range(3)


@njit(forceinline=True, **INNER)
def _deliver(kind, items, weights, table, a, b, row, port, now, thread):
    target = part(row, 0)
    size, records = 8 * target.words, target.records
    mark = target.states + target.ports + 2
    item, w = pointer(items, np.int32(0)), pointer(table, 0.0)
    place, own = pointer(weights, np.uint16(0)), pointer(weights, 0.0)
    slot = (now & 1) * target.threads + thread
    visits, lengths = pointer(target.lists + 4 * slot * target.size, np.int32(0)), pointer(target.list_counts, 0)
    length = lengths[slot]
    constant = w[0]
    for j in range(a, b):
        prefetch(records + size * types.int64(item[min(j + 16, b - 1)]))
        i = types.int64(item[j])
        numbers, whole = pointer(records + size * i, 0.0), pointer(records + size * i, 0)
        numbers[port] += constant if kind == _CONSTANT else w[types.int64(place[j])] if kind == _INDEXED else own[j]
        visits[length] = item[j]
        length += 1 if whole[mark] != now else 0
        whole[mark] = now
    lengths[slot] = length


def constant(items, weights, table, a, b, row, port, now, thread):
    """One weight for all; row: the address of the target population's `PART`; port: the word of a record."""
    _deliver(_CONSTANT, items, weights, table, a, b, row, port, now, thread)


def indexed(items, weights, table, a, b, row, port, now, thread):
    """Weights by their places in a table, in 16 bits."""
    _deliver(_INDEXED, items, weights, table, a, b, row, port, now, thread)


def weighted(items, weights, table, a, b, row, port, now, thread):
    """Weights one by one."""
    _deliver(_WEIGHTED, items, weights, table, a, b, row, port, now, thread)


def delivery_address(kind: str) -> int:
    """Of `constant`, `indexed` or `weighted`."""
    function = {"constant": constant, "indexed": indexed, "weighted": weighted}[kind]
    return address(function, _void(*[_long] * 9))


__all__ = ["delivery_address"]
