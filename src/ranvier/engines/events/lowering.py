"""From a network to the tables of the event-driven loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.codegen.arithmetic.portable import Portable
from ranvier.codegen.compilation import kernel_address
from ranvier.codegen.records import address
from ranvier.engines.compiled.lowering import LONGEST_BLOCK, PopulationTables
from ranvier.engines.compiled.program import Program, Sizes
from ranvier.engines.compiled.records import BACKGROUND, POPULATION, PROJECTION, SERIES
from ranvier.engines.compiled.synapse_tables import delay_steps
from ranvier.engines.events.delivery import delivery_address
from ranvier.engines.events.driver import GROUP
from ranvier.engines.events.kernels import coefficients, source, words
from ranvier.engines.events.linear import MOST_DELAYS, LinearStep, linear_step, obstacle
from ranvier.engines.events.records import PART, SUB
from ranvier.engines.events.synapses import delay_tables
from ranvier.engines.protocol import EngineOptions
from ranvier.engines.step_model import StepModel, step_models
from ranvier.networks import Network


@dataclass(frozen=True, eq=False)
class EventModel:
    """A network whose populations all are linear and free of noise, by population's index."""

    net: Network
    models: dict[int, StepModel]
    linear: dict[int, LinearStep]

    @property
    def neurons(self) -> int:
        """With equations."""
        return sum(self.net.populations[k].size for k in self.models)


@dataclass(frozen=True, eq=False)
class EventProgram:
    """What the loop reads and does not change. base: sources, sizes and options, as a program of the stepping loop
    without neurons; parts, subs: tables; projections: of each row of subs; longest: delay in steps; bytes: of all
    synapses; largest: weight; regions: where each thread's spikes begin in the queue; columns: their number."""

    model: EventModel
    base: Program
    parts: NDArray[Any]
    subs: NDArray[Any]
    projections: tuple[int, ...]
    longest: int
    slots: int
    regions: NDArray[np.int64]
    columns: int
    bytes: int
    largest: float
    arrays: list[NDArray[Any]] = field(default_factory=list)


def event_model(net: Network, dt: float) -> EventModel | str:
    """The network as linear steps; or why it cannot go from event to event."""
    if any(p.plasticity is not None for p in net.projections):
        return "there are synapses that learn"
    if any(p.synapse.continuous for p in net.projections):
        return "there are continuous synapses"
    models = step_models(net)
    reasons = [reason for model in models.values() if (reason := obstacle(model))]
    if reasons:
        return reasons[0]
    for p in net.projections:
        if (delays := np.unique(delay_steps(p, dt))).size > MOST_DELAYS:
            return f"{p!r} has {delays.size} different delays, more than {MOST_DELAYS}"
    linear = {}
    for k, model in models.items():
        with Portable():
            step = linear_step(model, model.evaluate(dt))
        if isinstance(step, str):
            return step
        linear[k] = step
    return EventModel(net, models, linear)


def useful_threads(net: Network, threads: int, ranks: int = 1) -> int:
    """At most as many as there are groups of neurons in the largest population, on each rank."""
    return max(1, min(threads, max(p.size for p in net.populations) // GROUP // ranks))


def own_groups(size: int, rank: int, ranks: int) -> tuple[int, int]:
    """The first of a rank's neurons, and the one after its last."""
    groups = -(-size // GROUP)
    return groups * rank // ranks * GROUP, min(groups * (rank + 1) // ranks * GROUP, size)


def lower(model: EventModel, options: EngineOptions) -> EventProgram:
    """Raises ValueError for delays below dt."""
    net, threads = model.net, useful_threads(model.net, options.threads, options.ranks)
    sources = PopulationTables(np.zeros(len(net.populations), POPULATION), options)
    capacity = np.zeros(threads * options.ranks, np.int64)
    for p in net.populations:
        before = sources.most_spikes
        if p.index in model.models:
            sources.row_of(p)
        else:
            sources.add_source(p)
        capacity += sources.most_spikes - before  # memory that no spike reaches is never taken
    arrays = sources.arrays
    parts, longest, shortest = np.zeros(len(net.populations), PART), 1, LONGEST_BLOCK
    subs: list[tuple[int, ...]] = []
    projections: list[int] = []
    used, largest = 0, 0.0
    for p in net.populations:
        row = parts[p.index]
        row["bytes"], row["start"], row["size"], row["sub"] = PART.itemsize, p.start, p.size, len(subs)
        for q in (q for q in net.projections if q.source is p):
            steps = delay_steps(q, options.dt)
            if steps.size:
                shortest, longest = min(shortest, int(steps.min())), max(longest, int(steps.max()))
            targets = (0, None) if options.ranks == 1 else own_groups(q.target.size, options.rank, options.ranks)
            for table in delay_tables(q, options.dt, _bounds(q.target.size, threads, options), *targets):
                own: list[NDArray[Any] | None] = [table.rows, table.items, table.weights, table.table, table.splits]
                arrays += [a for a in own if a is not None]
                port = next(x for x in model.models[q.target.index].ports if x.synapse == q.synapse)
                word = len(model.models[q.target.index].states) + port.index
                subs.append((delivery_address(table.kind), q.target.index, word, table.delay, *map(address, own)))
                projections.append(q.index)
                used += table.bytes
                weights = table.weights if table.kind == "weighted" else table.table
                size = np.nan_to_num(np.abs(np.asarray(weights)), nan=np.inf)
                largest = max(largest, float(size.max(initial=0.0)))
        row["subs"] = len(subs) - row["sub"]
        if p.index in model.models:
            _fill(row, model.models[p.index], model.linear[p.index], arrays)
    block = min(shortest + 1, LONGEST_BLOCK)
    base = Program(
        net, options, {}, {}, {}, block, threads,
        populations=sources.populations,
        projections=np.zeros(0, PROJECTION), backgrounds=np.zeros(0, BACKGROUND), series=np.zeros(0, SERIES),
        series_values=np.zeros(1, options.real),
        seeds=tuple(sources.seeds),
        most_spikes=sources.most_spikes,
        sizes=Sizes(1, (1, 1), max(sources.streams, 1), 1, (1, 1, max(sources.mask, 1))),
        arrays=(),
        drawn=sources.drawn,
    )  # fmt: skip
    regions = np.concatenate([np.zeros(1, np.int64), np.cumsum(capacity)])
    slots = 1 << int(longest + 2 * block + 1).bit_length()
    return EventProgram(
        model, base, parts, np.array(subs, SUB), tuple(projections), longest, slots, regions[:-1].copy(),
        int(regions[-1]), used, largest, arrays,
    )  # fmt: skip


def _bounds(size: int, threads: int, options: EngineOptions) -> NDArray[np.int64] | None:
    """This rank's threads' first targets (threads + 1,); None on one thread."""
    if threads == 1:
        return None
    groups, first, workers = -(-size // GROUP), options.rank * threads, threads * options.ranks
    return np.array([groups * t // workers * GROUP for t in range(first, first + threads + 1)], np.int64)


def _fill(row: NDArray[Any], model: StepModel, linear: LinearStep, arrays: list[NDArray[Any]]) -> None:
    m, ports = linear.jumps.shape
    row["kernel"] = kernel_address(source(linear))
    row["words"], row["states"], row["ports"] = words(m, ports), m, ports
    row["span"], row["held_span"], row["horizon"] = len(linear.free) - 1, len(linear.held_powers) - 1, linear.horizon
    tables = {
        "coefficients": coefficients(linear), "free": linear.free, "held": linear.held_powers,
        "threshold": linear.threshold, "after": linear.after, "steps": linear.steps, "rest": linear.rest,
    }  # fmt: skip
    for name, array in tables.items():
        own = np.ascontiguousarray(array)
        arrays.append(own)
        row[name] = address(own)
    for name in ("threshold", "after", "steps", "rest"):
        array = tables[name]
        row[f"{name}_stride"] = 0 if len(array) == 1 else array[0].size


__all__ = ["EventModel", "EventProgram", "event_model", "lower", "useful_threads"]
