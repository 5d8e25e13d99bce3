"""Two stable states of one recurrent population: which there are, and into which a network falls."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

import ranvier as rv
from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

SIZE, IN_DEGREE, WEIGHT, DRIVE, NOISE, TAU_S = 400, 80, 5.0, 6.0, 3.0, 5.0  # -, -, mV ms, mV, mV, ms
DT, WARM_UP = 0.1, 300.0  # ms
DURATION = {"small": 2000.0, "full": 30_000.0}


def network(weight: float = WEIGHT, drive: float = DRIVE, start: float = -65.0) -> rv.Network:
    """Excitatory LIF neurons whose potentials all begin at `start` mV."""
    net = rv.Network(seed=1)
    cells = net.add(rv.LIF(), SIZE, name="exc", drive=drive, noise=NOISE, initial={"V": start})
    net.connect(cells, cells, weight=weight, in_degree=IN_DEGREE, delay=1.0, synapse=rv.Exponential(tau=TAU_S))
    return net


def measure(
    seed: int, size: Size, weight: float = WEIGHT, assumed: float = DRIVE, simulated: bool = True
) -> dict[str, Any]:
    """Stationary states from theory (Hz), and the rates of simulations that begin at rest and just below threshold.

    weight: of the recurrent synapses, mV ms. assumed: drive of the theory's network, mV. simulated:
    whether there are simulations; the count of states needs none.
    """
    states = rv.theory.stationary_states(network(weight, assumed), dt=DT)
    stable = [float(s.rates()) for s in states if s.stable]
    if not simulated:
        return {"stable": len(stable), "unstable": sum(not s.stable for s in states)}
    at_rest, near = (_rate(weight, V, DURATION[size], seed) for V in (-65.0, -50.5))
    return {
        "stable": len(stable),
        "unstable": sum(not s.stable for s in states),
        "low": abs(at_rest / stable[0] - 1),
        "high": abs(near / stable[-1] - 1),
        "apart": near / max(at_rest, 1e-3),
        "states": np.array([[float(s.rates()), s.stable] for s in states]),
        "simulated": np.array([at_rest, near]),
    }


@cache  # what theory assumes changes no simulation
def _rate(weight: float, start: float, duration: float, seed: int) -> float:
    """Mean rate (Hz) of a simulation that begins at `start` mV."""
    recording = rv.simulate(network(weight, start=start), WARM_UP + duration, dt=DT, seed=seed)
    return float(recording.after(WARM_UP).rates().mean())


def levels(material: dict[str, Any]) -> Figure:
    """The states' rates, and the simulated ones."""
    figure, axis = canvas(4.6, 2.4)
    rates, stable = material["states"].T
    axis.plot(rates[stable == 1], np.zeros(int(stable.sum())), "o", ms=8, color=COLOURS[0])
    axis.plot(rates[stable == 0], np.zeros(int((1 - stable).sum())), "o", ms=8, mfc="none", color=COLOURS[0])
    axis.plot(material["simulated"], np.zeros(2), "|", ms=16, mew=1.5, color=COLOURS[1])
    axis.set(xlabel="rate (Hz)", xscale="log", yticks=[])
    return figure


PAPER = "Brunel (2000), section 3; Amit & Brunel (1997)"
WEAK = {"weight": 1.0, "simulated": False}

register(
    Experiment(
        name="bistability",
        title="Two stable rates of one recurrent population",
        paper="D. J. Amit and N. Brunel (1997). Model of global spontaneous activity and local structured activity "
        "during delay periods in the cerebral cortex. Cereb. Cortex 7:237-252.",
        doi="10.1093/cercor/7.3.237",
        summary="An excitatory population has a state near rest and one of persistent activity, with an unstable "
        "one between them. Theory finds the three without simulation; "
        "simulations fall into the one or the other by where they begin.",
        claims=(
            Claim(
                "There are two stable states.", PAPER, "stable", 2, 0.0, "a count", WEAK,
            ),
            Claim(
                "One unstable state lies between them.", PAPER, "unstable", 1, 0.0, "a count", WEAK,
            ),
            Claim(
                "A network that begins at rest fires at the lower rate.", "theory", "low", AtMost(0.15), 0.0,
                "three standard errors of 2 s of 400 neurons at 0.6 Hz", {"assumed": 5.0},
            ),
            Claim(
                "A network that begins near threshold fires at the upper rate.", "theory", "high", AtMost(0.03), 0.0,
                "what theory expects of its rates in coloured noise, 2 %, and sampling", {"assumed": 14.0},
            ),
        ),
        measure=measure,
        pictures={"Stationary states (full: stable), and simulations from rest and near threshold (bars).": levels},
    )
)  # fmt: skip
