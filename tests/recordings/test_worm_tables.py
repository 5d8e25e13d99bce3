"""Published tables of the nematode's activity and wirings, as files written here; real ones where they are at hand."""

from pathlib import Path

import numpy as np
import pytest

from ranvier.recordings import (
    Connectome,
    WormTables,
    canonical_label,
    canonical_names,
    consensus,
    homogenise,
    read_wiring,
)

NAMES = canonical_names()
PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "celegans"


def place(name):
    return NAMES.index(name)


@pytest.mark.parametrize(
    ("label", "name"),
    [("VB2", "VB02"), ("vb02", "VB02"), ("AS11", "AS11"), (" avar", "AVAR"), ("I2L", "I2L"), ("M4", "M4"),
     ("AWCOF", "AWCOF"), ("pm1vl", "pm1vl"), ("VB0", "VB0"), ("", "")],
)  # fmt: skip
def test_labels_as_laboratories_write_them(label, name):
    assert canonical_label(label) == name
    assert all(canonical_label(n) == n for n in NAMES)
    assert {canonical_label(n.replace("0", "")) for n in NAMES if n != "VD10"} == set(NAMES) - {
        n for n in NAMES if n.endswith("0")
    }


def table(tmp_path, columns, name="worms.parquet"):
    pa = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow (ranvier[tables])")
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), tmp_path / name)
    return tmp_path / name


def worms(kind=float):
    """Two laboratories; the second's values lie as lists of one number."""
    rows = [("Kato2015", "worm0", "AVAL", True, 5, 0.5), ("Kato2015", "worm0", "7", False, 5, 0.5),
            ("Flavell2023", "worm0", "VB2", True, 4, 0.6), ("Kato2015", "worm1", "RIS", True, 3, 0.5)]  # fmt: skip
    squares = [float(x * x) for x in range(9)]
    wrap = [[x] for x in squares] if kind is list else squares
    return {
        "source_dataset": [r[0] for r in rows], "worm": [r[1] for r in rows], "neuron": [r[2] for r in rows],
        "is_labeled_neuron": [r[3] for r in rows],
        "original_calcium_data": [wrap[k : k + r[4]] for k, r in enumerate(rows)],
        "original_time_in_seconds": [[r[5] * t for t in range(r[4])] for r in rows],
    }  # fmt: skip


@pytest.mark.parametrize("kind", [float, list])
def test_a_worm_at_a_time(tmp_path, kind):
    tables = WormTables(table(tmp_path, worms(kind)))
    assert tables.datasets == {"Kato2015": ("worm0", "worm1"), "Flavell2023": ("worm0",)}
    assert repr(tables) == "WormTables(2 datasets, 3 worms, 4 traces)" and len(tables) == 3
    session = tables.session("Kato2015", "worm0")
    assert session.neurons.names == ("AVAL", "") and "knows the future" in session.notes[0]
    np.testing.assert_array_equal(session.activity.times, np.arange(5) * 500.0)
    np.testing.assert_array_equal(session.activity.read(), (np.arange(5)[:, None] + [0, 1]) ** 2)
    assert [s.name for s in tables.sessions("Kato2015")] == ["Kato2015 worm0", "Kato2015 worm1"]
    alike = homogenise(tables.session("Flavell2023", "worm0"), normalise=False)
    assert np.flatnonzero(np.isfinite(alike.activity.read()).any(0)).tolist() == [place("VB02")]


def test_a_folder_of_tables_is_one(tmp_path):
    whole = worms()
    for k, part in enumerate((slice(0, 2), slice(2, 4))):
        table(tmp_path, {name: column[part] for name, column in whole.items()}, f"part{k}.parquet")
    assert len(WormTables(tmp_path)) == 3


def test_what_is_no_table_is_refused(tmp_path):
    whole = worms()
    tables = WormTables(table(tmp_path, whole))
    with pytest.raises(ValueError, match="no dataset 'Kato'"):
        tables.session("Kato", "worm0")
    with pytest.raises(ValueError, match="no worm 'worm7'"):
        tables.session("Kato2015", "worm7")
    with pytest.raises(ValueError, match="no dataset 'Kato'"):
        list(tables.sessions("Kato"))
    with pytest.raises(ValueError, match="no column 'calcium_data'"):
        tables.session("Kato2015", "worm0", resampled=True)
    with pytest.raises(ValueError, match="no column 'worm'"):
        WormTables(table(tmp_path, {k: v for k, v in whole.items() if k != "worm"}))
    other = {**whole, "original_time_in_seconds": [[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0, 5.0], [0.0], [1.0]]}
    with pytest.raises(ValueError, match="one clock a worm"):
        WormTables(table(tmp_path, other)).session("Kato2015", "worm0")
    backwards = {**whole, "original_time_in_seconds": [[4.0, 3.0, 2.0, 1.0, 0.0]] * 2 + [[0.0], [1.0]]}
    with pytest.raises(ValueError, match="increas"):
        WormTables(table(tmp_path, backwards)).session("Kato2015", "worm0")
    lost = {**whole, "original_calcium_data": [None, None, [1.0], [1.0]]}
    with pytest.raises(ValueError, match="lacks original_calcium_data"):
        WormTables(table(tmp_path, lost)).session("Kato2015", "worm0")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(ValueError, match="no Parquet"):
        WormTables(tmp_path / "text.parquet")
    whole_file = table(tmp_path, whole)
    whole_file.write_bytes(whole_file.read_bytes()[:-200])
    with pytest.raises(ValueError, match="expected whole files"):
        WormTables(whole_file)
    with pytest.raises(FileNotFoundError):
        WormTables(tmp_path / "nothing.parquet")


def test_a_wiring_of_rows(tmp_path):
    file = tmp_path / "worm.csv"
    file.write_text("pre,post,type,synapses\nAVAL,VB2,chemical,4\nVB2,VB3,electrical,2\nAVAL,AVAL,chemical,9\n"
                    "AVAL,BWM-DL01,chemical,5\n")  # fmt: skip
    wiring = read_wiring(file)
    assert wiring.chemical[place("VB02"), place("AVAL")] == 4 == wiring.chemical.sum()
    assert wiring.electrical[place("VB02"), place("VB03")] == wiring.electrical[place("VB03"), place("VB02")] == 2
    assert wiring.electrical.sum() == 4 and "BWM-DL01" in wiring.notes[-1] and wiring.functional is None
    file.write_text("pre,post\na,b\n")
    with pytest.raises(ValueError, match="no two canonical neurons"):
        read_wiring(file)


def test_a_workbook_of_matrices_has_sources_in_its_rows(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="workbooks need openpyxl (ranvier[tables])")
    book = openpyxl.Workbook()
    for name, value in (("chem", 7), ("gap", 3)):
        sheet = book.create_sheet(name)
        for row in ([None, "AVAL", "AVAR", "RIS"], ["AVAL", 0, value, 0], ["AVAR", 0, 0, 1], ["RIS", 0, 0, 0]):
            sheet.append(row)
    book.save(tmp_path / "book.xlsx")
    wiring = read_wiring(tmp_path / "book.xlsx", sheets=("chem", "gap"))
    assert wiring.chemical[place("AVAR"), place("AVAL")] == 7 and wiring.chemical[place("AVAL"), place("AVAR")] == 0
    assert wiring.electrical[place("AVAR"), place("AVAL")] == 3 == wiring.electrical[place("AVAL"), place("AVAR")]
    with pytest.raises(ValueError, match="expected two"):
        read_wiring(tmp_path / "book.xlsx", sheets=("chem",))
    with pytest.raises(ValueError, match="no sheet 'other'"):
        read_wiring(tmp_path / "book.xlsx", sheets=("chem", "other"))


def propagation(path, names=("AVAL", "RIS", "AWCOF"), values=((9.0, 0.5, 1.0), (np.nan, 9.0, 1.0), (1.0, 1.0, 9.0))):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["neuron_ids"] = np.array(names, "S5")
        file["wt/dFF"] = np.array(values)
    return path


def test_signal_propagation_is_a_relation_of_its_own(tmp_path):
    """A response of AVAL to the stimulation of RIS, and none measured the other way."""
    wiring = read_wiring(propagation(tmp_path / "funatlas.h5"))
    assert wiring.functional[place("AVAL"), place("RIS")] == 0.5 and np.isfinite(wiring.functional).sum() == 1
    assert not wiring.chemical.any() and "AWCOF" in wiring.notes[-1]
    assert wiring.normalised()[2][place("AVAL"), place("RIS")] == 1 == wiring.normalised()[2].sum()
    with pytest.raises(ValueError, match="no strain 'unc13'"):
        read_wiring(tmp_path / "funatlas.h5", strain="unc13")
    with pytest.raises(ValueError, match="AVAL twice"):
        read_wiring(propagation(tmp_path / "twice.h5", ("AVAL", "AVAL", "RIS")))
    with pytest.raises(ValueError, match="3 × 3"):
        read_wiring(propagation(tmp_path / "small.h5", values=((1.0,),)))


def test_the_mean_is_over_what_was_reconstructed():
    """A wiring of the head alone does not halve the tail's; scales are those of the common neurons."""
    one, head, signals = (np.zeros((4, 4)) for _ in range(3))
    one[1, 0], one[2, 1], one[3, 2] = 2.0, 4.0, 6.0
    head[1, 0] = 30.0  # the head: 0 and 1
    signals[:] = np.nan
    signals[0, 3] = 0.2
    none = np.zeros((4, 4))
    mean = consensus([Connectome(one, none), Connectome(head, none), Connectome(none, none, signals)])
    expected = np.zeros((4, 4))
    expected[1, 0], expected[2, 1], expected[3, 2] = 16.0, 32.0, 48.0  # 2 : 30, both scaled to their mean
    np.testing.assert_allclose(mean.chemical, expected)
    assert mean.functional[0, 3] == 0.2 and mean.count == 3 and not mean.electrical.any()
    apart = np.zeros((4, 4))
    apart[3, 2] = 1.0
    with pytest.raises(ValueError, match="neurons in common"):
        consensus([Connectome(head, none), Connectome(apart, none)])


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published wirings are not at ../shared/data/celegans")
def test_four_published_wirings_are_alike():
    """Two adults of one laboratory more so than those of two; all far above a wiring that is turned over."""
    pytest.importorskip("openpyxl", reason="workbooks need openpyxl (ranvier[tables])")
    names = "white1986_whole.csv", "herm_full_edgelist.csv", "witvliet2020_7.xlsx", "witvliet2020_8.xlsx"
    wirings = [read_wiring(PUBLISHED / name) for name in names]
    covers = np.logical_and.reduce([(w.chemical + w.electrical).any(0) for w in wirings])
    parts = [w.chemical[np.ix_(covers, covers)].ravel() for w in wirings]
    likeness = np.corrcoef(parts)
    assert likeness[np.triu_indices(4, 1)].min() > 0.6 and likeness[2, 3] > likeness[:2, 2:].max()
    turned = wirings[1].chemical.T[np.ix_(covers, covers)].ravel()
    assert np.corrcoef(parts[0], turned)[0, 1] < 0.4  # [target, source] in all of them
    assert consensus(wirings).count == 4
