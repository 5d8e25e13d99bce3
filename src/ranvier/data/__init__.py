"""Two brains that ship with the package: the fruit-fly larva's and the nematode's, under their MIT licences.

They were rewritten in the package's own layout (JSON and safetensors) by `ranvier.data._build`; each
carries its citation and licence.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ranvier.networks import EdgeList

__all__ = ["Nematode", "celegans", "larva"]

_HERE = Path(__file__).parent


class Nematode(NamedTuple):
    """The nematode's two kinds of connections over the same 302 neurons.

    Examples
    --------
    >>> import ranvier as rv
    >>> worm = rv.data.celegans()
    >>> worm._fields
    ('chemical', 'electrical')
    """

    chemical: EdgeList
    electrical: EdgeList


def larva() -> EdgeList:
    """The brain of the larva of Drosophila melanogaster: 2952 neurons, 110 677 edges, 352 611 synapses.

    Weights are synapse counts. `classes` is one of 18 groups (KCs, LNs, MBONs, ...) or APL, the pair that
    the groups count among the LNs; `attributes` has `id` (of the skeleton), `type` (finer classes) and
    `hemisphere` (L, R, C). Names that occur twice carry their id.

    Winding et al. 2023, doi:10.1126/science.add9330; Pedigo et al. 2023, doi:10.7554/eLife.83739. MIT.

    >>> brain = rv.data.larva()
    >>> brain.size, len(brain), int(brain.weights.sum())
    (2952, 110677, 352611)
    """
    structure, tensors = _read("larva")
    return _edges(structure, tensors, "")


def celegans() -> Nematode:
    """The nervous system of the hermaphrodite Caenorhabditis elegans: 302 neurons.

    `chemical` has 3638 directed connections; `electrical` 1080 gap junctions, each in both directions (where
    the two entries differ, their mean) and without those of a cell with itself. Weights are numbers of
    electron-microscopic sections. `classes` are sensory, interneuron, motor, pharynx;
    `attributes["transmitter"]` is "GABA" for the 26 GABAergic cells.

    Cook et al. 2019, doi:10.1038/s41586-019-1352-7; GABA: McIntire et al. 1993, doi:10.1038/364337a0. MIT.

    >>> worm = rv.data.celegans()
    >>> worm.chemical.size, len(worm.chemical), list(worm.chemical.attributes["transmitter"]).count("GABA")
    (302, 3638, 26)
    """
    structure, tensors = _read("celegans")
    return Nematode(_edges(structure, tensors, "chemical."), _edges(structure, tensors, "electrical."))


def _read(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    from ranvier.files.atomic import read_tensors

    structure = json.loads((_HERE / f"{name}.json").read_text(encoding="utf-8"))
    return structure, read_tensors(_HERE / f"{name}.safetensors")


def _edges(structure: dict[str, Any], tensors: dict[str, Any], prefix: str) -> EdgeList:
    import numpy as np

    from ranvier.networks import EdgeList

    indptr = tensors[f"{prefix}indptr"]
    make = partial(EdgeList.build, citation=structure["citation"], licence=structure["licence"])
    return make(
        structure["names"],
        tensors[f"{prefix}sources"],
        np.repeat(np.arange(len(structure["names"])), np.diff(indptr)),
        tensors[f"{prefix}weights"],
        classes=_labels(structure["classes"]),
        attributes={key: _labels(value) for key, value in structure["attributes"].items()},
    )


def _labels(value: Any) -> list[str]:
    return [value["kinds"][code] for code in value["codes"]] if isinstance(value, dict) else value
