"""Exercises of Neuronal Dynamics: thresholds, rates and gating of single neurons, and a decision."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

F64 = torch.float64
#: Izhikevich (2003), figure 2: a, b, c, d, input
PATTERNS = {
    "regular": (0.02, 0.2, -65.0, 8.0, 10.0), "chattering": (0.02, 0.2, -50.0, 2.0, 10.0),
    "fast": (0.1, 0.2, -65.0, 2.0, 10.0),
}  # fmt: skip
COHERENCES = (0.0, 0.1, 0.2, 0.4)


def measure(
    seed: int, size: Size, dt: float = 0.02, sharpness: float = 2.0, sodium: float = 1.0,
    d: float = -1.0, inhibition: float = 1.0, evidence: float = 1.0, V_th: float = -50.0,
    bias: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """Each exercise by simulation, beside its closed form.

    dt: ms. sharpness: Delta_T of the exponential neuron. sodium: factor of the axon's conductance. d: the adaptation
    of all Izhikevich neurons, if not negative. inhibition: factor of the competition between the deciding
    populations. evidence: of what coherence does to their input. V_th: the leaky neuron's, mV, −50 in its laws.
    bias: added to all coherences.
    """
    metrics = leaky(dt, V_th) | exponential(sharpness) | hodgkin_huxley(sodium) | izhikevich(d)
    return metrics | decisions(seed, size, inhibition, evidence, bias)


@lru_cache(maxsize=8)
def leaky(dt: float, V_th: float) -> dict[str, Any]:
    """The rheobase, by bisection over a population of drives, and the rate above it."""
    drive = torch.linspace(14.9, 15.1, 201, dtype=F64)
    net = rv.Network()
    net.add(rv.LIF(tau_m=10.0, E_L=-65.0, V_th=V_th, V_reset=-65.0, t_ref=2.0), 201, drive=drive)
    fires = rv.simulate(net, 300.0, dt=dt, dtype=F64).rates() > 0
    drives = np.linspace(16, 60, 12)
    net = rv.Network()
    net.add(rv.LIF(tau_m=10.0, E_L=-65.0, V_th=V_th, V_reset=-65.0, t_ref=2.0), 12, drive=torch.from_numpy(drives))
    rates = rv.simulate(net, 2000.0, dt=dt, dtype=F64).rates().numpy()
    law = 1000 / (2.0 + 10 * np.log(drives / (drives - 15)))
    return {
        "lif_rheobase": least(drive, fires), "lif_gap": float(np.abs(rates / law - 1).max()),
        "drives": drives, "rates": rates, "law": law,
    }  # fmt: skip


def least(drive: torch.Tensor, fires: torch.Tensor) -> float:
    """The least drive that fires; infinite where none does."""
    return float(drive[fires].min()) if bool(fires.any()) else math.inf


@lru_cache(maxsize=8)
def exponential(sharpness: float) -> dict[str, Any]:
    """Rheobase of the exponential neuron: the drive at which its two fixed points meet, V_T − E_L − Delta_T."""
    metrics = {}
    for name, width in (("eif_rheobase", sharpness), ("eif_sharp", sharpness / 20)):
        drive = torch.linspace(10.0, 16.0, 601, dtype=F64)
        net = rv.Network()
        neuron = rv.EIF(tau_m=10.0, E_L=-65.0, Delta_T=width, V_T=-50.0, V_th=-20.0, V_reset=-65.0)
        net.add(neuron, 601, drive=drive)
        fires = rv.simulate(net, 1500.0, dt=0.05, dtype=F64).rates() > 0
        metrics[name] = least(drive, fires)
    return metrics


@lru_cache(maxsize=8)
def hodgkin_huxley(sodium: float) -> dict[str, Any]:
    """Spikes of the squid's axon after a long step, after a hyperpolarising one, and its gates at rest."""
    steps = np.zeros((4, 3000))
    steps[0, 500:510] = 2.0 / 0.3  # µA/cm² over g_L: too little for a spike ...
    steps[1, 500:510] = 14.0 / 0.3  # ... and enough
    steps[2, 500:1500] = -5.0 / 0.3  # released from hyperpolarisation
    steps[3, 500:] = 12.0 / 0.3
    net = rv.Network()
    axon = net.add(squid()(g_Na=120.0 * sodium), 4, drive=rv.TimeSeries(torch.from_numpy(steps.T.copy()), 0.1),
                   initial={"V": -65.0, "m": 0.0529, "h": 0.5961, "n": 0.3177})  # fmt: skip
    run = rv.simulate(net, 300.0, dt=0.01, dtype=F64, record=rv.Probe("V", neurons=axon, interval=0.1))
    times, neurons, v = run.times.numpy(), run.neurons.numpy(), run.states["V"].values.numpy()
    rebound = times[neurons == 2]
    steady = np.diff(times[neurons == 3])
    return {
        "hh_small": int((neurons == 0).sum()), "hh_large": int((neurons == 1).sum()), "hh_rebound": len(rebound),
        "hh_delay": float(rebound[0] - 150) if len(rebound) else -1.0, "hh_rest": float(v[300, 0]),
        "hh_rate": float(1000 / steady[-5:].mean()) if len(steady) > 5 else 0.0, "v": v,
    }  # fmt: skip


def squid() -> Any:
    """Hodgkin and Huxley's axon itself, with today's signs; `rv.HodgkinHuxley` is a cortical cell."""

    class Squid(rv.Neuron):
        """Hodgkin & Huxley (1952), table 3 and eq. 26, rest at −65 mV; per cm²: µF, mS."""

        equations = rv.Equations(
            """dV/dt = (g_L*(E_L - V + drive + I) - g_Na*m**3*h*(V - E_Na) - g_K*n**4*(V - E_K))/C_m : mV
            dm/dt = (1 - m)/exprel(-(V + 40)/10) - 4*exp(-(V + 65)/18)*m
            dh/dt = 0.07*exp(-(V + 65)/20)*(1 - h) - h/(1 + exp(-(V + 35)/10))
            dn/dt = 0.1*(1 - n)/exprel(-(V + 55)/10) - 0.125*exp(-(V + 65)/80)*n""",
            threshold="V >= V_th", refractory="t_spike", holds=False,
        )  # fmt: skip
        C_m: float = 1.0
        g_L: float = 0.3
        E_L: float = -54.387
        g_Na: float = 120.0
        E_Na: float = 50.0
        g_K: float = 36.0
        E_K: float = -77.0
        V_th: float = 0.0
        t_spike: float = 3.0

    return Squid


@lru_cache(maxsize=8)
def izhikevich(d: float) -> dict[str, Any]:
    """Intervals of three patterns: adapting, in bursts, and fast."""
    columns: Any = (torch.tensor(column, dtype=F64) for column in zip(*PATTERNS.values(), strict=True))
    a, b, c, jump, drive = columns
    net = rv.Network()
    values: Any = {"a": a, "b": b, "c": c, "d": torch.full_like(jump, d) if d >= 0 else jump}  # the mutant's d
    net.add(rv.Izhikevich(**values), 3, drive=drive)
    run = rv.simulate(net, 1000.0, dt=0.02, dtype=F64)
    gaps = [np.diff(run.times[run.neurons == k].numpy()) for k in range(3)]
    return {
        "izh_adapts": float(gaps[0][-1] / gaps[0][0]), "izh_bursts": float(gaps[1][10:].max() / gaps[1][10:].min()),
        "izh_fast": float(gaps[0][-1] / gaps[2][-1]),
    }  # fmt: skip


@lru_cache(maxsize=8)
def decisions(seed: int, size: Size, inhibition: float, evidence: float, bias: float) -> dict[str, Any]:
    """Trials of two populations that inhibit each other and see evidence of some coherence; who wins."""
    trials, n = {"small": 40, "full": 400}[size], 20
    accuracy, lead = [], []
    for coherence in COHERENCES:
        net = rv.Network(seed=seed)
        # all trials side by side: population k of a trial is n neurons of one population of all
        neuron = rv.LIF(tau_m=20.0, E_L=-65.0, V_th=-50.0, V_reset=-60.0, t_ref=2.0)
        left, right = (net.add(neuron, trials * n, drive=12.5, noise=1.0, initial={"V": rv.Uniform(-65.0, -50.0)})
                       for _ in range(2))  # fmt: skip
        for own, other, sign in ((left, right, 1), (right, left, -1)):
            # one source a trial, so that evidence is noisy for all its neurons alike
            source = net.add(rv.Poisson(200.0 * (1 + sign * (evidence * coherence + bias))), trials)
            spread = torch.arange(trials).repeat_interleave(n), torch.arange(trials * n)
            net.connect(source, own, weight=0.7, synapse=rv.Exponential(tau=5.0, normalise="peak"), edges=spread)
            i, j = np.divmod(np.arange(n * n), n)
            block = np.arange(trials)[:, None] * n
            edges = (torch.from_numpy((block + i).ravel()), torch.from_numpy((block + j).ravel()))
            slow = rv.Exponential(tau=60.0)
            net.connect(own, other, weight=-11.0 * inhibition, synapse=slow, edges=edges)
            loop = edges[0] != edges[1]
            net.connect(own, own, weight=5.0, synapse=slow, edges=(edges[0][loop], edges[1][loop]))
        rates = rv.simulate(net, 1000.0, dt=0.5, seed=seed).after(500.0).rates().numpy()
        a, b = rates[: 2 * trials * n].reshape(2, trials, n).mean(2)
        accuracy.append(float((a > b).mean() + 0.5 * (a == b).mean()))
        lead.append(float((np.abs(a - b) / np.maximum(a + b, 1e-9)).mean()))
    return {
        "accuracy": accuracy, "chance": accuracy[0], "chance_error": 2 / math.sqrt(trials), "sure": accuracy[-1],
        "rise": accuracy[2] - accuracy[0], "wins": lead[0],
    }  # fmt: skip


def rates_and_choices(material: dict[str, Any]) -> Figure:
    """Rate of the leaky neuron, the axon's response to four inputs, and accuracy of decisions."""
    figure, (row,) = canvas(9, 2.6, 1, 3)
    row[0].plot(material["drives"], material["law"], color=COLOURS[0])
    row[0].plot(material["drives"], material["rates"], "o", ms=4, color=COLOURS[1])
    row[0].set(xlabel="drive (mV)", ylabel="rate (Hz)")
    v = material["v"]
    for k in range(v.shape[1]):
        row[1].plot(np.arange(len(v)) * 0.1, v[:, k] - 150 * k, color=COLOURS[0], lw=0.8)
    row[1].set(xlabel="time (ms)", yticks=[])
    row[2].plot(np.array(COHERENCES) * 100, np.array(material["accuracy"]) * 100, "o-", ms=4, color=COLOURS[0])
    row[2].set(xlabel="coherence (%)", ylabel="right decisions (%)")
    return figure


BOOK = "Gerstner, Kistler, Naud and Paninski (2014), "
register(
    Experiment(
        name="neuronal_dynamics",
        title="Exercises of Neuronal Dynamics",
        paper="W. Gerstner, W. M. Kistler, R. Naud and L. Paninski (2014). Neuronal Dynamics. Cambridge University "
        "Press. E. M. Izhikevich (2003). Simple model of spiking neurons. IEEE Transactions on Neural Networks "
        "14:1569–1572. A. L. Hodgkin and A. F. Huxley (1952). Journal of Physiology 117:500–544.",
        summary="The book's simulated exercises: rheobase and rates of leaky and exponential neurons, the "
        "Hodgkin–Huxley axon's threshold, rebound and rate, Izhikevich's patterns, and two populations that decide. "
        "Adaptive exponential neurons and Brunel's network have separate entries.",
        claims=(
            Claim(
                "A leaky neuron spikes from a drive of V_th − E_L on.", BOOK + "section 1.3", "lif_rheobase", 15.0,
                0.002, "the grid of drives, 0.001 mV, and log(drive/excess) in 300 ms", {"V_th": -49.5}, "mV",
            ),
            Claim(
                "Above it its rate is 1/(t_ref + tau_m ln(drive/(drive − 15 mV))).", BOOK + "section 1.3", "lif_gap",
                0.0, 0.006, "an interval of 5 ms in steps of 0.02 ms", {"V_th": -49.5},
            ),
            Claim(
                "The exponential neuron's rheobase is where its fixed points meet: V_T − E_L − Delta_T.",
                BOOK + "section 5.2", "eif_rheobase", 13.0, 0.02,
                "the grid, 0.01 mV, and the passage past the ghost in 1.5 s", {"sharpness": 20.0}, "mV",
            ),
            Claim(
                "As Delta_T falls (0.1 mV) it nears the leaky neuron's.", BOOK + "section 5.2", "eif_sharp", 14.9,
                0.02, "as above", {"sharpness": 20.0}, "mV",
            ),
            Claim(
                "The squid's axon rests at −65 mV.", "Hodgkin and Huxley (1952)", "hh_rest", -65.0, 0.05,
                "rounding of E_L", {"sodium": 2.5}, "mV",
            ),
            Claim(
                "A pulse of 14 µA/cm² for 1 ms gives one spike ...", BOOK + "section 2.2", "hh_large", 1.0, 0.0,
                "a count", {"sodium": 0.3}, "spikes",
            ),
            Claim(
                "... one of 2 µA/cm² none.", BOOK + "section 2.2", "hh_small", 0.0, 0.0, "a count", {"sodium": 2.5},
                "spikes",
            ),
            Claim(
                "Released from hyperpolarisation it spikes once.", BOOK + "section 2.2", "hh_rebound", 1.0, 0.0,
                "a count", {"sodium": 0.3}, "spikes",
            ),
            Claim(
                "Under 12 µA/cm² it spikes at 72.92 Hz.", "the equations, integrated by SciPy's LSODA to 1e-9",
                "hh_rate", 72.919, 0.5, "first order in steps of 0.01 ms: 0.37 here, 0.18 at half of them",
                {"sodium": 2.5}, "Hz",
            ),
            Claim(
                "Izhikevich's regular neuron adapts: intervals grow.", "Izhikevich (2003), figure 2", "izh_adapts",
                AtLeast(1.6), 0.0, "a bound; the figure has no number", {"d": 0.0},
            ),
            Claim(
                "The chattering one fires in bursts: pauses are far longer than intervals.",
                "Izhikevich (2003), figure 2", "izh_bursts", AtLeast(10.0), 0.0, "a bound", {"d": 8.0},
            ),
            Claim(
                "The fast one fires several times as fast as the regular one.", "Izhikevich (2003), figure 2",
                "izh_fast", AtLeast(4.0), 0.0, "a bound", {"d": 2.0},
            ),
            Claim(
                "Of two populations that inhibit each other one wins, though the evidence is equal.",
                BOOK + "section 16.2", "wins", AtLeast(0.8), 0.0, "a bound on |a − b|/(a + b)", {"inhibition": 0.0},
            ),
            Claim(
                "With no coherence each wins as often.", BOOK + "section 16.1", "chance", 0.5, "chance_error",
                "four standard errors of the trials", {"bias": 0.4},
            ),
            Claim(
                "Coherence of a fifth raises the part of right decisions ...", BOOK + "section 16.1", "rise",
                AtLeast(0.2), 0.0, "a bound", {"evidence": 0.0},
            ),
            Claim(
                "... and of two fifths makes nearly all right.", BOOK + "section 16.1", "sure", AtLeast(0.95), 0.0,
                "a trial in twenty", {"evidence": 0.0},
            ),
        ),
        measure=measure,
        pictures={"Rate of a leaky neuron; an axon after pulses and steps; decisions.": rates_and_choices},
    )
)  # fmt: skip
