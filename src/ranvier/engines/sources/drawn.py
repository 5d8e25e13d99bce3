"""Sources whose spikes are drawn ahead, for some steps at once: the same trains in every engine and however they are
cut. What a process goes on from is an array, which the engines keep with their state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ranvier.codegen.keys import stream_key
from ranvier.codegen.records import address
from ranvier.engines.sources.listed import sorted_spikes, spikes_at
from ranvier.engines.sources.poisson import rate_samples
from ranvier.networks import Population, TimeSeries
from ranvier.neurons import CorrelatedPoisson, GammaProcess, PulsePackets

#: spikes of a neuron in one step, and how many are expected at most
MOST, MOST_MEAN = 64, 16
#: spikes that are drawn at once, about: few enough for the processor's cache; and steps, at most
_SPIKES, _STEPS = 50_000, 10_000
_PURPOSE = 0x50C5  # of the streams of sources

Spikes = tuple[NDArray[np.int64], NDArray[np.int64]]


class PointProcess(Protocol):
    """A drawn source of one population, for steps of one length."""

    per_step: float
    """Spikes of all neurons that are expected in a step, at most."""

    def begin(self, key: int) -> NDArray[np.uint64]:
        """What it goes on from at time 0, (words, processes), by the key of its streams."""
        ...

    def draw(self, state: NDArray[np.uint64], first: int, last: int) -> Spikes:
        """Steps (emitted at their end) and neurons of the spikes of steps first .. last − 1, by step, then neuron;
        `state` moves on to `last`. Raises ValueError for more than `MOST` spikes of a neuron in a step."""
        ...


def process(population: Population, dt: float) -> PointProcess | None:
    """Of a population of such a source, else None. Raises ValueError for parameters that it cannot have."""
    kind = _KINDS.get(type(population.neuron))
    return None if kind is None else kind(population, dt)


def begin(process: PointProcess, seed: int, index: int, copy: int = 0) -> NDArray[np.uint64]:
    """What the process of population `index` goes on from at time 0; `copy`: which of several runs side by side."""
    return process.begin(stream_key(stream_key(stream_key(seed, _PURPOSE), index), copy))


def begin_all(processes: Mapping[int, PointProcess], seed: int) -> dict[int, NDArray[np.uint64]]:
    """What all of a network's go on from at time 0, by population's index."""
    return {k: begin(process, seed, k) for k, process in processes.items()}


class Listing:
    """Drawn spikes, where the loops of the compiled engine find them: `table` is its table of populations."""

    def __init__(self, processes: Mapping[int, PointProcess], table: NDArray[Any]) -> None:
        self._processes, self._table = processes, table
        self._arrays: list[NDArray[np.int64]] = []

    def extend(self, states: Mapping[int, NDArray[np.uint64]], step: int, last: int) -> int:
        """Draw the steps from `step` on; the one up to which that was done, at most `last`. States move there."""
        if not self._processes:
            return last
        per_step = sum(process.per_step for process in self._processes.values())
        last = min(last, step + max(1, min(_STEPS, int(_SPIKES / max(per_step, 1e-9)))))
        self._arrays = []
        for k, process in self._processes.items():
            steps, neurons = process.draw(states[k], step, last)
            self._arrays += [steps, neurons]
            row = self._table[k]
            row["events"], row["event_neurons"], row["spikes"] = address(steps), address(neurons), len(steps)
        return last


class _Renewal:
    """Of a `GammaProcess`."""

    def __init__(self, population: Population, dt: float) -> None:
        from ranvier.engines.sources import _processes  # not loaded where nothing is drawn

        self._kernels, self._population, self._dt = _processes, population, dt
        own = {name: _constant(population, name) for name in ("shape", "t_ref")}
        what = f"population {population.name!r}"
        rates, self._interval = rate_samples(population.parameters["rate"], dt, what, MOST_MEAN)
        dead = rates * own["t_ref"] / 1000
        if dead.max() >= 1:
            raise ValueError(
                f"{what} has a rate times its dead time t_ref of {dead.max():g}; expected less than 1, as no train "
                "has shorter intervals than t_ref: lower one of them"
            )
        self._rates = np.ascontiguousarray(rates * dt / 1000 / (1 - dead))
        self._shapes, self._dead = own["shape"], own["t_ref"] / dt
        self.per_step = float((rates * dt / 1000).max()) * population.size

    def begin(self, key: int) -> NDArray[np.uint64]:
        state = np.zeros((6, self._population.size), np.uint64)
        self._kernels.begin_renewal(np.uint64(key), self._rates, self._shapes, self._dead, state, _ends(state))
        return state

    def draw(self, state: NDArray[np.uint64], first: int, last: int) -> Spikes:
        def attempt(moved: Any, steps: Any, neurons: Any) -> int:
            count: int = self._kernels.draw_renewal(moved, _ends(moved), self._rates, self._interval, self._shapes,
                                                    self._dead, first, last, MOST, steps, neurons)  # fmt: skip
            return count

        steps, neurons = _drawn(attempt, state, self.per_step * (last - first), self._population, self._dt)
        ordered: Spikes = self._kernels.by_step(steps, neurons, first, last)  # from neuron by neuron
        return ordered


class _Copies:
    """Of a `CorrelatedPoisson`."""

    def __init__(self, population: Population, dt: float) -> None:
        from ranvier.engines.sources import _processes

        self._kernels, self._population, self._dt = _processes, population, dt
        self._share = float(_constant(population, "correlation", alike=True)[0])
        what = f"population {population.name!r}"
        rates, self._interval = rate_samples(population.parameters["rate"], dt, what)
        if (rates != rates[:, :1]).any():
            raise ValueError(
                f"{what} has {rates.shape[1]} rates; expected one for all neurons, which copy the same process"
            )
        if (mean := rates.max() * dt / 1000 / self._share) > MOST_MEAN:
            raise ValueError(
                f"{what} copies {mean:g} spikes a step (rate/correlation); expected at most {MOST_MEAN}: shorten dt "
                f"(now {dt:g} ms), or raise the correlation"
            )
        self._rates = np.ascontiguousarray(rates * dt / 1000 / self._share)
        self.per_step = float((rates * dt / 1000).max()) * population.size

    def begin(self, key: int) -> NDArray[np.uint64]:
        state = np.zeros((6, 1), np.uint64)
        self._kernels.begin_mother(np.uint64(key), state, _ends(state))
        return state

    def draw(self, state: NDArray[np.uint64], first: int, last: int) -> Spikes:
        size = self._population.size

        def attempt(moved: Any, steps: Any, neurons: Any) -> int:
            count: int = self._kernels.draw_copies(moved, _ends(moved), self._rates, self._interval, self._share, size,
                                                   first, last, MOST, steps, neurons)  # fmt: skip
            return count

        steps, neurons = _drawn(attempt, state, self.per_step * (last - first) + size, self._population, self._dt)
        return sorted_spikes(steps, neurons, size)


class _Packets:
    """Of `PulsePackets`: all spikes at once, by the key that the state holds."""

    def __init__(self, population: Population, dt: float) -> None:
        self._population, self._dt, self.per_step = population, dt, 0.0
        self._spikes: dict[int, Spikes] = {}

    def begin(self, key: int) -> NDArray[np.uint64]:
        return np.full((1, 1), key, np.uint64)

    def draw(self, state: NDArray[np.uint64], first: int, last: int) -> Spikes:
        key = int(state[0, 0])
        if key not in self._spikes:
            self._spikes[key] = self._all(key)
        steps, neurons = self._spikes[key]
        a, b = np.searchsorted(steps, (first, last))
        return steps[a:b].copy(), neurons[a:b].copy()

    def _all(self, key: int) -> Spikes:
        from ranvier.engines.sources import _processes

        source, size = self._population.neuron, self._population.size
        total = int(np.floor(source.activity * size + 0.5))
        each, more = divmod(total, size)
        centres = source.times.numpy()
        times, neurons = np.empty(total * len(centres)), np.empty(total * len(centres), np.int64)
        _processes.draw_packets(np.uint64(key), centres, source.sd, size, each, more, times, neurons)
        return spikes_at(self._population, times, neurons, self._dt, MOST)


_KINDS: Mapping[type, Any] = {GammaProcess: _Renewal, CorrelatedPoisson: _Copies, PulsePackets: _Packets}


def _constant(population: Population, name: str, alike: bool = False) -> NDArray[np.float64]:
    """A parameter that holds for the whole run, (1,) or (neurons,)."""
    value: Any = population.parameters[name]
    changes = isinstance(value, TimeSeries)
    value = math.nan if changes else value.detach() if hasattr(value, "detach") else value
    out = np.atleast_1d(np.asarray(value, np.float64))
    if changes or (alike and (out != out[0]).any()):
        what = "changes in time" if changes else "differs between neurons"
        raise ValueError(
            f"{name} of population {population.name!r} {what}; expected one {'number' if alike else 'value a neuron'} "
            "for the whole run"
        )
    return out


def _drawn(attempt: Any, state: NDArray[np.uint64], expected: float, population: Population, dt: float) -> Spikes:
    """Spikes as `attempt` writes them into arrays, which are made larger until they do."""
    room = int(expected + 6 * expected**0.5) + 100
    while True:
        moved = state.copy()
        steps, neurons = np.empty(room, np.int64), np.empty(room, np.int64)
        count = attempt(moved, steps, neurons)
        if count == -2:
            raise _too_many(population, dt)
        if count >= 0:
            state[...] = moved
            return steps[:count], neurons[:count]
        room *= 2


def _too_many(population: Population, dt: float) -> ValueError:
    return ValueError(
        f"population {population.name!r} has a neuron that spikes more than {MOST} times in one step; expected at "
        f"most {MOST}: shorten dt (now {dt:g} ms)"
    )


def _ends(state: NDArray[np.uint64]) -> NDArray[np.float64]:
    return state[4:].view(np.float64)


__all__ = ["MOST", "Listing", "PointProcess", "begin", "begin_all", "process"]
