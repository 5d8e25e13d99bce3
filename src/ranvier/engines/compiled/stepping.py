"""A run of the stepping loop: a program, its state, and the loop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engines.compiled.adoption import adopt
from ranvier.engines.compiled.program import Program
from ranvier.engines.compiled.run import Bound, advance
from ranvier.engines.compiled.state import RunState
from ranvier.engines.protocol import NotFinite, Segment
from ranvier.networks import Population, Projection, TimeSeries


class SteppingRun:
    """A program and the state of its run: every neuron is advanced in every step."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.current = RunState.initial(program)
        self._bound = Bound(program, self.current)

    @property
    def step(self) -> int:
        """Steps done."""
        return self.current.step

    def advance(self, last: int) -> Segment:
        """Go on to step `last`."""
        return advance(self._bound, last)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that the future depends on, copied."""
        self._bound.flush()
        out = {name: array.copy() for name, array in self.current.arrays(self.program).items()}
        return out | {"step": np.array([self.current.step], np.int64)}

    def share(self) -> dict[str, NDArray[Any]]:
        """What this rank owns of `state()`."""
        return self.current.share(self.program)

    def own(self, population: Population) -> tuple[int, int]:
        """The first of this rank's neurons, and the one after its last."""
        mine = self.program.own_tiles(population)
        return mine.start, min(mine.stop, population.size)

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up a state of `state()`. Raises ValueError if it is another network's."""
        self.current.load(self.program, state)

    def values(self, population: Population) -> dict[str, NDArray[np.float64]]:
        """A population's variables now, and the steps left of its refractory period."""
        return self.current.values(self.program, population)

    def set_values(self, population: Population, values: Mapping[str, NDArray[np.float64]]) -> None:
        """Replace some of `values(population)`."""
        self.current.set_values(self.program, population, values)

    def adopt(self, earlier: SteppingRun) -> None:
        """Take up the state of the same network before some of its parameters were changed."""
        earlier._bound.flush()
        adopt(self.program, self.current, earlier.program, earlier.current)
        self._bound.rebind()

    def weights(self, indices: Collection[int] | None = None) -> dict[int, NDArray[Any]]:
        """Plastic projections' weights (edges,) in the order of `edges()`, by the projection's index."""
        if not self.program.plastic:
            return {}
        from ranvier.engines.plasticity import part

        self._bound.flush()
        return part.weights(list(zip(self.program.plastic, self.current.plastic, strict=True)), indices, self.step)

    def set_weights(self, index: int, values: NDArray[Any]) -> None:
        """Replace a plastic projection's weights by values (edges,), in the order of `edges()`."""
        self._bound.flush()
        k = self._plastic(index)
        self.current.plastic[k].replace_weights(self.program.plastic[k], values)

    def set_modulator(
        self, projection: Projection, source: TimeSeries | Population, start: int | None = None
    ) -> None:
        """Replace a plastic projection's modulator; a series begins at step `start`, now by default."""
        from ranvier.engines.plasticity.modulators import modulator_of

        modulator = modulator_of(self.program.net, projection, {projection: source})
        start = self.step if start is None else start
        self.current.plastic[self._plastic(projection.index)].set_modulator(modulator, start)
        self._bound.rebind()

    def first_bad(self) -> NotFinite | None:
        """The first state variable that is not finite, if there is one."""
        for p in self.program.net.populations:
            if p.index in self.program.models:
                names = self.program.models[p.index].states
                states = self.current.block(self.program, p)[: len(names), : p.size]
                if not np.isfinite(states.sum(dtype=np.float64)):
                    bad = np.argwhere(~np.isfinite(states.T))
                    if len(bad):
                        return NotFinite(p.name, int(bad[0, 0]), names[bad[0, 1]])
        return None

    def _plastic(self, index: int) -> int:
        return next(k for k, part in enumerate(self.program.plastic) if part.projection.index == index)


__all__ = ["SteppingRun"]
