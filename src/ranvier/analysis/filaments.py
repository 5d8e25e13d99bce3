"""Instances of filaments, as neurons in a volume: matched by their centre lines, so that thickness counts little.

After FISBe (Mais et al. 2024). Instances may overlap: each has its own mask.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import instance

Mask = NDArray[np.bool_]
THRESHOLDS = tuple(round(0.1 * k, 1) for k in range(1, 10))
SPLIT, MERGE = 0.05, 0.1  # share of a centre line from which a second partner counts


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Of T true and P predicted instances, (T, P): `precision`, the share of a prediction's centre line within a truth,
    and `recall`, the share of a truth's centre line within a prediction; `dice`, their harmonic mean (clDice)."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    _true_lines: tuple[NDArray[np.int64], ...]
    _lines: tuple[NDArray[np.int64], ...]
    _masks: tuple[NDArray[np.int64], ...]

    @property
    def dice(self) -> NDArray[np.float64]:
        """clDice of each pair; 0 where neither lies in the other."""
        total = self.precision + self.recall
        return np.where(total > 0, 2 * self.precision * self.recall / np.where(total > 0, total, 1.0), 0.0)


@dataclass(frozen=True)
class FilamentScore:
    """score: the mean of `average_f1` and `coverage`. average_f1: F1 over thresholds of clDice from 0.1 to 0.9.
    coverage: how much of each truth's centre line lies within the predictions that fit it best. matches: pairs above
    0.5. false_splits, false_merges: further predictions of one truth, and further truths in one prediction."""

    score: float
    average_f1: float
    coverage: float
    matches: int
    dice: float
    false_splits: int
    false_merges: int


def centre_line(mask: ArrayLike) -> Mask:
    """The skeleton of a mask of two or three dimensions, by scikit-image. ImportError without it."""
    volume = np.asarray(mask).astype(bool)
    if volume.ndim not in (2, 3):
        raise ValueError(f"mask has shape {volume.shape}; expected an image or a volume")
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise ImportError(
            'skimage is not installed; expected it for centre lines: pip install "ranvier[brain]"'
        ) from error
    return np.asarray(skeletonize(volume)).astype(bool)


def overlaps(truth: ArrayLike | Sequence[Any], predicted: ArrayLike | Sequence[Any]) -> Overlaps:
    """Centre-line precision and recall of every pair.

    Both are label images (0 is background), or stacks of masks (instances, ...) that may overlap. Raises ValueError for
    other shapes, and for volumes of different size.
    """
    a, b = _instances(truth, "truth"), _instances(predicted, "predicted")
    shapes = {m.shape for m in (*a, *b)}
    if len(shapes) > 1:
        raise ValueError(f"masks have shapes {sorted(shapes)}; expected the same volume for truth and prediction")
    true_lines, lines = ([np.flatnonzero(centre_line(m)) for m in part] for part in (a, b))
    # a blob of a few voxels may thin to nothing: it is its own line
    true_masks, masks = ([np.flatnonzero(m) for m in part] for part in (a, b))
    true_lines = [line if len(line) else mask for line, mask in zip(true_lines, true_masks)]
    lines = [line if len(line) else mask for line, mask in zip(lines, masks)]
    precision, recall = np.zeros((2, len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            precision[i, j] = np.isin(lines[j], true_masks[i], assume_unique=True).mean()
            recall[i, j] = np.isin(true_lines[i], masks[j], assume_unique=True).mean()
    return Overlaps(precision, recall, *(tuple(x) for x in (true_lines, lines, masks)))


def match(pairs: Overlaps, threshold: float = 0.5) -> list[tuple[int, int]]:
    """One-to-one pairs (truth, prediction) with clDice strictly above the threshold, the largest first."""
    instance(pairs, Overlaps, "pairs", "Overlaps: make them by overlaps")
    dice = pairs.dice
    order = np.argsort(-dice, axis=None, kind="stable")
    taken: tuple[set[int], set[int]] = set(), set()
    chosen = []
    for at in order.tolist():
        i, j = divmod(at, dice.shape[1])
        if dice[i, j] <= threshold:
            break
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            chosen.append((i, j))
    return chosen


def filament_score(
    images: Sequence[Overlaps] | Overlaps, *, thresholds: Sequence[float] = THRESHOLDS, partial: bool = False
) -> FilamentScore:
    """The scores of FISBe over one or several images, whose counts are pooled at each threshold.

    partial: of images in which not all filaments are labelled, a prediction without a match is wrong only if it lies
    mostly upon a labelled one. Raises ValueError without any true instance.
    """
    images = [images] if isinstance(images, Overlaps) else list(images)
    truths = sum(len(p._true_lines) for p in images)
    if not truths:
        raise ValueError("there is no true instance; expected at least one to compare with")
    f1 = []
    for threshold in thresholds:
        right = wrong = 0
        for p in images:
            chosen = match(p, threshold)
            matched = {j for _, j in chosen}
            right += len(chosen)
            unmatched = [j for j in range(len(p._lines)) if j not in matched]
            wrong += sum(not partial or bool(p.precision[:, j].max(initial=0.0) > 0.5) for j in unmatched)
        f1.append(2 * right / (truths + right + wrong) if right else 0.0)
    covered = [share for p in images for share in _covered(p)]
    at_half = [p.dice[i, j] for p in images for i, j in match(p, 0.5)]
    splits, merges = (sum(_repeats(p, which) for p in images) for which in ("splits", "merges"))
    average, coverage = float(np.mean(f1)), float(np.mean(covered))
    return FilamentScore((average + coverage) / 2, average, coverage, len(at_half),
                         float(np.mean(at_half)) if at_half else 0.0, splits, merges)  # fmt: skip


def _covered(p: Overlaps) -> list[float]:
    """The share of each truth's centre line within the union of the predictions that fit it best by precision."""
    best = [int(p.precision[:, j].argmax()) if p.precision[:, j].any() else -1 for j in range(len(p._lines))]
    shares = []
    for i, line in enumerate(p._true_lines):
        union = [p._masks[j] for j, k in enumerate(best) if k == i]
        shares.append(float(np.isin(line, np.concatenate(union)).mean()) if union else 0.0)
    return shares


def _repeats(p: Overlaps, which: str) -> int:
    """Pairs beyond the first of each truth ("splits") or prediction ("merges"), the longest overlaps first; each takes
    the voxels of the truth's centre line that it covers, which count no more for others."""
    share = SPLIT if which == "splits" else MERGE
    free = [np.ones(len(line), bool) for line in p._true_lines]
    inside = {(i, j): np.isin(p._true_lines[i], p._masks[j]) for i, j in zip(*np.nonzero(p.recall > share))}
    heap = [(-float(p.recall[pair]), pair) for pair in inside]
    heapq.heapify(heap)
    partners: dict[int, int] = {}
    while heap:
        value, (i, j) = heapq.heappop(heap)
        now = float((inside[i, j] & free[i]).mean())
        if now <= share:
            continue
        if now < -value - 1e-12:  # some of it was taken since
            heapq.heappush(heap, (-now, (i, j)))
            continue
        if which == "splits":
            free[i] &= ~inside[i, j]
        key = i if which == "splits" else j
        partners[key] = partners.get(key, 0) + 1
    return sum(number - 1 for number in partners.values())


def _instances(volume: Any, name: str) -> list[Mask]:
    if isinstance(volume, list | tuple):
        masks = [np.asarray(m).astype(bool) for m in volume]
    else:
        array = np.asarray(volume)
        if array.dtype == bool:
            if array.ndim not in (3, 4):
                raise ValueError(f"{name} has shape {array.shape}; expected masks (instances, ...), of 2 or 3 "
                                 "dimensions each")  # fmt: skip
            masks = list(array)
        elif array.dtype.kind in "iu":
            masks = [array == label for label in np.unique(array) if label > 0]
        else:
            raise TypeError(f"{name} is {array.dtype}; expected whole numbers (labels), or masks (instances, ...)")
    return [m for m in masks if m.any()]


__all__ = ["FilamentScore", "Overlaps", "centre_line", "filament_score", "match", "overlaps"]
