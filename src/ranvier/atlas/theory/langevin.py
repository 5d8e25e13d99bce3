"""Langevin and Fokker–Planck: thousands of noisy neurons under a step of drive, and the density of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import ranvier as rv
from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

NEURON = rv.EIF(tau_m=10.0, E_L=-72.0, Delta_T=1.4, V_T=-48.0, V_th=30.0, V_reset=-72.0, t_ref=2.0)
NOISE, BEFORE, AFTER = 9.0, 10.0, 16.0  # mV
STEP, END = 200.0, 260.0  # ms: when the drive jumps, and when the run ends
LOOKS = (195.0, 205.0, 215.0)  # ms, at which densities are compared
DT, FINE = 0.02, 0.02  # ms, of the Langevin equation and of the density's


def measure(seed: int, size: Size, sign: float = 1.0, settle: float = 400.0, held: bool = True) -> dict[str, Any]:
    """Histograms of V and spike counts against the density equation.

    sign: of psi, the spike-generating current, in the density equation; -1 is the slip of the slides. settle:
    ms after which the rate is called stationary. held: whether refractory neurons count as mass.
    """
    count = {"small": 4000, "full": 100_000}[size]
    net = rv.Network()
    net.add(NEURON, count, drive=rv.TimeSeries([BEFORE, AFTER], STEP), noise=NOISE)
    recording = rv.simulate(net, END, dt=DT, seed=seed, record=[rv.Probe("V", interval=5.0)])
    prediction = density(sign, END - STEP)
    metrics: dict[str, Any] = {"prediction": prediction, "mass": worst_mass(prediction, held)}
    metrics |= relaxed(sign, settle)
    voltages = recording.states["V"]
    times = voltages.times.numpy()
    held_back = refractory(recording, LOOKS)
    for look in LOOKS:
        V = voltages.values[int(np.abs(times - look).argmin())].numpy()
        metrics[f"V_{look:g}"] = V[~held_back[look]]
        metrics[f"chi2_{look:g}"] = histogram_chi2(prediction, look, V, held_back[look])
    edges = np.arange(STEP, END + 1e-9, 4.0)
    counts = np.histogram(recording.times.numpy(), edges + 1e-6)[0]
    rate = prediction["rate"].reshape(len(edges) - 1, -1).mean(1)
    expected = np.maximum(count * rate * 0.004, 1e-9)
    metrics |= {"chi2_rate": float(((counts - expected) ** 2 / expected).mean()), "edges": edges}
    return metrics | {"psth": counts / count / 0.004, "histogram_error": 4 * (2 / 29) ** 0.5,
                    "rate_error": 4 * (2 / len(rate)) ** 0.5}  # fmt: skip


def force(drive: float, sign: float) -> Any:
    p = NEURON

    def total(V: torch.Tensor) -> torch.Tensor:
        return p.E_L - V + sign * p.Delta_T * torch.exp((V - p.V_T) / p.Delta_T) + drive

    return total


def cell(drive: float, sign: float) -> Any:
    p = NEURON
    return rv.theory.membrane(
        force(drive, sign), tau=p.tau_m, sigma=NOISE, t_ref=p.t_ref, V_th=p.V_th, V_reset=p.V_reset,
        V_lb=-150.0, N=2000,
    )  # fmt: skip


def density(sign: float, duration: float) -> dict[str, Any]:
    """P(V, t) from the stationary state before the jump on, every 5 ms."""
    neuron = cell(BEFORE, sign)
    course = rv.theory.evolve(neuron, duration, FINE, drive=AFTER - BEFORE, every=round(5.0 / FINE))
    start = rv.theory.stationary(neuron)
    return {
        "V": neuron.grid.nodes[:, 0].numpy(),
        "step": float(neuron.grid.step),
        "before": start.density[:, 0].numpy(),
        "times": STEP + course.density_times.numpy(),
        "density": course.density[:, :, 0].numpy(),
        "rate": course.rate[:, 0].numpy(),
        "refractory": course.refractory[:, 0].numpy()[round(5.0 / FINE) - 1 :: round(5.0 / FINE)],
    }


def at(prediction: dict[str, Any], look: float) -> np.ndarray:
    """Mass at each node at a time (ms)."""
    nearest = int(np.abs(prediction["times"] - look).argmin())
    here = prediction["before"] if look < STEP else prediction["density"][nearest]
    return here * prediction["step"]


def worst_mass(prediction: dict[str, Any], held: bool) -> float:
    """Largest departure from 1 of the mass below threshold and the refractory mass together."""
    below = prediction["density"].sum(1) * prediction["step"]
    return float(np.abs(below + (prediction["refractory"] if held else 0.0) - 1).max())


def relaxed(sign: float, settle: float) -> dict[str, float]:
    """How far the rate is from the new stationary one, relative to it."""
    course = rv.theory.evolve(cell(BEFORE, sign), settle, 0.1, drive=AFTER - BEFORE)
    final = float(rv.theory.stationary(cell(AFTER, sign)).rate)
    return {"relaxed": abs(float(course.rate[-1]) - final) / max(final, 1e-300), "stationary_rate": final}


def refractory(recording: rv.Recording, looks: tuple[float, ...]) -> dict[float, np.ndarray]:
    """Which neurons have spiked within t_ref before each time."""
    times, neurons = recording.to_numpy()
    held = {}
    for look in looks:
        late = (times > look - NEURON.t_ref + 1e-6) & (times < look + 1e-6)
        held[look] = np.bincount(neurons[late], minlength=recording.n_neurons) > 0
    return held


def histogram_chi2(prediction: dict[str, Any], look: float, V: np.ndarray, held: np.ndarray) -> float:
    """Pearson's statistic over 29: thirty bins of equal expected mass below threshold, among free neurons."""
    mass = at(prediction, look)
    cumulative = np.cumsum(mass) / mass.sum()
    edges = np.interp(np.arange(1, 30) / 30, cumulative, prediction["V"] + prediction["step"] / 2)
    counts = np.bincount(np.searchsorted(edges, V[~held]), minlength=30)
    expected = (~held).sum() / 30
    return float(((counts - expected) ** 2).sum() / expected / 29)


def densities(material: dict[str, Any]) -> Figure:
    """Histograms and densities before and after the jump."""
    figure, axes = canvas(8, 2.6, 1, 3, sharey=True)
    for axis, look, colour in zip(axes[0], LOOKS, COLOURS, strict=False):
        prediction = material["prediction"]
        axis.hist(material[f"V_{look:g}"], 80, range=(-110, -30), density=True, color=colour, alpha=0.35)
        mass = at(prediction, look)
        axis.plot(prediction["V"], mass / mass.sum() / prediction["step"], color=colour, lw=1.2)
        axis.set(xlim=(-110, -30), xlabel="V (mV)", yticks=[], title=f"{look - STEP:+g} ms")
    return figure


def rates(material: dict[str, Any]) -> Figure:
    """The rate after the jump."""
    figure, axis = canvas(5.2, 2.8)
    prediction = material["prediction"]
    axis.stairs(material["psth"], material["edges"] - STEP, color=COLOURS[0], alpha=0.5, fill=True)
    axis.plot(FINE * np.arange(1, len(prediction["rate"]) + 1), prediction["rate"], color=COLOURS[1], lw=1.2)
    axis.axhline(material["stationary_rate"], color=COLOURS[5], lw=0.8)
    axis.set(xlabel="time after the jump (ms)", ylabel="rate (Hz)")
    return figure


PLUS = {"sign": -1.0}
SAMPLING = "four standard deviations of Pearson's statistic over its degrees of freedom"

register(
    Experiment(
        name="langevin",
        title="Langevin and Fokker–Planck",
        paper="H. Risken (1996). The Fokker–Planck Equation. Springer. For neurons: N. Brunel and V. Hakim "
        "(1999). Fast global oscillations in networks of integrate-and-fire neurons with low firing rates. "
        "Neural Comput. 11:1621-1671.",
        doi="10.1162/089976699300016179",
        summary="Many neurons, each with its own noise, under a jump of their drive: their histogram follows "
        "the density equation dP/dt = D d²P/dV² + d/dV[(V − E − psi − mu) P]/tau, with minus psi.",
        claims=(
            *(
                Claim(
                    f"The histogram of V {text} is the solution of the density equation.",
                    "theory of the Langevin equation",
                    f"chi2_{look:g}",
                    1.0,
                    "histogram_error",
                    SAMPLING,
                    PLUS,
                )
                for look, text in zip(LOOKS, ("before the jump", "5 ms after it", "15 ms after it"), strict=True)
            ),
            Claim(
                "So is the rate of spikes, the flux through the threshold.",
                "theory of the Langevin equation",
                "chi2_rate",
                AtMost(1.0),
                "rate_error",
                SAMPLING,
                PLUS,
            ),
            Claim(
                "Mass is conserved: what is not below threshold is refractory.",
                "the equation's form",
                "mass",
                AtMost(0.0),
                1e-12,
                "rounding",
                {"held": False},
            ),
            Claim(
                "The rate relaxes to the stationary one.",
                "threshold integration (Richardson 2007)",
                "relaxed",
                AtMost(0.0),
                1e-9,
                "forty membrane time constants; rounding of 1e5 steps",
                {"settle": 20.0},
            ),
        ),
        measure=measure,
        pictures={
            "V before and after the jump: simulated (filled) and from the density equation (line).": densities,
            "The rate after the jump: spikes in 4 ms (filled), the flux (line), and its limit (grey).": rates,
        },
    )
)
