"""The brains in the package against the published tables, read by the plainest means."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import ranvier.data
from ranvier.data._build import GABA

RAW = Path(__file__).parents[3] / "shared" / "data"
raw = pytest.mark.skipif(not (RAW / "larva").is_dir(), reason="the published tables are not beside this copy")


def as_dict(edges):
    names = edges.names
    return {
        (names[s], names[t]): w for s, t, w in zip(edges.sources, edges.targets, edges.weights, strict=True)
    }


def test_larva_is_the_studied_brain():
    larva = ranvier.data.larva()
    assert larva.size == 2952 and len(larva) == 110_677 and larva.weights.sum() == 352_611
    assert Counter(larva.classes)["KCs"] == 144 and Counter(larva.classes)["APL"] == 2
    assert Counter(larva.attributes["hemisphere"]) == {"L": 1471, "R": 1479, "C": 2}
    assert "Winding" in larva.citation and larva.licence.startswith("MIT")


def test_nematode_has_302_neurons_and_symmetric_junctions():
    chemical, electrical = ranvier.data.celegans()
    assert chemical.names == electrical.names and chemical.size == 302 and len(chemical) == 3638
    assert abs(electrical.matrix() - electrical.matrix().T).max() == 0.0
    assert not electrical.matrix().diagonal().any()
    gaba = {n for n, t in zip(chemical.names, chemical.attributes["transmitter"], strict=True) if t == "GABA"}
    assert gaba == set(GABA) and len(gaba) == 26
    kinds = dict(zip(chemical.names, chemical.classes, strict=True))
    assert (kinds["AVAL"], kinds["ASHL"], kinds["VD01"], kinds["M1"]) == (
        "interneuron", "sensory", "motor", "pharynx",
    )  # fmt: skip
    # VD and DD act on each other and on muscles; AVA receives from many
    assert as_dict(chemical)["AVBL", "AVAL"] > 0 and as_dict(electrical)["AVAL", "VA05"] == 4.5


def test_the_package_stays_small_and_says_its_licences():
    folder = Path(ranvier.data.__file__).parent
    assert sum(file.stat().st_size for file in folder.glob("*.*")) < 1_000_000
    for name in ("larva", "celegans"):
        structure = json.loads((folder / f"{name}.json").read_text())
        assert structure["licence"].startswith("MIT") and "doi:" in structure["citation"]
        assert structure["source"].split("/")[1] in (folder / "LICENCES.txt").read_text()


@raw
def test_larva_equals_the_published_tables():
    with open(RAW / "larva" / "neurons.csv", newline="") as file:
        cells = {row["id"]: row for row in csv.DictReader(file) if row["selected_lcc"] == "True"}
    larva = ranvier.data.larva()
    ids = larva.attributes["id"]
    assert set(ids) == set(cells)
    for i, cell in enumerate(ids):
        row = cells[cell]
        assert larva.names[i] in (row["name"], f"{row['name']} ({cell})")
        assert larva.classes[i] == ("APL" if row["class1"] == "APL" else row["simple_group"])
        assert larva.attributes["hemisphere"][i] == row["hemisphere"]
        assert larva.attributes["type"][i] == row["class1"]
    expected = {}
    for line in (RAW / "larva" / "edges.txt").read_text().splitlines():
        source, target, synapses = line.split()
        if source in cells and target in cells:
            expected[source, target] = int(synapses)
    edges = {(ids[s], ids[t]): w for s, t, w in zip(larva.sources, larva.targets, larva.weights, strict=True)}
    assert edges == expected


@raw
def test_nematode_equals_the_published_edge_list():
    chemical, electrical = ranvier.data.celegans()
    expected = {"chemical": {}, "electrical": {}}
    with open(RAW / "celegans" / "herm_full_edgelist.csv", newline="") as file:
        for source, target, weight, kind in list(csv.reader(file))[1:]:
            source, target = source.strip(), target.strip()
            if source in chemical.names and target in chemical.names:
                expected[kind.strip()][source, target] = float(weight)
    assert as_dict(chemical) == expected["chemical"]
    junctions, together = expected["electrical"], as_dict(electrical)
    for pair in junctions:
        if pair[0] != pair[1]:
            ends = [junctions[p] for p in (pair, pair[::-1]) if p in junctions]
            assert together[pair] == np.mean(ends)
    assert len(electrical) == len({p for a, b in junctions for p in ((a, b), (b, a)) if a != b})
