"""Running a program: its tables and a state's arrays bound to the loop, on one thread or several."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.codegen.buffers import zeros
from ranvier.codegen.records import address
from ranvier.engines._threads import run_on
from ranvier.engines.compiled import driver
from ranvier.engines.compiled.couplings import Couplings
from ranvier.engines.compiled.loops import TILE, normals_address
from ranvier.engines.compiled.program import Program
from ranvier.engines.compiled.records import PROBE, RUN
from ranvier.engines.compiled.state import RunState
from ranvier.engines.protocol import Segment
from ranvier.engines.sources.drawn import Listing

_TABLES = "populations", "projections", "backgrounds", "series", "series_values"
_STATE = "x", "ring", "streams", "spares", "masks"
#: whether tiles at their fixed point are skipped; the result is the same without
SKIP = True
_ROOM = 200_000  # spikes that are recorded at once, at least


class Bound:
    """A program and a state whose arrays stay where they are: the addresses that the loop reads."""

    def __init__(self, program: Program, state: RunState) -> None:
        self.program, self.state = program, state
        self.couplings = _couplings(program, state)
        self.table = np.zeros(1, RUN)
        row = self.table[0]
        for name in _TABLES:
            row[name] = address(getattr(program, name))
        for name in _STATE:
            row[name] = address(getattr(state, name))
        self.probe_neurons = np.concatenate([*(p.neurons for _, p in program.pieces), np.zeros(1, np.int64)])
        row["probe_neurons"], row["n_probes"] = address(self.probe_neurons), len(program.pieces)
        row["couplings"] = 0 if self.couplings is None else address(self.couplings.header)
        row["n_populations"], row["mask_columns"] = len(program.populations), program.mask_columns
        row["ring_slots"], row["ring_columns"] = state.ring.shape
        row["most_spikes"], row["bytes"] = program.most_spikes, state.x.itemsize
        self.failed = np.zeros(1, np.int64)
        row["leader"], row["local"], row["failed"] = program.leader, program.threads, address(self.failed)
        # which tiles rest is found again in every run: what is set or loaded in between need not know of it
        self.resting = np.zeros(program.mask_columns // TILE, np.uint8)
        self.exchange = None
        if program.options.group is not None:
            from ranvier.engines.ranks.exchange import StepExchange

            self.exchange = StepExchange(program, self.failed)
            row["exchange"] = self.exchange.address
        row["normals"] = program.populations["normals"].max()
        if row["normals"]:  # a network without noise need not wait for its compilation
            row["fill_normals"] = normals_address()
        self.plastic = self._plastic_table()
        self.listing = Listing(program.drawn, program.populations)

    def rebind(self) -> None:
        """After the modulator of a plastic projection was replaced."""
        self.plastic = self._plastic_table()

    def flush(self) -> None:
        """Bring all plastic synapses up to date; the run goes on as if that had not been."""
        if self.program.plastic:
            from ranvier.engines.plasticity import part

            part.flush(self.program, self.state, self.plastic)

    def _plastic_table(self) -> NDArray[Any]:
        if not self.program.plastic:
            return np.zeros(0)
        from ranvier.engines.plasticity import part

        return part.table_of(self.program, self.state)


def advance(bound: Bound, last: int) -> Segment:
    """Go on to step `last`; the state is moved in place."""
    program, state = bound.program, bound.state
    probes, samples = probe_table(program, state.step, last)
    row = bound.table[0]
    row["probes"], row["samples"] = address(probes), address(samples)
    first = drawn = state.step
    room = max(2 * program.block_steps * program.most_spikes, _ROOM)
    steps, neurons = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    while state.step < last:
        spike_steps, spike_neurons = np.empty(room, np.int64), np.empty(room, np.int32)
        row["spike_steps"], row["spike_neurons"] = address(spike_steps), address(spike_neurons)
        row["spike_room"] = room
        if state.step >= drawn:
            drawn = bound.listing.extend(state.drawn, state.step, last)
        state.step, count = _run(bound, drawn)
        if bound.couplings is not None:
            bound.couplings.check()
        steps.append(spike_steps[:count].copy())
        neurons.append(spike_neurons[:count].copy())
    return Segment(np.concatenate(steps), np.concatenate(neurons), samples_of(program, probes, samples, first, last))


def _run(bound: Bound, last: int) -> tuple[int, int]:
    """(The step reached, the number of spikes), the same on all threads."""
    program, state = bound.program, bound.state
    counter = np.zeros(1, np.int64)
    bound.resting[:] = 0
    bound.table[0]["resting"] = address(bound.resting) if SKIP and program.populations["rests"].any() else 0
    bound.table[0]["counter"] = address(counter)
    tiles = program.mask_columns // TILE if program.plastic or program.coupled else 1
    normals = max(int(bound.table[0]["normals"]), 1) * tiles * program.block_steps * TILE
    noise = zeros((program.threads, normals), np.float32)
    copy = int(program.populations["rows_of_x"].max()) * TILE  # at most 8 bytes each
    spiked = np.empty((program.threads, program.most_spikes + 1 + copy), np.int64)

    loop = None if program.plastic else _loop(program.options.real is np.float64)

    def work(thread: int) -> tuple[int, int]:
        room = address(noise[thread])
        if program.plastic:
            from ranvier.engines.plasticity import part

            return part.advance(program, state, bound.table, bound.plastic, room, thread, last)
        assert loop is not None
        reached = np.zeros(2, np.int64)
        loop(
            address(bound.table), room, address(spiked[thread]), program.leader + thread, program.workers, state.step,
            last, program.block_steps, address(reached), program.options.dt, 1,
        )  # fmt: skip
        return int(reached[0]), int(reached[1])

    result = run_on(program.threads, work)
    if bound.exchange is not None:
        bound.exchange.check()
    return result


@cache
def _loop(double: bool) -> Callable[..., None]:
    number, real = (np.float64, ctypes.c_double) if double else (np.float32, ctypes.c_float)
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 9, ctypes.c_double, real)
    return kind(driver.advance_address(number))


def _couplings(program: Program, state: RunState) -> Couplings | None:
    if not program.coupled:
        return None
    blocks = {k: state.block(program, program.net.populations[k]) for k in program.models}
    options = program.options
    return Couplings(program.net, program.models, program.layouts, blocks, options.real, options.dt)


def probe_table(program: Program, first: int, last: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The table of probes for the steps first .. last, and room for their samples."""
    table = np.zeros(len(program.pieces), PROBE)
    out, at = 0, 0
    for row, (probe, piece) in zip(table, program.pieces, strict=True):
        row["population"], row["row"], row["interval"] = piece.population, piece.state, probe.interval
        row["neurons"], row["count"], row["out"] = at, len(piece.neurons), out
        row["before"] = first // probe.interval + 1
        out += (last // probe.interval + 1 - int(row["before"])) * len(piece.neurons)
        at += len(piece.neurons)
    return table, np.zeros(max(out, 1), program.options.real)


def samples_of(
    program: Program, table: NDArray[Any], samples: NDArray[Any], first: int, last: int
) -> dict[str, tuple[NDArray[np.int64], NDArray[Any]]]:
    out = {}
    for probe in program.options.probes:
        before = first // probe.interval + 1
        count = last // probe.interval + 1 - before
        columns = [
            samples[row["out"] : row["out"] + count * row["count"]].reshape(count, row["count"])
            for row, (other, _) in zip(table, program.pieces, strict=True)
            if other is probe
        ]
        out[probe.name] = np.arange(before, before + count) * probe.interval, np.hstack(columns)
    return out
