"""The two brains that ship with the package, and anybody's edge list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np

from ranvier._text import plural
from ranvier.brains._graded import graded
from ranvier.brains._job import Job
from ranvier.brains._signs import spelt_as
from ranvier.brains._spiking import spiking

if TYPE_CHECKING:
    from ranvier.networks import EdgeList

#: from the senses to the muscles
LARVA_ORDER = (
    "sensories", "ascendings", "PNs", "PNs-somato", "LNs", "APL", "KCs", "MBINs", "MBONs", "MB-FBNs", "LHNs",
    "CNs", "FFNs", "unk", "pre-dSEZs", "pre-dVNCs", "dSEZs", "dVNCs", "RGNs",
)  # fmt: skip
LARVA_GLOSSARY = (
    "Classes, from the senses to the muscles: sensory neurons; ascending neurons; projection neurons (PNs), "
    "olfactory and somatosensory; local neurons (LNs); APL; Kenyon cells (KCs), input (MBINs), output "
    "(MBONs) "
    "and feedback neurons (MB-FBNs) of the mushroom body; lateral-horn (LHNs), convergence (CNs) and "
    "feed-forward neurons (FFNs); unknown (unk); descending neurons to the suboesophageal zone (dSEZs) "
    "and the "
    "nerve cord (dVNCs) and those before them (pre-); ring-gland neurons (RGNs)."
)
WORM_ORDER = ("sensory", "interneuron", "motor", "pharynx")


class Levels(TypedDict, total=False):
    """Strength `gain`, `drive` and `noise` (mV), `delay` (ms); see `spiking` and `graded` for the defaults."""

    gain: float | None
    drive: float | None
    noise: float | None
    delay: float | None


def larva(signs: Mapping[str, int] | None = None, *, neuron: str = "EIF", **levels: Unpack[Levels]) -> Job:
    """The brain of the fruit-fly larva; local neurons and APL inhibit unless `signs` says otherwise.

    >>> rv.brains.larva().network.size
    2952
    """
    from ranvier import data

    signs = {"LNs": -1, "APL": -1, **(signs or {})}
    job = from_edges(data.larva(), title="The brain of a fruit-fly larva", neuron=neuron, signs=signs, **levels)
    return replace(job, classes=LARVA_ORDER, glossary=LARVA_GLOSSARY)


def celegans(neuron: str = "Graded", signs: Mapping[str, int] | None = None, **levels: Unpack[Levels]) -> Job:
    """The nematode's nervous system; its GABAergic cells inhibit unless `signs` says otherwise.

    Graded neurons have its gap junctions too; spiking ones only its chemical synapses.

    >>> job = rv.brains.celegans()
    >>> job.network.size
    302
    """
    from ranvier import data

    worm = data.celegans()
    transmitters = zip(worm.chemical.names, worm.chemical.attributes["transmitter"])
    gaba = {name: -1 for name, transmitter in transmitters if transmitter == "GABA"}
    job = from_edges(
        worm.chemical,
        title="The nervous system of Caenorhabditis elegans",
        neuron=neuron,
        signs={**gaba, **(signs or {})},
        inhibitory="" if signs else f"the {len(gaba)} GABAergic cells",
        electrical=worm.electrical if neuron == "Graded" else None,
        **levels,
    )
    return replace(job, classes=WORM_ORDER)


def from_edges(
    edges: EdgeList, *, title: str, neuron: str = "EIF", signs: Mapping[str, int] | None = None, inhibitory: str = "",
    electrical: EdgeList | None = None, **levels: Unpack[Levels],
) -> Job:  # fmt: skip
    """Neurons of one model on the nodes of an edge list; parameters as of `spiking` or `graded`.

    electrical: gap junctions of graded neurons; those of the edges where none are given. ValueError for fewer than two
    nodes.

    Examples
    --------
    >>> import ranvier as rv
    >>> edges = rv.EdgeList.build(["a", "b"], [0], [1], [3.0])
    >>> rv.brains.from_edges(edges, title="two neurons").network.size
    2
    """
    if edges.size < 2:
        raise ValueError(f"the wiring has {edges.size} neurons; expected at least two")
    edges = _as_signs_say(edges, signs or {})
    if neuron == "Graded":
        junctions = edges.electrical if electrical is None else electrical
        return graded(edges, title=title, electrical=junctions, signs=signs, inhibitory=inhibitory, **levels)
    if edges.electrical is not None:
        count = plural(len(edges.electrical) // 2, "gap junction")
        left_out = f"Left out: {count} of the file, as {neuron} neurons have none here; Graded ones do."
        edges = replace(edges, notes=(*edges.notes, left_out))
    return spiking(edges, title=title, neuron=neuron, signs=signs, inhibitory=inhibitory, **levels)


def _as_signs_say(edges: EdgeList, signs: Mapping[str, int]) -> EdgeList:
    """Edges whose sources `signs` names without the signs that a column gave them, or they would be turned twice."""
    none = ("",) * edges.size
    transmitters = spelt_as(edges.attributes.get("transmitter", none), signs)
    labels = zip(edges.names, edges.classes or none, transmitters, strict=True)
    chosen = np.array([any(label in signs for label in row) for row in labels], bool)
    if not chosen.any() or not any(note.startswith("Signs by") for note in edges.notes):
        return edges
    return replace(edges, weights=np.where(chosen[edges.sources], np.abs(edges.weights), edges.weights))
