"""`Wiring`, the base of all rules, and the block of targets that is drawn at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Block(NamedTuple):
    """What is drawn: the targets lo..hi of `n_target`, by the 64-bit stream `key`; `alone`: a neuron does not reach
    itself, as source and target are one population; `positions`, of sources and targets, or None."""

    n_source: int
    n_target: int
    key: int
    lo: int
    hi: int
    alone: bool
    positions: Any

    @property
    def stream(self) -> np.uint64:
        return np.uint64(self.key)

    @property
    def targets(self) -> int:
        return self.hi - self.lo


class Wiring:
    """A rule of wiring. Subclasses are frozen dataclasses with `_indptr` and `_fill`, or with `_look`, which goes over
    the pairs twice, to count and to fill.

    >>> issubclass(rv.wiring.InDegree, rv.wiring.Wiring)
    True
    >>> first, again = (rv.wiring.InDegree(5).draw(100, 3, key=7)[1] for _ in range(2))
    >>> np.array_equal(first, again)  # a rule and a key decide every edge
    True
    """

    autapses: bool = True

    def draw(
        self,
        n_source: int,
        n_target: int,
        key: int,
        lo: int = 0,
        hi: int | None = None,
        *,
        same: bool = False,
        positions: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The sources of targets lo..hi: `indptr` (hi - lo + 1,) int64 and `sources` (edges,) int32.

        Target lo + r has the sources `sources[indptr[r]:indptr[r + 1]]`, ascending. `key` is a
        64-bit stream key (`Projection.key`), `same` says that source and target are one
        population (only then do autapses exist), `positions` is (n_source, d) and (n_target, d)
        for `Distance`. Raises ValueError where the rule cannot be met.
        """
        hi = n_target if hi is None else hi
        if not 0 <= lo <= hi <= n_target:
            raise ValueError(
                f"A block of targets from {lo} to {hi} was requested; expected "
                f"0 <= lo <= hi <= {n_target}, the number of targets."
            )
        self.check(n_source, n_target, same, positions)
        block = Block(n_source, n_target, key, lo, hi, same and not self.autapses, positions)
        indptr = self._indptr(block)
        sources = np.empty(int(indptr[-1]), np.int32)
        self._fill(indptr, sources, block)
        return indptr, sources

    def edges(
        self, n_source: int, n_target: int, key: int, *, same: bool = False, positions: Any = None
    ) -> int:
        """The number of edges, without drawing more of them than their count needs."""
        self.check(n_source, n_target, same, positions)
        block = Block(n_source, n_target, key, 0, n_target, same and not self.autapses, positions)
        return int(self._indptr(block)[-1])

    def edges_before(
        self, target: int, n_source: int, n_target: int, key: int, *, same: bool = False, positions: Any = None
    ) -> int:
        """The number of edges onto targets below this one."""
        self.check(n_source, n_target, same, positions)
        block = Block(n_source, n_target, key, 0, target, same and not self.autapses, positions)
        return int(self._indptr(block)[-1])

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        """Raise ValueError where the rule does not fit populations of these sizes."""

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        """(block.targets + 1,) where each target's sources begin."""
        indptr = np.zeros(block.targets + 1, np.int64)
        self._look(indptr, np.empty(0, np.int32), block, False)
        return indptr

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        """Write the sources (edges,)."""
        self._look(indptr, sources, block, True)

    def _look(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block, fill: bool) -> None:
        """Write `indptr`, or, where `fill`, the sources."""
        raise NotImplementedError


def same_degree(k: int, block: Block) -> NDArray[np.int64]:
    """`indptr` where every target has k sources."""
    return np.arange(block.targets + 1, dtype=np.int64) * k


def require_enough(k: int, n: int, same: bool, wiring: Any, what: str) -> None:
    """Raise ValueError where a neuron cannot have k sources or targets among n."""
    pool = n - (same and not wiring.autapses)
    if k > (0 if pool == 0 else k if wiring.multapses else pool):
        raise ValueError(
            f"{k} {what} a neuron were requested, but there are only {pool} to choose from"
            f"{' (itself left out)' if same and not wiring.autapses else ''}; expected at most {pool}. "
            "Lower the degree, or allow repeats with multapses=True."
        )
