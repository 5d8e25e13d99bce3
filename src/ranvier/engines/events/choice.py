"""When the event-driven loop gives way to the stepping one, by what has happened, and the way from one to the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.engines.compiled.program import Program
from ranvier.engines.compiled.state import copy_into
from ranvier.engines.compiled.stepping import SteppingRun
from ranvier.engines.compiled.synapse_tables import SynapseTable, padded
from ranvier.engines.events.engine import EventRun

#: the size of a population from which it is worth asking, and steps between two looks
LEAST, CHECK = 4096, 1000
#: what things cost, ns, roughly: a visit, a synaptic event of either loop, and a step of a neuron
VISIT, EVENT, DELIVERY, UPDATE, PAIRED = 12.0, 5.0, 1.5, 0.6, 4.0


def stepping_pays(run: EventRun, done: NDArray[np.int64]) -> str | None:
    """Why a run had better go on by steps, from its events and visits, of all ranks, in the last `CHECK` steps; None
    where not.

    It depends on what happened alone, not on clocks, so a run does the same on every machine.
    """
    events, visits, _ = (int(x) for x in done)
    update = UPDATE if run.program.base.options.real is np.float64 else PAIRED
    by_events = VISIT * visits + EVENT * events
    by_steps = update * run.program.model.neurons * CHECK + DELIVERY * events
    if by_events <= by_steps:
        return None
    return f"{events} events and {visits} visits in {CHECK} steps are more than stepping costs"


def to_stepping(run: EventRun, program: Program) -> SteppingRun:
    """The same network at the same step, to be stepped from there."""
    out = SteppingRun(program)
    state = out.current
    state.step = run.step
    places = {(p.index, purpose): at for at, p, purpose in run.program.base.seeds}
    for at, p, purpose in program.seeds:  # streams of noise begin now
        if (p.index, purpose) in places:
            there, count = places[p.index, purpose], 4 * padded(p.size)
            state.streams[at : at + count] = run.sources.streams[there : there + count]
    copy_into(state.drawn_arrays, run.sources.drawn_arrays)
    for k in run.program.model.models:
        p = program.net.populations[k]
        state.set_values(program, p, run.values(p))
    _inputs_under_way(run, out)
    return out


def _inputs_under_way(run: EventRun, out: SteppingRun) -> None:
    program, ring = out.program, out.current.ring
    steps, neurons = run.spikes_under_way()
    for q in program.net.projections:
        start, size = q.source.start, q.source.size
        mine = (neurons >= start) & (neurons < start + size)
        targets = program.own_tiles(q.target)
        lo, hi = (min(at, q.target.size) for at in (targets.start, targets.stop))
        table = SynapseTable.by_source(q, program.options.real, program.options.dt, None, lo, hi)
        column = program.port_column(q)
        for step, neuron in zip(steps[mine], neurons[mine] - start, strict=True):
            a, b = table.pointers[neuron], table.pointers[neuron + 1]
            delays = table.delays[a:b].astype(np.int64) if table.delays is not None else np.full(b - a, table.steps)
            weights = np.full(b - a, table.constant) if table.weights is None else table.weights[a:b]
            for delay in np.unique(delays):
                if step + delay >= run.step:
                    chosen = delays == delay
                    line = ring[(step + delay) & (len(ring) - 1), column:]
                    np.add.at(line, table.items[a:b][chosen], weights[chosen].astype(line.dtype))


__all__ = ["CHECK", "LEAST", "stepping_pays", "to_stepping"]
