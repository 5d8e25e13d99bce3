"""A run of the event-driven loop: its state, and the loop on one thread or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.codegen.records import address
from ranvier.engines._threads import run_on
from ranvier.engines.compiled.records import RUN
from ranvier.engines.compiled.run import probe_table, samples_of
from ranvier.engines.compiled.state import RunState, copy_into, initial_of, stream_places
from ranvier.engines.events import driver
from ranvier.engines.events.driver import GROUP
from ranvier.engines.events.lowering import EventProgram, own_groups
from ranvier.engines.events.records import LOOP
from ranvier.engines.protocol import REFRACTORY, NotFinite, Segment
from ranvier.engines.recording.shares import Places, cut
from ranvier.engines.sources.drawn import Listing
from ranvier.networks import Population

_ROOM = 200_000  # spikes that are recorded at once, at least


class EventRun:
    """A program and everything that changes: the neurons' records, whom to visit, spikes under way.

    records: by population, (size, words) float64: distances from rest, inputs, and as integers the step of the last
    visit, the first that is not refractory, and that of the list it is on; totals: synaptic events,
    visits and ties so far.
    """

    def __init__(self, program: EventProgram) -> None:
        self.program = program
        self.step = 0
        self.sources = RunState.initial(program.base)
        base, count = program.base, len(program.parts)
        self.records: dict[int, NDArray[np.float64]] = {}
        self._lists: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {}
        self._fired: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {}
        for k, model in program.model.models.items():
            self._add(k, initial_of(model, base.options.seed))
        self.queue = np.zeros((program.slots, program.columns), np.int32)
        self.counts = np.zeros((program.slots, base.workers, count), np.int64)
        self._totals = np.zeros((base.threads, 3), np.int64)
        self._before = np.zeros(3, np.int64)
        self._scratch = np.zeros((base.threads, 3 + 256 * 256), np.int64)
        self._sources_table = np.zeros(1, RUN)
        for name in ("streams", "masks"):
            self._sources_table[name] = address(getattr(self.sources, name))
        self._listing = Listing(base.drawn, base.populations)
        self.probe_neurons = np.concatenate([*(p.neurons for _, p in base.pieces), np.zeros(1, np.int64)])
        self.table = np.zeros(1, LOOP)
        row = self.table[0]
        for name, array in (
            ("sources", self._sources_table), ("populations", base.populations), ("parts", program.parts),
            ("subs", program.subs), ("queue", self.queue), ("regions", program.regions), ("counts", self.counts),
            ("totals", self._totals), ("probe_neurons", self.probe_neurons),
        ):  # fmt: skip
            row[name] = address(array)
        row["n_populations"], row["queue_columns"], row["queue_slots"] = count, program.columns, program.slots
        row["n_probes"], row["most_spikes"] = len(base.pieces), base.most_spikes
        self._failed = np.zeros(1, np.int64)
        row["leader"], row["local"], row["failed"] = base.leader, base.threads, address(self._failed)
        self._exchange = None
        if base.options.group is not None:
            from ranvier.engines.ranks.exchange import EventExchange

            self._exchange = EventExchange(program, self.queue, self.counts, self._failed)
            row["exchange"] = self._exchange.address

    def _add(self, k: int, initial: Mapping[str, NDArray[np.float64]]) -> None:
        row, linear = self.program.parts[k], self.program.model.linear[k]
        size, m = int(row["size"]), int(row["states"])
        # a neuron's record begins a line of the cache; memory that NumPy does not clear has large pages
        space = np.empty(size * int(row["words"]) + 8)
        space[:] = 0.0
        first = -(space.ctypes.data // 8) % 8
        own = space[first : first + size * int(row["words"])].reshape(size, -1)
        own[:, :m] = np.stack([initial[s] for s in self.program.model.models[k].states], 1) - linear.rest
        self.records[k] = own
        threads, groups = self.program.base.threads, -(-size // GROUP)
        lists = np.zeros((2, threads, size), np.int32), np.zeros((2, threads), np.int64)
        fired, fired_groups = np.zeros(64 * groups, np.uint64), np.zeros(groups, np.uint64)
        self._lists[k], self._fired[k] = lists, (fired, fired_groups)
        row["records"], row["threads"] = address(own), threads
        row["lists"], row["list_counts"] = address(lists[0]), address(lists[1])
        row["fired"], row["fired_groups"] = address(fired), address(fired_groups)
        self._visit(k, np.arange(size))

    def _visit(self, k: int, neurons: NDArray[np.integer[Any]]) -> None:
        """Let these neurons (ascending) of a population be visited in the next step, whatever reaches them."""
        row, (lists, counts) = self.program.parts[k], self._lists[k]
        base, groups = self.program.base, -(-int(row["size"]) // GROUP)
        counts[...] = 0
        for t in range(base.threads):
            lo, hi = (groups * s // base.workers * GROUP for s in (base.leader + t, base.leader + t + 1))
            mine = neurons[np.searchsorted(neurons, lo) : np.searchsorted(neurons, hi)]
            lists[self.step % 2, t, : len(mine)] = mine
            counts[self.step % 2, t] = len(mine)
        whole, mark = self.records[k].view(np.int64), int(row["states"] + row["ports"]) + 2
        whole[:, mark] = np.minimum(whole[:, mark], self.step - 1)
        whole[neurons, mark] = self.step

    def _to_visit(self, k: int) -> NDArray[np.int32]:
        lists, counts = self._lists[k]
        own = [lists[self.step % 2, t, :n] for t, n in enumerate(counts[self.step % 2])]
        return np.sort(np.concatenate(own))

    @property
    def totals(self) -> NDArray[np.int64]:
        """Synaptic events, visits and ties so far, on this rank."""
        return self._before + self._totals.sum(0)

    def advance(self, last: int) -> Segment:
        """Go on to step `last`."""
        base = self.program.base
        probes, _ = probe_table(base, self.step, last)
        samples = np.zeros(max(sum(_length(row, self.step, last) for row in probes), 1))
        row = self.table[0]
        row["probes"], row["samples"] = address(probes), address(samples)
        first = drawn = self.step
        steps, neurons = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        room = max(2 * base.block_steps * base.most_spikes, _ROOM)
        while self.step < last:
            spike_steps, spike_neurons = np.empty(room, np.int64), np.empty(room, np.int32)
            row["spike_steps"], row["spike_neurons"] = address(spike_steps), address(spike_neurons)
            row["spike_room"] = room
            if self.step >= drawn:
                drawn = self._listing.extend(self.sources.drawn, self.step, last)
            self.step, count = self._run(drawn)
            steps.append(spike_steps[:count].copy())
            neurons.append(spike_neurons[:count].copy())
        values = samples.astype(base.options.real)
        return Segment(np.concatenate(steps), np.concatenate(neurons), samples_of(base, probes, values, first, last))

    def _run(self, last: int) -> tuple[int, int]:
        base = self.program.base
        counter = np.zeros(1, np.int64)
        self.table[0]["counter"] = address(counter)

        def work(thread: int) -> tuple[int, int]:
            return driver.advance(
                address(self.table), address(self._scratch[thread]), base.leader + thread, base.workers, self.step,
                last, base.block_steps,
            )  # fmt: skip

        result = run_on(base.threads, work)
        if self._exchange is not None:
            self._exchange.check()
        return result

    def spikes_under_way(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(steps, global neurons) of the spikes of the last steps that may be due yet, by step, then neuron."""
        program, steps, neurons = self.program, [], []
        threads = program.base.workers
        for step in range(max(self.step - program.longest, 1), self.step + 1):
            slot = step % program.slots
            for q, row in enumerate(program.parts):
                for t in range(threads):
                    at = int(program.regions[t] + self.counts[slot, t, :q].sum())
                    own = self.queue[slot, at : at + int(self.counts[slot, t, q])].astype(np.int64)
                    neurons.append(own + int(row["start"]))
                    steps.append(np.full(len(own), step))
        none = [np.zeros(0, np.int64)]
        return np.concatenate(none + steps), np.concatenate(none + neurons)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that the future depends on, copied: the same for any number of threads."""
        steps, neurons = self.spikes_under_way()
        own = {name: array.copy() for name, array in self._arrays().items()}
        own |= {f"hot_{k}": self._to_visit(k) for k in self.records}
        own |= {"queue_steps": steps, "queue_neurons": neurons, "totals": self.totals}
        return own | {"step": np.array([self.step], np.int64)}

    def share(self) -> dict[str, NDArray[Any]]:
        """What this rank owns of `state()`; see `ranvier.engines.recording.shares`."""
        base, own = self.program.base, self._arrays()
        places: dict[str, Places] = {"streams": stream_places(base)} | self.sources.drawn_places(base.options.rank)
        for k in self.records:
            size = base.net.populations[k].size
            places[f"records_{k}"] = Places(0, [own_groups(size, base.options.rank, base.options.ranks)])
        out = cut(own, places)
        out |= {f"hot_{k}": self._to_visit(k) for k in self.records}
        steps, neurons = self.spikes_under_way() if base.options.rank == 0 else (np.zeros(0, np.int64),) * 2
        return out | {"queue_steps": steps, "queue_neurons": neurons, "totals": self.totals}

    def own(self, population: Population) -> tuple[int, int]:
        """The first of this rank's neurons, and the one after its last."""
        return own_groups(population.size, self.program.base.options.rank, self.program.base.options.ranks)

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Take up a state of `state()`. Raises ValueError if it is another network's."""
        copy_into(self._arrays(), saved)
        self.step = int(saved["step"][0])
        self._hold(np.asarray(saved["queue_steps"]), np.asarray(saved["queue_neurons"]), saved["totals"])
        for k in self.records:
            self._visit(k, saved[f"hot_{k}"])

    def _hold(self, steps: NDArray[np.int64], neurons: NDArray[np.int64], totals: NDArray[np.int64]) -> None:
        """Put spikes under way into the queue, and go on counting from `totals`."""
        self.counts[...], self._totals[...] = 0, 0
        # one rank goes on counting from where all have come
        self._before = np.reshape(totals, (-1, 3)).sum(0) * (self.program.base.options.rank == 0)
        starts = self.program.parts["start"]
        for step in np.unique(steps):
            slot, own = int(step) % self.program.slots, neurons[steps == step]
            rows = np.searchsorted(starts, own, "right") - 1
            # one region holds them all: whose they were does not matter
            self.queue[slot, : len(own)] = own - starts[rows]
            self.counts[slot, 0] = np.bincount(rows, minlength=len(starts))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        own: dict[str, NDArray[Any]] = {f"records_{k}": a.view(np.int64) for k, a in self.records.items()}
        return own | {"streams": self.sources.streams} | self.sources.drawn_arrays

    def values(self, population: Population) -> dict[str, NDArray[np.float64]]:
        """A population's variables at this step, and the steps left of its refractory period, by name."""
        k = population.index
        if k not in self.records:
            return {}
        model = self.program.model.models[k]
        states = np.empty((len(model.states), population.size))
        driver.all_values(address(self.program.parts), k, self.step, states)
        out = dict(zip(model.states, states, strict=True))
        if model.refractory is not None:
            busy = self.records[k].view(np.int64)[:, len(model.states) + len(model.ports) + 1]
            out[REFRACTORY] = np.maximum(busy - self.step, 0).astype(np.float64)
        return out

    def set_values(self, population: Population, values: Mapping[str, NDArray[np.float64]]) -> None:
        """Replace some of `values(population)`; all its neurons are visited next."""
        k, new = population.index, self.values(population) | dict(values)
        model, linear, own = self.program.model.models[k], self.program.model.linear[k], self.records[k]
        m, whole = len(model.states), own.view(np.int64)
        own[:, :m] = np.stack([new[s] for s in model.states], 1) - linear.rest
        whole[:, m + len(model.ports)] = self.step
        whole[:, m + len(model.ports) + 1] = self.step + np.rint(new.get(REFRACTORY, 0.0)).astype(np.int64)
        self._visit(k, np.arange(population.size))

    def adopt(self, earlier: EventRun) -> None:
        """Take up the state of the same network before some of its parameters were changed; spikes under way will meet
        the weights of their arrival."""
        self.step = earlier.step
        for k in self.records:
            population = self.program.model.net.populations[k]
            self.set_values(population, earlier.values(population))
        self.sources.streams[...] = earlier.sources.streams
        copy_into(self.sources.drawn_arrays, earlier.sources.drawn_arrays)
        self._hold(*earlier.spikes_under_way(), earlier.totals)

    @property
    def stays_finite(self) -> bool:
        """Whether no number can overflow: linear, from finite numbers, with weights far from the largest ones."""
        return self.program.largest < 1e100 and self.first_bad() is None

    def first_bad(self) -> NotFinite | None:
        """The first state variable that is not finite, if there is one."""
        for k, model in self.program.model.models.items():
            states = self.records[k][:, : len(model.states)]
            if not np.isfinite(states.sum()):
                bad = np.argwhere(~np.isfinite(states))
                if len(bad):
                    return NotFinite(model.population.name, int(bad[0, 0]), model.states[bad[0, 1]])
        return None


def _length(row: Any, first: int, last: int) -> int:
    interval = int(row["interval"])
    return (last // interval - first // interval) * int(row["count"])


__all__ = ["EventRun"]
