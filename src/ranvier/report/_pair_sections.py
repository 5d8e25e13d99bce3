"""The parts of the page that are about pairs of neurons: each function returns one Section."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.files.pages import significant
from ranvier.report import blocks, figures
from ranvier.report._activity import ActivitySummary, lagged, lags_of, standing_out, strongest, threshold
from ranvier.report._parts import NOTHING, Picture, Section, Table, count, number, of_finite, plural, short
from ranvier.report._wiring import WiringSummary
from ranvier.report.explore import charts
from ranvier.report.explore.measured import Measured

BLANK = 3.0  # standard errors below which the map of correlations is left blank
PIXELS = 300  # of its side


def correlation_section(measured: Measured) -> Section:
    """Who fires together: the matrix, and its decay with synaptic distance; among the neurons that are compared."""
    wiring, activity = measured.part, measured.among
    matrix = activity.correlation.copy()
    np.fill_diagonal(matrix, np.nan)
    noise = typical_error(activity)
    what = (
        f"spike counts in windows of {activity.window:g} ms" if activity.kind == "spikes" else "the two voltages"
    )
    sure = standing_out(activity)
    total = measured.wiring.size
    few = f" of {plural(wiring.size, 'neuron')}, taken evenly from the classes" if wiring.size < total else ""
    text = f"Correlation coefficients of {what}, for all {plural(len(sure), 'pair')}{few}. " + (
        f"There is {NOTHING}: no two neurons are both active, and more than a clock."
        if noise is None
        else f"Chance alone gives a pair ±{noise:.2g} (one standard error). "
        f"{plural(int(sure.sum()), 'pair stands', 'pairs stand')} "
        f"out, beyond {threshold(activity):.1f} standard errors of {'its' if sure.sum() == 1 else 'their'} own, where "
        "chance would put none."
    )
    groups = distance_groups(wiring, matrix, measured.steps)
    distance_figure = figures.by_distance(groups, noise or 0.0, "correlation")
    distance_caption = (
        "Correlation against the fewest synapses that lead from one neuron of the pair to the other, in the shorter "
        "direction. Directly connected pairs are split by the sign of their connection. Boxes hold half of the pairs, "
        "lines 95 %. Within the grey band a single pair cannot be distinguished from chance."
    )
    boxes = charts.boxes_panel(groups, noise or 0.0, ("synapses on the shortest path", "correlation"))
    parts = [
        _matrix(wiring, activity, matrix),
        Picture(distance_figure, distance_caption, panels=[] if boxes is None else [boxes], stacked=True),
    ]
    return Section("Correlations", [text], parts)


def _matrix(wiring: WiringSummary, activity: ActivitySummary, matrix: NDArray[Any]) -> Picture:
    """The map of correlations, blank where chance would do as well, and its means by class."""
    place = blocks.pixel_places(wiring.order, PIXELS)
    side, classes = min(wiring.size, PIXELS), len(wiring.classes)
    image, means = blocks.block_means(matrix, place, side), blocks.block_means(matrix, wiring.of, classes)
    scores = blocks.block_scores(matrix, activity.error, place, side)
    class_scores = blocks.block_scores(matrix, activity.error, wiring.of, classes)
    names = [wiring.names[n] for n in wiring.order] if wiring.size <= figures.NAMED else ()
    figure = figures.class_matrix(
        _blanked(image, scores), _blanked(means, class_scores), wiring.classes, wiring.bounds,
        ("correlation", "mean correlation"), colours="correlation", names=names,
    )  # fmt: skip
    several = classes > 1
    caption = (
        f"Correlation of every pair{', ordered by class' if several else ''}, on a square-root scale; a pixel is the "
        "mean of the pairs in it, a neuron's correlation with itself left out. Green: positive; violet: negative. "
        f"What lies within {BLANK:g} standard errors of 0 is blank: chance would colour "
        f"{_by_chance(scores)} pixels."
        f"{' Classes: the mean for each pair of classes.' if several else ''}"
    )
    panels = [
        charts.matrix_panel(
            image, "neurons", "correlation", "correlation", z=scores, blank=BLANK, size=wiring.size
        )
    ]
    if several:
        panels.append(
            charts.matrix_panel(
                means, "classes, means", "mean correlation", "correlation", z=class_scores, blank=BLANK,
                names=wiring.classes,
            )
        )  # fmt: skip
    return Picture(figure, caption, heavy=True, panels=panels if np.isfinite(image).any() else ())


def _blanked(image: NDArray[Any], scores: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(scores) >= BLANK, image, np.where(np.isfinite(image), 0.0, np.nan))


def _by_chance(scores: NDArray[Any]) -> str:
    from scipy.stats import norm

    pixels = int(np.isfinite(scores).sum())
    return f"{count(round(2 * norm.sf(BLANK) * pixels))} of the {count(pixels)}"


def pairs_section(measured: Measured) -> Section:
    """The strongest pairs by name, with their correlograms."""
    wiring, activity, steps = measured.part, measured.among, measured.steps
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
    label = "excess rate (Hz)" if spiking else "correlation"
    figure = figures.correlograms(lags, values, errors, titles, label)
    single = measured.single_input(*(np.array(ends) for ends in zip(*pairs, strict=True)))
    rows = [
        (
            f"{wiring.names[i]} ({wiring.labels[i]})",
            f"{wiring.names[j]} ({wiring.labels[j]})",
            f"{number(activity.correlation[i, j], 3)}\u00a0±\u00a0{activity.error[i, j]:.3f}",
            f"{number(activity.level[i], 1)}, {number(activity.level[j], 1)}",
            path(wiring, steps, i, j),
            path(wiring, steps, j, i),
            *([("", "single input of the first", "single input of the second")[alone]] if single.any() else []),
        )
        for (i, j), alone in zip(pairs, single.tolist(), strict=True)
    ]
    unit = "Hz" if spiking else "mV"
    head: tuple[str, ...] = ("first", "second", "correlation", f"mean ({unit})", "first → second", "second → first")
    if single.any():
        head = (*head, "remark")
    caption = (
        f"How often the second neuron fires around a spike of the first, above chance, in bins of "
        f"{lags[1] - lags[0]:g} ms. "
        if spiking
        else "Correlation of the second neuron's voltage with the first's, shifted by the lag. "
    )
    caption += "To the right of 0 the first comes first. Grey: two standard errors about 0."
    text = (
        "The most correlated pairs, and the most anticorrelated ones, of those that stand out. To show more of the "
        "network, a neuron appears in at most two of either, and the same two classes in three."
    )
    note = "→: weight of the direct connection, or else the number of synapses on the shortest path."
    if single.any():
        note += (
            " Single input: the one neuron reaches the other, which nothing else does, so that the pair is strong for "
            "want of other input."
        )
    colours = ["pos" if v[np.argmax(np.abs(v))] > 0 else "neg" for v in values.T]
    panels = [
        charts.lines_panel(
            lags, {"simulated": values[:, k]}, ("lag (ms)", label), title=title, band=2 * errors[:, k],
            colours={"simulated": colours[k]},
        ) for k, title in enumerate(titles)
    ]  # fmt: skip
    parts = [Picture(figure, caption, panels=panels), Table(head, rows, note)]
    return Section("Strongest pairs", [text], parts)


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
    return plural(length, "synapse") if length > 0 else "no path"


def _entries(matrix: Any, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    entries = matrix[rows, columns]
    return (entries.toarray() if hasattr(entries, "toarray") else np.asarray(entries)).ravel()


