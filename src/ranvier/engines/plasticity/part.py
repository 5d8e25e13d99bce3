"""The plastic part of a compiled network: its table, its loop, its state, its weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engines.compiled import driver as d
from ranvier.engines.plasticity import _driver as driver
from ranvier.engines.plasticity import columns as g
from ranvier.engines.plasticity.modulators import modulator_of
from ranvier.engines.plasticity.tables import Plastic
from ranvier.networks import Projection

if TYPE_CHECKING:
    from ranvier.engines.compiled.engine import CompiledEngine

_LATEST = 2**31 - 2  # steps, as spikes on record have 32 bits for their time


class PlasticPart:
    """All plastic projections of an engine. It stands beside the engine and works on its arrays."""

    def __init__(self, engine: CompiledEngine, modulators: Mapping[Projection, Any] | None) -> None:
        self.engine = engine
        self.parts: list[Plastic] = []
        self.rings: list[int] = []
        for p in [p for p in engine.net.projections if p.plasticity is not None]:
            if p.target.index not in engine.models:
                raise ValueError(f"{p!r} ends on a source of spikes; expected a population with equations")
            row = engine.populations[p.target.index]
            n = int(row[d.P_PADDED])
            port = next(q.index for q in engine.models[p.target.index].ports if q.synapse == p.synapse)
            part = Plastic(
                p, dt=engine.dt, real=engine.real, threads=engine.threads, bounds=engine._bounds(n),
                modulator=modulator_of(engine.net, p, modulators),
            )  # fmt: skip
            self.rings.append(int(row[d.P_RING]) + port * n)
            self.parts.append(part)
        self._tabulate()
        reach = int(max(self.table[:, g.G_DELAY].max(initial=1), self.table[:, g.G_WAIT].max(initial=1)))
        self.slots = 1 << (reach + 2 * engine.block_steps + 1).bit_length()
        engine.masks = np.zeros((self.slots, engine.mask_columns), np.uint8)

    def _tabulate(self) -> None:
        tables = [part.table(ring) for part, ring in zip(self.parts, self.rings, strict=True)]
        self.table = np.concatenate(tables)

    def advance(self, A: NDArray[np.int64], room: int, thread: int, last: int) -> tuple[int, int]:
        """One thread's part of a run to step `last`."""
        e = self.engine
        if last > _LATEST:
            raise ValueError(f"found a run of {last} steps; expected at most {_LATEST} with plastic synapses")
        return driver.advance(
            A, self.table.ctypes.data, len(self.table), self.slots, room, thread, e.threads, e.step, last,
            e.block_steps, e.dt, e.real(1),
        )  # fmt: skip

    def flush(self) -> None:
        """Bring every synapse up to date; the run goes on as if that had not been."""
        e = self.engine
        driver.flush(self.table.ctypes.data, len(self.table), e.threads, e.step, e.real(1))

    def state(self) -> dict[str, NDArray]:
        """Everything that the synapses' future depends on, copied."""
        self.flush()
        out = {"masks": self.engine.masks.copy()}
        for part in self.parts:
            out |= part.state()
        return out

    def load(self, state: dict[str, NDArray]) -> None:
        """Take up a state of `state()`."""
        if "masks" not in state or state["masks"].shape != self.engine.masks.shape:
            raise ValueError("the saved state has no spikes under way of this network's; start in a new folder")
        self.engine.masks[...] = state["masks"]
        for part in self.parts:
            part.load(state, self.engine.step)

    def weights(self, indices: Collection[int] | None = None) -> dict[int, NDArray]:
        """Weights (edges,) in the order of `edges()`, by the projection's index; of these, or of all."""
        self.flush()
        out = {}
        for part in self.parts:
            index = part.projection.index
            if indices is None or index in indices:
                out[index] = np.zeros(sum(map(len, part.weights)), self.engine.real)
                for weights, places in zip(part.weights, part.places(), strict=True):
                    out[index][places] = weights
        return out

    def set_weights(self, index: int, values: NDArray) -> None:
        """Replace a projection's weights, in the order of `edges()`."""
        self.flush()
        part = self._part(index)
        for weights, places in zip(part.weights, part.places(), strict=True):
            weights[...] = values[places]

    def set_modulator(self, p: Projection, source: Any) -> None:
        """Another modulator, which begins now."""
        self._part(p.index).set_modulator(modulator_of(self.engine.net, p, {p: source}), self.engine.step)
        self._tabulate()

    def _part(self, index: int) -> Plastic:
        return next(part for part in self.parts if part.projection.index == index)


__all__ = ["PlasticPart"]
