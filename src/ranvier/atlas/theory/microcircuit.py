"""The cortical microcircuit of Potjans and Diesmann: its eight rates by mean-field theory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import ranvier as rv
from ranvier.atlas import COLOURS, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

POPULATIONS = ("L2/3E", "L2/3I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])
#: table 5: probability of a connection, [target, source]
PROBABILITIES = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
    ]
)
EXTERNAL = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])  # in-degrees
NU_EXT = 8.0  # Hz
PEAK, G = 87.8, -4.0  # pA; inhibition's relative strength
TAU_M, TAU_S, T_REF, C_M = 10.0, 0.5, 2.0, 250.0  # ms, ms, ms, pF
E_L, V_TH, V_RESET = -65.0, -50.0, -65.0  # mV

#: NNMT 1.3.0 (Layer et al. 2022), same parameters, boundaries shifted for filtered noise
REFERENCE = (0.7542, 2.7937, 4.4402, 5.8229, 7.1536, 8.4698, 1.1597, 7.7557)


def measure(seed: int, size: Size, doubled: float = 2.0, shifted: bool = True) -> dict[str, Any]:
    """Rates (Hz) by Siegert's formula, self-consistently; nothing here is random.

    doubled: L4E's synapses onto L2/3E, relative to all other excitatory ones. shifted: whether the filtering
    of the input is accounted for, to first order in sqrt(tau_s/tau_m).
    """
    J, K = jumps(doubled), in_degrees()
    mean, spread = K * J, K * J**2
    drive, fluctuation = EXTERNAL * J[0, 0], EXTERNAL * J[0, 0] ** 2

    def prediction(r: torch.Tensor) -> torch.Tensor:
        mu = E_L + TAU_M / 1000 * (torch.from_numpy(mean) @ r + torch.from_numpy(drive) * NU_EXT)
        variance = torch.from_numpy(spread) @ r + torch.from_numpy(fluctuation) * NU_EXT
        sigma = (TAU_M / 2000 * variance).sqrt()  # of the free membrane in white noise
        up = rv.theory.boundary_shift(sigma, TAU_M, TAU_S) if shifted else 0.0
        return rv.theory.siegert(mu, sigma, tau=TAU_M, V_th=up + V_TH, V_reset=up + V_RESET, t_ref=T_REF).rate

    rates, residual = solve(prediction)
    error = np.abs(rates - np.array(REFERENCE))
    metrics = {f"rate_{name}": float(rate) for name, rate in zip(POPULATIONS, rates, strict=True)}
    return metrics | {"worst": float(error.max()), "residual": residual, "rates": rates}


def jumps(doubled: float) -> np.ndarray:
    """(8, 8) mV: the area of a postsynaptic potential over tau_m, [target, source]."""
    J = np.full((8, 8), PEAK * TAU_S / C_M)
    J[:, 1::2] *= G
    J[0, 2] *= doubled
    return J


def in_degrees() -> np.ndarray:
    """(8, 8) synapses a target, [target, source]: multapses allowed, so that p = 1 − (1 − 1/(N N'))^S."""
    pairs = np.outer(SIZES, SIZES)
    return np.log(1 - PROBABILITIES) / np.log(1 - 1 / pairs) / SIZES[:, None]


def solve(prediction: Any) -> tuple[np.ndarray, float]:
    """The rates with r = told(r): relaxed dr/ds = told(r) − r, then Newton's method."""
    r = torch.zeros(8, dtype=torch.float64)
    for _ in range(400):
        r = r + 0.05 * (prediction(r) - r)
    for _ in range(8):
        slope = torch.autograd.functional.jacobian(prediction, r)
        r = r + torch.linalg.solve(torch.eye(8) - slope, prediction(r) - r)
    return r.numpy(), float((prediction(r) - r).abs().max())


def bars(material: dict[str, Any]) -> Figure:
    """Rates of the eight populations."""
    figure, axis = canvas(5.5, 2.8)
    at = np.arange(8)
    colours = [COLOURS[0], COLOURS[1]] * 4
    axis.barh(at, material["rates"], color=colours, height=0.7)
    axis.plot(REFERENCE, at, "|", ms=12, mew=1.5, color=COLOURS[4], label="NNMT")
    axis.set(yticks=at, yticklabels=POPULATIONS, xlabel="rate (Hz)")
    axis.invert_yaxis()
    axis.legend(loc="lower right")
    return figure


def _claims() -> tuple[Claim, ...]:
    return tuple(
        Claim(
            f"{name} fires at {value} Hz in mean-field theory.",
            "NNMT 1.3.0 (Layer et al. 2022)", f"rate_{name}", value, 1e-4,
            "the last digit of NNMT's table",
            {"shifted": False}, "Hz",
        )
        for name, value in zip(POPULATIONS, REFERENCE, strict=True)
    )  # fmt: skip


register(
    Experiment(
        name="microcircuit",
        title="The cortical microcircuit of Potjans and Diesmann",
        paper="T. C. Potjans and M. Diesmann (2014). The cell-type specific cortical microcircuit: relating "
        "structure and activity in a full-scale spiking network model. Cereb. Cortex 24:785-806.",
        doi="10.1093/cercor/bhs358",
        summary="Seventy-seven thousand neurons in four layers: the rates of their eight populations from the "
        "wiring alone, by Siegert's formula with the boundaries shifted for filtered noise.",
        claims=_claims(),
        measure=measure,
        pictures={"Rates in mean-field theory (bars: excitatory blue, inhibitory orange).": bars},
    )
)
