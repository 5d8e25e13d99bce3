"""What a page holds to be explored: tables, packed arrays, marks; and that hostile names stay text."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from ranvier.networks import Network
from ranvier.neurons import EIF
from ranvier.report import Column, Comparison, DataTable, measure, write_csv
from ranvier.report.blocks import block_scores
from ranvier.report.explore import charts
from ranvier.report.explore.findings import findings
from ranvier.report.explore.packing import block, packed, scaled

NAMES = [
    "=1+1", "+2", "-3", "@sum", " =x", "＝1", "plain", 'a "b", c', "</script><b>", "<!--", "\t=1", "\r=1",
    "\u2028line", "bell\x07",
]  # fmt: skip


def unpacked(part):
    return np.frombuffer(base64.b64decode(part["v"]), "<" + part["t"])


@pytest.fixture(scope="module")
def measured(spiking):
    return measure(*spiking)


@pytest.mark.parametrize("window", [0.0, -1.0, float("nan")])
def test_a_window_is_positive(spiking, window):
    with pytest.raises(ValueError, match=r"window is .*; expected a"):
        measure(*spiking, window=window)


def test_no_cell_of_a_file_is_a_formula(tmp_path):
    table = DataTable("t", [Column("n", "name", NAMES), Column("x", "x", np.linspace(-1.5, 1, len(NAMES)))])
    rows = list(csv.reader(io.StringIO(write_csv(tmp_path / "t.csv", table).read_text("utf-8"))))
    assert rows[0] == ["name", "x"] and len(rows) == len(NAMES) + 1
    assert [row[0] for row in rows[1:7]] == ["'=1+1", "'+2", "'-3", "'@sum", "' =x", "'＝1"]
    assert [row[0] for row in rows[7:11]] == NAMES[6:10]
    assert [row[0] for row in rows[11:]] == ["\\x09=1", "\\x0d=1", "\\u2028line", "bell\\x07"]
    assert rows[1][1] == "-1.5"  # a number is none


def test_a_block_of_data_cannot_end_its_element():
    text = str(block({"names": NAMES}))
    assert not re.search("[<>&\u2028\u2029]", text) and "\x07" not in text
    assert json.loads(text)["names"][6:10] == NAMES[6:10]
    with pytest.raises(ValueError, match="JSON"):
        block({"x": float("nan")})


def test_columns_and_tables_that_cannot_be_written_are_refused():
    for values in ([1.0, 2.0], np.array(["a"]), "text", np.array([1j])):
        with pytest.raises(TypeError, match="expected a sequence of texts, or an array of numbers"):
            Column("n", "name", values)
    with pytest.raises(ValueError, match="'a': 1, 'b': 2"):
        DataTable("t", [Column("a", "a", ["x"]), Column("b", "b", np.zeros(2))])


def test_a_class_a_neuron_takes_a_bounded_page():
    """Pictures hold the largest classes and one of the others; tables each neuron's own."""
    from tests.report import synthetic

    net = Network(seed=1)
    size = 400
    classes = ["large"] * 20 + [f"type {n}" for n in range(20, size)]
    cells = net.add(EIF(), size, name="cells", classes=classes)
    net.connect(cells, cells, weight=1.0, probability=0.02)
    one = measure(net, synthetic.recording(net, seconds=5.0))
    assert len(one.wiring.classes) == 60 and one.wiring.classes[0] == "large"
    assert one.wiring.classes[-1] == "322 smaller classes" and (one.wiring.of == 59).sum() == 322
    assert one.part.bounds[-1] == size
    assert list(one.neurons().columns[1].values) == classes


def test_packed_numbers_come_back():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(50)
    assert np.array_equal(unpacked(packed(x)), x.astype(np.float32))
    assert packed([1, 65535], "index")["t"] == "u2" and packed([65536], "index")["t"] == "u4"
    x[3] = np.nan
    part = scaled(x)
    back = unpacked(part).astype(float)
    assert np.nanmax(np.abs(back * part["limit"] / 32767 - x)[np.isfinite(x)]) <= part["limit"] / 65534 + 1e-12
    assert back[3] == -32768


def test_the_planted_pair_leads_and_is_marked_as_a_single_input(measured):
    table = measured.pairs()
    cells = {column.name: column.values for column in table.columns}
    assert (cells["first"][0], cells["second"][0]) == ("N0001 left", "N0000 left")
    assert cells["remark"][0] == "single input of the second"
    assert cells["weight_first_to_second"][0] == pytest.approx(measured.wiring.weights[0, 1])
    assert np.isnan(cells["weight_second_to_first"][0]) and cells["synapses_between"][0] == 1
    assert cells["z"] == pytest.approx(cells["correlation"] / cells["error"])
    assert (np.diff(np.abs(cells["correlation"])) <= 0).all() and table.size == 60 * 59 // 2
    alone = np.asarray((measured.wiring.weights != 0).sum(axis=1)).ravel() == 1
    ends = [np.array([int(name[1:5]) for name in cells[side]]) for side in ("first", "second")]
    direct = measured.wiring.weights[ends[1], ends[0]] != 0, measured.wiring.weights[ends[0], ends[1]] != 0
    expected = (alone[ends[1]] & direct[0]) | (alone[ends[0]] & direct[1])
    assert np.array_equal([bool(r) for r in cells["remark"]], expected)
    said = " ".join(findings(measured))
    assert "most strongly N0001 left and N0000 left" in said and "single input" in said


def test_a_row_a_neuron(measured, spiking):
    recording = spiking[1]
    cells = {column.name: column.values for column in measured.neurons().columns}
    weights = measured.wiring.weights.toarray()
    assert np.array_equal(cells["inputs"], (weights != 0).sum(1))
    assert np.array_equal(cells["outputs"], (weights != 0).sum(0))
    after = recording.after(500.0)
    assert cells["rate_Hz"] == pytest.approx(np.bincount(after.neurons, minlength=60) / after.duration * 1000)
    assert {e for e, s in zip(cells["effect"], measured.wiring.signs) if s < 0} == {"inhibits"}


def test_edges_are_rows_of_targets_and_the_strongest_where_there_are_many(measured, monkeypatch):
    weights = measured.wiring.weights.toarray()
    part = charts.edges(measured.wiring.weights, "mV ms")
    rows = np.repeat(np.arange(60), unpacked(part["counts"]))
    back = np.zeros_like(weights)
    back[rows, unpacked(part["sources"])] = unpacked(part["weights"])
    assert back == pytest.approx(weights, rel=1e-6)
    monkeypatch.setattr(charts, "MAX_EDGES", 20)
    few = charts.edges(measured.wiring.weights, "mV ms")
    assert few["total"] == (weights != 0).sum()
    assert sorted(np.abs(unpacked(few["weights"]))) == pytest.approx(sorted(np.abs(weights[weights != 0]))[-20:])


def test_scores_of_blocks_of_independent_pairs_have_variance_one():
    rng = np.random.default_rng(2)
    scores = []
    for _ in range(40):
        error = rng.uniform(0.5, 2.0, (60, 60))
        error = np.triu(error, 1) + np.triu(error, 1).T
        r = np.triu(rng.standard_normal((60, 60)), 1)
        r = (r + r.T) * error
        np.fill_diagonal(r, np.nan)
        scores.append(block_scores(r, error, np.arange(60) // 10, 6))
    within, between = np.diagonal(scores, axis1=1, axis2=2), np.array(scores)[:, *np.triu_indices(6, 1)]
    for each in (within, between):  # the standard error of a variance of n values is √(2/n)
        assert abs(each.var() - 1) < 4 * np.sqrt(2 / each.size)


def test_predictions_of_pairs_are_those_of_the_matrix():
    rng = np.random.default_rng(1)
    matrix = rng.standard_normal((7, 7))
    matrix += matrix.T
    chosen = np.array([0, 2, 3, 6])
    one = SimpleNamespace(
        predicted_levels=np.zeros(7), neurons=chosen, predicted=matrix[np.ix_(chosen, chosen)][np.triu_indices(4, 1)]
    )
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(7), np.arange(7), indexing="ij"))
    values = Comparison.correlation_of(one, i, j).reshape(7, 7)
    compared = np.isin(np.arange(7), chosen)
    both = np.outer(compared, compared) & ~np.eye(7, dtype=bool)
    assert np.array_equal(np.isfinite(values), both) and np.array_equal(values[both], matrix[both])
