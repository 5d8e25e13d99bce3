"""The parts of the page, from what was measured: each function returns one Section."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._pages import significant
from ranvier._steps import nearest_steps, windows_in
from ranvier.report import figures
from ranvier.report._activity import (
    ActivitySummary,
    group_counts,
    lagged,
    lags_of,
    population_spectrum,
    standing_out,
    strongest,
    threshold,
    trace,
)
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


def correlation_section(
    wiring: WiringSummary, activity: ActivitySummary, steps: NDArray[np.int16], total: int
) -> Section:
    """Who fires together: the matrix, and its decay with synaptic distance; among `total` neurons."""
    matrix = activity.correlation.copy()
    np.fill_diagonal(matrix, np.nan)
    noise = typical_error(activity)
    matrix_figure = figures.class_matrix(
        figures.image_of(matrix, wiring.order, pixels=300),
        figures.block_means(matrix, wiring.of, len(wiring.classes)),
        wiring.classes,
        wiring.bounds,
        ("correlation", "mean correlation"),
    )
    what = (
        f"spike counts in windows of {activity.window:g} ms"
        if activity.kind == "spikes"
        else "the two voltages"
    )
    distance_figure = figures.by_distance(distance_groups(wiring, matrix, steps), noise or 0.0, "correlation")
    sure = standing_out(activity)
    few = f" of {count(wiring.size)} neurons, taken evenly from the classes" if wiring.size < total else ""
    text = f"Correlation coefficients of {what}, for all {count(len(sure))} pairs{few}. " + (
        f"There is {NOTHING}: no two neurons are both active, and more than a clock."
        if noise is None
        else f"Chance alone gives a pair ±{noise:.2g} (one standard error). {count(int(sure.sum()))} pairs stand "
        f"out: they lie beyond {threshold(activity):.1f} of their standard errors, where chance would put none."
    )
    matrix_caption = (
        "orrelation of every pair, ordered by class; a pixel is the mean of the pairs in it, on a square-root scale. "
        "Blue pairs are active together, orange ones in turn"
    )
    caption = (
        f"Left: c{matrix_caption}. Right: mean for each pair of classes, a neuron's correlation with itself left out."
        if len(wiring.classes) > 1
        else f"C{matrix_caption}; a neuron's correlation with itself is left out."
    )
    distance_caption = (
        "Correlation against the fewest synapses that lead from one neuron of the pair to the other, in "
        "the shorter "
        "direction. Directly connected pairs are split by the sign of their connection. Boxes hold half "
        "of the "
        "pairs, lines 95 %. Within the grey band a single pair cannot be told from chance."
    )
    return Section(
        "Correlations",
        [text],
        [Picture(matrix_figure, caption, heavy=True), Picture(distance_figure, distance_caption)],
    )


def pairs_section(wiring: WiringSummary, activity: ActivitySummary, steps: NDArray[np.int16]) -> Section:
    """The strongest pairs by name, with their correlograms."""
    classes = wiring.of if len(wiring.classes) > 1 else None
    chosen = strongest(activity, positive=6, negative=3, of=classes)
    if not chosen:
        text = "No pair stands out of the sampling error; simulate longer."
        if typical_error(activity) is None:
            text = f"There is {NOTHING}."
        return Section("Strongest pairs", [text])
    spiking = activity.kind == "spikes"
    lags = lags_of(activity.recording, activity.kind)
    values, errors = lagged(activity, [(j, i) for i, j in chosen], lags)
    # The one whose activity comes first is named first, so that the peak lies to the right of 0.
    late = lags[np.argmax(np.abs(values), axis=0)] < 0
    pairs = [(j, i) if swap else (i, j) for (i, j), swap in zip(chosen, late)]
    if late.any():
        values, errors = lagged(activity, [(j, i) for i, j in pairs], lags)
    titles = [f"{short(wiring.names[i])}  ·  {short(wiring.names[j])}" for i, j in pairs]
    figure = figures.correlograms(
        lags, values, errors, titles, "excess rate (Hz)" if spiking else "correlation"
    )
    rows = [
        (
            f"{wiring.names[i]} ({wiring.classes[wiring.of[i]]})",
            f"{wiring.names[j]} ({wiring.classes[wiring.of[j]]})",
            f"{number(activity.correlation[i, j], 3)}\u00a0±\u00a0{activity.error[i, j]:.3f}",
            f"{number(activity.level[i], 1)}, {number(activity.level[j], 1)}",
            path(wiring, steps, i, j),
            path(wiring, steps, j, i),
        )
        for i, j in pairs
    ]
    unit = "Hz" if spiking else "mV"
    head = ("first", "second", "correlation", f"mean ({unit})", "first → second", "second → first")
    caption = (
        f"How often the second neuron fires around a spike of the first, above chance, in bins of "
        f"{lags[1] - lags[0]:g} ms. "
        if spiking
        else "Correlation of the second neuron's voltage with the first's, shifted by the lag. "
    )
    caption += "To the right of 0 the first comes first. Grey: two standard errors about 0."
    text = (
        "The most correlated pairs, and the most anticorrelated ones, of those that stand out. To show "
        "more of "
        "the network, a neuron appears in at most two of either, and the same two classes in three."
    )
    note = "→: weight of the direct connection, or else the number of synapses on the shortest path."
    return Section("Strongest pairs", [text], [Picture(figure, caption), Table(head, rows, note)])


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


def distance_groups(
    wiring: WiringSummary, matrix: NDArray[Any], steps: NDArray[np.int16]
) -> dict[str, NDArray[Any]]:
    """Correlations of all pairs by distance; direct connections by sign, the far ones together."""
    i, j = np.triu_indices(wiring.size, k=1)
    there, back = steps[i, j], steps[j, i]
    shortest = np.where(there < 0, back, np.where(back < 0, there, np.minimum(there, back)))
    values = matrix[i, j]
    fine = np.isfinite(values)
    weights = wiring.weights
    direct = np.flatnonzero(fine & (shortest == 1))
    both = _entries(weights + weights.T, i[direct], j[direct])
    chemical = _entries(abs(weights) + abs(weights).T, i[direct], j[direct]) > 0
    groups = {
        "1, excitatory": values[direct[both > 0]],
        "1, inhibitory": values[direct[both < 0]],
        "1, mixed": values[direct[chemical & (both == 0)]],
        "1, electrical": values[direct[~chemical]],
    }
    for distance in (2, 3, 4):
        groups[str(distance)] = values[fine & (shortest == distance)]
    groups["5 or more"] = values[fine & (shortest >= 5)]
    groups["no path"] = values[fine & (shortest < 0)]
    return {name: mine for name, mine in groups.items() if len(mine) >= (5 if len(values) > 1000 else 1)}


def typical_error(activity: ActivitySummary) -> float | None:
    """The median standard error of one pair's correlation; None where no pair has any."""
    return of_finite(np.median, activity.error[np.triu_indices(len(activity.error), k=1)])


def path(wiring: WiringSummary, steps: NDArray[np.int16], source: int, target: int) -> str:
    """The direct connection from source to target in words, else the length of the shortest path."""
    weight, junction = wiring.weights[target, source], wiring.junctions[target, source]
    unit = wiring.unit.replace(" ", "\u00a0")
    direct = [f"{significant(weight, 3)}\u00a0{unit}"] if weight else []
    direct += [f"gap junction, {significant(junction, 3)}\u00a0nS"] if junction else []
    if direct:
        return " + ".join(direct)
    length = int(steps[target, source])
    return f"{length} synapses" if length > 0 else "no path"


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


def _entries(matrix: Any, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    entries = matrix[rows, columns]
    return (entries.toarray() if hasattr(entries, "toarray") else np.asarray(entries)).ravel()


def _quantiles(values: NDArray[Any], digits: int) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return NOTHING
    return " / ".join(number(q, digits) for q in np.quantile(finite, (0.05, 0.5, 0.95)))
