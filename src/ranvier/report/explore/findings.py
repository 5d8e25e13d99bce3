"""What a run shows, in a few sentences for the top of its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ranvier.report._activity import standing_out
from ranvier.report._parts import count, number, plural, short

if TYPE_CHECKING:
    from ranvier.report.explore.measured import Measured


def findings(measured: Measured) -> list[str]:
    """Sentences about activity, classes, pairs and the prediction; each says only what lies beyond chance."""
    return [*filter(None, (_activity(measured), _classes(measured), _pairs(measured), _prediction(measured)))]


def _activity(measured: Measured) -> str:
    activity = measured.activity
    low, high = np.quantile(activity.level, (0.05, 0.95))
    if activity.kind == "voltages":
        return (
            f"Mean voltages lie between {number(low, 1)} and {number(high, 1)} mV (5 to 95 % of the neurons); about "
            f"them a neuron varies by {number(float(np.median(activity.spread)), 1)} mV in the median."
        )
    silent = int((activity.level == 0).sum())
    if silent == len(activity.level):
        return "No neuron fires."
    quiet = f" {plural(silent, 'neuron is', 'neurons are')} silent." if silent else ""
    return (
        f"Neurons fire at {number(activity.level.mean(), 2)} Hz in the mean; nine of ten between {number(low, 2)} and "
        f"{number(high, 2)} Hz.{quiet}"
    )


def _classes(measured: Measured) -> str:
    """The extreme classes, where their medians differ by more than the spread within the classes."""
    wiring, level = measured.wiring, measured.activity.level
    sizes = np.bincount(wiring.of, minlength=len(wiring.classes))
    large = np.flatnonzero(sizes >= 5)
    if len(large) < 2:
        return ""
    medians = np.array([np.median(level[wiring.of == k]) for k in large])
    within = np.median([np.subtract(*np.quantile(level[wiring.of == k], (0.75, 0.25))) for k in large])
    top, bottom = int(np.argmax(medians)), int(np.argmin(medians))
    if medians[top] - medians[bottom] <= within:
        return ""
    unit, more, less = (
        ("Hz", "fastest", "slowest") if measured.activity.kind == "spikes" else ("mV", "most depolarised", "least")
    )
    return (
        f"By class, {short(wiring.classes[large[top]], 40)} are {more} ({number(medians[top], 1)} {unit} in the "
        f"median) and {short(wiring.classes[large[bottom]], 40)} {less} ({number(medians[bottom], 1)} {unit})."
    )


def _pairs(measured: Measured) -> str:
    sure = standing_out(measured.among)
    if not len(sure):
        return ""
    if not sure.any():
        return "No pair of neurons is correlated beyond chance in a recording of this length."
    i, j = measured.strong_pairs
    single = measured.single_input(i, j)
    r = measured.among.correlation[i, j]
    names = measured.part.names
    text = (
        f"{count(int(sure.sum()))} of {plural(len(sure), 'pair')} "
        f"{'is' if sure.sum() == 1 else 'are'} correlated beyond chance, most strongly "
        f"{short(names[i[0]], 40)} and {short(names[j[0]], 40)} ({number(r[0], 2)})."
    )
    top = min(20, int(sure.sum()))
    alone = int((single[:top] > 0).sum())
    if alone and top == 1:
        text += " It is strong because the one neuron is the other's single input."
    elif alone:
        text += (
            f" Of the {plural(top, 'strongest', 'strongest')}, {count(alone)} {'is' if alone == 1 else 'are'} strong "
            "because the one neuron is the other's single input."
        )
    return text


def _prediction(measured: Measured) -> str:
    """How far the theory goes, in numbers alone: no verdict."""
    one = measured.comparison
    if one is None:
        return ""
    what, unit = ("rate", "Hz") if one.kind == "spikes" else ("voltage", "mV")
    text = (
        f"From the wiring alone, theory gives a mean {what} of {number(one.predicted_levels.mean(), 2)} {unit}, beside "
        f"{number(one.simulated_levels.mean(), 2)} {unit} in the simulation"
    )
    explained = one.explained
    if explained is None or explained[1] <= 0.05:  # what sampling leaves to explain is too little to judge by
        return f"{text}."
    share = max(0.0, 100 * explained[0] / explained[1])
    return (
        f"{text}, and explains {number(share, 0)} % of the differences between pairs that are more than sampling error."
    )
