"""Two rules of rates: one finds what varies most, the other becomes selective."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INPUTS, BATCH = 20, 50
SPREADS = np.array([1.5, 1.0, *np.linspace(0.8, 0.1, INPUTS - 2)])  # standard deviations along the axes
PATTERNS = 5  # of BCM, equally likely


@cache  # mutants share what they do not change
def component(seed: int, steps: int, normalised: bool, centred: bool) -> dict[str, Any]:
    """One linear neuron y = w·x, w moved by Oja's rule (or Hebb's), x Gaussian with rotated axes."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(INPUTS, INPUTS)))[0]
    rule = rv.rules.Oja(eta=0.01) if normalised else rv.rules.Hebb(eta=0.01)
    w = torch.from_numpy(rng.normal(scale=0.1, size=(1, INPUTS)))
    state = rule.init_state(w, BATCH)
    course = []
    for k in range(steps):
        x = rng.normal(size=(BATCH, INPUTS)) * SPREADS @ axes.T + (0.0 if centred else 2.0)
        x = torch.from_numpy(x)
        state, dw = rule.step(state, w, x, x @ w.T)
        w = w + dw
        if k % 20 == 0:
            course.append(_aligned(w, axes))
    return {"alignment": _aligned(w, axes), "length": float(w.norm()), "course": np.array(course)}


def _aligned(w: torch.Tensor, axes: np.ndarray) -> float:
    direction = w[0].numpy() / np.linalg.norm(w[0].numpy())
    return float(abs(direction @ axes[:, 0]))


@cache  # mutants share what they do not change
def selectivity(seed: int, steps: int, tau_theta: float) -> dict[str, Any]:
    """One neuron y = max(w·x, 0), overlapping patterns one at a time, w moved by BCM."""
    rng = np.random.default_rng(seed)
    place = np.arange(50) / 50
    distance = np.abs(place[None, :] - np.arange(PATTERNS)[:, None] / PATTERNS)
    patterns = np.exp(-((np.minimum(distance, 1 - distance) / 0.08) ** 2))
    patterns = torch.from_numpy(patterns / np.linalg.norm(patterns, axis=1, keepdims=True))
    rule = rv.rules.BCM(eta=0.003, y_0=1.0, tau_theta=tau_theta, w_min=-20.0, w_max=20.0)
    w = torch.from_numpy(rng.uniform(0.0, 0.5, (1, 50)))
    state = rule.init_state(w, 1)
    late = torch.zeros_like(w)
    for k, shown in enumerate(rng.integers(0, PATTERNS, steps)):
        x = patterns[shown : shown + 1]
        state, dw = rule.step(state, w, x, (x @ w.T).clamp(min=0))
        w = w + dw
        if k >= 3 * steps // 4:
            late += w / (steps - 3 * steps // 4)
    w = late  # the weights go on moving about their equilibrium, as the threshold does
    y = (patterns @ w.T).clamp(min=0)[:, 0].numpy()
    return {"selectivity": float(1 - y.mean() / y.max()), "response": float(y.max()), "tuning": y}


def measure(
    seed: int, size: Size, normalised: bool = True, centred: bool = True, tau_theta: float = 100.0
) -> dict[str, Any]:
    """`normalised=False` is Hebb's rule; `centred=False` gives the inputs a mean; `tau_theta` in presentations."""
    few, many = {"small": (800, 8000), "full": (6000, 60_000)}[size]
    return component(seed, few, normalised, centred) | selectivity(seed, many, tau_theta)


def learning(material: dict[str, Any]) -> Figure:
    """Oja's alignment over time, BCM's responses after it."""
    figure, axes = canvas(8, 3, 1, 2)
    left, right = axes[0]
    left.plot(20 * np.arange(len(material["course"])), material["course"], color=COLOURS[0])
    left.set(xlabel="step", ylabel="|cos| with the first component", ylim=(0, 1.02), title="Oja")
    right.bar(np.arange(PATTERNS), material["tuning"], color=COLOURS[1])
    right.set(xlabel="pattern", ylabel="response", title="BCM")
    return figure


register(
    Experiment(
        name="oja",
        title="Hebbian rules that do not run away: Oja's and BCM",
        paper="E. Oja (1982). A simplified neuron model as a principal component analyzer. Journal of Mathematical "
        "Biology 15:267–273. E. L. Bienenstock, L. N. Cooper and P. W. Munro (1982), Journal of Neuroscience 2:32–48; "
        "N. Intrator and L. N. Cooper (1992), Neural Networks 5:3–17.",
        doi="10.1007/BF00275687",
        summary="Oja's forgetting makes a linear neuron the first principal component of its inputs, of length one. "
        "BCM's sliding threshold makes a neuron answer one pattern of five, five times as strongly as its unit.",
        claims=(
            Claim(
                "Under Oja's rule the weights point along the first principal component.",
                "Oja 1982, theorem 1",
                "alignment",
                AtLeast(0.98),
                0.0,
                "cosine; what a learning rate of 0.01 and batches of 50 leave of noise is about 0.005",
                {"centred": False},
            ),
            Claim(
                "Their length becomes one.",
                "Oja 1982, eq. 11",
                "length",
                1.0,
                0.05,
                "fluctuations of order eta times the largest eigenvalue",
                {"normalised": False},
            ),
            Claim(
                "Under BCM a neuron comes to answer one pattern of five.",
                "Bienenstock, Cooper & Munro 1982: selectivity 1 − mean/max is at most 1 − 1/5",
                "selectivity",
                0.8,
                0.05,
                "half of what answering two patterns alike would cost",
                {"tau_theta": 1e9},
            ),
            Claim(
                "That answer is nearly five: the threshold, its mean square, then equals it.",
                "Intrator & Cooper 1992: y = theta = y²/5 at the fixed point; with the hundredth part that the "
                "pattern's own presentation adds, y = 1/(1/5 + (4/5)/100) = 4.81",
                "response",
                4.81,
                0.5,
                "the threshold follows a hundred presentations, twenty of them the pattern, and moves by a tenth",
                {"tau_theta": 1e9},
            ),
        ),
        measure=measure,
        pictures={"Alignment with the first component; answers to the five patterns.": learning},
    )
)
