"""Networks, predictions, and predictions beside simulations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ranvier._checks import instance
from ranvier._text import as_label
from ranvier.networks import Network
from ranvier.plot._axes import array, axes_of, colour
from ranvier.theory.network.graded import GradedPrediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranvier.report import Comparison

DOTS = 300  # neurons up to which the wiring is drawn synapse by synapse


def wiring(net: Network, *, ax: Axes | None = None) -> Axes:
    """Who reaches whom: summed weights [target, source] of neurons, or, of more than 300, of populations a target.

    Weights of different units are not added: populations then show the number of synapses a target.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 5, "cells")
    >>> _ = net.connect(cells, cells, weight=1.0, in_degree=2)
    >>> rv.plot.wiring(net).get_xlabel()
    'source'
    """
    instance(net, Network, "net", "a Network, such as recording.network")
    ax = axes_of(ax)
    units = {p.synapse.weight_unit for p in net.projections}
    label = f"summed weight ({units.copy().pop()})" if len(units) == 1 else "synapses"
    if net.size <= DOTS:
        matrix = np.zeros((net.size, net.size))
        for p in net.projections:
            block = p.matrix()
            block = block if len(units) == 1 else block.astype(bool)
            matrix[p.target.slice, p.source.slice] += block.toarray()
    else:
        k = len(net.populations)
        matrix, label = np.zeros((k, k)), f"{label}, a target"
        for p in net.projections:
            total = p.matrix().sum() if len(units) == 1 else p.size
            matrix[p.target.index, p.source.index] += total / p.target.size
        names = [as_label(p.name) for p in net.populations]
        ax.set_xticks(range(k), names, rotation=90)
        ax.set_yticks(range(k), names)
    bound = float(np.abs(matrix).max(initial=0.0)) or 1.0
    picture = ax.imshow(matrix, cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
    ax.figure.colorbar(picture, ax=ax, label=label)
    ax.set(xlabel="source", ylabel="target")
    return ax


def comparison(of: Comparison, *, what: str = "levels", ax: Axes | None = None) -> Axes:
    """Predicted against simulated, of `rv.compare`: "levels" (rates, or mean voltages) with standard errors, or
    "pairs" (correlation coefficients). The line is where they are equal. Raises ValueError for another word.

    >>> net = rv.Network()
    >>> source = net.add(rv.Poisson(50.0), 3)
    >>> recording = rv.simulate(net, 3000.0, dt=1.0, engine="torch")
    >>> rv.plot.comparison(rv.compare(recording, rv.predict(net))).get_xlabel()
    'predicted rate (Hz)'
    """
    if what not in ("levels", "pairs"):
        raise ValueError(f"what is {what!r}; expected 'levels' or 'pairs'")
    if not is_comparison(of):
        raise TypeError(f"of is {type(of).__name__}; expected a Comparison, of rv.compare")
    ax = axes_of(ax)
    x, y, error = (
        (of.predicted_levels, of.simulated_levels, of.level_errors)
        if what == "levels"
        else (of.predicted, of.simulated, of.errors)
    )
    x, y, error = (np.ravel(each) for each in (x, y, error))
    within = np.isfinite(x) & np.isfinite(y)
    if within.any():
        ends = min(x[within].min(), y[within].min()), max(x[within].max(), y[within].max())
        ax.plot(ends, ends, color="0.6", lw=0.8)
        ax.errorbar(x[within], y[within], error[within], fmt=".", ms=3, lw=0.5, color=colour(0), alpha=0.7)
    level = "rate (Hz)" if of.kind == "spikes" else "mean voltage (mV)"
    unit = level if what == "levels" else "correlation"
    ax.set(xlabel=f"predicted {unit}", ylabel=f"simulated {unit}")
    return ax


def voltages(prediction: GradedPrediction, *, ax: Axes | None = None) -> Axes:
    """Predicted mean voltage of each graded neuron, with its standard deviation.

    >>> net = rv.Network()
    >>> cells = net.add(rv.Graded(), 3, noise=2.0)
    >>> rv.plot.voltages(rv.predict(net)).get_ylabel()
    'mean voltage ± SD (mV)'
    """
    instance(prediction, GradedPrediction, "prediction", "what rv.predict says of graded neurons")
    ax = axes_of(ax)
    mean, variance = array(prediction.mean()), array(prediction.covariance()).diagonal()
    ax.errorbar(np.arange(len(mean)), mean, np.sqrt(variance), fmt=".", ms=4, lw=0.7)
    ax.set(xlabel="neuron", ylabel="mean voltage ± SD (mV)")
    return ax


def is_comparison(of: object) -> bool:
    """Whether `of` has what is drawn of a `Comparison`, whose class lies beside this folder."""
    return hasattr(of, "predicted_levels") and hasattr(of, "simulated_levels")
