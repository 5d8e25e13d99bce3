"""Predicted beside simulated: rates and correlations, pair by pair, against the sampling error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _comparison_figures as figures
from ._sections import Picture, Section, Table, count, short

Array = NDArray[np.float64]

#: predictions over a window solve at many frequencies; above so many neurons they are made at frequency 0
MAX_WINDOWED = 300
_SHOWN = 9


@dataclass(frozen=True)
class Comparison:
    """A simulation and the prediction of it.

    `seen_rates`, `rate_errors`, `told_rates` (N,) in Hz; `seen`, `errors`, `told` (P,) are correlation
    coefficients of spike counts in windows of `window` ms of the pairs i < j of `neurons`, in the order of
    `numpy.triu_indices`; `sampling` is the mean square of their sampling errors. `predicted_window` is the
    window of the prediction, infinity for long ones.
    `pairs` (Q, 2), `lags` (L,) in ms, `seen_lags`, `lag_errors`, `told_lags` (L, Q) in Hz²: chosen pairs.
    """

    network: Any
    window: float
    predicted_window: float
    neurons: NDArray[np.int64]
    seen_rates: Array
    rate_errors: Array
    told_rates: Array
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
        ratio = self.told_rates / np.where(self.seen_rates > 0, self.seen_rates, np.nan)
        explained, most = self.explained
        expected = {1.0: 0.683, 2.0: 0.954, 3.0: 0.997}
        rows = [
            ("mean rate, simulated (Hz)", f"{self.seen_rates.mean():.3f} ± {_of_mean(self.rate_errors):.3f}"),
            ("mean rate, predicted (Hz)", f"{self.told_rates.mean():.3f}"),
            ("rate of a neuron, predicted over simulated: median", f"{np.nanmedian(ratio):.4f}"),
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
        names = self.network.names if self.network is not None else [str(k) for k in range(len(self.told_rates))]
        long = math.isinf(self.predicted_window)
        what = "of long windows (frequency 0)" if long else f"in windows of {self.window:g} ms"
        text = (
            "Theory foretells the rates and correlations from the wiring and the neurons alone, without "
            "simulating: stationary rates by the Fokker–Planck equation, self-consistently; correlations by "
            f"linear response. Here they stand beside the simulation, {count(len(self.seen))} pairs {what}."
        )
        parts: list[Picture | Table] = [
            Picture(
                figures.rates(self.told_rates, self.seen_rates, self.rate_errors),
                "Rates (Hz), one point a neuron, with the standard error of the simulation (the mean one where there "
                "are many). On the line they agree.",
                heavy=len(self.told_rates) > 1000,
            ),
            Picture(
                figures.pairs(self.told, self.seen, self.errors),
                "Left: correlation coefficients of spike counts, all pairs; darker where there are more. The scatter "
                "is mostly the sampling error of a single pair. Right: the same pairs in groups of similar "
                "prediction; averages with two standard errors, in which that error cancels.",
                heavy=True,
            ),
        ]
        if len(self.pairs):
            titles = [f"{short(names[i])}  ·  {short(names[j])}" for i, j in self.pairs]
            parts.append(
                Picture(
                    figures.lags(self.lags, self.seen_lags, self.lag_errors, self.told_lags, titles),
                    "Cross-correlations (Hz²) of the pairs of the strongest prediction. Dots: simulated, with two "
                    "standard errors; line: predicted. To the right of 0 the first neuron comes first.",
                )
            )
        parts.append(Table(("", ""), self.table()))
        return Section("Predicted beside simulated", [text], parts)

    def save(self, path: str | Path, title: str = "Predicted beside simulated") -> Path:
        """Write the comparison alone as a self-contained page, atomically."""
        from ._page import write_sections

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
    """Compare a `Recording` with a `Prediction` of the same network.

    Parameters
    ----------
    window
        ms, of the spike counts whose correlations are compared. Above 300 neurons the prediction is that of
        long windows, one solve instead of hundreds; windows well above the correlation time then agree with it.
    skip
        ms left out at the start of the recording (at most a tenth of it).
    neurons
        Global indices, ascending: the pairs among them are compared (default: all that fired).
    shown
        So many pairs, those of the strongest prediction, are compared at every lag.

    Raises
    ------
    ValueError
        for recordings and predictions of different sizes, or too short a recording.
    """
    told_rates = _array(told.rates())
    if seen.n_neurons != len(told_rates):
        raise ValueError(
            f"the recording has {seen.n_neurons} neurons, the prediction {len(told_rates)}; "
            "expected a simulation and a prediction of the same network"
        )
    skip = min(skip, seen.duration / 10)
    after = seen.after(seen.start + round(skip / seen.dt) * seen.dt) if skip > 0 else seen
    if after.duration < 20 * window:
        raise ValueError(
            f"the recording holds {after.duration:g} ms after its first {skip:g} ms; expected at least "
            f"20 windows of {window:g} ms: simulate longer"
        )
    rates, rate_errors = (_array(a) for a in after.rates(return_error=True))
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
        network=seen.network,
        window=window,
        predicted_window=predicted_window,
        neurons=among,
        seen_rates=rates,
        rate_errors=rate_errors,
        told_rates=told_rates,
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
