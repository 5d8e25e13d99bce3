"""Wirings of the nematode over its canonical neurons: one, the mean of several, and as shares of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranvier._results import Fields
from ranvier.recordings.worms.names import canonical_label, canonical_names

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Connectome(Fields):
    """The worm's connections among canonical neurons, [target, source]: `chemical`, directed; `electrical`, symmetric;
    `functional`, as of signal propagation, kept apart, NaN where not measured. `count`: wirings that were averaged.
    `notes`: what was left out on the way in.

    >>> wiring = rv.recordings.Connectome(np.array([[0.0, 3.0], [1.0, 0.0]]), np.zeros((2, 2)))
    >>> wiring.normalised()[0].tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    chemical: Array
    electrical: Array
    functional: Array | None = None
    count: int = 1
    notes: tuple[str, ...] = ()

    def normalised(self) -> tuple[Array, ...]:
        """Chemical and electrical inputs of each neuron, and functional ones where they were measured (absolute values;
        pairs not measured count 0), as shares that add up to 1 (or 0, without any)."""
        functional = [] if self.functional is None else [np.abs(np.nan_to_num(self.functional))]
        parts = (self.chemical, self.electrical, *functional)
        return tuple(m / np.maximum(m.sum(1, keepdims=True), 1e-300) for m in parts)


def wiring_of(edges: Sequence[tuple[str, str, float]], *, electrical: Sequence[bool]) -> Connectome:
    """A wiring from (source, target, weight) by name, and whether each is a gap junction, which counts both ways.

    Names that are no canonical neuron (muscles), and connections of a cell with itself, are left out. Raises ValueError
    where none is left.

    >>> wiring = rv.recordings.wiring_of([("AVAL", "AVAR", 2.0)], electrical=[True])
    >>> float(wiring.electrical.sum()), float(wiring.chemical.sum())  # counts both ways
    (4.0, 0.0)
    """
    names = {name: k for k, name in enumerate(canonical_names())}
    size = len(names)
    matrices = np.zeros((2, size, size))
    for (source, target, weight), gap in zip(edges, electrical, strict=True):
        source, target = canonical_label(source), canonical_label(target)
        if source in names and target in names and source != target:
            matrices[int(gap), names[target], names[source]] += weight
    if not matrices.any():
        raise ValueError("no edge joins two canonical neurons; expected names such as AVAL, ASEL")
    gaps = np.maximum(matrices[1], matrices[1].T)
    return Connectome(matrices[0], gaps)


def consensus(wirings: Sequence[Connectome]) -> Connectome:
    """The mean wiring: of chemical synapses as they are directed, of gap junctions made symmetric, of functional
    relations over those that measured a pair.

    A wiring counts for the pairs among the neurons that it joins, as reconstructions of the head say nothing of the
    tail; and each is first scaled to the same total among the neurons that all of them join, as counts of synapses and
    of sections differ. A wiring without any synapses of a kind does not count for that kind. Raises ValueError for no
    wirings, and where no two neurons are joined in all that have synapses.

    >>> one = rv.recordings.Connectome(np.array([[0.0, 4.0], [0.0, 0.0]]), np.zeros((2, 2)))
    >>> other = rv.recordings.Connectome(np.array([[0.0, 0.0], [4.0, 0.0]]), np.zeros((2, 2)))
    >>> rv.recordings.consensus([one, other]).chemical.tolist()
    [[0.0, 2.0], [2.0, 0.0]]
    """
    if not wirings:
        raise ValueError("no wiring is given; expected at least one")
    shapes = {w.chemical.shape for w in wirings}
    if len(shapes) > 1:
        raise ValueError(f"the wirings have shapes {sorted(shapes)}; expected one, over the same neurons")
    wired = [w for w in wirings if w.chemical.any() or w.electrical.any()]
    joined = [w.chemical + w.electrical for w in wired]
    covers = [np.asarray(m.any(0) | m.any(1), bool) for m in joined]
    chemical = _mean([w.chemical for w in wired], covers, shapes.pop())
    electrical = _mean([w.electrical for w in wired], covers, chemical.shape)
    measured = [w.functional for w in wirings if w.functional is not None]
    functional = None
    if measured:
        stack = np.stack(measured)
        number = np.isfinite(stack).sum(0)
        functional = np.where(number > 0, np.nansum(stack, 0) / np.maximum(number, 1), np.nan)
    notes = tuple(dict.fromkeys(note for w in wirings for note in w.notes))
    return Connectome(chemical, (electrical + electrical.T) / 2, functional, sum(w.count for w in wirings), notes)


def _mean(matrices: list[Array], covers: list[NDArray[np.bool_]], shape: tuple[int, ...]) -> Array:
    """Over the wirings that have this kind of synapse, of each pair over those that cover both neurons."""
    some = [(m, c) for m, c in zip(matrices, covers, strict=True) if m.any()]
    if not some:
        return np.zeros(shape)
    common = np.logical_and.reduce([c for _, c in some])
    totals = [m[np.ix_(common, common)].sum() for m, _ in some]
    if min(totals) <= 0:
        raise ValueError(
            f"of the {int(common.sum())} neurons that all {len(some)} wirings join, one joins no two; expected wirings "
            "with neurons in common"
        )
    scaled = np.sum([m * (np.mean(totals) / total) for (m, _), total in zip(some, totals, strict=True)], 0)
    number = np.sum([np.outer(c, c) for _, c in some], 0)
    return np.asarray(np.where(number > 0, scaled / np.maximum(number, 1), 0.0))


def built_in_wiring() -> Connectome:
    """That of Cook et al. (2019), which ships with the package.

    >>> wiring = rv.recordings.built_in_wiring()
    >>> wiring.chemical.shape, np.array_equal(wiring.electrical, wiring.electrical.T)
    ((302, 302), True)
    """
    from ranvier.data import celegans

    worm = celegans()
    edges, gaps = [], []
    for part, gap in ((worm.chemical, False), (worm.electrical, True)):
        for s, t, w in zip(part.sources.tolist(), part.targets.tolist(), part.weights.tolist(), strict=True):
            edges.append((part.names[s], part.names[t], w))
            gaps.append(gap)
    return wiring_of(edges, electrical=gaps)


__all__ = ["Connectome", "built_in_wiring", "consensus", "wiring_of"]
