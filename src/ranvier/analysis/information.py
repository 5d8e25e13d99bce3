"""How much responses tell about stimuli: entropies and mutual information in bits, corrected for few samples.

Discrete values (counts, words, labels): `entropy`, `mutual_information`. Continuous ones:
`nearest_neighbour_information` sees any dependence, `gaussian_information` needs fewer trials, `class_information`
takes labels and continuous values.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np

from ranvier._checks import reals
from ranvier.analysis._continuous import class_information, gaussian_information, nearest_neighbour_information
from ranvier.analysis._nsb import nsb

Correction = Literal["panzeri_treves", "quadratic", "shuffle", "nsb"] | None
#: how many different values a trial may hold, so that there are coincidences to estimate from
_DISTINCT: dict[Correction, float] = {"panzeri_treves": 0.5, "quadratic": 0.5, "shuffle": 0.75, "nsb": 1.0, None: 0.75}
_CONTINUOUS = 0.5  # of the trials whose value no other has, from which floats count as continuous
_FEW = 8  # trials below which that cannot be decided


def entropy(
    samples: np.ndarray, *, correction: Literal["miller_madow", "nsb"] | None = None, states: float | None = None
) -> float:
    """Entropy in bits of discrete samples, (n,) or words (n, k).

    None: of the frequencies, too low by about (R − 1)/(2 n ln 2), R the number of values; "miller_madow" adds
    that (Miller 1955), with R the number of values seen; "nsb" is Bayesian, for fewer samples than there are
    `states`, the number of possible values (2^k of binary words): `nsb`, which gives its error too.
    """
    if correction not in ("miller_madow", "nsb", None):
        raise ValueError(f"correction is {correction!r}; expected 'miller_madow', 'nsb' or None")
    counts = np.bincount(_labels(samples, "samples"))
    if correction == "nsb":
        return nsb(counts, _required(states))[0]
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

    The estimate never exceeds the smaller of the two entropies of the frequencies; a corrected one may be below 0.
    With fewer trials a stimulus than different responses a UserWarning says what the same correction finds in
    shuffled responses, which tell nothing: as much of the estimate may be bias.

    Raises ValueError for arrays of unequal length, for floats that are nearly all different (continuous ones: see the
    module), and where the values hardly repeat: more than half as many different ones as trials ("panzeri_treves",
    "quadratic"), more than three quarters (None, "shuffle"), or less than one repetition a stimulus ("nsb").

    >>> mutual_information([0, 0, 1, 1] * 25, [3, 3, 7, 7] * 25, correction=None)
    1.0
    """
    s, r = _labels(stimuli, "stimuli"), _labels(responses, "responses")
    if len(s) != len(r):
        raise ValueError(f"stimuli has {len(s)} trials, responses {len(r)}; expected one of each a trial")
    if correction not in _DISTINCT:
        raise ValueError(f"correction is {correction!r}; expected one of {', '.join(map(repr, _DISTINCT))}")
    if correction == "quadratic" and len(s) < 4:
        raise ValueError(f"stimuli has {len(s)} trials; expected at least 4 for the quadratic extrapolation")
    most = _required(states) if correction == "nsb" else 0.0
    _require_repetition(s, r, correction)
    rng = np.random.default_rng(seed)
    value = _corrected(s, r, correction, most, shuffles, rng)
    trials, distinct = len(s) / (int(s.max()) + 1), int(r.max()) + 1
    if correction in ("panzeri_treves", "quadratic") and trials < distinct and s.any():
        rest = [_corrected(s, rng.permutation(r), correction, most, shuffles, rng) for _ in range(shuffles)]
        warnings.warn(
            f"{trials:.3g} trials a stimulus for {distinct} different responses; expected at least as many. The same "
            f"estimate of shuffled responses, which tell nothing, is {np.mean(rest):.3f} ± {np.std(rest):.3f} bits of "
            f"these {value:.3f}: take more trials, fewer responses, or correction='nsb'.",
            stacklevel=2,
        )
    counts = _joint(s, r)
    limit = min(_entropy(counts.sum(0) / len(s)), _entropy(counts.sum(1) / len(s)))
    return float(min(value, limit))


def _corrected(
    s: np.ndarray, r: np.ndarray, correction: Correction, states: float, shuffles: int, rng: np.random.Generator
) -> float:
    if correction == "nsb":
        joint = _joint(s, r)
        within = np.array([nsb(counts, states)[0] for counts in joint])
        return nsb(joint.sum(0), states)[0] - float(joint.sum(1) @ within) / len(s)
    plain = _information(s, r)
    if correction == "panzeri_treves":
        return plain - _bias(_joint(s, r))
    if correction == "shuffle":
        return plain - float(np.mean([_information(s, rng.permutation(r)) for _ in range(shuffles)]))
    if correction == "quadratic":
        order = rng.permutation(len(s))
        half, quarter = (
            np.mean([_information(s[part], r[part]) for part in np.array_split(order, k)]) for k in (2, 4)
        )
        return float((8 * plain - 6 * half + quarter) / 3)
    return plain


def _require_repetition(s: np.ndarray, r: np.ndarray, correction: Correction) -> None:
    """Refuse trials of which nearly every one is different: their information is that of counting trials."""
    n = len(s)
    if n < _FEW:
        return
    for name, values in (("stimuli", s), ("responses", r)):
        distinct = int(values.max()) + 1
        if distinct > _DISTINCT[correction] * n:
            raise ValueError(
                f"{name} holds {distinct} different values in {n} trials; expected at most "
                f"{_DISTINCT[correction]:.0%} as many values as trials: pool values or bins, or take more trials"
            )
    if correction == "nsb":
        joint = _joint(s, r)
        repeated = n - int((joint > 0).sum())
        if repeated < len(joint):
            raise ValueError(
                f"responses repeat {repeated} times at {len(joint)} stimuli; expected at least one repetition a "
                "stimulus, from which the entropy is estimated: pool values or bins, or take more trials"
            )


def channel_information(likelihood: np.ndarray, prior: np.ndarray | None = None) -> float:
    """Mutual information in bits of a known channel: likelihood (stimuli, responses), rows that add up to 1;
    prior (stimuli,), uniform if None."""
    likelihood = reals(likelihood, "likelihood")
    if likelihood.ndim != 2 or 0 in likelihood.shape or not np.allclose(likelihood.sum(1), 1) or (likelihood < 0).any():
        raise ValueError(f"likelihood has shape {likelihood.shape}; expected probabilities (S, R), rows adding up to 1")
    p = np.full(len(likelihood), 1 / len(likelihood)) if prior is None else reals(prior, "prior")
    if p.shape != likelihood.shape[:1] or not np.isclose(p.sum(), 1) or (p < 0).any():
        raise ValueError(f"prior has shape {p.shape}; expected probabilities ({len(likelihood)},) that add up to 1")
    return float(_entropy(p @ likelihood) - p @ np.array([_entropy(row) for row in likelihood]))


def _labels(values: np.ndarray, name: str) -> np.ndarray:
    """The place of each value, or word, among the different ones."""
    values = np.asarray(values)
    if values.ndim not in (1, 2) or len(values) == 0:
        raise ValueError(f"{name} has shape {values.shape}; expected (n,) or (n, k) with n > 0")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity; expected finite discrete values: leave those trials out")
    if values.dtype.kind == "O":
        if any(value is None for value in values.flat):
            raise ValueError(f"{name} holds None; expected a value a trial: leave those trials out")
        values = values.astype(str)
    distinct, labels = np.unique(values, axis=0, return_inverse=True)
    whole = values.dtype.kind != "f" or bool((values == np.round(values)).all())
    if not whole and len(values) >= _FEW and len(distinct) > _CONTINUOUS * len(values):
        raise ValueError(
            f"{name} holds {len(distinct)} different fractional numbers in {len(values)} trials; expected discrete "
            "values: bin them, or estimate with nearest_neighbour_information or gaussian_information"
        )
    return labels.reshape(-1)


def _required(states: float | None) -> float:
    if states is None:
        raise ValueError("states is None; expected the number of possible values: correction='nsb' needs it")
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
    observed = int((joint.sum(0) > 0).sum())
    at_stimulus = sum(_possible(counts[counts > 0], observed) - 1 for counts in joint if counts.any())
    return (at_stimulus - (observed - 1)) / (2 * joint.sum() * np.log(2))


def _possible(counts: np.ndarray, most: int) -> int:
    """Number of responses possible at a stimulus: the one at which as many as were seen are expected to be.

    Seen responses have (1 − γ)(n_i + 1)/(N + R), the others share γ, what their not being observed leaves likely.
    """
    trials, observed = int(counts.sum()), len(counts)
    best, nearest = observed, float((1 - counts / trials) ** trials @ np.ones(observed))
    for extra in range(1, most - observed + 1):
        unseen = extra * (1 - (trials / (trials + observed)) ** (1 / trials))
        p = (1 - unseen) * (counts + 1) / (trials + observed)
        expected = (1 - (1 - p) ** trials).sum() + extra * (1 - (1 - unseen / extra) ** trials)
        if abs(expected - observed) >= nearest:
            break
        best, nearest = observed + extra, abs(expected - observed)
    return best


__all__ = [
    "channel_information", "class_information", "entropy", "gaussian_information", "mutual_information",
    "nearest_neighbour_information", "nsb",
]  # fmt: skip
