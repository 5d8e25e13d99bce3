"""Liquid time-constant networks and their closed form: irregular sampling, the solver's order and its stability."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

import ranvier as rv
from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS, SKIPPED = 20, 5  # samples of a sequence; those before which nothing can be predicted


def sinusoids(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Samples of sinusoids of any phase and a frequency within [0.7, 1.5], at irregular times: x (T, B, 1), the time
    until the next sample (T, B), and that sample (T, B, 1)."""
    gaps = 0.1 + 1.9 * torch.rand(STEPS + 1, batch, generator=generator)
    frequency = 0.7 + 0.8 * torch.rand(batch, generator=generator)
    phase = 2 * math.pi * torch.rand(batch, generator=generator)
    x = torch.sin(frequency * gaps.cumsum(0) + phase)[..., None]
    return x[:-1], gaps[1:], x[1:]


class Forecaster(nn.Module):
    """A recurrent network and a linear readout; `knows`: it is told the time until the next sample."""

    def __init__(self, kind: str, units: int, knows: bool) -> None:
        super().__init__()
        self.kind, self.knows = kind, knows
        if kind == "gru":
            self.cell: nn.Module = nn.GRU(1, units)
        else:
            self.cell = rv.nn.LTC(1, units) if kind == "ltc" else rv.nn.CfC(1, units, backbone=(2 * units,))
        self.readout = nn.Linear(units, 1)

    def forward(self, x: Tensor, gaps: Tensor) -> Tensor:
        """x (T, B, 1), gaps (T, B) -> the next sample (T, B, 1)."""
        y = self.cell(x)[0] if self.kind == "gru" else self.cell(x, timespans=gaps if self.knows else None)[0]
        return self.readout(y)


def train(model: Forecaster, seed: int, steps: int) -> float:
    """Mean squared error on new sequences after training."""
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 0.02 if model.kind == "ltc" else 0.01)

    def error(batch: int) -> Tensor:
        x, gaps, target = sinusoids(batch, draw)
        return (model(x, gaps) - target)[SKIPPED:].square().mean()

    for _ in range(steps):
        loss = error(64)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        return float(error(1024))


def order(epsilon: float) -> float:
    """By which power of the number of unfolds the solver's error falls, against an adaptive solver of the equation."""
    cell = rv.nn.LTC(3, rv.nn.AutoNCP(12, 3), dtype=torch.float64, epsilon=epsilon)
    x = torch.randn(1, 1, 3, dtype=torch.float64)

    def derivative(_: float, v: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return cell.derivative(torch.from_numpy(v)[None], x[0])[0].numpy()

    exact = solve_ivp(derivative, (0, 1), np.zeros(12), rtol=1e-10, atol=1e-12).y[:, -1]
    errors = []
    for unfolds in (32, 64):
        cell.unfolds = unfolds
        with torch.no_grad():
            errors.append(np.abs(cell(x)[1]["v"][0].numpy() - exact).max())
    return float(np.log2(errors[0] / errors[1]))


def excursion(solver: str, inputs: int = 8) -> float:
    """How far beyond the reversal potentials the membrane gets, in their range, for any time span and input."""
    cell = rv.nn.LTC(4, rv.nn.FullyConnected(inputs), dtype=torch.float64)
    low, high = -1.0, 1.0
    worst = 0.0
    for span in 10.0 ** np.arange(-6.0, 7.0):
        v = torch.zeros(16, inputs, dtype=torch.float64)
        for _ in range(4):
            x = 10.0 ** float(np.clip(span, -2, 3) / 3) * torch.randn(1, 16, 4, dtype=torch.float64)
            with torch.no_grad():
                if solver == "fused":
                    v = cell(x, {"v": v}, torch.full((1,), span))[1]["v"]
                else:
                    for _ in range(cell.unfolds):
                        v = v + span / cell.unfolds * cell.derivative(v, x[0])
            worst = max(worst, float((v.abs() - high).max()) / (high - low))
    return worst


def measure(
    seed: int, size: Size, blind: bool = False, epsilon: float = 1e-8, solver: str = "fused"
) -> dict[str, Any]:
    """Errors of liquid cells and of gated units that do not know the time; the solver's order and excursion."""
    runs, units, steps = {"small": (1, 16, 160), "full": (3, 32, 800)}[size]
    metrics: dict[str, list[float]] = {"gru": [], "ltc": [], "cfc": []}
    for run in range(runs):
        for kind, values in metrics.items():
            torch.manual_seed(runs * seed + run)
            values.append(train(Forecaster(kind, units, not blind), runs * seed + run, steps))
    mean = {kind: float(np.mean(values)) for kind, values in metrics.items()}
    torch.manual_seed(seed)
    return {
        "mse_gru": mean["gru"],
        "mse_ltc": mean["ltc"],
        "mse_cfc": mean["cfc"],
        "ratio_ltc": mean["ltc"] / mean["gru"],
        "ratio_cfc": mean["cfc"] / mean["gru"],
        "worst_ratio": max(a / b for k in ("ltc", "cfc") for a, b in zip(metrics[k], metrics["gru"], strict=True)),
        "order": order(epsilon),
        "excursion": excursion(solver),
        "errors": metrics,
    }


def errors(material: dict[str, Any]) -> Figure:
    """Mean squared errors, a point a seed."""
    figure, axis = canvas(4, 2.6)
    names = {"gru": "GRU, time-blind", "ltc": "LTC", "cfc": "CfC"}
    for k, values in enumerate(material["errors"].values()):
        axis.plot([k] * len(values), values, "o", color=COLOURS[k], ms=5, mec="none")
    axis.set(yscale="log", xticks=range(3), xticklabels=names.values(), xlim=(-0.5, 2.5), ylabel="mean squared error")
    axis.axhline(0.5, color=COLOURS[5], lw=0.8, ls=":")
    axis.text(2.45, 0.5, "the mean alone", ha="right", va="bottom", color=COLOURS[5], fontsize=8)
    return figure


LTC_PAPER = "Hasani et al. 2021 (AAAI); "
TOY = {"blind": True, "epsilon": 0.1, "solver": "explicit"}

register(
    Experiment(
        name="liquid",
        title="Liquid time-constant networks",
        paper="R. Hasani, M. Lechner, A. Amini, D. Rus and R. Grosu (2021). Liquid time-constant networks. AAAI 35. "
        "R. Hasani et al. (2022). Closed-form continuous-time neural networks. Nature Machine Intelligence 4.",
        doi="10.1609/aaai.v35i9.16936",
        summary="Neurons whose time constants depend on their input predict a signal sampled at irregular times; "
        "their solver is of first order, and stable at any step.",
        claims=(
            Claim(
                "A liquid network predicts irregularly sampled sinusoids better than a GRU without the sampling times.",
                LTC_PAPER + "irregular sampling", "ratio_ltc", AtMost(0.5), 0.0,
                "no number in the paper; half the error", TOY,
            ),
            Claim(
                "So does the closed form.",
                "Hasani et al. 2022; irregular sampling", "ratio_cfc", AtMost(0.5), 0.0,
                "no number in the paper; half the error", TOY,
            ),
            Claim(
                "The fused solver is of first order in the step.",
                LTC_PAPER + "algorithm 1, an implicit Euler step with the synapses held", "order", 1.0, 0.1,
                "the next order of the expansion, at 32 and 64 unfolds", TOY,
            ),
            Claim(
                "The membrane stays within its reversal potentials, for time spans from 1e-6 to 1e6.",
                LTC_PAPER + "theorem 2", "excursion", AtMost(0.0), 1e-9, "rounding", TOY,
            ),
            Claim(
                "In every run, with either cell, the error is less than the GRU's.",
                LTC_PAPER + "irregular sampling", "worst_ratio", AtMost(0.8), 0.0,
                "no number in the paper; a fifth less", {"blind": True, "epsilon": 0.1, "solver": "explicit"},
            ),
        ),
        measure=measure,
        pictures={"Error in predicting the next sample of a sinusoid, a point a seed.": errors},
    )
)  # fmt: skip
