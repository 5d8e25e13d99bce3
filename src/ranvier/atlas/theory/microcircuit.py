"""The cortical microcircuit of Potjans and Diesmann: its eight populations simulated, and by mean-field theory."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, canvas, register

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

#: Hz, of the full-scale model in NEST (van Albada et al. 2018; the default of NEST's own example)
SIMULATED = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])
#: share of neurons and of their synapses, and duration in ms; what is left out counts as a constant current, and
#: weights grow by the root (van Albada, Helias & Diesmann 2015), so that mean and variance of the input stay
SCALES: dict[Size, tuple[float, float]] = {"small": (0.05, 1300.0), "full": (1.0, 4000.0)}
SETTLING = 300.0  # ms


def measure(
    seed: int, size: Size, doubled: float = 2.0, shifted: bool = True, specific: bool = True, g: float = G
) -> dict[str, Any]:
    """Rates (Hz) by Siegert's formula, self-consistently, which is not random; and of a simulation.

    doubled: L4E's synapses onto L2/3E, relative to all other excitatory ones. shifted: whether the filtering
    of the input is accounted for, to first order in sqrt(tau_s/tau_m). specific: whether cells of one layer have
    inputs by their type, or the mean of both. g: inhibition's relative strength in the simulation.
    """
    broken = not specific or g != G  # fires at hundreds of hertz, at any scale
    simulation = simulated(seed, *SCALES["small" if broken else size], doubled, specific, g)
    whole = size == "full" or broken
    each = zip(POPULATIONS, simulation["counted"], strict=True)
    return mean_field(doubled, shifted) | simulation | {f"simulated_{n}": float(r) if whole else None for n, r in each}


def mean_field(doubled: float, shifted: bool) -> dict[str, Any]:
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


def network(
    scale: float, seed: int, doubled: float = 2.0, specific: bool = True, g: float = G, spread: bool = True
) -> rv.Network:
    """The microcircuit, or a share `scale` of it; where `spread`, weights by 10 % and delays by half, as in the
    paper."""
    net = rv.Network(seed=seed)
    K, J, external = in_degrees(), TAU_M * jumps(doubled, g), EXTERNAL.astype(float)
    if not specific:
        layers = np.repeat(np.eye(4), 2, 1) / 2
        K, external = layers.T @ layers @ (2 * K), layers.T @ layers @ (2 * external)
    neuron = rv.LIF(tau_m=TAU_M, E_L=E_L, V_th=V_TH, V_reset=V_RESET, t_ref=T_REF)
    synapse, root = rv.Exponential(tau=TAU_S), scale**0.5
    left_out = (1 - root) * ((J * K) @ SIMULATED + J[0, 0] * external * NU_EXT) / 1000  # mV
    cells = [
        net.add(neuron, round(n * scale), name=name, drive=float(drive), initial={"V": rv.Normal(-58.0, 10.0)})
        for name, n, drive in zip(POPULATIONS, SIZES, left_out, strict=True)
    ]
    for i, target in enumerate(cells):
        for j, source in enumerate(cells):
            if not K[i, j]:
                continue
            w, delay = J[i, j] / root, 0.75 if j % 2 else 1.5
            sign = {"high": 0.0} if j % 2 else {"low": 0.0}
            options: dict[str, Any] = {"weight": w, "delay": delay}
            if spread:
                options = {"weight": rv.Normal(w, abs(w) / 10, **sign), "delay": rv.Normal(delay, delay / 2, low=0.1)}
            wiring = rv.wiring.TotalNumber(round(K[i, j] * scale * target.size))
            net.connect(source, target, synapse=synapse, wiring=wiring, **options)
        net.background(target, rate=NU_EXT * external[i] * scale, weight=J[0, 0] / root, synapse=synapse)
    return net


@lru_cache
def simulated(seed: int, scale: float, duration: float, doubled: float, specific: bool, g: float) -> dict[str, Any]:
    """What the eight populations do after `SETTLING`."""
    net = network(scale, seed, doubled, specific, g)
    recording = rv.simulate(net, duration, dt=0.1, seed=seed).after(SETTLING)
    rates = np.array([float(recording.rates(neurons=p).mean()) for p in net.populations])
    cv = recording.cv().numpy()
    others = np.delete(rates, [0, 6])
    return {
        "gap": float((rates[1::2] - rates[::2]).min()),
        "low": float(others.min() - rates[[0, 6]].max()),
        "cv": float(np.nanmean(cv)),
        "counted": rates,
    }


def jumps(doubled: float, g: float = G) -> np.ndarray:
    """(8, 8) mV: the area of a postsynaptic potential over tau_m, [target, source]."""
    J = np.full((8, 8), PEAK * TAU_S / C_M)
    J[:, 1::2] *= g
    J[0, 2] *= doubled
    return J


def in_degrees() -> np.ndarray:
    """(8, 8) synapses a target, [target, source]: multapses allowed, so that p = 1 − (1 − 1/(N N'))^S."""
    pairs = np.outer(SIZES, SIZES)
    return np.log(1 - PROBABILITIES) / np.log(1 - 1 / pairs) / SIZES[:, None]


def solve(prediction: Any) -> tuple[np.ndarray, float]:
    """The rates with r = f(r): relaxed dr/ds = f(r) − r, then Newton's method."""
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
    axis.plot(material["counted"], at, "o", ms=4, color=COLOURS[3], label="simulation here")
    axis.plot(SIMULATED, at, "|", ms=12, mew=1.5, color=COLOURS[4], label="NEST, full scale")
    axis.set(yticks=at, yticklabels=POPULATIONS, xlabel="rate (Hz)")
    axis.invert_yaxis()
    axis.legend(loc="lower right")
    return figure


PAPER = "Potjans and Diesmann (2014)"


def _claims() -> tuple[Claim, ...]:
    theory = [
        Claim(
            f"{name} fires at {value} Hz in mean-field theory.",
            "NNMT 1.3.0 (Layer et al. 2022)", f"rate_{name}", value, 1e-4,
            "the last digit of NNMT's table",
            {"shifted": False}, "Hz",
        )
        for name, value in zip(POPULATIONS, REFERENCE, strict=True)
    ]  # fmt: skip
    simulation = [
        Claim(
            f"{name} fires at {value:g} Hz in a simulation of all 77 169 neurons.",
            "NEST's rates of the full model", f"simulated_{name}", float(value), 0.05 * value + 0.02,
            "4 s of a population that oscillates, and another draw of the wiring: 5 % and 0.02 Hz",
            {"specific": False}, "Hz", only="full size",
        )
        for name, value in zip(POPULATIONS, SIMULATED, strict=True)
    ]  # fmt: skip
    return (
        *theory,
        Claim(
            "In each layer inhibitory neurons fire faster than excitatory ones.",
            PAPER, "gap", AtLeast(0.0), 0.0, "the order of rates; 1.1 Hz in NEST",
            {"specific": False}, "Hz",
        ),
        Claim(
            "Excitatory neurons of layers 2/3 and 6 fire least.",
            PAPER, "low", AtLeast(0.0), 0.0, "the order of rates; 1.9 Hz in NEST", {"specific": False}, "Hz",
        ),
        Claim(
            "They fire irregularly.",
            PAPER, "cv", AtLeast(0.5), 0.0, "nearer a Poisson process (1) than a clock (0)", {"g": -1.0},
        ),
        *simulation,
    )  # fmt: skip


register(
    Experiment(
        name="microcircuit",
        title="The cortical microcircuit of Potjans and Diesmann",
        paper="T. C. Potjans and M. Diesmann (2014). The cell-type specific cortical microcircuit: relating "
        "structure and activity in a full-scale spiking network model. Cereb. Cortex 24:785-806.",
        doi="10.1093/cercor/bhs358",
        summary="Seventy-seven thousand neurons in four layers: the rates of their eight populations from the "
        "wiring alone, by Siegert's formula with the boundaries shifted for filtered noise, and in a simulation: of a "
        "twentieth of the neurons and their synapses with a correction, or of all 0.3 billion synapses in 7.8 GB.",
        claims=_claims(),
        measure=measure,
        pictures={"Rates in mean-field theory (bars: excitatory blue, inhibitory orange) and in simulations.": bars},
    )
)
