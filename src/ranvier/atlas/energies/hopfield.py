"""Hopfield's network: how many patterns it recalls, from how far, and how its energy falls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, gallery, register
from ranvier.energies import ContinuousHopfield, Descent, Fixed, Hopfield, lagrangians

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

LOADS = (0.05, 0.08, 0.11, 0.125, 0.132, 0.138, 0.144, 0.15, 0.16, 0.18, 0.22)
NEAR = (0.14, 0.15, 0.16, 0.17, 0.18)  # where small networks lose their patterns
SIZES = {"small": 400, "full": 2000}


def measure(
    seed: int, size: Size, rule: str = "hebb", more: float = 1.0, synchronous: bool = False, steep: bool = True,
    parts: str = "capacity",
) -> dict[str, Any]:  # fmt: skip
    """Overlaps after recall against the load, errors at N/(2 ln N), and energies on the way.

    rule: of storage. more: multiple of the number of stored patterns that is claimed. synchronous: all units at once.
    steep: whether graded neurons have a gain above their threshold. parts: whether the capacity is measured, at full
    size.
    """
    n, g = SIZES[size], torch.Generator().manual_seed(seed)
    metrics: dict[str, Any] = {}
    overlaps = np.array([recalled(n, more * load, rule, g) for load in LOADS])
    metrics |= {
        "overlaps": overlaps,
        "below": overlaps[LOADS.index(0.11)],
        "beyond": overlaps[LOADS.index(0.22)],
        "capacity": None,
        "capacity_error": 0.0,
    }
    if size == "full" and "capacity" in parts:
        metrics |= capacity(rule, g)
    metrics |= errors(n, rule, g)

    xi = patterns(round(0.1 * n), n, g)
    model = Hopfield.store(xi, rule)
    noisy = xi[:8] * flips(xi[:8].shape, 0.2, g)
    mixed = patterns(8, n, g)
    end = model.settle(torch.cat([noisy, mixed]), synchronous=synchronous, max_sweeps=60)
    assert end.trace is not None
    traces = [energies.numpy() / n for energies in end.trace.T]
    metrics |= {
        "rise": max(float(np.diff(t).max(initial=0.0)) for t in traces),
        "at_rest": float(end.converged.double().mean()),
        "traces": traces,
    }
    metrics |= graded(g, steep) | {"letters": letters(seed)}
    return metrics


def patterns(count: int, n: int, g: torch.Generator) -> torch.Tensor:
    """Random ±1 (count, n)."""
    return torch.randint(0, 2, (count, n), generator=g).double() * 2 - 1


def flips(shape: tuple[int, ...] | torch.Size, part: float, g: torch.Generator) -> torch.Tensor:
    """−1 with that probability, else 1."""
    return torch.where(torch.rand(shape, generator=g, dtype=torch.float64) < part, -1.0, 1.0)


def recalled(n: int, load: float, rule: str, g: torch.Generator) -> float:
    """Mean overlap with the pattern after recall from the pattern itself."""
    xi = patterns(round(load * n), n, g)
    probed = xi[: max(40, 16_000 // n)]
    return float((Hopfield.store(xi, rule).settle(probed).x * probed).mean())


def capacity(rule: str, g: torch.Generator) -> dict[str, float]:
    """Where the overlap falls through 0.8, in networks of 500 and 2000 units, and from them in an infinite one: shifts
    go as N^(−1/2), by the disorder of a sample, to N^(−1), by fluctuations about the mean field."""
    falls = np.array([[crossing([recalled(n, load, rule, g) for load in NEAR], 0.8) for _ in range(6)]
                      for n in (500, 2000)])  # fmt: skip
    (small, large), (rough, fine) = falls.mean(1), falls.std(1, ddof=1) / math.sqrt(6)
    steep, flat = 2 * large - small, (4 * large - small) / 3
    return {
        "fall_500": small, "fall_2000": large, "capacity": (steep + flat) / 2,
        "capacity_error": abs(flat - steep) / 2 + 4 * math.hypot(5 * fine, 2 * rough) / 3,
    }  # fmt: skip


def crossing(overlaps: list[float], level: float) -> float:
    """The load at which the overlap falls through a level, by a line through what was measured near by."""
    slope, start = np.polyfit(NEAR, overlaps, 1)
    return float((level - start) / slope) if slope < -1 else NEAR[-1]


def errors(n: int, rule: str, g: torch.Generator) -> dict[str, float]:
    """Wrong units in a pattern after one step from it, at N/(2 ln N) patterns; over N Φ(−√(N/P)), from the normal law
    of the other patterns' crosstalk, which is 1/√(4π ln N)."""
    count, wrong, tested = round(n / (2 * math.log(n))), 0, 0
    for _ in range(30):
        xi = patterns(count, n, g)
        wrong += int((Hopfield.store(xi, rule).force(xi) * xi < 0).sum())
        tested += count
    predicted = n * 0.5 * math.erfc(math.sqrt(n / (count - 1) / 2))
    error = 4 * math.sqrt(2 / (predicted * tested))
    return {"wrong": wrong / tested, "wrong_ratio": wrong / tested / predicted, "wrong_error": error}


def graded(g: torch.Generator, steep: bool) -> dict[str, Any]:
    """A continuous network of 100 neurons with 5 patterns, from states between: where it ends, and its energies."""
    xi = patterns(5, 100, g)
    weight = Hopfield.store(xi).weight
    model = ContinuousHopfield(weight, lagrangian=lagrangians.Tanh(4.0 if steep else 0.5))
    start = 0.08 * xi + 0.1 * torch.randn(5, 100, generator=g, dtype=torch.float64)
    end = Descent(model, max_steps=3000).settle(start, trace=True, warn=False)
    assert end.trace is not None
    state, path = {"x": start}, [start]
    for _ in range(160):
        state = Descent(model, Fixed(0.025)).relax(state, 1)
        path.append(state["x"])
    u = torch.stack(path)
    return {
        "graded_overlap": float((end.y * xi).mean()),
        "graded_rise": float(end.trace.diff(dim=0).max()),
        "graded_energy": torch.stack([model.energy(x) for x in u]).numpy(),
        "graded_path": model.activations(u[:, 0]).numpy(),
    }


def letters(seed: int) -> dict[str, Any]:
    """Five letters of 12 × 12 units, a quarter of them turned over, or the lower half lost, as they are recalled."""
    shapes = glyphs("GANLI")
    g = torch.Generator().manual_seed(seed)
    model = Hopfield.store(shapes, "pseudo_inverse")
    noisy = shapes * flips(shapes.shape, 0.2, g)
    rows, state = [noisy], noisy
    for _ in range(3):
        order = torch.randperm(144, generator=g)[:48]  # a third of a sweep
        state = state.clone()
        for i in order.tolist():
            field = model.force(state)[:, i]
            state[:, i] = torch.where(field == 0, state[:, i], field.sign())
        rows.append(state)
    return {"rows": torch.stack([*rows, model.settle(state).x]).numpy(), "shapes": shapes.numpy()}


def glyphs(text: str) -> torch.Tensor:
    """Letters as ±1 images of 12 × 12, (letters, 144), drawn by matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Blank

    shapes = []
    for letter in text:
        figure = Blank(figsize=(1, 1), dpi=48)
        figure.text(0.5, 0.46, letter, ha="center", va="center", fontsize=58, weight="bold", family="DejaVu Sans")
        drawn = FigureCanvasAgg(figure)
        drawn.draw()
        grey = np.asarray(drawn.buffer_rgba())[..., 0].reshape(12, 4, 12, 4).mean((1, 3))
        shapes.append(np.where(grey < 128, 1.0, -1.0).ravel())
    return torch.from_numpy(np.stack(shapes))


def curve(material: dict[str, Any]) -> Figure:
    """Overlap against load; energies during recall."""
    figure, (row,) = canvas(8, 2.8, 1, 2)
    left, right = row
    left.plot(LOADS, material["overlaps"], "o-", ms=4, color=COLOURS[0], label="after recall")
    left.axvline(0.138, color=COLOURS[5], lw=0.8)
    left.annotate("0.138", (0.139, 0.05), fontsize=7, color=COLOURS[5])
    left.set(xlabel="patterns a unit, P/N", ylabel="overlap with the pattern", ylim=(0, 1.05))
    for k, trace in reversed(list(enumerate(material["traces"]))):
        colour = COLOURS[0] if k < 8 else COLOURS[1]
        right.plot(trace, color=colour, lw=0.9)
        right.plot(len(trace) - 1, trace[-1], ".", ms=4, color=colour)
    right.plot([], color=COLOURS[0], label="from a pattern, a fifth of it wrong")
    right.plot([], color=COLOURS[1], label="from random states")
    right.set(xlabel="sweep", ylabel="energy a unit")
    right.legend(loc="upper right")
    return figure


def recall_pictures(material: dict[str, Any]) -> Figure:
    """Letters on their way."""
    titles = ["given", "a third of a sweep", "two thirds", "a sweep", "at rest"]
    return gallery(6.4, 5.2, material["letters"]["rows"], titles, -1, 1)[0]


def graded_picture(material: dict[str, Any]) -> Figure:
    """Neurons and energies of the continuous network."""
    figure, (row,) = canvas(8, 2.6, 1, 2)
    left, right = row
    time = 0.025 * np.arange(len(material["graded_path"]))
    left.plot(time, material["graded_path"][:, :40], color=COLOURS[0], lw=0.6, alpha=0.7)
    left.set(xlabel="time / τ", ylabel="activity V", yticks=[-1, 0, 1])
    right.plot(time, material["graded_energy"], color=COLOURS[1], lw=0.9)
    right.set(xlabel="time / τ", ylabel="energy")
    return figure


AGS = "Amit, Gutfreund and Sompolinsky (1985), replica theory"
register(
    Experiment(
        name="hopfield",
        title="Hopfield's network and its capacity",
        paper="J. J. Hopfield (1982). Neural networks and physical systems with emergent collective computational "
        "abilities. Proc. Natl. Acad. Sci. 79:2554-2558.",
        doi="10.1073/pnas.79.8.2554",
        summary="Binary units with symmetric weights fall, one after another, into the nearest memory. Random "
        "patterns are recalled up to 0.138 a unit, then all are lost at once; without any error only N/(2 ln N) are.",
        claims=(
            Claim(
                "Below 0.138 patterns a unit Hebb's rule recalls with few errors (0.11: overlap 0.9963).",
                AGS, "below", 0.9963, 0.0071, "four times the spread over seeds 1 to 8 at N = 400",
                {"more": 1.6, "parts": ""},
            ),
            Claim(
                "Beyond it the patterns are lost, all at once (0.22).",
                AGS, "beyond", AtMost(0.49), 0.25, "0.49 ± 0.06 over seeds 1 to 8 at N = 400, four times that; larger "
                "networks keep less", {"rule": "pseudo_inverse"},
                ours=True,
            ),
            Claim(
                "The overlap breaks down at 0.138 patterns a unit.",
                AGS, "capacity", 0.138, "capacity_error",
                "half of what lies between shifts of N^(−1/2) and N^(−1), and four standard errors",
                {"rule": "pseudo_inverse"},
                only="full size",
            ),
            Claim(
                "At N/(2 ln N) patterns less than one unit in a pattern is wrong: 1/√(4π ln N).",
                "McEliece et al. (1987); the crosstalk's normal law", "wrong_ratio", 1.0, "wrong_error",
                "four standard deviations of the number of errors, which varies twice as much as a Poisson count",
                {"rule": "pseudo_inverse"},
            ),
            Claim(
                "Recalled one unit after another, the energy never rises.",
                "Hopfield (1982)", "rise", AtMost(0.0), 1e-12, "rounding", {"synchronous": True, "parts": ""},
            ),
            Claim(
                "Graded neurons above their threshold recall too, in continuous time.",
                "Hopfield (1984)", "graded_overlap", AtLeast(0.95), 0.0,
                "saturation: tanh at a gain of 4 ends within 1e-3 of ±1", {"steep": False, "parts": ""},
            ),
        ),
        measure=measure,
        pictures={
            "Letters of 12 × 12 units, a fifth of them wrong, as they are recalled (pseudo-inverse rule).":
                recall_pictures,
            "Left: what is left of a pattern, against the load. Right: energies during recall, a tenth of a pattern "
            "a unit.": curve,
            "Graded neurons: forty of a hundred on their way into a pattern, and the energies of five such runs.":
                graded_picture,
        },
    )
)  # fmt: skip
