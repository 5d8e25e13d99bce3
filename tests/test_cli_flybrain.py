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
    assert str(first) in (tmp_path / "out/flybrain/rates.csv").read_text()
    assert "150 Hz:" in capsys.readouterr().out
    assert call("run", "flybrain", *options, "--seconds", "0.2") == 0
    assert "150 Hz:" not in capsys.readouterr().out
    assert call("run", "flybrain", *options, "--seconds", "0.3") == 2
    assert call("run", "flybrain", "--connections", "edges.csv", "--drive-neurons", "7") == 2
    assert "1 of 1 ids are not in the connectome, 7 first" in capsys.readouterr().err
    assert call("run", "flybrain", "--rates", "x") == 2
