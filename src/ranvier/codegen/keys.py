"""The key of a random stream, from whole numbers (SplitMix64: Steele, Lea and Flood 2014)."""

from __future__ import annotations

GOLDEN = 0x9E3779B97F4A7C15
MIX1 = 0xBF58476D1CE4E5B9
MIX2 = 0x94D049BB133111EB
MASK = (1 << 64) - 1


def mix(x: int) -> int:
    """SplitMix64's output function after one step of its counter."""
    x = (x + GOLDEN) & MASK
    x = ((x ^ (x >> 30)) * MIX1) & MASK
    x = ((x ^ (x >> 27)) * MIX2) & MASK
    return x ^ (x >> 31)


def stream_key(seed: int, index: int) -> int:
    """The 64-bit key of the stream of projection `index` in a network with this seed."""
    return mix(mix(seed & MASK) ^ (index & MASK))
