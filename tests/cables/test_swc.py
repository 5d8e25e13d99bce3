"""SWC files: areas and lengths by hand, the conventions for somata, and every fault by its line."""

import gzip
import math

import pytest

from ranvier.cables import CableCell, read_swc

SOMA = "1 1 0 0 0 5 -1"
THREE = f"{SOMA}\n2 1 0 -5 0 5 1\n3 1 0 5 0 5 1"


def written(tmp_path, text):
    path = tmp_path / "cell.swc"
    path.write_text("# a comment\n\n" + text + "\n")
    return path


def test_a_tree_comes_back_with_its_lengths(tmp_path):
    lines = ["2 3 5 0 0 1 1", "4 3 15 0 0 1 2", "3 3 15 0 10 .5 4", "5 4 15 0 -20 .5 4"]
    text = "\n".join([SOMA, *lines, "6 2 0 -5 0 1 1", "7 2 0 -25 0 1 6"])
    shape = read_swc(written(tmp_path, text))
    assert [(b.region, b.after, b.length) for b in shape.branches] == [
        ("dendrite", None, 10.0), ("dendrite", 0, 10.0), ("apical", 0, 20.0), ("axon", None, 20.0)
    ]  # fmt: skip
    assert shape.regions == ("soma", "dendrite", "apical", "axon")
    frustum = math.pi * 1.5 * math.hypot(10.0, 0.5)
    assert shape.area == pytest.approx(math.pi * (100 + 20 + 20 + 40) + frustum)
    assert CableCell(shape, []).area.sum() == pytest.approx(shape.area)
    packed = tmp_path / "cell.swc.gz"
    packed.write_bytes(gzip.compress((tmp_path / "cell.swc").read_bytes()))
    assert read_swc(packed).branches == shape.branches


@pytest.mark.parametrize(
    ("soma", "area"),
    [
        (SOMA, 100 * math.pi),
        (THREE, 100 * math.pi),
        ("1 1 0 0 0 5 -1\n2 1 10 0 0 5 1\n3 1 20 0 0 3 2", math.pi * (100 + 8 * math.hypot(10, 2))),
    ],
)
def test_a_soma_is_one_root_of_its_area(tmp_path, soma, area):
    shape = read_swc(written(tmp_path, f"{soma}\n8 3 20 0 0 1 1\n9 3 30 0 0 1 8"))
    assert shape.soma_area == pytest.approx(area)
    assert [b.length for b in shape.branches] == [10.0]


def test_many_neurites_may_leave_the_soma_and_one_sample_makes_a_branch(tmp_path):
    lines = [SOMA] + [f"{k} 3 {10 * k} 0 0 1 1" for k in range(2, 7)]
    assert [b.length for b in read_swc(written(tmp_path, "\n".join(lines))).branches] == [20.0, 30.0, 40.0, 50.0, 60.0]


def test_without_a_soma_the_root_is_a_plain_end(tmp_path):
    shape = read_swc(written(tmp_path, "1 3 0 0 0 1 -1\n2 3 10 0 0 1 1\n3 3 -10 0 0 1 1\n4 3 10 0 0 1 2"))
    assert shape.soma_area == 0 and [b.length for b in shape.branches] == [10.0, 10.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1 0 0 0 5", "line 3 of .* is '1 1 0 0 0 5'; expected a line of SWC"),
        (f"{SOMA}\nx 3 0 0 0 1 1", "line 4 .* expected a line of SWC"),
        (f"{SOMA}\n1_0 3 5 0 0 1 1", "line 4 .* expected a line of SWC"),
        (f"{SOMA}\n1 3 5 0 0 1 1", "line 4 .* has the id 1, as line 3 does; expected an id once"),
        (f"{SOMA}\n-2 3 5 0 0 1 1", "has the id -2 .* expected whole numbers from 0"),
        (f"{SOMA}\n2 3 5 0 0 1 7", "line 4 .* has the parent 7, which is no id of the file; expected"),
        (f"{SOMA}\n2 3 5 0 0 0 1", "line 4 .* has the radius 0; expected 1e-06 to 1e.09 um"),
        (f"{SOMA}\n2 3 5 0 0 nan 1", "line 4 .* has the radius nan; expected"),
        (f"{SOMA}\n2 3 inf 0 0 1 1", "line 4 .* has the place .* expected numbers up to"),
        (f"{SOMA}\n2 3 1e300 0 0 1 1", "line 4 .* has the place"), ("1 1 0 0 0 1e200 -1", "line 3 .* has the radius"),
        (f"{SOMA}\n2 3 5 0 0 1 -1", "has 2 roots, the ids 1, 2; expected one"),
        (f"{SOMA}\n2 3 5 0 0 1 3\n3 3 6 0 0 1 2", "line 4 .* belongs to a cycle of parents"),
        (f"{SOMA}\n2 3 5 0 0 1 2", "line 4 .* belongs to a cycle"),
        ("1 3 0 0 0 1 1", "belongs to a cycle"),
        (f"{SOMA}\n2 3 5 0 0 1 1\n3 1 9 0 0 5 2", "line 5 .* its parent 2 is not; expected one soma"),
        (f"{THREE}\n4 1 0 0 5 5 1", "line 3 .* branches there into 3 samples of type 1; expected"),
        (f"{SOMA}\n2 1 9 0 0 5 1\n3 1 -9 0 0 5 1", "branches there into 2 samples"),
        ("# nothing", "holds no sample; expected"),
    ],
)  # fmt: skip
def test_faults_are_told_by_their_lines(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_swc(written(tmp_path, text))


def test_a_long_neurite_is_read_without_recursion(tmp_path):
    lines = ["1 2 0 0 0 1 -1"] + [f"{k} 2 {k} 0 0 1 {k - 1}" for k in range(2, 5000)]
    assert read_swc(written(tmp_path, "\n".join(reversed(lines)))).branches[0].length == 4999.0
