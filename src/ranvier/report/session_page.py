"""One self-contained page about a recording: activity, behaviour, dimension, manifold, decoding, strongest pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.files.atomic import require_writable, write_atomic
from ranvier.report._page import OWN_CITATION, render
from ranvier.report._parts import Picture, Section, Table, count, number, plural
from ranvier.report._session_measures import (
    BinnedActivity,
    Decoded,
    binned_activity,
    decode,
    loops_of,
    spectrum_of,
    strongest_pairs,
)
from ranvier.report._style import EXCITATORY, INHIBITORY, NEUTRAL, new, styled
from ranvier.report.explore import Column, DataTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.recordings import Session

_ROWS, _CLOUD, _PAIRS = 200, 1500, 200  # neurons in the picture; points in the cloud; pairs in the table


def session_page(session: Session) -> str:
    """The HTML of a page about a `Session`. Raises ValueError for one that is too short or silent."""
    activity = binned_activity(session)
    shares, chance, ratio, components, place = spectrum_of(activity)
    decoded = decode(session, activity)
    heat = Picture(_heat(session, activity), _heat_caption(session, activity), heavy=True)
    sections = [Section("Activity", _notes(session), [heat])]
    if session.behaviour:
        text = f"Behaviour and stimuli on the same clock: {', '.join([*session.behaviour, *session.stimuli])}."
        sections.append(Section("Behaviour", (), [Picture(_behaviour(session), text)]))
    sections.append(Section("Dimension", (
        f"The participation ratio is {number(ratio, 1)} of {len(activity.places)}; {_enough(shares)}.",
    ), [Picture(_spectrum(shares, chance), "Share of the variance along each principal component; grey: with each "
                "neuron's activity rotated by its own random time.")]))  # fmt: skip
    loops = loops_of(activity)
    after = [Section("Decoding", (
        "Each behaviour by ridge regression from all neurons, on consecutive blocks that were held out in turn, with "
        "gaps between. Chance: the same with the behaviour turned round in time.",
    ), [_decoding(decoded)])] if decoded else []  # fmt: skip
    after.append(Section("Neurons", (), [_neurons(session, activity)]))
    pairs = strongest_pairs(session, activity, _PAIRS)
    first, second = [a for a, _, _ in pairs], [b for _, b, _ in pairs]
    table = DataTable("pairs", [Column("first", "first", first), Column("second", "second", second),
                                Column("correlation", "correlation", np.array([p[2] for p in pairs]), 3)])  # fmt: skip
    after.append(Section("Strongest pairs", (f"Correlation over bins of {activity.width:g} ms.",), [table]))
    colour, by = _colour(session, activity)
    cloud = _cloud(place, colour)
    return render(
        "session.html", title=session.name or "A recording", summary=_summary(session),
        highlights=_highlights(session, ratio, decoded), sections=sections, after=after, cloud=cloud,
        by=by, explained=number(100 * float(components.explained.sum()), 0),
        topology=_topology(loops), citations=[OWN_CITATION],
    )  # fmt: skip


def _neurons(session: Session, activity: BinnedActivity) -> DataTable:
    """A row a neuron that changes: of spikes its rate, of continuous activity its mean and standard deviation."""
    names = [session.neurons.names[n] or f"neuron {n}" for n in activity.places]
    columns = [Column("neuron", "neuron", names)]
    if session.kind == "spikes":
        columns.append(Column("rate (Hz)", "rate_Hz", np.asarray(session.rates(), np.float64)[activity.places], 2))
    else:
        columns += [Column("mean", "mean", activity.x.mean(0), 3), Column("SD", "sd", activity.x.std(0), 3)]
    return DataTable("neurons", columns, f"Neurons whose activity changes, in bins of {activity.width:g} ms.")


def write_session_page(path: str | Path, session: Session) -> Path:
    """Write `session_page(session)` to a file, atomically; OSError, at once, where that cannot be."""
    require_writable(path)
    return write_atomic(path, session_page(session))


def _summary(session: Session) -> str:
    kind = "Spikes" if session.kind == "spikes" else "Continuous activity"
    trials = f", {plural(len(session.trials), 'trial')}" if session.trials is not None else ""
    return f"{kind} of {plural(session.n_neurons, 'neuron')} over {session.duration / 1000:.4g} s{trials}."


def _notes(session: Session) -> list[str]:
    return [f"{note[:1].upper()}{note[1:]}." for note in session.notes]


def _highlights(session: Session, ratio: float, decoded: list[Decoded]) -> list[tuple[str, str]]:
    items = [
        (count(session.n_neurons), "neurons"),
        (count(int(session.neurons.labelled.sum())), "with names"),
        (f"{session.duration / 1000:.4g} s", "recorded"),
        (number(ratio, 1), "dimensions (participation ratio)"),
    ]
    if session.kind == "spikes":
        items.append((number(float(session.rates().mean()), 2) + " Hz", "mean rate"))
    significant = [d for d in decoded if d.score.p <= 0.05 and (d.circular or d.score.value > 0)]
    if decoded:
        items.append((f"{len(significant)} of {len(decoded)}", "behaviours decoded"))
    return items


def _enough(shares: np.ndarray) -> str:
    total = np.cumsum(shares)
    k = int(np.searchsorted(total, 0.9 - 1e-12)) + 1
    if k > len(shares):
        return f"{len(shares)} components hold {number(100 * float(total[-1]), 0)} % of the variance"
    return f"{k} components hold 90 % of the variance"


def _topology(loops: Any) -> str:
    if loops is None:
        return ""
    (pieces, rings), lives, limits = loops
    ring = {0: "no loop", 1: "one loop", 2: "two loops"}.get(rings, f"{rings} loops")
    longest = number(float(lives[0]), 2) if len(lives) else "0"
    return (
        f"Persistent homology finds {'one piece' if pieces == 1 else f'{pieces} pieces'} and {ring}: the longest lives "
        f"{longest}, where {number(float(limits[1]), 2)} would have to be exceeded (1.3 times the longest of shuffled "
        "recordings)."
    )


def _decoding(decoded: list[Decoded]) -> Table:
    rows = []
    for d in decoded:
        unit = "°" if d.circular else ""
        rows.append((d.name, f"{number(d.score.value, 1 if d.circular else 3)}{unit}",
                     f"{number(d.score.chance, 1 if d.circular else 3)}{unit} ± {number(d.score.spread, 2)}",
                     number(d.score.p, 3)))  # fmt: skip
    note = "p: the share of turned behaviours that are decoded as well, the behaviour itself counted."
    return Table(("behaviour", "R², or median angle", "chance", "p"), rows, note)


@styled
def _heat(session: Session, activity: BinnedActivity) -> Figure:
    """Normalised activity, neurons in the order of their place along the first component."""
    z = activity.x - activity.x.mean(0)
    z /= z.std(0)
    chosen = np.argsort(-activity.x.std(0))[:_ROWS] if z.shape[1] > _ROWS else np.arange(z.shape[1])
    z = z[:, chosen]
    first = np.linalg.svd(z[:: max(1, len(z) // 1000)], full_matrices=False)[2][0]
    order = np.argsort(first)
    figure = new(9.5, 3.8)
    axes = figure.subplots()
    image = axes.imshow(z[:, order].T, aspect="auto", cmap="magma", vmin=-1, vmax=3, interpolation="nearest",
                        extent=(0, session.duration / 1000, z.shape[1], 0))  # fmt: skip
    axes.set(xlabel="time since the beginning (s)", ylabel="neuron")
    figure.colorbar(image, ax=axes, label="deviations", shrink=0.8)
    return figure


def _heat_caption(session: Session, activity: BinnedActivity) -> str:
    shown = min(_ROWS, len(activity.places))
    what = "Roots of spike counts" if session.kind == "spikes" else "Activity"
    left = session.n_neurons - len(activity.places)
    missing = f" Left out, unchanging or rarely measured: {plural(left, 'neuron')}." if left else ""
    return (
        f"{what} in bins of {activity.width:g} ms, each neuron in its own standard deviations; {shown} of "
        f"{plural(session.n_neurons, 'neuron')}, in the order of their weight in the first component.{missing}"
    )


@styled
def _behaviour(session: Session) -> Figure:
    names = list(session.behaviour)[:8]
    figure = new(9.5, 0.95 * len(names) + 0.6)
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, names):
        signal = session.behaviour[name]
        step = max(1, len(signal) // 4000)
        values = signal.read(slice(None, None, step))
        values = values if values.ndim == 1 else values[:, 0]
        style = {"ls": "", "marker": ".", "ms": 1} if signal.period else {"lw": 0.8}
        axis.plot((signal.times[::step] - session.start) / 1000, values, color=EXCITATORY, **style)
        axis.set_title(name + (f" ({signal.unit})" if signal.unit else ""), fontsize=8)
    axes[-1].set_xlabel("time since the beginning (s)")
    return figure


@styled
def _spectrum(shares: np.ndarray, chance: np.ndarray) -> Figure:
    figure = new(5.0, 2.6)
    axes = figure.subplots()
    axes.plot(np.arange(1, len(chance) + 1), 100 * chance, "o-", ms=3, color=NEUTRAL)
    axes.plot(np.arange(1, len(shares) + 1), 100 * shares, "o-", ms=3, color=INHIBITORY)
    axes.set(xlabel="principal component", ylabel="variance (%)", ylim=(0, None))
    return figure


def _colour(session: Session, activity: BinnedActivity) -> tuple[np.ndarray, str]:
    """A number from 0 to 1 for each bin, and what it is of: the first circular behaviour, else time."""
    for name, signal in session.behaviour.items():
        if signal.period:
            values = signal.at(activity.times, longest=3 * activity.width)
            values = values if values.ndim == 1 else values[:, 0]
            return np.nan_to_num(values / signal.period % 1.0), f"{name}, round the circle of colours"
    return np.linspace(0, 0.8, len(activity.times)), "time, from red to purple"


def _cloud(place: np.ndarray, colour: np.ndarray) -> dict[str, str]:
    """Points (x, y, z) as whole numbers within ±1000, and hues from 0 to 359, as text."""
    from scipy.ndimage import gaussian_filter1d

    soft = gaussian_filter1d(place, 1.0, axis=0)
    if soft.shape[1] < 3:
        soft = np.column_stack([soft, np.zeros((len(soft), 3 - soft.shape[1]))])
    rows = np.linspace(0, len(soft) - 1, min(_CLOUD, len(soft))).astype(int)
    points = soft[rows] - soft[rows].mean(0)
    points = np.round(1000 * points / max(np.quantile(np.linalg.norm(points, axis=1), 0.99), 1e-12)).astype(int)
    points = np.clip(points, -1500, 1500)
    return {"points": " ".join(map(str, points.ravel().tolist())),
            "hues": " ".join(str(int(359 * c)) for c in colour[rows])}  # fmt: skip


__all__ = ["session_page", "write_session_page"]
