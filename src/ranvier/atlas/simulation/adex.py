"""Firing patterns of the adaptive exponential integrate-and-fire neuron under a constant current."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Naud et al. 2008, table 1, as Brian2's example has it. All: V_T −50 mV, Delta_T 2 mV, spikes cut at 0 mV.
#: C_m (pF), g_L (nS), E_L (mV), a (nS), tau_w (ms), b (pA), V_reset (mV), current (pA)
PATTERNS = {
    "tonic": (200.0, 10.0, -70.0, 2.0, 30.0, 0.0, -58.0, 500.0),
    "adapting": (200.0, 12.0, -70.0, 2.0, 300.0, 60.0, -58.0, 500.0),
    "initial_burst": (130.0, 18.0, -58.0, 4.0, 150.0, 120.0, -50.0, 400.0),
    "bursting": (200.0, 10.0, -58.0, 2.0, 120.0, 100.0, -46.0, 210.0),
    "accelerating": (200.0, 12.0, -70.0, -10.0, 300.0, 0.0, -58.0, 300.0),
    "delayed_bursting": (100.0, 10.0, -65.0, -10.0, 90.0, 30.0, -47.0, 110.0),
    "transient": (100.0, 10.0, -65.0, 10.0, 90.0, 100.0, -47.0, 180.0),
    "irregular": (100.0, 12.0, -60.0, -11.0, 130.0, 30.0, -48.0, 160.0),
}
NAMES = ("C_m", "g_L", "E_L", "a", "tau_w", "b", "V_reset", "current")
DT = 0.01  # ms
NUDGE = 1e-3  # pA, by which w differs at the start of a second run


def simulate(duration: float, nudge: float = 0.0, **changes: float) -> rv.Recording:
    """All patterns at once, a neuron each, in double precision; `changes` hold for all of them."""
    import torch

    values = dict(zip(NAMES, torch.tensor(list(PATTERNS.values()), dtype=torch.float64).T))
    values |= {name: torch.full_like(values[name], value) for name, value in changes.items()}
    drive = values.pop("current") / values["g_L"]
    net = rv.Network()
    neuron = rv.AdEx(**values, V_T=-50.0, Delta_T=2.0, V_th=0.0, t_ref=0.0)
    net.add(neuron, len(PATTERNS), drive=drive, initial={"w": nudge})
    return rv.simulate(net, duration, dt=DT, dtype=torch.float64, record=rv.Probe("V", interval=0.2))


def measure(seed: int, size: Size, **changes: float) -> dict[str, Any]:
    """Every pattern, told by its intervals. Nothing is random: `seed` has no effect.

    "ratio" is the last interval over the first; "spikes" a burst's mean number of spikes, "unequal" how much
    it varies; "divergence" how far two runs that begin almost alike end apart: the mean difference of their
    last twenty intervals, relative to the mean interval.
    """
    duration = {"small": 1000.0, "full": 5000.0}[size]
    recording, nudged = simulate(duration, **changes), simulate(duration, NUDGE, **changes)
    trains = {name: _train(recording, k) for k, name in enumerate(PATTERNS)}
    intervals = {name: np.diff(train) for name, train in trains.items()}
    metrics: dict[str, Any] = {
        f"ratio_{name}": _ratio(intervals[name])
        for name in ("tonic", "adapting", "initial_burst", "accelerating")
    }
    for name in ("bursting", "delayed_bursting"):
        bursts = _bursts(intervals[name])
        metrics |= {f"spikes_{name}": float(np.mean(bursts)), f"unequal_{name}": float(np.ptp(bursts))}
    for name in ("bursting", "irregular"):
        again = np.diff(_train(nudged, list(PATTERNS).index(name)))
        metrics[f"divergence_{name}"] = _divergence(intervals[name], again)
    delayed = trains["delayed_bursting"]
    return metrics | {
        "latency": float(delayed[0]) if len(delayed) else 0.0,
        "interval": float(intervals["adapting"][-1]) if len(intervals["adapting"]) else np.nan,
        "pause": float(intervals["bursting"][-4:].max(initial=0.0)),
        "spikes_transient": len(trains["transient"]),
        "trains": trains,
        "voltage": recording.states["V"],
    }


def _train(recording: rv.Recording, neuron: int) -> np.ndarray:
    times, neurons = recording.to_numpy()
    return times[neurons == neuron]


def _ratio(intervals: np.ndarray) -> float:
    return float(intervals[-1] / intervals[0]) if len(intervals) > 1 else np.nan


def _bursts(intervals: np.ndarray) -> np.ndarray:
    """Spikes in every whole burst: bursts are parted by intervals above half the longest one."""
    if len(intervals) == 0:
        return np.zeros(1)
    ends = np.flatnonzero(intervals > intervals.max() / 2)
    return np.diff(ends) if len(ends) > 2 else np.ones(1)


def _divergence(one: np.ndarray, other: np.ndarray) -> float:
    count = min(len(one), len(other))
    if count < 20:
        return 0.0
    apart = np.abs(one[count - 20 : count] - other[count - 20 : count])
    return float(apart.mean() / one.mean())


def traces(material: dict[str, Any]) -> Figure:
    """The voltage in half a second."""
    figure, axes = canvas(9, 6, 4, 2, sharex=True)
    voltage = material["voltage"]
    shown = voltage.times <= 500.0
    for k, (name, axis) in enumerate(zip(PATTERNS, axes.T.ravel())):
        axis.plot(voltage.times[shown], voltage.values[shown, k].clip(max=-40), color=COLOURS[4], lw=0.7)
        train = material["trains"][name]
        axis.vlines(train[train <= 500.0], -45, 0, color=COLOURS[4], lw=0.7)
        axis.set(title=name.replace("_", " "), ylim=(-82, 5), xlim=(0, 500))
        axis.set_yticks([-70, 0])
    for axis in axes[-1]:
        axis.set_xlabel("time (ms)")
    axes[0, 0].set_ylabel("V (mV)")
    return figure


def sequences(material: dict[str, Any]) -> Figure:
    """Every interval beside its number."""
    figure, axes = canvas(9, 3.6, 2, 4, sharex=True)
    for name, axis in zip(PATTERNS, axes.ravel()):
        intervals = np.diff(material["trains"][name])[:40]
        axis.semilogy(np.arange(1, len(intervals) + 1), intervals, "o-", ms=2.5, lw=0.6, color=COLOURS[0])
        axis.set(title=name.replace("_", " "), ylim=(1, 300), xlim=(0, 41))
    for axis in axes[-1]:
        axis.set_xlabel("interval number")
    axes[0, 0].set_ylabel("interval (ms)")
    return figure


FIGURE = "Naud et al. 2008, figure 4{}"
NO_NUMBER = "no number in the paper: {}"
UNADAPTED = {"a": 0.0, "b": 0.0}

register(
    Experiment(
        name="adex",
        title="Firing patterns of the adaptive exponential neuron",
        paper="R. Naud, N. Marcille, C. Clopath and W. Gerstner (2008). Firing patterns in the adaptive "
        "exponential integrate-and-fire model. Biological Cybernetics 99:335–347.",
        doi="10.1007/s00422-008-0264-7",
        summary="One neuron of two variables spikes regularly, adapts, bursts, accelerates, falls silent or "
        "is chaotic, as its parameters say.",
        claims=(
            Claim(
                "Tonic: the last interval is hardly longer than the first.",
                FIGURE.format("a"),
                "ratio_tonic",
                AtMost(1.2),
                0.0,
                NO_NUMBER.format("a bound"),
                {"b": 60.0, "tau_w": 300.0},
            ),
            Claim(
                "Adapting: intervals grow to several times the first.",
                FIGURE.format("b"),
                "ratio_adapting",
                AtLeast(3.0),
                0.0,
                NO_NUMBER.format("a bound"),
                UNADAPTED,
            ),
            Claim(
                "Its intervals settle at 75.91 ms.",
                "the equations of figure 4b, integrated by SciPy's LSODA to 1e-10",
                "interval",
                75.909,
                0.05,
                "first order in dt",
                UNADAPTED,
                "ms",
            ),
            Claim(
                "Initial burst: the first interval is far shorter than the later ones.",
                FIGURE.format("c"),
                "ratio_initial_burst",
                AtLeast(10.0),
                0.0,
                NO_NUMBER.format("a bound"),
                UNADAPTED,
            ),
            Claim(
                "Regular bursting: bursts of two or more spikes ...",
                FIGURE.format("d"),
                "spikes_bursting",
                AtLeast(2.0),
                0.0,
                "a burst has two spikes",
                UNADAPTED,
            ),
            Claim(
                "... that follow each other after 133.18 ms.",
                "the equations of figure 4d, integrated by SciPy's LSODA to 1e-10",
                "pause",
                133.176,
                0.05,
                "first order in dt",
                UNADAPTED,
                "ms",
            ),
            Claim(
                "Delayed accelerating: intervals shrink.",
                FIGURE.format("e"),
                "ratio_accelerating",
                AtMost(0.7),
                0.0,
                NO_NUMBER.format("a bound"),
                UNADAPTED,
            ),
            Claim(
                "Delayed regular bursting: bursts of two or more spikes.",
                FIGURE.format("f"),
                "spikes_delayed_bursting",
                AtLeast(2.0),
                0.0,
                "a burst has two spikes",
                UNADAPTED,
            ),
            Claim(
                "All its bursts are alike.",
                FIGURE.format("f"),
                "unequal_delayed_bursting",
                0.0,
                0.0,
                "exact",
                {"V_reset": -47.5},
                "spikes",
            ),
            Claim(
                "The first comes late: after three membrane time constants.",
                FIGURE.format("f"),
                "latency",
                AtLeast(30.0),
                0.0,
                NO_NUMBER.format("a bound"),
                {"a": 0.0, "b": 0.0, "current": 180.0},
                "ms",
            ),
            Claim(
                "Transient: after a spike or two there is silence, although the current goes on.",
                FIGURE.format("g"),
                "spikes_transient",
                1.0,
                1.0,
                "a spike or two",
                UNADAPTED,
                "spikes",
            ),
            Claim(
                "Irregular: runs that begin almost alike part, though nothing is random.",
                FIGURE.format("h") + " and the section on chaos",
                "divergence_irregular",
                AtLeast(0.1),
                0.0,
                NO_NUMBER.format(
                    "w differs by 0.001 pA at the start; where firing is regular it is below 0.001"
                ),
                UNADAPTED,
            ),
        ),
        measure=measure,
        pictures={
            "Half a second of the eight patterns under a constant current.": traces,
            "The first forty intervals of each.": sequences,
        },
    )
)
