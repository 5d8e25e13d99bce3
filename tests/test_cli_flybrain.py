"""`ranvier run flybrain` on a small connectome, as a user types it."""

import csv

import pytest

from ranvier import brains

pytest.importorskip("pyarrow")
FIRST = 720575940600000000


def test_drive_silence_and_go_on(call, tmp_path, capsys):
    brain = brains.fly_wiring(500, seed=2)
    with open("edges.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["pre_root_id", "post_root_id", "syn_count", "nt_type"])
        for s, t, c in zip(brain.sources, brain.targets, brain.counts, strict=True):
            rows.writerow([FIRST + int(s), FIRST + int(t), abs(c), "ACH" if c > 0 else "GABA"])
    first = FIRST + int(brain.sources[brain.counts > 0][0])
    options = ["--connections", "edges.csv", "--drive-neurons", first, "--silence", first, "--rates", "0,150"]
    assert call("run", "flybrain", *options, "--seconds", "0.2") == 0
    page = (tmp_path / "out/flybrain/report.html").read_text()
    assert str(first) in page and "silenced" in page and "Dose and response" in page
    assert "Predicted from the wiring" in page and "Neurons that follow the driven ones" in page
    assert str(first) in (tmp_path / "out/flybrain/rates.csv").read_text()
    assert "150 Hz:" in capsys.readouterr().out
    assert call("run", "flybrain", *options, "--seconds", "0.2") == 0
    assert "150 Hz:" not in capsys.readouterr().out
    assert call("run", "flybrain", *options, "--seconds", "0.3") == 2
    assert call("run", "flybrain", "--connections", "edges.csv", "--drive-neurons", "7") == 2
    assert "1 of 1 ids are not in the connectome, 7 first" in capsys.readouterr().err
    assert call("run", "flybrain", "--rates", "x") == 2
    capsys.readouterr()
    assert call("run", "flybrain", *options, "--jobs", "x") == 2
    assert "jobs is 'x'; expected a number, or an address" in capsys.readouterr().err


def test_neurons_are_named_by_id_name_type_and_class(call, monkeypatch, tmp_path):
    brain = brains.fly_wiring(300, seed=2)
    with open("edges.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["pre_root_id", "post_root_id", "syn_count"])
        rows.writerows([FIRST + int(s), FIRST + int(t), abs(int(c))]
                       for s, t, c in zip(brain.sources, brain.targets, brain.counts, strict=True))  # fmt: skip
    with open("nodes.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["root_id", "name", "cell_type", "super_class"])
        for k in reversed(range(300)):
            rows.writerow([FIRST + k, f"N{k}", "GRN" if k < 20 else "", "motor" if k == 7 else "central"])
    read = brains.read_connectome("edges.csv", "nodes.csv")
    assert brains.find(read, ["grn"], "x").tolist() == list(range(20))
    assert brains.find(read, ["N5", "motor", str(FIRST + 9), " "], "x").tolist() == [5, 7, 9]
    assert brains.shown(read)[7] == f"N7 {FIRST + 7}"
    with pytest.raises(ValueError, match="x names 'sugar', which is no id and no label of the table"):
        brains.find(read, ["GRN", "sugar"], "x")
    with pytest.raises(ValueError, match="it has no such column: give ids, or --nodes"):
        brains.find(brain, ["GRN"], "x")
    tables = "--connections", "edges.csv", "--nodes", "nodes.csv"
    neurons = "--drive-neurons", "GRN", "--silence", "motor,N8"
    assert call("run", "flybrain", *tables, *neurons, "--rates", "200", "--seconds", "0.1", "--jobs", "2") == 0
    page = (tmp_path / "out/flybrain/report.html").read_text()
    assert "Activation against silencing" in page and f"N8 {FIRST + 8}" in page
    assert "silent once neurons are silenced" in page


@pytest.mark.parametrize(("options", "seconds"), [([], "1"), (["--seconds", "300"], "300")])
def test_300_seconds_are_300_and_none_are_one(call, monkeypatch, options, seconds):
    from ranvier.cli import flies

    values = {}
    monkeypatch.setattr(flies, "run_fly", lambda out, **options: values.update(options))
    assert call("run", "flybrain", *options) == 0
    assert values["seconds"] == seconds


def test_again_discards_doses_and_no_file_of_others(tmp_path):
    from ranvier.cli.flies import _discard_doses

    (tmp_path / "doses").mkdir()
    for name in ("rate-50.json", ".rate-60.json.1a2b"):
        (tmp_path / "doses" / name).write_text("{}")
    (tmp_path / "doses" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"thesis\.txt was written by no run"):
        _discard_doses(tmp_path)
    assert len(list((tmp_path / "doses").iterdir())) == 3
    (tmp_path / "doses" / "thesis.txt").unlink()
    _discard_doses(tmp_path)
    assert not list((tmp_path / "doses").iterdir())
