"""`RunState`: everything of a compiled run that changes. The loop works on its arrays in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.codegen.buffers import zeros
from ranvier.engines.compiled._random import seed_streams
from ranvier.engines.compiled.kernels import low
from ranvier.engines.compiled.program import Program
from ranvier.engines.compiled.synapse_tables import padded
from ranvier.engines.protocol import REFRACTORY
from ranvier.engines.recording.shares import Places, cut
from ranvier.engines.sources.drawn import begin_all
from ranvier.engines.step_model import StepModel, initial_values
from ranvier.networks import Population

if TYPE_CHECKING:
    from ranvier.engines.plasticity.state import PlasticState


@dataclass(eq=False)
class RunState:
    """step: steps done; x: the populations' rows of numbers; ring (slots, columns): inputs under way; streams, spares:
    of the random numbers; masks: spikes of the last steps; plastic: by plastic projection; drawn: what sources whose
    spikes are drawn ahead go on from, by population's index."""

    step: int
    x: NDArray[Any]
    ring: NDArray[Any]
    streams: NDArray[np.uint32]
    spares: NDArray[np.float32]
    masks: NDArray[np.uint8]
    plastic: list[PlasticState] = field(default_factory=list)
    drawn: dict[int, NDArray[np.uint64]] = field(default_factory=dict)

    @classmethod
    def initial(cls, program: Program) -> RunState:
        """The network at t = 0."""
        sizes, real = program.sizes, program.options.real
        state = cls(
            0, zeros(sizes.x, real), zeros(sizes.ring, real), zeros(sizes.streams, np.uint32),
            zeros(sizes.spares, np.float32), zeros(sizes.masks, np.uint8),
        )  # fmt: skip
        for p in program.net.populations:
            if p.index in program.models:
                state._fill(program, p)
        for at, p, purpose in program.seeds:
            n = padded(p.size)
            seed_streams(state.streams[at : at + 4 * n].reshape(4, n), program.options.seed, p.start, purpose)
        state.drawn = begin_all(program.drawn, program.options.seed)
        if program.plastic:
            from ranvier.engines.plasticity.state import PlasticState

            state.plastic = [PlasticState.initial(own) for own in program.plastic]
        return state

    def block(self, program: Program, p: Population) -> NDArray[Any]:
        """A population's rows (rows, padded size), a view: states first."""
        at, n = int(program.populations[p.index]["x"]), padded(p.size)
        return self.x[at : at + len(program.layouts[p.index].rows) * n].reshape(-1, n)

    def values(self, program: Program, p: Population) -> dict[str, NDArray[np.float64]]:
        """A population's variables (neurons,), and the steps left of its refractory period, by name."""
        if p.index not in program.models:
            return {}
        rows, block = program.layouts[p.index].rows, self.block(program, p)[:, : p.size].astype(np.float64)
        out = {}
        for name in (*program.models[p.index].states, REFRACTORY):
            if name in rows:
                out[name] = block[rows.index(name)]
                if low(name) in rows:
                    out[name] = out[name] + block[rows.index(low(name))]
        return out

    def set_values(self, program: Program, p: Population, values: Mapping[str, NDArray[np.float64]]) -> None:
        """Replace some of them, the neurons that fill the last tile included."""
        where, block = program.layouts[p.index], self.block(program, p)
        for name, numbers in where.numbers(values, program.options.real).items():
            row = block[where.rows.index(name)]
            row[: p.size], row[p.size :] = numbers, numbers[-1]

    def arrays(self, program: Program) -> dict[str, NDArray[Any]]:
        """Everything but the step that the future depends on, by name: views."""
        own = {"x": self.x, "ring": self.ring, "streams": self.streams, "spares": self.spares} | self.drawn_arrays
        if program.plastic:  # spikes under way reach plastic synapses by the masks, others by the ring
            own["masks"] = self.masks
        for part, state in zip(program.plastic, self.plastic, strict=True):
            own |= state.arrays(part.projection.index)
        return own

    @property
    def drawn_arrays(self) -> dict[str, NDArray[np.uint64]]:
        """`drawn` under the names of a saved state."""
        return {f"drawn_{k}": array for k, array in self.drawn.items()}

    def drawn_places(self, rank: int) -> dict[str, Places]:
        """Every rank has them all; the first one writes them."""
        return {name: Places(0, [(0, len(a))] if rank == 0 else []) for name, a in self.drawn_arrays.items()}

    def share(self, program: Program) -> dict[str, NDArray[Any]]:
        """What this rank owns of `arrays`; see `ranvier.engines.recording.shares`."""
        x, ring, spares = [], [], []
        for p in program.net.populations:
            row, n, own = program.populations[p.index], padded(p.size), program.own_tiles(p)
            if p.index in program.models:
                where, first = program.layouts[p.index], int(row["x"])
                x += [(first + k * n + own.start, first + k * n + own.stop) for k in range(len(where.rows))]
                if program.options.rank == 0:
                    at = first + len(where.rows) * n
                    x.append((at, at + padded(len(where.scalars))))
                ring += [(int(row["ring"]) + k * n + own.start, int(row["ring"]) + k * n + own.stop)
                         for k in range(where.ports)]  # fmt: skip
                spares += [(int(row["spare"]) + k * n + own.start, int(row["spare"]) + k * n + own.stop)
                           for k in range(where.normals)]  # fmt: skip
        places = {
            "x": Places(0, x), "ring": Places(1, ring), "spares": Places(0, spares),
            "streams": stream_places(program), **self.drawn_places(program.options.rank),
        }  # fmt: skip
        return cut(self.arrays(program), places)

    def load(self, program: Program, saved: Mapping[str, NDArray[Any]]) -> None:
        """Overwrite by saved arrays and step. Raises ValueError for another network's, with nothing changed."""
        copy_into(self.arrays(program), saved)
        self.step = int(saved["step"][0])
        for state in self.plastic:
            state.settle(self.step)

    def _fill(self, program: Program, p: Population) -> None:
        """Initial values and coefficients of a population."""
        where, model, n = program.layouts[p.index], program.models[p.index], padded(p.size)
        block, real = self.block(program, p), program.options.real
        initial = initial_of(model, program.options.seed)
        constants = {name: value.detach().numpy() for name, value in program.coefficients[p.index].items()}
        numbers = where.numbers(constants | initial, real)
        for k, name in enumerate(where.rows):
            if name in numbers:
                block[k, : p.size] = numbers[name]
        block[:, p.size :] = block[:, p.size - 1 : p.size]
        at = int(program.populations[p.index]["x"]) + len(where.rows) * n
        for k, name in enumerate(where.scalars):
            self.x[at + k] = numbers[name]


def stream_places(program: Program) -> Places:
    """Where the random numbers of a rank's neurons stand among all streams."""
    out = []
    for at, p, _ in program.seeds:
        n, own = padded(p.size), program.own_tiles(p)
        out += [(at + k * n + own.start, at + k * n + own.stop) for k in range(4)]
    return Places(0, out)


def initial_of(model: StepModel, seed: int) -> dict[str, NDArray[np.float64]]:
    """A population's states at t = 0, (neurons,) each, by name."""
    key = np.random.SeedSequence([seed, model.population.index, 0x1217])
    rng = np.random.Generator(np.random.Philox(key))
    return initial_values(model, lambda distribution, size: distribution.draw(rng, size))


def copy_into(own: Mapping[str, NDArray[Any]], saved: Mapping[str, NDArray[Any]]) -> None:
    """Overwrite arrays by those of the same names. Raises ValueError if some do not fit, with nothing changed."""
    for name, mine in own.items():
        if name not in saved or saved[name].shape != mine.shape or saved[name].dtype != mine.dtype:
            there = "missing" if name not in saved else f"{saved[name].dtype}{list(saved[name].shape)}"
            raise ValueError(
                f"the saved state's {name} is {there}; expected {mine.dtype}{list(mine.shape)}: it belongs to another "
                "network, start in a new folder"
            )
    for name, mine in own.items():
        mine[...] = saved[name]
