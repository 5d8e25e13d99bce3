"""FISBe's metrics on crossing filaments drawn in three dimensions: what is planted is counted."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("skimage")
from scipy.ndimage import binary_dilation

from ranvier.analysis.filaments import centre_line, filament_score, match, overlaps

SHAPE = (40, 60, 60)
GRID = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)


def tube(start, stop, radius=2.5):
    a, b = np.array(start, float), np.array(stop, float)
    share = np.clip(((GRID - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
    return np.linalg.norm(GRID - a - share[..., None] * (b - a), axis=-1) <= radius


TRUTH = np.stack([tube((20, 8, 8), (20, 52, 52)), tube((20, 8, 52), (20, 52, 8)), tube((8, 30, 6), (8, 30, 54)),
                  tube((32, 6, 30), (32, 54, 30))])  # fmt: skip


def cut(mask, pieces):
    """Along the longest axis, a voxel or two missing between pieces."""
    axis = int(np.argmax([np.ptp(x) for x in np.nonzero(mask)]))
    low, high = np.nonzero(mask)[axis].min(), np.nonzero(mask)[axis].max()
    edges = np.linspace(low, high + 1, pieces + 1)
    place = GRID[..., axis]
    return [mask & (place >= a + (k > 0)) & (place < b - (k < pieces - 1))
            for k, (a, b) in enumerate(pairwise(edges))]  # fmt: skip


def test_a_perfect_prediction_scores_one_although_filaments_cross():
    assert (TRUTH.sum(0) > 1).any()
    s = filament_score(overlaps(TRUTH, TRUTH))
    assert (s.score, s.average_f1, s.coverage, s.matches, s.dice) == (1.0, 1.0, 1.0, 4, 1.0)
    assert (s.false_splits, s.false_merges) == (0, 0)


@pytest.mark.parametrize("pieces", [2, 3])
def test_cut_filaments_are_false_splits(pieces):
    parts = [*cut(TRUTH[2], pieces), TRUTH[0], TRUTH[1], TRUTH[3]]
    s = filament_score(overlaps(TRUTH, parts))
    assert (s.false_splits, s.false_merges) == (pieces - 1, 0)
    assert s.coverage > 0.95 and s.average_f1 < 1.0
    two = filament_score(overlaps(TRUTH, [*cut(TRUTH[2], 2), *cut(TRUTH[3], 2), TRUTH[0], TRUTH[1]]))
    assert two.false_splits == 2


def test_joined_filaments_are_false_merges():
    s = filament_score(overlaps(TRUTH, [TRUTH[0] | TRUTH[2], TRUTH[1], TRUTH[3]]))
    assert (s.false_merges, s.false_splits) == (1, 0)
    s = filament_score(overlaps(TRUTH, [TRUTH[0] | TRUTH[2], TRUTH[1] | TRUTH[3]]))
    assert s.false_merges == 2


def test_a_voxel_of_thickness_counts_little_for_centre_lines_and_much_for_volumes():
    fat = np.stack([binary_dilation(m) for m in TRUTH])
    dice = np.diag(overlaps(TRUTH, fat).dice)
    iou = (TRUTH & fat).sum((1, 2, 3)) / (TRUTH | fat).sum((1, 2, 3))
    assert (1 - dice).max() < 0.05 and (1 - iou).min() > 0.3


def test_precision_and_recall_by_hand():
    half = [cut(TRUTH[3], 2)[0]]
    pairs = overlaps(TRUTH, half)
    line, own = centre_line(TRUTH[3]), centre_line(half[0])
    assert pairs.recall[3, 0] == pytest.approx((line & half[0]).sum() / line.sum())
    assert pairs.precision[3, 0] == pytest.approx((own & TRUTH[3]).sum() / own.sum())
    p, r = pairs.precision[3, 0], pairs.recall[3, 0]
    assert pairs.dice[3, 0] == pytest.approx(2 * p * r / (p + r))
    assert match(pairs, pairs.dice[3, 0]) == [] and match(pairs, pairs.dice[3, 0] - 1e-9) == [(3, 0)]


def test_unlabelled_filaments_are_forgiven_where_labels_are_partial():
    pairs = overlaps(TRUTH[:2], TRUTH)
    whole, part = filament_score(pairs), filament_score(pairs, partial=True)
    assert part.average_f1 == 1.0 and whole.average_f1 == pytest.approx(2 * 2 / (2 + 4))
    pooled = filament_score([pairs, overlaps(TRUTH, TRUTH)])
    assert pooled.average_f1 == pytest.approx(2 * 6 / (6 + 8))


def test_label_images_nothing_and_mistakes():
    labels = np.zeros(SHAPE, int)
    labels[TRUTH[2]], labels[TRUTH[3]] = 1, 2
    assert filament_score(overlaps(labels, TRUTH[2:])).score == 1.0
    nothing = filament_score(overlaps(labels, np.zeros(SHAPE, int)))
    assert (nothing.score, nothing.false_splits) == (0.0, 0)
    with pytest.raises(ValueError, match="no true instance"):
        filament_score(overlaps(np.zeros(SHAPE, int), labels))
    with pytest.raises(TypeError, match="expected whole numbers"):
        overlaps(labels.astype(float), labels)
    with pytest.raises(ValueError, match="expected the same volume"):
        overlaps(labels, labels[:, :50])
