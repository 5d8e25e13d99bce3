"""States of an ensemble of neurons: the ones it could represent, and those that it uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from ranvier._checks import reals
from ranvier._steps import window_of, windows_in

_MOST = 16  # neurons whose states are enumerated


@dataclass(frozen=True)
class Pairwise:
    """Maximum-entropy law with given rates and pair correlations, p(z) ∝ exp(½ Σ w_ij z_i z_j + Σ b_i z_i) of z = 0, 1
    (Schneidman, Berry, Segev & Bialek 2006); as `ranvier.energies.Boltzmann(weight, bias)` has it.

    weight: (N, N), symmetric with zero diagonal. bias: (N,). entropy: bits; NaN where states were not enumerated.
    """

    weight: np.ndarray
    bias: np.ndarray
    entropy: float

    def log_probability(self, words: np.ndarray) -> np.ndarray:
        """Natural logarithm of p, (n,), of words (n, N); by enumeration."""
        words = _checked(words)
        return self._value(words) - logsumexp(self._value(_states(len(self.bias))))

    def _value(self, z: np.ndarray) -> np.ndarray:
        return 0.5 * np.einsum("ni,ij,nj->n", z, self.weight, z, optimize=True) + z @ self.bias


@dataclass(frozen=True)
class States:
    """What an ensemble uses of its states; entropies in bits.

    possible: N, the logarithm of the count of all states. used: S of the pairwise law (or of the words, if there is
    none), so that 2^used states count. independent: entropy of neurons that keep their rates only. words: entropy of
    the words as they came. distinct: number of different words.
    """

    possible: int
    independent: float
    used: float
    words: float
    distinct: int

    @property
    def explained(self) -> float | None:
        """Part of the multi-information, independent − words, that pairs account for (Schneidman et al. 2006); None
        where there is no multi-information, as of independent or constant neurons."""
        total = self.independent - self.words
        return (self.independent - self.used) / total if total > 1e-12 else None


def words(times: np.ndarray, neurons: np.ndarray, size: int, duration: float, bin_width: float) -> np.ndarray:
    """Binary words (bins, size), uint8: 1 where a neuron spikes within a bin.

    times (n,), duration and bin_width: ms; neurons (n,): 0 to size − 1. Bin k takes k·bin_width < t ≤
    (k + 1)·bin_width, as `counts` does: a spike at the end of a simulator's step belongs to that step; the first bin
    takes t = 0 too. An incomplete last bin is left out, and so are spikes outside 0 ≤ t ≤ duration.

    Raises ValueError for a bin that is not positive or longer than the duration, arrays of unequal length, times that
    are not finite, and neurons out of range.

    >>> words([0.1, 0.3, 0.6], [0, 1, 0], size=2, duration=0.6, bin_width=0.3).tolist()
    [[1, 1], [1, 0]]
    """
    if not 0 < bin_width <= duration < np.inf:
        raise ValueError(
            f"bin_width is {bin_width} ms; expected more than 0 and at most the duration of {duration} ms"
        )
    times, neurons = reals(times, "times"), reals(neurons, "neurons")
    if times.ndim != 1 or times.shape != neurons.shape:
        raise ValueError(
            f"times has shape {times.shape}, neurons {neurons.shape}; expected two vectors of one length"
        )
    if not np.isfinite(times).all():
        raise ValueError("times holds NaN or infinity; expected finite times in ms")
    if (neurons != np.floor(neurons)).any() or not np.isfinite(neurons).all():
        raise ValueError("neurons holds numbers that are not whole; expected indices")
    neurons = neurons.astype(np.int64)
    if neurons.size and not (neurons.min() >= 0 and neurons.max() < size):
        raise ValueError(
            f"neurons holds {neurons.min()} to {neurons.max()}; expected indices from 0 to {size - 1}"
        )
    out = np.zeros((windows_in(duration, bin_width), size), np.uint8)
    rows = window_of(times, bin_width)
    inside = (rows >= 0) & (rows < len(out))
    out[rows[inside], neurons[inside]] = 1
    return out


def fit_pairwise(data: np.ndarray, *, method: str = "auto", penalty: float = 0.0) -> Pairwise:
    """The pairwise maximum-entropy law of words (n, N).

    method: "exact" maximises the likelihood over all 2^N states, to N = 16; "pseudo" the pseudo-likelihood, each
    neuron given the others (Besag 1975), for any N: consistent, its pairs averaged, its entropy unknown; "auto" is
    exact where it can be. penalty: of ½ Σ w²/n, for pairs never seen together, whose w is −∞ otherwise.
    Raises ValueError for a neuron that always or never spikes, as no finite bias has that.
    """
    z = _checked(data)
    n = z.shape[1]
    if method not in ("auto", "exact", "pseudo"):
        raise ValueError(f"method is {method!r}; expected 'auto', 'exact' or 'pseudo'")
    if method == "exact" and n > _MOST:
        raise ValueError(f"the words have {n} neurons; expected at most {_MOST} to enumerate: take method='pseudo'")
    rate = z.mean(0)
    if bool(((rate == 0) | (rate == 1)).any()):
        bad = int(np.flatnonzero((rate == 0) | (rate == 1))[0])
        raise ValueError(f"neuron {bad} has the same state in all words; expected both states: leave it out")
    if method == "pseudo" or n > _MOST:
        return _pseudo(z, penalty)
    i, j = np.triu_indices(n, 1)
    states = _states(n)
    features = np.concatenate([states, states[:, i] * states[:, j]], 1)
    target = np.concatenate([rate, (z.T @ z / len(z))[i, j]])
    ridge = np.concatenate([np.zeros(n), np.full(len(i), penalty / len(z))])

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value = features @ theta
        log_z = logsumexp(value)
        p = np.exp(value - log_z)
        return log_z - theta @ target + 0.5 * ridge @ theta**2, p @ features - target + ridge * theta

    start = np.concatenate([np.log(rate / (1 - rate)), np.zeros(len(i))])
    optimum = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-8})
    value = features @ optimum.x
    log_p = value - logsumexp(value)
    weight = np.zeros((n, n))
    weight[i, j] = weight[j, i] = optimum.x[n:]
    return Pairwise(weight, optimum.x[:n], float(-(np.exp(log_p) @ log_p) / np.log(2)))


def count_states(data: np.ndarray, *, penalty: float = 0.0) -> States:
    """States that words (n, N) use, by a pairwise fit where N <= 16, else by the words' own frequencies.

    The frequencies' entropy carries the Miller–Madow correction of `information.entropy`.
    """
    from ranvier.analysis.information import entropy

    z = _checked(data)
    rate = z.mean(0)
    live = (rate > 0) & (rate < 1)
    p = rate[live]
    independent = float(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)).sum())
    empirical = entropy(z, correction="miller_madow")
    used = empirical if live.sum() > _MOST or not live.any() else fit_pairwise(z[:, live], penalty=penalty).entropy
    return States(z.shape[1], independent, used, empirical, len(np.unique(z, axis=0)))


def pairwise_entropy(
    law: Pairwise, *, chains: int = 200, sweeps: int = 30, steps: int = 12, seed: int = 0
) -> float:
    """Entropy in bits of a pairwise law of any size, by thermodynamic integration.

    Couplings are switched on in `steps` + 1 steps, λ from 0 to 1; log Z(1) = log Z(0) + ∫ ⟨½ zᵀ W z⟩_λ dλ, with means
    over Gibbs samples of `chains` chains, of `sweeps` passes each, the first half left out. With N ≤ 16 `law.entropy`
    is exact.
    """
    rng = np.random.default_rng(seed)
    n = len(law.bias)
    log_z = float(np.logaddexp(0, law.bias).sum())
    z = (rng.random((chains, n)) < expit(law.bias)).astype(float)
    means, energy = [], 0.0
    strengths = np.linspace(0, 1, steps + 1)
    for strength in strengths:
        pairs, value = [], []
        for sweep in range(sweeps):
            for k in range(n):
                z[:, k] = rng.random(chains) < expit(law.bias[k] + strength * (z @ law.weight[:, k]))
            if sweep >= sweeps // 2:
                pairs.append(0.5 * np.einsum("ci,ij,cj->c", z, law.weight, z, optimize=True).mean())
                value.append(pairs[-1] * strength + (z @ law.bias).mean())
        means.append(np.mean(pairs))
        energy = float(np.mean(value))
    return float((log_z + np.trapezoid(means, strengths) - energy) / np.log(2))


def entropy_by_size(
    data: np.ndarray, sizes: Sequence[int], *, draws: int = 3, penalty: float = 1.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Entropies in bits of ensembles of `sizes` cells, drawn `draws` times each from words (n, N), as (sizes, draws).

    independent: of cells that keep their rates only. pairwise: of the pairwise law, exactly to 16 cells and by
    `pairwise_entropy` beyond. words: of the words as they came (Miller–Madow), below log₂ n whatever the ensemble.
    distinct: number of different words. Cells that never change are left out. Raises ValueError for a size of more
    cells than there are.
    """
    from ranvier.analysis.information import entropy

    z = _checked(data)
    live = np.flatnonzero((z.mean(0) > 0) & (z.mean(0) < 1))
    if not len(sizes) or min(sizes) < 1 or max(sizes) > len(live):
        raise ValueError(f"sizes are {list(sizes)}; expected numbers of cells from 1 to {len(live)}, those that change")
    rng = np.random.default_rng(seed)
    result = {name: np.zeros((len(sizes), draws)) for name in ("independent", "pairwise", "words", "distinct")}
    for k, size in enumerate(sizes):
        for draw in range(draws):
            x = z[:, rng.choice(live, size, replace=False)]
            p = x.mean(0)
            law = fit_pairwise(x, penalty=penalty)
            result["independent"][k, draw] = -(p * np.log2(p) + (1 - p) * np.log2(1 - p)).sum()
            result["pairwise"][k, draw] = law.entropy if size <= _MOST else pairwise_entropy(law, seed=seed)
            result["words"][k, draw] = entropy(x, correction="miller_madow")
            result["distinct"][k, draw] = len(np.unique(x, axis=0))
    return result


def _pseudo(z: np.ndarray, penalty: float) -> Pairwise:
    count, n = z.shape
    weight, bias = np.zeros((n, n)), np.zeros(n)
    for k in range(n):
        others = np.column_stack([np.delete(z, k, 1), np.ones(count)])
        ridge = np.append(np.full(n - 1, penalty / count), 0.0)

        def loss(
            theta: np.ndarray, others: np.ndarray = others, y: np.ndarray = z[:, k], ridge: np.ndarray = ridge
        ) -> tuple[float, np.ndarray]:
            value = others @ theta
            gradient = others.T @ (expit(value) - y) / count
            return (np.logaddexp(0, value) - y * value).mean() + 0.5 * ridge @ theta**2, gradient + ridge * theta

        theta = minimize(loss, np.zeros(n), jac=True, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 1e-15}).x
        weight[k, np.arange(n) != k], bias[k] = theta[:-1], theta[-1]
    return Pairwise((weight + weight.T) / 2, bias, float("nan"))


def _states(n: int) -> np.ndarray:
    if n > _MOST:
        raise ValueError(f"the words have {n} neurons; expected at most {_MOST} to enumerate")
    return ((np.arange(2**n)[:, None] >> np.arange(n)[::-1]) & 1).astype(float)


def _checked(data: np.ndarray) -> np.ndarray:
    z = np.asarray(data)
    if z.ndim != 2 or 0 in z.shape or not np.isin(z, (0, 1)).all():
        raise ValueError(f"words has shape {z.shape} and type {z.dtype}; expected (n, N) of 0 and 1")
    return z.astype(float)


__all__ = [
    "Pairwise", "States", "count_states", "entropy_by_size", "fit_pairwise", "pairwise_entropy", "words",
]  # fmt: skip
