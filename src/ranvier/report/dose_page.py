"""A page about a brain some of whose neurons are driven at several rates: aggregates, and the most active by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.files.atomic import write_atomic
from ranvier.report._page import OWN_CITATION, render
from ranvier.report._parts import Picture, Section, Table, count, number, plural
from ranvier.report._style import EXCITATORY, INHIBITORY, new, styled
from ranvier.report.explore import Column, DataTable

_SHOWN, _LISTED = 40, 5000  # neurons in tables of changes, and in that to search
SHIU = "Shiu et al. (2024). A Drosophila computational brain model reveals sensorimotor processing. Nature 634:210."


def write_dose_page(
    path: str | Path,
    *,
    title: str,
    names: Sequence[str],
    doses: Mapping[float, Mapping[str, Any]],
    silenced: Mapping[float, Mapping[str, Any]] | None = None,
    notes: Sequence[str] = (),
    duration: float = 1000.0,
    predicted: Any = None,
    agreement: Mapping[str, float] | None = None,
) -> Path:
    """Write the page of `ranvier.brains.dose_response`'s results, and of those with neurons silenced, if there are.

    names: one a neuron; duration: ms of each run; predicted: rates (neurons,) Hz from the wiring alone at the strongest
    drive, and their `agreement` (`ranvier.brains.Followers`). Pictures and tables are of aggregates and of the most
    active neurons, so that the page of a whole brain stays small.
    """
    top = max(doses)
    most = [i for i, _ in sorted(doses[top]["rates"].items(), key=lambda x: (-x[1], int(x[0])))[:_LISTED]]

    def column(title: str, name: str, rates: Mapping[str, float]) -> Column:
        return Column(title, name, np.array([rates.get(i, 0.0) for i in most], np.float64), 1)

    columns = [Column("neuron", "neuron", [names[int(i)] for i in most])]
    columns += [column(f"{rate:g} Hz", f"rate_at_{rate:g}_Hz", doses[rate]["rates"]) for rate in doses]
    if silenced is not None:
        columns.append(column(f"{top:g} Hz, silenced", f"silenced_at_{top:g}_Hz", silenced[top]["rates"]))
    if predicted is not None:
        rates = {i: float(predicted[int(i)]) for i in most}
        columns.append(column(f"{top:g} Hz, predicted", f"predicted_at_{top:g}_Hz", rates))
    method = doses[top].get("method") or {}
    numbers = [
        [f"{rate:g}", count(x["active"]), count(x["spikes"])] + (
            [count(silenced[rate]["active"]), count(silenced[rate]["spikes"])] if silenced is not None else []
        ) for rate, x in doses.items()
    ]  # fmt: skip
    head = ["drive (Hz)", "active neurons", "spikes"]
    head += ["active, silenced", "spikes, silenced"] if silenced is not None else []
    sections = [
        Section("Dose and response", tuple(notes), [
            Picture(_response(doses, silenced), "Neurons that spike at least once, against the rate of the drive."),
            Table(head, numbers),
        ]),
        Section("Course", (), [
            Picture(_course(doses[top], duration), f"Spikes a ms of the whole brain at {top:g} Hz of drive."),
        ]),
        Section("Most active neurons", (f"Rates in Hz over {duration / 1000:g} s; ordered by the strongest drive.",),
                [DataTable("neurons", columns)]),
        *([] if silenced is None else [_silencing(names, doses[top]["rates"], silenced[top]["rates"], top)]),
        *([] if agreement is None else [_prediction(doses[top]["rates"], predicted, agreement, top)]),
        Section("Engine", (", ".join(f"{k}: {v}" for k, v in method.items()) or "unknown",)),
    ]  # fmt: skip
    html = render(
        "base.html", title=title, summary=f"{plural(len(names), 'neuron')}, driven at {plural(len(doses), 'rate')}.",
        highlights=[(count(doses[top]["active"]), f"neurons active at {top:g} Hz")], sections=sections,
        citations=[SHIU, OWN_CITATION],
    )  # fmt: skip
    return write_atomic(path, html)


def _prediction(measured: Mapping[str, float], predicted: Any, agreement: Mapping[str, float], top: float) -> Section:
    """Which neurons follow, from the wiring alone, beside the simulation."""
    text = (
        f"Neurons that follow the driven ones at 1 Hz or more, with {top:g} Hz of drive: from the wiring alone "
        f"{count(int(agreement['predicted']))}, in the simulation {count(int(agreement['measured']))}, in both "
        f"{count(int(agreement['both']))}. Recall {number(agreement['recall'], 2)}, precision "
        f"{number(agreement['precision'], 2)}, correlation of the rates {number(agreement['correlation'], 2)}."
    )
    both = sorted({*measured, *(str(i) for i in np.flatnonzero(predicted >= 1.0))}, key=int)
    rates = np.array([[measured.get(i, 0.0), predicted[int(i)]] for i in both]).reshape(-1, 2)
    return Section("Predicted from the wiring", (text,), [
        Picture(_against(rates, "simulated (Hz)", "predicted (Hz)"), "Predicted against simulated rates, those of the "
                "driven neurons included; the colour counts neurons, and the line is equality."),
    ])  # fmt: skip


def _silencing(names: Sequence[str], intact: Mapping[str, float], silenced: Mapping[str, float], top: float) -> Section:
    """Every neuron's rate with and without, in bins, and the neurons that change most."""
    both = sorted({*intact, *silenced}, key=int)
    rates = np.array([[intact.get(i, 0.0), silenced.get(i, 0.0)] for i in both]).reshape(-1, 2)
    change = rates[:, 1] - rates[:, 0]
    order = np.argsort(-np.abs(change), kind="stable")[:_SHOWN]
    rows = [[names[int(both[k])], *(number(x, 1) for x in (*rates[k], change[k]))] for k in order if change[k]]
    lost, gained = int((rates[:, 1] == 0).sum()), int((rates[:, 0] == 0).sum())
    text = (
        f"Neurons that spike in either run at {top:g} Hz: {count(len(both))}, of which silent once neurons are "
        f"silenced {count(lost)}, and spiking only then {count(gained)}."
    )
    return Section("Activation against silencing", (text,), [
        Picture(_against(rates, "intact (Hz)", "silenced (Hz)"), "Rates with neurons silenced against those of the "
                "intact brain; the colour counts neurons, and the line is no change."),
        Table(["neuron", "intact (Hz)", "silenced (Hz)", "change (Hz)"], rows),
    ])  # fmt: skip


@styled
def _against(rates: Any, across: str, up: str) -> Any:
    figure = new(4.0, 3.4)
    axes = figure.subplots()
    end = max(float(rates.max(initial=0.0)), 1.0)
    counts, x, y = np.histogram2d(rates[:, 0], rates[:, 1], 40, [[0, end], [0, end]])
    image = axes.pcolormesh(x, y, np.where(counts.T > 0, np.log10(np.maximum(counts.T, 1)), np.nan), cmap="viridis")
    axes.plot([0, end], [0, end], color="0.5", lw=0.8)
    figure.colorbar(image, label="log10 neurons")
    axes.set(xlabel=across, ylabel=up)
    return figure


@styled
def _response(doses: Mapping[float, Any], silenced: Mapping[float, Any] | None) -> Any:
    figure = new(5.0, 2.8)
    axes = figure.subplots()
    axes.plot(list(doses), [x["active"] for x in doses.values()], "o-", ms=3, color=EXCITATORY, label="intact")
    if silenced is not None:
        values = [x["active"] for x in silenced.values()]
        axes.plot(list(silenced), values, "o-", ms=3, color=INHIBITORY, label="silenced")
        axes.legend(frameon=False)
    axes.set(xlabel="drive (Hz)", ylabel="active neurons", ylim=(0, None))
    return figure


@styled
def _course(dose: Mapping[str, Any], duration: float) -> Any:
    figure = new(7.0, 2.2)
    axes = figure.subplots()
    width = duration / len(dose["course"])
    axes.plot(width * (0.5 + np.arange(len(dose["course"]))), np.array(dose["course"]) / width, color=EXCITATORY)
    axes.set(xlabel="time (ms)", ylabel="spikes per ms", ylim=(0, None))
    return figure


__all__ = ["write_dose_page"]
