"""A cerebellum that predicts the cortex's feedback: decoupled neural interfaces on line drawing."""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, canvas, register
from ranvier.atlas.credit._intervals import least
from ranvier.learners import SyntheticGradients, synthesiser

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

STEPS, RADIUS, NOISE, FEEDBACK, BATCH = 10, 10.0, 0.1, 2, 30
#: at full size: cortical cells, cells of the cerebellum, training steps, learning rate, seeds; the paper has 50,
#: 2 × 400, 2000 steps of Adam at .001, and 10
SETTINGS: dict[str, Any] = {"small": (20, (60,), 60, 0.003, 6), "full": (20, (60,), 900, 0.003, 8)}


def measure(
    seed: int,
    size: Size,
    cerebellum: str = "intact",
    whole: str = "whole",
    parts: str = "gradient lines ablation sweeps",
) -> dict[str, Any]:
    """Lower ends of 95 % intervals over paired seeds, of log ratios of validation errors.

    cerebellum: "intact", or a part that is lost from the first step on, "cerebellum" or "olive". whole: the arm that
    stands for backpropagation through all steps. parts: what is measured; at small size the gradient alone.
    """
    names = ("nearer", "gain", "curve", "bound", "dysmetria", "ablation", "coupling", "long", "size", "delay")
    metrics: dict[str, Any] = dict.fromkeys(names)
    seeds = range(seed, seed + SETTINGS[size][4])
    if "gradient" in parts:
        cosines = np.array([gradient(s, size, cerebellum) for s in seeds])
        metrics["nearer"], metrics["cosines"] = least(cosines[:, 1] - cosines[:, 0]), cosines
    if size == "small":
        return metrics
    helped = [learn(s, size, 1, 0.1) for s in seeds]
    cut, lost = ([learn(s, size, 1, 0.0) for s in seeds], [learn(s, size, 1, 0.1, "cerebellum", 0.5) for s in seeds])
    if "lines" in parts:
        mine = helped if cerebellum == "intact" else [learn(s, size, 1, 0.1, cerebellum) for s in seeds]
        bound = cut if whole == "truncated" else [learn(s, size, STEPS, 0.0) for s in seeds]
        for metric, name in (("gain", "error"), ("curve", "area"), ("dysmetria", "dysmetria")):
            metrics[metric] = ratio(cut, mine, name)
        metrics["bound"] = ratio(mine, bound, "error")
        metrics["coupling"] = least([one["coupling"][-1] - one["coupling"][0] for one in mine])
        metrics["arms"] = {"truncated": cut, "cerebellum": mine, "whole": bound}
    if "ablation" in parts:
        metrics["ablation"] = ratio(lost if cerebellum == "intact" else helped, helped, "error")
    if "sweeps" in parts:
        metrics["long"] = ratio(
            [learn(s, size, 5, 0.0) for s in seeds], [learn(s, size, 5, 0.1) for s in seeds], "error"
        )
        metrics["size"] = ratio([learn(s, size, 1, 0.1, hidden=(4,)) for s in seeds], helped, "error")
        metrics["delay"] = ratio([learn(s, size, 1, 0.1, feedback=5) for s in seeds], helped, "error")
    return metrics


def ratio(worse: list[dict[str, Any]], better: list[dict[str, Any]], name: str) -> float:
    """How much less of it, at least."""
    return least([np.log(a[name] / b[name]) for a, b in zip(worse, better, strict=True)])


class Cortex(nn.Module):
    """An LSTM and a readout of two coordinates."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells, self.readout = nn.LSTM(1, cells), nn.Linear(cells, 2)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        h, state = self.cells(x, state)
        return self.readout(h), state


def lines(batch: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """A cue of −3 … 3, times .1, at the first step, with noise at all; points of a straight line to the end that it
    names, at rest for cue 0: x (T, B, 1), targets (B, T, 2)."""
    cue = torch.randint(-3, 4, (batch,), generator=draw)
    x = NOISE * 0.1 * torch.randn(STEPS, batch, 1, generator=draw)
    x[0, :, 0] += 0.1 * cue
    angle = torch.where(cue > 0, cue - 1, cue + 6) * torch.pi / 3
    ends = RADIUS * torch.stack([torch.cos(angle), torch.sin(angle)], 1) * (cue != 0)[:, None]
    return x, ends[:, None] * torch.linspace(0, 1, STEPS)[None, :, None]


def mse(y: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error."""
    return (y - targets).square().mean()


@cache
def learn(
    seed: int, size: Size, every: int, scale: float, part: str = "intact", when: float = 0.0,
    hidden: tuple[int, ...] | None = None, feedback: int = FEEDBACK,
) -> dict[str, Any]:  # fmt: skip
    """Train, losing `part` at the share `when` of the training; errors on lines with fresh noise."""
    cells, wide, steps, rate, _ = SETTINGS[size]
    torch.manual_seed(seed)
    cortex, back = Cortex(cells), synthesiser(2 * cells, hidden or wide)
    optimizer = torch.optim.Adam([*cortex.parameters(), *back.parameters()], rate)
    learner = SyntheticGradients(
        cortex, back, mse, optimizer, every=every, feedback_every=feedback, scale=scale, clip=1.0, accuracy=None
    )
    if scale == 0:
        learner.ablate("olive")
    draw, fresh = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 10_000)
    x, targets = lines(500, fresh)
    curve, coupling = [], []
    for step in range(steps):
        if part != "intact" and step == int(when * steps):
            learner.ablate(part)
        if step % (steps // 10) == 0:
            curve.append(error(cortex, x, targets))
            coupling.append(correlation(cortex, copy.deepcopy(back), x))
        learner.step(lines(BATCH, draw))
    curve.append(error(cortex, x, targets))
    coupling.append(correlation(cortex, back, x))
    with torch.no_grad():
        y = cortex(x)[0].transpose(0, 1)
    return {
        "error": curve[-1], "area": float(np.mean(curve[1:])), "curve": curve, "coupling": coupling,
        "dysmetria": float((y[:, -1] - targets[:, -1]).norm(dim=1).mean()),
    }  # fmt: skip


@torch.no_grad()
def error(cortex: nn.Module, x: Tensor, targets: Tensor) -> float:
    """At all steps, those without feedback too."""
    return float(mse(cortex(x)[0].transpose(0, 1), targets))


@torch.no_grad()
def correlation(cortex: Cortex, back: nn.Sequential, x: Tensor) -> float:
    """Of cortical cells with cells of the cerebellum, over steps and trials: mean absolute value, pair by pair."""
    states, state = [], None
    for row in x:
        _, state = cortex(row[None], state)
        states.append(torch.cat([part[0] for part in state], 1))
    h = torch.cat(states)
    hidden = back[:2](h)
    a, b = (v - v.mean(0) for v in (h[:, : h.shape[1] // 2], hidden))
    a, b = (v[:, v.norm(dim=0) > 1e-6] for v in (a, b))
    return float(((a / a.norm(dim=0)).T @ (b / b.norm(dim=0))).abs().mean())


def gradient(seed: int, size: Size, part: str) -> tuple[float, float]:
    """Cosines with the whole gradient, in the cue's weights, of a cortex that stands still: of the truncated one, and
    of that with the predictions, at full scale, of a cerebellum that has learned from it."""
    cells, hidden, steps, rate, _ = SETTINGS[size]
    torch.manual_seed(seed)
    cortex, back = Cortex(cells), synthesiser(2 * cells, hidden)
    optimizer = torch.optim.Adam(back.parameters(), rate)
    options: dict[str, Any] = {"feedback_every": FEEDBACK, "accuracy": None}
    learner = SyntheticGradients(cortex, back, mse, optimizer, every=1, scale=1.0, **options)
    if part != "intact":
        learner.ablate(part)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        learner.step(lines(BATCH, draw))
    batch, slopes = lines(500, torch.Generator().manual_seed(seed + 10_000)), []
    cues: Any = cortex.cells.weight_ih_l0
    still = torch.optim.SGD(cortex.parameters(), 0.0)
    for every, scale, more in ((STEPS, 0.0, "olive"), (1, 0.0, "olive"), (1, 1.0, part)):
        one = SyntheticGradients(cortex, back, mse, still, every=every, scale=scale, **options)
        if more != "intact":
            one.ablate(more)
        one.step(batch)
        slopes.append(cues.grad.flatten())  # of the cue, which came before any feedback
    whole, cut, helped = slopes
    return tuple(float(nn.functional.cosine_similarity(g, whole, dim=0)) for g in (cut, helped))  # type: ignore


def curves(material: dict[str, Any]) -> Figure:
    """Validation error in the course of training, every seed; at small size, cosines with the gradient."""
    figure, axes = canvas(4.2, 2.9)
    if "arms" not in material:
        axes.plot([0, 1], material["cosines"].T, "o-", color=COLOURS[0])
        axes.set(xticks=[0, 1], xticklabels=["truncated", "cerebellum"], ylabel="cosine with the gradient")
        return figure
    for k, (name, runs) in enumerate(material["arms"].items()):
        for i, run in enumerate(runs):
            axes.plot(np.linspace(0, 1, len(run["curve"])), run["curve"], color=COLOURS[k], label="" if i else name)
    axes.set(xlabel="share of the training", ylabel="validation error", yscale="log")
    axes.legend()
    return figure


PEMBERTON = "Pemberton, Boven, Apps & Costa (2021), NeurIPS"
INTERVAL = "the interval of the mean over paired seeds, of log ratios"
LOST = {"cerebellum": "cerebellum", "parts": "lines"}
register(
    Experiment(
        name="cerebellum",
        title="Cortico-cerebellar networks as decoupling neural interfaces",
        paper="J. Pemberton, E. Boven, R. Apps & R. P. Costa (2021). Cortico-cerebellar networks as decoupling neural "
        "interfaces. NeurIPS 34.",
        doi="10.48550/arXiv.2110.11501",
        summary="A recurrent cortex hears of its errors at every second step, and may look back one step only. A "
        "cerebellum learns to predict the gradient that is still to come; with it, lines are drawn that the cortex "
        "alone cannot draw.",
        claims=(
            Claim(
                "What the cerebellum predicts brings the truncated gradient nearer the whole one, in the weights "
                "of a cue that came earlier.",
                PEMBERTON + ", section 2",
                "nearer",
                AtLeast(0.02),
                0.0,
                "the interval of the mean over seeds",
                {"cerebellum": "olive", "parts": "gradient"},
            ),
            Claim(
                "Lines are drawn better than by truncated feedback alone.",
                PEMBERTON + ", fig. 2",
                "gain",
                AtLeast(0.05),
                0.0,
                INTERVAL,
                LOST,
                only="full size",
            ),
            Claim(
                "They are learned faster.",
                PEMBERTON + ", fig. 2",
                "curve",
                AtLeast(0.01),
                0.0,
                INTERVAL + " of errors over the training",
                LOST,
                only="full size",
            ),
            Claim(
                "Backpropagation through all steps is better still.",
                PEMBERTON + ", fig. 2",
                "bound",
                AtLeast(0.05),
                0.0,
                INTERVAL,
                {"whole": "truncated", "parts": "lines"},
                only="full size",
            ),
            Claim(
                "Ends are missed by less: dysmetria falls.",
                PEMBERTON + ", fig. 2",
                "dysmetria",
                AtLeast(0.02),
                0.0,
                INTERVAL,
                LOST,
                only="full size",
            ),
            Claim(
                "Losing the cerebellum halfway hurts.",
                PEMBERTON + ", fig. 5",
                "ablation",
                AtLeast(0.05),
                0.0,
                INTERVAL,
                {"cerebellum": "olive", "parts": "ablation"},
                only="full size",
            ),
        ),
        measure=measure,
        pictures={"Errors in the course of training.": curves},
    )
)
