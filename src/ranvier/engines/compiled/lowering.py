"""From a network to a `Program`: populations, then projections, then what comes from outside."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._steps import whole_steps
from ranvier.codegen.arithmetic.portable import Portable
from ranvier.codegen.compilation import kernel_address
from ranvier.codegen.records import address
from ranvier.engines.compiled.couplings import senders
from ranvier.engines.compiled.kernels import KernelLayout, layout, source
from ranvier.engines.compiled.loops import TILE, add_poisson_address, delivery_address, poisson_spikes_address
from ranvier.engines.compiled.program import Program, Sizes, bounds, own_tiles, port_column
from ranvier.engines.compiled.records import BACKGROUND, LISTED, POISSON, POPULATION, PROJECTION, SERIES
from ranvier.engines.compiled.synapse_tables import SynapseTable, delay_steps, padded
from ranvier.engines.precision import needs_double, warn_of_rule
from ranvier.engines.protocol import EngineOptions
from ranvier.engines.sources import drawn
from ranvier.engines.sources.listed import most_at_once, spike_events
from ranvier.engines.sources.poisson import MOST_MEAN, poisson_tables
from ranvier.engines.step_model import StepModel, step_models
from ranvier.equations.integrators import TIME
from ranvier.networks import Background, Network, Population, TimeSeries
from ranvier.neurons import Poisson, SpikeTimes

LONGEST_BLOCK = 32  # steps; longer ones would push a tile's noise out of the cache
#: neurons times steps a thread and block; with fewer, waiting costs more than another thread gives
LEAST_WORK = 15_000
_BACKGROUND = 1000  # purposes of the streams of backgrounds begin here


def lower(net: Network, options: EngineOptions) -> Program:
    """Raises ValueError for delays below dt, and whatever the equations or the network lack."""
    dt, real = options.dt, options.real
    models = step_models(net, threshold=options.threshold)
    with Portable():
        coefficients = {k: m.evaluate(dt) for k, m in models.items()}
    out = senders(net)
    layouts = {
        k: layout(m, coefficients[k], paired=real is np.float32 and needs_double(m, dt) is not None, sends=k in out)
        for k, m in models.items()
    }
    block = _block_steps(net, dt)
    if options.ranks > 1 and (reason := obstacle_to_ranks(net)):
        raise ValueError(f"the run is on {options.ranks} ranks, but {reason}; expected neither: run it on one rank")
    threads = _useful_threads(net, options.threads, block, options.ranks)
    parts = PopulationTables(np.zeros(len(net.populations), POPULATION), options)
    for p in net.populations:
        if p.index in models:
            parts.add_equations(p, models[p.index], layouts[p.index])
        else:
            parts.add_source(p)
    for p in net.populations:
        parts.add_backgrounds(p, [b for b in net.backgrounds if b.target is p], models)
    projections, longest = _projections(net, models, parts, threads)
    slots = 1 << int(longest + block).bit_length()
    program = Program(
        net, options, models, coefficients, layouts, block, threads,
        populations=parts.populations,
        projections=projections,
        backgrounds=np.array(parts.backgrounds, BACKGROUND),
        series=np.array(parts.series, SERIES),
        series_values=np.concatenate([*parts.values, np.zeros(1, real)]).astype(real),
        seeds=tuple(parts.seeds),
        most_spikes=parts.most_spikes,
        sizes=Sizes(
            max(parts.x, 1), (slots, max(parts.ring, 1)), max(parts.streams, 1), max(parts.spares, 1),
            (2, block, parts.mask),
        ),
        arrays=tuple(parts.arrays),
        drawn=parts.drawn,
    )  # fmt: skip
    if not any(p.plasticity is not None for p in net.projections):
        return program
    from ranvier.engines.plasticity import part  # networks without it need not load it

    for projection in net.projections:
        warn_of_rule(projection, dt, options.dtype, every_trace=False)
    plastic = part.lower_projections(program)
    masks = part.mask_slots(plastic, block), program.mask_columns
    return replace(program, plastic=plastic, sizes=replace(program.sizes, masks=masks))


def _block_steps(net: Network, dt: float) -> int:
    """Steps between two deliveries: one more than the shortest delay."""
    if any(p.synapse.continuous for p in net.projections):
        return 1
    shortest = [int(steps.min()) for p in net.projections if (steps := delay_steps(p, dt)).size]
    return min(min(shortest, default=LONGEST_BLOCK) + 1, LONGEST_BLOCK)


def obstacle_to_ranks(net: Network) -> str | None:
    """Why a network cannot be run by several processes; None where it can."""
    if any(p.plasticity is not None for p in net.projections):
        return "there are synapses that learn"
    if any(p.synapse.continuous for p in net.projections):
        return "there are continuous synapses, which act within a step"
    return None


def _useful_threads(net: Network, threads: int, block: int, ranks: int) -> int:
    """As many of the threads as each have work for some ten barriers between two of them."""
    if any(p.synapse.continuous for p in net.projections):
        return 1
    tiles = sum(padded(p.size) // TILE for p in net.populations) // ranks
    return max(1, min(threads, tiles // 2, tiles * TILE * block // LEAST_WORK))


@dataclass
class PopulationTables:
    """What a program is made of, while populations are added one by one. Integers: numbers in use so far."""

    populations: NDArray[Any]
    options: EngineOptions
    x: int = 0
    mask: int = 0
    ring: int = 0
    streams: int = 0
    spares: int = 0
    most_spikes: int = 0
    series: list[tuple[int, ...]] = field(default_factory=list)
    values: list[NDArray[Any]] = field(default_factory=list)
    backgrounds: list[tuple[int, ...]] = field(default_factory=list)
    seeds: list[tuple[int, Population, int]] = field(default_factory=list)
    arrays: list[NDArray[Any]] = field(default_factory=list)
    drawn: dict[int, drawn.PointProcess] = field(default_factory=dict)

    def address(self, array: NDArray[Any] | None) -> int:
        """Of an array that the program will own."""
        if array is not None:
            self.arrays.append(array)
        return address(array)

    def stream(self, p: Population, purpose: int) -> int:
        """The place of a new random stream, one a neuron."""
        at = self.streams
        self.seeds.append((at, p, purpose))
        self.streams += 4 * padded(p.size)
        return at

    def row_of(self, p: Population, most: int = 1) -> NDArray[Any]:
        row, n = self.populations[p.index], padded(p.size)
        row["size"], row["padded"], row["start"] = p.size, n, p.start
        row["mask"], row["ring"], row["stream"], row["spare"] = self.mask, self.ring, self.streams, self.spares
        self.mask += n
        self.most_spikes += p.size * most
        return row

    def add_equations(self, p: Population, model: StepModel, where: KernelLayout) -> None:
        row, n = self.row_of(p), padded(p.size)
        row["kernel"] = kernel_address(source(model, where, self.options.real is np.float64))
        row["x"], row["normals"] = self.x, where.normals
        self.x += len(where.rows) * n + padded(len(where.scalars))
        self.ring += where.ports * n
        self.spares += where.normals * n
        for k in range(where.normals):
            self.stream(p, k)
        varying = [(name, v) for name, v in p.parameters.items() if isinstance(v, TimeSeries)]
        row["series"], row["n_series"] = len(self.series), len(varying)
        row["rows_of_x"], row["ports"] = len(where.rows), where.ports
        inputs = any(port.backgrounds for port in model.ports)
        row["rests"] = not (where.normals or varying or inputs or model.coupled or _reads_time(model))
        for name, series in varying:
            what = f"the {name} of population {p.name!r} changes every {series.interval} ms"
            interval = whole_steps(series.interval, self.options.dt, what)
            columns = 1 if series.values.ndim == 1 else series.values.shape[1]
            first = sum(map(len, self.values))
            self.series.append((where.rows.index(name), first, columns, interval, len(series.values)))
            self.values.append(series.values.detach().numpy().astype(self.options.real).ravel())

    def add_source(self, p: Population) -> None:
        """A population without equations. Raises TypeError for one of unknown kind."""
        if isinstance(p.neuron, Poisson):
            self._add_poisson(p)
        elif isinstance(p.neuron, SpikeTimes):
            self._add_events(p)
        elif (process := drawn.process(p, self.options.dt)) is not None:
            self.row_of(p, most=drawn.MOST)["kind"] = LISTED
            self.drawn[p.index] = process
        else:
            raise TypeError(f"population {p.name!r} has the model {p.neuron!r}; expected a Neuron or a source")

    def _add_poisson(self, p: Population) -> None:
        n = padded(p.size)
        tables = poisson_tables(
            p.parameters["rate"], self.options.dt, p.size, n, f"population {p.name!r}", MOST_MEAN
        )
        row = self.row_of(p, most=tables.most)
        row["kind"], row["kernel"] = POISSON, poisson_spikes_address()
        row["table"], row["base"] = self.address(tables.table), self.address(tables.base)
        for name, value in tables.row.items():
            row[name] = value
        self.stream(p, 0)

    def _add_events(self, p: Population) -> None:
        steps, neurons = spike_events(p, self.options.dt)
        row = self.row_of(p, most=most_at_once(steps, neurons))
        row["kind"], row["spikes"] = LISTED, len(steps)
        row["events"], row["event_neurons"] = self.address(steps), self.address(neurons)

    def add_backgrounds(self, p: Population, own: list[Background], models: dict[int, StepModel]) -> None:
        row, n, real = self.populations[p.index], padded(p.size), self.options.real
        row["background"], row["backgrounds"] = len(self.backgrounds), len(own)
        for b in own:
            port = next(q.index for q in models[p.index].ports if q.synapse == b.synapse)
            tables = poisson_tables(b.rate, self.options.dt, p.size, n, f"the background of {p.name!r}")
            weights = np.empty(n, real)
            weights[: p.size] = np.asarray(b.weight.detach() if hasattr(b.weight, "detach") else b.weight)
            weights[p.size :] = weights[p.size - 1]
            self.backgrounds.append(
                (
                    add_poisson_address(real), port, self.stream(p, _BACKGROUND + b.index),
                    self.address(tables.table), tables.row["rows"], tables.row["stride"], self.address(tables.base),
                    tables.interval, tables.row["samples"], self.address(weights),
                )
            )  # fmt: skip


def _reads_time(model: StepModel) -> bool:
    """Whether a step depends on t."""
    expressions = [value for _, value in model.statements]
    expressions += [*model.result.values(), *model.deliver.values(), *model.at_end]
    return any(e.has(TIME) for e in expressions)


def _projections(
    net: Network, models: dict[int, StepModel], parts: PopulationTables, threads: int
) -> tuple[NDArray[Any], int]:
    """The table of projections that carry spikes and do not learn, by source; and the longest delay in steps."""
    rows: list[tuple[int, ...]] = []
    longest, real = 1, parts.options.real
    for emitter in net.populations:
        out = [p for p in net.projections if p.source is emitter and p.plasticity is None]
        out = [p for p in out if not p.synapse.continuous]
        row = parts.populations[emitter.index]
        row["projection"], row["projections"] = len(rows), len(out)
        for p in out:
            column = port_column(parts.populations, models, p)
            columns, options = int(parts.populations[p.target.index]["padded"]), parts.options
            limits = bounds(columns, threads, options.rank, options.ranks)
            targets = (min(at, p.target.size) for at in own_tiles(columns, options)) if options.ranks > 1 else (0, None)
            synapses = SynapseTable.by_source(p, real, options.dt, limits, *targets)
            code = delivery_address(real, synapses.wide, synapses.weights is not None, synapses.delays is not None)
            own = [synapses.pointers, synapses.items, synapses.weights, synapses.delays]
            constant = np.array([synapses.constant], real)
            rows.append(
                (
                    code, column, *map(parts.address, own), synapses.steps, parts.address(synapses.splits),
                    parts.address(constant), synapses.items.itemsize,
                )
            )  # fmt: skip
            longest = max(longest, synapses.longest)
    return np.array(rows, PROJECTION), longest
