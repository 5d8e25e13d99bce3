"""The compiled engine: numba kernels printed from the equations, spikes delivered as events."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganglion.engines import _driver as d
from ganglion.engines._kernels import TILE, Layout, compile_kernel, layout, source
from ganglion.engines._model import StepModel, initial_values, step_models
from ganglion.engines._probes import ResolvedProbe
from ganglion.engines._random import seed_streams
from ganglion.engines._sources import poisson_table, spike_events
from ganglion.engines._tables import Synapses, padded
from ganglion.networks import Network, Population, TimeSeries
from ganglion.neurons import Poisson, SpikeTimes
from ganglion.synapses import Electrical

_LONGEST_BLOCK = 32  # steps; longer ones would push a tile's noise out of the cache


class CompiledEngine:
    """A network made ready to run. `advance` goes on from wherever the state is.

    Raises ValueError for delays below dt, and whatever the equations or the network lack.
    """

    def __init__(
        self,
        net: Network,
        *,
        dt: float,
        seed: int,
        threads: int = 1,
        double: bool = False,
        probes: tuple[ResolvedProbe, ...] = (),
    ) -> None:
        self.net, self.dt, self.seed, self.probes = net, dt, seed, probes
        self.real: type = np.float64 if double else np.float32
        self.step = 0
        self.models = step_models(net)
        self.coefficients = {k: m.evaluate(dt) for k, m in self.models.items()}
        self.layouts = {k: layout(m, self.coefficients[k]) for k, m in self.models.items()}
        self.threads = max(1, min(threads, sum(padded(p.size) // TILE for p in net.populations) // 2))
        if any(p.synapse.continuous for p in net.projections):
            self.threads = 1
        self._populations()
        self._projections()
        self._backgrounds()
        self._probe_tables()
        self.names = tuple(p.name for p in net.populations)

    # Tables

    def _populations(self) -> None:
        net = self.net
        table = np.zeros((len(net.populations), 18), np.int64)
        x, scalars, mask, ring, streams, spares = 0, 0, 0, 0, 0, 0
        limits: list[NDArray] = []
        series: list[list[int]] = []
        values: list[NDArray] = []
        events: list[tuple[NDArray, NDArray]] = []
        for p in net.populations:
            row, n = table[p.index], padded(p.size)
            row[[d.P_SIZE, d.P_PADDED, d.P_START, d.P_MASK, d.P_RING]] = p.size, n, p.start, mask, ring
            row[[d.P_STREAM, d.P_SPARE, d.P_SERIES]] = streams, spares, -1
            mask += n
            if p.index in self.models:
                where = self.layouts[p.index]
                text = source(self.models[p.index], where, self.real is np.float64)
                row[d.P_KERNEL] = compile_kernel(text)
                row[[d.P_X, d.P_SCALARS, d.P_NORMALS]] = x, scalars, where.normals
                x += len(where.rows) * n
                scalars += max(len(where.scalars), 1)
                ring += where.ports * n
                streams += where.normals * 4 * n
                spares += where.normals * n
                varying = [(k, v) for k, v in p.parameters.items() if isinstance(v, TimeSeries)]
                for name, given in varying:
                    row[d.P_SERIES] = len(series)
                    series.append(self._series(p, where, name, given, sum(map(len, values))))
                    values.append(given.values.detach().numpy().astype(self.real).ravel())
            elif isinstance(p.neuron, Poisson):
                row[d.P_KERNEL], row[d.P_X] = d.KERNEL_POISSON, sum(map(len, limits))
                limits.append(self._poisson_limits(p))
                streams += 4 * n
            elif isinstance(p.neuron, SpikeTimes):
                steps, neurons = spike_events(p, self.dt)
                row[[d.P_KERNEL, d.P_EVENTS, d.P_SPIKES]] = d.KERNEL_GIVEN, sum(len(e[0]) for e in events), len(steps)
                events.append((steps, neurons))
            else:
                raise TypeError(f"population {p.name!r} has the model {p.neuron!r}; expected a Neuron or a source")
        self.populations = table
        self.mask_columns, self.ring_columns = mask, max(ring, 1)
        self.x = np.zeros(max(x, 1), self.real)
        self.scalars = np.zeros(max(scalars, 1), self.real)
        self.streams = np.zeros(max(streams, 1), np.uint32)
        self.spares = np.zeros(max(spares, 1), np.float32)
        self.limits = np.concatenate([*limits, np.zeros(1, np.uint64)])
        self.series = np.array(series, np.int64).reshape(-1, 5)
        self.values = np.concatenate([*values, np.zeros(1, self.real)]).astype(self.real)
        self.event_steps = np.concatenate([*(e[0] for e in events), np.zeros(1, np.int64)])
        self.event_neurons = np.concatenate([*(e[1] for e in events), np.zeros(1, np.int64)])
        for p in net.populations:
            self._fill(p)

    def _series(self, p: Population, where: Layout, name: str, given: TimeSeries, at: int) -> list[int]:
        interval = round(given.interval / self.dt)
        if interval < 1 or abs(interval * self.dt - given.interval) > 1e-6 * self.dt:
            raise ValueError(
                f"the {name} of population {p.name!r} changes every {given.interval} ms; "
                f"expected a multiple of the step dt = {self.dt} ms"
            )
        columns = 1 if given.values.ndim == 1 else given.values.shape[1]
        return [where.rows.index(name), at, columns, interval, len(given.values)]

    def _poisson_limits(self, p: Population) -> NDArray[np.uint64]:
        chance = np.broadcast_to(np.asarray(p.neuron.rate, dtype=np.float64) * self.dt / 1000, (p.size,))
        if not (np.isfinite(chance).all() and chance.min() >= 0 and chance.max() <= 1):
            raise ValueError(
                f"population {p.name!r} has Poisson rates up to {chance.max() * 1000 / self.dt:g} Hz; expected 0 to "
                f"{1000 / self.dt:g} Hz, one spike a step: use Network.background for faster trains"
            )
        limits = np.zeros(padded(p.size), np.uint64)
        limits[: p.size] = np.rint(chance * 2.0**32).astype(np.uint64)
        return limits

    def _fill(self, p: Population) -> None:
        """Initial values, coefficients and random streams of a population."""
        row = self.populations[p.index]
        n = int(row[d.P_PADDED])
        if p.index not in self.models:
            if row[d.P_KERNEL] == d.KERNEL_POISSON:
                self._seed(int(row[d.P_STREAM]), p, n, purpose=0)
            return
        where, model = self.layouts[p.index], self.models[p.index]
        values = self.coefficients[p.index]
        block = self.block(p)
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, p.index, 0x1217])))
        initial = initial_values(model, lambda law, size: _draw(law, size, rng))
        for k, name in enumerate(where.rows):
            if name in initial:
                block[k, : p.size] = initial[name]
            elif name in values:
                block[k, : p.size] = values[name].detach().numpy()
        block[:, p.size :] = block[:, p.size - 1 : p.size]
        at = int(row[d.P_SCALARS])
        for k, name in enumerate(where.scalars):
            self.scalars[at + k] = float(values[name])
        for k in range(where.normals):
            self._seed(int(row[d.P_STREAM]) + k * 4 * n, p, n, purpose=k)

    def block(self, p: Population) -> NDArray:
        """The population's rows (rows, padded size), a view: states first."""
        at, n = int(self.populations[p.index, d.P_X]), int(self.populations[p.index, d.P_PADDED])
        return self.x[at : at + len(self.layouts[p.index].rows) * n].reshape(-1, n)

    def _seed(self, at: int, p: Population, n: int, purpose: int) -> None:
        seed_streams(self.streams[at : at + 4 * n].reshape(4, n), self.seed, p.start, purpose)

    def _projections(self) -> None:
        synapses = Synapses(self.real, self.dt)
        rows: list[list[int]] = []
        constants: list[float] = []
        shapes: list[tuple[float, float]] = []
        continuous: list[int] = []
        for source_population in self.net.populations:
            out = [p for p in self.net.projections if p.source is source_population]
            events = [p for p in out if not p.synapse.continuous]
            row = self.populations[source_population.index]
            row[d.P_PROJECTION], row[d.P_PROJECTIONS] = len(rows), len(events)
            for p in events + [p for p in out if p.synapse.continuous]:
                target = self.populations[p.target.index]
                if p.target.index not in self.models:
                    raise ValueError(f"{p!r} ends on a source of spikes; expected a population with equations")
                n = int(target[d.P_PADDED])
                port = next(q.index for q in self.models[p.target.index].ports if q.synapse == p.synapse)
                place = synapses.add(p, self._bounds(n), p.synapse.continuous)
                kind = d.SPIKES
                if p.synapse.continuous:
                    if source_population.index not in self.models:
                        raise ValueError(f"{p!r} is continuous and starts from a source of spikes, without voltage")
                    kind = d.ELECTRICAL if isinstance(p.synapse, Electrical) else d.SIGMOIDAL
                    place["steps"] = p.source.size
                    continuous.append(len(rows))
                rows.append([
                    int(target[d.P_RING]) + port * n, place["wide"], place["edges"], place["pointers"],
                    place["weight"], 0, place["delay"], place["steps"], place["split"], n, int(row[d.P_X]),
                    p.target.size, kind,
                ])  # fmt: skip
                constants.append(place["constant"])
                shapes.append((getattr(p.synapse, "V_half", 0.0), getattr(p.synapse, "slope", 1.0)))
        self.projections = np.array(rows, np.int64).reshape(-1, 13)
        self.continuous = np.array(continuous, np.int64)
        self.constants = np.array([*constants, 0.0], self.real)
        self.shapes = np.array([*shapes, (0.0, 1.0)], self.real)
        self.synapses = synapses.arrays()
        steps = [s for s in (synapses.shortest,) if s < 2**31]
        self.block_steps = 1 if continuous else min((steps[0] + 1) if steps else _LONGEST_BLOCK, _LONGEST_BLOCK)
        slots = 1 << int(synapses.longest + self.block_steps + 1).bit_length()
        self.ring = np.zeros((slots, self.ring_columns), self.real)
        self.masks = np.zeros((2, self.block_steps, self.mask_columns), np.uint8)

    def _bounds(self, n: int) -> NDArray[np.int64] | None:
        if self.threads == 1:
            return None
        tiles = n // TILE
        return np.array([tiles * t // self.threads * TILE for t in range(self.threads + 1)], np.int64)

    def _backgrounds(self) -> None:
        rows: list[list[int]] = []
        tables: list[NDArray[np.uint32]] = []
        bases: list[NDArray[np.float32]] = []
        weights: list[NDArray] = []
        streams = len(self.streams)
        extra = []
        for p in self.net.populations:
            row = self.populations[p.index]
            own = [b for b in self.net.backgrounds if b.target is p]
            row[d.P_BACKGROUND], row[d.P_BACKGROUNDS] = len(rows), len(own)
            n = int(row[d.P_PADDED])
            for b in own:
                port = next(q.index for q in self.models[p.index].ports if q.synapse == b.synapse)
                table, base = poisson_table(b.rate, self.dt, p.size, n)
                rows.append([
                    port, streams, sum(t.size for t in tables), table.shape[0], int(table.shape[1] > 1),
                    sum(map(len, bases)), sum(map(len, weights)),
                ])  # fmt: skip
                tables.append(table)
                bases.append(base)
                weight = np.empty(n, self.real)
                weight[: p.size] = np.asarray(b.weight.detach() if hasattr(b.weight, "detach") else b.weight)
                weight[p.size :] = weight[p.size - 1]
                weights.append(weight)
                extra.append((streams, p, n, 1000 + b.index))
                streams += 4 * n
        self.streams = np.concatenate([self.streams, np.zeros(streams - len(self.streams), np.uint32)])
        for at, p, n, purpose in extra:
            self._seed(at, p, n, purpose)
        self.backgrounds = np.array(rows, np.int64).reshape(-1, 7)
        self.cdf = np.concatenate([*(t.ravel() for t in tables), np.zeros(1, np.uint32)])
        self.cdf_base = np.concatenate([*bases, np.zeros(1, np.float32)])
        self.background_weights = np.concatenate([*weights, np.zeros(1, self.real)]).astype(self.real)

    def _probe_tables(self) -> None:
        self.pieces = [(r, piece) for r in self.probes for piece in r.pieces]
        self.probe_neurons = np.concatenate([*(p.neurons for _, p in self.pieces), np.zeros(1, np.int64)])

    # Running

    def advance(self, last: int) -> tuple[NDArray[np.int64], NDArray[np.int32], dict[str, tuple[Any, Any]]]:
        """Go on to step `last`: spikes (steps, global neurons) and traces, name -> (steps, values)."""
        first = self.step
        table = np.zeros((len(self.pieces), 7), np.int64)
        out, at = 0, 0
        for k, (probe, piece) in enumerate(self.pieces):
            base = first // probe.interval + 1
            count = last // probe.interval + 1 - base
            table[k] = piece.population, piece.state, probe.interval, at, len(piece.neurons), out, base
            out += count * len(piece.neurons)
            at += len(piece.neurons)
        samples = np.zeros(max(out, 1), self.real)
        neurons = sum(p.size for p in self.net.populations)
        room = max(2 * self.block_steps * neurons, 200_000)
        steps, spikes = [], []
        while self.step < last:
            spike_steps, spike_neurons = np.empty(room, np.int64), np.empty(room, np.int32)
            reached, count = self._run(last, table, samples, spike_steps, spike_neurons)
            self.step = reached
            steps.append(spike_steps[:count])
            spikes.append(spike_neurons[:count])
        traces = {}
        for probe in self.probes:
            index = [k for k, (r, _) in enumerate(self.pieces) if r is probe]
            base = first // probe.interval + 1
            count = last // probe.interval + 1 - base
            columns = [samples[table[k, 5] : table[k, 5] + count * table[k, 4]].reshape(count, table[k, 4]) for k in index]
            traces[probe.name] = (np.arange(base, base + count) * probe.interval, np.hstack(columns))
        return np.concatenate([*steps, np.zeros(0, np.int64)]), np.concatenate([*spikes, np.zeros(0, np.int32)]), traces

    def _run(self, last, table, samples, spike_steps, spike_neurons) -> tuple[int, int]:
        counter = np.zeros(1, np.int64)
        s = self.synapses

        def work(thread: int) -> tuple[int, int]:
            return d.advance(
                thread, self.threads, self.step, last, self.block_steps, counter, self.populations, self.projections,
                self.continuous, self.x, self.ring, self.scalars, self.streams, self.spares, self.masks, s["narrow"],
                s["wide"], s["pointers"], s["weights"], self.constants, s["delays"], s["splits"], self.shapes,
                self.backgrounds, self.cdf, self.cdf_base, self.background_weights, self.series, self.values,
                self.limits, self.event_steps, self.event_neurons, table, self.probe_neurons, samples, spike_steps,
                spike_neurons, self.dt,
            )  # fmt: skip

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
        return {k: v.copy() for k, v in own.items()} | {"step": np.array([self.step], np.int64)}

    def load(self, state: dict[str, NDArray]) -> None:
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

    def first_bad(self) -> tuple[str, int, str] | None:
        """(population, neuron within it, variable) of the first state that is not finite."""
        for p in self.net.populations:
            if p.index in self.models:
                states = self.block(p)[: len(self.models[p.index].states), : p.size]
                if not np.isfinite(states.sum(dtype=np.float64)):
                    bad = np.argwhere(~np.isfinite(states.T))
                    if len(bad):
                        return p.name, int(bad[0, 0]), self.models[p.index].states[bad[0, 1]]
        return None


def _draw(law: Any, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if hasattr(law, "low"):
        return rng.uniform(law.low, law.high, size)
    return rng.normal(law.mean, law.sd, size)


__all__ = ["CompiledEngine", "StepModel"]
