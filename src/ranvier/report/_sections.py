"""The parts of the page that are about single neurons and all together: each function returns one Section."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._steps import nearest_steps, windows_in
from ranvier.report import blocks, figures
from ranvier.report._activity import ActivitySummary, group_counts, population_spectrum, standing_out, threshold, trace
from ranvier.report._pair_sections import typical_error
from ranvier.report._parts import NOTHING, Picture, Section, Table, count, number, of_finite, plural, short
from ranvier.report._wiring import WiringSummary
from ranvier.report.explore import charts
from ranvier.report.explore.measured import Measured

RATE_BIN = 10.0  # ms
SIGN_COLOURS = {"excitatory": "exc", "inhibitory": "inh", "all": "ink"}


def wiring_section(measured: Measured, glossary: str = "") -> Section:
    """The matrix of weights, ordered by class."""
    wiring = measured.wiring
    several = len(wiring.classes) > 1
    caption = (
        f"Who reaches whom. A column is a source, a row its target{', ordered by class' if several else ''}. Blue "
        f"excites, orange inhibits; a pixel is the mean weight ({wiring.unit}) of the pairs in it, on a square-root "
        f"scale.{' Classes: the mean weight for each pair of classes.' if several else ''}"
    )
    label = f"mean weight ({wiring.unit})"
    degrees = np.diff(wiring.weights.indptr) if wiring.weights.nnz else np.zeros(wiring.size)
    text = (
        f"{plural(wiring.size, 'neuron')} in {plural(len(set(wiring.labels)), 'class', 'classes')}, "
        f"{plural(wiring.weights.nnz, 'connected pair')}. Inputs of a neuron: {np.median(degrees):.0f} in the "
        f"median, {degrees.max():.0f} at most."
    )
    pictures = [_matrix(measured, wiring.weights, caption, "edges", label)]
    if wiring.junctions.nnz:
        text += f" {plural(wiring.junctions.nnz // 2, 'pair is', 'pairs are')} coupled by gap junctions."
        caption = (
            "Gap junctions, in the same order; a pixel is the mean conductance (nS) of the pairs in it, on a "
            "square-root scale. They couple both ways."
        )
        pictures.append(_matrix(measured, wiring.junctions, caption, "junctions", "mean conductance (nS)"))
    return Section("Wiring", [text, glossary] if glossary else [text], pictures)


def _matrix(measured: Measured, matrix: Any, caption: str, which: str, label: str) -> Picture:
    """Connections ordered by class, and their means by pairs of classes."""
    wiring = measured.wiring
    means = blocks.block_means(matrix, wiring.of, len(wiring.classes))
    axes = "source", "target"
    image = blocks.image_of(matrix, wiring.order)
    names = [wiring.names[n] for n in wiring.order] if wiring.size <= figures.NAMED else ()
    figure = figures.class_matrix(image, means, wiring.classes, wiring.bounds, (label, label), axes, names=names)
    panels = [charts.wiring_panel(which, "neurons", label)]
    if not measured.whole:
        panels = [charts.matrix_panel(image, "neurons", label, "weights", size=wiring.size, axes=axes)]
    if len(wiring.classes) > 1:
        panels.append(
            charts.matrix_panel(means, "classes, means", label, "weights", names=wiring.classes, axes=axes)
        )
    return Picture(figure, caption, heavy=True, panels=panels)


def activity_section(measured: Measured) -> Section:
    """Raster and rates by class, of 3 s; for graded networks voltage traces, of 20 s."""
    wiring, activity = measured.wiring, measured.activity
    show = 3000.0 if activity.kind == "spikes" else min(20_000.0, activity.recording.duration)
    colours = "Blue: excitatory, orange: inhibitory, grey: mixed or without targets."
    if activity.kind == "voltages":
        text = (
            f"The mean voltage is {number(activity.level.mean(), 1)} mV. About its own mean a neuron's voltage "
            f"has a standard deviation of {np.median(activity.spread):.1f} mV in the median."
        )
        pictures = [_traces(measured, show, colours), _levels(wiring, activity, "mean voltage (mV)")]
        return Section("Activity", [text], pictures)
    silent = int((activity.level == 0).sum())
    irregularity = of_finite(np.median, activity.spread)
    text = (
        f"The mean rate is {activity.level.mean():.2f} Hz; {silent or 'no'} neuron{'s are' if silent != 1 else ' is'} "
        "silent. "
    ) + (
        f"Intervals between spikes: {NOTHING}, as no neuron has three spikes."
        if irregularity is None
        else f"Intervals between spikes vary with a coefficient of {irregularity:.2f} in the median (a clock has 0, "
        "chance 1)."
    )
    return Section("Activity", [text], [_raster(measured, show, colours), _levels(wiring, activity, "rate (Hz)")])


def _raster(measured: Measured, show: float, colours: str) -> Picture:
    wiring, recording = measured.wiring, measured.activity.recording
    times, neurons = np.asarray(recording.times), np.asarray(recording.neurons)
    start = recording.start
    shown = times < start + show
    times, neurons = times[shown], neurons[shown]
    row = np.empty(wiring.size, np.int64)
    row[wiring.order] = np.arange(wiring.size)
    bin = nearest_steps(RATE_BIN, recording.dt) * recording.dt
    rate = {}
    groups = groups_of(wiring)
    for name, members in groups.items():
        if name == "all" and len(groups) > 2:
            continue
        spikes = group_counts(recording, members, bin)[: windows_in(show, bin)]
        centres = start + (np.arange(len(spikes)) + 0.5) * bin
        rate[name] = (centres / 1000.0, spikes / len(members) * 1000.0 / bin)
    window = (start / 1000.0, (start + show) / 1000.0)
    names = [wiring.names[n] for n in wiring.order] if wiring.size <= figures.NAMED else ()
    figure = figures.raster(
        times / 1000.0, row[neurons], wiring.signs[neurons], wiring.classes, wiring.bounds, rate, window, names
    )
    ordered = ", ordered by class" if len(wiring.classes) > 1 else ""
    caption = (
        f"Above: each mark is a spike, each row a neuron{ordered}, over {show / 1000:g} s. {colours} "
        f"Below: mean rate of a neuron in bins of {bin:g} ms."
    )
    place = np.full(wiring.size, -1)
    place[measured.few] = np.arange(len(measured.few))
    among = place[neurons] >= 0
    panels = [charts.raster_panel(times[among], place[neurons[among]], (start, start + show), recording.dt)]
    if rate:
        at = next(iter(rate.values()))[0]
        curves = {name: values for name, (_, values) in rate.items()}
        panels.append(charts.lines_panel(at, curves, ("time (s)", "rate (Hz)"), colours=SIGN_COLOURS, zero=True))
    return Picture(figure, caption, heavy=True, panels=panels, stacked=True)


def spectrum_section(measured: Measured) -> Section:
    """Power of the summed activity."""
    wiring, activity = measured.wiring, measured.activity
    f, curves = population_spectrum(activity, groups_of(wiring))
    if activity.kind == "spikes":
        reference, label, log = 1.0, "power / mean rate", "x"
        caption = (
            "Power spectrum of the summed spike trains, divided by their summed rate. Above 1 the "
            "neurons fire "
            "together at that frequency, below 1 they avoid each other."
        )
    else:
        reference, label, log = None, "power (mV²/Hz)", "xy"
        caption = "Power spectrum of the mean voltage of each group."
    figure = figures.spectrum(f, curves, label, reference=reference)
    smooth = figures.smooth_spectrum(f, curves)
    panels = [
        charts.lines_panel(
            smooth[0], smooth[1], ("frequency (Hz)", label), colours=SIGN_COLOURS, log=log, reference=reference,
            zero=reference is not None,
        )
    ]  # fmt: skip
    return Section("Rhythms", (), [Picture(figure, caption, panels=panels if curves else ())])


def numbers_table(measured: Measured, extra: dict[str, str]) -> Table:
    """What the page says, as numbers."""
    wiring, activity = measured.wiring, measured.activity
    upper = activity.correlation[np.triu_indices(len(activity.correlation), k=1)]
    level = activity.level
    spiking = activity.kind == "spikes"
    what, unit, spread = ("rate", "Hz", "CV") if spiking else ("voltage", "mV", "SD of the voltage (mV)")
    rows = [
        ("neurons", count(wiring.size)),
        ("connected pairs, chemical", count(wiring.weights.nnz)),
        ("connected pairs, electrical", count(wiring.junctions.nnz // 2)),
        (f"{what}, mean ({unit})", number(level.mean(), 3)),
        (f"{what}, 5 % / median / 95 % ({unit})", _quantiles(level, 2)),
        (f"{spread}, 5 % / median / 95 %", _quantiles(activity.spread, 3)),
        ("correlation, mean of all pairs", number(of_finite(np.mean, upper), 5)),
        ("correlation, SD over pairs", number(of_finite(np.std, upper), 5)),
        ("its standard error, one pair, median", number(typical_error(activity), 5)),
        (f"pairs beyond {threshold(activity):.1f} standard errors", count(int(standing_out(activity).sum()))),
    ]
    if spiking:
        rows.insert(3, ("silent neurons", count(int((level == 0).sum()))))
    return Table(("", ""), [row for row in rows if row[1] != "0" or "silent" in row[0]] + list(extra.items()))


def groups_of(wiring: WiringSummary) -> dict[str, NDArray[np.int64]]:
    """Neurons by sign: all, excitatory, inhibitory; groups without neurons are left out."""
    groups = {"all": np.arange(wiring.size)}
    for sign, name in ((1, "excitatory"), (-1, "inhibitory")):
        members = np.flatnonzero(wiring.signs == sign)
        if 0 < len(members) < wiring.size:
            groups[name] = members
    return groups


def _traces(measured: Measured, show: float, colours: str) -> Picture:
    wiring, activity = measured.wiring, measured.activity
    times, values = trace(activity.recording)
    shown = times < times[0] + show
    moving = np.argsort(-activity.spread, kind="stable")
    picked = sorted(moving[:: max(1, wiring.size // 14)][:14], key=lambda n: int(wiring.of[n]))
    names = [f"{short(wiring.names[n])} ({wiring.labels[n]})" for n in picked]
    figure = figures.traces(
        times[shown] / 1000.0, values[shown][:, picked], names, [int(wiring.signs[n]) for n in picked]
    )
    caption = (
        f"Voltages of {plural(len(picked), 'neuron')} over {show / 1000:g} s, each about its mean, ordered "
        f"by class. {colours}"
    )
    panel = charts.traces_panel(times[shown] / 1000.0, values[shown][:, picked], np.asarray(picked))
    return Picture(figure, caption, heavy=True, panels=[panel] if measured.whole else (), stacked=True)


def _levels(wiring: WiringSummary, activity: ActivitySummary, label: str) -> Picture:
    levels = [activity.level[wiring.of == k] for k in range(len(wiring.classes))]
    signs = [wiring.class_sign(k) for k in range(len(wiring.classes))]
    figure = figures.by_class(levels, wiring.classes, signs, label)
    caption = (
        f"How the {label.split(' (')[0]} is spread over the neurons of each class (number of neurons in "
        f"brackets), each histogram scaled to its own height; the line across it is the median."
    )
    panel = charts.ridges_panel(levels, wiring.classes, signs, label)
    return Picture(figure, caption, panels=[] if panel is None else [panel], stacked=True)


def _quantiles(values: NDArray[Any], digits: int) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return NOTHING
    return " / ".join(number(q, digits) for q in np.quantile(finite, (0.05, 0.5, 0.95)))
