"""A block's spikes, from this rank's neurons to the other ranks and back, called from within the compiled loops."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ranvier.codegen.compilation import compiled
from ranvier.codegen.pointers import pointer

if TYPE_CHECKING:
    from ranvier.engines.compiled.program import Program
    from ranvier.engines.events.lowering import EventProgram
    from ranvier.engines.ranks.links import Links

_Callback = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class _Exchange:
    """What the loop calls by `address`, on one thread while the others wait. An error is kept for `check`."""

    def __init__(self, failed: NDArray[np.int64]) -> None:
        self._failed = failed
        self._error: BaseException | None = None
        self._callback = _Callback(self._call)
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value

    def check(self) -> None:
        """Raise what an exchange raised."""
        if self._error is not None:
            error, self._error, self._failed[0] = self._error, None, 0
            raise error

    def _call(self, first: int, second: int, _: int) -> None:
        try:
            self._swap(first, second)
        except BaseException as error:  # nothing may leave a callback; the loop stops, and `check` raises it
            self._error = error
            self._failed[0] = 1

    def _swap(self, first: int, second: int) -> None:
        raise NotImplementedError


class StepExchange(_Exchange):
    """Of the stepping loop: masks, a byte a neuron and step."""

    def __init__(self, program: Program, failed: NDArray[np.int64]) -> None:
        super().__init__(failed)
        group = program.options.group
        assert group is not None
        self._links: Links = group.links
        self._columns = program.mask_columns
        own, others, size = [], [], 0
        for p in program.net.populations:
            row, mine = program.populations[p.index], program.own_tiles(p)
            first, padded = int(row["mask"]), int(row["padded"])
            own.append((first + mine.start, first + min(mine.stop, p.size)))
            others += [(first, first + mine.start), (first + mine.stop, first + padded)]
            size += mine.stop - mine.start
        self._own, self._others = np.array(own, np.int64), np.array(others, np.int64)
        self._message = np.empty(1 + 2 * program.block_steps * size, np.int32)

    def _swap(self, masks: int, steps: int) -> None:
        _pack_masks(masks, self._columns, steps, self._own, self._message)
        answers = self._links.swap(self._message)
        _clear_masks(masks, self._columns, steps, self._others)
        for answer in answers.values():
            _unpack_masks(masks, self._columns, answer)


class EventExchange(_Exchange):
    """Of the event-driven loop: the queue of spikes."""

    def __init__(
        self, program: EventProgram, queue: NDArray[np.int32], counts: NDArray[np.int64], failed: NDArray[np.int64]
    ) -> None:
        super().__init__(failed)
        base = program.base
        assert base.options.group is not None
        self._links: Links = base.options.group.links
        self._queue, self._counts, self._regions = queue, counts, program.regions
        self._leader, self._threads = base.leader, base.threads
        room = base.block_steps * (base.threads * counts.shape[2] + program.columns)
        self._message = np.empty(1 + room, np.int32)

    def _swap(self, step: int, steps: int) -> None:
        tables = self._queue, self._counts, self._regions
        _pack_queue(*tables, step, steps, self._leader, self._threads, self._message)
        for rank, answer in self._links.swap(self._message).items():
            _unpack_queue(*tables, step, steps, rank * self._threads, self._threads, answer)


@compiled(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def _pack_masks(masks, columns, steps, ranges, out):
    """(step and number of spikes, column) of every neuron that spiked; out[0]: how many numbers there are."""
    n = 1
    for k in range(steps):
        words = pointer(masks + k * columns, np.uint64(0))
        for r in range(len(ranges)):
            for group in range(ranges[r, 0] // 8, (ranges[r, 1] + 7) // 8):
                word, column = words[group], group * 8
                while word != 0:
                    count = np.int64(word & np.uint64(255))
                    if count > 0 and column < ranges[r, 1]:
                        out[n], out[n + 1] = k << 8 | count, column
                        n += 2
                    word >>= np.uint64(8)
                    column += 1
    out[0] = n


@compiled(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def _clear_masks(masks, columns, steps, ranges):
    for k in range(steps):
        words = pointer(masks + k * columns, np.uint64(0))
        for r in range(len(ranges)):
            for group in range(ranges[r, 0] // 8, ranges[r, 1] // 8):
                words[group] = np.uint64(0)


@compiled(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def _unpack_masks(masks, columns, message):
    bytes_ = pointer(masks, np.uint8(0))
    for n in range(1, len(message), 2):
        bytes_[(message[n] >> 8) * columns + message[n + 1]] = np.uint8(message[n] & 255)


@compiled(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def _pack_queue(queue, counts, regions, step, steps, leader, threads, out):
    """Counts by step, thread and population, each before its spikes; out[0]: how many numbers there are."""
    n, slots = 1, len(queue)
    for now in range(step + 1, step + steps + 1):
        slot = now & (slots - 1)
        for t in range(leader, leader + threads):
            at = regions[t]
            for q in range(counts.shape[2]):
                count = counts[slot, t, q]
                out[n] = count
                n += 1
                for k in range(count):
                    out[n + k] = queue[slot, at + k]
                n += count
                at += count
    out[0] = n


@compiled(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def _unpack_queue(queue, counts, regions, step, steps, leader, threads, message):
    n, slots = 1, len(queue)
    for now in range(step + 1, step + steps + 1):
        slot = now & (slots - 1)
        for t in range(leader, leader + threads):
            at = regions[t]
            for q in range(counts.shape[2]):
                count = message[n]
                counts[slot, t, q] = count
                n += 1
                for k in range(count):
                    queue[slot, at + k] = message[n + k]
                n += count
                at += count


__all__ = ["EventExchange", "StepExchange"]
