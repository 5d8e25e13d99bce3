"""`Program`: a network lowered for the compiled loop. It does not change while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engines.compiled.kernels import KernelLayout
from ranvier.engines.compiled.loops import TILE
from ranvier.engines.protocol import EngineOptions
from ranvier.engines.recording.probes import ProbePiece, ResolvedProbe
from ranvier.engines.sources.drawn import PointProcess
from ranvier.engines.step_model import StepModel
from ranvier.networks import Network, Population, Projection

if TYPE_CHECKING:
    from torch import Tensor

    from ranvier.engines.plasticity.tables import PlasticProgram


@dataclass(frozen=True)
class Sizes:
    """How many numbers the arrays of a state hold; `masks` (slots, steps, columns) or, where synapses learn, (slots,
    columns)."""

    x: int
    ring: tuple[int, int]
    streams: int
    spares: int
    masks: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """Tables for the loop, and where a population's numbers lie.

    models, coefficients, layouts: by population's index; block_steps: steps between two deliveries; populations ...
    series: tables, as in `records`; seeds: (place among the streams,
    population, purpose) of every random stream; most_spikes: of all neurons in a step; arrays: those that the tables'
    addresses are of; drawn: sources whose spikes are drawn ahead, by population's index.
    """

    net: Network
    options: EngineOptions
    models: dict[int, StepModel]
    coefficients: dict[int, dict[str, Tensor]]
    layouts: dict[int, KernelLayout]
    block_steps: int
    threads: int
    populations: NDArray[Any]
    projections: NDArray[Any]
    backgrounds: NDArray[Any]
    series: NDArray[Any]
    series_values: NDArray[Any]
    seeds: tuple[tuple[int, Population, int], ...]
    most_spikes: int
    sizes: Sizes
    arrays: tuple[NDArray[Any], ...]
    plastic: tuple[PlasticProgram, ...] = ()
    drawn: Mapping[int, PointProcess] = field(default_factory=dict)

    @property
    def leader(self) -> int:
        """The first of this rank's threads among those of all ranks."""
        return self.options.rank * self.threads

    @property
    def workers(self) -> int:
        """The threads of all ranks."""
        return self.options.ranks * self.threads

    def own_tiles(self, p: Population) -> slice:
        """This rank's neurons among a population's padded ones."""
        first, last = own_tiles(int(self.populations[p.index]["padded"]), self.options)
        return slice(first, last)

    @property
    def mask_columns(self) -> int:
        """A byte a neuron, padded."""
        return self.sizes.masks[-1]

    @property
    def coupled(self) -> bool:
        """Whether there are continuous synapses."""
        return any(model.coupled for model in self.models.values())

    @property
    def pieces(self) -> list[tuple[ResolvedProbe, ProbePiece]]:
        """The probes' parts, population by population."""
        return [(probe, piece) for probe in self.options.probes for piece in probe.pieces]

    def port_column(self, p: Projection) -> int:
        """Where in a line of the ring the inputs of a projection's port begin."""
        return port_column(self.populations, self.models, p)

    def bounds(self, target: Population) -> NDArray[np.int64] | None:
        """The threads' first targets (threads + 1,); None on one thread."""
        columns = int(self.populations[target.index]["padded"])
        return bounds(columns, self.threads, self.options.rank, self.options.ranks)


def port_column(populations: NDArray[Any], models: dict[int, StepModel], p: Projection) -> int:
    """As `Program.port_column`. Raises ValueError for a projection onto a source of spikes."""
    if p.target.index not in models:
        raise ValueError(f"{p!r} ends on a source of spikes; expected a population with equations")
    row = populations[p.target.index]
    port = next(q.index for q in models[p.target.index].ports if q.synapse == p.synapse)
    return int(row["ring"]) + port * int(row["padded"])


def bounds(columns: int, threads: int, rank: int = 0, ranks: int = 1) -> NDArray[np.int64] | None:
    """As `Program.bounds`."""
    if threads == 1:
        return None
    tiles, workers = columns // TILE, threads * ranks
    return np.array([tiles * t // workers * TILE for t in range(rank * threads, (rank + 1) * threads + 1)], np.int64)


def own_tiles(columns: int, options: EngineOptions) -> tuple[int, int]:
    """The first of a rank's neurons among `columns` padded ones, and the one after its last."""
    tiles, rank, ranks = columns // TILE, options.rank, options.ranks
    return tiles * rank // ranks * TILE, tiles * (rank + 1) // ranks * TILE
