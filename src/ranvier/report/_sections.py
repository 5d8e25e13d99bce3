"""The parts of the page, from what was measured: each function returns one Section."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._steps import nearest_steps, windows_in
from ranvier.report import figures
from ranvier.report._activity import (
    ActivitySummary,
    group_counts,
    population_spectrum,
    standing_out,
    threshold,
    trace,
)
from ranvier.report._pair_sections import typical_error
from ranvier.report._parts import NOTHING, Picture, Section, Table, count, number, of_finite, short
from ranvier.report._wiring import WiringSummary

RATE_BIN = 10.0  # ms


def wiring_section(wiring: WiringSummary, glossary: str = "") -> Section:
    """The matrix of weights, ordered by class."""
    caption = (
        f"Left: who reaches whom. A column is a source, a row its target; both are ordered by class. Blue "
        f"excites, orange inhibits its target; a pixel is the mean weight ({wiring.unit}) of the pairs "
        f"in it, "
        f"on a square-root scale. Right: the mean weight for each pair of classes."
        if len(wiring.classes) > 1
        else f"Who reaches whom. A column is a source, a row its target. Blue excites, orange inhibits; "
        f"a pixel "
        f"is the mean weight ({wiring.unit}) of the pairs in it, on a square-root scale."
    )
    figure = figures.class_matrix(
        figures.image_of(wiring.weights, wiring.order),
        figures.block_means(wiring.weights, wiring.of, len(wiring.classes)),
        wiring.classes,
        wiring.bounds,
        (f"mean weight ({wiring.unit})", f"mean weight ({wiring.unit})"),
        ("source", "target"),
    )
    degrees = np.diff(wiring.weights.indptr) if wiring.weights.nnz else np.zeros(wiring.size)
    text = (
        f"{count(wiring.size)} neurons in {count(len(wiring.classes))} "
        f"{'class' if len(wiring.classes) == 1 else 'classes'}, {count(wiring.weights.nnz)} connected pairs. "
        f"A neuron receives from {np.median(degrees):.0f} others in the median, from {degrees.max():.0f} "
        f"at most."
    )
    pictures = [Picture(figure, caption, heavy=True)]
    if wiring.junctions.nnz:
        text += f" {count(wiring.junctions.nnz // 2)} pairs are coupled by gap junctions."
        pictures.append(_junctions(wiring))
    return Section("Wiring", [text, glossary] if glossary else [text], pictures)


def activity_section(wiring: WiringSummary, activity: ActivitySummary) -> Section:
    """Raster and rates by class, of 3 s; for graded networks voltage traces, of 20 s."""
    show = 3000.0 if activity.kind == "spikes" else min(20_000.0, activity.recording.duration)
    classes = [np.flatnonzero(wiring.of == k) for k in range(len(wiring.classes))]
    signs = [wiring.class_sign(k) for k in range(len(wiring.classes))]
    levels = [activity.level[members] for members in classes]
    colours = "Blue: excitatory, orange: inhibitory, grey: mixed or without targets."
    if activity.kind == "voltages":
        text = (
            f"The mean voltage is {number(activity.level.mean(), 1)} mV. About its own mean a neuron's "
            f"voltage "
            f"has a standard deviation of {np.median(activity.spread):.1f} mV in the median."
        )
        pictures = [_traces(wiring, activity, show, colours), *_levels(levels, wiring, signs)]
        return Section("Activity", [text], pictures)
    recording = activity.recording
    times, neurons = np.asarray(recording.times), np.asarray(recording.neurons)
    start = recording.start
    shown = times < start + show
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
    raster = figures.raster(
        times[shown] / 1000.0,
        row[neurons[shown]],
        wiring.signs[neurons[shown]],
        wiring.classes,
        wiring.bounds,
        rate,
        (start / 1000.0, (start + show) / 1000.0),
    )
    silent = int((activity.level == 0).sum())
    irregularity = of_finite(np.median, activity.spread)
    text = f"The mean rate is {activity.level.mean():.2f} Hz; {silent or 'no'} neurons are silent. " + (
        f"Intervals between spikes: {NOTHING}, as no neuron has three spikes."
        if irregularity is None
        else f"Intervals between spikes vary with a coefficient of {irregularity:.2f} in the median (a clock has 0, "
        "chance 1)."
    )
    caption = (
        f"Above: each dot is a spike, each row a neuron, ordered by class, over {show / 1000:g} s. {colours} "
        f"Below: mean rate of a neuron in bins of {bin:g} ms."
    )
    return Section(
        "Activity",
        [text],
        [Picture(raster, caption, heavy=True), *_levels(levels, wiring, signs, "rate (Hz)")],
    )


def spectrum_section(wiring: WiringSummary, activity: ActivitySummary) -> Section:
    """Power of the summed activity."""
    f, curves = population_spectrum(activity, groups_of(wiring))
    if activity.kind == "spikes":
        figure = figures.spectrum(f, curves, "power / mean rate", reference=1.0)
        caption = (
            "Power spectrum of the summed spike trains, divided by their summed rate. Above 1 the "
            "neurons fire "
            "together at that frequency, below 1 they avoid each other."
        )
    else:
        figure = figures.spectrum(f, curves, "power (mV²/Hz)")
        caption = "Power spectrum of the mean voltage of each group."
    return Section("Rhythms", (), [Picture(figure, caption)])


def numbers_table(wiring: WiringSummary, activity: ActivitySummary, extra: dict[str, str]) -> Table:
    """What the page says, as numbers."""
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


def _junctions(wiring: WiringSummary) -> Picture:
    figure = figures.class_matrix(
        figures.image_of(wiring.junctions, wiring.order),
        figures.block_means(wiring.junctions, wiring.of, len(wiring.classes)),
        wiring.classes,
        wiring.bounds,
        ("mean conductance (nS)", "mean conductance (nS)"),
    )
    caption = (
        "Gap junctions, in the same order; a pixel is the mean conductance (nS) of the pairs in it, on a "
        "square-root scale. They couple both ways."
    )
    return Picture(figure, caption, heavy=True)


def _traces(wiring: WiringSummary, activity: ActivitySummary, show: float, colours: str) -> Picture:
    times, values = trace(activity.recording)
    shown = times < times[0] + show
    moving = np.argsort(-activity.spread, kind="stable")
    picked = sorted(moving[:: max(1, wiring.size // 14)][:14], key=lambda n: int(wiring.of[n]))
    names = [f"{short(wiring.names[n])} ({wiring.classes[wiring.of[n]]})" for n in picked]
    figure = figures.traces(
        times[shown] / 1000.0, values[shown][:, picked], names, [int(wiring.signs[n]) for n in picked]
    )
    caption = (
        f"Voltages of {len(picked)} neurons over {show / 1000:g} s, each about its mean, ordered "
        f"by class. {colours}"
    )
    return Picture(figure, caption, heavy=True)


def _levels(
    levels: list[NDArray[Any]], wiring: WiringSummary, signs: list[int], label: str = "mean voltage (mV)"
) -> list[Picture]:
    figure = figures.by_class(levels, wiring.classes, signs, label)
    caption = (
        f"How the {label.split(' (')[0]} is spread over the neurons of each class (number of neurons in "
        f"brackets), "
        f"each histogram scaled to its own height; the black line is the median."
    )
    return [Picture(figure, caption)]


def _quantiles(values: NDArray[Any], digits: int) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return NOTHING
    return " / ".join(number(q, digits) for q in np.quantile(finite, (0.05, 0.5, 0.95)))
