"""Predicted beside simulated: what was compared, as figures, a table and a section of a page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ranvier import _html as html
from ranvier._results import frame
from ranvier._text import printable
from ranvier.files.atomic import require_writable
from ranvier.report import comparison_figures as figures
from ranvier.report._parts import NOTHING, Picture, Section, Table, count, number, of_finite, plural, short
from ranvier.report.explore import charts

Array = NDArray[np.float64]

AVERAGES = (
    " Averages: the same pairs in groups of similar prediction, with two standard errors, in which that error cancels."
)


@dataclass(frozen=True)
class Comparison:
    """A simulation and the prediction of it, as `compare` gives it.

    `simulated_levels`, `level_errors`, `predicted_levels` (N,) are rates in Hz, or, of graded neurons, mean voltages
    in mV (`kind`); `simulated`, `errors`, `predicted` (P,) are correlation coefficients, of spike counts in windows
    of `window` ms or of voltages, of the pairs i < j of `neurons`, in the order of `numpy.triu_indices`; `sampling`
    is the mean square of their sampling errors. `predicted_window` is the window of the prediction, infinity for
    long ones. `pairs` (Q, 2), `lags` (L,) in ms, `simulated_lags`, `lag_errors`, `predicted_lags` (L, Q): chosen
    pairs' cross-correlations in Hz², or correlation coefficients of voltages.

    `left_out` is the number of neurons without variance, silent or constant, which have no correlations. What has no
    value without variance is None: `within`, `explained`, `slope`.
    """

    kind: Literal["spikes", "voltages"]
    network: Any
    window: float
    predicted_window: float
    neurons: NDArray[np.int64]
    left_out: int
    simulated_levels: Array
    level_errors: Array
    predicted_levels: Array
    simulated: Array
    errors: Array
    predicted: Array
    sampling: float
    pairs: NDArray[np.int64]
    lags: Array
    simulated_lags: Array
    lag_errors: Array
    predicted_lags: Array
    notes: dict[str, str]

    def within(self, errors: float = 2.0) -> float | None:
        """The fraction of pairs whose prediction lies within this many standard errors of the simulation; None
        without pairs."""
        if not len(self.simulated):
            return None
        return float((np.abs(self.simulated - self.predicted) <= errors * self.errors).mean())

    @property
    def explained(self) -> tuple[float, float] | None:
        """Of the correlations' variance over pairs, the fraction that the prediction explains, and the most
        that any prediction could: what is left is sampling error. None where the pairs have no variance."""
        total = _variance(self.simulated)
        if total is None:
            return None
        residual = self.simulated - self.predicted
        return 1 - float((residual**2).mean()) / total, 1 - self.sampling / total

    @property
    def slope(self) -> float | None:
        """Of the regression of simulated on predicted correlations through their means; 1 if unbiased. None where
        all predictions are the same."""
        if _variance(self.predicted) is None:
            return None
        centred = self.predicted - self.predicted.mean()
        return float(centred @ (self.simulated - self.simulated.mean()) / (centred @ centred))

    def correlation_of(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> Array:
        """(pairs,) predicted correlation coefficients of pairs of neurons, global indices; NaN for those left out."""
        place = np.full(len(self.predicted_levels), -1)
        size = len(self.neurons)
        place[self.neurons] = np.arange(size)
        low, high = np.minimum(place[i], place[j]), np.maximum(place[i], place[j])
        compared = (low >= 0) & (low < high)
        at = low * size - low * (low + 1) // 2 + high - low - 1
        out = np.full(len(low), np.nan)
        out[compared] = self.predicted[at[compared]]
        return out

    def table(self) -> list[tuple[str, str]]:
        """The figures as (what, value)."""
        expected = {1.0: 0.683, 2.0: 0.954, 3.0: 0.997}
        what, unit = ("rate", "Hz") if self.kind == "spikes" else ("voltage", "mV")
        error = float(np.sqrt((self.level_errors**2).sum()) / len(self.level_errors))
        rows = [
            (f"mean {what}, simulated ({unit})", f"{number(self.simulated_levels.mean(), 3)} ± {number(error, 3)}"),
            (f"mean {what}, predicted ({unit})", number(self.predicted_levels.mean(), 3)),
            (
                f"{what} of a neuron, predicted less simulated ({unit}): median",
                number(np.median(self.predicted_levels - self.simulated_levels), 3),
            ),
            ("pairs compared", count(len(self.simulated))),
            ("mean correlation, simulated", number(of_finite(np.mean, self.simulated), 6)),
            ("mean correlation, predicted", number(of_finite(np.mean, self.predicted), 6)),
        ]
        if self.left_out:
            rows.insert(4, ("neurons left out of the pairs: silent or constant", count(self.left_out)))
        rows += [
            (
                f"pairs within {k:g} standard error{'s' if k > 1 else ''} (chance: {share:.1%})",
                NOTHING if (part := self.within(k)) is None else f"{part:.1%}",
            )
            for k, share in expected.items()
        ]
        explained = self.explained
        rows += [
            ("slope of simulated on predicted correlations (1: unbiased)", number(self.slope, 3)),
            (
                "variance over pairs explained, of what sampling allows",
                NOTHING if explained is None else f"{explained[0]:.3f} of {explained[1]:.3f}",
            ),
        ]
        return rows + list(self.notes.items())

    def section(self, own: bool = False) -> Section:
        """The part of a report; `own`: of one that lists all the neurons itself."""
        spiking = self.kind == "spikes"
        text = (
            "Theory predicts the rates and correlations from the wiring and the neurons alone, without "
            "simulating: stationary rates by the Fokker–Planck equation, self-consistently; correlations by "
            "linear response. "
            if spiking
            else "Theory predicts the voltages from the wiring and the neurons alone, without simulating: the "
            "network's fixed point, and its fluctuations to first order in the noise (Lyapunov's equation). "
        )
        text += f"Here they are beside the simulation, {plural(len(self.simulated), 'pair')}"
        text += f" in windows of {self.window:g} ms" if spiking else ""
        text += "; the prediction is that of long windows." if math.isinf(self.predicted_window) else "."
        if self.left_out:
            text += f" Silent or constant, with {NOTHING}: {plural(self.left_out, 'neuron')}."
        return Section("Predicted beside simulated", [text], [*self._pictures(own), Table(("", ""), self.table())])

    def save(self, path: str | Path, title: str = "Predicted beside simulated") -> Path:
        """Write the comparison alone as a self-contained page, atomically; OSError, at once, where that cannot be."""
        from ranvier.report._page import write_sections

        require_writable(path)
        return write_sections(path, [self.section()], title=title)

    def _pictures(self, own: bool) -> list[Picture]:
        spiking = self.kind == "spikes"
        what, unit = ("Rates", "Hz") if spiking else ("Mean voltages", "mV")
        measure = "Cross-correlations" if spiking else "Correlation coefficients of the voltages"
        lag_axis = "cross-correlation (Hz²)" if spiking else "correlation"
        axis, panels = f"{what.lower()} ({unit})", self._pair_panels()
        pictures = [
            Picture(
                figures.levels(self.predicted_levels, self.simulated_levels, self.level_errors, axis),
                f"{what} ({unit}), one point a neuron, with the standard error of the simulation (the mean one "
                "where there are many). On the line they agree.",
                heavy=len(self.predicted_levels) > 1000,
                panels=[self._levels_panel(axis, own)],
            ),
            Picture(
                figures.pairs(self.predicted, self.simulated, self.errors),
                "Correlation coefficients. All pairs, shaded by their number; the scatter is mostly the sampling error "
                f"of a single pair.{AVERAGES if len(panels) > 1 else ''}",
                heavy=True,
                panels=panels,
            ),
        ]
        if len(self.pairs):
            names = map(str, range(len(self.predicted_levels))) if self.network is None else self.network.names
            names = [short(printable(name)) for name in names]
            titles = [f"{names[i]}  ·  {names[j]}" for i, j in self.pairs]
            pictures.append(
                Picture(
                    figures.lags(
                        self.lags, self.simulated_lags, self.lag_errors, self.predicted_lags, titles, lag_axis
                    ),
                    f"{measure} of the pairs of the strongest prediction. Dots: simulated, with two standard "
                    "errors; line: predicted. To the right of 0 the first neuron comes first.",
                    panels=[
                        charts.lines_panel(
                            self.lags, {"simulated": self.simulated_lags[:, k], "predicted": self.predicted_lags[:, k]},
                            ("lag (ms)", lag_axis), title=title, dots=("simulated",), colours={"simulated": "soft"},
                            errors=2 * self.lag_errors[:, k],
                        ) for k, title in enumerate(titles)
                    ],
                )
            )
        return pictures

    def _levels_panel(self, axis: str, own: bool) -> Mapping[str, Any]:
        """`own`: the page names the neurons, all of them."""
        names = None if own or self.network is None else list(self.network.names)
        return charts.scatter_panel(
            self.predicted_levels, self.simulated_levels, (f"predicted {axis}", f"simulated {axis}"),
            errors=self.level_errors, names=names, own=own,
        )  # fmt: skip

    def _pair_panels(self) -> list[Mapping[str, Any]]:
        if not len(self.predicted):
            return []
        labels = "predicted correlation", "simulated correlation"
        centres, means, spread = figures.grouped(self.predicted, self.simulated, 25)
        panels: list[Mapping[str, Any]] = [charts.density_panel(self.predicted, self.simulated, labels)]
        if len(centres):
            panels.append(charts.scatter_panel(centres, means, labels, title="averages", errors=2 * spread))
        return panels

    def _repr_html_(self) -> str:
        return html.paragraph("Comparison", f"of {plural(len(self.simulated), 'pair')}") + html.table(
            ("", ""), self.table()
        )

    def to_pandas(self, what: str = "levels") -> Any:
        """A row a neuron ("levels": predicted, simulated, error; Hz, or mV), or a pair ("pairs": first, second, and the
        same of its correlation). Raises ValueError for another word, ImportError without pandas."""
        if what not in ("levels", "pairs"):
            raise ValueError(f"what is {what!r}; expected 'levels' or 'pairs'")
        if what == "levels":
            columns = {"predicted": self.predicted_levels, "simulated": self.simulated_levels}
            return frame({**columns, "error": self.level_errors})
        i, j = np.triu_indices(len(self.neurons), k=1)
        ends = {"first": self.neurons[i], "second": self.neurons[j]}
        values = {"predicted": self.predicted, "simulated": self.simulated, "error": self.errors}
        return frame({**ends, **values})

    def __repr__(self) -> str:
        lines = "\n".join(f"  {what}: {value}" for what, value in self.table())
        return f"Comparison(\n{lines}\n)"


def _variance(values: Array) -> float | None:
    """None where there is none beyond rounding."""
    variance = float(values.var()) if len(values) > 1 else 0.0
    return variance if variance > (1e-12 * float(np.abs(values).max(initial=0.0))) ** 2 else None
