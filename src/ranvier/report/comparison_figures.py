"""Pictures of a prediction beside a simulation; functions of plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.report._parts import NOTHING
from ranvier.report._style import ACCENT, NEUTRAL, new, panels, styled, without

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


@styled
def levels(predicted: Array, simulated: Array, errors: Array, what: str) -> Figure:
    """Simulated against predicted levels (N,); `what` names them and their unit."""
    figure = new(4.6, 4.2)
    axes = figure.subplots()
    _diagonal(axes, predicted, simulated)
    if len(predicted) > 300:
        axes.plot(predicted, simulated, "o", ms=2, mew=0, color=NEUTRAL, alpha=0.3)
        corner = axes.transAxes
        low, high = axes.get_ylim()
        height = float(errors.mean()) / (high - low)
        axes.errorbar([0.93], [0.08], [height], fmt="o", ms=2.5, lw=1, color=NEUTRAL, transform=corner)
    else:
        axes.errorbar(predicted, simulated, errors, fmt="o", ms=2.5, lw=0.5, color=NEUTRAL, alpha=0.8)
    axes.set_xlabel(f"predicted {what}")
    axes.set_ylabel(f"simulated {what}")
    return figure


@styled
def pairs(predicted: Array, simulated: Array, errors: Array, groups: int = 25) -> Figure:
    """Simulated against predicted correlations (P,): all pairs, and averages of pairs of like prediction."""
    from matplotlib.colors import LogNorm

    if not len(predicted):
        return without(NOTHING)
    centres, means, spread = grouped(predicted, simulated, groups)
    figure = new(9.6 if len(centres) else 4.8, 4.3)
    left, *rest = figure.subplots(1, 2 if len(centres) else 1, squeeze=False)[0]
    span = 4.5 * float(np.median(errors)) + float(np.abs(simulated).max()) * 0.15 + 1e-9
    low = min(np.quantile(simulated, 1e-4), predicted.min(), -span / 3)
    high = max(np.quantile(simulated, 1 - 1e-4), predicted.max(), span / 3)
    if len(predicted) > 3000:
        wide = max(float(np.ptp(predicted)), 1e-6) / 2  # all the same where nothing is connected
        centre = float(predicted.min() + predicted.max()) / 2
        extent = (centre - wide, centre + wide, float(low), float(high))
        left.hexbin(predicted, simulated, gridsize=70, norm=LogNorm(), cmap="Greys", extent=extent, linewidths=0.1)
    else:
        left.plot(predicted, simulated, "o", ms=2, color=NEUTRAL, alpha=0.4)
    left.plot([predicted.min(), predicted.max()], [predicted.min(), predicted.max()], color=ACCENT, lw=1, label="equal")
    left.set_ylim(low, high + 0.03 * (high - low))  # the uppermost mark is whole
    left.set_title("all pairs")
    label = "average, ± 2 standard errors"
    for right in rest:
        right.axline((0, 0), slope=1, color=ACCENT, lw=1, label="equal")
        right.errorbar(centres, means, 2 * spread, fmt="o", ms=4, lw=1.2, color=NEUTRAL, label=label)
        right.legend(loc="upper left")
        right.set_title("averages of pairs of like prediction")
    for axes in (left, *rest):
        axes.set_xlabel("predicted correlation")
    left.set_ylabel("simulated correlation")
    return figure


def grouped(predicted: Array, simulated: Array, groups: int) -> tuple[Array, Array, Array]:
    """Means of `simulated` over groups of like `predicted`, and their standard errors: (centres, means, errors).

    Half of the groups hold equal numbers of pairs; the others split the range evenly, so that the few
    strong pairs have theirs.
    """
    even = np.quantile(predicted, np.linspace(0, 1, groups // 2 + 1))
    wide = np.linspace(predicted.min(), predicted.max(), groups // 2 + 1)
    edges = np.unique(np.concatenate([even, wide]))
    if len(edges) == 1:  # one prediction for all
        edges = np.append(edges, edges + 1)
    place = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, len(edges) - 2)
    number = np.bincount(place, minlength=len(edges) - 1)
    keep = number >= 5
    safe = np.maximum(number, 1)
    centres = np.bincount(place, predicted, minlength=len(number)) / safe
    means = np.bincount(place, simulated, minlength=len(number)) / safe
    squares = np.bincount(place, simulated**2, minlength=len(number)) / safe
    errors = np.sqrt(np.maximum(squares - means**2, 0) / np.maximum(number - 1, 1))
    return centres[keep], means[keep], errors[keep]


@styled
def lags(at: Array, simulated: Array, errors: Array, predicted: Array, titles: Sequence[str], what: str) -> Figure:
    """One panel a pair: simulated (L, P) with two standard errors, and the predicted line."""
    figure, each = panels(titles)
    for k, axes in enumerate(each):
        axes.axvline(0, color="#c3c9d0", lw=0.8)
        axes.axhline(0, color="#c3c9d0", lw=0.8)
        axes.errorbar(at, simulated[:, k], 2 * errors[:, k], fmt="o", ms=2, lw=0.7, color=NEUTRAL, label="simulated")
        axes.plot(at, predicted[:, k], color=ACCENT, lw=1.4, label="predicted")
        axes.margins(x=0.02)
    each[0].legend(fontsize=7)
    figure.supxlabel("lag (ms)", fontsize=9)
    figure.supylabel(what, fontsize=9)
    return figure


def _diagonal(axes: Any, predicted: Array, simulated: Array) -> None:
    low, high = min(predicted.min(), simulated.min()), max(predicted.max(), simulated.max())
    pad = 0.05 * (high - low) + 1e-9
    axes.plot([low - pad, high + pad], [low - pad, high + pad], color=ACCENT, lw=1)
