"""Correlations predicted from connectivity: a random network, an insect's brain, a worm's nervous system."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import ranvier as rv
from ranvier.atlas import COLOURS, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

CELL = rv.EIF(tau_m=10.0, E_L=-72.0, Delta_T=1.4, V_T=-48.0, V_th=30.0, V_reset=-72.0, t_ref=2.0)
SIZE, EXC, CHANCE = 100, 80, 0.2
WEIGHTS = (10.0, -40.0)  # mV ms
LAGS = np.arange(-60.0, 61.0, 4.0)  # ms
WINDOW = 100.0  # ms


def measure(seed: int, size: Size, wiring: str = "own") -> dict[str, Any]:
    """Predicted against simulated correlations, all pairs.

    wiring: what to predict from: the network's own; "turned", every connection reversed, which to first order
    leaves correlations over long windows as they are, but not their lags; or "shuffled", every connection's
    target exchanged for another's.
    """
    seconds = {"small": 300, "full": 2000}[size]
    recording = _random_run(seconds, seed)
    prediction = rv.predict(random_network(wiring), recurrent_noise="none")
    results = rv.report.compare(recording, prediction, window=WINDOW)
    material: dict[str, Any] = {
        "slope": results.slope,
        "slope_error": 3 * _slope_error(results) + 0.06,
        "rate": results.predicted_levels.mean() / results.simulated_levels.mean(),
        "found": results,
    }
    material |= _along_edges(recording, prediction)
    for name in ("larva", "celegans"):
        brain = _brain(name, seed, wiring) if size == "full" else None
        material[f"slope_{name}"] = None if brain is None else brain.slope
        material[f"slope_{name}_error"] = 0.0 if brain is None else 3 * _slope_error(brain) + 0.08
        material[f"found_{name}"] = brain
    return material


def random_network(wiring: str = "own") -> rv.Network:
    """80 excitatory and 20 inhibitory cells, connected at random."""
    rng = np.random.default_rng(20)
    targets, sources = np.nonzero(rng.random((SIZE, SIZE)) < CHANCE)
    keep = targets != sources
    targets, sources = targets[keep], sources[keep]
    weights = np.where(sources < EXC, *WEIGHTS)
    net = rv.Network()
    cells = net.add(CELL, SIZE, drive=10.0, noise=9.0)
    edges = _rewired(torch.from_numpy(sources), torch.from_numpy(targets), wiring)
    net.connect(cells, cells, weight=weights, delay=1.0, synapse=rv.Exponential(tau=5.0), edges=edges)
    return net


def _rewired(sources: torch.Tensor, targets: torch.Tensor, wiring: str) -> tuple[torch.Tensor, torch.Tensor]:
    if wiring == "turned":
        return targets, sources
    if wiring == "shuffled":
        return sources, targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(1))]
    return sources, targets


@cache
def _random_run(seconds: int, seed: int) -> rv.Recording:
    return rv.simulate(random_network(), seconds * 1000.0, dt=0.05, seed=seed)


def _along_edges(recording: rv.Recording, prediction: Any) -> dict[str, Any]:
    """Cross-correlations averaged over the excitatory connections, target following source (lags,), Hz²."""
    sources, targets = random_network().projections[0].edges()
    excitatory = sources < EXC
    pairs = torch.stack([targets[excitatory], sources[excitatory]], 1)
    a = recording.after(500.0).cross_correlation(LAGS, pairs=pairs)
    b = prediction.cross_correlation(LAGS, pairs=pairs).detach()
    error = float(a.std(1).mean()) / len(pairs) ** 0.5
    mean_recorded, mean_predicted = a.mean(1).numpy(), b.mean(1).numpy()
    return {
        "lag_miss": float(np.abs(mean_recorded - mean_predicted).max() / mean_recorded.max()),
        "lag_error": float(4 * error / mean_recorded.max()) + 0.06,
        "lag_recorded": mean_recorded,
        "lag_predicted": mean_predicted,
        "lag_standard_error": error,
    }


def _brain(name: str, seed: int, wiring: str) -> Any:
    net = _job(name).network
    prediction = rv.predict(net if wiring == "own" else _other(net, wiring))
    return rv.report.compare(_brain_run(name, seed), prediction, window=WINDOW, shown=1)


@cache
def _job(name: str) -> Any:
    return getattr(rv.brains, name)()


@cache
def _brain_run(name: str, seed: int) -> rv.Recording:
    job = _job(name)
    dt = 0.1 if name == "larva" else 0.5
    return rv.simulate(job.network, 300_000.0, dt=dt, seed=seed, threads=2, record=job.record)


def _other(net: rv.Network, wiring: str) -> rv.Network:
    """The same populations, otherwise connected (each network here has one)."""
    out = rv.Network()
    for p in net.populations:
        inputs: dict[str, Any] = {k: p.parameters[k] for k in ("drive", "noise")}
        out.add(p.neuron, p.size, p.name, names=p.names, classes=p.classes, **inputs)
    for c in net.projections:
        sources, targets = c.edges()
        edges = _rewired(sources, targets, wiring)
        options: dict[str, Any] = {} if c.synapse.continuous else {"delay": c.delay}
        out.connect(
            c.source.name, c.target.name, weight=c.weight, synapse=c.synapse, edges=edges, **options
        )
    return out


def _slope_error(results: Any) -> float:
    """The standard error of the slope, from that of single pairs."""
    return float(np.sqrt(results.sampling / len(results.predicted)) / results.predicted.std())


def pairs(material: dict[str, Any]) -> Figure:
    """All pairs in groups of like prediction, and the average along connections."""
    from ranvier.report.comparison_figures import grouped

    figure, axes = canvas(8, 3, 1, 2)
    results = material["found"]
    centres, means, errors = grouped(results.predicted, results.simulated, 20)
    axes[0, 0].axline((0, 0), slope=1, color=COLOURS[4], lw=1)
    axes[0, 0].errorbar(centres, means, 2 * errors, fmt=".", color=COLOURS[0])
    axes[0, 0].set(xlabel="predicted correlation", ylabel="simulated correlation")
    axes[0, 1].errorbar(
        LAGS, material["lag_recorded"], 2 * material["lag_standard_error"], fmt=".", ms=4, color=COLOURS[0]
    )
    axes[0, 1].plot(LAGS, material["lag_predicted"], color=COLOURS[1])
    axes[0, 1].set(xlabel="lag (ms)", ylabel="covariance density (Hz²)")
    return figure


THEORY = "Trousdale et al. (2012), linear response"
SAMPLING = "three standard errors, and what second order adds at this coupling"
BRAINS = "three standard errors, and 8 % for the second order and the step of the simulation"

register(
    Experiment(
        name="from_wiring",
        title="Correlations predicted from connectivity",
        paper="J. Trousdale, Y. Hu, E. Shea-Brown and K. Josić (2012). Impact of network structure and cellular "
        "response on spike time correlations. PLoS Comput. Biol. 8:e1002408.",
        doi="10.1371/journal.pcbi.1002408",
        summary="The matrix of cross-correlations C_kj(τ) from the wiring alone, beside simulation: a random "
        "network of 100 cells, and, at full size, the fruit-fly larva's brain and the nematode's graded neurons.",
        claims=(
            Claim(
                "Correlations of all pairs follow the prediction: the slope of simulated on predicted is one.",
                THEORY, "slope", 1.0, "slope_error", SAMPLING, {"wiring": "shuffled"},
            ),
            Claim(
                "Along excitatory connections the target follows the source as the prediction says, lag by lag.",
                THEORY, "lag_miss", 0.0, "lag_error",
                "four standard errors of the average over connections, and what second order adds; of the peak",
                {"wiring": "turned"},
            ),
            Claim(
                "So it is in the larva's brain, all 4.4 million pairs.",
                THEORY, "slope_larva", 1.0, "slope_larva_error", BRAINS, {"wiring": "shuffled"},
                only="full size",
            ),
            Claim(
                "And in the nematode's graded neurons, by their linear noise approximation.",
                "linear noise approximation (van Kampen 2007)", "slope_celegans", 1.0, "slope_celegans_error",
                BRAINS, {"wiring": "shuffled"},
                only="full size",
            ),
        ),
        measure=measure,
        pictures={
            "Left: all pairs, averaged in groups of like prediction, with two standard errors. Right: the average "
            "over excitatory connections; points simulated, line predicted. At positive lag the target follows.": pairs,
        },
    )
)  # fmt: skip
