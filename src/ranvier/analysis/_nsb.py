"""Entropy from fewer samples than there are states, after Nemenman, Shafee and Bialek."""

from __future__ import annotations

import numpy as np
from scipy.special import betaln, digamma, gammaln, polygamma

from ranvier._checks import reals

_POINTS = 2001  # of ln β
_DEPTH = 45.0  # nats below its maximum to which the posterior counts


def nsb(counts: np.ndarray, states: float) -> tuple[float, float]:
    """Posterior mean and standard deviation in bits of the entropy of a law over `states` possible values, of which
    `counts` (R,) are the numbers of samples with each value; values left out have none.

    Nemenman, Shafee and Bialek (2002), "Entropy and inference, revisited", NIPS 14: Dirichlet priors of any
    concentration β are mixed so that the entropy expected beforehand, ξ(β) = ψ(Kβ + 1) − ψ(β + 1), is uniform
    from 0 to ln K; each gives the entropy's posterior moments in closed form (Wolpert and Wolf 1995, Phys. Rev. E
    52:6841). Coincidences among the samples decide, so that about √K samples can do, where frequencies need K. Laws
    with long tails (Zipf's) lie outside what the priors expect: their error is larger than the deviation given.

    Raises ValueError for counts that are negative, not whole, or none, and for fewer states than were seen.
    """
    counts = reals(counts, "counts")
    whole = np.isfinite(counts).all() and (counts >= 0).all() and (counts % 1 == 0).all()
    if counts.ndim != 1 or not whole or not counts.any():
        raise ValueError(f"counts has shape {counts.shape}; expected whole numbers (R,), none negative, some positive")
    sizes, times = np.unique(counts[counts > 0], return_counts=True)
    if not times.sum() <= states < np.inf:
        raise ValueError(f"states is {states}; expected at least the {times.sum()} different values in counts")
    if states == 1:
        return 0.0, 0.0
    low, high = -40.0, 40.0  # beyond them the integrand falls as β and 1/β
    while True:
        u = np.linspace(low, high, _POINTS)
        log_p = _log_posterior(np.exp(u), sizes, times, float(states)) + u
        inside = np.flatnonzero(log_p > log_p.max() - _DEPTH)
        if len(inside) > _POINTS // 4:
            break
        low, high = u[max(inside[0] - 1, 0)], u[min(inside[-1] + 1, _POINTS - 1)]
    p = np.exp(log_p - log_p.max())
    first, second = _moments(np.exp(u), sizes, times, float(states))
    mean, square = p @ first / p.sum(), p @ second / p.sum()
    return float(mean / np.log(2)), float(np.sqrt(max(square - mean**2, 0.0)) / np.log(2))


def _log_posterior(beta: np.ndarray, sizes: np.ndarray, times: np.ndarray, states: float) -> np.ndarray:
    """ln of P(counts | β) dξ/dβ, up to a constant."""
    # Γ(a)/Γ(a + n) = B(a, n)/Γ(n), also where a is so large that the two cancel
    evidence = betaln(states * beta, sizes @ times)
    evidence -= times @ (betaln(beta, sizes[:, None]) - gammaln(sizes)[:, None])
    slope = states * polygamma(1, states * beta + 1) - polygamma(1, beta + 1)
    with np.errstate(divide="ignore"):  # rounding leaves no slope where β is huge
        return evidence + np.log(np.maximum(slope, 0.0))


def _moments(
    beta: np.ndarray, sizes: np.ndarray, times: np.ndarray, states: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean entropy and mean square entropy (nats) of the Dirichlet posteriors."""
    sizes, times = np.append(sizes, 0.0)[:, None], np.append(times, states - times.sum())
    a, total = sizes + beta, sizes[:, 0] @ times + states * beta
    first = digamma(total + 1) - times @ (a * digamma(a + 1)) / total
    near, far = digamma(a + 1) - digamma(total + 2), digamma(a + 2) - digamma(total + 2)
    rest = polygamma(1, total + 2)
    pairs = (times @ (a * near)) ** 2 - times @ (a * near) ** 2 - rest * (total**2 - times @ a**2)
    own = times @ (a * (a + 1) * (far**2 + polygamma(1, a + 2) - rest))
    return first, (pairs + own) / (total * (total + 1))


__all__ = ["nsb"]
