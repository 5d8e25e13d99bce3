"""A network as the report looks at it: who is what, in which order, and the matrix of weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier._text import printable
from ranvier.report._parts import count

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MOST_CLASSES = 60  # rows and columns of pictures


@dataclass(frozen=True)
class WiringSummary:
    """Neurons by name and class, and their connections.

    `labels` names each neuron's class. `of` (N,) is the same as an index of `classes`, the smallest of which stand
    together where there are many; `order` (N,) lists the neurons class by class.
    `weights` (N, N) [target, source] holds the signed sum of a pair's chemical weights, `junctions` that of
    its electrical ones; `signs` (N,) is a neuron's effect on its targets: 1, −1, or 0 where mixed or none.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    of: NDArray[np.int64]
    order: NDArray[np.int64]
    weights: csr_array
    junctions: csr_array
    signs: NDArray[np.int64]
    unit: str

    @property
    def size(self) -> int:
        """The number of neurons."""
        return len(self.names)

    @property
    def bounds(self) -> NDArray[np.int64]:
        """(classes + 1,) where each class begins in `order`."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.of, minlength=len(self.classes)))])

    def part(self, neurons: NDArray[np.int64]) -> WiringSummary:
        """The wiring among some of the neurons; classes stay, if need be without members."""
        of = self.of[neurons]
        return WiringSummary(
            names=tuple(self.names[n] for n in neurons),
            labels=tuple(self.labels[n] for n in neurons),
            classes=self.classes,
            of=of,
            order=np.argsort(of, kind="stable"),
            weights=self.weights[neurons][:, neurons],
            junctions=self.junctions[neurons][:, neurons],
            signs=self.signs[neurons],
            unit=self.unit,
        )

    def sample(self, limit: int) -> NDArray[np.int64]:
        """At most `limit` neurons in ascending order, evenly from the neurons class by class."""
        if self.size <= limit:
            return np.arange(self.size)
        return np.sort(self.order[np.linspace(0, self.size - 1, limit).round().astype(np.int64)])

    def class_sign(self, index: int) -> int:
        """The sign of a class: 1 or −1 where nine of ten of its neurons with targets agree, else 0."""
        signs = self.signs[self.of == index]
        signs = signs[signs != 0]
        if not len(signs) or abs(signs.mean()) < 0.8:
            return 0
        return int(np.sign(signs.mean()))


def wiring_of(network: Any, order: Sequence[str] = ()) -> WiringSummary:
    """Read a `Network`; classes in the order of their first neuron, those named in `order` before them."""
    from scipy.sparse import coo_array, csr_array

    size = network.size
    labels = tuple(map(printable, network.classes))
    classes, of = _grouped(labels, order)
    chemical, electrical = csr_array((size, size)), csr_array((size, size))
    units: list[str] = []
    for projection in network.projections:
        sources, targets = (np.asarray(ends) for ends in projection.edges())
        weight = projection.weight
        weight = np.asarray(weight.detach() if hasattr(weight, "detach") else weight, dtype=np.float64)
        values = np.broadcast_to(weight, sources.shape) * _direction(projection)
        at = targets + projection.target.start, sources + projection.source.start
        matrix = coo_array((values, at), shape=(size, size)).tocsr()
        if type(projection.synapse).__name__ == "Electrical":
            electrical = electrical + matrix
        else:
            chemical = chemical + matrix
            units.append(_unit(projection.synapse))
    positive = np.asarray((chemical > 0).sum(axis=0)).ravel()
    negative = np.asarray((chemical < 0).sum(axis=0)).ravel()
    signs = np.where(positive >= 9 * negative, 1, np.where(negative >= 9 * positive, -1, 0))
    return WiringSummary(
        names=tuple(map(printable, network.names)),
        labels=labels,
        classes=classes,
        of=of,
        order=np.argsort(of, kind="stable"),
        weights=csr_array(chemical),
        junctions=csr_array(electrical),
        signs=np.where(positive + negative > 0, signs, 0),
        unit=units[0] if len(set(units)) == 1 else "mixed units",
    )


def _grouped(labels: Sequence[str], order: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Classes, and each neuron's as an index of them: all, or the largest ones and one of all others."""
    sizes = Counter(labels)
    classes = list(dict.fromkeys([*(name for name in order if name in sizes), *labels]))
    shown = classes
    if len(classes) > MOST_CLASSES:
        largest = {name for name, _ in sizes.most_common(MOST_CLASSES - 1)}
        shown = [name for name in classes if name in largest]
        shown.append(f"{count(len(classes) - len(shown))} smaller classes")
    index = {name: k for k, name in enumerate(shown)}
    return tuple(shown), np.array([index.get(label, len(shown) - 1) for label in labels], np.int64)


def distances(wiring: WiringSummary, neurons: NDArray[np.int64] | None = None) -> NDArray[np.int16]:
    """(n, n) [target, source] the fewest synapses or gap junctions from source to target; −1: no path.

    Between `neurons`, by default all; paths lead through every neuron.
    """
    from scipy.sparse.csgraph import dijkstra

    graph = (wiring.weights != 0) + (wiring.junctions != 0)
    steps = dijkstra(graph.T.astype(np.float64).tocsr(), unweighted=True, indices=neurons).T
    steps = steps if neurons is None else steps[neurons]
    return np.where(np.isfinite(steps), steps, -1).astype(np.int16)


def _direction(projection: Any) -> float:
    """−1 for a conductance whose reversal lies below the target's rest, else 1."""
    reversal = getattr(projection.synapse, "E_rev", None)
    rest = projection.target.parameters.get("E_L")
    if reversal is None or rest is None:
        return 1.0
    rest = float(np.mean(np.asarray(rest, dtype=np.float64)))
    return -1.0 if float(np.mean(np.asarray(reversal, dtype=np.float64))) < rest else 1.0


def _unit(synapse: Any) -> str:
    """Conductances are in nS, whatever the class says of its other form."""
    return "nS" if getattr(synapse, "E_rev", None) is not None else str(getattr(synapse, "weight_unit", ""))
