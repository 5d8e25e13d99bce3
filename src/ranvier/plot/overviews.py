"""One figure of whatever a result is: the pictures that show most of it, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from ranvier import Network
from ranvier.engines import Recording, StateTrace
from ranvier.engines.recording.weights import WeightTrace
from ranvier.nn import LayerMonitor
from ranvier.plot import activity, models, monitors, networks, results
from ranvier.recordings import Session
from ranvier.theory import Prediction
from ranvier.theory.network.graded import GradedPrediction
from ranvier.theory.populations.prediction import PopulationPrediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMPARED = 400  # neurons up to which all pairs are correlated
WINDOW = 100.0  # ms, of counts that are correlated: recordings shorter than two have no correlations and spectra


def overview(of: Any, *, f: Any = None) -> Figure:
    """A figure of a Recording, a Session, any prediction, a Comparison, a trace or a Network; of what `rv.fit` returns,
    a LayerMonitor, or a model after a backward pass: its gradients; and of each result that `rv.plot.curves` draws.

    f: frequencies (F,) in Hz of spectra, by default 1 to 100. Correlations and spectra are drawn of up to 400 neurons,
    and of recordings of 200 ms and more.
    Raises TypeError for something else.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 5, "cells", drive=20.0, noise=3.0)
    >>> len(rv.plot.overview(rv.simulate(net, 2000.0)).axes)  # four pictures and a scale
    5
    """
    from matplotlib import pyplot

    draws = _pictures(of, np.linspace(1.0, 100.0, 100) if f is None else f)
    rows = -(-len(draws) // 2)
    columns = min(2, len(draws))
    size = 5.2 * columns, 3.6 * rows
    figure, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for draw, ax in zip(draws, axes.ravel()):
        draw(ax)
    for ax in axes.ravel()[len(draws) :]:
        ax.set_visible(False)
    return figure


def _pictures(of: Any, f: Any) -> list[Callable[[Axes], Any]]:
    if isinstance(of, Recording | Prediction):
        draws: list[Callable[[Axes], Any]] = [lambda ax: activity.rates(of, ax=ax)]
        if isinstance(of, Recording):
            draws.insert(0, lambda ax: activity.raster(of, ax=ax))
            draws += [_trace_of(of, name) for name in list(of.states)[:2]]
        long = isinstance(of, Prediction) or of.duration >= 2 * WINDOW
        if 1 < of.n_neurons <= COMPARED and long:
            draws.append(lambda ax: activity.correlation(of, WINDOW, ax=ax))
        if of.n_neurons <= COMPARED and long:
            draws.append(lambda ax: activity.spectrum(of, f, ax=ax))
        return draws
    if isinstance(of, Session):
        if of.spikes is None:
            return [lambda ax: results.activity_map(of, ax=ax)]
        return [lambda ax: activity.raster(of, ax=ax), lambda ax: activity.rates(of, ax=ax)]
    if isinstance(of, PopulationPrediction):
        return [lambda ax: results.population_rates(of, ax=ax), lambda ax: activity.spectrum(of, f, ax=ax)]
    if isinstance(of, LayerMonitor):
        spiking = any(np.isfinite(row).any() for row in of.rates.values())
        lines: list[Callable[[Axes], Any]] = [lambda ax: monitors.layer_gradients(of, ax=ax)]
        return [lambda ax: monitors.layer_rates(of, ax=ax), *lines] if spiking else lines
    if hasattr(of, "_curves"):
        return [lambda ax: results.curves(of, ax=ax)]
    if isinstance(of, GradedPrediction):
        return [lambda ax: networks.voltages(of, ax=ax)]
    if networks.is_comparison(of):
        return [lambda ax: networks.comparison(of, ax=ax), lambda ax: networks.comparison(of, what="pairs", ax=ax)]
    if isinstance(of, StateTrace):
        return [lambda ax: activity.trace(of, ax=ax)]
    if isinstance(of, WeightTrace):
        return [lambda ax: activity.weights(of, ax=ax)]
    if isinstance(of, Network):
        return [lambda ax: networks.wiring(of, ax=ax)]
    if isinstance(of, nn.Module):
        return [lambda ax: models.gradients(of, ax=ax)]
    if models.is_history(of) and of:
        return [lambda ax: models.training(of, ax=ax)]
    raise TypeError(
        f"of is {type(of).__name__}; expected a Recording, Session, prediction, Comparison, trace or Network, what "
        "rv.fit returns, a LayerMonitor, a model with gradients, or a result with curves"
    )


def _trace_of(recording: Recording, name: str) -> Callable[[Axes], Any]:
    def draw(ax: Axes) -> None:
        activity.trace(recording.states[name], ax=ax)
        ax.set_ylabel(name)

    return draw


__all__ = ["overview"]
