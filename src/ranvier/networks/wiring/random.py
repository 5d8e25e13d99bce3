"""Random wiring: by a probability, also of both directions at once, by a fixed number of sources or targets, or by a
total number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ranvier._checks import chance, count, number
from ranvier.networks.wiring.rule import Block, Wiring, require_enough, same_degree

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Probability(Wiring):
    """Every pair is wired with probability `p`, independently (Erdős–Rényi).

    Drawn as a binomial in-degree and a uniform subset of that size, which is the same law.

    >>> n = rv.wiring.Probability(0.1).edges(1000, 1000, key=0)
    >>> abs(n - 100_000) < 4 * 300  # the binomial law's deviation is 300
    True
    """

    p: float
    autapses: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", chance(self.p, "probability"))

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        from ranvier.networks.wiring._draw import uniforms

        pool = block.n_source - block.alone
        return _offsets(_binomial(uniforms(block.stream, block.lo, block.hi), pool, self.p))

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        from ranvier.networks.wiring._draw import subsets

        subsets(block.n_source, indptr, block.stream, block.lo, block.alone, _words(block.n_source), sources)


@dataclass(frozen=True)
class SymmetricProbability(Wiring):
    """Every two neurons of a population are wired both ways with probability `p`, or not at all, independently.

    For source and target being one population; a neuron does not reach itself. Each pair is looked at once: the time is
    proportional to n_source · n_target. Raises ValueError for two populations.

    >>> indptr, sources = rv.wiring.SymmetricProbability(0.2).draw(50, 50, key=0, same=True)
    >>> pairs = set(zip(sources.tolist(), np.repeat(np.arange(50), np.diff(indptr)).tolist(), strict=True))
    >>> len(pairs) > 0 and pairs == {(t, s) for s, t in pairs}
    True
    """

    p: float

    autapses = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", chance(self.p, "probability"))

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        if not same:
            raise ValueError(
                "symmetric wiring has two populations as source and target; expected one: take Probability, or add "
                "their neurons as one population"
            )

    def _look(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block, fill: bool) -> None:
        from ranvier.networks.wiring._draw import mutual

        mutual(block.n_source, self.p, block.stream, block.lo, block.hi, indptr, sources, fill)


@dataclass(frozen=True)
class InDegree(Wiring):
    """Every target draws `k` sources uniformly; without `multapses` all are different.

    >>> indptr, sources = rv.wiring.InDegree(5).draw(100, 3, key=0)
    >>> np.diff(indptr).tolist()
    [5, 5, 5]
    """

    k: int
    multapses: bool = False
    autapses: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", count(self.k, "in_degree"))

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        require_enough(self.k, n_source, same, self, "sources")

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        return same_degree(self.k, block)

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        from ranvier.networks.wiring._draw import multisets, subsets

        if self.multapses:
            multisets(block.n_source, indptr, block.stream, block.lo, block.alone, sources)
        else:
            subsets(block.n_source, indptr, block.stream, block.lo, block.alone, _words(block.n_source), sources)


@dataclass(frozen=True)
class OutDegree(Wiring):
    """Every source draws `k` targets uniformly; without `multapses` all are different.

    Its streams are keyed by source, so a block of targets costs as much time as the whole
    (but only its own memory), and is still the same as in the whole.

    >>> indptr, sources = rv.wiring.OutDegree(5).draw(3, 100, key=0)
    >>> np.bincount(sources).tolist()
    [5, 5, 5]
    """

    k: int
    multapses: bool = False
    autapses: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", count(self.k, "out_degree"))

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        require_enough(self.k, n_target, same, self, "targets")

    def edges(
        self, n_source: int, n_target: int, key: int, *, same: bool = False, positions: Any = None
    ) -> int:
        self.check(n_source, n_target, same, positions)
        return n_source * self.k

    def _look(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block, fill: bool) -> None:
        from ranvier.networks.wiring._draw import scattered

        scattered(block.n_source, block.n_target, self.k, block.stream, block.alone, self.multapses, block.lo, block.hi,
                  indptr, sources, fill)  # fmt: skip


@dataclass(frozen=True)
class TotalNumber(Wiring):
    """`n` edges in all, each from a uniform source to a uniform target, independently: repeated edges are as likely as
    chance has it. Without `multapses` the n pairs are all different, a uniform subset.

    Every block of targets costs `n` draws beside its own.

    >>> rv.wiring.TotalNumber(500).edges(40, 30, key=0)
    500
    """

    n: int
    autapses: bool = False
    multapses: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", count(self.n, "the total number of edges"))

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        pool = n_source - (same and not self.autapses)
        if self.n and pool < 1:
            raise ValueError(
                f"{self.n} edges were requested, but a target has {pool} sources to choose from; expected at least 1: "
                "allow autapses, or more neurons"
            )
        if not self.multapses and self.n > pool * n_target:
            raise ValueError(
                f"{self.n} different edges were requested of {pool * n_target} pairs; expected at most as many: lower "
                "the number, or allow repeats with multapses=True"
            )

    def edges(
        self, n_source: int, n_target: int, key: int, *, same: bool = False, positions: Any = None
    ) -> int:
        self.check(n_source, n_target, same, positions)
        return self.n

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        from ranvier.networks.wiring._draw import thrown

        if self.multapses:
            return _offsets(thrown(self.n, block.n_target, 0, block.stream)[block.lo : block.hi])
        pool = block.n_source - block.alone
        left = pool * block.n_target - self.n
        if left < self.n:  # drawing what is left out is the shorter way
            return _offsets(pool - thrown(left, block.n_target, pool, block.stream)[block.lo : block.hi])
        return _offsets(thrown(self.n, block.n_target, pool, block.stream)[block.lo : block.hi])

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        from ranvier.networks.wiring._draw import multisets, subsets

        if self.multapses:
            multisets(block.n_source, indptr, block.stream, block.lo, block.alone, sources)
        else:
            subsets(block.n_source, indptr, block.stream, block.lo, block.alone, _words(block.n_source), sources)


@dataclass(frozen=True)
class PairwisePoisson(Wiring):
    """Every pair has a Poisson number of edges of this mean, independently.

    >>> n = rv.wiring.PairwisePoisson(0.5).edges(300, 300, key=0, same=True)
    >>> abs(n - 0.5 * 300 * 299) < 5 * (0.5 * 300 * 299) ** 0.5
    True
    """

    mean: float
    autapses: bool = False

    multapses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        mean = number(self.mean, "the mean number of edges")
        if not 0.0 <= mean <= 1e4:
            raise ValueError(f"the mean number of edges of a pair is {mean:g}; expected 0 to 10000")
        object.__setattr__(self, "mean", mean)

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        from ranvier.networks.wiring._draw import uniforms

        mean = self.mean * (block.n_source - block.alone)
        return _offsets(_poisson(uniforms(block.stream, block.lo, block.hi), mean))

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        from ranvier.networks.wiring._draw import multisets

        multisets(block.n_source, indptr, block.stream, block.lo, block.alone, sources)


def _offsets(degrees: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(degrees, dtype=np.int64)])


def _words(n: int) -> NDArray[np.uint64]:
    return np.zeros((n + 63) >> 6, np.uint64)


def _binomial(u: NDArray[np.float64], n: int, p: float) -> NDArray[np.int64]:
    """Quantiles of the binomial distribution at `u`, by its tabulated distribution function."""
    if n <= 0 or p == 0.0:
        return np.zeros(u.shape, np.int64)
    if p == 1.0:
        return np.full(u.shape, n, np.int64)
    from scipy.special import bdtr

    low, high = _reach(n * p, n * p * (1.0 - p))
    table = bdtr(np.arange(low, min(n, high) + 1, dtype=np.float64), n, p)
    return np.minimum(low + np.searchsorted(table, u, side="right"), n).astype(np.int64)


def _poisson(u: NDArray[np.float64], mean: float) -> NDArray[np.int64]:
    """As `_binomial`, of the Poisson distribution."""
    if mean <= 0.0:
        return np.zeros(u.shape, np.int64)
    from scipy.special import pdtr

    low, high = _reach(mean, mean)
    return (low + np.searchsorted(pdtr(np.arange(low, high + 1.0), mean), u, side="right")).astype(np.int64)


def _reach(mean: float, variance: float) -> tuple[int, int]:
    """Beyond 40 standard deviations (and 40) nothing of 53 bits is left."""
    reach = 40.0 * (1.0 + np.sqrt(variance))
    return max(0, int(mean - reach)), int(mean + reach)
