"""Worms of several laboratories made alike, and activity forecast in worms that were never fitted."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, canvas, dataset, register
from ranvier.recordings import (
    Neurons,
    Session,
    Signal,
    built_in_wiring,
    canonical_names,
    fit_forecast,
    homogenise,
    read_session,
    shuffled_graph,
    skill,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

STEPS, LAG, SIZE = 6, 3, 80  # of a third of a second; neurons of the planted worm


def measure(seed: int, size: Size, harmonised: bool = True, wired: bool = True, fitted: bool = True) -> dict[str, Any]:
    """Three laboratories of one planted worm, and four recorded ones.

    harmonised: whether recordings are made alike. wired: whether the graph is the worm's, not a shuffled one. fitted:
    whether the law is, rather than one that says that nothing changes.
    """
    shuffles = {"small": 3, "full": 50}[size]
    return planted(seed, harmonised) | recorded(seed, shuffles, wired, fitted)


def planted(seed: int, harmonised: bool) -> dict[str, Any]:
    """Correlation of the same neurons between laboratories that differ in rate, order, gain, offset and noise; and the
    law of one on the activity of another."""
    rng = np.random.default_rng(seed)
    names = canonical_names()
    latent, t = _worm(rng), np.arange(3000) * 200.0
    sessions = []
    for step, gain, offset in ((600.0, 1.0, 5.0), (280.0, 40.0, 900.0), (450.0, 0.3, -2.0)):
        order = rng.permutation(SIZE)
        at = np.arange(0.0, t[-1], step)
        values = np.column_stack([np.interp(at, t, latent[:, k]) for k in order])
        values = gain * (values + 0.05 * latent.std() * rng.standard_normal(values.shape)) + offset
        sessions.append(Session(activity=Signal(at, values), neurons=Neurons(tuple(names[k] for k in order))))
    if harmonised:
        x = [_activity(homogenise(s))[150:1700, :SIZE] for s in sessions]
    else:
        x = [_activity(s)[100:900] for s in sessions]
    likeness = np.mean([np.corrcoef(x[a][:, k], x[b][:, k])[0, 1] for a, b in ((0, 1), (1, 2)) for k in range(SIZE)])
    law = fit_forecast([x[0]], (), steps=STEPS, lag=LAG)
    return {"likeness": float(likeness), "across": skill(law(x[1]), x[1], STEPS)}


def _activity(session: Session) -> np.ndarray:
    """Of a session that holds no spikes."""
    return cast(Signal, session.activity).read()


def _worm(rng: np.random.Generator) -> np.ndarray:
    """Slow activity on the worm's own wiring, (3000, SIZE) at 200 ms."""
    shares = built_in_wiring().normalised()[0][:SIZE, :SIZE]
    x = np.zeros((3000, SIZE))
    drive = np.zeros(SIZE)
    for k in range(1, 3000):
        drive = 0.97 * drive + rng.standard_normal(SIZE)
        x[k] = 0.95 * x[k - 1] + 0.04 * shares @ x[k - 1] + 0.05 * drive
    return x


@lru_cache(maxsize=1)
def _recorded() -> list[np.ndarray] | None:
    folder = dataset("celegans/activity")
    if folder is None:
        return None
    return [_activity(homogenise(read_session(file))) for file in sorted(folder.glob("*.npz"))]


def recorded(seed: int, shuffles: int, wired: bool, fitted: bool) -> dict[str, Any]:
    """Skill on each worm of laws fitted to the others, without a graph, with the worm's and with shuffled ones."""
    worms = _recorded()
    if not worms:
        return {"skill": None, "advantage": None}
    there = np.any([np.isfinite(x[-1]) for x in worms], 0)
    worms = [x[:, there] for x in worms]
    graphs = tuple(g[np.ix_(there, there)] for g in built_in_wiring().normalised())
    chosen = graphs if wired else tuple(shuffled_graph(g, 10_000 + seed) for g in graphs)
    scores: dict[str, list[float]] = {"none": [], "graph": [], "shuffled": []}
    for k, held_out in enumerate(worms):
        rest = worms[:k] + worms[k + 1 :]
        for name, wiring in (("none", ()), ("graph", chosen)):
            law = fit_forecast(rest, wiring, steps=STEPS, lag=LAG)
            scores[name].append(skill(law(held_out) if fitted else held_out, held_out, STEPS))
        shuffled = []
        for draw in range(shuffles):
            other = fit_forecast(rest, [shuffled_graph(g, draw) for g in graphs], steps=STEPS, lag=LAG)
            shuffled.append(skill(other(held_out), held_out, STEPS))
        scores["shuffled"].append(max(shuffled))
    gain = np.subtract(scores["graph"], scores["shuffled"])
    return {
        "skill": float(np.mean(scores["graph"])), "advantage": float(gain.mean()), "better_in": int((gain > 0).sum()),
        "scores": scores, "forecast": law(held_out)[:-STEPS], "actual": held_out[STEPS:],
    }  # fmt: skip


def forecasts(material: dict[str, Any]) -> Figure:
    """Skill by wiring; one neuron and its forecast."""
    figure, (row,) = canvas(8, 2.6, 1, 2)
    if "scores" in material:
        for k, (name, values) in enumerate(material["scores"].items()):
            row[0].plot(np.full(len(values), k), values, "o", color=COLOURS[k], label=name)
        row[0].set(xticks=range(3), xticklabels=list(material["scores"]), ylabel="skill over persistence")
        actual = material["actual"]
        k = int(np.argmax(np.isfinite(actual).sum(0)))
        row[1].plot(actual[200:500, k], color=COLOURS[4], lw=1)
        row[1].plot(material["forecast"][200:500, k], color=COLOURS[1], lw=1)
        row[1].set(xlabel="sample (1/3 s)", title=canonical_names()[k])
    return figure


SIMEON = "Simeon et al. (2024)"
register(
    Experiment(
        name="worms",
        title="Worms made alike, and forecast",
        paper="Q. Simeon et al. (2024). Homogenized C. elegans neural activity and connectivity data. "
        "arXiv:2411.12091.",
        doi="10.48550/arXiv.2411.12091",
        summary="One planted worm, recorded by three laboratories at their own rates, gains and orders, is the same "
        "after its recordings are made alike, and one's forecasts hold for another. In recorded worms a law of each "
        "neuron and its neighbours, fitted to three, forecasts the fourth 2 s ahead better than persistence, and, in "
        "three of the four, better with the worm's wiring than with shuffled ones. The difference is small.",
        claims=(
            Claim("The same neuron is the same in any laboratory's recording.", SIMEON, "likeness", AtLeast(0.95), 0.0,
                  "a bound; noise of 5 % leaves 0.99", {"harmonised": False}),
            Claim("A law of one laboratory's worm beats persistence in another's.", SIMEON, "across", AtLeast(0.1), 0.0,
                  "a bound; 0 is persistence", {"harmonised": False}),
            Claim("In a recorded worm that was held out a forecast beats persistence.", SIMEON, "skill", AtLeast(0.2),
                  0.0, "a bound", {"fitted": False}, only="recorded worms"),
            Claim("The wiring helps more than the best of shuffled ones, in the mean over worms.", SIMEON, "advantage",
                  AtLeast(0.001), 0.0, "three deviations of the mean over worms of shuffled ones", {"wired": False},
                  only="recorded worms"),
        ),
        measure=measure,
        pictures={"Skill of forecasts by wiring, and one of them.": forecasts},
    )
)  # fmt: skip
