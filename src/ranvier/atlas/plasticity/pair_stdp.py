"""Plasticity by protocol: the window of pairs, and the triplets that frequency needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DT = 1.0  # ms; all timings are whole steps
PAIRS = 60
LAGS = np.array([-50, -40, -30, -20, -10, -5, 5, 10, 20, 30, 40, 50])  # ms, pre before post is positive
#: slices of visual cortex, Sjöström, Turrigiano & Nelson 2001, as Pfister & Gerstner list them: change and SEM
FREQUENCIES = np.array([0.1, 10.0, 20.0, 40.0, 50.0])  # Hz
SLICES = {10: np.array([-0.04, 0.14, 0.29, 0.53, 0.56]), -10: np.array([-0.29, -0.41, -0.34, 0.56, 0.75])}
SEM = {10: np.array([0.05, 0.10, 0.14, 0.11, 0.26]), -10: np.array([0.08, 0.11, 0.10, 0.32, 0.19])}
WIDE: dict[str, Any] = {"w_min": -10.0, "w_max": 10.0}
WINDOW = rv.rules.STDP(tau_plus=16.8, tau_minus=33.7, A_plus=0.008, A_minus=0.005, **WIDE)


def protocol(rule: rv.rules.Rule, lags: Any, frequencies: Any, pairs: int = PAIRS) -> np.ndarray:
    """Weight changes after `pairs` pairs, one synapse a (lag in ms, frequency in Hz), in the compiled engine."""
    lags, frequencies = np.asarray(lags), np.asarray(frequencies, float)
    start, n = 100.0, len(lags)
    onset = start + np.arange(pairs)[:, None] * np.round(1000.0 / frequencies / DT) * DT  # (pairs, n)
    who = np.broadcast_to(np.arange(n), onset.shape).ravel()

    def train_of(times: np.ndarray) -> rv.SpikeTimes:
        return rv.SpikeTimes(torch.from_numpy(times.ravel()), torch.from_numpy(who))

    net = rv.Network()
    # arrives after one step, as the teacher's, which acts in the next
    pre = net.add(train_of(onset + DT), n, name="pre")
    teacher = net.add(train_of(onset + lags), n, name="teacher")
    post = net.add(rv.LIF(t_ref=0.0), n, name="post")
    one_to_one = np.arange(n), np.arange(n)
    synapse = net.connect(pre, post, weight=0.0, delay=DT, edges=one_to_one, plasticity=rule)
    net.connect(teacher, post, weight=1000.0, delay=DT, edges=one_to_one)
    end = float(np.ceil(onset.max() + abs(lags).max() + 20.0))
    recording = rv.simulate(net, end, dt=DT, dtype=torch.float64)
    counts = (recording.rates()[post.slice] * end / 1000).round()
    if not bool((counts == pairs).all()):
        raise RuntimeError(f"the teacher made {counts.tolist()} spikes; expected {pairs} each")
    return recording.weights[synapse].numpy()


def frequencies_of(rule: rv.rules.Rule) -> dict[int, np.ndarray]:
    """Changes at ±10 ms over the frequencies."""
    lags = np.repeat([10, -10], len(FREQUENCIES))
    changes = protocol(rule, lags, np.tile(FREQUENCIES, 2))
    return {10: changes[: len(FREQUENCIES)], -10: changes[len(FREQUENCIES) :]}


def misfit(changes: dict[int, np.ndarray]) -> float:
    """Mean squared distance from the slices in their standard errors (Pfister & Gerstner 2006, eq. 5)."""
    return float(np.mean([((changes[lag] - SLICES[lag]) / SEM[lag]) ** 2 for lag in SLICES]))


def best_pairs() -> dict[int, np.ndarray]:
    """What the best amplitudes of a pair rule give: its changes are linear in A_plus and A_minus."""
    single: tuple[dict[str, Any], ...] = ({"A_plus": 1e-3, "A_minus": 0.0}, {"A_plus": 0.0, "A_minus": 1e-3})
    parts = [rv.rules.STDP(tau_plus=16.8, tau_minus=33.7, **each, **WIDE) for each in single]
    columns = [np.concatenate(list(frequencies_of(rule).values())) for rule in parts]
    sem, goal = (np.concatenate(list(x.values())) for x in (SEM, SLICES))
    amplitudes = np.linalg.lstsq(np.stack(columns, 1) / sem[:, None], goal / sem, rcond=None)[0]
    results = np.stack(columns, 1) @ amplitudes
    return {10: results[: len(FREQUENCIES)], -10: results[len(FREQUENCIES) :]}


def measure(
    seed: int, size: Size, pairing: float = 1.0, triplets: bool = True, pairs_only: bool = True
) -> dict[str, Any]:
    """`pairing`: the frequency of the window's protocol, Hz; `triplets=False` leaves the triplet terms out;
    `pairs_only=False` gives the pair rule triplets."""
    window = protocol(WINDOW, LAGS, np.full(len(LAGS), pairing))
    plus, minus = WINDOW.A_plus * np.exp(-LAGS / 16.8), -WINDOW.A_minus * np.exp(LAGS / 33.7)
    expected = PAIRS * np.where(LAGS > 0, plus, minus)
    curves = {}
    for pairs in ("all", "nearest"):
        rule = rv.rules.TripletSTDP.fitted("visual", pairs=pairs, **WIDE)  # type: ignore[arg-type]
        curves[pairs] = frequencies_of(rule if triplets else _without_triplets(rule))
    curves["pair"] = best_pairs() if pairs_only else curves["all"]
    return {
        "window_error": float(np.abs(window / expected - 1).max()),
        "misfit_all": misfit(curves["all"]),
        "misfit_nearest": misfit(curves["nearest"]),
        "misfit_pair": misfit(curves["pair"]),
        "reversal": float(curves["all"][-10][-1] - curves["all"][-10][1]),
        "window": (window, expected),
        "curves": curves,
    }


def _without_triplets(rule: rv.rules.TripletSTDP) -> rv.rules.TripletSTDP:
    p = rule.parameters
    return rv.rules.TripletSTDP(pairs=rule.pairs, **{**p, "A2_plus": p["A2_minus"], "A3_plus": 0.0})


def window(material: dict[str, Any]) -> Figure:
    """The window of sixty pairs at 1 Hz."""
    measured, expected = material["window"]
    figure, axis = canvas(6, 3)
    axis.axhline(0, color="0.7", lw=0.8)
    axis.plot(LAGS, expected, color=COLOURS[1], label="60 pairs, each by itself")
    axis.plot(LAGS, measured, "o", color=COLOURS[0], label="simulated")
    axis.set(xlabel="post − pre (ms)", ylabel="change of the weight")
    axis.legend()
    return figure


def frequency(material: dict[str, Any]) -> Figure:
    """Change against frequency: slices, triplets and the best pair rule."""
    figure, axes = canvas(8, 3, 1, 2)
    for axis, lag in zip(axes[0], (10, -10), strict=True):
        axis.errorbar(FREQUENCIES, SLICES[lag], SEM[lag], fmt="o", color="0.3", label="slices")
        for k, (name, curve) in enumerate(material["curves"].items()):
            label = {"all": "triplets, all", "nearest": "triplets, nearest", "pair": "best pair rule"}[name]
            axis.plot(FREQUENCIES, curve[lag], color=COLOURS[k], label=label)
        axis.set(xlabel="frequency (Hz)", ylabel="change of the weight", title=f"post − pre = {lag} ms")
    axes[0, 0].legend()
    return figure


TABLE = "Pfister & Gerstner 2006, tables 1 and 4: minimal model, {}, 60 pairs"
WITHIN = "one standard error of the experiment, root mean square; the paper's fit is at 0.34"

register(
    Experiment(
        name="pair_stdp",
        title="Pairs have a window, frequency needs triplets",
        paper="J.-P. Pfister and W. Gerstner (2006). Triplets of spikes in a model of spike timing-dependent "
        "plasticity. Journal of Neuroscience 26:9673–9682. Window: S. Song, K. D. Miller and L. F. Abbott (2000).",
        doi="10.1523/JNEUROSCI.1425-06.2006",
        summary="Sixty pairs of spikes by the protocol of slice experiments. At 1 Hz the change is the window's, "
        "pair by pair. How it turns with frequency, triplets explain and no rule of pairs does.",
        claims=(
            Claim(
                "Sixty pairs at 1 Hz change a weight sixty times as much as one pair.",
                "Song, Miller & Abbott 2000, fig. 1; protocol of Bi & Poo 1998",
                "window_error",
                0.0,
                1e-6,
                "neighbouring pairs: exp(-950/33.7) < 1e-12; arithmetic in float64",
                {"pairing": 10.0},
            ),
            Claim(
                "The minimal triplet rule, all pairs, gives the slices' changes at 0.1 to 50 Hz.",
                TABLE.format("all to all"),
                "misfit_all",
                AtMost(1.0),
                0.0,
                WITHIN,
                {"triplets": False},
            ),
            Claim(
                "So does the minimal triplet rule of nearest spikes.",
                TABLE.format("nearest spike"),
                "misfit_nearest",
                AtMost(1.0),
                0.0,
                WITHIN,
                {"triplets": False},
            ),
            Claim(
                "No rule of pairs does, whatever its amplitudes.",
                "Pfister & Gerstner 2006, results: pair-based models fail",
                "misfit_pair",
                AtLeast(4.0),
                0.0,
                "two standard errors of the experiment, root mean square",
                {"pairs_only": False},
            ),
            Claim(
                "Post before pre depresses at 10 Hz and potentiates at 50 Hz.",
                "Sjöström, Turrigiano & Nelson 2001, fig. 1: 0.75 ± 0.19 against −0.41 ± 0.11",
                "reversal",
                1.16,
                0.44,
                "two standard errors of the difference, 0.22 each",
                {"triplets": False},
            ),
        ),
        measure=measure,
        pictures={
            "The window, by the protocol of 60 pairs at 1 Hz.": window,
            "Against frequency: slices of visual cortex and three rules.": frequency,
        },
    )
)
