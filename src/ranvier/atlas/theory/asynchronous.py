"""The asynchronous state: correlations that fall as 1/N although neurons share a fifth of their inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

P_CONNECT, TAU_S, DELAY, RATE_OUT = 0.2, 2.0, 1.0, 10.0  # -, ms, ms, Hz
CELL = rv.LIF(tau_m=20.0, E_L=-65.0, V_th=-50.0, V_reset=-60.0, t_ref=2.0)
#: potential per synapse times sqrt(synapses), mV: (source, target); balance asks for
#: J_EE/J_IE < J_EI/J_II < J_EX/J_IX (here 1 < 1.11 < 1.2)
OUTER = {("out", "exc"): 12.0, ("out", "inh"): 10.0}
INNER = {("exc", "exc"): 10.0, ("inh", "exc"): -20.0, ("exc", "inh"): 10.0, ("inh", "inh"): -18.0}
WARM_UP, WINDOW = 500.0, 50.0  # ms
#: sizes, wirings, ms, and how far networks that are not yet large may be from the exponent: with synapses of
#: 5 ms N times the correlation still falls from 4.6 at N = 500 to 2.1 at 8000; with these of 2 ms it stays
RUNS = {
    "small": ((250, 500, 1000), 3, 15_000.0, 0.2),
    "full": ((500, 1000, 2000, 4000, 8000), 4, 20_000.0, 0.05),
}


def measure(seed: int, size: Size, recurrent: bool = True) -> dict[str, Any]:
    """Mean count correlation of excitatory pairs against N, over several wirings.

    recurrent: whether the network's own synapses are there; without them the cells only share inputs.
    """
    sizes, wirings, duration, finite = RUNS[size]
    runs = [[_run(N, seed + 100 * k, duration, recurrent) for k in range(wirings)] for N in sizes]
    rho = np.array([[one["rho"] for one in row] for row in runs])  # (sizes, wirings)
    slopes = [np.polyfit(np.log(sizes), np.log(np.maximum(r, 1e-6)), 1)[0] for r in rho.T]
    return {
        "exponent": float(np.mean(slopes)),
        "exponent_error": float(3 * np.std(slopes, ddof=1) / wirings**0.5 + finite),
        "largest": float(rho[-1].mean()),
        "cv": float(np.mean([one["cv"] for one in runs[-1]])),
        "rate_exc": float(np.mean([one["exc"] for one in runs[-1]])),
        "rate_inh": float(np.mean([one["inh"] for one in runs[-1]])),
        "sizes": np.array(sizes),
        "rho": rho,
    }


def network(N: int, seed: int, recurrent: bool) -> rv.Network:
    """N excitatory, N inhibitory and N outer cells; each synapse is of order 1/sqrt(N)."""
    net = rv.Network(seed=seed)
    for name in ("exc", "inh"):
        net.add(CELL, N, name, initial={"V": rv.Uniform(-65.0, -50.0)})
    net.add(rv.Poisson(rate=RATE_OUT), N, "out")
    for (source, target), strength in (OUTER | INNER if recurrent else OUTER).items():
        area = strength / (P_CONNECT * N) ** 0.5 * CELL.tau_m  # mV ms
        net.connect(source, target, weight=area, probability=P_CONNECT, delay=DELAY, synapse=rv.Exponential(tau=TAU_S))
    return net


def _run(N: int, seed: int, duration: float, recurrent: bool) -> dict[str, float]:
    recording = rv.simulate(network(N, seed, recurrent), duration + WARM_UP, seed=seed).after(WARM_UP)
    # the excitatory cells are the first N
    counts = rv.analysis.counts(recording.spikes.select(np.arange(N)), WINDOW).astype(np.float32)
    own = counts.var(0, ddof=1, dtype=float).sum()
    pairs = counts.sum(1, dtype=float).var(ddof=1) - own  # the sum over all pairs, at the cost of one
    return {
        "rho": float(pairs / (N - 1) / own),
        "cv": float(recording.cv(neurons="exc").nanmean()),
        "exc": float(recording.rates(neurons="exc").mean()),
        "inh": float(recording.rates(neurons="inh").mean()),
    }


def fall(material: dict[str, Any]) -> Figure:
    """Mean correlation against N."""
    figure, axis = canvas(4.6, 3.2)
    sizes, rho = material["sizes"], material["rho"]
    mean, error = rho.mean(1), rho.std(1) / rho.shape[1] ** 0.5
    axis.errorbar(sizes, mean, 2 * error, fmt="o", ms=4, color=COLOURS[0])
    axis.plot(sizes, mean[0] * sizes[0] / sizes, color=COLOURS[5], lw=0.8)
    axis.set(xscale="log", yscale="log", xlabel="N", ylabel=f"mean correlation in {WINDOW:g} ms")
    return figure


PAPER = "Renart et al. (2010)"
ALONE = {"recurrent": False}

register(
    Experiment(
        name="asynchronous",
        title="The asynchronous state in recurrent circuits",
        paper="A. Renart, J. de la Rocha, P. Bartho, L. Hollender, N. Parga, A. Reyes and K. D. Harris (2010). "
        "The asynchronous state in cortical circuits. Science 327:587-590.",
        doi="10.1126/science.1179850",
        summary="Balanced networks of N excitatory, N inhibitory and N outer cells, each pair joined with "
        "probability 0.2 by synapses of order 1/sqrt(N): shared input alone would correlate them, for any N; "
        "inhibition that follows excitation takes that away.",
        claims=(
            Claim(
                "The mean correlation of pairs falls as 1/N.",
                PAPER,
                "exponent",
                -1.0,
                "exponent_error",
                "three standard errors over wirings, and 0.05 (small: 0.2) for networks that are not yet large",
                ALONE,
            ),
            Claim(
                "Cells fire irregularly, although their mean inputs from outside grow with sqrt(N).",
                PAPER,
                "cv",
                AtLeast(0.7),
                0.0,
                "a Poisson process with a refractory time has 0.98",
                ALONE,
            ),
            Claim(
                "Balance sets the rates: that of the inhibitory cells is the outer one's (10 Hz) for large N.",
                "the two balance equations, 12 + 10 e = 20 i and 10 + 10 e = 18 i in outer rates",
                "rate_inh",
                RATE_OUT,
                1.5,
                "of order 1/sqrt(N)",
                ALONE,
                "Hz",
            ),
        ),
        measure=measure,
        pictures={"Mean correlation of excitatory pairs (bars: two standard errors); grey: 1/N.": fall},
    )
)
