"""The COBAHH benchmark: Hodgkin–Huxley neurons with conductance-based synapses."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

import ranvier as rv
from ranvier.atlas import COLOURS, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXC, INH, PROBABILITY = 3200, 800, 0.02
AMPA, GABA = rv.ExponentialConductance(tau=5.0, E_rev=0.0), rv.ExponentialConductance(tau=10.0, E_rev=-80.0)
W_E, W_I = 6.0, 67.0  # nS
FIRST_E, FIRST_I = (40.0, 15.0), (200.0, 120.0)  # nS at the start: mean and standard deviation
WARM_UP, DURATION = 200.0, 800.0  # ms
RECORD = rv.Probe("V", neurons=[0, 1, 2], interval=0.2)

#: Brian2 2.9's example, eight runs: mean and standard deviation between runs
BRIAN_RATE, BRIAN_RATE_SPREAD = 37.51, 1.93  # Hz
BRIAN_CV, BRIAN_CV_SPREAD = 1.986, 0.039
BRIAN_RUNS = 8

#: Mean interval (ms) of one neuron under a constant current (pA): SciPy's LSODA, tolerance 1e-9
EXACT = {200.0: 21.7588, 500.0: 12.0803, 1000.0: 7.5275}


def network(seed: int, w_i: float = W_I, **changes: float) -> rv.Network:
    """Benchmark 3 of Brette et al. 2007, started as Brian2's example; `changes` are the neuron's."""
    import torch

    net = rv.Network(seed=seed)
    neuron = rv.HodgkinHuxley(**changes)
    start = {"V": rv.Normal(-65.0, 5.0), "h": 0.0}
    exc, inh = (
        net.add(neuron, EXC, name="exc", initial=start),
        net.add(neuron, INH, name="inh", initial=start),
    )
    net.connect(exc, [exc, inh], weight=W_E, probability=PROBABILITY, delay=0.1, synapse=AMPA)
    net.connect(inh, [exc, inh], weight=w_i, probability=PROBABILITY, delay=0.1, synapse=GABA)
    stream = torch.Generator().manual_seed(seed)
    for population in (exc, inh):  # the conductances at the start come as one spike each
        each = torch.arange(population.size)
        for synapse, (mean, deviation) in ((AMPA, FIRST_E), (GABA, FIRST_I)):
            first = net.add(rv.SpikeTimes(torch.full((population.size,), 0.1), each), population.size)
            weight = mean + deviation * torch.randn(population.size, generator=stream, dtype=torch.float64)
            net.connect(
                first,
                population,
                weight=weight.clamp(min=0.0),
                delay=0.1,
                synapse=synapse,
                edges=(each, each),
            )
    return net


def measure(seed: int, size: Size, w_i: float = W_I, **changes: float) -> dict[str, Any]:
    """Rate and CV of the network after 200 ms, over several wirings; intervals of a single neuron."""
    runs = {"small": 1, "full": 12}[size]
    rates, cvs = [], []
    for run in range(runs):
        net = network(runs * seed + run, w_i, **changes)
        recording = rv.simulate(net, WARM_UP + DURATION, dt=0.1, seed=runs * seed + run, record=RECORD).after(
            WARM_UP
        )
        each = recording.rates(neurons=["exc", "inh"]).numpy()
        cv = recording.cv(neurons=["exc", "inh"]).numpy()
        rates.append(float(each.mean()))
        cvs.append(float(np.nanmean(cv[each * DURATION / 1000 > 4.5])))
    spread = 4 * (1 / runs + 1 / BRIAN_RUNS) ** 0.5
    of_one = {dt: intervals(dt, **changes) for dt in (0.1, 0.02, 0.01)}
    at_zero = 2 * np.array(of_one[0.01]) - np.array(of_one[0.02])
    return {
        "rate": float(np.mean(rates)),
        "rate_error": spread * BRIAN_RATE_SPREAD,
        "cv": float(np.mean(cvs)),
        "cv_error": spread * BRIAN_CV_SPREAD,
        "interval": float(at_zero[1]),
        "interval_coarse": of_one[0.1][1],
        "intervals": of_one,
        "recording": recording,
    }


@cache
def intervals(dt: float, **changes: float) -> list[float]:
    """Mean intervals (ms) of a neuron under the constant currents of `EXACT`, in double precision."""
    import torch

    net = rv.Network()
    neuron = rv.HodgkinHuxley(**changes)
    net.add(neuron, len(EXACT), drive=torch.tensor(list(EXACT), dtype=torch.float64) / neuron.g_L)
    recording = rv.simulate(net, 1000.0, dt=dt, dtype=torch.float64)
    each = [recording.times[recording.neurons == k] for k in range(len(EXACT))]
    return [float(times[-1] - times[0]) / (len(times) - 1) for times in each]


def activity(material: dict[str, Any]) -> Figure:
    """Spikes of every twentieth neuron, and the voltage of three."""
    recording = material["recording"]
    figure, axes = canvas(8, 5, 2, height_ratios=[1, 1])
    top, bottom = axes[:, 0]
    window = (WARM_UP, WARM_UP + 500.0)
    recording.raster(neurons=np.arange(0, EXC + INH, 20), between=window, ax=top, size=2.5)
    top.set(xlabel="", xticks=[], ylabel="neuron (every 20th)")
    top.legend(*(each[:2] for each in top.get_legend_handles_labels()), bbox_to_anchor=(1, 1), markerscale=3)
    trace = recording.states["V"]
    shown = (trace.times > window[0]) & (trace.times <= window[1])
    for k, colour in zip(range(3), COLOURS):
        bottom.plot(trace.times[shown], trace.values[shown, k] - 120 * k, color=colour, lw=0.7)
    bottom.set(xlabel="time (ms)", ylabel="V of three neurons", yticks=[], xlim=window)
    return figure


def curve(material: dict[str, Any]) -> Figure:
    """The rate of one neuron against its current, at two steps and exactly."""
    figure, axis = canvas(4.8, 3)
    currents = list(EXACT)
    axis.plot(
        currents, [1000 / EXACT[i] for i in currents], "o", ms=8, mfc="none", color=COLOURS[4], label="LSODA"
    )
    for dt, colour in ((0.01, COLOURS[0]), (0.1, COLOURS[1])):
        rates = [1000 / each for each in material["intervals"][dt]]
        axis.plot(currents, rates, ".-", color=colour, lw=1, label=f"dt = {dt:g} ms")
    axis.set(xlabel="current (pA)", ylabel="rate (Hz)", ylim=(0, None))
    axis.legend()
    return figure


BRIAN = "Brian2 2.9, its example COBAHH, at the same step, after 200 ms"
RUNS = "four standard errors, from the spread of Brian2's runs ({})"

register(
    Experiment(
        name="cobahh",
        title="The COBAHH benchmark: a network of Hodgkin–Huxley neurons",
        paper="R. Brette et al. (2007). Simulation of networks of spiking neurons: a review of tools and "
        "strategies. Journal of Computational Neuroscience 23:349–398. Neuron: Traub and Miles (1991).",
        doi="10.1007/s10827-007-0038-6",
        summary="4000 neurons with sodium, potassium and synaptic conductances, firing in bursts.",
        claims=(
            Claim(
                "A neuron fires at 37.5 Hz.",
                BRIAN,
                "rate",
                BRIAN_RATE,
                "rate_error",
                RUNS.format("1.9 Hz"),
                {"w_i": 33.5},
                "Hz",
            ),
            Claim(
                "It fires in bursts: the CV of its intervals is about 2.",
                BRIAN,
                "cv",
                BRIAN_CV,
                "cv_error",
                RUNS.format("0.039"),
                {"w_i": 33.5},
            ),
            Claim(
                "Under 500 pA a single neuron fires every 12.08 ms.",
                "the equations, integrated by SciPy's LSODA to 1e-9",
                "interval",
                EXACT[500.0],
                0.02,
                "second order in dt: extrapolated from steps of 0.02 and 0.01 ms",
                {"V_T": -60.0},
                "ms",
            ),
            Claim(
                "At a step of 0.1 ms exponential Euler makes that 13.213 ms, as in Brian2: 9 % too long.",
                "Brian2 2.9, exponential_euler, one neuron for 1 s",
                "interval_coarse",
                13.2133,
                0.0015,
                "one step at the last of 76 spikes",
                {"V_T": -60.0},
                "ms",
            ),
        ),
        measure=measure,
        pictures={
            "Half a second: every twentieth neuron, and the voltage of three.": activity,
            "A single neuron under constant current.": curve,
        },
    )
)
