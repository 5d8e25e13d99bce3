"""Graded neurons on the nodes of an edge list, with gap junctions of another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ranvier.brains._job import RADIUS, Job, input_fractions, signs_in_words
from ranvier.brains._signs import signs_of

if TYPE_CHECKING:
    from ranvier.networks import EdgeList

TAU_M, TAU_S = 100.0, 10.0  # ms
REST, SLOPE = -35.0, 8.0  # mV: rest, at which synapses are half open, and the width of their sigmoid
E_EXCITATORY, E_INHIBITORY = 0.0, -48.0  # mV
NOISE = 5.0  # mV
INTERVAL = 5.0  # ms between recorded voltages


def graded(
    edges: EdgeList,
    *,
    title: str,
    electrical: EdgeList | None = None,
    gain: float | None = None,
    signs: Mapping[str, int] | None = None,
    drive: float | None = None,
    noise: float | None = None,
    delay: float | None = None,
    inhibitory: str = "",
) -> Job:
    """Leaky integrators with sigmoidal synapses on `edges` and gap junctions on `electrical`.

    Neurons, synapses and the working point, where synapses are half open, are after Wicks et al. (1996) and
    Kunert et al. (2014). `gain` is a neuron's chemical conductance, all synapses open, over its leak; gap
    junctions add up to the same in the mean neuron. `signs` by class or name; `drive`, `noise` in mV.
    Raises ValueError for an unknown sign or a delay.
    """
    import ranvier as rv

    if delay is not None or edges.delays is not None:
        raise ValueError("there is a delay; expected none, as graded synapses are continuous: leave it out")
    gain = 1.0 if gain is None else gain
    if not 0 <= gain < math.inf:
        raise ValueError(f"--gain is {gain}; expected a finite number, 0 or more, a conductance over the leak")
    noise = NOISE if noise is None else noise
    cell = rv.Graded(tau_m=TAU_M, E_L=REST, g_L=1.0)
    each = signs_of(edges.names, edges.classes, signs or {}, edges.attributes.get("transmitter"))
    fractions = input_fractions(edges) * each[edges.sources]
    weights = gain * np.abs(fractions)
    push = np.where(fractions >= 0, E_EXCITATORY, E_INHIBITORY) - REST
    hold = -np.bincount(edges.targets, weights=weights * push / 2.0, minlength=edges.size)
    network = rv.Network()
    cells = network.add(
        cell,
        edges.size,
        "neurons",
        names=edges.names,
        classes=edges.classes,
        drive=hold if drive is None else drive,
        noise=noise,
    )
    for mine, E_rev in ((fractions > 0, E_EXCITATORY), (fractions < 0, E_INHIBITORY)):
        if mine.any():
            synapse = rv.Sigmoidal(V_half=REST, slope=SLOPE, tau=TAU_S, E_rev=E_rev)
            ends = edges.sources[mine], edges.targets[mine]
            network.connect(cells, cells, weight=weights[mine], synapse=synapse, edges=ends)
    load = 1.0 + np.bincount(edges.targets, weights=weights / 2.0, minlength=edges.size)
    sources, targets, values = edges.sources, edges.targets, weights * push / (4.0 * SLOPE)
    strength = ""
    if electrical is not None and len(electrical):
        junctions = gain * electrical.weights * electrical.size / electrical.weights.sum()
        ends = electrical.sources, electrical.targets
        network.connect(cells, cells, weight=junctions, synapse=rv.Electrical(), edges=ends)
        load += np.bincount(electrical.targets, weights=junctions, minlength=edges.size)
        sources, targets = np.append(sources, ends[0]), np.append(targets, ends[1])
        values = np.append(values, junctions)
        strength = (
            f" Gap junctions conduct in proportion to their size; a neuron's together {gain:g} times its "
            f"leak, in the mean."
        )
    radius = rv.theory.spectral_radius(sources, targets, values / load[targets], edges.size)
    point = (
        "that holds every neuron at its rest while the others are at theirs"
        if drive is None
        else f"of {drive:g} mV"
    )
    return Job(
        network=network,
        title=title,
        what="graded neurons",
        assumptions=(
            signs_in_words(signs or {}, edges, inhibitory),
            f"Neurons: leaky integrators without spikes, all alike: time constant {TAU_M:g} ms, rest "
            f"−{-REST:g} mV.",
            f"Chemical synapses: the conductance follows the source's voltage within {TAU_S:g} ms along "
            f"a sigmoid "
            f"{SLOPE:g} mV wide, half open at −{-REST:g} mV; they pull towards {E_EXCITATORY:g} mV, or "
            f"−{-E_INHIBITORY:g} mV where they inhibit.",
            f"Strength: with all its chemical synapses open, a neuron has {gain:g} times the conductance "
            f"of its leak "
            f"(--gain), shared as its inputs are.{strength}",
            f"Input: a constant drive {point}; independent white noise with a standard deviation of "
            f"{noise:g} mV of "
            f"the free membrane.",
        ),
        notes=edges.notes,
        citations=tuple(filter(None, [edges.citation])),
        facts=lambda _: {RADIUS: f"{radius:.2f}"},
        record=(rv.Probe("V", interval=INTERVAL),),
    )
