"""How often a few synapses mistake one sparse pattern for another: the match laws of Ahmad & Hawkins (2016).

n neurons, a of them active in a pattern; a dendritic segment with synapses from s of them, which matches a pattern
when at least theta of its synapses are active (arXiv 1601.00720). All counts are exact integers; probabilities are
rounded once, at the end, however small they are.
"""

from __future__ import annotations

import math
from fractions import Fraction


def overlap_set(n: int, a: int, s: int, b: int) -> int:
    """Number of patterns of a among n neurons that share exactly b neurons with a given s of them."""
    _check(n=n, a=a, s=s)
    return math.comb(s, b) * math.comb(n - s, a - b) if 0 <= b <= min(a, s) else 0


def false_match(n: int, a: int, s: int, theta: int, *, segments: int = 1) -> float:
    """Probability that a random pattern of a among n neurons matches a segment of s synapses at theta.

    segments: number of independent ones, of which at least one matches.
    """
    _check(n=n, a=a, s=s)
    _check_threshold(theta)
    if segments < 1:
        raise ValueError(f"segments is {segments}; expected a positive whole number")
    most = min(a, s)
    rest = math.comb(n - s, a - most)
    count = 0
    for b in range(most, theta - 1, -1):
        count += math.comb(s, b) * rest
        rest = rest * (n - s - a + b) // (a - b + 1)  # the next of (n − s over a − b)
    p = float(Fraction(count, math.comb(n, a)))
    return p if segments == 1 else 1.0 if p == 1 else -math.expm1(segments * math.log1p(-p))


def false_negative(a: int, s: int, theta: int, lost: int) -> float:
    """Probability that a segment with synapses from s of a pattern's a neurons misses it when `lost` of the a, drawn
    at random, are silent; whatever becomes active instead has no synapse on it."""
    _check_threshold(theta)
    if not 0 <= lost <= a:
        raise ValueError(f"lost is {lost}; expected 0 <= lost <= a = {a}")
    return float(Fraction(sum(overlap_set(a, a - lost, s, b) for b in range(min(theta, s + 1))), math.comb(a, lost)))


def synaptic_failure(s: int, theta: int, failure: float) -> float:
    """Probability that a segment misses its pattern when each of its s synapses fails with probability `failure`."""
    _check_threshold(theta)
    if not 0 <= failure <= 1:
        raise ValueError(f"failure is {failure}; expected a probability")
    return math.fsum(math.comb(s, b) * (1 - failure) ** b * failure ** (s - b) for b in range(min(theta, s + 1)))


def union_size(n: int, s: int, patterns: int) -> list[float]:
    """Distribution of the number of distinct synapses, 0 .. n, on a segment with s from each of that many independent
    random patterns; its mean is n (1 − (1 − s/n)^patterns)."""
    _check(n=n, s=s)
    if patterns < 1:
        raise ValueError(f"patterns is {patterns}; expected a positive whole number")
    sizes, most = {0: 1.0}, math.comb(n, s)
    for _ in range(patterns):
        after: dict[int, float] = {}
        for size, p in sizes.items():
            for fresh in range(max(0, s - size), min(s, n - size) + 1):
                # as a ratio of integers: the binomials overflow floats
                chance = p * (math.comb(n - size, fresh) * math.comb(size, s - fresh) / most)
                after[size + fresh] = after.get(size + fresh, 0.0) + chance
        sizes = after
    return [sizes.get(size, 0.0) for size in range(n + 1)]


def union_false_match(n: int, a: int, s: int, theta: int, patterns: int) -> float:
    """`false_match` of a segment on which s synapses of each of that many random patterns are mixed, over all the sizes
    that their union may have (the paper puts its expected size into `false_match`)."""
    chances = enumerate(union_size(n, s, patterns))
    return math.fsum(p * false_match(n, a, size, theta) for size, p in chances if p > 1e-300 and size)


def _check(**sizes: int) -> None:
    n = sizes.get("n", 0)
    for name, value in sizes.items():
        if not isinstance(value, int) or not 0 <= value <= n:
            raise ValueError(f"{name} is {value!r}; expected a whole number from 0 to n = {n}")


def _check_threshold(theta: int) -> None:
    if not isinstance(theta, int) or theta < 1:
        raise ValueError(f"theta is {theta!r}; expected a positive whole number")


__all__ = [
    "false_match", "false_negative", "overlap_set", "synaptic_failure", "union_false_match", "union_size",
]  # fmt: skip
