"""How well a decoder does, what chance would do, and how many bits that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count, reals


@dataclass(frozen=True)
class Score:
    """A score beside what permuted labels give: `value`, the permutations' mean and deviation, and the share p of them
    (with the value itself counted among them) that are as good.
    Returned by `permutation_score`.
    """

    value: float
    chance: float
    spread: float
    p: float

    def __str__(self) -> str:
        return f"{self.value:.3g} (chance {self.chance:.3g} ± {self.spread:.2g}, p = {self.p:.2g})"


def permutation_score(
    score: Callable[[NDArray[Any]], float],
    labels: ArrayLike,
    *,
    permutations: int = 100,
    groups: ArrayLike | None = None,
    shift: bool = False,
    seed: int = 0,
    greater: bool = True,
) -> Score:
    """A score, and that of permuted labels: score(labels) is the whole way, from fitting to testing.

    groups: permute whole groups of labels, (n,), so that trials of one presentation keep the same one. shift: turn a
    series of labels round by a random time instead, which keeps its autocorrelation; for values along a recording.
    greater: whether larger is better; otherwise p counts the smaller. Raises ValueError for labels that differ within a
    group.

    >>> labels = np.arange(40) % 2
    >>> score = rv.analysis.decoding.permutation_score(lambda guess: float((guess == labels).mean()), labels)
    >>> score.value, round(score.chance, 1), round(score.p, 3)  # p: one of 101, the labels themselves
    (1.0, 0.5, 0.01)
    """
    labels = np.asarray(labels)
    rng = np.random.default_rng(seed)
    place, own = np.arange(len(labels)), labels
    if groups is not None:
        place = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
        own = labels[np.unique(place, return_index=True)[1]]
        if (own[place] != labels).any():
            raise ValueError("labels differ within a group; expected one a group: permute without groups")
    value = float(score(labels))
    others = []
    for _ in range(count(permutations, "permutations", 1)):
        if shift:
            margin = max(1, len(labels) // 20)
            others.append(float(score(np.roll(labels, rng.integers(margin, max(margin + 1, len(labels) - margin)), 0))))
        else:
            others.append(float(score(own[rng.permutation(len(own))][place])))
    chance = np.array(others)
    as_good = (chance >= value) if greater else (chance <= value)
    return Score(value, float(chance.mean()), float(chance.std()), (1 + int(as_good.sum())) / (1 + len(chance)))


def accuracy(predicted: ArrayLike, actual: ArrayLike) -> float:
    """Share of labels that are right; `balanced_accuracy` weighs classes alike.

    Examples
    --------
    >>> from ranvier.analysis import decoding
    >>> decoding.accuracy([0, 1, 1, 1], [0, 1, 1, 0])
    0.75
    """
    a, b = _pair(predicted, actual)
    return float((a == b).mean())


def balanced_accuracy(predicted: ArrayLike, actual: ArrayLike) -> float:
    """Mean over classes of the share of each that is right: 1/classes by chance, however often each occurs.

    Examples
    --------
    >>> from ranvier.analysis import decoding
    >>> decoding.balanced_accuracy([1, 1, 1, 1], [0, 1, 1, 1])  # always the frequent class
    0.5
    """
    a, b = _pair(predicted, actual)
    known = b == b  # NaN is no class
    a, b = a[known], b[known]
    if not len(b):
        raise ValueError("actual holds nothing but NaN; expected labels")
    return float(np.mean([(a[b == label] == label).mean() for label in np.unique(b)]))


def circular_error(predicted: ArrayLike, actual: ArrayLike, *, period: float = 2 * np.pi) -> float:
    """Median distance round the circle, in the values' unit; a quarter of the period by chance. NaN are left out.

    Examples
    --------
    >>> from ranvier.analysis import decoding
    >>> round(decoding.circular_error([0.1, 6.2], [6.2, 0.1]), 3)
    0.183
    """
    a, b = _pair(predicted, actual)
    a, b = reals(a, "predicted"), reals(b, "actual")
    known = np.isfinite(a) & np.isfinite(b)
    away = np.abs((a[known] - b[known] + period / 2) % period - period / 2)
    return float(np.median(away)) if known.any() else float("nan")


def explained_variance(predicted: ArrayLike, actual: ArrayLike) -> float:
    """R² = 1 − Σ (y − ŷ)²/Σ (y − ȳ)² over all columns; 0 for the mean of what is tested. NaN rows are left out.

    Examples
    --------
    >>> from ranvier.analysis import decoding
    >>> decoding.explained_variance([2.0, 2.0, 2.0], [1.0, 2.0, 3.0])  # the mean
    0.0
    """
    a, b = reals(predicted, "predicted"), reals(actual, "actual")
    if a.shape != b.shape or a.ndim == 0 or 0 in a.shape:
        raise ValueError(f"predicted has shape {a.shape}, actual {b.shape}; expected the same, (n,) or (n, k)")
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    known = np.isfinite(a).all(1) & np.isfinite(b).all(1)
    a, b = a[known], b[known]
    total = float(((b - b.mean(0)) ** 2).sum()) if len(b) else 0.0
    return 1.0 - float(((b - a) ** 2).sum()) / total if total > 0 else float("nan")


def confusion(predicted: ArrayLike, actual: ArrayLike) -> NDArray[np.int64]:
    """How often each label (row) was taken for each (column), in their sorted order.

    Examples
    --------
    >>> from ranvier.analysis import decoding
    >>> decoding.confusion([0, 1, 1], [0, 0, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    a, b = _pair(predicted, actual)
    names = np.unique(np.concatenate([a, b]))
    size = len(names)
    place = np.searchsorted(names, b) * size + np.searchsorted(names, a)
    return np.bincount(place, minlength=size**2).reshape(size, -1)


def decoded_information(predicted: ArrayLike, actual: ArrayLike) -> float:
    """Mutual information in bits of actual and decoded labels: a lower bound on what the responses tell.

    With the Panzeri–Treves correction of `information.mutual_information`, and never below 0.

    >>> labels = np.arange(4000) % 2
    >>> round(rv.analysis.decoding.decoded_information(labels, labels), 2)  # of two labels, one bit
    1.0
    """
    from ranvier.analysis.information import mutual_information

    a, b = _pair(predicted, actual)
    return max(0.0, mutual_information(b, a))


def _pair(predicted: Any, actual: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    a, b = np.asarray(predicted), np.asarray(actual)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(f"predicted has shape {a.shape}, actual {b.shape}; expected one of each, (n,)")
    return a, b


__all__ = [
    "Score", "accuracy", "balanced_accuracy", "circular_error", "confusion", "decoded_information",
    "explained_variance", "permutation_score",
]  # fmt: skip
