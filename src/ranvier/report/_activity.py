"""What the report measures in a recording: rates, correlations with their errors, lags, spectra.

Spiking networks answer through spike counts, graded ones through their recorded voltages; from there on the
page treats both alike. Windows, bins and lags are whole numbers of steps, those nearest to what is requested. What
silent or constant neurons have no value of is NaN.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ranvier._steps import nearest_steps

Array = NDArray[np.float64]
BLOCKS = 50  # of a voltage trace, for its errors
BLOCKS_OF_COUNTS = 20  # as Recording.correlation has them
BIN, BIN_OF_VOLTAGES = 5.0, 25.0  # ms, of lags
SPECTRUM_BIN = 1.0  # ms
SKIP = 500.0  # ms


@dataclass(frozen=True)
class ActivitySummary:
    """Statistics of a recording after a transient.

    `level` (N,) is a neuron's mean rate (Hz) or voltage (mV), `spread` its CV or standard deviation (mV);
    `correlation` and its standard `error` are (n, n), of counts in windows of `window` ms or of voltages,
    among `neurons` (n,), global indices: all of them, or a sample of many.
    """

    kind: Literal["spikes", "voltages"]
    recording: Any
    window: float
    level: Array
    spread: Array
    correlation: Array
    error: Array
    neurons: NDArray[np.int64]

    def among(self) -> ActivitySummary:
        """The same, with `level` and `spread` of `neurons` alone."""
        return replace(self, level=self.level[self.neurons], spread=self.spread[self.neurons])


def activity_of(
    recording: Any,
    window: float = 100.0,
    skip: float = SKIP,
    neurons: NDArray[np.int64] | None = None,
) -> ActivitySummary:
    """Measure a recording; its first `skip` ms (at most a tenth of it) are left out as a transient.

    Pairs are compared among `neurons`, by default all.
    """
    among = np.arange(recording.n_neurons) if neurons is None else neurons
    after, window = steady(recording, skip, window)
    if "V" in recording.states and not recording.n_spikes:
        values = trace(after)[1]
        if len(values) < BLOCKS:
            raise ValueError(
                f"the recording holds V at {len(values)} times after its first {after.start:g} ms; expected at least "
                f"{BLOCKS}: simulate longer, or record more often"
            )
        correlation, error = _voltage_correlation(values[:, among])
        levels = values.mean(axis=0), values.std(axis=0)
        return ActivitySummary("voltages", after, 0.0, *levels, correlation, error, among)
    require_windows(after, window)
    pairs = after.correlation(window, neurons=neurons, return_error=True)
    correlation, error = (array(part) for part in pairs)
    # An error from few blocks scatters itself; among millions of pairs its low ones would look like signals.
    error = np.maximum(error, 1.0 / np.sqrt(windows_of(after, window)))
    levels = array(after.rates()), array(after.cv())
    return ActivitySummary("spikes", after, window, *levels, correlation, error, among)


def steady(recording: Any, skip: float, window: float) -> tuple[Any, float]:
    """The recording without its first `skip` ms, at most a tenth of it, and the window as whole steps, in ms."""
    dt = recording.dt
    steps = round(min(skip, recording.duration / 10) / dt)
    after = recording.after(recording.start + steps * dt) if steps > 0 else recording
    return after, nearest_steps(window, dt) * dt


def windows_of(recording: Any, window: float) -> int:
    """How many whole windows of `window` ms the recording holds."""
    return nearest_steps(recording.duration, recording.dt) // nearest_steps(window, recording.dt)


def require_windows(recording: Any, window: float) -> None:
    """Raise ValueError for a recording of too few windows."""
    if windows_of(recording, window) < BLOCKS_OF_COUNTS:
        raise ValueError(
            f"the recording holds {recording.duration:g} ms after its first {recording.start:g} ms; expected at "
            f"least {BLOCKS_OF_COUNTS} windows of {window:g} ms: simulate longer"
        )


def lags_of(recording: Any, kind: Literal["spikes", "voltages"]) -> Array:
    """Lags in ms, −20 to 20 bins, fewer where the recording is short."""
    if kind == "voltages":
        times, values = trace(recording)
        interval = sampling_interval(times, recording)
        bin, reach = nearest_steps(BIN_OF_VOLTAGES, interval) * interval, len(values)
        longest = reach // (4 * nearest_steps(BIN_OF_VOLTAGES, interval))
    else:
        bin = nearest_steps(BIN, recording.dt) * recording.dt
        longest = windows_of(recording, bin) // BLOCKS_OF_COUNTS - 1
    most = max(1, min(20, longest))
    return np.asarray(np.arange(-most, most + 1) * bin, np.float64)


def sampling_interval(times: Array, recording: Any) -> float:
    """Of a trace of voltages, ms, a whole number of steps."""
    return nearest_steps(float(times[1] - times[0]), recording.dt) * recording.dt if len(times) > 1 else recording.dt


def trace(recording: Any) -> tuple[Array, Array]:
    """The recorded voltages: times (T,) in ms and values (T, N) in mV."""
    voltages = recording.states["V"]
    return array(voltages.times), array(voltages.values)


def threshold(activity: ActivitySummary) -> float:
    """Standard errors beyond which chance puts any pair at all in one recording of twenty (Bonferroni)."""
    from scipy.stats import norm

    size = len(activity.correlation)
    return float(norm.isf(0.025 / max(1.0, size * (size - 1) / 2)))


def standing_out(activity: ActivitySummary) -> NDArray[np.bool_]:
    """(pairs,) which of the pairs i < j lie beyond `threshold` standard errors."""
    i, j = np.triu_indices(len(activity.correlation), k=1)
    with np.errstate(invalid="ignore"):
        return np.abs(activity.correlation[i, j]) > threshold(activity) * activity.error[i, j]


def strongest(
    activity: ActivitySummary, positive: int, negative: int, of: NDArray[np.int64] | None = None
) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of the largest and of the lowest correlation among those standing out.

    So that one cluster does not fill the list, a neuron is in two of either at most; and, where their classes
    `of` (N,) are given, the same two classes in three.
    """
    i, j = np.triu_indices(len(activity.correlation), k=1)
    values = activity.correlation[i, j]
    sure = np.flatnonzero(standing_out(activity))
    chosen: list[tuple[int, int]] = []
    for sign, places in ((1, positive), (-1, negative)):
        ours = sure[sign * values[sure] > 0]
        ours = ours[np.argsort(-sign * values[ours], kind="stable")]
        times: Counter[int] = Counter()
        between: Counter[frozenset[int]] = Counter()
        for pair in ours:
            a, b = int(i[pair]), int(j[pair])
            classes = frozenset((a, b)) if of is None else frozenset((int(of[a]), int(of[b])))
            if places and max(times[a], times[b]) < 2 and between[classes] < 3:
                chosen.append((a, b))
                times.update((a, b))
                between[classes] += 1
                places -= 1
    return chosen


def lagged(activity: ActivitySummary, pairs: list[tuple[int, int]], lags: NDArray[Any]) -> tuple[Array, Array]:
    """How i follows j at `lags` (ms; positive: j leads): values and standard errors (L, P).

    Spikes: the excess rate (Hz) of i around a spike of j, C_ij(τ)/r_j. Voltages: the correlation coefficient.
    """
    if activity.kind == "voltages":
        return _lagged_voltages(activity, pairs, lags)
    chosen = activity.neurons[np.asarray(pairs)]
    density, error = activity.recording.cross_correlation(lags, pairs=chosen, return_error=True)
    leader = activity.level[[j for _, j in pairs]]
    return array(density) / leader, array(error) / leader


def population_spectrum(
    activity: ActivitySummary, groups: dict[str, NDArray[np.int64]]
) -> tuple[Array, dict[str, Array]]:
    """Power of each group's summed activity: frequencies (F,) in Hz and a curve for each group that has any.

    Spikes: S(f) of the summed train over the summed rate; independent Poisson trains have 1 at every
    frequency. Voltages: that of the mean voltage, mV²/Hz.
    """
    from scipy.signal import welch

    recording = activity.recording
    if activity.kind == "voltages":
        times, values = trace(recording)
        rate = 1000.0 / sampling_interval(times, recording)
        series = {name: values[:, members].mean(axis=1) for name, members in groups.items()}
        scale = dict.fromkeys(groups, 0.5)
    else:
        bin = nearest_steps(SPECTRUM_BIN, recording.dt) * recording.dt
        rate = 1000.0 / bin
        series = {name: group_counts(recording, members, bin) * rate for name, members in groups.items()}
        scale = {name: 0.5 / one.mean() if one.any() else 0.0 for name, one in series.items()}
    length = len(next(iter(series.values())))
    segment = int(min(2.0 * rate, length // 4))
    f, curves = np.empty(0), {}
    for name, one in series.items():
        if segment < 4 or one.std() <= 1e-9 * np.abs(one).max():
            continue  # silent, constant, or too short to have a spectrum
        f, power = welch(one, fs=rate, nperseg=segment, detrend="constant")
        curves[name] = power[1:-1] * scale[name]  # one-sided power holds both signs of f
    return f[1:-1], curves


def group_counts(recording: Any, members: NDArray[np.int64], bin: float) -> Array:
    """Spikes of these neurons together in consecutive bins of `bin` ms, (bins,)."""
    from ranvier import analysis

    label = np.full(recording.n_neurons, -1)
    label[members] = 0
    return analysis.counts(recording.spikes.group(label), bin)[:, 0].astype(np.float64)


def _voltage_correlation(values: Array) -> tuple[Array, Array]:
    """Pearson correlation of columns, and its error from the spread over blocks of time."""
    z = _standard(values)
    blocks = [block.T @ block / len(block) for block in np.array_split(z, BLOCKS)]
    return z.T @ z / len(z), np.std(blocks, axis=0, ddof=1) / np.sqrt(BLOCKS)


def _standard(values: Array) -> Array:
    """Columns of mean 0 and variance 1; NaN where there is no variance beyond rounding."""
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    return (values - mean) / np.where(deviation > 1e-9 * np.abs(mean) + 1e-12, deviation, np.nan)


def _lagged_voltages(
    activity: ActivitySummary, pairs: list[tuple[int, int]], lags: NDArray[Any]
) -> tuple[Array, Array]:
    times, values = trace(activity.recording)
    shifts = np.rint(lags / sampling_interval(times, activity.recording)).astype(np.int64)
    z = _standard(values[:, activity.neurons])
    result = np.empty((2, len(lags), len(pairs)))
    for p, (i, j) in enumerate(pairs):
        for k, shift in enumerate(shifts):
            late, early = (
                (z[shift:, i], z[: len(z) - shift, j]) if shift >= 0 else (z[:shift, i], z[-shift:, j])
            )
            parts = [part.mean() for part in np.array_split(late * early, BLOCKS)]
            result[:, k, p] = np.mean(late * early), np.std(parts, ddof=1) / np.sqrt(BLOCKS)
    return result[0], result[1]


def array(value: Any) -> Array:
    """Any tensor or array as float64 on the CPU."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, dtype=np.float64)
