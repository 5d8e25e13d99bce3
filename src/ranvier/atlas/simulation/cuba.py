"""The CUBA benchmark: integrate-and-fire neurons with current-based synapses, asynchronous and irregular."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, mean_cv, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEURON = rv.LIF(tau_m=20.0, E_L=-49.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0)
FAST, SLOW = rv.Exponential(tau=5.0, normalise="peak"), rv.Exponential(tau=10.0, normalise="peak")
EXC, INH = 3200, 800  # neurons
IN_E, IN_I = 64, 16  # inputs of each: 2 % of the neurons
W_E, W_I = 1.62, -9.0  # mV

#: Brian2 2.9 and NEST 3.10, twenty runs of one second each: mean, and standard deviation between runs (that of
#: the rate from forty further runs of Brian2, 0.073, and eighty of ours, 0.083)
PEERS_RATE, PEERS_RATE_SPREAD = 5.160, 0.080  # Hz
PEERS_CV, PEERS_CV_SPREAD = 0.627, 0.0106
PEERS_RUNS = 40


def network(seed: int, w_e: float = W_E, w_i: float = W_I) -> rv.Network:
    """Benchmark 2 of Brette et al. 2007; delays are one step."""
    net = rv.Network(seed=seed)
    start = {"V": rv.Uniform(NEURON.V_reset, NEURON.V_th)}
    exc, inh = (
        net.add(NEURON, EXC, name="exc", initial=start),
        net.add(NEURON, INH, name="inh", initial=start),
    )
    net.connect(exc, [exc, inh], weight=w_e, in_degree=IN_E, delay=0.1, synapse=FAST)
    net.connect(inh, [exc, inh], weight=w_i, in_degree=IN_I, delay=0.1, synapse=SLOW)
    return net


def measure(seed: int, size: Size, w_e: float = W_E, w_i: float = W_I) -> dict[str, Any]:
    """Rate and CV in the first second, over several wirings, as the peers' were taken; then one long run."""
    runs, duration = {"small": (4, 5_000.0), "full": (20, 60_000.0)}[size]
    rates, cvs = [], []
    for run in range(runs):
        recording = rv.simulate(network(runs * seed + run, w_e, w_i), 1000.0, dt=0.1, seed=runs * seed + run)
        rates.append(float(recording.rates().mean()))
        cvs.append(mean_cv(recording, intervals=5))
    recording = rv.simulate(network(seed, w_e, w_i), 200.0 + duration, dt=0.1, seed=seed).after(200.0)
    some = np.arange(0, EXC + INH, 10)
    correlation = recording.correlation(10.0, neurons=some).numpy()
    pairs = correlation[~np.eye(len(some), dtype=bool)]
    spread = 4 * (1 / runs + 1 / PEERS_RUNS) ** 0.5
    return {
        "rate": float(np.mean(rates)),
        "rate_error": spread * PEERS_RATE_SPREAD,
        "cv_second": float(np.mean(cvs)),
        "cv_second_error": spread * PEERS_CV_SPREAD,
        "cv": mean_cv(recording, intervals=5),
        "correlation": float(np.nanmean(pairs)),
        "recording": recording,
    }


def activity(material: dict[str, Any]) -> Figure:
    """Spikes of every twentieth neuron, and the rate of all."""
    recording, shown = material["recording"], 500.0
    figure, axes = canvas(8, 4, 2, height_ratios=[3, 1])
    top, bottom = axes[:, 0]
    some = np.arange(0, EXC + INH, 20)
    recording.raster(neurons=some, between=(recording.start, recording.start + shown), ax=top, size=3.0)
    top.set(xlabel="", xticks=[], ylabel="neuron (every 20th)")
    top.legend(*(each[:2] for each in top.get_legend_handles_labels()), bbox_to_anchor=(1, 1), markerscale=3)
    rate = recording.population_rate(2.0).numpy()[: round(shown / 2)]
    bottom.fill_between(2.0 * np.arange(len(rate)), rate, step="post", color=COLOURS[5], lw=0)
    bottom.set(xlabel="time (ms)", ylabel="rate (Hz)", xlim=(0, shown), ylim=(0, None))
    return figure


def distributions(material: dict[str, Any]) -> Figure:
    """How rates and CVs differ from neuron to neuron."""
    recording = material["recording"]
    figure, axes = canvas(7, 2.5, 1, 2)
    rates, cvs = recording.rates().numpy(), recording.cv().numpy()
    one = 1000 / recording.duration  # Hz: rates come in whole spikes
    for axis, values, edges, label in (
        (axes[0, 0], rates, np.arange(rates.min() - one / 2, rates.max() + one, max(one, 0.1)), "rate (Hz)"),
        (axes[0, 1], cvs[np.isfinite(cvs)], 60, "CV of the intervals"),
    ):
        axis.hist(values, edges, color=COLOURS[0], alpha=0.7)
        axis.set(xlabel=label, ylabel="neurons")
    return figure


PEERS = "Brian2 2.9 and NEST 3.10, the same network, step and first second"
RUNS = "four standard errors, from the spread of runs ({})"

register(
    Experiment(
        name="cuba",
        title="The CUBA benchmark: asynchronous and irregular",
        paper="R. Brette et al. (2007). Simulation of networks of spiking neurons: a review of tools and "
        "strategies. Journal of Computational Neuroscience 23:349–398. After Vogels and Abbott (2005).",
        doi="10.1007/s10827-007-0038-6",
        summary="4000 leaky integrate-and-fire neurons, each of which would fire regularly alone, excite and "
        "inhibit each other into irregular firing.",
        claims=(
            Claim(
                "A neuron fires at 5.2 Hz in the first second.",
                PEERS,
                "rate",
                PEERS_RATE,
                "rate_error",
                RUNS.format("0.08 Hz"),
                {"w_i": -4.5},
                "Hz",
            ),
            Claim(
                "In the first second the CV of its intervals, as far as they fit in, is 0.62.",
                PEERS,
                "cv_second",
                PEERS_CV,
                "cv_second_error",
                RUNS.format("0.010"),
                {"w_i": -4.5},
            ),
            Claim(
                "Neurons fire irregularly.",
                "Brette et al. 2007, benchmark 2: asynchronous irregular",
                "cv",
                AtLeast(0.5),
                0.0,
                "no number in the paper; half of a Poisson process's",
                {"w_i": -4.5},
            ),
            Claim(
                "Neurons fire asynchronously: the mean correlation of counts in 10 ms is next to nothing.",
                "Brette et al. 2007, benchmark 2: asynchronous irregular",
                "correlation",
                AtMost(0.01),
                0.0,
                "no number in the paper; half of the share of inputs that two neurons have in common, 0.02",
                {"w_i": -4.5},
            ),
        ),
        measure=measure,
        pictures={
            "Half a second: every twentieth neuron, and the mean rate of all.": activity,
            "Rates and CVs over the neurons.": distributions,
        },
    )
)
