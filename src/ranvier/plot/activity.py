"""Recordings and predictions: spikes, variables, rates, correlations, spectra, weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import index_pairs, instance
from ranvier._text import as_label
from ranvier.engines import Recording, StateTrace
from ranvier.engines.recording.weights import WeightTrace
from ranvier.networks.groups import Group, groups_of, resolve
from ranvier.plot._axes import array, axes_of, colour, result_of, span
from ranvier.recordings import Session

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranvier.theory import Prediction
    from ranvier.theory.populations.prediction import PopulationPrediction

    Result: TypeAlias = Recording | Prediction | Session

BLOCKS = 20  # that a standard error is from: a recording of fewer steps has none
MOST = 200_000  # spikes that are drawn; of more, a regular part


def raster(
    recording: Recording | Session, neurons: Any = None, *, start: float | None = None, stop: float | None = None,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Spikes as dots, a row a neuron, silent ones too, populations in different colours.

    neurons: a Population, its name, global indices or a mask (N,); start, stop: ms, by default all of the
    recording. A `Session` of spikes is drawn alike. Of more than 200 000 spikes a regular part is drawn, which the
    title says. Raises TypeError for what is neither, ValueError for neurons that it does not have, for a session of
    continuous activity, and where stop does not come after start.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 5, "cells", drive=20.0)
    >>> rv.plot.raster(rv.simulate(net, 100.0)).get_ylabel()
    'neuron'
    """
    if not isinstance(recording, Session):
        instance(recording, Recording, "recording", "a Recording, as of rv.simulate, or a Session")
    low, high = span(start, stop, recording.start, recording.start + recording.duration)
    chosen = _indices(slice(None) if neurons is None else neurons, recording)
    ax = axes_of(ax)
    times, index = _spikes(recording)
    within = (times >= low) & (times <= high) & np.isin(index, chosen)
    times, index = times[within], index[within]
    every = -(-len(times) // MOST)
    for k, group in enumerate(_groups(recording)):
        if not _within(group, chosen).any():
            continue
        own = _within(group, index)
        ax.plot(times[own][:: max(every, 1)], index[own][:: max(every, 1)], "|", ms=3, color=colour(k),
                label=as_label(group.name))  # fmt: skip
    if every > 1:
        ax.set_title(f"1 of {every} spikes", fontsize="small")
    ax.set(xlabel="time (ms)", ylabel="neuron", xlim=(low, high))
    if len(chosen):
        ax.set_ylim(chosen.min() - 0.5, chosen.max() + 0.5)
    _legend(ax, loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=2)  # beside the spikes
    return ax


def trace(of: StateTrace, *, ax: Axes | None = None, names: Any = None) -> Axes:
    """A state variable over time, a line a neuron, of `recording.states["V"]`; at most ten are labelled.

    names: one a neuron, by default their indices. Raises TypeError for what is no trace, ValueError for another number
    of names.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 2, drive=10.0)
    >>> axes = rv.plot.trace(rv.simulate(net, 5.0, engine="torch", record="V").states["V"])
    >>> len(axes.lines)
    2
    """
    instance(of, StateTrace, "of", "a StateTrace, such as recording.states['V']")
    if isinstance(names, str) or not np.iterable(array(of.neurons) if names is None else names):
        raise TypeError(f"names is {names!r:.60}; expected a list of names, one a neuron")
    times, values = array(of.times), array(of.values)
    labels = [str(n) for n in (array(of.neurons) if names is None else names)]
    if len(labels) != values.shape[1]:
        raise ValueError(f"there are {len(labels)} names for {values.shape[1]} neurons; expected one each")
    ax = axes_of(ax)
    for k, label in enumerate(labels):
        ax.plot(times, values[:, k], lw=0.8, color=colour(k), label=as_label(label) if len(labels) <= 10 else None)
    ax.set(xlabel="time (ms)")
    _legend(ax)
    return ax


def weights(of: WeightTrace, *, ax: Axes | None = None) -> Axes:
    """Weights over time, of `recording.weights.trace(projection)`: their median, quartiles and range.

    >>> net = rv.Network()
    >>> inputs, cell = net.add(rv.Poisson(rate=0.0), 1), net.add(rv.LIF(), 1)
    >>> learned = net.connect(inputs, cell, weight=0.5, edges=([0], [0]), plasticity=rv.rules.STDP())
    >>> recording = rv.simulate(net, 10.0, engine="torch", record=rv.WeightProbe(learned, interval=5.0))
    >>> set(rv.plot.weights(recording.weights.trace(learned)).lines[0].get_ydata().tolist())  # nothing spikes
    {0.5}
    """
    instance(of, WeightTrace, "of", "a WeightTrace, of recording.weights.trace(projection)")
    ax = axes_of(ax)
    times, values = array(of.times), array(of.values)
    low, first, middle, upper, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1], axis=1)
    ax.fill_between(times, low, high, color=colour(0), alpha=0.15, lw=0, label="range")
    ax.fill_between(times, first, upper, color=colour(0), alpha=0.35, lw=0, label="quartiles")
    ax.plot(times, middle, color=colour(0), label="median")
    ax.set(xlabel="time (ms)", ylabel="weight")
    _legend(ax)
    return ax


def rates(result: Result, neurons: Any = None, *, ax: Axes | None = None) -> Axes:
    """Each neuron's rate, with its standard error where the result has one, populations in different colours.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.SpikeTimes([1.0, 2.0], [0, 1]), 2)
    >>> rv.plot.rates(rv.simulate(net, 100.0, dt=1.0, engine="torch")).get_ylabel()
    'rate (Hz)'
    """
    result_of(result, "rates")
    ax = axes_of(ax)
    chosen = None if neurons is None else _indices(neurons, result)
    values, errors = array(result.rates()), None
    if isinstance(result, Recording) and round(result.duration / result.dt) >= BLOCKS:
        errors = array(result.rates(return_error=True)[1])
    for k, group in enumerate(_groups(result)):
        own = np.arange(group.start, group.start + group.size)
        own = own if chosen is None else own[np.isin(own, chosen)]
        if len(own) and errors is not None:
            style: dict[str, Any] = {"fmt": ".", "ms": 4, "lw": 0.7, "color": colour(k), "label": as_label(group.name)}
            ax.errorbar(own, values[own], errors[own], **style)
        elif len(own):
            ax.plot(own, values[own], "_", ms=5, color=colour(k), label=as_label(group.name))
    ax.set(xlabel="neuron", ylabel="rate (Hz)")
    _legend(ax)
    return ax


def correlation(result: Result, window: float = 100.0, *, neurons: Any = None, ax: Axes | None = None) -> Axes:
    """The matrix of correlations of spike counts in windows of `window` ms; the diagonal is left blank.

    >>> net = rv.Network()
    >>> source = net.add(rv.SpikeTimes(np.arange(10.0, 2000.0, 20.0), np.zeros(100)), 2)
    >>> ax = rv.plot.correlation(rv.simulate(net, 2000.0, dt=1.0, engine="torch"), 50.0)
    >>> ax.get_xlabel(), len(ax.images)
    ('neuron', 1)
    """
    result_of(result, "correlation")
    matrix = array(result.correlation(window, **_chosen(neurons))).copy()
    ax = axes_of(ax)
    np.fill_diagonal(matrix, np.nan)
    bound = float(np.nanmax(np.abs(matrix))) if np.isfinite(matrix).any() else 1.0
    picture = ax.imshow(matrix, cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
    ax.figure.colorbar(picture, ax=ax, label=f"correlation of counts in {window:g} ms")
    ax.set(xlabel="neuron", ylabel="neuron")
    return ax


def cross_correlation(
    result: Result, pairs: Any, lags: Any, *, bin: float | None = None, ax: Axes | None = None
) -> Axes:
    """Covariance functions of pairs (P, 2) of neurons at lags (L,) in ms, Hz²; `bin` as of the result's own question.

    >>> net = rv.Network()
    >>> source = net.add(rv.SpikeTimes(np.arange(10.0, 2000.0, 20.0), np.zeros(100)), 2)
    >>> recording = rv.simulate(net, 2000.0, dt=1.0, engine="torch")
    >>> ax = rv.plot.cross_correlation(recording, [(0, 0)], np.arange(-50.0, 51.0, 5.0))
    >>> line = ax.lines[0]
    >>> sorted(line.get_xdata()[np.argsort(line.get_ydata())[-5:]].tolist())  # peaks at the intervals of 20 ms
    [-40.0, -20.0, 0.0, 20.0, 40.0]
    """
    result_of(result, "cross_correlation")
    pairs = index_pairs(pairs)
    values = array(result.cross_correlation(lags, pairs=pairs, bin=bin))
    ax = axes_of(ax)
    for k, (i, j) in enumerate(pairs):
        ax.plot(array(lags), values[:, k], color=colour(k), label=f"{i}, {j}")
    ax.axhline(0.0, color="0.6", lw=0.6)
    ax.set(xlabel="lag (ms)", ylabel="cross-correlation (Hz²)")
    _legend(ax)
    return ax


def spectrum(result: Result | PopulationPrediction, f: Any, *, neurons: Any = None, ax: Axes | None = None) -> Axes:
    """Each neuron's power spectrum at frequencies f (F,) in Hz, and their mean where there are several.

    >>> net = rv.Network()
    >>> source = net.add(rv.Poisson(50.0), 1)
    >>> ax = rv.plot.spectrum(rv.predict(net), [1.0, 10.0, 100.0])
    >>> ax.lines[0].get_ydata().round(6).tolist()  # flat, at the rate
    [50.0, 50.0, 50.0]
    """
    result_of(result, "spectrum")
    matrix = array(result.spectrum(f, **_chosen(neurons)))
    ax = axes_of(ax)
    power = np.real(np.diagonal(matrix, axis1=1, axis2=2))
    ax.plot(array(f), power, color="0.75" if power.shape[1] > 1 else colour(0), lw=0.7)
    if power.shape[1] > 1:
        ax.plot(array(f), power.mean(1), color=colour(0), label=f"mean of {power.shape[1]}")
        _legend(ax)
    ax.set(xlabel="frequency (Hz)", ylabel="power (Hz)")
    return ax


def _groups(result: Any) -> tuple[Group, ...]:
    if hasattr(result, "populations"):
        return tuple(result.populations)
    return groups_of(getattr(result, "network", None), {}, len(result.rates()))


def _spikes(recording: Recording | Session) -> tuple[NDArray[Any], NDArray[Any]]:
    """Times in ms, and neurons."""
    if isinstance(recording, Recording):
        return array(recording.times), array(recording.neurons)
    if recording.spikes is None:
        raise ValueError("the session holds continuous activity; expected spikes: rv.plot.activity_map draws activity")
    steps, neurons = recording.spike_steps()
    return steps * recording.dt, neurons


def _within(group: Group, index: NDArray[Any]) -> NDArray[np.bool_]:
    return (index >= group.start) & (index < group.start + group.size)


def _chosen(neurons: Any) -> dict[str, Any]:
    return {} if neurons is None else {"neurons": neurons}


def _indices(neurons: Any, result: Any) -> NDArray[np.int64]:
    """Global indices of neurons of the result."""
    return resolve(neurons, _groups(result), result.n_neurons)


def _legend(ax: Axes, **place: Any) -> None:
    if len(ax.get_legend_handles_labels()[1]) > 1:
        ax.legend(fontsize="small", frameon=False, **place)
