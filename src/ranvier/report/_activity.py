"""What the report measures in a recording: rates, correlations with their errors, lags, spectra.

Spiking networks answer through spike counts, graded ones through their recorded voltages; from there on the
page treats both alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BLOCKS = 50  # of a voltage trace, for its errors
BLOCKS_OF_COUNTS = 20  # as Recording.correlation has them


@dataclass(frozen=True)
class Activity:
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

    def among(self) -> Activity:
        """The same, with `level` and `spread` of `neurons` alone."""
        return replace(self, level=self.level[self.neurons], spread=self.spread[self.neurons])


def activity_of(
    recording: Any,
    window: float = 100.0,
    skip: float = 500.0,
    neurons: NDArray[np.int64] | None = None,
) -> Activity:
    """Measure a recording; its first `skip` ms (at most a tenth of it) are left out as a transient.

    Pairs are compared among `neurons`, by default all.
    """
    among = np.arange(recording.n_neurons) if neurons is None else neurons
    skip = min(skip, recording.duration / 10)
    skip = round(skip / recording.dt) * recording.dt
    after = recording.after(skip) if skip > 0 else recording
    if len(np.asarray(recording.times)) == 0 and "V" in recording.states:
        values = trace(after)[1]
        correlation, error = _voltage_correlation(values[:, among])
        levels = values.mean(axis=0), values.std(axis=0)
        return Activity("voltages", after, 0.0, *levels, correlation, error, among)
    if after.duration < BLOCKS_OF_COUNTS * window:
        raise ValueError(
            f"the recording holds {after.duration:g} ms after its first {skip:g} ms; expected at least "
            f"{BLOCKS_OF_COUNTS} windows of {window:g} ms: simulate longer"
        )
    pairs = after.correlation(window, neurons=neurons, return_error=True)
    correlation, error = (_array(part) for part in pairs)
    # An error from few blocks scatters itself; among millions of pairs its low ones would look like signals.
    error = np.maximum(error, 1.0 / np.sqrt(after.duration // window))
    levels = _array(after.rates()), _array(after.cv())
    return Activity("spikes", after, window, *levels, correlation, error, among)


def trace(recording: Any) -> tuple[Array, Array]:
    """The recorded voltages: times (T,) in ms and values (T, N) in mV."""
    kept = recording.states["V"]
    return _array(kept.times), _array(kept.values)


def threshold(activity: Activity) -> float:
    """Standard errors beyond which chance puts any pair at all in one recording of twenty (Bonferroni)."""
    from scipy.stats import norm

    size = len(activity.correlation)
    return float(norm.isf(0.025 / max(1.0, size * (size - 1) / 2)))


def standing_out(activity: Activity) -> NDArray[np.bool_]:
    """(pairs,) which of the pairs i < j lie beyond `threshold` standard errors."""
    i, j = np.triu_indices(len(activity.correlation), k=1)
    with np.errstate(invalid="ignore"):
        return np.abs(activity.correlation[i, j]) > threshold(activity) * activity.error[i, j]


def strongest(
    activity: Activity, positive: int, negative: int, of: NDArray[np.int64] | None = None
) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of the largest and of the lowest correlation among those standing out.

    So that one cluster does not fill the list, a neuron is in two of either at most; and, where their classes
    `of` (N,) are given, the same two classes in three.
    """
    i, j = np.triu_indices(len(activity.correlation), k=1)
    values = activity.correlation[i, j]
    sure = np.flatnonzero(standing_out(activity))
    chosen: list[tuple[int, int]] = []
    for sign, wanted in ((1, positive), (-1, negative)):
        ours = sure[sign * values[sure] > 0]
        ours = ours[np.argsort(-sign * values[ours], kind="stable")]
        seen: Counter[int] = Counter()
        between: Counter[frozenset[int]] = Counter()
        for pair in ours:
            a, b = int(i[pair]), int(j[pair])
            classes = frozenset((a, b)) if of is None else frozenset((int(of[a]), int(of[b])))
            if wanted and max(seen[a], seen[b]) < 2 and between[classes] < 3:
                chosen.append((a, b))
                seen.update((a, b))
                between[classes] += 1
                wanted -= 1
    return chosen


def lagged(activity: Activity, pairs: list[tuple[int, int]], lags: NDArray[Any]) -> tuple[Array, Array]:
    """How i follows j at `lags` (ms; positive: j leads): values and standard errors (L, P).

    Spikes: the excess rate (Hz) of i around a spike of j, C_ij(τ)/r_j. Voltages: the correlation coefficient.
    """
    if activity.kind == "voltages":
        return _lagged_voltages(activity, pairs, lags)
    chosen = activity.neurons[np.asarray(pairs)]
    density, error = activity.recording.cross_correlation(lags, pairs=chosen, return_error=True)
    leader = activity.level[[j for _, j in pairs]]
    return _array(density) / leader, _array(error) / leader


def population_spectrum(activity: Activity, groups: dict[str, NDArray[np.int64]]) -> tuple[Array, dict]:
    """Power of each group's summed activity: frequencies (F,) in Hz and a curve for each group.

    Spikes: S(f) of the summed train over the summed rate; independent Poisson trains have 1 at every
    frequency. Voltages: that of the mean voltage, mV²/Hz.
    """
    from scipy.signal import welch

    if activity.kind == "voltages":
        times, values = trace(activity.recording)
        rate = 1000.0 / float(times[1] - times[0])
        series = {name: values[:, members].mean(axis=1) for name, members in groups.items()}
        scale = dict.fromkeys(groups, 0.5)
    else:
        rate = 1000.0
        times, neurons = (np.asarray(part) for part in (activity.recording.times, activity.recording.neurons))
        bins = int(activity.recording.duration)
        start = activity.recording.start
        series, scale = {}, {}
        for name, members in groups.items():
            mine = np.isin(neurons, members)
            counts = np.bincount(((times[mine] - start) // 1.0).astype(np.int64), minlength=bins)[:bins]
            series[name] = counts * rate
            total = counts.sum() / (bins / 1000.0)
            scale[name] = 0.5 / total if total > 0 else np.nan
    length = len(next(iter(series.values())))
    segment = int(min(2.0 * rate, length // 4))
    curves = {}
    for name, one in series.items():
        f, power = welch(one, fs=rate, nperseg=segment, detrend="constant")
        curves[name] = power[1:-1] * scale[name]  # one-sided power holds both signs of f
    return f[1:-1], curves


def _voltage_correlation(values: Array) -> tuple[Array, Array]:
    """Pearson correlation of columns, and its error from the spread over blocks of time."""
    deviation = values.std(axis=0)
    z = (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, np.nan)
    blocks = [block.T @ block / len(block) for block in np.array_split(z, BLOCKS)]
    return z.T @ z / len(z), np.std(blocks, axis=0, ddof=1) / np.sqrt(BLOCKS)


def _lagged_voltages(
    activity: Activity, pairs: list[tuple[int, int]], lags: NDArray[Any]
) -> tuple[Array, Array]:
    times, values = trace(activity.recording)
    shifts = np.round(lags / (times[1] - times[0])).astype(int)
    z = (values[:, activity.neurons] - activity.level) / activity.spread
    result = np.empty((2, len(lags), len(pairs)))
    for p, (i, j) in enumerate(pairs):
        for k, shift in enumerate(shifts):
            late, early = (
                (z[shift:, i], z[: len(z) - shift, j]) if shift >= 0 else (z[:shift, i], z[-shift:, j])
            )
            parts = [part.mean() for part in np.array_split(late * early, BLOCKS)]
            result[:, k, p] = np.mean(late * early), np.std(parts, ddof=1) / np.sqrt(BLOCKS)
    return result[0], result[1]


def _array(value: Any) -> Array:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, dtype=np.float64)
