"""Monte Carlo of uncoupled integrate-and-fire neurons, against the Fokker–Planck equation of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import ranvier as rv
from ranvier.atlas import COLOURS, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size


@dataclass(frozen=True)
class Cell:
    """A neuron in white noise, and what the Fokker–Planck equation says of it: rate (Hz) and CV."""

    neuron: rv.EIF
    drive: float  # mV
    noise: float  # mV
    rate: float
    cv: float


#: The rates and CVs are those of threshold integration (Richardson 2007), extrapolated to fine grids.
CELLS = {
    "O": Cell(
        rv.EIF(tau_m=10.0, E_L=-72.0, Delta_T=1.4, V_T=-48.0, V_th=30.0, V_reset=-72.0, t_ref=2.0),
        10.0, 9.0, 7.54922, 0.894176,
    ),
    "R": Cell(
        rv.EIF(tau_m=10.0, E_L=-60.0, Delta_T=2.0, V_T=-50.0, V_th=-10.0, V_reset=-65.0, t_ref=1.5),
        2.0, 9.0, 18.16470, 0.856447,
    ),
    "T": Cell(  # Trousdale et al. 2012
        rv.EIF(tau_m=20.0, E_L=-54.0, Delta_T=1.4, V_T=-52.5, V_th=20.0, V_reset=-54.0, t_ref=2.0),
        0.0, 12.0**0.5, 17.7587, 0.97896,
    ),
}  # fmt: skip

FINE, COARSE = 0.02, 0.1  # ms
CURVED = 0.002  # of the rate: what the extrapolation leaves
WARM_UP = 200.0  # ms, twenty time constants
DURATION = 20_000.0  # ms


def measure(
    seed: int,
    size: Size,
    only: str = "ORT",
    more_drive: float = 0.0,
    coarse: float = COARSE,
) -> dict[str, Any]:
    """Rates and CVs of the neurons named in `only`.

    The error of the rate shrinks a little more slowly than dt (measured on neuron O: 1.8, 1.1, 0.5 and 0.2 %
    at steps of 0.1, 0.05, 0.02 and 0.01 ms, each ± 0.1 %). "rate" is extrapolated along the line through the
    steps COARSE and FINE, which leaves some 0.2 %; "bias" is what is lost at the coarse one, as a fraction.
    """
    count = {"small": 200, "full": 2000}[size]
    metrics: dict[str, Any] = {}
    for name in only:
        cell = CELLS[name]
        inputs: dict[str, Any] = {"drive": cell.drive + more_drive, "noise": cell.noise}
        rate, error, trains = {}, {}, {}
        for dt, neurons in ((FINE, count), (coarse, 5 * count)):
            net = rv.Network()
            net.add(cell.neuron, neurons, **inputs)
            recording = rv.simulate(net, DURATION + WARM_UP, dt=dt, seed=seed).after(WARM_UP)
            rates = recording.rates().numpy()
            rate[dt], error[dt] = rates.mean(), rates.std() / neurons**0.5
            trains[dt] = recording
        slope = FINE / (coarse - FINE)
        intervals = _intervals(trains[FINE], round(0.7 * cell.rate * DURATION / 1000))
        metrics |= {
            f"rate_{name}": rate[FINE] + slope * (rate[FINE] - rate[coarse]),
            f"rate_{name}_error": 4 * np.hypot((1 + slope) * error[FINE], slope * error[coarse]) + CURVED * cell.rate,
            f"bias_{name}": rate[coarse] / cell.rate - 1,
            f"bias_{name}_error": 4 * error[coarse] / cell.rate,
            f"cv_{name}": _cv(intervals),
            f"cv_{name}_error": 4 * _jackknife(intervals),
            f"intervals_{name}": intervals,
            f"steps_{name}": rate,
            f"errors_{name}": error,
        }
    return metrics


def _intervals(recording: rv.Recording, count: int) -> np.ndarray:
    """The first `count` intervals of every neuron, (neurons, count), ms: a number fixed beforehand, since
    a window of fixed length loses the long ones."""
    times, neurons = recording.to_numpy()
    order = np.argsort(neurons, kind="stable")
    trains = np.split(times[order], np.cumsum(np.bincount(neurons, minlength=recording.n_neurons))[:-1])
    count = min(count, min(map(len, trains)) - 1)
    return np.array([np.diff(train[: count + 1]) for train in trains])


def _cv(intervals: np.ndarray) -> float:
    return float(intervals.std() / intervals.mean())


def _jackknife(intervals: np.ndarray, blocks: int = 20) -> float:
    """Standard error of the CV, leaving out one group of neurons at a time."""
    parts = np.array_split(intervals, blocks)
    left = [_cv(np.concatenate(parts[:k] + parts[k + 1 :])) for k in range(blocks)]
    return float(np.sqrt((blocks - 1) * np.var(left)))


def steps(material: dict[str, Any]) -> Figure:
    """The rate at two step widths, relative to theory."""
    figure, axis = canvas(5.2, 3.0)
    for name, colour, shift in zip(CELLS, COLOURS, (-0.0008, 0.0, 0.0008)):
        rate, error = material[f"steps_{name}"], material[f"errors_{name}"]
        percent = 100 / CELLS[name].rate
        at = np.array([0.0, *sorted(rate)])
        shown = percent * np.array([material[f"rate_{name}"], *(rate[dt] for dt in at[1:])]) - 100
        bars = (
            2
            * percent
            * np.array(
                [(material[f"rate_{name}_error"] / 4 - CURVED * CELLS[name].rate / 4), *(error[dt] for dt in at[1:])]
            )
        )
        axis.errorbar(at + shift, shown, bars, fmt="o-", ms=4, lw=0.9, color=colour, label=f"neuron {name}")
    axis.axhline(0, color=COLOURS[5], lw=0.8, zorder=0)
    axis.set(xlabel="step dt (ms)", ylabel="rate against theory (%)")
    axis.legend(loc="upper right")
    return figure


def histograms(material: dict[str, Any]) -> Figure:
    """Histograms of intervals, and the density that theory gives."""
    figure, axes = canvas(8, 2.6, 1, 3)
    for axis, name, colour in zip(axes[0], CELLS, COLOURS):
        intervals = material[f"intervals_{name}"]
        longest = float(np.quantile(intervals, 0.99))
        axis.hist(intervals.ravel(), 80, range=(0, longest), density=True, color=colour, alpha=0.35)
        axis.set(title=f"{name}: CV {material[f'cv_{name}']:.3f}", xlabel="interval (ms)", yticks=[])
        times, density = _density(CELLS[name], longest)
        axis.plot(times, density / 0.99, color=colour, lw=1.2)
    return figure


def _density(cell: Cell, longest: float) -> tuple[np.ndarray, np.ndarray]:
    import torch

    p = cell.neuron

    def force(V: torch.Tensor) -> torch.Tensor:
        return p.E_L - V + p.Delta_T * torch.exp((V - p.V_T) / p.Delta_T) + cell.drive

    neuron = rv.theory.membrane(
        force, tau=p.tau_m, sigma=cell.noise, t_ref=p.t_ref, V_th=p.V_th, V_reset=p.V_reset, V_lb=-150.0
    )
    times, density = rv.theory.interval_density(neuron, longest, 0.1)
    return times.numpy(), density[:, 0].numpy()


THEORY = "threshold integration of the Fokker–Planck equation (Richardson 2007)"
SAMPLING = "four standard errors of the {}, from the spread over independent neurons"


def _claims() -> list[Claim]:
    claims = []
    for name, cell in CELLS.items():
        claims += [
            Claim(
                f"Neuron {name} fires at the rate that the Fokker–Planck equation gives.",
                THEORY, f"rate_{name}", cell.rate, f"rate_{name}_error",
                SAMPLING.format("rate, extrapolated to dt = 0") + "; 0.2 % for the extrapolation",
                {"only": name, "more_drive": 4.0}, "Hz",
            ),
            Claim(
                f"The intervals of neuron {name} vary as the Fokker–Planck equation says.",
                THEORY, f"cv_{name}", cell.cv, f"cv_{name}_error",
                SAMPLING.format("coefficient of variation") + " (jackknife)",
                {"only": name, "more_drive": 4.0},
            ),
        ]  # fmt: skip
    return claims


register(
    Experiment(
        name="monte_carlo",
        title="Monte Carlo of uncoupled integrate-and-fire neurons",
        paper="M. J. E. Richardson (2007). Firing-rate response of linear and nonlinear integrate-and-fire "
        "neurons to modulated current-based and conductance-based synaptic drive. Phys. Rev. E 76:021919.",
        doi="10.1103/PhysRevE.76.021919",
        summary="Thousands of exponential integrate-and-fire neurons in white noise, one by one, against the "
        "density equation of a single one.",
        claims=(
            *_claims(),
            Claim(
                "At a step of 0.1 ms Euler–Maruyama loses some two per cent of neuron O's rate.",
                "reference simulations with steps of 0.02 and 0.1 ms",
                "bias_O",
                -0.022,
                "bias_O_error",
                SAMPLING.format("rate") + "; the reference's own error is 0.2 %",
                {"only": "O", "coarse": 0.025},
            ),
        ),
        measure=measure,
        pictures={
            "What the step width does to the rate: measured at two steps (bars: two standard errors), and "
            "extrapolated to zero.": steps,
            "Intervals between spikes: simulated (filled), and from the density equation (line).": histograms,
        },
    )
)
