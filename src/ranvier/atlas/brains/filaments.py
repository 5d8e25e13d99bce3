"""Crossing filaments in a volume: what the metrics for instances of neurons count."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.analysis.filaments import filament_score, overlaps
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size


def measure(
    seed: int, size: Size, shifted: int = 0, cut: bool = True, merge: bool = True, dilate: int = 1
) -> dict[str, Any]:
    """Scores of the truth, of cut, merged and thickened filaments, and of colour clustering as a baseline.

    shifted: voxels by which the perfect and the thick prediction lie beside. cut, merge: whether filaments are.
    dilate: voxels of thickness.
    """
    from scipy.ndimage import binary_dilation

    truth = filaments(seed, {"small": 4, "full": 5}[size])
    perfect = filament_score(overlaps(truth, np.roll(truth, shifted, 2)))
    parts = [piece for k, mask in enumerate(truth) for piece in (halves(mask) if cut and k < 2 else [mask])]
    joined = [truth[0] | truth[1], *truth[2:]] if merge else list(truth)
    fat = np.stack([binary_dilation(m, iterations=dilate) for m in truth]) if dilate else truth
    fat = np.roll(fat, shifted, 2)
    dice = float(np.diag(overlaps(truth, fat).dice).min())
    iou = float(((truth & fat).sum((1, 2, 3)) / (truth | fat).sum((1, 2, 3))).max())
    clusters, volume = colours(truth, seed)
    baseline = filament_score(overlaps(truth, clusters))
    return {
        "perfect": perfect.score, "splits": filament_score(overlaps(truth, parts)).false_splits,
        "merges": filament_score(overlaps(truth, joined)).false_merges, "dice": dice, "iou": iou,
        "baseline": baseline.score, "volume": volume,
    }  # fmt: skip


@lru_cache(maxsize=1)
def filaments(seed: int, number: int) -> np.ndarray:
    """Bent tubes (number, 36, 64, 64) of 2.5 voxels' radius that cross one another in projection."""
    rng = np.random.default_rng(seed)
    shape = (36, 64, 64)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    tubes = []
    for k in range(number):
        angle = np.pi * k / number
        across = 26 * np.array([0, np.sin(angle), np.cos(angle)])
        middle = np.array([4 + 28 * k / (number - 1), 32, 32]) + rng.uniform(-0.5, 0.5, 3)
        bend = middle + rng.uniform(-0.5, 0.5, 3)
        nearest = np.full(shape, np.inf)
        for a, b in ((middle - across, bend), (bend, middle + across)):
            share = np.clip(((grid - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
            nearest = np.minimum(nearest, np.linalg.norm(grid - a - share[..., None] * (b - a), axis=-1))
        tubes.append(nearest <= 2.5)
    return np.stack(tubes)


def halves(mask: np.ndarray) -> list[np.ndarray]:
    """Two pieces with a voxel missing between them, cut across the longest side."""
    places = np.nonzero(mask)
    axis = int(np.argmax([np.ptp(p) for p in places]))
    middle = int(np.median(places[axis]))
    index = np.arange(mask.shape[axis]).reshape([-1 if k == axis else 1 for k in range(3)])
    return [mask & (index < middle), mask & (index > middle)]


def colours(truth: np.ndarray, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """A volume of three colours, unevenly lit and noisy, and its pieces of like colour: a baseline."""
    from scipy.ndimage import gaussian_filter, label

    rng = np.random.default_rng(seed + 1)
    hues = rng.dirichlet([0.5] * 3, len(truth))
    light = 0.6 + 0.4 * gaussian_filter(rng.standard_normal(truth.shape[1:]), 12) * 40
    volume = np.stack([gaussian_filter(np.tensordot(hues[:, c], truth, 1) * light, 0.7) for c in range(3)])
    volume += 0.02 * rng.standard_normal(volume.shape)
    bright = volume.sum(0) > 0.25
    share = volume / np.maximum(volume.sum(0), 1e-6)
    nearest = np.argmin(((share[None] - hues[:, :, None, None, None]) ** 2).sum(1), 0)
    clusters = []
    for k in range(len(truth)):
        pieces, number = label(bright & (nearest == k))
        sizes = np.bincount(pieces.ravel(), minlength=number + 1)
        clusters += [pieces == i for i in range(1, number + 1) if sizes[i] >= 60]
    return clusters, volume


def projection(material: dict[str, Any]) -> Figure:
    """The volume's colours, the brightest along depth."""
    figure, axis = canvas(3.4, 3.4)
    image = material["volume"].max(1).transpose(1, 2, 0)
    axis.imshow(np.clip(image / image.max(), 0, 1))
    axis.set(xticks=[], yticks=[])
    axis.title.set_color(COLOURS[4])
    return figure


MAIS = "Mais et al. (2024)"
register(
    Experiment(
        name="filaments",
        title="Instances of filaments: splits, merges, centre lines",
        paper="L. Mais, P. Hirsch, C. Managan, R. Kandarpa, J. L. Rumberger, A. Reinke, L. Maier-Hein, G. Ihrke and "
        "D. Kainmueller (2024). FISBe: a real-world benchmark dataset for instance segmentation of long-range thin "
        "filamentous structures. CVPR.",
        doi="10.1109/CVPR52733.2024.02093",
        summary="Filaments that cross are drawn in a volume; predictions with known faults are scored. Thickness, "
        "which makes overlap of volumes useless, hardly changes the overlap of centre lines.",
        claims=(
            Claim("A perfect prediction scores 1.", MAIS, "perfect", 1.0, 0.0, "exact", {"shifted": 4}),
            Claim("Two filaments in halves are two false splits.", MAIS, "splits", 2, 0, "exact", {"cut": False}),
            Claim("Two filaments in one are a false merge.", MAIS, "merges", 1, 0, "exact", {"merge": False}),
            Claim("A voxel of thickness costs less than 0.05 of clDice.", MAIS, "dice", AtLeast(0.95), 0.0, "a bound",
                  {"shifted": 4}),
            Claim("It costs more than 0.3 of the volumes' overlap.", MAIS, "iou", AtMost(0.7), 0.0, "a bound",
                  {"dilate": 0}),
        ),
        measure=measure,
        pictures={"Crossing filaments in three colours, from above.": projection},
    )
)  # fmt: skip
