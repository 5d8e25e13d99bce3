"""An edge list: named nodes, and who reaches whom how strongly. What every reader returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import LIMIT, edge_indices, labels, printable, unique
from ranvier._html import MOST
from ranvier._results import as_html, frame
from ranvier._text import plural

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from ranvier.networks._network import Network


@dataclass(frozen=True, eq=False, repr=False)
class EdgeList:
    """A weighted directed graph as plain arrays, in the order of (target, source).

    Attributes
    ----------
    names
        one text a node, all different
    sources, targets
        (edges,) int64 indices into `names`
    weights
        (edges,) float64, as counted or measured, without a synapse's unit
    delays
        (edges,) float64 in ms, or None
    classes
        one label a node, or None
    attributes
        further labels a node, by name
    notes
        what was done to the edges on the way in, as sentences
    citation, licence
        of the data, where known
    electrical
        gap junctions over the same nodes, each in both directions, or None where the data have none

    Examples
    --------
    >>> import ranvier as rv
    >>> edges = rv.EdgeList.build(["a", "b", "c"], [0, 1], [1, 2], [3.0, 5.0])
    >>> edges.size, len(edges)
    (3, 2)
    >>> edges.matrix().toarray().tolist()  # [target, source]
    [[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 5.0, 0.0]]
    """

    names: tuple[str, ...]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: NDArray[np.float64]
    delays: NDArray[np.float64] | None = None
    classes: tuple[str, ...] | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    citation: str = ""
    licence: str = ""
    electrical: EdgeList | None = None

    @classmethod
    def build(
        cls,
        names: Iterable[str],
        sources: Any,
        targets: Any,
        weights: Any = None,
        delays: Any = None,
        *,
        classes: Sequence[str] | None = None,
        attributes: Mapping[str, Sequence[str]] | None = None,
        notes: Iterable[str] = (),
        citation: str = "",
        licence: str = "",
    ) -> EdgeList:
        """Check edges, sum those that repeat, sort them by target, then source, and say so in `notes`.

        Weights are 1 where None. Edges between the same nodes with different delays stay apart. Raises
        ValueError or TypeError for names that repeat, indices out of range, NaN, infinities and delays
        that are not above 0 ms.
        """
        names = tuple(printable(str(name), "A node's name") for name in names)
        unique(names, "The node name")
        n = len(names)
        if n > LIMIT:
            raise ValueError(f"Found {n} nodes; expected at most {LIMIT}.")
        sources, targets = edge_indices(sources, "sources"), edge_indices(targets, "targets")
        weights = np.ones(len(sources)) if weights is None else _floats(weights, "weights", len(sources))
        delays = None if delays is None else _floats(delays, "delays", len(sources))
        if len(sources) != len(targets):
            raise ValueError(f"Found {len(sources)} sources and {len(targets)} targets; expected as many.")
        for ends, what in ((sources, "source"), (targets, "target")):
            if len(ends) and (wrong := (ends < 0) | (ends >= n)).any():
                edge = int(np.argmax(wrong))
                raise ValueError(
                    f"Edge {edge} has {what} {ends[edge]} among {n} nodes; expected an index from 0 to "
                    f"{n - 1}."
                )
        if delays is not None and (wrong := delays <= 0.0).any():
            edge = int(np.argmax(wrong))
            raise ValueError(f"Edge {edge} has a delay of {delays[edge]} ms; expected a time above 0 ms.")
        remarks = list(notes)
        keys = (sources, targets) if delays is None else (delays, sources, targets)
        order = np.lexsort(keys)
        sources, targets, weights = sources[order], targets[order], weights[order]
        new = np.ones(len(sources), bool)
        new[1:] = (np.diff(sources) != 0) | (np.diff(targets) != 0)
        if delays is not None:
            delays = delays[order]
            new[1:] |= np.diff(delays) != 0
        if not new.all():
            first = np.flatnonzero(new)
            repeated = len(new) - len(first)
            with np.errstate(over="ignore"):
                weights = np.add.reduceat(weights, first)
            sources, targets = sources[first], targets[first]
            delays = None if delays is None else delays[first]
            remarks.append(f"Weights summed: {plural(repeated, 'repeated edge')} added to the first of the same pair.")
            if not np.isfinite(weights).all():
                raise ValueError("The sum of repeated edges' weights is infinite; expected smaller weights.")
        if loops := int((sources == targets).sum()):
            remarks.append(f"Kept: {plural(loops, 'edge')} from a node to itself.")
        return cls(
            names=names,
            sources=sources,
            targets=targets,
            weights=weights,
            delays=delays,
            classes=labels(classes, "classes", n),
            attributes={
                key: labels(value, f"attribute {key!r}", n) or () for key, value in (attributes or {}).items()
            },
            notes=tuple(remarks),
            citation=citation,
            licence=licence,
        )

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.names)

    def __len__(self) -> int:
        """The number of edges."""
        return len(self.sources)

    def to_pandas(self) -> pandas.DataFrame:
        """Columns source, target (names), weight and, where there are any, delay (ms), a row an edge. Raises
        ImportError without pandas."""
        return frame(self._columns(slice(None)))

    def _columns(self, rows: slice) -> dict[str, Any]:
        names = np.array(self.names, object)
        columns = {"source": names[self.sources[rows]], "target": names[self.targets[rows]]}
        columns["weight"] = self.weights[rows]
        return columns if self.delays is None else {**columns, "delay": self.delays[rows]}

    def _repr_html_(self) -> str:
        words = f"of {plural(self.size, 'node')}, {plural(len(self), 'edge')}"
        return as_html("EdgeList", words, self._columns(slice(MOST)), len(self))

    def matrix(self) -> Any:
        """Weights as a SciPy CSR array (nodes, nodes), [target, source]; edges of several delays add."""
        from scipy.sparse import coo_array

        return coo_array((self.weights, (self.targets, self.sources)), shape=(self.size, self.size)).tocsr()

    def to_network(
        self,
        neuron: Any,
        *,
        synapse: Any = None,
        weight: Any = None,
        delay: float = 1.0,
        name: str = "neurons",
        seed: int = 0,
        **population: Any,
    ) -> Network:
        """A network of one population with these edges between its neurons.

        `weight` (edges,) in the synapse's unit, in the order of this list; by default `weights` as they
        are. `delay` (ms) counts where the list has no delays. `population`: further arguments
        of `Network.add`, such as `drive` and `noise`. Raises ValueError for a list without nodes.
        """
        from ranvier.networks._network import Network
        from ranvier.synapses import Delta

        if not self.names:
            raise ValueError("The edge list has no nodes; expected at least one.")
        net = Network(seed=seed)
        population = {"names": self.names, "classes": self.classes, **population}
        nodes = net.add(neuron, self.size, name, **population)
        synapse = Delta() if synapse is None else synapse
        delays = None if synapse.continuous else delay if self.delays is None else self.delays
        net.connect(nodes, nodes, weight=self.weights if weight is None else weight, delay=delays,
                    synapse=synapse, edges=(self.sources, self.targets))  # fmt: skip
        return net

    def __repr__(self) -> str:
        return f"EdgeList({plural(self.size, 'node')}, {plural(len(self), 'edge')})"


def _floats(value: Any, what: str, size: int) -> NDArray[np.float64]:
    array = np.asarray(value)
    if array.dtype.kind not in "iufb" or array.shape != (size,):
        raise ValueError(
            f"The {what} are {array.dtype} of shape {array.shape}; expected one number an edge: ({size},)."
        )
    array = array.astype(np.float64)
    if not (good := np.isfinite(array)).all():
        edge = int(np.argmin(good))
        raise ValueError(f"Edge {edge} has {array[edge]} among its {what}; expected finite numbers.")
    return array
