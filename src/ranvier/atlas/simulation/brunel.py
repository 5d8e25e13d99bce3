"""Brunel's sparse network of excitatory and inhibitory neurons, in its four regimes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, mean_cv, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size


@dataclass(frozen=True)
class Regime:
    """A point of the phase diagram (Brunel 2000, figure 8): g, external rate over threshold rate, and the
    durations run (ms) at size "small" and "full"."""

    title: str
    g: float
    eta: float
    small: float
    full: float


REGIMES = {
    "sr": Regime("synchronous regular", 3.0, 2.0, 100.0, 500.0),
    "fast": Regime("synchronous irregular, fast", 6.0, 4.0, 500.0, 2000.0),
    "ai": Regime("asynchronous irregular", 5.0, 2.0, 600.0, 3000.0),
    "slow": Regime("synchronous irregular, slow", 4.5, 0.9, 1000.0, 5000.0),
}
NEURON = rv.LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0, t_ref=2.0)
SIZE, C_E, C_I = 12_500, 1000, 250  # neurons; excitatory and inhibitory inputs of each
J = 0.1  # mV
NU_THRESHOLD = 10_000.0  # Hz: the rate of external spikes that alone brings the mean to threshold
WARM_UP, DT, BIN = 100.0, 0.1, 1.0  # ms
SHOWN = {"sr": 60.0, "fast": 100.0, "ai": 100.0, "slow": 300.0}  # ms, in the picture


def network(
    g: float, eta: float, seed: int, size: int = SIZE, coupling: float = 1.0, delay: float = 1.5
) -> rv.Network:
    """Brunel's model A; `coupling` scales the recurrent weights."""
    net = rv.Network(seed=seed)
    exc, inh = net.add(NEURON, size * 4 // 5, name="exc"), net.add(NEURON, size // 5, name="inh")
    if coupling:
        net.connect(exc, [exc, inh], weight=coupling * J, in_degree=C_E, delay=delay, synapse=rv.Delta())
        net.connect(inh, [exc, inh], weight=-coupling * g * J, in_degree=C_I, delay=delay, synapse=rv.Delta())
    for population in (exc, inh):
        net.background(population, rate=eta * NU_THRESHOLD, weight=J, synapse=rv.Delta())
    return net


def measure(
    seed: int,
    size: Size,
    regime: str = "",
    g: float | None = None,
    eta: float | None = None,
    coupling: float = 1.0,
    delay: float = 1.5,
) -> dict[str, Any]:
    """Every regime's rate, irregularity, synchrony and oscillation; with `regime` only that one's.

    "correlation" is the mean over pairs of the correlation of counts in one step, from the variance of the
    population's; "cycles" the global oscillation's frequency over a neuron's rate; "growth" the ratio of the
    variance of the network's spike count (over its mean) to that of a network of a quarter of the neurons
    with as many inputs each: 1 where neurons are asynchronous, so that fluctuations shrink as 1/N.
    """
    metrics: dict[str, Any] = {}
    for name in [regime] if regime else REGIMES:
        at = REGIMES[name]
        net = partial(
            network,
            at.g if g is None else g,
            at.eta if eta is None else eta,
            seed,
            coupling=coupling,
            delay=delay,
        )
        duration = WARM_UP + {"small": at.small, "full": at.full}[size]
        recording = rv.simulate(net(), duration, dt=DT, seed=seed).after(WARM_UP)
        activity = recording.population_rate(DT).numpy()
        frequencies, power = _spectrum(activity)
        metrics |= {
            f"rate_{name}": float(recording.rates().mean()),
            f"cv_{name}": mean_cv(recording, intervals=4),
            f"correlation_{name}": (_fano(recording, DT) - 1) / (SIZE - 1),
            f"frequency_{name}": _peak(frequencies, power),
            f"cycles_{name}": _peak(frequencies, power) / float(recording.rates().mean()),
            f"activity_{name}": activity,
            f"power_{name}": (frequencies, power),
            f"recording_{name}": recording,
        }
        if name == "ai":
            few = rv.simulate(net(size=SIZE // 4), duration, dt=DT, seed=seed).after(WARM_UP)
            metrics[f"growth_{name}"] = _fano(recording, BIN) / _fano(few, BIN)
    return metrics


def _fano(recording: rv.Recording, window: float) -> float:
    """Variance over mean of all neurons' spike count in a window: 1 for independent Poisson neurons."""
    counts = recording.population_rate(window).numpy() * (window * recording.n_neurons / 1000)
    return float(counts.var() / counts.mean())


def _spectrum(activity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power of the population's rate (Hz²/Hz), in segments of at most 200 ms."""
    from scipy.signal import welch

    segment = min(len(activity), round(200 / DT))
    return welch(activity, fs=1000 / DT, nperseg=segment, nfft=4 * segment, detrend="constant")


def _peak(frequencies: np.ndarray, power: np.ndarray) -> float:
    """The strongest frequency between 5 and 1000 Hz."""
    band = (frequencies > 5) & (frequencies < 1000)
    return float(frequencies[band][power[band].argmax()])


def rasters(material: dict[str, Any]) -> Figure:
    """Spikes of fifty neurons above the rate of the population, as in figure 8."""
    names = [name for name in REGIMES if f"recording_{name}" in material]
    figure, axes = canvas(10, 4.0, 2, len(names), height_ratios=[1.3, 1])
    for (top, bottom), name, colour in zip(axes.T, names, COLOURS):
        recording, regime = material[f"recording_{name}"], REGIMES[name]
        end = recording.start + recording.duration
        begin = end - min(SHOWN[name], recording.duration)
        times, neurons = recording.to_numpy()
        some = (times > begin) & (neurons < 50)
        top.plot(times[some] - begin, neurons[some], ".", ms=2.2, color=colour, mew=0)
        top.set(title=f"{regime.title}\ng = {regime.g:g}, ν/ν_thr = {regime.eta:g}", xticks=[], yticks=[])
        activity = recording.after(begin).population_rate(0.5).numpy()
        bottom.fill_between(0.5 * np.arange(len(activity)), activity, step="post", color=colour, lw=0)
        bottom.set(xlabel="time (ms)", ylim=(0, None))
        for axis in (top, bottom):
            axis.set_xlim(0, end - begin)
    axes[0, 0].set_ylabel("50 neurons")
    axes[1, 0].set_ylabel("population rate (Hz)")
    return figure


def spectra(material: dict[str, Any]) -> Figure:
    """The spectrum of the population's rate, relative to independent Poisson neurons."""
    figure, axes = canvas(7.5, 3.2)
    for name, colour in zip(REGIMES, COLOURS):
        if f"power_{name}" not in material:
            continue
        frequencies, power = material[f"power_{name}"]
        shown = (frequencies >= 5) & (frequencies <= 1000)
        poisson = 2 * material[f"rate_{name}"] / SIZE
        axes.loglog(
            frequencies[shown], power[shown] / poisson, color=colour, lw=1.1, label=REGIMES[name].title
        )
    axes.set(xlabel="frequency (Hz)", ylabel="power / Poisson's", ylim=(1, None))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


PAPER = "Brunel 2000, figure 8 and its text: simulation of {}"

register(
    Experiment(
        name="brunel",
        title="Brunel's network in its four regimes",
        paper="N. Brunel (2000). Dynamics of sparsely connected networks of excitatory and inhibitory "
        "spiking neurons. Journal of Computational Neuroscience 8:183–208.",
        doi="10.1023/A:1008925309027",
        summary="12 500 leaky integrate-and-fire neurons, each heard by a tenth of the others: regular or "
        "irregular, in synchrony or not, as inhibition and the outer drive decide.",
        claims=(
            Claim(
                "Where excitation dominates (A), neurons are almost fully synchronised.",
                PAPER.format("A"),
                "correlation_sr",
                AtLeast(0.1),
                0.0,
                "no number in the paper; a bound ten times above the other three regimes",
                {"regime": "sr", "coupling": 0.0},
            ),
            Claim(
                "There they fire regularly.",
                PAPER.format("A"),
                "cv_sr",
                AtMost(0.1),
                0.0,
                "no number in the paper; a tenth of a Poisson process's",
                {"regime": "sr", "g": 5.0},
            ),
            Claim(
                "In the fast oscillation (B) a neuron fires at 60.7 Hz.",
                PAPER.format("B"),
                "rate_fast",
                60.7,
                2.0,
                "four times the spread over seeds and wirings (0.5 Hz at half a second)",
                {"regime": "fast", "coupling": 0.0},
                "Hz",
            ),
            Claim(
                "The fast oscillation has a frequency of 180 Hz.",
                PAPER.format("B"),
                "frequency_fast",
                180.0,
                15.0,
                "segments of 200 ms resolve 5 Hz; three times the spread over seeds (4 Hz)",
                {"regime": "fast", "delay": 3.0},
                "Hz",
            ),
            Claim(
                "A neuron skips cycles of the fast oscillation.",
                PAPER.format("B"),
                "cycles_fast",
                AtLeast(2.0),
                0.0,
                "the paper's 180 Hz over 60.7 Hz is 3; a neuron that fires in every cycle has 1",
                {"regime": "fast", "coupling": 0.0},
            ),
            Claim(
                "In the fast oscillation neurons fire as irregularly as in white noise, or more so.",
                "Brunel 2000, appendix A.1: CV at the self-consistent mean and variance of B",
                "cv_fast",
                AtLeast(0.736),
                0.0,
                "a bound",
                {"regime": "fast", "coupling": 0.0},
            ),
            Claim(
                "In the asynchronous state (C) a neuron fires at 37.7 Hz (mean field: 38.0).",
                PAPER.format("C"),
                "rate_ai",
                37.7,
                1.0,
                "some four times the spread over seeds and wirings (0.2 Hz at 0.6 s)",
                {"regime": "ai", "g": 6.0},
                "Hz",
            ),
            Claim(
                "Its global activity is stationary: what fluctuates shrinks as 1/N.",
                "Brunel 2000, section on finite-size effects",
                "growth_ai",
                1.0,
                0.4,
                "four times the spread over seeds (0.1); in the smaller network the connectivity is 0.4",
                {"regime": "ai", "eta": 4.0, "g": 6.0},
            ),
            Claim(
                "Its neurons fire as irregularly as white noise of the same mean and variance makes them.",
                "Brunel 2000, appendix A.1: CV at the self-consistent mean and variance of C",
                "cv_ai",
                0.675,
                0.1,
                "spread over seeds 0.01; what a record of 0.6 s leaves out, some 0.05",
                {"regime": "ai", "coupling": 0.0},
            ),
            Claim(
                "In the slow oscillation (D) a neuron fires at 5.5 Hz (mean field: 6.5).",
                PAPER.format("D"),
                "rate_slow",
                5.5,
                1.0,
                "three times the spread over seeds and wirings (0.35 Hz at 1 to 2 s)",
                {"regime": "slow", "coupling": 0.0},
                "Hz",
            ),
            Claim(
                "The slow oscillation has a frequency of 22 Hz.",
                PAPER.format("D"),
                "frequency_slow",
                22.0,
                6.0,
                "segments of 200 ms resolve 5 Hz; twice the spread over seeds (3 Hz)",
                {"regime": "slow", "coupling": 0.0},
                "Hz",
            ),
        ),
        measure=measure,
        pictures={
            "The four regimes: spikes of fifty neurons, and the rate of all.": rasters,
            "Spectra of the population's rate; independent Poisson neurons would lie at 1.": spectra,
        },
    )
)
