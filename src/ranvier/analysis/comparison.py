"""Do two systems represent the same stimuli alike? Similarity of similarities, canonical correlations, kernels.

Responses are rows of stimuli and columns of neurons or units, (stimuli, N); two systems need the same stimuli only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count, reals
from ranvier.analysis.manifolds.components import centred, table

Array = NDArray[np.float64]
Measure = Callable[[Any, Any], float]


def similarity_matrix(responses: ArrayLike) -> Array:
    """Pearson correlation of the population's responses to each pair of stimuli, (stimuli, stimuli).

    Each stimulus's responses are taken less their mean over neurons. Raises ValueError for a stimulus to which all
    respond alike, of which no correlation is defined.
    """
    return _similarity(centred(responses, "responses", 1))


def _similarity(x: Array) -> Array:
    """Of rows of mean 0, a copy that may be written to."""
    result = x @ x.T
    length = np.sqrt(result.diagonal())
    if (length <= 1e-12 * max(1.0, float(length.max()))).any():
        raise ValueError(f"all neurons respond alike to stimulus {int(np.argmin(length))}; expected responses that "
                         "differ: leave it out")  # fmt: skip
    result /= length[:, None] * length
    return np.clip(result, -1.0, 1.0, out=result)


def ssm(one: ArrayLike, other: ArrayLike) -> float:
    """Similarity of similarity matrices: Spearman's correlation of their upper triangles (Shi, Shea-Brown & Buice
    2019). 1 for the same geometry of stimuli, 0 by chance."""
    a, b = _both(one, other, 1)
    return _spearman(_upper(_similarity(a)), _upper(_similarity(b)))


def rsa(one: ArrayLike, other: ArrayLike, *, metric: str = "correlation") -> float:
    """Representational similarity (Kriegeskorte, Mur & Bandettini 2008): Spearman's correlation of the dissimilarities
    of all pairs of stimuli, "correlation" (1 − r; then this is `ssm`), "euclidean" or "cosine"."""
    from scipy.spatial.distance import pdist

    if metric not in ("correlation", "euclidean", "cosine"):
        raise ValueError(f"metric is {metric!r}; expected 'correlation', 'euclidean' or 'cosine'")
    if metric == "correlation":
        return ssm(one, other)
    a, b = _both(one, other)
    return _spearman(pdist(a, metric), pdist(b, metric))


def cka(one: ArrayLike, other: ArrayLike, *, unbiased: bool = False) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019): ‖XᵀY‖²/(‖XᵀX‖ ‖YᵀY‖) of centred columns.

    Computed among neurons or among stimuli, whichever are fewer. unbiased: with the estimator of Song et al. (2012),
    which is 0 in the mean for unrelated responses, of four stimuli or more; the plain one grows with neurons over
    stimuli.
    """
    if unbiased:
        k, l = (_hollow(x @ x.T) for x in _both(one, other))
        value = _hsic(k, l) / np.sqrt(max(_hsic(k, k) * _hsic(l, l), 0.0))
        return float(value)
    a, b = _both(one, other, 0)
    n, p, q = len(a), a.shape[1], b.shape[1]
    if n * (p + q) < 2 * p * q + p * p + q * q:  # operations of either way, over n; own products are symmetric
        k, l = a @ a.T, b @ b.T
        cross = np.vdot(k, l)
    else:
        c, k, l = a.T @ b, a.T @ a, b.T @ b
        cross = np.vdot(c, c)
    own, theirs = math.sqrt(np.vdot(k, k)), math.sqrt(np.vdot(l, l))
    if own == 0 or theirs == 0:
        raise ValueError("responses are the same to all stimuli; expected them to differ")
    return float(cross / (own * theirs))


def svcca(one: ArrayLike, other: ArrayLike, *, share: float = 0.99) -> float:
    """Mean canonical correlation of the singular vectors that hold `share` of each one's variance (Raghu et al. 2017).

    With few stimuli it is near 1 for anything: two random sets of k directions among n have about k/n in common.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; expected more than 0, at most 1")
    left = []
    for x in _both(one, other):
        u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
        if s[0] < 1e-150:  # whose square is no number
            raise ValueError("responses are the same to all stimuli; expected them to differ")
        left.append(u[:, : int(np.searchsorted(np.cumsum(s**2) / (s**2).sum(), share - 1e-12)) + 1])
    correlations = np.linalg.svd(left[0].T @ left[1], compute_uv=False)
    return float(np.clip(correlations, 0, 1).mean())


def noise_ceiling(trials: ArrayLike, measure: Measure = ssm, *, splits: int = 20, seed: int = 0) -> tuple[float, float]:
    """How alike a system is to itself: mean and deviation of `measure` between halves of its trials, (repeats, stimuli,
    N), averaged. No model can be expected to reach more with such a half."""
    x = reals(trials, "trials")
    if x.ndim != 3 or len(x) < 2:
        raise ValueError(f"trials has shape {x.shape}; expected (repeats, stimuli, N), of at least two repeats")
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(count(splits, "splits", 1)):
        order = rng.permutation(len(x))
        half = len(x) // 2
        values.append(measure(x[order[:half]].mean(0), x[order[half:]].mean(0)))
    return float(np.mean(values)), float(np.std(values))


def bootstrap(
    one: ArrayLike, other: ArrayLike, measure: Measure = ssm, *, over: str = "neurons", draws: int = 100, seed: int = 0
) -> Array:
    """Values (draws,) of `measure` with neurons, or stimuli, drawn with replacement; their spread is its standard
    error. Of stimuli, copies of one are left out, as a stimulus is no more like itself for being drawn twice.
    """
    if over not in ("neurons", "stimuli"):
        raise ValueError(f"over is {over!r}; expected 'neurons' or 'stimuli'")
    a, b = _both(one, other)
    rng = np.random.default_rng(seed)
    values = np.empty(count(draws, "draws", 1))
    for k in range(draws):
        if over == "neurons":
            values[k] = measure(a[:, rng.integers(0, a.shape[1], a.shape[1])], b)
        else:
            chosen = np.unique(rng.integers(0, len(a), len(a)))
            values[k] = measure(a[chosen], b[chosen])
    return values


@dataclass(frozen=True, eq=False)
class PseudoDepth:
    """Which layer is most like a brain area: its number, `depth` as a share of the last layer's, and every layer's
    score (layers,)."""

    layer: int
    depth: float
    scores: Array


def pseudo_depth(responses: ArrayLike, layers: Sequence[ArrayLike], measure: Measure = ssm) -> PseudoDepth:
    """The layer of a network whose responses to the same stimuli are most like an area's (Shi et al. 2019)."""
    if len(layers) < 2:
        raise ValueError(f"{len(layers)} layer is given; expected at least two")
    scores = np.array([measure(responses, layer) for layer in layers])
    best = int(np.argmax(scores))
    return PseudoDepth(best, best / (len(layers) - 1), scores)


def _both(one: Any, other: Any, axis: int | None = None) -> tuple[Array, Array]:
    """Checked copies, less their mean along an axis if there is one."""
    if axis is None:
        a, b = table(one, "one"), table(other, "other")
    else:
        a, b = centred(one, "one", axis), centred(other, "other", axis)
    if len(a) != len(b) or len(a) < 3:
        raise ValueError(f"one has {len(a)} stimuli, other {len(b)}; expected the same, at least 3")
    return a, b


def _upper(matrix: Array) -> Array:
    return matrix[np.triu_indices(len(matrix), 1)]


def _spearman(a: Array, b: Array) -> float:
    from scipy.stats import rankdata

    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else float("nan")


def _hollow(kernel: Array) -> Array:
    if len(kernel) < 4:
        raise ValueError(f"there are {len(kernel)} stimuli; expected at least 4 for the unbiased estimate")
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _hsic(k: Array, l: Array) -> float:
    """Unbiased, of kernels without diagonal (Song et al. 2012, eq. 5)."""
    n = len(k)
    a, b = k.sum(0), l.sum(0)
    return float(((k * l).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * (a @ b) / (n - 2)) / (n * (n - 3)))


__all__ = [
    "PseudoDepth", "bootstrap", "cka", "noise_ceiling", "pseudo_depth", "rsa", "similarity_matrix", "ssm", "svcca",
]  # fmt: skip
