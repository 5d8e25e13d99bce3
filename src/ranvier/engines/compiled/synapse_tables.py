"""The compiled engine's synapses: rows by source, targets ascending, in as few bytes as they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ranvier._steps import rounded_steps
from ranvier.codegen.compilation import compiled
from ranvier.engines.compiled.loops import TILE
from ranvier.networks import Projection

_NARROW = 2**16


def padded(size: int) -> int:
    """The size rounded up to whole tiles."""
    return -(-size // TILE) * TILE


def delay_steps(projection: Projection, dt: float) -> NDArray[np.int64]:
    """Delays in steps, () or (edges,) in the order of `edges()`.

    Raises ValueError for a delay below dt. Others are rounded to the nearest step, halves up.
    """
    delay = projection.delay
    values = delay.detach().numpy() if isinstance(delay, Tensor) else np.asarray(delay)
    if values.size and values.min() < dt * (1 - 1e-9):
        raise ValueError(
            f"{projection!r} has a delay of {values.min():g} ms, below the step dt = {dt:g} ms; "
            "expected at least one step: lengthen the delay or shorten dt"
        )
    return rounded_steps(values, dt)


@compiled(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def _by_source(indptr, sources, first, cursor, out, order, weights, out_weights, delays, out_delays):
    """Turn rows by target, the first of which is `first`, into rows by source; targets come out ascending."""
    for target in range(len(indptr) - 1):
        for e in range(indptr[target], indptr[target + 1]):
            s = sources[e]
            at = cursor[s]
            cursor[s] = at + 1
            out[at] = first + target
            edge = order[e] if len(order) > 0 else e
            if len(out_weights) > 0:
                out_weights[at] = weights[edge]
            if len(out_delays) > 0:
                out_delays[at] = delays[edge]


@compiled(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def row_splits(pointers, targets, bounds, out):
    """Where each source's row passes from one thread's targets to the next's."""
    for s in range(len(pointers) - 1):
        row = targets[pointers[s] : pointers[s + 1]]
        for t in range(len(bounds)):
            out[s, t] = np.searchsorted(row, bounds[t])


@dataclass(frozen=True)
class SynapseTable:
    """One projection. Row s of `pointers` bounds the edges of source s in `items` (their targets), `weights`
    and `delays` (steps); None means one `constant` and one delay of `steps`. `splits` (sources,
    threads + 1) says where in a row each thread's targets begin. For continuous synapses rows are targets
    and items sources."""

    pointers: NDArray[np.int64]
    items: NDArray[Any]
    weights: NDArray[Any] | None
    constant: float
    delays: NDArray[np.uint16] | None = None
    steps: int = 0
    longest: int = 0
    splits: NDArray[np.int32] | None = None

    @property
    def wide(self) -> bool:
        """Whether items take 32 bits."""
        return self.items.dtype == np.int32

    @classmethod
    def by_target(cls, projection: Projection, real: Any) -> SynapseTable:
        """A continuous projection."""
        indptr, sources = projection.draw()
        weights, constant = weights_of(projection, real)
        order = projection.order()
        if weights is not None and order is not None:
            weights = weights[order]
        return cls(indptr, sources, weights, constant)

    @classmethod
    def by_source(
        cls, projection: Projection, real: Any, dt: float, bounds: NDArray[np.int64] | None, lo: int = 0,
        hi: int | None = None,
    ) -> SynapseTable:  # fmt: skip
        """A projection of spikes onto targets lo .. hi − 1; `bounds` (threads + 1,) are the threads' first targets.

        Raises ValueError for delays below dt or of 65536 steps and more.
        """
        steps: Any = delay_steps(projection, dt)
        longest = int(steps.max()) if steps.size else 1
        if steps.ndim and (len(steps) == 0 or steps.min() == steps.max()):
            steps = steps[0] if len(steps) else np.int64(1)
        if steps.max() >= _NARROW:
            raise ValueError(
                f"{projection!r} has a delay of {steps.max()} steps; expected fewer than {_NARROW}: use a longer dt"
            )
        indptr, sources = projection.draw(lo, hi)
        order, first, last = projection.order(), 0, None
        own, constant = weights_of(projection, real)
        if (lo, hi) != (0, None) and (steps.ndim or own is not None):
            first = projection.edges_before(lo)
            last = first + len(sources)
            if order is None:
                own, steps = None if own is None else own[first:last], steps[first:last] if steps.ndim else steps
            else:
                order = order[first:last]
        n_source = projection.source.size
        rows = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(sources, minlength=n_source))])
        items = np.empty(len(sources), np.uint16 if projection.target.size <= _NARROW else np.int32)
        empty = np.zeros(0, real)
        weights = None if own is None else np.empty(len(sources), real)
        delays = np.empty(len(sources), np.uint16) if steps.ndim else None
        _by_source(
            indptr, sources, lo, rows[:-1].copy(), items,
            np.zeros(0, np.int64) if order is None else order,
            empty if own is None else own, empty if weights is None else weights,
            steps.astype(np.uint16) if steps.ndim else np.zeros(0, np.uint16),
            np.zeros(0, np.uint16) if delays is None else delays,
        )  # fmt: skip
        splits = None
        if bounds is not None:
            splits = np.empty((n_source, len(bounds)), np.int32)
            row_splits(rows, items, bounds, splits)
        return cls(
            rows, items, weights, constant, delays, 0 if steps.ndim else int(steps), longest, splits,
        )  # fmt: skip


def weights_of(projection: Projection, real: Any) -> tuple[NDArray[Any] | None, float]:
    """(weights (edges,) in the order of `edges()`, 0), or (None, the one weight of all)."""
    weight = projection.weight
    if not isinstance(weight, Tensor):
        return None, float(weight)
    value = weight.detach()
    return (value.numpy().astype(real), 0.0) if value.ndim else (None, float(value))
