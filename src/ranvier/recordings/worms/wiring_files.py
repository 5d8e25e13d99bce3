"""Published wirings of the nematode, of whatever laboratory, over the canonical neurons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import nearest
from ranvier._text import plural
from ranvier.files.reading import read_bytes
from ranvier.networks import EdgeList, read_edges
from ranvier.networks.hdf5.reading import require_sound
from ranvier.recordings.worms.connectomes import Connectome
from ranvier.recordings.worms.names import canonical_label, canonical_names

Array = NDArray[np.float64]
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_wiring(path: str | Path, *, sheets: Sequence[str] | None = None, strain: str = "wt") -> Connectome:
    """A published wiring: synapses of one animal, or signals as they spread.

    Tables with one connection a row and a column of types (White et al. 1986, Witvliet et al. 2021, the edge lists of
    Cook et al. 2019: all that `ranvier.networks.read_edges` takes), workbooks of two matrices, and the atlas of signal
    propagation of Randi et al. (2023) as its authors' package wormneuroatlas holds it (`funatlas.h5`).

    Parameters
    ----------
    path
        the file
    sheets
        of a workbook of matrices, rows as sources: that of chemical synapses and that of gap junctions. Those of Cook
        et al. (SI 5) are ("hermaphrodite chemical", "herm gap jn symmetric").
    strain
        of signal propagation: "wt", or "unc31", which lacks signalling by dense-core vesicles

    Returns
    -------
    Connectome
        of 302 × 302, [target, source]. Synapses are counts or sections, as the file has them. `functional`: the mean
        response ΔF/F of a neuron to the stimulation of another, NaN for pairs that were not measured. `notes` say
        which labels were left out: muscles, glia, neurons whose side is not said.

    Raises ValueError for other content, a sheet or a strain that is not there, and where no two canonical neurons are
    joined.

    >>> import pathlib
    >>> file = pathlib.Path("worm.csv")
    >>> _ = file.write_text("pre,post,type,synapses\\nVB2,DD1,chemical,3\\nVB2,BWM-DL01,chemical,9\\n")
    >>> wiring = rv.recordings.read_wiring(file)
    >>> names = rv.recordings.canonical_names()
    >>> float(wiring.chemical[names.index("DD01"), names.index("VB02")]), wiring.notes[-1]
    (3.0, "left out, as it is no canonical neuron's: 1 label (BWM-DL01)")
    """
    path = Path(path)
    if read_bytes(path, "a wiring of the worm")[:8] == _HDF5:
        if sheets is not None:
            raise ValueError(f"{path} is HDF5, which has no sheets; expected no sheets=: leave it out")
        return _propagation(path, strain)
    if sheets is None:
        edges = read_edges(path)
        parts = edges, edges.electrical
    else:
        if isinstance(sheets, str) or len(sheets) != 2:
            raise ValueError(f"sheets is {sheets!r:.80}; expected two: of chemical synapses and of gap junctions")
        chemical, electrical = (read_edges(path, sheet=sheet, rows="sources") for sheet in sheets)
        parts = chemical, electrical
    matrices, left = [], set[str]()
    for part in parts:
        matrix, unknown = _matrix(part)
        matrices.append(matrix)
        left |= unknown
    if not any(m.any() for m in matrices):
        raise ValueError(f"{path} joins no two canonical neurons; expected names such as AVAL, ASEL")
    gaps = np.maximum(matrices[1], matrices[1].T)
    return Connectome(matrices[0], gaps, notes=(*parts[0].notes, *_left_out(left)))


def _matrix(edges: EdgeList | None) -> tuple[Array, set[str]]:
    """[target, source] over the canonical neurons, without self-connections, and labels of no such neuron."""
    place = {name: k for k, name in enumerate(canonical_names())}
    matrix = np.zeros((len(place), len(place)))
    if edges is None:
        return matrix, set()
    labels = [canonical_label(name) for name in edges.names]
    index = np.array([place.get(label, -1) for label in labels])
    targets, sources = index[edges.targets], index[edges.sources]
    known = (targets >= 0) & (sources >= 0) & (targets != sources)
    np.add.at(matrix, (targets[known], sources[known]), edges.weights[known])
    return matrix, {label for label in labels if label not in place}


def _left_out(labels: set[str]) -> list[str]:
    if not labels:
        return []
    first = sorted(labels)[:5]
    more = ", ..." if len(labels) > len(first) else ""
    whose = "it is no canonical neuron's" if len(labels) == 1 else "they are no canonical neuron's"
    return [f"left out, as {whose}: {plural(len(labels), 'label')} ({', '.join(first)}{more})"]


def _propagation(path: Path, strain: str) -> Connectome:
    """Mean responses [responding, stimulated] over canonical neurons."""
    import h5py

    require_sound(path, "atlas of signal propagation")
    place = {name: k for k, name in enumerate(canonical_names())}
    with h5py.File(path, "r") as file:
        strains = [name for name in file if isinstance(file[name], h5py.Group)]
        if "neuron_ids" not in file or not strains:
            raise ValueError(f"{path} holds {', '.join(file)!r:.100}; expected neuron_ids, and strains with dFF")
        if strain not in strains:
            raise ValueError(f"{path} has no strain {strain!r}; {nearest(strain, strains)}")
        labels = [canonical_label(_text(label)) for label in file["neuron_ids"][:]]
        response: Any = file[strain].get("dFF")
        if response is None or response.shape != (len(labels), len(labels)) or response.dtype.kind != "f":
            content = "no dFF" if response is None else f"dFF of {response.dtype}, {response.shape}"
            raise ValueError(f"{path} holds {content}; expected real numbers, {len(labels)} × {len(labels)}")
        values = np.asarray(response[:], np.float64)
    repeated = {label for label in labels if label in place and labels.count(label) > 1}
    if repeated:
        raise ValueError(f"{path} names {sorted(repeated)[0]} twice; expected each neuron once")
    chosen = [k for k, label in enumerate(labels) if label in place]
    places = [place[labels[k]] for k in chosen]
    functional = np.full((len(place), len(place)), np.nan)
    functional[np.ix_(places, places)] = values[np.ix_(chosen, chosen)]
    np.fill_diagonal(functional, np.nan)
    functional[~np.isfinite(functional)] = np.nan
    if not np.isfinite(functional).any():
        raise ValueError(f"{path} measured no pair of canonical neurons; expected names such as AVAL, ASEL")
    zero = np.zeros_like(functional)
    return Connectome(zero, zero.copy(), functional, notes=tuple(_left_out({x for x in labels if x not in place})))


def _text(label: Any) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)


__all__ = ["read_wiring"]
