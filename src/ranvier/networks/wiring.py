"""Wirings: which neuron of a source population reaches which of a target population.

A wiring is a rule, and stays one until it is drawn. Every random rule draws each target's sources
from a stream keyed by (network seed, projection index, target), so any block of targets can be
drawn alone and comes out as it would in the whole (`OutDegree`: keyed by source, see there).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ranvier._checks import chance, count, edge_indices, period, positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AllToAll", "Distance", "Edges", "InDegree", "OneToOne", "OutDegree", "Probability", "Wiring",
]  # fmt: skip


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
    """A rule of wiring. Subclasses are frozen dataclasses with `_indptr` and `_fill`."""

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
        raise NotImplementedError

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        raise NotImplementedError


def _constant(k: int, block: Block) -> NDArray[np.int64]:
    return np.arange(block.targets + 1, dtype=np.int64) * k


def _words(n: int) -> NDArray[np.uint64]:
    return np.zeros((n + 63) >> 6, np.uint64)


def _fit(k: int, n: int, same: bool, wiring: Any, what: str) -> None:
    pool = n - (same and not wiring.autapses)
    if k > (0 if pool == 0 else k if wiring.multapses else pool):
        raise ValueError(
            f"{k} {what} a neuron were requested, but there are only {pool} to choose from"
            f"{' (itself left out)' if same and not wiring.autapses else ''}; expected at most {pool}. "
            "Lower the degree, or allow repeats with multapses=True."
        )


@dataclass(frozen=True)
class Probability(Wiring):
    """Every pair is wired with probability `p`, independently (Erdős–Rényi).

    Drawn as a binomial in-degree and a uniform subset of that size, which is the same law.
    """

    p: float
    autapses: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", chance(self.p, "probability"))

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        from ranvier.networks._draw import uniforms

        pool = block.n_source - block.alone
        indptr = np.zeros(block.targets + 1, np.int64)
        np.cumsum(_binomial(uniforms(block.stream, block.lo, block.hi), pool, self.p), out=indptr[1:])
        return indptr

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        from ranvier.networks._draw import subsets

        subsets(block.n_source, indptr, block.stream, block.lo, block.alone, _words(block.n_source), sources)


def _binomial(u: NDArray[np.float64], n: int, p: float) -> NDArray[np.int64]:
    """Quantiles of the binomial distribution at `u`, by its tabulated distribution function."""
    if n <= 0 or p == 0.0:
        return np.zeros(u.shape, np.int64)
    if p == 1.0:
        return np.full(u.shape, n, np.int64)
    from scipy.special import bdtr

    # beyond 40 standard deviations (and 40) nothing of 53 bits is left
    reach = 40.0 * (1.0 + np.sqrt(n * p * (1.0 - p)))
    low, high = max(0, int(n * p - reach)), min(n, int(n * p + reach))
    table = bdtr(np.arange(low, high + 1, dtype=np.float64), n, p)
    return np.minimum(low + np.searchsorted(table, u, side="right"), n).astype(np.int64)


@dataclass(frozen=True)
class InDegree(Wiring):
    """Every target draws `k` sources uniformly; without `multapses` all are different."""

    k: int
    multapses: bool = False
    autapses: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", count(self.k, "in_degree"))

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        _fit(self.k, n_source, same, self, "sources")

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        return _constant(self.k, block)

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        from ranvier.networks._draw import multisets, subsets

        if self.multapses:
            multisets(block.n_source, indptr, block.stream, block.lo, block.alone, sources)
        else:
            subsets(block.n_source, indptr, block.stream, block.lo, block.alone, _words(block.n_source), sources)


@dataclass(frozen=True)
class OutDegree(Wiring):
    """Every source draws `k` targets uniformly; without `multapses` all are different.

    Its streams are keyed by source, so a block of targets costs as much time as the whole
    (but only its own memory), and is still the same as in the whole.
    """

    k: int
    multapses: bool = False
    autapses: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", count(self.k, "out_degree"))

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        _fit(self.k, n_target, same, self, "targets")

    def edges(
        self, n_source: int, n_target: int, key: int, *, same: bool = False, positions: Any = None
    ) -> int:
        self.check(n_source, n_target, same, positions)
        return n_source * self.k

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        counts = np.zeros(block.targets + 1, np.int64)
        self._scatter(counts, np.empty(0, np.int32), block, False)
        return counts

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        self._scatter(indptr, sources, block, True)

    def _scatter(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block, fill: bool) -> None:
        from ranvier.networks._draw import scattered

        scattered(block.n_source, block.n_target, self.k, block.stream, block.alone, self.multapses, block.lo, block.hi,
                  indptr, sources, fill)  # fmt: skip


@dataclass(frozen=True)
class AllToAll(Wiring):
    """Every source reaches every target; a neuron reaches itself only with `autapses`."""

    autapses: bool = False

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        return _constant(block.n_source - block.alone, block)

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        every = np.arange(block.n_source, dtype=np.int32)
        if not block.alone:
            sources.reshape(block.targets, block.n_source)[:] = every
            return
        for row in range(block.targets):
            sources[indptr[row] : indptr[row + 1]] = np.delete(every, block.lo + row)


@dataclass(frozen=True)
class OneToOne(Wiring):
    """Neuron i of the source reaches neuron i of the target; both have the same size."""

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        if n_source != n_target:
            raise ValueError(
                f"one-to-one wiring has {n_source} sources and {n_target} targets; expected one size: choose "
                "another wiring, or equal sizes."
            )

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        return _constant(1, block)

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        sources[:] = np.arange(block.lo, block.hi, dtype=np.int32)


@dataclass(frozen=True, eq=False)
class Edges(Wiring):
    """Explicit edges: edge e runs from `sources[e]` to `targets[e]`, indices within the populations.

    `sources`, `targets`: (edges,) of whole numbers in any array type; kept as int64 NumPy arrays.
    Repeated edges are kept as such (their effects add). `draw` orders them by target, stably;
    `order()` says which edge came where.
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


@dataclass(frozen=True)
class Distance(Wiring):
    """A pair is wired with a probability that falls with its distance r (unit: the positions').

    `profile`: "gaussian" peak·exp(−r²/2scale²), "exponential" peak·exp(−r/scale), or "disc"
    (peak within r ≤ scale). `periodic`: the length of a periodic space, one number or one a
    dimension (0: not periodic), or None. Both populations need `positions`. Each pair is looked at
    once: the time is proportional to n_source · n_target.
    """

    profile: str = "gaussian"
    scale: float = 1.0
    peak: float = 1.0
    periodic: float | tuple[float, ...] | None = None
    autapses: bool = False

    _PROFILES = ("gaussian", "exponential", "disc")

    def __post_init__(self) -> None:
        if self.profile not in self._PROFILES:
            raise ValueError(f"Unknown distance profile {self.profile!r}; expected one of {self._PROFILES}.")
        object.__setattr__(self, "scale", positive(self.scale, "scale"))
        object.__setattr__(self, "peak", chance(self.peak, "peak"))
        object.__setattr__(self, "periodic", period(self.periodic))

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        if positions is None or positions[0] is None or positions[1] is None:
            raise ValueError(
                "there are no positions for "
                f"{('the source' if positions is not None and positions[0] is None else 'the target')}; expected "
                "those of both populations for distance wiring: give positions=(neurons, dimensions) to "
                "Network.add."
            )
        dimensions = {array.shape[1] for array in positions}
        if len(dimensions) > 1:
            raise ValueError(f"Positions have {sorted(dimensions)} dimensions; expected the same in both.")
        if isinstance(self.periodic, tuple) and dimensions != {len(self.periodic)}:
            raise ValueError(
                f"periodic has {len(self.periodic)} lengths for {dimensions.pop()} dimensions; "
                "expected one number, or one a dimension."
            )

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        counts = np.zeros(block.targets + 1, np.int64)
        self._look(counts, np.empty(0, np.int32), block, False)
        return counts

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        self._look(indptr, sources, block, True)

    def _look(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block, fill: bool) -> None:
        from ranvier.networks._draw import near

        xs, xt = (np.ascontiguousarray(x, np.float64) for x in block.positions)
        lengths = np.broadcast_to(np.asarray(self.periodic or 0.0, np.float64), xs.shape[1:]).copy()
        near(xs, xt, lengths, self._PROFILES.index(self.profile), self.scale, self.peak, block.stream, block.alone,
             block.lo, block.hi, indptr, sources, fill)  # fmt: skip
