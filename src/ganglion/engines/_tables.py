"""The compiled engine's synapses: rows by source, targets ascending, in as few bytes as they need."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from ganglion.engines._kernels import TILE
from ganglion.networks import Projection

_NARROW = 2**16


def padded(size: int) -> int:
    """The size rounded up to whole tiles."""
    return -(-size // TILE) * TILE


def delay_steps(projection: Projection, dt: float) -> NDArray[np.int64]:
    """Delays in steps, () or (edges,) in the order of `edges()`.

    Raises ValueError for a delay below dt. Others are rounded to the nearest step.
    """
    delay = projection.delay
    values = delay.detach().numpy() if isinstance(delay, Tensor) else np.asarray(delay)
    if values.size and values.min() < dt * (1 - 1e-9):
        raise ValueError(
            f"{projection!r} has a delay of {values.min():g} ms, below the step dt = {dt:g} ms; "
            "expected at least one step: lengthen the delay or shorten dt"
        )
    return np.rint(values / dt).astype(np.int64)


@njit(cache=True, nogil=True)
def _count(sources, counts):
    for s in sources:
        counts[s + 1] += 1


@njit(cache=True, nogil=True)
def _by_source(indptr, sources, cursor, out, order, weights, out_weights, delays, out_delays):
    """Turn rows by target into rows by source; targets come out ascending."""
    for target in range(len(indptr) - 1):
        for e in range(indptr[target], indptr[target + 1]):
            s = sources[e]
            at = cursor[s]
            cursor[s] = at + 1
            out[at] = target
            given = order[e] if len(order) > 0 else e
            if len(out_weights) > 0:
                out_weights[at] = weights[given]
            if len(out_delays) > 0:
                out_delays[at] = delays[given]


@njit(cache=True, nogil=True)
def _splits(pointers, targets, bounds, out):
    """Where each source's row passes from one thread's targets to the next's."""
    for s in range(len(pointers) - 1):
        row = targets[pointers[s] : pointers[s + 1]]
        for t in range(len(bounds)):
            out[s, t] = np.searchsorted(row, bounds[t])


@dataclass
class Synapses:
    """Arenas that hold the rows of all projections one after the other."""

    real: type
    dt: float
    narrow: list[NDArray[np.uint16]] = field(default_factory=list)
    wide: list[NDArray[np.int32]] = field(default_factory=list)
    pointers: list[NDArray[np.int64]] = field(default_factory=list)
    weights: list[NDArray] = field(default_factory=list)
    delays: list[NDArray[np.uint16]] = field(default_factory=list)
    splits: list[NDArray[np.int32]] = field(default_factory=list)
    longest: int = 1
    shortest: int = 2**31

    def add(self, projection: Projection, bounds: NDArray[np.int64] | None, by_target: bool) -> dict[str, int | float]:
        """Append a projection; returns its places and constants.

        `bounds` are the first targets of the threads; `by_target` keeps rows by target (continuous synapses).
        """
        n_source, n_target = projection.source.size, projection.target.size
        indptr, sources = projection.draw()
        order = projection.order()
        weight = projection.weight
        constant = not isinstance(weight, Tensor) or weight.ndim == 0
        values = np.zeros(0, self.real) if constant else weight.detach().numpy().astype(self.real)  # type: ignore[union-attr]
        steps = np.zeros((), np.int64) if by_target else delay_steps(projection, self.dt)
        if steps.ndim and steps.size and steps.min() == steps.max():
            steps = steps[0]
        if steps.size and steps.max() >= _NARROW:
            raise ValueError(
                f"{projection!r} has a delay of {steps.max()} steps; expected fewer than {_NARROW}: use a longer dt"
            )
        if steps.size and not by_target:
            self.longest, self.shortest = max(self.longest, steps.max()), min(self.shortest, steps.min())
        if by_target:
            rows, items, out_weights = indptr, sources, values if order is None or constant else values[order]
            out_delays = np.zeros(0, np.uint16)
            limit = n_source
        else:
            rows = np.zeros(n_source + 1, np.int64)
            _count(sources, rows)
            np.cumsum(rows, out=rows)
            limit = n_target
            items = np.empty(len(sources), np.uint16 if limit <= _NARROW else np.int32)
            out_weights = np.empty(len(values), self.real)
            out_delays = np.empty(len(sources) if steps.ndim else 0, np.uint16)
            given = np.zeros(0, np.int64) if order is None else order
            given_steps = steps.astype(np.uint16) if steps.ndim else np.zeros(0, np.uint16)
            _by_source(indptr, sources, rows[:-1].copy(), items, given, values, out_weights, given_steps, out_delays)
        wide = limit > _NARROW
        arena: list = self.wide if wide else self.narrow
        place = {
            "wide": int(wide),
            "edges": sum(map(len, arena)),
            "pointers": sum(map(len, self.pointers)),
            "weight": -1 if constant else sum(map(len, self.weights)),
            "constant": float(weight) if constant else 0.0,
            "delay": sum(map(len, self.delays)) if steps.ndim else -1,
            "steps": 0 if steps.ndim else int(steps),
            "split": sum(map(len, self.splits)),
        }
        arena.append(items.astype(np.int32 if wide else np.uint16, copy=False))
        self.pointers.append(rows)
        self.weights.append(out_weights)
        self.delays.append(out_delays)
        if bounds is not None and not by_target:
            split = np.empty((n_source, len(bounds)), np.int32)
            _splits(rows, items, bounds, split)
            self.splits.append(split.ravel())
        return place

    def arrays(self) -> dict[str, NDArray]:
        """The arenas, each as one array."""
        return {
            "narrow": _join(self.narrow, np.uint16),
            "wide": _join(self.wide, np.int32),
            "pointers": _join(self.pointers, np.int64),
            "weights": _join(self.weights, self.real),
            "delays": _join(self.delays, np.uint16),
            "splits": _join(self.splits, np.int32),
        }


def _join(parts: list, kind: type) -> NDArray:
    # a single large part is passed on as it is: joining would double the peak of memory
    parts = [p for p in parts if len(p)]
    if not parts:
        return np.zeros(1, kind)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
