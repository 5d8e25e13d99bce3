"""Synapses by delay, then source: targets in 32 bits, weights by their place in a table of distinct ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.codegen.compilation import compiled
from ranvier.engines.compiled.synapse_tables import SynapseTable, row_splits
from ranvier.networks import Projection

_MOST_DISTINCT = 1 << 16


@dataclass(frozen=True, eq=False)
class DelayTable:
    """The synapses of a projection with one delay (steps): rows (sources + 1,), items their targets, ascending; kind:
    of the weights; table: distinct ones; splits (sources, threads + 1)."""

    delay: int
    rows: NDArray[np.int64]
    items: NDArray[np.int32]
    kind: str
    weights: NDArray[Any] | None
    table: NDArray[np.float64]
    splits: NDArray[np.int32] | None

    @property
    def bytes(self) -> int:
        """Of memory."""
        return sum(a.nbytes for a in (self.rows, self.items, self.weights, self.table, self.splits) if a is not None)


@compiled(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def _places(weights, table, out):
    """Places in the sorted table; returns how many weights are not in it."""
    missing = 0
    for e in range(len(weights)):
        lo, hi = 0, len(table)
        while lo < hi:
            middle = (lo + hi) // 2
            if table[middle] < weights[e]:
                lo = middle + 1
            else:
                hi = middle
        if lo == len(table) or table[lo] != weights[e]:
            missing += 1
        else:
            out[e] = lo
    return missing


def delay_tables(
    projection: Projection, dt: float, bounds: NDArray[np.int64] | None, lo: int = 0, hi: int | None = None
) -> Iterator[DelayTable]:
    """One table for each delay, of targets lo .. hi − 1; `bounds` (threads + 1,): the threads' first targets."""
    whole = SynapseTable.by_source(projection, np.float64, dt, None, lo, hi)
    items = whole.items.astype(np.int32, copy=False)
    kind, weights, table = _compressed(whole)
    delays = [(whole.steps, None)]
    if whole.delays is not None:
        delays = [(int(d), whole.delays == d) for d in np.unique(whole.delays)]
    for delay, chosen in delays:
        rows, own, w = whole.pointers, items, weights
        if chosen is not None:
            before = np.concatenate([np.zeros(1, np.int64), np.cumsum(chosen)])
            rows, own, w = before[rows], items[chosen], None if w is None else w[chosen]
        splits = None
        if bounds is not None:
            splits = np.empty((len(rows) - 1, len(bounds)), np.int32)
            row_splits(rows, own, bounds, splits)
        yield DelayTable(delay, rows, own, kind, w, table, splits)


def _compressed(whole: SynapseTable) -> tuple[str, NDArray[Any] | None, NDArray[np.float64]]:
    if whole.weights is None:
        return "constant", None, np.array([whole.constant])
    weights = np.asarray(whole.weights, np.float64)
    table = np.unique(weights[: 1 << 18])
    places = np.empty(len(weights), np.uint16)
    if len(table) <= _MOST_DISTINCT and _places(weights, table, places):
        table = np.unique(weights)
        if len(table) <= _MOST_DISTINCT:
            _places(weights, table, places)
    if len(table) > _MOST_DISTINCT:
        return "weighted", weights, np.zeros(1)
    return "indexed", places, table if len(table) else np.zeros(1)


__all__ = ["DelayTable", "delay_tables"]
