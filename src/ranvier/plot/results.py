"""Other results: whatever has curves, rates of populations, recorded activity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import instance
from ranvier._text import as_label
from ranvier.plot._axes import array, axes_of, colour
from ranvier.recordings import Session
from ranvier.theory.populations.prediction import PopulationPrediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FRAMES = 2000  # columns of a map; of more samples means are drawn


def curves(of: Any, *, ax: Axes | None = None) -> Axes:
    """Lines of a result that has any: a TimePrediction, an Evolution, a Branch, a Signal, a CableRecording, the
    energies of a DescentResult, a QuantisationLoss, a ConversionLoss, a SwimmerEpisode. Of many lines ten are drawn.

    Raises TypeError for a result without lines, ValueError for one whose values were not recorded.

    >>> import ranvier as rv
    >>> signal = rv.recordings.Signal([0.0, 10.0, 20.0], [0.0, 1.0, 4.0], unit="mV")
    >>> rv.plot.curves(signal).lines[0].get_ydata().tolist()
    [0.0, 1.0, 4.0]
    """
    if isinstance(of, type) or not hasattr(of, "_curves"):
        raise TypeError(f"of is {type(of).__name__}; expected a result with curves, such as a TimePrediction, a "
                        "Branch, a Signal or a CableRecording")  # fmt: skip
    drawn = of._curves()
    ax = axes_of(ax)
    for k, (name, values) in enumerate(drawn.y.items()):
        ax.plot(array(drawn.x), array(values), lw=1.0, color=colour(k), label=as_label(name))
    ax.set(xlabel=drawn.xlabel, ylabel=drawn.ylabel)
    if len(drawn.y) > 1:
        ax.legend(fontsize="small", frameon=False)
    return ax


def population_rates(prediction: PopulationPrediction, *, ax: Axes | None = None) -> Axes:
    """A bar a population, of `rv.theory.predict_populations`, in Hz.

    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 50, "cells", drive=12.0, noise=4.0)
    >>> prediction = rv.theory.predict_populations(net)
    >>> bar = rv.plot.population_rates(prediction).patches[0]
    >>> bool(bar.get_height() == prediction.rates()[0])
    True
    """
    instance(prediction, PopulationPrediction, "prediction", "a PopulationPrediction, as of rv.theory")
    ax = axes_of(ax)
    names = [as_label(name) for name in prediction.names]
    ax.bar(range(len(names)), array(prediction.rates()), color=[colour(k) for k in range(len(names))])
    ax.set_xticks(range(len(names)), names, rotation=45 if len(names) > 4 else 0)
    ax.set(ylabel="rate (Hz)")
    return ax


def activity_map(session: Session, *, ax: Axes | None = None) -> Axes:
    """Continuous activity of a `Session`, a row a neuron, a colour a value; of more than 2000 samples, means. What was
    not measured is blank. Raises ValueError for a session of spikes.

    >>> import ranvier as rv
    >>> activity = rv.recordings.Signal([0.0, 10.0], [[1.0, 2.0], [3.0, 4.0]])
    >>> rv.plot.activity_map(rv.recordings.Session(activity=activity)).images[0].get_array().tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    instance(session, Session, "session", "a Session, as of rv.recordings")
    if session.activity is None:
        raise ValueError("the session holds spikes; expected continuous activity: rv.plot.raster draws spikes")
    few = len(session.activity) <= _FRAMES
    signal = session.activity if few else session.binned(session.duration / _FRAMES)
    values = signal.read().reshape(len(signal), -1).T
    ax = axes_of(ax)
    ends = float(signal.times[0]), float(signal.times[-1])
    extent = (*ends, len(values) - 0.5, -0.5) if ends[0] < ends[1] else None
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, (0.01, 0.99)) if finite.size else (0.0, 1.0)
    picture = ax.imshow(values, aspect="auto", interpolation="nearest", extent=extent, vmin=low, vmax=high)
    ax.figure.colorbar(picture, ax=ax, label=as_label(session.activity.unit or "activity"))
    ax.set(xlabel="time (ms)", ylabel="neuron")
    return ax


__all__ = ["activity_map", "curves", "population_rates"]
