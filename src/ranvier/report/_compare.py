"""Compare a recording with what theory predicts of the same network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._progress import reached
from ranvier.analysis import Activity
from ranvier.report._activity import (
    BLOCKS_OF_COUNTS,
    SKIP,
    activity_of,
    array,
    lagged,
    lags_of,
    require_windows,
    steady,
    trace,
    windows_of,
)
from ranvier.report._comparison import Comparison

if TYPE_CHECKING:
    from ranvier.engines import Recording
    from ranvier.theory.network.graded import GradedPrediction

Array = NDArray[np.float64]

#: predictions over a window solve at many frequencies; above this many neurons they are made at frequency 0
MAX_WINDOWED = 300


def compare(
    recording: Recording,
    prediction: Activity | GradedPrediction,
    *,
    window: float = 100.0,
    skip: float = SKIP,
    neurons: ArrayLike | None = None,
    shown: int = 9,
) -> Comparison:
    """Compare a `Recording` with what `rv.predict` says of the same network.

    The prediction is that for the recording's dt and threshold (`Prediction.at_step`), unless it was made with a dt
    of its own.
    Spiking networks are compared by rates and spike counts; graded ones, whose V must have been recorded of
    all neurons, by voltages. Neurons without variance, silent or constant, have no correlations: they are left out
    of the pairs, and counted.

    Parameters
    ----------
    window
        ms, of the spike counts whose correlations are compared; taken as the nearest whole number of steps. Above
        300 neurons the prediction is that of long windows, one solve instead of hundreds; windows well above the
        correlation time then agree with it.
    skip
        ms left out at the start of the recording (at most a tenth of it).
    neurons
        Global indices (n,), ascending: the pairs among them are compared (default: all).
    shown
        This many pairs, those of the strongest prediction, are compared at every lag.

    Raises
    ------
    TypeError
        for a prediction that is none.
    ValueError
        for recordings and predictions of different sizes, too short a recording, and a prediction that is not
        finite.

    Examples
    --------
    >>> net = rv.Network()
    >>> source = net.add(rv.Poisson(50.0), 3)
    >>> recording = rv.simulate(net, 3000.0, dt=1.0, engine="torch")
    >>> comparison = rv.report.compare(recording, rv.predict(net))
    >>> comparison.predicted_levels.round(6).tolist(), comparison.predicted.round(6).tolist()  # independent trains
    ([50.0, 50.0, 50.0], [0.0, 0.0, 0.0])
    """
    spiking = isinstance(prediction, Activity)
    if not spiking and not hasattr(prediction, "cross_covariance"):
        raise TypeError(
            f"prediction is {type(prediction).__name__}; expected what rv.predict returns for constant inputs: "
            "give (recording, prediction)"
        )
    if not hasattr(recording, "duration") or not isinstance(recording, Activity):
        raise TypeError(
            f"recording is {type(recording).__name__}; expected what rv.simulate returns: give (recording, prediction)"
        )
    at_step = getattr(prediction, "at_step", None)
    if at_step is not None and getattr(prediction, "dt", None) == 0.0 and getattr(recording, "dt", None):
        prediction = at_step(recording.dt, threshold=getattr(recording, "manifest", {}).get("threshold", "step"))
    levels = array(prediction.rates() if isinstance(prediction, Activity) else prediction.mean())
    if recording.n_neurons != len(levels):
        raise ValueError(
            f"the recording has {recording.n_neurons} neurons, the prediction {len(levels)}; "
            "expected a simulation and a prediction of the same network"
        )
    _require_finite(levels, "rate" if spiking else "mean voltage")
    among = np.arange(len(levels)) if neurons is None else np.asarray(neurons, np.int64)
    if not isinstance(prediction, Activity):
        return _compare_voltages(recording, prediction, levels, skip, among, shown)
    return _compare_spikes(recording, prediction, levels, window, skip, among, shown)


def _compare_spikes(
    recording: Recording,
    prediction: Activity,
    levels: Array,
    window: float,
    skip: float,
    among: NDArray[np.int64],
    shown: int,
) -> Comparison:
    after, window = steady(recording, skip, window)
    require_windows(after, window)
    reached("counting spikes")
    rates, level_errors = (array(a) for a in after.rates(return_error=True))
    requested = len(among)
    among = among[rates[among] > 0]
    correlation = errors = np.empty((0, 0))
    if len(among) > 1:
        reached("correlations of the simulation")
        correlation, errors = (array(a) for a in after.correlation(window, neurons=among, return_error=True))
        varying = np.isfinite(correlation.diagonal())
        among, correlation, errors = among[varying], correlation[varying][:, varying], errors[varying][:, varying]
    upper = np.triu_indices(len(among), k=1)
    correlation, errors = correlation[upper], errors[upper]
    sampling = float((errors**2).mean()) if len(errors) else math.nan
    # an error from twenty blocks scatters itself: no pair's is less than independent counts would have
    errors = np.maximum(errors, 1 / math.sqrt(windows_of(after, window)))
    predicted_window = window if len(among) <= MAX_WINDOWED else math.inf
    predicted = np.empty(0)
    if len(upper[0]):
        predicted = array(prediction.correlation(predicted_window, neurons=among))[upper]
        _require_finite(predicted, "correlation")
    order = np.argsort(-np.abs(predicted))[:shown]
    pairs = np.stack([among[upper[0][order]], among[upper[1][order]]], 1)
    lags = lags_of(after, "spikes")
    if windows_of(after, lags[1] - lags[0]) // BLOCKS_OF_COUNTS <= len(lags) // 2:
        pairs = pairs[:0]  # too short for any lag
    simulated_lags = lag_errors = predicted_lags = np.empty((len(lags), 0))
    if len(pairs):
        # C_ij(lag): at positive lag j leads, and the page names first who comes first
        turned = pairs[:, ::-1].copy()
        reached("cross-correlations of the simulation")
        simulated_lags, lag_errors = (
            array(a) for a in after.cross_correlation(lags, pairs=turned, return_error=True)
        )
        predicted_lags = array(prediction.cross_correlation(lags, pairs=turned))
    return Comparison(
        kind="spikes",
        network=recording.network,
        window=window,
        predicted_window=predicted_window,
        neurons=among,
        left_out=requested - len(among),
        simulated_levels=rates,
        level_errors=level_errors,
        predicted_levels=levels,
        simulated=correlation,
        errors=errors,
        predicted=predicted,
        sampling=sampling,
        pairs=pairs,
        lags=lags,
        simulated_lags=simulated_lags,
        lag_errors=lag_errors,
        predicted_lags=predicted_lags,
        notes=_notes(prediction),
    )


def _compare_voltages(
    recording: Any, prediction: Any, levels: Array, skip: float, among: NDArray[np.int64], shown: int
) -> Comparison:
    if "V" not in recording.states or len(recording.states["V"].neurons) != recording.n_neurons:
        raise ValueError("the recording has not V of all neurons; expected simulate(..., record='V')")
    activity = activity_of(recording, skip=skip, neurons=among)
    varying = np.isfinite(activity.correlation.diagonal())
    requested, among = len(among), among[varying]
    places = np.flatnonzero(varying)
    upper = np.triu_indices(len(among), k=1)
    simulated, errors = (matrix[varying][:, varying][upper] for matrix in (activity.correlation, activity.error))
    predicted = np.empty(0)
    if len(upper[0]):
        predicted = array(prediction.correlation(neurons=among))[upper]
        _require_finite(predicted, "correlation")
    order = np.argsort(-np.abs(predicted))[:shown]
    pairs = np.stack([upper[0][order], upper[1][order]], 1)  # places in `among`
    lags = lags_of(activity.recording, "voltages")
    simulated_lags = lag_errors = predicted_lags = np.empty((len(lags), 0))
    if len(pairs):
        turned = [(int(places[j]), int(places[i])) for i, j in pairs]
        simulated_lags, lag_errors = lagged(activity, turned, lags)
        predicted_lags = _predicted_lags(prediction, lags, among, pairs)
    # a mean over time of fluctuations that last: its error from blocks
    values = trace(activity.recording)[1]
    means = np.stack([block.mean(axis=0) for block in np.array_split(values, 20)])
    return Comparison(
        kind="voltages",
        network=recording.network,
        window=0.0,
        predicted_window=0.0,
        neurons=among,
        left_out=requested - len(among),
        simulated_levels=activity.level,
        level_errors=means.std(axis=0, ddof=1) / math.sqrt(20),
        predicted_levels=levels,
        simulated=simulated,
        errors=errors,
        predicted=predicted,
        sampling=float((errors**2).mean()) if len(errors) else math.nan,
        pairs=among[pairs],
        lags=lags,
        simulated_lags=simulated_lags,
        lag_errors=lag_errors,
        predicted_lags=predicted_lags,
        notes={},
    )


def _predicted_lags(
    prediction: Any, lags: Array, among: NDArray[np.int64], pairs: NDArray[np.int64]
) -> Array:
    """(L, Q) correlation coefficients of the voltages of pairs, the first leading at positive lags."""
    involved, places = np.unique(pairs, return_inverse=True)
    i, j = places.reshape(pairs.shape).T
    covariance = array(prediction.cross_covariance(lags, neurons=among[involved]))
    sd = np.sqrt(array(prediction.covariance(neurons=among[involved])).diagonal())
    return covariance[:, j, i] / (sd[j] * sd[i])


def _require_finite(values: Array, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(
            f"the prediction's {what} is {values[bad[0]]} at {len(bad)} of {len(values)} places; expected finite "
            "ones: the theory has no answer for this network"
        )


def _notes(prediction: Any) -> dict[str, str]:
    """What the prediction says about its reach."""
    report = prediction.report
    noise = array(report.recurrent_noise)
    return {
        "spectral radius of the linearised coupling (unstable from 1 on)": f"{report.spectral_radius:.3f}",
        f"variance from recurrent input over that of the noise, mean (counted: {report.counted})": (
            f"{noise.mean() if len(noise) else 0.0:.3f}"
        ),
    }
