"""Colours safe for the colour-blind (Okabe and Ito 2008) and plain axes, for all figures of the report."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

#: one meaning a colour: what a neuron does to others; correlations above and below 0; a prediction, and everything else
EXCITATORY, INHIBITORY, NEUTRAL = "#0072B2", "#D55E00", "#5f6a75"
POSITIVE, NEGATIVE = "#1b7837", "#762a83"
ACCENT, BAND = "#1b1f24", "#dfe3e8"
BY_SIGN = {1: EXCITATORY, -1: INHIBITORY, 0: NEUTRAL}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
DIVERGING = {
    "weights": ("#6b2c00", INHIBITORY, "#f3c6a5", "#ffffff", "#a3cbe6", EXCITATORY, "#00324f"),
    "correlation": ("#3f0d47", NEGATIVE, "#d3b5da", "#ffffff", "#b5dcbc", POSITIVE, "#00391a"),
}

RC: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a939c",
    "axes.labelcolor": "#1b1f24",
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.color": "#444c55",
    "ytick.color": "#444c55",
    "legend.frameon": False,
    "svg.hashsalt": "ranvier",
    "text.parse_math": False,  # a name such as $x$ is a name
    "figure.constrained_layout.use": True,
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under the report's settings, without touching the caller's."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        from matplotlib import rc_context

        with rc_context(RC):
            return draw(*args, **kwargs)

    return wrapped


def new(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, outside pyplot's list."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def power_of_ten(value: float, _: float = 0.0) -> str:
    """A tick of a logarithmic axis, such as 10⁻³: matplotlib's own are mathematics, which `RC` switches off."""
    exponent = f"{math.log10(value):.0f}" if value > 0 else ""
    return f"10{exponent.translate(_RAISED)}" if exponent and abs(int(exponent)) > 2 else f"{value:g}"


def without(message: str, width: float = 6.0, height: float = 1.6) -> Figure:
    """A figure that says why there is nothing to see in it."""
    figure = new(width, height)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", color=NEUTRAL, fontsize=11, transform=axes.transAxes)
    return figure


def panels(titles: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each title, three a row."""
    columns = min(3, len(titles))
    rows = -(-len(titles) // columns)
    figure = new(3.5 * columns, 2.15 * rows + 0.3)
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True).ravel())
    for each, title in zip(axes, titles, strict=False):
        each.set_title(title, fontsize=8)
    for each in axes[len(titles) :]:
        each.set_visible(False)
    return figure, axes[: len(titles)]
