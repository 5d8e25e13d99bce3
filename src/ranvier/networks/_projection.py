"""Projections from population to population, and independent background trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.networks.wiring import Edges, Wiring

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ranvier.networks._inputs import TimeSeries
    from ranvier.networks._population import Population
    from ranvier.rules import Rule


@dataclass(frozen=True, eq=False, repr=False)
class Projection:
    """Synapses of one kind from `source` to `target`; a plain record that `Network.connect` makes.

    Attributes
    ----------
    weight
        float, or tensor (edges,) in the order of `edges()`, in the synapse's unit; may require a gradient
    delay
        ms, float or tensor (edges,); 0.0 for continuous synapses, which have none
    synapse, wiring, index
        the synapse model, the rule of wiring, its place among the projections
    key
        the 64-bit key of its wiring's stream, from the network's seed and `index`
    plasticity
        the rule that changes the weights, or None
    modulator
        that rule's modulator, `TimeSeries` or `Population`, or None

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 3)
    >>> projection = net.connect(cells, cells, weight=1.0, edges=([0, 2], [1, 0]))
    >>> sources, targets = projection.edges()
    >>> sources.tolist(), targets.tolist()
    ([0, 2], [1, 0])
    >>> projection.matrix().toarray().tolist()  # [target, source]
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    source: Population
    target: Population
    weight: float | Tensor
    delay: float | Tensor
    synapse: Any
    wiring: Wiring
    index: int
    key: int
    plasticity: Rule | None = None
    modulator: Any = None

    @property
    def size(self) -> int:
        """The number of edges."""
        return self.wiring.edges(self.source.size, self.target.size, self.key, **self._places())

    def draw(self, lo: int = 0, hi: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """`indptr` (hi - lo + 1,) and `sources` of targets lo..hi, by target, then source."""
        return self.wiring.draw(self.source.size, self.target.size, self.key, lo, hi, **self._places())

    def edges_before(self, target: int) -> int:
        """How many edges of `draw()` end on targets below this one."""
        return self.wiring.edges_before(target, self.source.size, self.target.size, self.key, **self._places())

    def order(self) -> NDArray[np.int64] | None:
        """(edges,) where in `weight` and `delay` each edge of `draw()` stands; None: in the same order."""
        return self.wiring.order() if isinstance(self.wiring, Edges) else None

    def edges(self) -> tuple[Tensor, Tensor]:
        """(sources, targets), int64 tensors (edges,) of indices within the populations.

        Ordered by target, then source, for wirings by rule; in the user's order for explicit edges.
        """
        import torch

        if isinstance(self.wiring, Edges):
            return torch.from_numpy(self.wiring.sources.copy()), torch.from_numpy(self.wiring.targets.copy())
        indptr, sources = self.draw()
        targets = np.repeat(np.arange(self.target.size), np.diff(indptr))
        return torch.from_numpy(sources.astype(np.int64)), torch.from_numpy(targets)

    def matrix(self) -> Any:
        """Weights as a SciPy CSR array (target.size, source.size), [target, source]; repeated edges add."""
        from scipy.sparse import coo_array

        sources, targets = (ends.numpy() for ends in self.edges())
        weight = (
            self.weight if isinstance(self.weight, float) else self.weight.detach().cpu().double().numpy()
        )
        data = np.broadcast_to(weight, sources.shape)
        return coo_array((data, (targets, sources)), shape=(self.target.size, self.source.size)).tocsr()

    def _places(self) -> dict[str, Any]:
        places = (self.source.positions, self.target.positions)
        positions = tuple(None if place is None else place.detach().numpy() for place in places)
        return {"same": self.source is self.target, "positions": positions}

    def __repr__(self) -> str:
        synapse, wiring = type(self.synapse).__name__, type(self.wiring).__name__
        learns = "" if self.plasticity is None else f", {type(self.plasticity).__name__}"
        return f"Projection({self.source.name!r} -> {self.target.name!r}, {synapse}, {wiring}{learns})"


@dataclass(frozen=True, eq=False, repr=False)
class Background:
    """Independent Poisson trains, one a neuron of `target`; a plain record of `Network.background`.

    `rate` in Hz (a `TimeSeries` too) and `weight` in the synapse's unit: float, or tensor (size,).

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 3)
    >>> background = net.background(cells, rate=1000.0, weight=0.1)
    >>> background.rate, background.target.name
    (1000.0, 'lif0')
    """

    target: Population
    rate: float | Tensor | TimeSeries
    weight: float | Tensor
    synapse: Any
    index: int

    def __repr__(self) -> str:
        return f"Background({self.target.name!r}, {type(self.synapse).__name__})"
