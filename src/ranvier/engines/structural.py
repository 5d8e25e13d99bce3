"""Structural plasticity: synapses come and go as neurons grow and lose the elements that they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ranvier.networks import Projection

if TYPE_CHECKING:
    from ranvier.engines._session import Simulation

Indices = NDArray[np.int64]


class StructuralPlasticity:
    """What `Simulation.run(call=)` may call: rewire one projection by its neurons' synaptic elements.

    The algorithm of Butz & van Ooyen (2013, PLoS Comput. Biol. 9:e1003259), as NEST has it. A neuron has
    `floor(axon)` elements of its axon and `floor(dendrite)` of its dendrite, variables of the source's and of the
    target's equations (`neurons.GrowingLIF`); each synapse binds one of either. Of a neuron with fewer elements than
    synapses, synapses chosen at random are deleted, first by axons, then by dendrites; then free elements are paired at
    random. Elements below 0 are set to 0, and of free ones a share `decay` vanishes in each call.

    Random numbers are a function of the seed, the projection and the time. All state is the simulation's: `store` and
    `restore` include it, and a run does not depend on threads. A call whose wiring changes makes the network ready
    anew, in time of the order of `Simulation(net)`; one that changes nothing only reads.

    Parameters
    ----------
    projection
        With one delay, which does not learn; a weight an edge needs `weight` for new synapses.
    axon, dendrite
        Names of the variables.
    weight
        Of new synapses, where synapses have weights of their own.
    decay
        Share of free elements that vanish in a call, from 0 to 1.
    autapses, multapses
        Whether a neuron may synapse onto itself, and several times onto another. A pair that may not be leaves its
        elements free.

    Raises
    ------
    ValueError
        for a decay outside [0, 1] and weights that do not fit, here; when it is called, for variables that neurons
        lack.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.neurons.GrowingLIF(nu=0.5), 20, drive=17.0)
    >>> p = net.connect(cells, cells, weight=0.1, edges=([], []))
    >>> simulation = rv.Simulation(net)
    >>> growth = rv.engines.StructuralPlasticity(p)
    >>> _ = simulation.run(200.0, call=growth, every=100.0)
    >>> p.size > 0
    True
    """

    def __init__(
        self,
        projection: Projection,
        *,
        axon: str = "axon",
        dendrite: str = "dendrite",
        weight: float | None = None,
        decay: float = 0.1,
        autapses: bool = False,
        multapses: bool = True,
    ) -> None:
        if not isinstance(projection, Projection):
            raise TypeError(f"projection is {projection!r:.60}; expected a Projection: what net.connect returns")
        if not 0 <= decay <= 1:
            raise ValueError(f"decay is {decay}; expected a share from 0 to 1")
        if weight is None and not isinstance(projection.weight, float):
            raise ValueError(f"{projection!r} has a weight an edge; expected weight=, that of new synapses")
        self.projection, self.axon, self.dendrite = projection, axon, dendrite
        self.weight, self.decay, self.autapses, self.multapses = weight, decay, autapses, multapses

    def __call__(self, simulation: Simulation, recording: Any = None) -> None:
        """Rewire now."""
        p = self.projection
        key = np.random.SeedSequence([simulation.seed, p.index, simulation.step, 0x57A9])
        rng = np.random.Generator(np.random.Philox(key))
        sources, targets = (ends.numpy() for ends in p.edges())
        axons = self._elements(simulation, p.source, self.axon)
        dendrites = self._elements(simulation, p.target, self.dendrite)
        stay = np.ones(len(sources), bool)
        for ends, elements in ((sources, axons), (targets, dendrites)):
            stay[stay] = _remaining(ends[stay], elements, rng)
        sources, targets = sources[stay], targets[stay]
        new = self._paired(sources, targets, axons, dendrites, rng)
        if not stay.all() or len(new[0]):
            sources, targets = np.concatenate([sources, new[0]]), np.concatenate([targets, new[1]])
            order = np.lexsort((sources, targets))  # which the next one has less to do to find
            sources, targets = sources[order], targets[order]
            weight = self._weights(stay, len(new[0]))
            simulation.set(p, wiring=(sources, targets), **{name: w[order] for name, w in weight.items()})
        self._lose(simulation, p.source, self.axon, axons, sources)
        self._lose(simulation, p.target, self.dendrite, dendrites, targets)

    def _elements(self, simulation: Simulation, population: Any, name: str) -> NDArray[np.float64]:
        values = simulation.get(population)
        if name not in values or not isinstance(values[name], torch.Tensor):
            raise ValueError(
                f"population {population.name!r} has no variable {name!r}; expected one that counts synaptic elements, "
                f"as in neurons.GrowingLIF, among {', '.join(values)}"
            )
        elements: NDArray[np.float64] = values[name].numpy().clip(0)
        return elements

    def _paired(
        self, sources: Indices, targets: Indices, axons: NDArray[Any], dendrites: NDArray[Any],
        rng: np.random.Generator,
    ) -> tuple[Indices, Indices]:  # fmt: skip
        """New edges: free elements of both sides, each in random order, one with one."""
        free = [
            np.repeat(np.arange(len(each)), np.maximum(np.floor(each).astype(np.int64) - degrees, 0))
            for each, degrees in (
                (axons, np.bincount(sources, minlength=len(axons))),
                (dendrites, np.bincount(targets, minlength=len(dendrites))),
            )
        ]
        count = min(map(len, free))
        one, other = (rng.permutation(each)[:count] for each in free)
        allowed = np.ones(count, bool)
        if self.projection.source is self.projection.target and not self.autapses:
            allowed &= one != other
        if not self.multapses:
            n = len(dendrites)
            pairs = one * n + other
            first = np.zeros(count, bool)
            first[np.unique(pairs, return_index=True)[1]] = True
            allowed &= first & ~np.isin(pairs, sources * n + targets)
        return one[allowed], other[allowed]

    def _weights(self, stay: NDArray[np.bool_], new: int) -> dict[str, torch.Tensor]:
        weight = self.projection.weight
        if isinstance(weight, float) and self.weight in (None, weight):
            return {}
        old = torch.as_tensor(weight, dtype=torch.float64).detach().expand(len(stay))[torch.from_numpy(stay)]
        fresh = weight if self.weight is None else self.weight
        return {"weight": torch.cat([old, torch.full((new,), float(fresh), dtype=torch.float64)])}

    def _lose(
        self, simulation: Simulation, population: Any, name: str, elements: NDArray[np.float64], ends: Indices
    ) -> None:
        """Free elements decay; those below 0 have been set to 0."""
        bound = np.bincount(ends, minlength=len(elements))
        left = elements - self.decay * np.maximum(elements - bound, 0)
        simulation.set(population, **{name: left})

    def __repr__(self) -> str:
        return f"StructuralPlasticity({self.projection!r}, axon={self.axon!r}, dendrite={self.dendrite!r})"


def _remaining(ends: Indices, elements: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which edges stay: of each neuron as many as it has elements, chosen at random."""
    order = np.lexsort((rng.random(len(ends)), ends))
    first = np.searchsorted(ends[order], np.arange(len(elements)))
    rank = np.empty(len(ends), np.int64)
    rank[order] = np.arange(len(ends)) - first[ends[order]]
    return rank < np.floor(elements)[ends]


__all__ = ["StructuralPlasticity"]
