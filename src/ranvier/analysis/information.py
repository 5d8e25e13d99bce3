"""How much responses tell about stimuli: entropies and mutual information in bits, corrected for few samples."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ranvier.analysis._nsb import nsb

Correction = Literal["panzeri_treves", "quadratic", "shuffle", "nsb"] | None
_CORRECTIONS = ("panzeri_treves", "quadratic", "shuffle", "nsb", None)


def entropy(
    samples: np.ndarray, *, correction: Literal["miller_madow", "nsb"] | None = None, states: float | None = None
) -> float:
    """Entropy in bits of discrete samples, (n,) or words (n, k).

    None: of the frequencies, too low by about (R − 1)/(2 n ln 2), R the number of values; "miller_madow" adds
    that (Miller 1955), with R the number of values seen; "nsb" is Bayesian, for fewer samples than there are
    `states`, the number of possible values (2^k of binary words): `nsb`, which gives its error too.
    """
    if correction not in ("miller_madow", "nsb", None):
        raise ValueError(f"found correction = {correction!r}, expected 'miller_madow', 'nsb' or None")
    counts = np.bincount(_labels(samples, "samples"))
    if correction == "nsb":
        return nsb(counts, _needed(states))[0]
    bias = (len(counts) - 1) / (2 * counts.sum() * np.log(2)) if correction else 0.0
    return float(_entropy(counts / counts.sum()) + bias)


def mutual_information(
    stimuli: np.ndarray,
    responses: np.ndarray,
    *,
    correction: Correction = "panzeri_treves",
    states: float | None = None,
    shuffles: int = 20,
    seed: int = 0,
) -> float:
    """Mutual information in bits of discrete stimuli and responses, one of each a trial, (n,) or words (n, k).

    None: of the frequencies, always >= 0 and too high for few trials. The corrections:
    "panzeri_treves" takes away the first term of the bias, [Σ_s (R_s − 1) − (R − 1)]/(2 n ln 2), with the numbers R_s
        of responses possible at a stimulus guessed by the Bayesian procedure of Panzeri & Treves (1996);
    "quadratic" fits I + a/n + b/n² to all trials, halves and quarters of them (Strong et al. 1998);
    "shuffle" takes away the mean information of `shuffles` permutations of the responses: right where they tell
        nothing, too much where they tell a lot, for permuted ones spread over more values at each stimulus.
    "nsb" takes the mean entropy of the responses at each stimulus from that of all, both by `nsb` with `states`
        possible responses, many of which need not have been seen; with very few trials it is still too high.
    "quadratic" and "shuffle" draw with `seed`. Those two need a few trials a possible response.
    """
    s, r = _labels(stimuli, "stimuli"), _labels(responses, "responses")
    if len(s) != len(r):
        raise ValueError(f"found {len(s)} stimuli and {len(r)} responses, expected one of each a trial")
    if correction not in _CORRECTIONS:
        raise ValueError(f"found correction = {correction!r}, expected one of {_CORRECTIONS}")
    if correction == "nsb":
        joint, most = _joint(s, r), _needed(states)
        within = np.array([nsb(counts, most)[0] for counts in joint])
        return nsb(joint.sum(0), most)[0] - float(joint.sum(1) @ within) / len(s)
    plain, rng = _information(s, r), np.random.default_rng(seed)
    if correction == "panzeri_treves":
        return plain - _bias(_joint(s, r))
    if correction == "shuffle":
        return plain - float(np.mean([_information(s, rng.permutation(r)) for _ in range(shuffles)]))
    if correction == "quadratic":
        if len(s) < 4:
            raise ValueError(f"found {len(s)} trials, expected at least 4 for the quadratic extrapolation")
        order = rng.permutation(len(s))
        half, quarter = (
            np.mean([_information(s[part], r[part]) for part in np.array_split(order, k)]) for k in (2, 4)
        )
        return float((8 * plain - 6 * half + quarter) / 3)
    return plain


def channel_information(likelihood: np.ndarray, prior: np.ndarray | None = None) -> float:
    """Mutual information in bits of a known channel: likelihood (stimuli, responses), rows that add up to 1;
    prior (stimuli,), uniform if None."""
    likelihood = np.asarray(likelihood, float)
    if likelihood.ndim != 2 or not np.allclose(likelihood.sum(1), 1) or (likelihood < 0).any():
        raise ValueError(f"found a likelihood of shape {likelihood.shape}, expected (S, R) with rows that add up to 1")
    p = np.full(len(likelihood), 1 / len(likelihood)) if prior is None else np.asarray(prior, float)
    if p.shape != likelihood.shape[:1] or not np.isclose(p.sum(), 1) or (p < 0).any():
        raise ValueError(f"found a prior of shape {p.shape}, expected probabilities ({len(likelihood)},)")
    return float(_entropy(p @ likelihood) - p @ np.array([_entropy(row) for row in likelihood]))


def _labels(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim not in (1, 2) or len(values) == 0:
        raise ValueError(f"found {name} of shape {values.shape}, expected (n,) or (n, k) with n > 0")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"found {name} that are not finite; expected discrete values")
    return np.unique(values, axis=0, return_inverse=True)[1].reshape(-1)


def _needed(states: float | None) -> float:
    if states is None:
        raise ValueError("found no states, expected the number of possible values: correction='nsb' needs it")
    return states


def _entropy(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def _joint(s: np.ndarray, r: np.ndarray) -> np.ndarray:
    width = int(r.max()) + 1
    return np.bincount(s * width + r, minlength=(int(s.max()) + 1) * width).reshape(-1, width)


def _information(s: np.ndarray, r: np.ndarray) -> float:
    p = _joint(s, r) / len(s)
    return max(0.0, _entropy(p.sum(0)) + _entropy(p.sum(1)) - _entropy(p.ravel()))


def _bias(joint: np.ndarray) -> float:
    """First term of the plug-in information's bias."""
    seen = int((joint.sum(0) > 0).sum())
    at_stimulus = sum(_possible(counts[counts > 0], seen) - 1 for counts in joint if counts.any())
    return (at_stimulus - (seen - 1)) / (2 * joint.sum() * np.log(2))


def _possible(counts: np.ndarray, most: int) -> int:
    """Number of responses possible at a stimulus: the one at which as many as were seen are expected to be.

    Seen responses have (1 − γ)(n_i + 1)/(N + R), the others share γ, what their not being seen leaves likely.
    """
    trials, seen = int(counts.sum()), len(counts)
    best, nearest = seen, float((1 - counts / trials) ** trials @ np.ones(seen))
    for extra in range(1, most - seen + 1):
        unseen = extra * (1 - (trials / (trials + seen)) ** (1 / trials))
        p = (1 - unseen) * (counts + 1) / (trials + seen)
        expected = (1 - (1 - p) ** trials).sum() + extra * (1 - (1 - unseen / extra) ** trials)
        if abs(expected - seen) >= nearest:
            break
        best, nearest = seen + extra, abs(expected - seen)
    return best


__all__ = ["channel_information", "entropy", "mutual_information", "nsb"]
