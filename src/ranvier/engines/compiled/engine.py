"""The compiled engine: numba kernels printed from the equations, spikes delivered as events."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ranvier._steps import whole_steps
from ranvier.codegen.compilation import kernel_address
from ranvier.codegen.portable import Portable
from ranvier.engines._sources import most_at_once, poisson_counts, poisson_table, spike_events
from ranvier.engines.compiled import driver as d
from ranvier.engines.compiled._random import seed_streams
from ranvier.engines.compiled.couplings import Couplings, senders
from ranvier.engines.compiled.kernels import Layout, layout, source
from ranvier.engines.compiled.loops import (
    TILE,
    add_poisson_address,
    delivery_address,
    normals_address,
    poisson_spikes_address,
)
from ranvier.engines.compiled.synapse_tables import Synapses, delay_steps, padded
from ranvier.engines.precision import needs_double, warn_of_slow_traces
from ranvier.engines.protocol import EngineOptions, NotFinite, Segment
from ranvier.engines.recording.probes import ResolvedProbe
from ranvier.engines.step_model import initial_values, step_models
from ranvier.networks import Network, Population, Projection, TimeSeries
from ranvier.neurons import Poisson, SpikeTimes

_LONGEST_BLOCK = 32  # steps; longer ones would push a tile's noise out of the cache


class CompiledEngine:
    """A network made ready to run. `advance` goes on from wherever the state is.

    Raises ValueError for delays below dt, and whatever the equations or the network lack.
    """

    #: neurons times steps a thread and block; with fewer, waiting costs more than another thread gives
    least_work = 15_000

    def __init__(
        self,
        net: Network,
        *,
        dt: float,
        seed: int,
        threads: int = 1,
        double: bool = False,
        probes: tuple[ResolvedProbe, ...] = (),
        modulators: Mapping[Projection, Any] | None = None,
    ) -> None:
        dtype = torch.float64 if double else torch.float32
        self.options = EngineOptions(dt, seed, threads, dtype, probes, modulators)
        self.net, self.dt, self.seed, self.probes = net, dt, seed, probes
        self.real: Any = np.float64 if double else np.float32
        self.step = 0
        self.models = step_models(net)
        with Portable():
            self.coefficients = {k: m.evaluate(dt) for k, m in self.models.items()}
        out = senders(net)
        self.layouts = {
            k: layout(m, self.coefficients[k], paired=not double and needs_double(m, dt) is not None, sends=k in out)
            for k, m in self.models.items()
        }
        self.block_steps = self._block_steps()
        self.threads = self._useful(threads)
        self._populations()
        self._projections()
        self.couplings = self._couplings()
        self.plastic = self._plastic(modulators)
        self._backgrounds()
        self._probe_tables()

    @classmethod
    def prepare(cls, net: Network, options: EngineOptions) -> CompiledEngine:
        """The network at t = 0."""
        double = options.dtype == torch.float64
        return cls(net, dt=options.dt, seed=options.seed, threads=options.threads, double=double,
                   probes=options.probes, modulators=options.modulators)  # fmt: skip

    def _plastic(self, modulators: Mapping[Projection, Any] | None) -> Any:
        """The part of the plastic projections; networks without any do not import it."""
        if not any(p.plasticity is not None for p in self.net.projections):
            return None
        from ranvier.engines.plasticity.part import PlasticPart

        for p in self.net.projections:
            warn_of_slow_traces(p, self.dt, self.options.dtype)

        return PlasticPart(self, modulators)

    def _couplings(self) -> Couplings | None:
        if not any(m.coupled for m in self.models.values()):
            return None
        blocks = {k: self.block(self.net.populations[k]) for k in self.models}
        return Couplings(self.net, self.models, self.layouts, blocks, self.real, self.dt)

    def _block_steps(self) -> int:
        """Steps between two deliveries: one more than the shortest delay."""
        if any(p.synapse.continuous for p in self.net.projections):
            return 1
        shortest = [int(steps.min()) for p in self.net.projections if (steps := delay_steps(p, self.dt)).size]
        return min(min(shortest, default=_LONGEST_BLOCK) + 1, _LONGEST_BLOCK)

    def _useful(self, threads: int) -> int:
        """At most so many threads that each has work for some ten barriers between two of them."""
        if any(p.synapse.continuous for p in self.net.projections):
            return 1
        tiles = sum(padded(p.size) // TILE for p in self.net.populations)
        return max(1, min(threads, tiles // 2, tiles * TILE * self.block_steps // self.least_work))

    # Tables

    def _populations(self) -> None:
        net = self.net
        rows = np.zeros((len(net.populations), d.P_WIDTH), np.int64)
        x, mask, ring, streams, spares = 0, 0, 0, 0, 0
        series: list[list[int]] = []
        values: list[NDArray] = []
        events: list[tuple[NDArray, NDArray]] = []
        self.counts: list[NDArray] = []  # arrays that the table points into
        self.most = np.ones(len(net.populations), np.int64)  # spikes of a neuron in a step
        for p in net.populations:
            row, n = rows[p.index], padded(p.size)
            row[[d.P_SIZE, d.P_PADDED, d.P_START, d.P_MASK, d.P_RING]] = p.size, n, p.start, mask, ring
            row[[d.P_STREAM, d.P_SPARE, d.P_SERIES]] = streams, spares, len(series)
            mask += n
            if p.index in self.models:
                where = self.layouts[p.index]
                text = source(self.models[p.index], where, self.real is np.float64)
                row[d.P_KERNEL] = kernel_address(text)
                row[[d.P_X, d.P_NORMALS]] = x, where.normals
                x += len(where.rows) * n + padded(len(where.scalars))
                ring += where.ports * n
                streams += where.normals * 4 * n
                spares += where.normals * n
                for name, given in [(k, v) for k, v in p.parameters.items() if isinstance(v, TimeSeries)]:
                    row[d.P_SERIES_COUNT] += 1
                    series.append(self._series(p, where, name, given, sum(map(len, values))))
                    values.append(given.values.detach().numpy().astype(self.real).ravel())
            elif isinstance(p.neuron, Poisson):
                table, base = poisson_counts(p, self.dt, n)
                self.counts += [table, base]
                row[d.P_KERNEL], row[d.P_KIND] = poisson_spikes_address(), d.POISSON
                row[[d.P_TABLE, d.P_ROWS, d.P_BASE]] = _address(table), len(table), _address(base)
                row[d.P_STRIDE] = n if table.shape[1] > 1 else 0
                self.most[p.index] = int(base.max()) + len(table)
                streams += 4 * n
            elif isinstance(p.neuron, SpikeTimes):
                steps, neurons = spike_events(p, self.dt)
                row[[d.P_KIND, d.P_EVENTS, d.P_SPIKES]] = d.GIVEN, sum(len(e[0]) for e in events), len(steps)
                events.append((steps, neurons))
                self.most[p.index] = most_at_once(steps, neurons)
            else:
                raise TypeError(f"population {p.name!r} has the model {p.neuron!r}; expected a Neuron or a source")
        self.populations = rows
        self.mask_columns, self.ring_columns = mask, max(ring, 1)
        self.x = np.zeros(max(x, 1), self.real)
        self.streams = np.zeros(max(streams, 1), np.uint32)
        self.spares = np.zeros(max(spares, 1), np.float32)
        self.series = np.array(series, np.int64).reshape(-1, d.T_WIDTH)
        self.values = np.concatenate([*values, np.zeros(1, self.real)]).astype(self.real)
        self.event_steps = np.concatenate([*(e[0] for e in events), np.zeros(1, np.int64)])
        self.event_neurons = np.concatenate([*(e[1] for e in events), np.zeros(1, np.int64)])
        for p in net.populations:
            self._fill(p)

    def _series(self, p: Population, where: Layout, name: str, given: TimeSeries, at: int) -> list[int]:
        what = f"the {name} of population {p.name!r} changes every {given.interval} ms"
        interval = whole_steps(given.interval, self.dt, what)
        columns = 1 if given.values.ndim == 1 else given.values.shape[1]
        return [where.rows.index(name), at, columns, interval, len(given.values)]

    def _most_spikes(self) -> int:
        """In one step of all neurons."""
        return int((self.populations[:, d.P_SIZE] * self.most).sum())

    def _fill(self, p: Population) -> None:
        """Initial values, coefficients and random streams of a population."""
        row = self.populations[p.index]
        n = int(row[d.P_PADDED])
        if p.index not in self.models:
            if row[d.P_KIND] == d.POISSON:
                self._seed(int(row[d.P_STREAM]), p, n, purpose=0)
            return
        where, model = self.layouts[p.index], self.models[p.index]
        block = self.block(p)
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, p.index, 0x1217])))
        initial = initial_values(model, lambda law, size: _draw(law, size, rng))
        constants = {name: value.detach().numpy() for name, value in self.coefficients[p.index].items()}
        numbers = where.numbers(constants | initial, self.real)
        for k, name in enumerate(where.rows):
            if name in numbers:
                block[k, : p.size] = numbers[name]
        block[:, p.size :] = block[:, p.size - 1 : p.size]
        at = int(row[d.P_X]) + len(where.rows) * n
        for k, name in enumerate(where.scalars):
            self.x[at + k] = numbers[name]
        for k in range(where.normals):
            self._seed(int(row[d.P_STREAM]) + k * 4 * n, p, n, purpose=k)

    def block(self, p: Population) -> NDArray:
        """The population's rows (rows, padded size), a view: states first."""
        at, n = int(self.populations[p.index, d.P_X]), int(self.populations[p.index, d.P_PADDED])
        return self.x[at : at + len(self.layouts[p.index].rows) * n].reshape(-1, n)

    def _seed(self, at: int, p: Population, n: int, purpose: int) -> None:
        seed_streams(self.streams[at : at + 4 * n].reshape(4, n), self.seed, p.start, purpose)

    def _projections(self) -> None:
        rows: list[list[int]] = []
        constants: list[float] = []
        self.synapses: list[Synapses] = []
        for emitter in self.net.populations:
            out = [p for p in self.net.projections if p.source is emitter and p.plasticity is None]
            out = [p for p in out if not p.synapse.continuous]
            row = self.populations[emitter.index]
            row[[d.P_PROJECTION, d.P_PROJECTIONS]] = len(rows), len(out)
            for p in out:
                if p.target.index not in self.models:
                    raise ValueError(f"{p!r} ends on a source of spikes; expected a population with equations")
                target = self.populations[p.target.index]
                n = int(target[d.P_PADDED])
                port = next(q.index for q in self.models[p.target.index].ports if q.synapse == p.synapse)
                made = Synapses.by_source(p, self.real, self.dt, self._bounds(n))
                code = delivery_address(self.real, made.wide, made.weights is not None, made.delays is not None)
                self.synapses.append(made)
                ring = int(target[d.P_RING]) + port * n
                pointers = [_address(a) for a in (made.pointers, made.items, made.weights, made.delays)]
                rows.append([code, ring, *pointers, made.steps, _address(made.splits), 0, made.items.itemsize])
                constants.append(made.constant)
        self.constants = np.array([*constants, 0.0], self.real)
        self.projections = np.array(rows, np.int64).reshape(-1, d.J_WIDTH)
        for k in range(len(rows)):
            self.projections[k, d.J_CONSTANT] = self.constants[k:].ctypes.data
        longest = max((s.longest for s in self.synapses), default=1)  # plastic ones deliver without delay
        slots = 1 << int(longest + self.block_steps).bit_length()
        self.ring = np.zeros((slots, self.ring_columns), self.real)
        self.masks = np.zeros((2, self.block_steps, self.mask_columns), np.uint8)

    def _bounds(self, n: int) -> NDArray[np.int64] | None:
        if self.threads == 1:
            return None
        tiles = n // TILE
        return np.array([tiles * t // self.threads * TILE for t in range(self.threads + 1)], np.int64)

    def _backgrounds(self) -> None:
        rows: list[list[int]] = []
        self.kept: list[NDArray] = []  # arrays that the table points into
        streams, seeds = len(self.streams), []
        for p in self.net.populations:
            own = [b for b in self.net.backgrounds if b.target is p]
            row, n = self.populations[p.index], padded(p.size)
            row[[d.P_BACKGROUND, d.P_BACKGROUNDS]] = len(rows), len(own)
            for b in own:
                port = next(q.index for q in self.models[p.index].ports if q.synapse == b.synapse)
                table, base = poisson_table(b.rate, self.dt, p.size, n)
                weight = np.empty(n, self.real)
                weight[: p.size] = np.asarray(b.weight.detach() if hasattr(b.weight, "detach") else b.weight)
                weight[p.size :] = weight[p.size - 1]
                self.kept += [table, base, weight]
                stride = n if table.shape[1] > 1 else 0
                rows.append([
                    add_poisson_address(self.real), port, streams, _address(table), table.shape[0], stride,
                    _address(base), _address(weight),
                ])  # fmt: skip
                seeds.append((streams, p, n, 1000 + b.index))
                streams += 4 * n
        self.streams = np.concatenate([self.streams, np.zeros(streams - len(self.streams), np.uint32)])
        for at, p, n, purpose in seeds:
            self._seed(at, p, n, purpose)
        self.backgrounds = np.array(rows, np.int64).reshape(-1, d.B_WIDTH)

    def _probe_tables(self) -> None:
        self.pieces = [(r, piece) for r in self.probes for piece in r.pieces]
        self.probe_neurons = np.concatenate([*(p.neurons for _, p in self.pieces), np.zeros(1, np.int64)])

    # Running

    def advance(self, last: int) -> Segment:
        """Go on to step `last`."""
        first = self.step
        table = np.zeros((len(self.pieces), d.R_WIDTH), np.int64)
        out, at = 0, 0
        for k, (probe, piece) in enumerate(self.pieces):
            base = first // probe.interval + 1
            count = last // probe.interval + 1 - base
            table[k] = piece.population, piece.state, probe.interval, at, len(piece.neurons), out, base
            out += count * len(piece.neurons)
            at += len(piece.neurons)
        samples = np.zeros(max(out, 1), self.real)
        room = max(2 * self.block_steps * self._most_spikes(), 200_000)
        steps, spikes = [], []
        while self.step < last:
            spike_steps, spike_neurons = np.empty(room, np.int64), np.empty(room, np.int32)
            reached, count = self._run(last, table, samples, spike_steps, spike_neurons)
            self.step = reached
            if self.couplings is not None:
                self.couplings.check()
            steps.append(spike_steps[:count])
            spikes.append(spike_neurons[:count])
        traces = {}
        for probe in self.probes:
            index = [k for k, (r, _) in enumerate(self.pieces) if r is probe]
            base = first // probe.interval + 1
            count = last // probe.interval + 1 - base
            columns = [_columns(samples, table[k], count) for k in index]
            traces[probe.name] = (np.arange(base, base + count) * probe.interval, np.hstack(columns))
        return Segment(
            np.concatenate([*steps, np.zeros(0, np.int64)]), np.concatenate([*spikes, np.zeros(0, np.int32)]), traces
        )

    def _run(self, last, table, samples, spike_steps, spike_neurons) -> tuple[int, int]:
        counter = np.zeros(1, np.int64)
        A = np.zeros(d.N_TABLE, np.int64)
        arrays = {
            d.A_COUNTER: counter, d.A_POPULATIONS: self.populations, d.A_PROJECTIONS: self.projections,
            d.A_X: self.x, d.A_RING: self.ring, d.A_STREAMS: self.streams,
            d.A_SPARES: self.spares, d.A_MASKS: self.masks, d.A_BACKGROUNDS: self.backgrounds,
            d.A_SERIES: self.series, d.A_VALUES: self.values, d.A_EVENT_STEPS: self.event_steps,
            d.A_EVENT_NEURONS: self.event_neurons, d.A_PROBES: table, d.A_PROBE_NEURONS: self.probe_neurons,
            d.A_SAMPLES: samples, d.A_SPIKE_STEPS: spike_steps, d.A_SPIKE_NEURONS: spike_neurons,
        }  # fmt: skip
        for k, array in arrays.items():
            A[k] = array.ctypes.data
        A[[d.N_POPULATIONS, d.N_PROBES]] = len(self.populations), len(table)
        A[d.A_COUPLINGS] = 0 if self.couplings is None else self.couplings.header.ctypes.data
        A[[d.N_COLUMNS, d.N_SLOTS, d.N_MASK]] = self.ring.shape[1], self.ring.shape[0], self.mask_columns
        A[[d.N_ROOM, d.N_NEURONS]] = len(spike_steps), self._most_spikes()
        A[[d.N_NOISE, d.N_SIZE]] = self.populations[:, d.P_NORMALS].max(), np.dtype(self.real).itemsize
        if A[d.N_NOISE]:  # a network without noise need not wait for its compilation
            A[d.A_FILL_NORMALS] = normals_address()

        tiles = 1 if self.plastic is None and self.couplings is None else self.mask_columns // TILE
        noise = np.empty((self.threads, max(int(A[d.N_NOISE]), 1) * tiles * self.block_steps * TILE), np.float32)

        def work(thread: int) -> tuple[int, int]:
            room = noise[thread].ctypes.data
            if self.plastic is not None:
                return self.plastic.advance(A, room, thread, last)
            return d.advance(A, room, thread, self.threads, self.step, last, self.block_steps, self.dt, self.real(1))

        if self.threads == 1:
            return work(0)
        with ThreadPoolExecutor(self.threads - 1) as pool:
            others = [pool.submit(work, t) for t in range(1, self.threads)]
            mine = work(0)
            for other in others:
                other.result()
        return mine

    # State

    def state(self) -> dict[str, NDArray]:
        """Everything that the future depends on, copied."""
        own = {"x": self.x, "ring": self.ring, "streams": self.streams, "spares": self.spares}
        out = {k: v.copy() for k, v in own.items()} | {"step": np.array([self.step], np.int64)}
        return out if self.plastic is None else out | self.plastic.state()

    def load(self, state: Mapping[str, NDArray]) -> None:
        """Take up a state of `state()`. Raises ValueError if it is another network's."""
        for name in ("x", "ring", "streams", "spares"):
            mine = getattr(self, name)
            if state[name].shape != mine.shape or state[name].dtype != mine.dtype:
                raise ValueError(
                    f"the saved state's {name} is {state[name].dtype}{list(state[name].shape)}, expected "
                    f"{mine.dtype}{list(mine.shape)}: it belongs to another network; start in a new folder"
                )
            mine[...] = state[name]
        self.step = int(state["step"][0])
        if self.plastic is not None:
            self.plastic.load(state)

    def weights(self, indices: Collection[int] | None = None) -> dict[int, NDArray]:
        """Plastic projections' weights (edges,) in the order of `edges()`, by the projection's index."""
        return {} if self.plastic is None else self.plastic.weights(indices)

    def set_weights(self, index: int, values: NDArray) -> None:
        """Replace a plastic projection's weights by values (edges,), in the order of `edges()`."""
        self.plastic.set_weights(index, values)

    def set_modulator(self, p: Projection, source: Any) -> None:
        """Replace a plastic projection's modulator; a series begins now."""
        self.plastic.set_modulator(p, source)

    def first_bad(self) -> NotFinite | None:
        """(population, neuron within it, variable) of the first state that is not finite."""
        for p in self.net.populations:
            if p.index in self.models:
                states = self.block(p)[: len(self.models[p.index].states), : p.size]
                if not np.isfinite(states.sum(dtype=np.float64)):
                    bad = np.argwhere(~np.isfinite(states.T))
                    if len(bad):
                        return NotFinite(p.name, int(bad[0, 0]), self.models[p.index].states[bad[0, 1]])
        return None


def _columns(samples: NDArray, row: NDArray[np.int64], count: int) -> NDArray:
    size, at = row[d.R_COUNT], row[d.R_OUT]
    return samples[at : at + count * size].reshape(count, size)


def _address(array: NDArray | None) -> int:
    return 0 if array is None else array.ctypes.data


def _draw(law: Any, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    drawn = rng.uniform(law.low, law.high, size) if hasattr(law, "low") else rng.normal(law.mean, law.sd, size)
    # NumPy's last bits come from the C library and differ between processors
    return drawn.astype(np.float32).astype(np.float64)
