"""Connectomes from tables laid out as their projects publish them, drawn ones, and the fly model on them."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import brains

pa = pytest.importorskip("pyarrow")
FIRST = 720575940600000000  # of 18 digits: a float64 would round it


def written(folder, name, columns):
    from pyarrow import csv, feather, parquet

    path, table = folder / name, pa.table(columns)
    if name.endswith(".parquet"):
        parquet.write_table(table, path)
    elif name.endswith(".feather"):
        feather.write_feather(table, path)
    else:
        csv.write_csv(table, path)
    return path


def edges(brain):
    names = zip(brain.ids[brain.sources], brain.ids[brain.targets], brain.counts, strict=True)
    return sorted((int(a), int(b), int(c)) for a, b, c in names)


def test_flywire_indices_with_the_completeness_table(tmp_path):
    ids = FIRST + np.array([7, 3, 5])
    nodes = written(tmp_path, "completeness.csv", {"": ids, "Completed": [True] * 3})
    table = written(tmp_path, "connections.parquet", {
        "Presynaptic_Index": [0, 1, 2, 9], "Postsynaptic_Index": [1, 2, 0, 0], "Connectivity": [4, 2, 1, 1],
        "Excitatory": [1, -1, 1, 1], "Excitatory x Connectivity": [4, -2, 1, 1],
    })  # fmt: skip
    brain = brains.read_connectome(table, nodes)
    assert brain.ids.dtype == np.int64 and (brain.ids == ids).all()
    assert edges(brain) == sorted([(FIRST + 7, FIRST + 3, 4), (FIRST + 3, FIRST + 5, -2), (FIRST + 5, FIRST + 7, 1)])
    assert any("1 connection with an index beyond the 3 neurons" in note for note in brain.notes)
    with pytest.raises(ValueError, match="expected the completeness CSV"):
        brains.read_connectome(table)


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_codex_rows_a_neuropil_are_summed_and_signed(tmp_path, kind):
    table = written(tmp_path, f"c.{kind}", {
        "pre_root_id": FIRST + np.array([1, 1, 2, 3]), "post_root_id": FIRST + np.array([2, 2, 3, 1]),
        "neuropil": ["A", "B", "A", "A"], "syn_count": [5, 2, 6, 1], "nt_type": ["ACH", "ACH", "GABA", "DA"],
    })  # fmt: skip
    brain = brains.read_connectome(table)
    assert edges(brain) == [(FIRST + 1, FIRST + 2, 7), (FIRST + 2, FIRST + 3, -6), (FIRST + 3, FIRST + 1, 1)]
    assert any("Summed: 1 row of the same pair" in note for note in brain.notes)
    assert any("1 row with another transmitter or none (da)" in note for note in brain.notes)


@pytest.mark.parametrize(
    ("pre", "post", "node"),
    [
        ("bodyId_pre", "bodyId_post", "bodyId"),
        ("body_pre", "body_post", "body"),
        ("pre_pt_root_id", "post_pt_root_id", "pt_root_id"),
    ],
)
def test_neuprint_male_cns_and_banc_tables_with_nodes(tmp_path, pre, post, node):
    table = written(tmp_path, "c.feather", {pre: [10, 20, 30, 99], post: [20, 30, 30, 10], "weight": [3, 4, 0, 5]})
    transmitters = ["glutamate", "acetylcholine", "gaba", "x"]
    nodes = written(tmp_path, "n.csv", {node: [30, 10, 20, 10], "predictedNt": transmitters})
    brain = brains.read_connectome(table, nodes)
    assert edges(brain) == [(10, 20, 3), (20, 30, -4)] and list(brain.ids) == [10, 20, 30]
    said = " | ".join(brain.notes)
    for part in ("1 row with a neuron that", "1 row without a synapse", "counts): 1 neuron", "another transmitter"):
        assert part in said
    assert list(brain.places([30, 10])) == [2, 0]
    with pytest.raises(ValueError, match="1 of 2 ids are not in the connectome, 11 first"):
        brain.places([10, 11])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pre_root_id": [1.0 * FIRST], "post_root_id": [2], "syn_count": [1]}, "rounds ids"),
        ({"pre_root_id": ["a1"], "post_root_id": [2], "syn_count": [1]}, "no column of whole numbers"),
        ({"pre_root_id": [1, None], "post_root_id": [2, 3], "syn_count": [1, 1]}, "lacks 1 values"),
        ({"from": [1], "to": [2]}, "expected one of Presynaptic_ID"),
    ],
)
def test_faults_are_said(tmp_path, columns, message):
    with pytest.raises(ValueError, match=message):
        brains.read_connectome(written(tmp_path, "c.parquet", columns))
    (tmp_path / "x.feather").write_bytes(b"ARROW1 and no more")
    with pytest.raises(ValueError, match="is no table"):
        brains.read_connectome(tmp_path / "x.feather")


def test_a_drawn_wiring_has_its_statistics_and_can_be_drawn_in_parts():
    whole = brains.fly_wiring(6000, seed=3)
    pairs = whole.sources.astype(np.int64) * 6000 + whole.targets
    assert len(np.unique(pairs)) == len(pairs) == round(15_091_983 * 6000 / 138_639)
    assert (whole.sources != whole.targets).all()
    synapses = np.abs(whole.counts)
    # the laws' own values; errors of the mean of 653 000 draws: .02 and .0005
    assert abs(synapses.mean() - 3.66) < 0.06 and abs((synapses >= 5).mean() - 0.18) < 0.003
    inhibits = np.zeros(6000, bool)
    inhibits[whole.sources[whole.counts < 0]] = True
    assert not inhibits[whole.sources[whole.counts > 0]].any() and abs(inhibits.mean() - 0.4) < 0.03
    part = brains.fly_wiring(6000, seed=3, lo=1000, hi=1100)
    chosen = (whole.targets >= 1000) & (whole.targets < 1100)
    for name in ("sources", "targets", "counts"):
        assert np.array_equal(getattr(part, name), getattr(whole, name)[chosen])
    assert not np.array_equal(brains.fly_wiring(6000, seed=4, lo=1000, hi=1100).sources[:50], part.sources[:50])


def test_doses_are_run_once_silencing_works_and_another_brain_is_refused(tmp_path):
    brain = brains.fly_wiring(5000, seed=1)
    output = np.bincount(brain.sources, np.clip(brain.counts, 0, None), 5000)
    driven = np.argsort(output)[-10:]
    said = []
    rates = brains.dose_response(brain, driven, [0, 100], tmp_path, duration=200.0, say=said.append)
    assert rates[0.0]["spikes"] == 0 and rates[100.0]["active"] > 10 and len(said) == 2
    assert rates[100.0]["method"]["method"] == "events"
    again = brains.dose_response(brain, driven, [0, 100], tmp_path, duration=200.0, say=said.append)
    assert again == rates and len(said) == 2
    with pytest.raises(ValueError, match="of another brain, drive"):
        brains.dose_response(brain, driven[:5], [100], tmp_path, duration=200.0)
    net = brains.fly_network(brain, driven, 100.0, silenced=driven)
    spikes = rv.simulate(net, 200.0, dt=0.1, seed=0)
    assert set(spikes.neurons[spikes.neurons < 5000].tolist()) <= set(driven.tolist())
    with pytest.raises(ValueError, match="driven reaches from"):
        brains.fly_network(brain, [5000])
