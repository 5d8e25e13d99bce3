"""Pictures of a prediction beside a simulation; functions of plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.report._style import ACCENT, EXCITATORY, INHIBITORY, NEUTRAL, new, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


@styled
def levels(told: Array, seen: Array, errors: Array, what: str) -> Figure:
    """Simulated against predicted levels (N,); `what` names them and their unit."""
    figure = new(4.6, 4.2)
    axes = figure.subplots()
    _diagonal(axes, told, seen)
    if len(told) > 300:
        axes.plot(told, seen, "o", ms=2, mew=0, color=EXCITATORY, alpha=0.3)
        corner = axes.transAxes
        low, high = axes.get_ylim()
        height = float(errors.mean()) / (high - low)
        axes.errorbar([0.93], [0.08], [height], fmt="o", ms=2.5, lw=1, color=NEUTRAL, transform=corner)
    else:
        axes.errorbar(told, seen, errors, fmt="o", ms=2.5, lw=0.5, color=EXCITATORY, alpha=0.8)
    axes.set_xlabel(f"predicted {what}")
    axes.set_ylabel(f"simulated {what}")
    return figure


@styled
def pairs(told: Array, seen: Array, errors: Array, groups: int = 25) -> Figure:
    """Simulated against predicted correlations (P,): all pairs, and averages of pairs of like prediction."""
    from matplotlib.colors import LogNorm

    figure = new(9.6, 4.3)
    left, right = figure.subplots(1, 2)
    span = 4.5 * float(np.median(errors)) + float(np.abs(seen).max()) * 0.15
    low = min(np.quantile(seen, 1e-4), told.min(), -span / 3)
    high = max(np.quantile(seen, 1 - 1e-4), told.max(), span / 3)
    if len(told) > 3000:
        extent = (float(told.min()), float(told.max()), float(low), float(high))
        left.hexbin(told, seen, gridsize=70, norm=LogNorm(), cmap="Blues", extent=extent, linewidths=0.1)
    else:
        left.plot(told, seen, "o", ms=2, color=EXCITATORY, alpha=0.4)
    left.plot([told.min(), told.max()], [told.min(), told.max()], color=ACCENT, lw=1, label="equal")
    left.set_ylim(low, high)
    left.set_title("all pairs")
    centres, means, spread = grouped(told, seen, groups)
    right.axline((0, 0), slope=1, color=ACCENT, lw=1, label="equal")
    label = "average, ± 2 standard errors"
    right.errorbar(centres, means, 2 * spread, fmt="o", ms=4, lw=1.2, color=INHIBITORY, label=label)
    right.legend(loc="upper left")
    right.set_title("pairs of like prediction, averaged")
    for axes in (left, right):
        axes.set_xlabel("predicted correlation")
    left.set_ylabel("simulated correlation")
    return figure


def grouped(told: Array, seen: Array, groups: int) -> tuple[Array, Array, Array]:
    """Means of `seen` over groups of like `told`, and their standard errors: (centres, means, errors).

    Half of the groups hold equal numbers of pairs; the others split the range evenly, so that the few
    strong pairs have theirs.
    """
    even = np.quantile(told, np.linspace(0, 1, groups // 2 + 1))
    wide = np.linspace(told.min(), told.max(), groups // 2 + 1)
    edges = np.unique(np.concatenate([even, wide]))
    place = np.clip(np.searchsorted(edges, told, side="right") - 1, 0, len(edges) - 2)
    number = np.bincount(place, minlength=len(edges) - 1)
    keep = number >= 5
    safe = np.maximum(number, 1)
    centres = np.bincount(place, told, minlength=len(number)) / safe
    means = np.bincount(place, seen, minlength=len(number)) / safe
    squares = np.bincount(place, seen**2, minlength=len(number)) / safe
    errors = np.sqrt(np.maximum(squares - means**2, 0) / np.maximum(number - 1, 1))
    return centres[keep], means[keep], errors[keep]


@styled
def lags(at: Array, seen: Array, errors: Array, told: Array, titles: Sequence[str], what: str) -> Figure:
    """One panel a pair: simulated (L, P) with two standard errors, and the predicted line."""
    figure, each = panels(titles)
    for k, axes in enumerate(each):
        axes.axvline(0, color="#c3c9d0", lw=0.8)
        axes.axhline(0, color="#c3c9d0", lw=0.8)
        axes.errorbar(at, seen[:, k], 2 * errors[:, k], fmt="o", ms=2, lw=0.7, color=NEUTRAL, label="simulated")
        axes.plot(at, told[:, k], color=INHIBITORY, lw=1.6, label="predicted")
        axes.margins(x=0.02)
    each[0].legend(fontsize=7)
    figure.supxlabel("lag (ms)", fontsize=9)
    figure.supylabel(what, fontsize=9)
    return figure


def _diagonal(axes: Any, told: Array, seen: Array) -> None:
    low, high = min(told.min(), seen.min()), max(told.max(), seen.max())
    pad = 0.05 * (high - low) + 1e-9
    axes.plot([low - pad, high + pad], [low - pad, high + pad], color=ACCENT, lw=1)
