"""The axon: a spike's speed in Hodgkin and Huxley's cable, what happens where two meet, and the delay that it makes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import ranvier as rv
from ranvier.atlas import COLOURS, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: the squid's axon: radius (cm), resistivity (kΩ cm), temperature's factor at 18.5 °C
RADIUS, RESISTANCE, WARMTH = 0.0238, 0.0354, 3 ** ((18.5 - 6.3) / 10)
CELL, STEP = 0.05, 0.0025  # cm, ms
LENGTH = 8.0  # cm


@lru_cache(maxsize=16)
def cable(scale: float, warmth: float, second: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Voltages (times, places) in mV above rest, of one spike from the left, and one from the right `second` ms later;
    the times in ms. scale: of the axial coupling, which is proportional to the diameter."""
    places, steps = round(LENGTH / CELL), round(14.0 / STEP)
    coupling = scale * RADIUS / (2 * RESISTANCE) / CELL**2 * STEP  # explicit steps: stable below 1/2
    V = np.zeros(places)
    m, h, n = np.full(places, 0.0529), np.full(places, 0.5961), np.full(places, 0.3177)
    trace, times = [], []
    for k in range(steps):
        t = k * STEP
        am, bm = 0.1 * _ratio(25 - V), 4 * np.exp(-V / 18)
        ah, bh = 0.07 * np.exp(-V / 20), 1 / (np.exp((30 - V) / 10) + 1)
        an, bn = 0.01 * _ratio(10 - V), 0.125 * np.exp(-V / 80)
        for x, a, b in ((m, am, bm), (h, ah, bh), (n, an, bn)):
            x += (a / (a + b) - x) * (1 - np.exp(-STEP * warmth * (a + b)))
        current = 120 * m**3 * h * (115 - V) + 36 * n**4 * (-12 - V) + 0.3 * (10.613 - V)
        if t < 0.3:
            current[:4] += 400
        if second is not None and second <= t < second + 0.3:
            current[-4:] += 400
        wide = np.concatenate([V[:1], V, V[-1:]])
        V = V + STEP * current + coupling * (wide[2:] - 2 * V + wide[:-2])
        if k % 10 == 0:
            trace.append(V)
            times.append(t)
    return np.array(trace), np.array(times)


def _ratio(x: np.ndarray) -> np.ndarray:
    """x/(exp(x/10) − 1), 10 at 0."""
    x = np.where(np.abs(x) < 1e-6, 1e-6, x)
    return x / np.expm1(x / 10)


def measure(
    seed: int, size: Size, power: float = 1.0, warmth: float = WARMTH, second: float = 0.0, distance: float = 4.0
) -> dict[str, Any]:
    """Speeds, spikes that pass where two start, the arrival in a cable and in a network.

    power: of the diameter in the coupling between neighbours. second: start of the right spike, ms.
    distance: that the network believes, cm; in the cable it is 4.
    """
    trace, times = cable(1.0, warmth, None)
    speed = velocity(trace, times)
    thin = velocity(*cable(0.5**power, warmth, None))
    meeting, clock = cable(1.0, WARMTH, second)
    arrival = float(crossing(trace[:, round(6 / CELL)], times)[0] - crossing(trace[:, round(2 / CELL)], times)[0])
    return {
        "speed": speed,
        "thin_ratio": thin / speed,
        "passed": float(len(crossing(meeting[:, round(0.2 * LENGTH / CELL)], clock))),
        "delay_error": network(distance / speed) - arrival,
        "trace": meeting,
        "times": clock,
    }


def crossing(V: np.ndarray, times: np.ndarray) -> np.ndarray:
    """When V rises through 50 mV."""
    k = np.flatnonzero((V[:-1] < 50) & (V[1:] >= 50))
    return times[k] + (50 - V[k]) / (V[k + 1] - V[k]) * (times[1] - times[0])


def velocity(trace: np.ndarray, times: np.ndarray) -> float:
    """m/s between a quarter and three quarters of the cable; 0 where nothing arrives."""
    first, last = (crossing(trace[:, round(q * LENGTH / CELL)], times) for q in (0.25, 0.75))
    return float(0.5 * LENGTH / (last[0] - first[0]) * 10) / 10 if len(first) and len(last) else 0.0


def network(delay: float) -> float:
    """The time from a spike to the one that it causes over a projection of that delay (ms)."""
    net = rv.Network()
    source = net.add(rv.SpikeTimes(torch.tensor([1.0]), torch.tensor([0])), 1)
    target = net.add(rv.LIF(tau_m=20.0, E_L=0.0, V_th=1.0, V_reset=0.0), 1)
    net.connect(source, target, weight=5.0, delay=delay, edges=([0], [0]))
    recording = rv.simulate(net, 20.0, dt=0.01, seed=0)
    times = recording.times[recording.neurons == 1]
    return float(times[0]) - 1.0 if len(times) else float("inf")


def meeting(material: dict[str, Any]) -> Figure:
    """Two spikes that start at the ends."""
    figure, axis = canvas(4.5, 3)
    image = axis.imshow(
        material["trace"].T, aspect="auto", origin="lower", cmap="viridis", vmin=-10, vmax=100,
        extent=(0, material["times"][-1], 0, LENGTH),
    )  # fmt: skip
    axis.set(xlabel="time (ms)", ylabel="place (cm)", xlim=(0, 6))
    figure.colorbar(image, label="mV").outline.set_edgecolor(COLOURS[5])
    return figure


PAPER = "Hodgkin & Huxley (1952), J. Physiol. 117:500"

register(
    Experiment(
        name="axon",
        title="Spikes that travel along an axon",
        paper="A. L. Hodgkin and A. F. Huxley (1952). A quantitative description of membrane current and its "
        "application to conduction and excitation in nerve. J. Physiol. 117:500-544.",
        doi="10.1113/jphysiol.1952.sp004764",
        summary="The squid's axon as a cable. A spike runs at 18.8 m/s, at the square root of the diameter; two that "
        "meet annihilate, as behind each the axon is refractory. In a network all this is one number, a delay.",
        claims=(
            Claim(
                "At 18.5 degrees a spike runs at 18.8 m/s.",
                f"{PAPER}, p. 530", "speed", 1.88, 0.04, "cells of .5 mm: 1 % more on cells of half the width",
                {"warmth": 1.0}, "cm/ms",
            ),
            Claim(
                "Speed grows with the square root of the diameter: of half of it, it is .707.",
                "cable theory: axial conductance over membrane area", "thin_ratio", 0.5**0.5, 0.02,
                "cells that are not scaled along", {"power": 2.0},
            ),
            Claim(
                "Two spikes that meet annihilate: each place sees one.",
                PAPER, "passed", 1.0, 0.0, "counted", {"second": 8.0},
            ),
            Claim(
                "A network's delay is length over speed.",
                "contracts: delays are axonal", "delay_error", 0.0, 0.03, "steps of .01 ms, and samples of .025 ms",
                {"distance": 3.0}, "ms",
            ),
        ),
        measure=measure,
        pictures={"Two spikes meet.": meeting},
    )
)  # fmt: skip
