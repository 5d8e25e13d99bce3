"""Predicted beside simulated: rates and correlations, pair by pair, against the sampling error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ranvier.report import comparison_figures as figures
from ranvier.report._activity import activity_of, lagged, trace
from ranvier.report._parts import Picture, Section, Table, count, short

Array = NDArray[np.float64]

#: predictions over a window solve at many frequencies; above so many neurons they are made at frequency 0
MAX_WINDOWED = 300
_SHOWN = 9


@dataclass(frozen=True)
class Comparison:
    """A simulation and the prediction of it.

    `seen_levels`, `level_errors`, `told_levels` (N,) are rates in Hz, or, of graded neurons, mean voltages in
    mV (`kind`); `seen`, `errors`, `told` (P,) are correlation coefficients, of spike counts in windows of
    `window` ms or of voltages, of the pairs i < j of `neurons`, in the order of
    `numpy.triu_indices`; `sampling` is the mean square of their sampling errors. `predicted_window` is the
    window of the prediction, infinity for long ones.
    `pairs` (Q, 2), `lags` (L,) in ms, `seen_lags`, `lag_errors`, `told_lags` (L, Q): chosen pairs' cross-
    correlations in Hz², or correlation coefficients of voltages.
    """

    kind: Literal["spikes", "voltages"]
    network: Any
    window: float
    predicted_window: float
    neurons: NDArray[np.int64]
    seen_levels: Array
    level_errors: Array
    told_levels: Array
    seen: Array
    errors: Array
    told: Array
    sampling: float
    pairs: NDArray[np.int64]
    lags: Array
    seen_lags: Array
    lag_errors: Array
    told_lags: Array
    notes: dict[str, str]

    def within(self, errors: float = 2.0) -> float:
        """The fraction of pairs whose prediction lies within so many standard errors of the simulation."""
        return float((np.abs(self.seen - self.told) <= errors * self.errors).mean())

    @property
    def explained(self) -> tuple[float, float]:
        """Of the correlations' variance over pairs, the fraction that the prediction explains, and the most
        that any prediction could: what is left is sampling error."""
        total = float(self.seen.var())
        residual = self.seen - self.told
        return 1 - float((residual**2).mean()) / total, 1 - self.sampling / total

    @property
    def slope(self) -> float:
        """Of the regression of simulated on predicted correlations through their means; 1 if unbiased."""
        centred = self.told - self.told.mean()
        return float(centred @ (self.seen - self.seen.mean()) / (centred @ centred))

    def table(self) -> list[tuple[str, str]]:
        """The figures as (what, value)."""
        explained, most = self.explained
        expected = {1.0: 0.683, 2.0: 0.954, 3.0: 0.997}
        what, unit = ("rate", "Hz") if self.kind == "spikes" else ("voltage", "mV")
        error = _of_mean(self.level_errors)
        rows = [
            (f"mean {what}, simulated ({unit})", f"{self.seen_levels.mean():.3f} ± {error:.3f}"),
            (f"mean {what}, predicted ({unit})", f"{self.told_levels.mean():.3f}"),
            (
                f"{what} of a neuron, predicted less simulated ({unit}): median",
                f"{np.median(self.told_levels - self.seen_levels):.3f}",
            ),
            ("pairs compared", count(len(self.seen))),
            ("mean correlation, simulated", f"{self.seen.mean():.6f}"),
            ("mean correlation, predicted", f"{self.told.mean():.6f}"),
        ]
        rows += [
            (f"pairs within {k:g} standard error{'s' if k > 1 else ''} (chance: {share:.1%})", f"{self.within(k):.1%}")
            for k, share in expected.items()
        ]
        rows += [
            ("slope of simulated on predicted correlations (1: unbiased)", f"{self.slope:.3f}"),
            ("variance over pairs explained, of what sampling allows", f"{explained:.3f} of {most:.3f}"),
        ]
        return rows + list(self.notes.items())

    def section(self) -> Section:
        """The part of a report."""
        names = self.network.names if self.network is not None else [str(k) for k in range(len(self.told_levels))]
        spiking = self.kind == "spikes"
        text = (
            "Theory foretells the rates and correlations from the wiring and the neurons alone, without "
            "simulating: stationary rates by the Fokker–Planck equation, self-consistently; correlations by "
            "linear response. "
            if spiking
            else "Theory foretells the voltages from the wiring and the neurons alone, without simulating: the "
            "network's fixed point, and its fluctuations to first order in the noise (Lyapunov's equation). "
        )
        text += f"Here they stand beside the simulation, {count(len(self.seen))} pairs"
        text += f" in windows of {self.window:g} ms" if spiking else ""
        text += "; the prediction is that of long windows." if math.isinf(self.predicted_window) else "."
        what, unit = ("Rates", "Hz") if spiking else ("Mean voltages", "mV")
        measure = "Cross-correlations (Hz²)" if spiking else "Correlation coefficients of the voltages"
        parts: list[Picture | Table] = [
            Picture(
                figures.levels(self.told_levels, self.seen_levels, self.level_errors, f"{what.lower()} ({unit})"),
                f"{what} ({unit}), one point a neuron, with the standard error of the simulation (the mean one "
                "where there are many). On the line they agree.",
                heavy=len(self.told_levels) > 1000,
            ),
            Picture(
                figures.pairs(self.told, self.seen, self.errors),
                "Left: correlation coefficients, all pairs; darker where there are more. The scatter "
                "is mostly the sampling error of a single pair. Right: the same pairs in groups of similar "
                "prediction; averages with two standard errors, in which that error cancels.",
                heavy=True,
            ),
        ]
        if len(self.pairs):
            titles = [f"{short(names[i])}  ·  {short(names[j])}" for i, j in self.pairs]
            parts.append(
                Picture(
                    figures.lags(self.lags, self.seen_lags, self.lag_errors, self.told_lags, titles, measure),
                    f"{measure} of the pairs of the strongest prediction. Dots: simulated, with two standard "
                    "errors; line: predicted. To the right of 0 the first neuron comes first.",
                )
            )
        parts.append(Table(("", ""), self.table()))
        return Section("Predicted beside simulated", [text], parts)

    def save(self, path: str | Path, title: str = "Predicted beside simulated") -> Path:
        """Write the comparison alone as a self-contained page, atomically."""
        from ranvier.report._page import write_sections

        return write_sections(path, [self.section()], title=title)

    def __repr__(self) -> str:
        lines = "\n".join(f"  {what}: {value}" for what, value in self.table())
        return f"Comparison(\n{lines}\n)"


def compare(
    seen: Any,
    told: Any,
    *,
    window: float = 100.0,
    skip: float = 500.0,
    neurons: NDArray[np.int64] | None = None,
    shown: int = _SHOWN,
) -> Comparison:
    """Compare a `Recording` with what `rv.predict` says of the same network.

    Spiking networks are compared by rates and spike counts; graded ones, whose V must have been recorded of
    all neurons, by voltages.

    Parameters
    ----------
    window
        ms, of the spike counts whose correlations are compared. Above 300 neurons the prediction is that of
        long windows, one solve instead of hundreds; windows well above the correlation time then agree with it.
    skip
        ms left out at the start of the recording (at most a tenth of it).
    neurons
        Global indices (n,), ascending: the pairs among them are compared (default: all that fired).
    shown
        So many pairs, those of the strongest prediction, are compared at every lag.

    Raises
    ------
    ValueError
        for recordings and predictions of different sizes, or too short a recording.
    """
    spiking = hasattr(told, "rates")
    told_levels = _array(told.rates() if spiking else told.mean())
    if seen.n_neurons != len(told_levels):
        raise ValueError(
            f"the recording has {seen.n_neurons} neurons, the prediction {len(told_levels)}; "
            "expected a simulation and a prediction of the same network"
        )
    if not spiking:
        return _compare_voltages(seen, told, told_levels, skip, neurons, shown)
    skip = min(skip, seen.duration / 10)
    after = seen.after(seen.start + round(skip / seen.dt) * seen.dt) if skip > 0 else seen
    if after.duration < 20 * window:
        raise ValueError(
            f"the recording holds {after.duration:g} ms after its first {skip:g} ms; expected at least "
            f"20 windows of {window:g} ms: simulate longer"
        )
    rates, level_errors = (_array(a) for a in after.rates(return_error=True))
    among = np.flatnonzero(rates > 0) if neurons is None else np.asarray(neurons, np.int64)
    upper = np.triu_indices(len(among), k=1)
    correlation, errors = (_array(a)[upper] for a in after.correlation(window, neurons=among, return_error=True))
    sampling = float((errors**2).mean())
    # an error from twenty blocks scatters itself: no pair's is less than independent counts would have
    errors = np.maximum(errors, 1 / math.sqrt(after.duration // window))
    predicted_window = window if len(among) <= MAX_WINDOWED else math.inf
    predicted = _array(told.correlation(predicted_window, neurons=among))[upper]
    order = np.argsort(-np.abs(predicted))[:shown]
    pairs = np.stack([among[upper[0][order]], among[upper[1][order]]], 1)
    lags = np.arange(-20.0, 21.0) * 5.0
    # C_ij(lag): at positive lag j leads, and the page names first who comes first
    turned = pairs[:, ::-1].copy()
    seen_lags, lag_errors = (_array(a) for a in after.cross_correlation(lags, pairs=turned, return_error=True))
    told_lags = _array(told.cross_correlation(lags, pairs=turned))
    return Comparison(
        kind="spikes",
        network=seen.network,
        window=window,
        predicted_window=predicted_window,
        neurons=among,
        seen_levels=rates,
        level_errors=level_errors,
        told_levels=told_levels,
        seen=correlation,
        errors=errors,
        told=predicted,
        sampling=sampling,
        pairs=pairs,
        lags=lags,
        seen_lags=seen_lags,
        lag_errors=lag_errors,
        told_lags=told_lags,
        notes=_notes(told),
    )


def _compare_voltages(
    seen: Any, told: Any, told_levels: Array, skip: float, neurons: NDArray[np.int64] | None, shown: int
) -> Comparison:
    if "V" not in seen.states or len(seen.states["V"].neurons) != seen.n_neurons:
        raise ValueError("the recording has not V of all neurons; expected simulate(..., record='V')")
    among = np.arange(seen.n_neurons) if neurons is None else np.asarray(neurons, np.int64)
    activity = activity_of(seen, skip=skip, neurons=among)
    upper = np.triu_indices(len(among), k=1)
    seen_pairs, errors = activity.correlation[upper], activity.error[upper]
    predicted = _array(told.correlation(neurons=among))[upper]
    order = np.argsort(-np.abs(predicted))[:shown]
    pairs = np.stack([upper[0][order], upper[1][order]], 1)  # places in `among`
    lags = np.arange(-20.0, 21.0) * 25.0
    turned = [(int(j), int(i)) for i, j in pairs]
    seen_lags, lag_errors = lagged(activity.among(), turned, lags)
    involved, places = np.unique(pairs, return_inverse=True)
    places = places.reshape(pairs.shape)
    lagged_covariance = _array(told.cross_covariance(lags, neurons=among[involved]))
    sd = np.sqrt(_array(told.covariance(neurons=among[involved])).diagonal())
    told_lags = lagged_covariance[:, places[:, 1], places[:, 0]] / (sd[places[:, 1]] * sd[places[:, 0]])
    # a mean over time of fluctuations that last: its error from blocks
    values = trace(activity.recording)[1]
    means = np.stack([block.mean(axis=0) for block in np.array_split(values, 20)])
    return Comparison(
        kind="voltages",
        network=seen.network,
        window=0.0,
        predicted_window=0.0,
        neurons=among,
        seen_levels=activity.level,
        level_errors=means.std(axis=0, ddof=1) / math.sqrt(20),
        told_levels=told_levels,
        seen=seen_pairs,
        errors=errors,
        told=predicted,
        sampling=float((errors**2).mean()),
        pairs=among[pairs],
        lags=lags,
        seen_lags=seen_lags,
        lag_errors=lag_errors,
        told_lags=told_lags,
        notes={},
    )


def _notes(told: Any) -> dict[str, str]:
    """What the prediction says of its own reach."""
    report = told.report
    noise = _array(report.recurrent_noise)
    return {
        "spectral radius of the linearised coupling (unstable from 1 on)": f"{report.spectral_radius:.3f}",
        f"variance from recurrent input over that of the noise, mean (counted: {report.counted})": (
            f"{noise.mean() if len(noise) else 0.0:.3f}"
        ),
    }


def _of_mean(errors: Array) -> float:
    return float(np.sqrt((errors**2).sum()) / len(errors))


def _array(value: Any) -> Array:
    return np.asarray(value.detach() if hasattr(value, "detach") else value, dtype=np.float64)
