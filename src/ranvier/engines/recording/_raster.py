"""The raster plot of a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ranvier._checks import instance, number, positive
from ranvier._text import as_label
from ranvier.networks.groups import resolve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ranvier.engines.recording.recording import Recording


def raster(
    recording: Recording, neurons: Any, between: tuple[float, float] | None, ax: Axes | None, size: float
) -> Figure:
    """Draw spikes of the chosen neurons, stacked in the order chosen, coloured by population."""
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    size = positive(size, "size", "points")
    if ax is not None:
        instance(ax, Axes, "ax", "matplotlib Axes, such as plt.subplots()[1]")
    lo, hi = _window(recording, between)
    groups, n = recording.populations, recording.n_neurons
    chosen = np.arange(n) if neurons is None else resolve(neurons, groups, n)
    # Only the part shown is held in memory.
    dt, spikes = recording.dt, recording._spikes.select(chosen)
    first = int(np.clip(np.ceil(lo / dt - 1e-6) - 1 - spikes.start, 0, spikes.n_steps))
    last = int(np.clip(np.floor(hi / dt + 1e-6) - spikes.start, first, spikes.n_steps))
    ((steps, rows),) = spikes.cut([first, last])
    times = (steps + 1 + spikes.start) * dt
    if ax is None:
        ax = Figure(figsize=(8, 4), layout="constrained").add_subplot()
    for k, group in enumerate(groups):
        own = (chosen[rows] >= group.start) & (chosen[rows] < group.start + group.size)
        ax.plot(
            times[own], rows[own], ".", ms=size, mew=0, color=f"C{k % 10}", label=as_label(group.name), rasterized=True
        )
    ax.set(xlim=(lo, hi), ylim=(-0.5, len(chosen) - 0.5), xlabel="time (ms)", ylabel="neuron")
    if len(groups) > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=6 / size)
    return cast("Figure", ax.get_figure(root=True))


def _window(recording: Recording, between: Any) -> tuple[float, float]:
    """(from, to) in ms; ValueError where they are no two finite times in order."""
    if between is None:
        return recording.start, recording.start + recording.duration
    if not isinstance(between, tuple | list) or len(between) != 2:
        raise TypeError(f"between is {between!r:.60}; expected (from, to) in ms")
    lo, hi = (number(x, "an end of between", "ms") for x in between)
    if not lo < hi:
        raise ValueError(f"between is {between}; expected (from, to) in ms with from < to")
    return lo, hi
