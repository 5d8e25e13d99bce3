"""What an engine offers: `simulate` and `Simulation` ask for nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from ranvier.engines.recording.probes import ResolvedProbe
from ranvier.networks import Network, Population, Projection, TimeSeries

if TYPE_CHECKING:
    from ranvier.engines.ranks.group import RankGroup

#: Where a modulator comes from, by plastic projection.
Modulators = Mapping[Projection, TimeSeries | Population]

#: the name of how many steps a neuron is still refractory, beside its variables
REFRACTORY = "refractory_left"


@dataclass(frozen=True)
class EngineOptions:
    """How a network is run. `dt` in ms; at most `threads` threads; `dtype` torch.float32 or torch.float64; `method`
    of the compiled engine: "stepping", "events", or None, which lets it choose; `group`: the processes that share the
    run, of which this is one; `threshold`: see `simulate`."""

    dt: float
    seed: int = 0
    threads: int = 1
    dtype: torch.dtype = torch.float32
    probes: tuple[ResolvedProbe, ...] = ()
    modulators: Modulators | None = None
    method: str | None = None
    group: RankGroup | None = None
    threshold: str = "step"

    @property
    def rank(self) -> int:
        """This process's number among those that share the run."""
        return 0 if self.group is None else self.group.index

    @property
    def ranks(self) -> int:
        """How many processes share the run."""
        return 1 if self.group is None else self.group.count

    @property
    def real(self) -> type[np.floating[Any]]:
        """NumPy's type of the numbers in use."""
        return np.float64 if self.dtype == torch.float64 else np.float32


class Segment(NamedTuple):
    """A part of a run, of this rank's neurons: spikes by step, then neuron (one that spikes twice in a step stands
    there twice), and samples of the probes, name -> (steps (T,), values (T, n))."""

    steps: NDArray[np.int64]
    neurons: NDArray[np.int32]
    samples: dict[str, tuple[NDArray[np.int64], NDArray[Any]]]


class NotFinite(NamedTuple):
    """The first state variable that is infinite or NaN: `neuron` within the population."""

    population: str
    neuron: int
    variable: str


class Engine(Protocol):
    """A network made ready to run, and its state.

    Whatever `advance` does is a function of the network, the options and the step: a run may be cut anywhere, its
    state saved, loaded into another engine of the same network and options, and continued.
    """

    options: EngineOptions

    @classmethod
    def prepare(cls, net: Network, options: EngineOptions) -> Self:
        """The network at t = 0. Raises ValueError for what the engine cannot run."""
        ...

    @property
    def step(self) -> int:
        """Steps done."""
        ...

    @property
    def threads(self) -> int:
        """Threads in use."""
        ...

    def advance(self, last: int) -> Segment:
        """Go on to step `last`."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that the future depends on, copied: arrays by name."""
        ...

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up a state of `state()`. Raises ValueError if it is another network's."""
        ...


    def values(self, population: Population) -> dict[str, NDArray[np.float64]]:
        """A population's variables now, (neurons,) each, and `REFRACTORY`, where it has one, in steps."""
        ...

    def set_values(self, population: Population, values: Mapping[str, NDArray[np.float64]]) -> None:
        """Replace some of `values(population)`."""
        ...

    def adopt(self, earlier: Self) -> None:
        """Take up the state of an engine of the same network and options, made before parameters or weights of the
        network were changed; weights that are learned stay as they were."""
        ...

    def weights(self, indices: Collection[int] | None = None) -> dict[int, NDArray[Any]]:
        """Weights of all plastic projections, or of those with these indices: index -> (edges,) in the order of
        `Projection.edges()`."""
        ...

    def set_weights(self, index: int, values: NDArray[Any]) -> None:
        """Replace a plastic projection's weights, (edges,). Raises ValueError where the engine cannot."""
        ...

    def set_modulator(
        self, projection: Projection, source: TimeSeries | Population, start: int | None = None
    ) -> None:
        """Replace a plastic projection's modulator; a series begins at step `start`, now by default."""
        ...

    def first_bad(self) -> NotFinite | None:
        """The first state variable that is not finite, if there is one."""
        ...


class SharedEngine(Engine, Protocol):
    """An engine that several processes can share: each makes the same calls, with its own `options.group`."""

    def share(self) -> dict[str, NDArray[Any]]:
        """What this rank owns of the state, as `ranvier.engines.recording.shares` puts it together."""
        ...

    def own(self, population: Population) -> tuple[int, int]:
        """The first of this rank's neurons of a population, and the one after its last."""
        ...


__all__ = ["REFRACTORY", "Engine", "EngineOptions", "Modulators", "NotFinite", "Segment", "SharedEngine"]
