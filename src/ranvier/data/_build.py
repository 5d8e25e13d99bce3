"""Make the package's copies of the two brains from the published tables.

    python -m ranvier.data._build RAW

RAW holds `larva/edges.txt`, `larva/neurons.csv` (neurodata/bilateral-connectome),
`celegans/herm_full_edgelist.csv` and `celegans/cook2019_si5_adjacency.xlsx` (openworm/c302). Reading the last
one needs `openpyxl`.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.files.atomic import write_atomic, write_tensors
from ranvier.networks import EdgeList, read_edges

HERE = Path(__file__).parent

LARVA = {
    "title": "Brain of the larva of Drosophila melanogaster",
    "citation": "Winding et al. 2023, The connectome of an insect brain, Science 379, eadd9330, "
    "doi:10.1126/science.add9330; Pedigo et al. 2023, Generative network modeling reveals quantitative "
    "definitions of bilateral symmetry exhibited by a whole insect brain connectome, eLife 12, e83739, "
    "doi:10.7554/eLife.83739",
    "source": "github.com/neurodata/bilateral-connectome",
    "licence": "MIT, (c) 2021 NeuroData Lab at Johns Hopkins University, Benjamin D. Pedigo",
    "weights": "number of synapses from one cell to another",
    "selection": "cells with selected_lcc: the 2952 of the studied brain, and the edges among them",
}
CELEGANS = {
    "title": "Nervous system of Caenorhabditis elegans, adult hermaphrodite",
    "citation": "Cook et al. 2019, Whole-animal connectomes of both Caenorhabditis elegans sexes, Nature "
    "571, 63-71, doi:10.1038/s41586-019-1352-7; GABAergic cells: McIntire et al. 1993, The GABAergic nervous "
    "system of Caenorhabditis elegans, Nature 364, 337-341, doi:10.1038/364337a0",
    "source": "github.com/openworm/c302, herm_full_edgelist.csv; classes from SI 5 of Cook et al. 2019",
    "licence": "MIT, Padraig Gleeson and OpenWorm contributors",
    "weights": "number of electron-microscopic serial sections in which the connection is seen",
    "selection": "the 302 neurons; muscles, glia, gut and skin are left out",
}

#: the 26 neurons with GABA of McIntire et al. 1993
GABA = (
    *(f"DD{i:02d}" for i in range(1, 7)),
    *(f"VD{i:02d}" for i in range(1, 14)),
    "RMED", "RMEL", "RMER", "RMEV", "RIS", "AVL", "DVB",
)  # fmt: skip


def larva(raw: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Structure and tensors of the larva's brain."""
    with open(raw / "larva" / "neurons.csv", newline="", encoding="utf-8") as file:
        cells = [row for row in csv.DictReader(file) if row["selected_lcc"] == "True"]
    cells.sort(key=lambda row: int(row["id"]))
    ids = [row["id"] for row in cells]
    place = {cell: i for i, cell in enumerate(ids)}
    ends, weights = [], []
    for line in (raw / "larva" / "edges.txt").read_text().splitlines():
        source, target, synapses = line.split()
        if source in place and target in place:
            ends.append((place[source], place[target]))
            weights.append(int(synapses))
    sources, targets = np.array(ends).T
    edges = EdgeList.build(ids, sources, targets, weights)
    shared = {name for name, times in Counter(row["name"] for row in cells).items() if times > 1}
    names = [f"{r['name']} ({r['id']})" if r["name"] in shared else r["name"] for r in cells]
    # APL is one pair of cells that the simplest grouping counts among the local neurons
    classes = ["APL" if row["class1"] == "APL" else row["simple_group"] for row in cells]
    structure = {
        **LARVA,
        "names": names,
        "classes": _coded(classes),
        "attributes": {
            "id": ids,
            "type": _coded([row["class1"] for row in cells]),
            "hemisphere": _coded([row["hemisphere"] for row in cells]),
        },
    }
    return structure, _packed("", edges)


def celegans(raw: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Structure and tensors of the nematode's nervous system."""
    groups = _groups(raw / "celegans" / "cook2019_si5_adjacency.xlsx")
    names = sorted(groups)
    tensors: dict[str, np.ndarray] = {}
    for kind in ("chemical", "electrical"):
        read = read_edges(raw / "celegans" / "herm_full_edgelist.csv", where={"Type": kind})
        wired = [i for i, name in enumerate(names) if name in read.names]
        there = [read.names.index(names[i]) for i in wired]
        full = np.zeros((len(names), len(names)))
        full[np.ix_(wired, wired)] = read.matrix().toarray()[np.ix_(there, there)]
        if kind == "electrical":  # a junction has no direction: the mean where its two entries differ
            both = (full > 0) & (full.T > 0)
            full = np.where(both, (full + full.T) / 2, np.maximum(full, full.T))
            np.fill_diagonal(full, 0.0)  # a junction with itself does nothing
        target, source = np.nonzero(full)
        tensors |= _packed(f"{kind}.", EdgeList.build(names, source, target, full[target, source]))
    structure = {
        **CELEGANS,
        "names": names,
        "classes": _coded([groups[name] for name in names]),
        "attributes": {"transmitter": _coded(["GABA" if name in GABA else "" for name in names])},
    }
    return structure, tensors


def _groups(path: Path) -> dict[str, str]:
    """Cell -> group, from the row labels of the chemical sheet; CAN has no synapses and is not in it."""
    import openpyxl  # type: ignore[import-untyped]

    plain = {
        "PHARYNX": "pharynx",
        "SENSORY NEURONS": "sensory",
        "INTERNEURONS": "interneuron",
        "MOTOR NEURONS": "motor",
        "SEX SPECIFIC": "motor",  # HSN and VC, which drive the egg-laying muscles
    }
    sheet = openpyxl.load_workbook(path, read_only=True, data_only=True)["hermaphrodite chemical"]
    groups, group = {}, ""
    for head, _, cell in sheet.iter_rows(min_row=4, max_col=3, values_only=True):
        group = plain[head] if head else group
        if cell:
            groups[str(cell).strip()] = group
    return groups | {"CANL": "interneuron", "CANR": "interneuron"}


def _coded(labels: list[str]) -> dict[str, Any]:
    """Labels as codes into their sorted list."""
    kinds = sorted(set(labels))
    return {"kinds": kinds, "codes": [kinds.index(label) for label in labels]}


def _packed(prefix: str, edges: EdgeList) -> dict[str, np.ndarray]:
    """Edges by target as `indptr`, `sources` and `weights`, each in the smallest type that holds it."""
    indptr = np.zeros(edges.size + 1, np.int32)
    np.cumsum(np.bincount(edges.targets, minlength=edges.size), out=indptr[1:])
    whole = np.array_equal(edges.weights, np.round(edges.weights))
    kind = np.min_scalar_type(int(edges.weights.max())) if whole else np.float32
    return {
        f"{prefix}indptr": indptr,
        f"{prefix}sources": edges.sources.astype(np.int16),
        f"{prefix}weights": edges.weights.astype(kind),
    }


def main(raw: Path) -> None:
    """Write both brains beside this file."""
    for name, make in (("larva", larva), ("celegans", celegans)):
        structure, tensors = make(raw)
        text = json.dumps({"version": 1, **structure}, ensure_ascii=False, separators=(",", ":"))
        write_atomic(HERE / f"{name}.json", text + "\n")
        write_tensors(HERE / f"{name}.safetensors", tensors)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
