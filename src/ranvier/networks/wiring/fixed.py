"""Wiring without chance: everything to everything, one to one, or edge by edge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import edge_indices
from ranvier.networks.wiring.rule import Block, Wiring, same_degree

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class AllToAll(Wiring):
    """Every source reaches every target; a neuron reaches itself only with `autapses`.

    >>> rv.wiring.AllToAll().edges(3, 4, key=0), rv.wiring.AllToAll().edges(4, 4, key=0, same=True)
    (12, 12)
    """

    autapses: bool = False

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        return same_degree(block.n_source - block.alone, block)

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        every = np.arange(block.n_source, dtype=np.int32)
        if not block.alone:
            sources.reshape(block.targets, block.n_source)[:] = every
            return
        for row in range(block.targets):
            sources[indptr[row] : indptr[row + 1]] = np.delete(every, block.lo + row)


@dataclass(frozen=True)
class OneToOne(Wiring):
    """Neuron i of the source reaches neuron i of the target; both have the same size.

    >>> rv.wiring.OneToOne().draw(3, 3, key=0)[1].tolist()
    [0, 1, 2]
    """

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        if n_source != n_target:
            raise ValueError(
                f"one-to-one wiring has {n_source} sources and {n_target} targets; expected one size: choose "
                "another wiring, or equal sizes."
            )

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        return same_degree(1, block)

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        sources[:] = np.arange(block.lo, block.hi, dtype=np.int32)


@dataclass(frozen=True, eq=False)
class Edges(Wiring):
    """Explicit edges: edge e runs from `sources[e]` to `targets[e]`, indices within the populations.

    `sources`, `targets`: (edges,) of whole numbers in any array type; kept as int64 NumPy arrays.
    Repeated edges are kept as such (their effects add). `draw` orders them by target, stably;
    `order()` says which edge came where.

    >>> rule = rv.wiring.Edges(sources=[0, 2, 1], targets=[1, 0, 1])
    >>> indptr, sources = rule.draw(3, 2, key=0)
    >>> indptr.tolist(), sources.tolist()  # 2 reaches 0; 0 and 1 reach 1
    ([0, 1, 3], [2, 0, 1])
    """

    sources: Any
    targets: Any
    _order: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        sources, targets = edge_indices(self.sources, "sources"), edge_indices(self.targets, "targets")
        if sources.shape != targets.shape:
            raise ValueError(
                f"Edges have {len(sources)} sources and {len(targets)} targets; expected as many of "
                "one as of the other. Give each edge both its ends."
            )
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "targets", targets)

    def order(self) -> NDArray[np.int64]:
        """(edges,) the user's index of each edge in the order that `draw` returns: by target, then source."""
        if self._order is None:
            object.__setattr__(self, "_order", np.lexsort((self.sources, self.targets)))
        order: NDArray[np.int64] = self._order
        return order

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        for ends, size, name in ((self.sources, n_source, "source"), (self.targets, n_target, "target")):
            if len(ends) and (wrong := (ends < 0) | (ends >= size)).any():
                edge = int(np.argmax(wrong))
                raise ValueError(
                    f"Edge {edge} has {name} {int(ends[edge])}, but the {name} population has {size} "
                    f"neurons; expected 0 to {size - 1}. Indices count within the population, from 0."
                )

    def edges(
        self, n_source: int, n_target: int, key: int, *, same: bool = False, positions: Any = None
    ) -> int:
        self.check(n_source, n_target, same, positions)
        return len(self.sources)

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        inside = self.targets[(self.targets >= block.lo) & (self.targets < block.hi)] - block.lo
        indptr = np.zeros(block.targets + 1, np.int64)
        np.cumsum(np.bincount(inside, minlength=block.targets), out=indptr[1:])
        return indptr

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        order = self.order()
        sorted_targets = self.targets[order]
        first, last = np.searchsorted(sorted_targets, (block.lo, block.hi))
        sources[:] = self.sources[order[first:last]]
