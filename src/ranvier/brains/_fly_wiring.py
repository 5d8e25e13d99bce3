"""A wiring of the size and the statistics of an adult fly's brain, drawn from a seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ranvier.brains._connectomes import BrainWiring
from ranvier.codegen.compilation import compiled

#: FlyWire v783 as Shiu et al. (2024) ran it: proofread neurons, and pairs of neurons with a synapse. Lin et al. (2024,
#: Nature 634:153, methods) give 139 255 neurons for the whole of v783
NEURONS, CONNECTIONS = 138_639, 15_091_983
#: a log-normal number of synapses, rounded up: its two numbers are chosen so that there are 54.5 million (Dorkenwald et
#: al. 2024, Nature 634:124), so 3.6 a connection, and 2 701 601 connections of five or more (Lin et al. 2024, methods;
#: 18 %). That it is log-normal is assumed
LOG_MEAN, LOG_SD = 0.0255, 1.487
#: assumed: the SD of the logarithm of in- and out-degrees, and its correlation between them. Lin et al. (2024) publish
#: broad distributions, with a rich club of 30 % of the neurons, but no such numbers; whoever has the connectome's table
#: gives it with --connections
DEGREE_SD, DEGREE_CORRELATION = 1.0, 0.7
#: assumed: the share of neurons whose transmitter is GABA or glutamate; Eckstein et al. (2024, Cell 187:2574, fig. 5)
#: show most neurons as cholinergic, and give no one number for the whole brain
INHIBITORY = 0.4
_GUIDE = 1 << 18


def fly_wiring(
    neurons: int = NEURONS, connections: int | None = None, seed: int = 0, lo: int = 0, hi: int | None = None
) -> BrainWiring:
    """Draw a wiring: pairs by in- and out-propensities (Chung & Lu 2002), counts and signs independently. Its
    connections come by target, then source.

    Every target's connections come from a stream of its own, so that those of targets `lo` .. `hi` − 1 can be drawn
    alone. A smaller network has as many connections a neuron, as far as there are pairs. Raises ValueError for sizes
    that make no network.

    >>> brain = rv.brains.fly_wiring(neurons=100, connections=500)
    >>> pairs = set(zip(brain.sources.tolist(), brain.targets.tolist(), strict=True))
    >>> len(pairs)  # each once
    500
    """
    if not 2 <= neurons < 2**31:
        raise ValueError(f"neurons is {neurons}; expected 2 or more, below 2^31")
    most = neurons * (neurons - 1) // 4
    total = min(round(CONNECTIONS * neurons / NEURONS), most) if connections is None else connections
    if not 0 <= total <= most:
        raise ValueError(f"connections is {total}; expected 0 to {most}, a quarter of all pairs of {neurons} neurons")
    hi = neurons if hi is None else hi
    if not 0 <= lo <= hi <= neurons:
        raise ValueError(f"the targets are {lo} .. {hi}; expected a range within 0 .. {neurons}")
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0xF1])))
    z = rng.standard_normal((2, neurons))
    z[1] = DEGREE_CORRELATION * z[0] + np.sqrt(1 - DEGREE_CORRELATION**2) * z[1]
    outward, inward = np.exp(DEGREE_SD * z)
    inhibitory = rng.random(neurons) < INHIBITORY
    degrees = _degrees(inward, total)
    bounds = np.cumsum(outward)
    bounds /= bounds[-1]
    guide = np.searchsorted(bounds, np.arange(_GUIDE) / _GUIDE, "right")
    rows = np.concatenate([np.zeros(1, np.int64), np.cumsum(degrees[lo:hi])])
    sources, counts = np.empty(rows[-1], np.int32), np.empty(rows[-1], np.int32)
    key = np.uint64(rng.integers(2**63))
    _draw(rows, lo, bounds, guide, key, sources, counts, np.full(neurons, -1, np.int64), LOG_MEAN, LOG_SD)
    counts[inhibitory[sources]] *= -1
    targets = np.repeat(np.arange(lo, hi, dtype=np.int32), degrees[lo:hi])
    note = (
        f"a drawn wiring, seed {seed}: no connectome; its ids are places. Numbers of neurons, connections and synapses "
        "are FlyWire's; log-normal degrees and 40 % of inhibitory neurons are assumed"
    )
    return BrainWiring(np.arange(neurons), sources, targets, counts, (note,))


def _degrees(propensity: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Whole numbers in proportion to the propensities, at most half of all neurons, that sum to `total`."""
    most, share = len(propensity) // 2, propensity
    while True:
        ends = np.rint(np.cumsum(share) * (total / share.sum())).astype(np.int64)
        degrees = np.diff(ends, prepend=0)
        if degrees.max() <= most:
            return degrees
        share = np.minimum(share, 0.9 * most * share.sum() / total)


@compiled(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def _uniform(state):
    """The next state of splitmix64 and a number in (0, 1)."""
    state += np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return state, (np.float64(z >> np.uint64(11)) + 0.5) * 1.1102230246251565e-16


@compiled(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def _draw(rows, lo, bounds, guide, key, sources, counts, last, mean, sd):
    """Distinct sources of each target, ascending, and numbers of synapses; last (neurons,) starts at −1."""
    for k in range(len(rows) - 1):
        target = lo + k
        state = key ^ (np.uint64(target + 1) * np.uint64(0xD1B54A32D192ED03))
        state, _ = _uniform(state)
        at = rows[k]
        while at < rows[k + 1]:
            state, u = _uniform(state)
            source = guide[int(u * len(guide))]
            while bounds[source] <= u:
                source += 1
            if source != target and last[source] != target:
                last[source] = target
                sources[at] = source
                at += 1
        sources[rows[k] : rows[k + 1]].sort()
        for e in range(rows[k], rows[k + 1]):
            state, u = _uniform(state)
            state, v = _uniform(state)
            z = math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)
            counts[e] = math.ceil(math.exp(mean + sd * z))


__all__ = ["CONNECTIONS", "NEURONS", "fly_wiring"]
