"""The pictures of the report; each function takes plain arrays and returns a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.report._parts import NOTHING, short
from ranvier.report._style import (
    ACCENT,
    BAND,
    BY_SIGN,
    DIVERGING,
    EXCITATORY,
    INHIBITORY,
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    new,
    panels,
    power_of_ten,
    styled,
    without,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]


NAMED = 40  # neurons that are named on the axes


@styled
def class_matrix(
    image: Array,
    means: Array,
    classes: Sequence[str],
    bounds: Array,
    labels: tuple[str, str],
    axes_labels: tuple[str, str] = ("", ""),
    colours: str = "weights",
    names: Sequence[str] = (),
) -> Figure:
    """A matrix ordered by class as an image (P, P), and beside it its mean for each pair of classes (K, K).

    `bounds` (K + 1,) says where the classes begin, `labels` names the two colour scales. Colours are
    symmetric about 0 on a square-root scale, so that weak entries show, those of `weights` or `correlation`. At most
    NAMED neurons are named on the axes (`names`, in the image's order).
    """
    several = len(classes) > 1
    if not np.isfinite(image).any():
        return without(NOTHING)
    figure = new(10.5 if several else 6.0, 5.0)
    axes = figure.subplots(1, 2 if several else 1, squeeze=False)[0]
    picture = axes[0].imshow(
        image, extent=(0, bounds[-1], bounds[-1], 0), interpolation="nearest", **_colours(image, colours)
    )
    figure.colorbar(picture, ax=axes[0], label=labels[0], shrink=0.8, pad=0.02)
    if 0 < len(names) <= NAMED:
        places = np.arange(len(names)) + 0.5
        axes[0].set_xticks(places, [short(name, 14) for name in names], rotation=90, fontsize=7)
        axes[0].set_yticks(places, [short(name, 14) for name in names], fontsize=7)
    elif several:
        _name_classes(axes[0], classes, bounds)
    if several:
        axes[0].set_title("neurons")
        axes[1].set_title("classes, means")
        picture = axes[1].imshow(means, interpolation="nearest", **_colours(means, colours))
        figure.colorbar(picture, ax=axes[1], label=labels[1], shrink=0.8, pad=0.02)
        axes[1].set_xticks(range(len(classes)), classes, rotation=90, fontsize=7)
        axes[1].set_yticks(range(len(classes)), classes, fontsize=7)
    for each in axes:
        each.spines[:].set_visible(False)
        each.tick_params(length=0)
        pad = 62 if several and each is axes[0] and not 0 < len(names) <= NAMED else None
        each.set_xlabel(axes_labels[0], labelpad=pad)
        each.set_ylabel(axes_labels[1], labelpad=pad)
    return figure


@styled
def raster(
    times: Array,
    rows: Array,
    signs: Array,
    classes: Sequence[str],
    bounds: Array,
    rate: Mapping[str, tuple[Array, Array]],
    window: tuple[float, float],
    names: Sequence[str] = (),
) -> Figure:
    """Spikes (times in s, rows ordered by class, coloured by `signs` of each spike's neuron) above rates.

    `rate` maps a group's name to bin centres (s) and mean rate a neuron (Hz). At most NAMED neurons are named
    (`names`, row by row).
    """
    figure = new(10.5, 6.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    size = 1.2 if bounds[-1] > 600 else 7.0 if bounds[-1] <= NAMED else 4.0
    for sign, colour in BY_SIGN.items():
        mine = signs == sign
        top.plot(
            times[mine], rows[mine], "|" if size > 2 else ",", color=colour, markersize=size, rasterized=True
        )
    top.set(ylim=(bounds[-1] - 0.5, -0.5), xlim=window)
    if 0 < len(names) <= NAMED:
        top.set_yticks(range(len(names)), [short(name, 14) for name in names], fontsize=7)
        top.tick_params(axis="y", length=0)
    elif len(classes) > 1:
        _name_classes(top, classes, bounds, both=False)
    else:
        top.set_ylabel("neuron")
    for name, (at, values) in rate.items():
        bottom.plot(at, values, color=_group_colour(name), lw=0.9, label=name)
    bottom.set(xlabel="time (s)", ylabel="rate (Hz)", ylim=(0, None))
    if len(rate) > 1:
        bottom.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), fontsize=8)
    return figure


@styled
def by_class(values: Sequence[Array], classes: Sequence[str], signs: Sequence[int], label: str) -> Figure:
    """Histograms of one value a neuron, a row a class (values (n,), name, sign), with the class's median."""
    rows = len(classes)
    figure = new(7.0, max(1.8, 0.34 * rows + 0.9))
    axes = figure.subplots()
    every = np.concatenate([v[np.isfinite(v)] for v in values])
    if not len(every):
        return without(NOTHING)
    low, high = every.min(), np.quantile(every, 0.998)
    if high - low < 1e-6 * max(1.0, abs(high)):  # all alike
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high + 1e-9, 61)
    for row, (mine, sign) in enumerate(zip(values, signs)):
        mine = mine[np.isfinite(mine)]
        if not len(mine):
            continue
        counts = np.histogram(np.clip(mine, edges[0], edges[-1]), edges)[0]
        height = 0.85 * counts / max(1, counts.max())
        axes.fill_between(edges[:-1], row - height, row, step="post", color=BY_SIGN[sign], alpha=0.75, lw=0)
        axes.plot([np.median(mine)] * 2, [row - 0.9, row], color="#1b1f24", lw=1.2)
    axes.set_yticks(range(rows), [f"{c}  ({len(v)})" for c, v in zip(classes, values)], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(ylim=(rows - 0.75, -1.1), xlabel=label)
    return figure


@styled
def by_distance(groups: Mapping[str, Array], noise: float, label: str) -> Figure:
    """The spread of pairs' correlations in each group (distance): box 25–75 %, whiskers 2.5–97.5 %, mean.

    groups: (pairs,) by name. `noise` is the typical standard error of one pair; twice it is drawn as a band.
    """
    if not groups:
        return without(NOTHING)
    figure = new(7.6, 3.8)
    axes = figure.subplots()
    axes.axhspan(-2 * noise, 2 * noise, color=BAND, lw=0, label="±2 standard errors of one pair")
    axes.axhline(0, color="#8a939c", lw=0.8)
    for place, (name, values) in enumerate(groups.items()):
        colour = EXCITATORY if "exc" in name else INHIBITORY if "inh" in name else NEUTRAL
        low, q1, q2, q3, high = np.quantile(values, (0.025, 0.25, 0.5, 0.75, 0.975))
        axes.plot([place, place], [low, high], color=colour, lw=1.2)
        axes.bar(place, q3 - q1, 0.5, q1, color=colour, alpha=0.55)
        axes.plot([place - 0.25, place + 0.25], [q2, q2], color=colour, lw=1.5)
        axes.plot(place, values.mean(), "o", color="#1b1f24", ms=4, label="mean" if place == 0 else None)
    names = [f"{name}\n{_count(len(values))}" for name, values in groups.items()]
    axes.set_xticks(range(len(groups)), names, fontsize=8)
    axes.set(ylabel=label, xlabel="synapses on the shortest path between the two, and number of pairs")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8)
    return figure


@styled
def correlograms(
    lags: Array,
    values: Array,
    errors: Array,
    titles: Sequence[str],
    label: str,
    predicted: Array | None = None,
) -> Figure:
    """One panel a pair: `values` (L, P) at `lags` (ms) with a band of two standard errors about 0."""
    figure, axes = panels(titles)
    for panel, each in enumerate(axes):
        each.fill_between(lags, -2 * errors[:, panel], 2 * errors[:, panel], color=BAND, lw=0)
        each.axvline(0, color="#c3c9d0", lw=0.8)
        colour = POSITIVE if values[np.argmax(np.abs(values[:, panel])), panel] > 0 else NEGATIVE
        each.plot(lags, values[:, panel], color=colour, lw=1.2, label="simulated")
        if predicted is not None:
            each.plot(lags, predicted[:, panel], color="#1b1f24", lw=1.0, ls="--", label="predicted")
        each.margins(x=0)
    figure.supxlabel("lag (ms); to the right of 0 the first neuron comes first", fontsize=9)
    figure.supylabel(label, fontsize=9)
    return figure


@styled
def spectrum(f: Array, curves: Mapping[str, Array], label: str, reference: float | None = None) -> Figure:
    """Power against frequency (Hz), averaged in bins of equal ratio; on a linear scale with a `reference`."""
    if not curves:
        return without(NOTHING)
    figure = new(7.6, 3.6)
    axes = figure.subplots()
    if reference is not None:
        axes.axhline(reference, color="#8a939c", ls="--", lw=1, label="independent Poisson trains")
    centre, smooth = smooth_spectrum(f, curves)
    for name, curve in smooth.items():
        axes.plot(centre, curve, color=_group_colour(name), lw=1.4, label=name)
    axes.set(xlabel="frequency (Hz)", ylabel=label, xscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    if reference is None:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(power_of_ten)
    else:
        axes.set_ylim(0, None)
    axes.legend(fontsize=8)
    return figure


def smooth_spectrum(f: Array, curves: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Frequencies and curves averaged in 80 bins of equal ratio."""
    if not curves:
        return f, {}
    place = np.digitize(f, np.geomspace(f[0], f[-1] * 1.001, 80))
    bins = np.unique(place)
    smooth = {name: np.array([curve[place == k].mean() for k in bins]) for name, curve in curves.items()}
    return np.array([f[place == k].mean() for k in bins]), smooth


@styled
def traces(times: Array, values: Array, names: Sequence[str], colours: Sequence[int]) -> Figure:
    """Voltages (T, n) in mV against time (s), a row a neuron, each about its mean, on one common scale."""
    figure = new(10.5, 0.42 * len(names) + 1.0)
    axes = figure.subplots()
    centred = values - values.mean(axis=0)
    largest = float(np.abs(centred).max(initial=0.0))
    flat = largest <= 1e-9 * float(np.abs(values).max(initial=1.0))
    step = 1.0 if flat else 6 * float(np.median(values.std(axis=0))) or 3 * largest
    for row, sign in enumerate(colours):
        axes.plot(times, centred[:, row] - row * step, color=BY_SIGN[sign], lw=0.8, rasterized=True)
    axes.set_yticks(-step * np.arange(len(names)), names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if not flat:
        scale = float(f"{step / 2:.0e}")
        axes.plot([times[-1]] * 2, [0, scale], color="#1b1f24", lw=2, clip_on=False)
        axes.text(times[-1], scale / 2, f"  {scale:g} mV", va="center", fontsize=8)
    axes.set(xlabel="time (s)", xlim=(times[0], times[-1]))
    return figure


def _colours(image: Array, meaning: str) -> dict[str, Any]:
    from matplotlib.colors import FuncNorm, LinearSegmentedColormap

    some = np.abs(image[np.isfinite(image) & (image != 0)])
    limit = float(np.quantile(some, 0.995)) if len(some) else 1.0

    def forward(x: Array) -> Array:
        return np.sign(x) * np.sqrt(np.abs(x))

    def inverse(x: Array) -> Array:
        return np.sign(x) * np.square(x)

    signed = float(np.min(image, where=np.isfinite(image), initial=0.0)) < 0
    colours = DIVERGING[meaning] if signed else DIVERGING[meaning][len(DIVERGING[meaning]) // 2 :]
    return {
        "cmap": LinearSegmentedColormap.from_list("weights", colours),
        "norm": FuncNorm((forward, inverse), vmin=-limit if signed else 0.0, vmax=limit),
    }


def _name_classes(axes: Axes, classes: Sequence[str], bounds: Array, both: bool = True) -> None:
    """Lines between classes, and their names beside the axes, moved apart where they would overlap."""
    size = float(bounds[-1])
    centres = (np.asarray(bounds[:-1]) + np.asarray(bounds[1:])) / 2
    names = _apart(centres, 0.037 * size if both else 0.034 * size, size)
    for edge in bounds[1:-1]:
        axes.axhline(edge, color="#1b1f24", lw=0.25, alpha=0.6)
        if both:
            axes.axvline(edge, color="#1b1f24", lw=0.25, alpha=0.6)
    axes.set_yticks([])
    if both:
        axes.set_xticks([])
    line = {"arrowstyle": "-", "lw": 0.5, "color": "#8a939c", "shrinkA": 1, "shrinkB": 0}
    for name, centre, at in zip(classes, centres, names):
        axes.annotate(
            name, (0, centre), (-0.03, 1 - at / size), xycoords=("axes fraction", "data"),
            textcoords="axes fraction", ha="right", va="center", fontsize=7,
            arrowprops={**line, "relpos": (1, 0.5)},
        )  # fmt: skip
        if both:
            axes.annotate(
                name, (centre, 0), (at / size, -0.03), xycoords=("data", "axes fraction"),
                textcoords="axes fraction", ha="center", va="top", rotation=90, fontsize=7,
                arrowprops={**line, "relpos": (0.5, 1)},
            )  # fmt: skip


def _apart(centres: Array, gap: float, size: float) -> Array:
    """Positions near `centres`, in the same order, at least `gap` apart and within (0, size)."""
    gap = min(gap, size / max(1, len(centres)))
    at = np.maximum.accumulate(np.asarray(centres, float) - gap * np.arange(len(centres)))
    forward = at + gap * np.arange(len(centres))
    back = np.asarray(centres, float) + gap * np.arange(len(centres))[::-1]
    backward = np.minimum.accumulate(back[::-1])[::-1] - gap * np.arange(len(centres))[::-1]
    middle = (forward + backward) / 2
    low, high = gap / 2, size - gap / 2
    for k in range(len(middle)):
        middle[k] = max(middle[k], low + k * gap)
    for k in range(len(middle))[::-1]:
        middle[k] = min(middle[k], high - (len(middle) - 1 - k) * gap)
    return middle


def _group_colour(name: str) -> str:
    return EXCITATORY if name.startswith("exc") else INHIBITORY if name.startswith("inh") else ACCENT


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
