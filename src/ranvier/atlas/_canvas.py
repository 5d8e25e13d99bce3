"""A plain figure for an entry's pictures: thin axes, colours safe for the colour-blind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

#: blue, orange, green, purple, and two greys (Okabe and Ito 2008)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#1b1f24", "#8a939c")

#: matplotlib's settings while an entry draws and its figure is written
SETTINGS: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": COLOURS[5],
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "ranvier",
}


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """A figure of that size in inches and its axes, (rows, columns), or the one axes there is.

    `options` go to matplotlib's `Figure.subplots`.

    >>> figure, axes = rv.atlas.canvas(6.0, 3.0, 1, 2)
    >>> figure.get_size_inches().tolist(), axes.shape
    ([6.0, 3.0], (1, 2))
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, axes[0, 0] if rows == columns == 1 else axes


def gallery(
    width: float, height: float, rows: np.ndarray, titles: Sequence[str], low: float, high: float
) -> tuple[Figure, Any]:
    """Square images rows (R, K, pixels), white at `low` and black at `high`, a title beside each row.

    Returns the figure and its axes (R, K).

    >>> figure, axes = rv.atlas.gallery(4.0, 3.0, np.zeros((2, 3, 64)), ["first", "second"], 0.0, 1.0)
    >>> axes.shape, axes[1, 0].get_ylabel()
    ((2, 3), 'second')
    """
    figure, axes = canvas(width, height, *rows.shape[:2])
    side = math.isqrt(rows.shape[2])
    for axis, image in zip(axes.flat, rows.reshape(-1, side, side), strict=True):
        axis.imshow(image, cmap="Greys", vmin=low, vmax=high)
        axis.set(xticks=[], yticks=[])
        for edge in axis.spines.values():
            edge.set(visible=True, color=COLOURS[5], lw=0.5)
    for axis, title in zip(axes[:, 0], titles, strict=True):
        axis.set_ylabel(title, rotation=0, ha="right", va="center")
    return figure, axes
