"""Bounds on liquid, spiking and recurrent cells over time."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import ranvier as rv
from ranvier import verify
from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

RUNS = {"small": 500, "full": 20_000}
STEPS = {"small": 3, "full": 8}
UNITS = 11  # of the memory


def measure(
    seed: int, size: Size, tighten: float = 0.0, method: str = "crown", beta: float = 0.5, understate: float = 1.0,
    beyond: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """tighten: tubes are narrowed by this share of their width. method: of the bounds. beta: of the neuron. understate:
    factor of the contraction rate. beyond: flips more than certified."""
    low, high, y, wide = tubes(seed, STEPS[size], RUNS[size], method)
    margin = tighten * (high - low)
    return {
        "escapes": int(((y < (low + margin)[:, None]) | (y > (high - margin)[:, None])).sum()),
        "width": float((high - low).mean() / wide),
        "radius": spike_radius(beta),
        "approach": approach(seed, understate),
        "forgotten": forgotten(seed, beyond),
        "tube": (low[:, 0], high[:, 0], y[:, :60, 0]),
    }


@lru_cache
def tubes(seed: int, steps: int, runs: int, method: str) -> tuple[Tensor, Tensor, Tensor, float]:
    """Bounds (T, units) of a CfC over a tube of inputs and of time spans, outputs (T, runs, units) of the layer itself
    within it, and the mean width of interval bounds."""
    torch.manual_seed(seed)
    cell = rv.nn.CfC(2, 3, backbone=(6,), dtype=torch.float64)
    x = torch.randn(steps, 2, dtype=torch.float64)
    spans = torch.full((steps,), 0.8, dtype=torch.float64), torch.full((steps,), 1.2, dtype=torch.float64)
    low, high = verify.tube(cell, x - 0.1, x + 0.1, spans=spans, method=method)  # type: ignore[arg-type]
    wide = verify.tube(cell, x - 0.1, x + 0.1, spans=spans, method="interval")
    some = x[:, None] + 0.2 * torch.rand(steps, runs, 2, dtype=torch.float64) - 0.1
    with torch.no_grad():
        y, _ = cell(some, None, 0.8 + 0.4 * torch.rand(steps, runs, dtype=torch.float64))
    return low, high, y, float((wide.upper - wide.lower).mean())


@lru_cache
def spike_radius(beta: float) -> float:
    """Of a leaky integrate-and-fire neuron with two inputs of 0.3."""
    return verify.certified_radius(rv.nn.LIF(1, beta=beta), torch.full((2, 1), 0.3), halvings=16)


def approach(seed: int, understate: float) -> float:
    """Of two runs of a reservoir with the same input: the largest ratio of distances a step, by the certified rate."""
    g = torch.Generator().manual_seed(seed)
    W = torch.randn(50, 50, generator=g, dtype=torch.float64)
    W = 0.9 * W / torch.linalg.matrix_norm(W, 2)
    result = verify.contraction(W, leak=0.5)
    a, b = (2 * torch.rand(200, 50, generator=g, dtype=torch.float64) - 1 for _ in range(2))

    def distance(d: Tensor) -> Tensor:
        return (d * result.weights).norm(dim=1) if result.euclidean else (d.abs() / result.weights).amax(1)

    worst = 0.0
    for _ in range(20):
        before, drive = distance(a - b), 0.1 * torch.randn(50, generator=g, dtype=torch.float64)
        a, b = (0.5 * r + 0.5 * torch.tanh(r @ W.T + drive) for r in (a, b))
        worst = max(worst, float((distance(a - b) / before).max()))
    return worst / (understate * result.rate)


def forgotten(seed: int, beyond: int) -> int:
    """States within the certified radius of two memories, all of them, from which a sweep does not recall."""
    torch.manual_seed(seed)
    patterns = torch.sign(torch.randn(2, UNITS))
    network = rv.energies.Hopfield.store(patterns)
    lost = 0
    for pattern, radius in zip(patterns, verify.hopfield_radius(network, patterns).tolist(), strict=True):
        states = []
        for flipped in itertools.combinations(range(UNITS), radius + beyond):
            state = pattern.clone()
            state[list(flipped)] *= -1
            states.append(state)
        field = torch.stack(states) @ network.weight
        lost += int((torch.sign(field) != pattern).any(1).sum())
    return lost


def tube_picture(material: dict[str, Any]) -> Figure:
    """One unit's certified tube, and runs within it."""
    figure, axis = canvas(4.5, 2.8)
    low, high, y = material["tube"]
    steps = range(1, len(low) + 1)
    axis.fill_between(steps, low, high, color=COLOURS[0], alpha=0.25, lw=0)
    axis.plot(steps, y, color=COLOURS[1], lw=0.6)
    axis.set(xlabel="step", ylabel="output", xticks=list(steps))
    return figure


OWN = "no source: bounds of our own cells"

register(
    Experiment(
        name="cell_bounds",
        title="Bounds on liquid and spiking cells over time",
        paper="K. Xu et al. (2020). Automatic perturbation analysis for scalable certified robustness and beyond. "
        "NeurIPS; applied here to cells that nobody has bounded.",
        summary="A cell unrolled over its steps is a network, and its bounds hold for a whole tube of inputs and of "
        "time spans: liquid cells stay in a tube, spikes of a recurrent layer are certain up to a radius, a reservoir "
        "forgets its past at a certified rate, a memory is recalled from every state within a certified distance.",
        claims=(
            Claim(
                "No run of a liquid cell leaves its tube.", OWN, "escapes", AtMost(0), 0, "a proof", {"tighten": 0.45},
                "outputs",
            ),
            Claim(
                "Linear bounds over time are at most half as wide as intervals.", OWN, "width", AtMost(0.5), 0.0,
                "measured, with room", {"method": "interval"},
                ours=True,
            ),
            Claim(
                "A neuron's spikes are certain up to its distance from threshold: 0.55/1.5 for inputs of 0.3, 0.3.",
                "u = beta v + x", "radius", 0.55 / 1.5, 1e-4, "16 halvings", {"beta": 0.6},
            ),
            Claim(
                "Two runs of a reservoir approach each other at least as fast as certified.",
                "Yildiz, Jaeger & Kiebel (2012), Neural Networks 35:1", "approach", AtMost(1.0), 1e-9, "rounding",
                {"understate": 0.5},
            ),
            Claim(
                "From every state within the certified radius one sweep recalls the memory.", OWN, "forgotten",
                AtMost(0), 0, "all states", {"beyond": 2}, "states",
            ),
        ),
        measure=measure,
        pictures={"The certified tube of one unit of a CfC, and runs of the layer.": tube_picture},
    )
)  # fmt: skip
