"""Going on with another program of the same network: the state of a run, carried over by what its numbers are of."""

from __future__ import annotations

from ranvier.engines.compiled.kernels import carried, low
from ranvier.engines.compiled.program import Program
from ranvier.engines.compiled.state import RunState, copy_into
from ranvier.engines.compiled.synapse_tables import padded


def adopt(program: Program, state: RunState, earlier: Program, past: RunState) -> None:
    """Write into `state` what `past` holds, but for coefficients. A random stream that `earlier` lacks begins now."""
    for p in program.net.populations:
        if p.index not in program.models:
            continue
        mine, theirs = program.layouts[p.index].rows, earlier.layouts[p.index].rows
        block, old = state.block(program, p), past.block(earlier, p)
        for name in carried(program.models[p.index], program.layouts[p.index]):
            if name in theirs:
                block[mine.index(name)] = old[theirs.index(name)]
            if low(name) in mine:
                block[mine.index(low(name))] = old[theirs.index(low(name))] if low(name) in theirs else 0.0
        row, before, n = program.populations[p.index], earlier.populations[p.index], padded(p.size)
        spares = min(int(row["normals"]), int(before["normals"])) * n
        at, there = int(row["spare"]), int(before["spare"])
        state.spares[at : at + spares] = past.spares[there : there + spares]
    places = {(p.index, purpose): at for at, p, purpose in earlier.seeds}
    for at, p, purpose in program.seeds:
        if (p.index, purpose) in places:
            there, count = places[p.index, purpose], 4 * padded(p.size)
            state.streams[at : at + count] = past.streams[there : there + count]
    copy_into(state.drawn_arrays, past.drawn_arrays)
    copy_into({"ring": state.ring, "masks": state.masks}, {"ring": past.ring, "masks": past.masks})
    for part, own, other in zip(program.plastic, state.plastic, past.plastic, strict=True):
        copy_into(own.arrays(part.projection.index), other.arrays(part.projection.index))
        own.adopt_modulator(other)
        own.settle(past.step)
    state.step = past.step


__all__ = ["adopt"]
