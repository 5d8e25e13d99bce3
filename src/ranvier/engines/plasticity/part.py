"""All plastic projections of a compiled network together."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engines.plasticity import _driver as driver
from ranvier.engines.plasticity.modulators import modulator_of
from ranvier.engines.plasticity.records import PLASTIC
from ranvier.engines.plasticity.state import PlasticState
from ranvier.engines.plasticity.tables import PlasticProgram, back_steps, lower_plastic, plastic_rows

if TYPE_CHECKING:
    from ranvier.engines.compiled.program import Program
    from ranvier.engines.compiled.state import RunState

_LATEST = 2**31 - 2  # steps, as spikes on record have 32 bits for their time


def lower_projections(program: Program) -> tuple[PlasticProgram, ...]:
    """The plastic projections of a program that is complete but for them."""
    options, out = program.options, []
    for p in [p for p in program.net.projections if p.plasticity is not None]:
        out.append(
            lower_plastic(
                p, dt=options.dt, real=options.real, threads=program.threads, ring=program.port_column(p),
                bounds=program.bounds(p.target), modulator=modulator_of(program.net, p, options.modulators),
                seed=options.seed, variables=program.layouts[p.target.index].rows,
            )
        )  # fmt: skip
    return tuple(out)


def mask_slots(programs: tuple[PlasticProgram, ...], block_steps: int) -> int:
    """Steps of spikes that are kept, a power of two: until the last of them has arrived."""
    reach = max((group.delay for program in programs for group in program.groups), default=1)
    reach = max([reach, *(back_steps(program.rule, program.dt) for program in programs)])
    return 1 << (reach + 2 * block_steps + 1).bit_length()


def table_of(program: Program, state: RunState) -> NDArray[Any]:
    """The rows of all plastic projections."""
    rows = [
        plastic_rows(own, part, state.block(program, own.projection.target))
        for own, part in zip(program.plastic, state.plastic, strict=True)
    ]
    return np.concatenate([*rows, np.zeros(0, PLASTIC)])


def advance(
    program: Program, state: RunState, run: NDArray[Any], table: NDArray[Any], room: int, thread: int, last: int
) -> tuple[int, int]:
    """One thread's part of a run to step `last`."""
    if last > _LATEST:
        raise ValueError(f"the run has {last} steps; expected at most {_LATEST} with plastic synapses: use a longer dt")
    return driver.advance(
        run.ctypes.data, table.ctypes.data, len(table), len(state.masks), room, thread, program.threads, state.step,
        last, program.block_steps, program.options.dt, program.options.real(1),
    )  # fmt: skip


def flush(program: Program, state: RunState, table: NDArray[Any]) -> None:
    """Bring every synapse up to date; the run goes on as if that had not been."""
    driver.flush(table.ctypes.data, len(table), program.threads, state.step, program.options.real(1))


def weights(
    pairs: Collection[tuple[PlasticProgram, PlasticState]], indices: Collection[int] | None, step: int
) -> dict[int, NDArray[Any]]:
    """Weights (edges,) in the order of `edges()`, by the projection's index, once all synapses are up to date."""
    out = {}
    for program, state in pairs:
        index = program.projection.index
        if indices is None or index in indices:
            out[index] = np.zeros(sum(map(len, state.weights)), program.real)
            for values, places in zip(state.settled(program, step), program.places(), strict=True):
                out[index][places] = values
    return out


__all__ = ["advance", "flush", "lower_projections", "mask_slots", "table_of", "weights"]
