"""Spiking neurons on the nodes of an edge list."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.brains._job import RADIUS, Job, input_fractions, signs_in_words
from ranvier.brains._signs import signs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ranvier.networks import EdgeList

TAU_S = 5.0  # ms, of the synaptic current
GAIN = 200.0  # mV ms


@dataclass(frozen=True)
class FiringRegime:
    """A neuron that noise drives: its model's parameters, drive and noise (mV), and its rate alone (Hz)."""

    parameters: Mapping[str, float]
    drive: float
    noise: float
    rate: float


#: The EIF neuron is the theory's reference neuron; rates are of 300 uncoupled neurons in 10 s.
REGIMES: dict[str, FiringRegime] = {
    "EIF": FiringRegime(
        {
            "tau_m": 10.0,
            "t_ref": 2.0,
            "E_L": -72.0,
            "Delta_T": 1.4,
            "V_T": -48.0,
            "V_th": 30.0,
            "V_reset": -72.0,
        },
        drive=10.0,
        noise=9.0,
        rate=7.5,
    ),
    "LIF": FiringRegime(
        {"tau_m": 10.0, "E_L": -70.0, "V_th": -50.0, "V_reset": -70.0}, drive=8.0, noise=6.0, rate=7.5
    ),
    "QIF": FiringRegime({"tau_m": 10.0}, drive=2.0, noise=5.0, rate=6.5),
    "AdEx": FiringRegime({}, drive=18.0, noise=5.0, rate=8.1),
    "Izhikevich": FiringRegime({}, drive=2.0, noise=3.0, rate=8.1),
}
UNITS = {"t": "ms", "E": "mV", "V": "mV", "D": "mV"}  # by a parameter's first letter


def spiking(
    edges: EdgeList,
    *,
    title: str,
    neuron: str = "EIF",
    gain: float | None = None,
    signs: Mapping[str, int] | None = None,
    drive: float | None = None,
    noise: float | None = None,
    delay: float | None = None,
    inhibitory: str = "",
) -> Job:
    """Neurons driven by noise; a weight is its share of the target's input times `gain` (mV·ms).

    `signs` by class or name; `drive` and `noise` in mV, by default such that the average neuron sits where it
    fires alone at its regime's rate; `delay` in ms. Raises ValueError for an unknown neuron or sign.
    """
    import ranvier as rv

    if neuron not in REGIMES:
        raise ValueError(f"--neuron is {neuron!r}; expected one of {', '.join([*REGIMES, 'Graded'])}")
    regime = REGIMES[neuron]
    gain = GAIN if gain is None else gain
    if not math.isfinite(gain):
        raise ValueError(f"--gain is {gain}; expected a finite number, in mV ms")
    delay = 1.0 if delay is None else delay
    noise = regime.noise if noise is None else noise
    model = getattr(rv, neuron)(**regime.parameters)
    source_signs = signs_of(edges.names, edges.classes, signs or {}, edges.attributes.get("transmitter"))
    weights = gain * input_fractions(edges) * source_signs[edges.sources]
    why = ""
    if drive is None:
        drive = regime.drive - float(weights.sum()) / edges.size * regime.rate / 1000.0
        why = (
            f", with which the average neuron, when the others fire at {regime.rate:g} Hz, sits where an "
            f"isolated "
            f"one fires at {regime.rate:g} Hz"
        )
    network = edges.to_network(
        model, synapse=rv.Exponential(tau=TAU_S), weight=weights, delay=delay, drive=drive, noise=noise
    )
    parameters = ", ".join(f"{key} = {value:g} {UNITS[key[0]]}" for key, value in regime.parameters.items())
    delays = f"a delay of {delay:g} ms, all alike" if edges.delays is None else "the delays of the file"
    return Job(
        network=network,
        title=title,
        what=f"{neuron} neurons",
        assumptions=(
            signs_in_words(signs or {}, edges, inhibitory),
            f"Strength: a connection's weight is its share of the target's input times {gain:g} mV·ms "
            f"(--gain). "
            f"A neuron whose only input is one other thus gets all of it from there.",
            f"Neurons: all alike, {neuron} with {parameters or 'its default parameters'}.".replace("-", "−"),
            f"Input: a constant drive of {drive:.2f} mV{why}; independent white noise with a standard "
            f"deviation "
            f"of {noise:g} mV of the free membrane.",
            f"Synapses: currents that decay within {TAU_S:g} ms, after {delays}.",
        ),
        notes=edges.notes,
        citations=tuple(filter(None, [edges.citation])),
        facts=lambda rates: coupling(model, drive, noise, edges, weights, rates),
    )


def coupling(
    neuron: Any,
    drive: float,
    noise: float,
    edges: EdgeList,
    weights: NDArray[Any],
    rates: NDArray[Any],
) -> dict[str, str]:
    """How strong the coupling is at the measured rates (Hz), name -> text.

    The linearised coupling is K_ij = A_i(0) W_ij with A the susceptibility (Hz/mV) at the neuron's mean
    input. Empty for neurons of more than one variable, for which there is no such theory here.
    """
    if len(neuron.equations.names) != 1 or noise <= 0:
        return {}
    from ranvier.theory import spectral_radius

    share = rates[edges.sources] / 1000.0
    mean = drive + np.bincount(edges.targets, weights=weights * share, minlength=edges.size)
    slope = susceptibility(neuron, mean, noise)
    linear = slope[edges.targets] / 1000.0 * weights
    power = np.bincount(edges.targets, weights=weights**2 * share, minlength=edges.size)
    recurrent = power / (2.0 * (neuron.tau_m + TAU_S)) / noise**2
    return {
        RADIUS: f"{spectral_radius(edges.sources, edges.targets, linear, edges.size):.2f}",
        "susceptibility, mean (Hz/mV)": f"{slope.mean():.2f}",
        "variance from recurrent input over that of the noise, mean": f"{recurrent.mean():.3f}",
    }


def susceptibility(neuron: Any, mean: NDArray[Any], noise: float) -> NDArray[Any]:
    """Change of the stationary rate with a constant input, Hz/mV, at mean inputs (N,) in mV.

    By threshold integration (Richardson 2007) on a grid of inputs, interpolated.
    """
    import torch

    from ranvier.theory import membrane, response

    grid = np.linspace(mean.min() - 1e-6, mean.max() + 1e-6, 65)
    inputs = torch.from_numpy(grid)
    right = neuron.equations.torch()
    zero = torch.tensor(0.0, dtype=torch.float64)
    own = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in neuron.parameters.items()}

    def force(V: Any) -> Any:
        return neuron.tau_m * right(**{**own, "V": V, "I": inputs, "drive": zero, "noise": zero})["V"]

    cells = membrane(
        force, tau=neuron.tau_m, sigma=noise, V_th=neuron.V_th, V_reset=neuron.V_reset, t_ref=neuron.t_ref
    )
    return np.interp(mean, grid, response(cells, 0.0).current[0].real.numpy())
