"""Inhibitory synapses that learn hold a network at a low rate, asynchronous and irregular."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = rv.LIF(tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0, g_L=10.0)
EXC, INH = rv.ExponentialConductance(tau=5.0, E_rev=0.0), rv.ExponentialConductance(tau=10.0, E_rev=-80.0)
DRIVE = 20.0  # mV: 200 pA over 10 nS
TARGET = 5.0  # Hz


def network(seed: int, size: Size, eta: float, target: float) -> tuple[rv.Network, rv.networks.Projection]:
    """The network and its projection that learns; in the small one fewer neurons send as many inputs to each."""
    n_e, n_i, share = {"small": (1600, 400, 0.1), "full": (8000, 2000, 0.02)}[size]
    net = rv.Network(seed=seed)
    start = {"V": rv.Uniform(-60.0, -50.0)}
    exc = net.add(CELL, n_e, name="exc", drive=DRIVE, initial=start)
    inh = net.add(CELL, n_i, name="inh", drive=DRIVE, initial=start)
    wiring: dict[str, Any] = {"probability": share, "delay": 0.1}
    net.connect(exc, [exc, inh], weight=0.3, synapse=EXC, **wiring)
    net.connect(inh, inh, weight=3.0, synapse=INH, **wiring)
    rule = rv.rules.InhibitorySTDP(tau=20.0, eta=eta, target=target, w_min=0.0, w_max=10.0)
    learning = net.connect(inh, exc, weight=0.0, synapse=INH, plasticity=rule, **wiring)
    return net, learning


def measure(
    seed: int, size: Size, eta: float = 0.1, target: float = TARGET, only_before: bool = False
) -> dict[str, Any]:
    """Learn, then look: rates of the excitatory neurons at the beginning and at the end.

    only_before: whether it ends with the first 200 ms.
    """
    learn, look = {"small": (16_000.0, 6_000.0), "full": (60_000.0, 20_000.0)}[size]
    net, learning = network(seed, size, eta, target)
    run = rv.Simulation(net, dt=0.1, seed=seed)
    first = run.run(200.0)
    if only_before:
        return {"before": float(first.rates(neurons="exc").mean())}
    if eta:  # else there is nothing to wait for
        run.run(learn)
    last = run.run(look)
    rates = last.rates(neurons="exc").numpy()
    cv = last.cv(neurons="exc").numpy()
    return {
        "before": float(first.rates(neurons="exc").mean()),
        "rate": float(rates.mean()),
        "spread": float(rates.std() / max(rates.mean(), 1e-9)),
        "spread_bound": 1.5 / (TARGET * look / 1000) ** 0.5,
        "cv": float(np.nanmean(cv)),
        "correlation": float(_pairs(last)),
        "rates": rates,
        "first": first,
        "last": last,
        "weights": last.weights[learning].numpy(),
    }


def _pairs(recording: rv.Recording) -> float:
    some = np.arange(0, 800, 8)
    correlation = recording.correlation(10.0, neurons=some).numpy()
    return float(np.nanmean(correlation[~np.eye(len(some), dtype=bool)]))


def activity(material: dict[str, Any]) -> Figure:
    """Spikes before and after, rates and weights after."""
    figure, axes = canvas(9, 5, 2, 2)
    for axis, name, title in ((axes[0, 0], "first", "before"), (axes[0, 1], "last", "after")):
        recording = material[name]
        between = (recording.start, recording.start + 200.0)
        recording.raster(neurons=np.arange(0, 800, 8), between=between, ax=axis, size=2.0)
        axis.set(title=title)
    axes[1, 0].hist(material["rates"], 40, color=COLOURS[0])
    axes[1, 0].set(xlabel="rate (Hz)", ylabel="neurons")
    axes[1, 1].hist(material["weights"], 40, color=COLOURS[1])
    axes[1, 1].set(xlabel="inhibitory weight (nS)", ylabel="synapses")
    return figure


PAPER = "Vogels et al. 2011, fig. 4 and supplementary text"

register(
    Experiment(
        name="inhibitory_plasticity",
        title="Inhibition that learns balances a network",
        paper="T. P. Vogels, H. Sprekeler, F. Zenke, C. Clopath and W. Gerstner (2011). Inhibitory plasticity "
        "balances excitation and inhibition in sensory pathways and memory networks. Science 334:1569–1573.",
        doi="10.1126/science.1211095",
        summary="Inhibitory synapses that start at zero strengthen until every excitatory neuron fires at the rate "
        "that the rule asks for, asynchronously and irregularly.",
        claims=(
            Claim(
                "Excitatory neurons come to fire at the rule's target, 5 Hz.",
                PAPER + ": rates settle at rho_0",
                "rate",
                TARGET,
                1.25,
                "a quarter: an inhibitory spike makes its target's spikes rarer for some 20 ms, and the rule, which "
                "holds coincidences at target times 2 tau, lets the rate rise above it; 1.1 Hz were found",
                {"target": 15.0},
                "Hz",
            ),
            Claim(
                "Without it they fire far above.",
                PAPER + ": before learning",
                "before",
                AtLeast(30.0),
                0.0,
                "no number in the paper; six times the target",
                {"eta": 5.0, "only_before": True},
                "Hz",
            ),
            Claim(
                "All neurons find the same rate.",
                PAPER + ": each postsynaptic neuron has its own set point",
                "spread",
                AtMost(0.0),
                "spread_bound",
                "half more than counting a Poisson process of the target rate leaves; no number in the paper",
                {"eta": 0.01},
            ),
            Claim(
                "They fire irregularly.",
                PAPER + ": asynchronous irregular",
                "cv",
                AtLeast(0.5),
                0.0,
                "half of a Poisson process's; no number in the paper",
                {"eta": 0.0},
            ),
            Claim(
                "They fire asynchronously.",
                PAPER + ": asynchronous irregular",
                "correlation",
                AtMost(0.05),
                0.0,
                "half of the share of inputs that two neurons of the small network have in common, 0.1",
                {"eta": 0.0},
            ),
        ),
        measure=measure,
        pictures={"Spikes before and after; rates and weights after.": activity},
    )
)
