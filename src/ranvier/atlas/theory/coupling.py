"""Excitatory and inhibitory postsynaptic potentials, and the correlations that they induce."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import ranvier as rv
from ranvier.atlas import COLOURS, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

CELL = rv.EIF(tau_m=10.0, E_L=-72.0, Delta_T=1.4, V_T=-48.0, V_th=30.0, V_reset=-72.0, t_ref=2.0)
DRIVE, NOISE = 10.0, 9.0  # mV
WEIGHT, TAU_S, DELAY = 80.0, 5.0, 1.0  # mV ms, ms, ms
SYNAPSE = rv.Exponential(tau=TAU_S)
LAGS = np.arange(-40.0, 81.0, 4.0)  # ms


def measure(
    seed: int, size: Size, orders: int = 2, sign: float = 1.0, lead: float = 1.0, tau_s: float = TAU_S
) -> dict[str, Any]:
    """Potentials of a passive membrane, and correlations of triples: a cell, one that it excites, one that
    it inhibits.

    orders: of the prediction in the weight. sign: of the inhibitory weight there. lead: of the lag there. tau_s:
    of the synapse in the closed form of the potentials.
    """
    triples, duration = {"small": (150, 60_000.0), "full": (500, 400_000.0)}[size]
    metrics: dict[str, Any] = potentials(tau_s)
    recording, error = _correlations(triples, duration, seed)  # (lags, 3 pairs): excited, inhibited, of both
    prediction = predicted(sign, lead)
    bin = LAGS[1] - LAGS[0]
    after = LAGS > 0
    second = second_order_area(orders)
    for k, name in enumerate(("excited", "inhibited")):
        area = float(recording[after, k].sum() * bin / 1000)
        linear = float(prediction[after, k].sum() * bin / 1000)
        metrics |= {
            f"linear_{name}": linear,
            f"area_{name}": area,
            f"miss_{name}": area - linear - second,
            f"area_{name}_error": float(3 * np.sqrt((error[after, k] ** 2).sum()) * bin / 1000),
        }
        ratio = abs(second / linear)
        metrics[f"miss_{name}_error"] = metrics[f"area_{name}_error"] + second * ratio / (1 - ratio)
    metrics["asymmetry"] = metrics["area_excited"] + metrics["area_inhibited"] - 2 * second
    metrics["asymmetry_error"] = float(np.hypot(metrics["area_excited_error"], metrics["area_inhibited_error"]))
    before = LAGS < 0
    metrics["before"] = float((np.abs(recording[before, :2]) / error[before, :2]).mean())
    metrics["siblings"] = float(recording[:, 2].sum() * bin / 1000)
    return metrics | {"recording": recording, "error": error, "prediction": prediction}


def potentials(tau_s: float) -> dict[str, float]:
    """Peak of the membrane's answer to one spike, simulated, over that of the closed form."""
    net = rv.Network()
    source = net.add(rv.SpikeTimes(torch.tensor([5.0]), torch.tensor([0])), 1, "source")
    cell = rv.LIF(tau_m=10.0, E_L=-72.0, V_th=0.0, V_reset=-72.0, t_ref=2.0)
    two = net.add(cell, 2, "cells", initial={"V": -72.0})
    for target, weight in ((0, WEIGHT), (1, -WEIGHT)):
        net.connect(source, two, weight=weight, delay=DELAY, synapse=SYNAPSE, edges=([0], [target]))
    trace = rv.simulate(net, 60.0, dt=0.05, dtype=torch.float64, record=["V"]).states["V"]
    t = trace.times.numpy() - 5.0 - DELAY
    shape = np.where(t > 0, WEIGHT / (10.0 - tau_s) * (np.exp(-t / 10.0) - np.exp(-t / tau_s)), 0.0)
    up, down = (trace.values[:, k].numpy() + 72.0 for k in (0, 1))
    return {
        "epsp": float(up.max()),
        "psp_error": float(max(np.abs(up - shape).max(), np.abs(down + shape).max())),
    }


@cache
def _correlations(triples: int, duration: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cross-correlations in Hz^2 (lags, pairs), the mean over triples, and their standard errors."""
    net = rv.Network()
    inputs: dict[str, Any] = {"drive": DRIVE, "noise": NOISE}
    first, up, down = (net.add(CELL, triples, name, **inputs) for name in ("first", "excited", "inhibited"))
    one = (np.arange(triples), np.arange(triples))
    for target, weight in ((up, WEIGHT), (down, -WEIGHT)):
        net.connect(first, target, weight=weight, delay=DELAY, synapse=SYNAPSE, edges=one)
    recording = rv.simulate(net, duration + 200.0, dt=0.05, seed=seed).after(200.0)
    k = np.arange(triples)
    pairs = np.concatenate(
        [np.stack(ends, 1) for ends in ((k + triples, k), (k + 2 * triples, k), (k + triples, k + 2 * triples))]
    )
    C = recording.cross_correlation(LAGS, pairs=pairs).numpy().reshape(len(LAGS), 3, triples)
    return C.mean(2), C.std(2, ddof=1) / triples**0.5


def predicted(sign: float, lead: float) -> np.ndarray:
    """Linear response for one triple, Hz^2 (lags, 3)."""
    net = rv.Network()
    three = net.add(CELL, 3, drive=DRIVE, noise=NOISE)
    weight = [WEIGHT, -sign * WEIGHT]
    net.connect(three, three, weight=weight, delay=DELAY, synapse=SYNAPSE, edges=([0, 0], [1, 2]))
    prediction = rv.theory.predict(net, recurrent_noise="none")
    pairs = torch.tensor([[1, 0], [2, 0], [1, 2]])
    return prediction.cross_correlation(lead * LAGS, pairs=pairs, bin=float(LAGS[1] - LAGS[0])).detach().numpy()


def second_order_area(orders: int) -> float:
    """What the square of the weight adds to the area of a cell's cross-correlation with its source, Hz."""
    if orders < 2:
        return 0.0
    p = CELL
    neuron = rv.theory.membrane(
        lambda V: p.E_L - V + p.Delta_T * torch.exp((V - p.V_T) / p.Delta_T) + DRIVE,
        tau=p.tau_m, sigma=NOISE, t_ref=p.t_ref, V_th=p.V_th, V_reset=p.V_reset, V_lb=-150.0,
    )  # fmt: skip
    event = float(rv.theory.filtered_noise(neuron, TAU_S, 0.0).event.real)
    spectrum = float(rv.theory.response(neuron, 0.0).spectrum)
    return event * WEIGHT**2 / (2 * TAU_S) / 1000 * spectrum


def correlations(material: dict[str, Any]) -> Figure:
    """Simulated and predicted cross-correlations."""
    figure, axes = canvas(8, 2.6, 1, 3)
    titles = ("excited and its source", "inhibited and its source", "the two with each other")
    for k, (axis, title) in enumerate(zip(axes[0], titles, strict=True)):
        axis.errorbar(
            LAGS, material["recording"][:, k], 2 * material["error"][:, k], fmt=".", ms=3, lw=0.6, color=COLOURS[k]
        )
        axis.plot(LAGS, material["prediction"][:, k], color=COLOURS[4], lw=1.0)
        axis.set(title=title, xlabel="lag (ms)")
    axes[0, 0].set_ylabel("covariance density (Hz²)")
    return figure


THEORY = "Trousdale et al. (2012), linear response"
SECOND = "second order in the weight: chi2 under the postsynaptic potential"
SAMPLING = "three standard errors over independent triples"
REST = ", and the orders beyond the second, as a geometric series of the first two"

register(
    Experiment(
        name="coupling",
        title="Postsynaptic potentials and the correlations they induce",
        paper="J. Trousdale, Y. Hu, E. Shea-Brown and K. Josić (2012). Impact of network structure and cellular "
        "response on spike time correlations. PLoS Comput. Biol. 8:e1002408.",
        doi="10.1371/journal.pcbi.1002408",
        summary="One cell excites a second and inhibits a third: their potentials, and the correlations of "
        "their spikes, simulated many times over and predicted from the wiring, to first and second order.",
        claims=(
            Claim(
                "Potentials are differences of two exponentials, alike but for their sign.",
                "the membrane's equation",
                "psp_error",
                0.0,
                1e-9,
                "rounding: the engine integrates linear equations exactly",
                {"tau_s": 4.0},
                "mV",
            ),
            Claim(
                "Excitation induces a positive correlation, its area beyond the linear one by the second order.",
                SECOND,
                "miss_excited",
                0.0,
                "miss_excited_error",
                SAMPLING + REST,
                {"lead": -1.0},
                "Hz",
            ),
            Claim(
                "Inhibition induces a negative one.",
                THEORY + "; " + SECOND,
                "miss_inhibited",
                0.0,
                "miss_inhibited_error",
                SAMPLING + REST,
                {"sign": -1.0},
                "Hz",
            ),
            Claim(
                "Excitation acts more, inhibition less strongly than linear response says: the areas do not cancel.",
                SECOND,
                "asymmetry",
                0.0,
                "asymmetry_error",
                SAMPLING,
                {"orders": 1},
                "Hz",
            ),
        ),
        measure=measure,
        pictures={
            "Simulated (points, two standard errors) and by linear response (lines).": correlations,
        },
    )
)
