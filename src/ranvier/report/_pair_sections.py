"""The parts of the page on pairs of neurons: correlations, their decay with distance, the strongest pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.files.pages import significant
from ranvier.report import figures
from ranvier.report._activity import ActivitySummary, lagged, lags_of, standing_out, strongest, threshold
from ranvier.report._parts import NOTHING, Picture, Section, Table, count, number, of_finite, short
from ranvier.report._wiring import WiringSummary


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


def _entries(matrix: Any, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    entries = matrix[rows, columns]
    return (entries.toarray() if hasattr(entries, "toarray") else np.asarray(entries)).ravel()
