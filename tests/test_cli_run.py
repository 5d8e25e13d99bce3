"""`ranvier run` on small wirings, as a user types it: pages, resumption, and mistakes in one line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from ranvier.cli import commands
from ranvier.cli.advice import as_typed


@pytest.fixture
def edges(tmp_path):
    """Twelve neurons in a ring with a chord each."""
    ends = [(n, (n + step) % 12, 3 + step) for n in range(12) for step in (1, 5)]
    path = tmp_path / "ring.csv"
    path.write_text("source,target,weight\n" + "".join(f"n{a},n{b},{w}\n" for a, b, w in ends))
    return path


@pytest.fixture
def without_pictures(monkeypatch):
    """Pages whose pictures are laid out and drawn elsewhere: half of a page's time."""
    from ranvier.report import _page

    monkeypatch.setattr(_page, "inline", lambda picture: "data:image/svg+xml;base64,")


def spikes(folder):
    from ranvier.engines import Recording

    recording = Recording.open(folder / "run")
    return np.asarray(recording.times), np.asarray(recording.neurons)


def test_an_edge_list_becomes_a_page(call, edges, tmp_path, capsys):
    assert call("run", edges, "--seconds", "3", "--signs", "n3=-1", "--seed", 4, "--delay", "1500 us") == 0
    out = tmp_path / "out" / "ring"
    assert "out/ring/report.html" in capsys.readouterr().out
    html = (out / "report.html").read_text()
    assert "ring.csv" in html and "Signs: n3 inhibit" in html and "a delay of 1.5 ms" in html
    assert "spectral radius of the linearised coupling" in html
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["seed"] == 4 and manifest["duration_ms"] == 3000.0 and manifest["ranvier"]
    assert sorted(p.name for p in out.iterdir() if p.suffix != ".nwb") == [
        "citations.txt", "manifest.json", "neurons.csv", "pairs.csv", "report.html", "run", "settings.json",
    ]  # fmt: skip
    assert manifest["command"].startswith(f"ranvier run {edges} --seconds 3 --seed 4 --signs n3=-1")


def test_a_graded_page_from_an_edge_list(call, edges, tmp_path, capsys, request):
    assert call("run", edges, "--seconds", "5", "--neuron", "Graded", "--format", "csv") == 0
    out = tmp_path / "out" / "ring"
    assert "Voltages of" in (out / "report.html").read_text()
    assert not (out / "activity.nwb").exists() and "finished already" not in capsys.readouterr().out
    (out / "neurons.csv").unlink()
    request.getfixturevalue("without_pictures")
    assert call("run", edges, "--seconds", "5", "--neuron", "Graded", "--format", "csv") == 0
    assert "this run is finished already" in capsys.readouterr().out and (out / "neurons.csv").exists()


@pytest.mark.usefixtures("without_pictures")
def test_the_numbers_are_those_of_the_recording(call, tmp_path):
    """Names that a spreadsheet would compute are texts; rates are the spikes' of the run, in the table as in the NWB
    file."""
    from ranvier.engines import Recording

    names = ["=1+1", "+a", "-b", "@c", "plain"]
    table = tmp_path / "names.csv"
    ends = [(a, b) for a in names for b in names if a != b]
    table.write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in ends))
    assert call("run", table, "--seconds", "3", "--out", tmp_path / "out") == 0
    with open(tmp_path / "out" / "neurons.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["neuron"] for row in rows) == sorted(["'=1+1", "'+a", "'-b", "'@c", "plain"])
    recording = Recording.open(tmp_path / "out" / "run")
    after = recording.after(300.0)  # a tenth is left out
    expected = np.bincount(after.neurons, minlength=5) / after.duration * 1000
    assert np.allclose([float(row["rate_Hz"]) for row in rows], expected, rtol=1e-6)
    with open(tmp_path / "out" / "pairs.csv", encoding="utf-8", newline="") as file:
        pairs = list(csv.DictReader(file))
    assert len(pairs) == 10 and all(pair["first"][0] != "=" for pair in pairs)
    pynwb = pytest.importorskip("pynwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "out" / "activity.nwb"), "r") as io:
        units = io.read().units
        trains = [np.asarray(units["spike_times"][k]) for k in range(5)]
    assert [len(train) for train in trains] == np.bincount(recording.neurons, minlength=5).tolist()
    assert np.allclose(np.sort(np.concatenate(trains)) * 1000, recording.times, atol=1e-6)


@pytest.mark.parametrize(
    ("format", "message"),
    [("xls", "--format is 'xls'; expected csv and nwb"), ("csv,none", "or none"), ("nwb", "--format nwb: pip install")],
)
def test_formats_that_cannot_be_written_are_refused_first(call, edges, tmp_path, capsys, monkeypatch, format, message):
    from ranvier.cli import exports

    monkeypatch.setattr(exports, "find_spec", lambda name: None)
    assert call("run", edges, "--seconds", "3", "--format", format) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_advice_is_typed_as_options(call, tmp_path, capsys):
    one = tmp_path / "one.csv"
    one.write_text("a\nb\nc\n")
    assert call("run", one) == 2
    assert "has one column" in (error := capsys.readouterr().err) and "--delimiter '|'" in error
    wide = tmp_path / "wide.csv"
    wide.write_text("1,2,3,4,5,6\n2,3,4,5,6,7\n")
    assert call("run", wide) == 2
    assert "--columns source=0,target=1,weight=2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ('Say: columns={"source": ..., "target": ...}.', "Say: --columns source=...,target=...."),
        ("give columns={\"source\": 'pre', ...}.", "give --columns source=pre,...."),
        ('name it: columns={"weight": "overlap size"}.', "name it: --columns 'weight=overlap size'."),
        ("expected header=True or False (--header, --no-header).", "expected --header or --no-header."),
        ("signs={'glutamate': -1} (--signs glutamate=-1) turns it.", "--signs glutamate=-1 turns it."),
        ("rows='sources' turns it.", "--rows sources turns it."),
        ("expected bin=, the ms", "expected --bin, the ms"),
        ("--seconds=3 and my.rows=4", "--seconds=3 and my.rows=4"),
        ("no file 'bin=10/x.csv', none 'a/rows=3'", "no file 'bin=10/x.csv', none 'a/rows=3'"),
    ],
)
def test_python_arguments_become_options(text, typed):
    assert as_typed(text) == typed


@pytest.mark.usefixtures("without_pictures")
def test_a_stopped_run_goes_on_to_the_same_spikes(call, edges, tmp_path, monkeypatch, capsys):
    from ranvier.engines import _run

    whole = tmp_path / "whole"
    assert call("run", edges, "--seconds", "3", "--out", whole) == 0
    spans = _run._spans

    def stopped(runner, steps):
        for count, last in enumerate(spans(runner, steps)):
            if count == 3:
                raise KeyboardInterrupt
            yield last

    monkeypatch.setattr(_run, "_spans", stopped)
    parts = tmp_path / "parts"
    assert call("run", edges, "--seconds", "3", "--out", parts) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    assert not (parts / "report.html").exists()
    monkeypatch.setattr(_run, "_spans", spans)
    assert call("run", edges, "--seconds", "3", "--out", parts) == 0
    for there, here in zip(spikes(whole), spikes(parts)):
        assert np.array_equal(there, here)
    assert len(spikes(whole)[0]) > 100


@pytest.mark.usefixtures("without_pictures")
def test_another_run_in_the_folder_is_refused_unless_asked(call, edges, capsys):
    assert call("run", edges, "--seconds", "3") == 0
    capsys.readouterr()
    assert call("run", edges, "--seconds", "3", "--gain", "100") == 2
    error = capsys.readouterr().err
    assert "no --gain there, 100.0 here" in error and "--again discards it" in error
    assert call("run", edges, "--seconds", "4") == 2
    error = capsys.readouterr().err
    assert "(--seconds 3 there, 4 here)" in error and error.count("\n") == 1
    assert call("run", edges, "--seconds", "3", "--gain", "100", "--again") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("nowhere.csv",),
            "there is no file 'nowhere.csv'; expected larva, celegans, flybrain, or the path of a wiring",
        ),
        (
            ("EDGES", "--neuron", "HH"),
            "--neuron is 'HH'; expected one of EIF, LIF, QIF, AdEx, Izhikevich, Graded",
        ),
        (
            ("EDGES", "--signs", "n77=-1"),
            "expected a neuron, as this wiring has no classes, which --nodes gives: did you mean 'n7'?",
        ),
        (("EDGES", "--signs", "n1=blue"), "the sign is 'blue'; expected -1, 1 or 0"),
        (("EDGES", "--signs", "signs.csv"), "there is no such file; expected one of lines 'class,sign'"),
        (("EDGES", "--delay", "1 mV"), "--delay: there is '1 mV'"),
        (("EDGES", "--dt", "-0.1"), "--dt is '-0.1'; expected a time above 0 ms"),
        (("EDGES", "--seconds", "0.1"), "expected a number of seconds, 2.5 to 1e+08"),
        (("EDGES", "--seconds", "nan"), "expected a number of seconds, 2.5 to 1e+08"),
        (("EDGES", "--seconds", "-1"), "--seconds is '-1'; expected a number of seconds"),
        (("EDGES", "--seconds", "ten"), "--seconds is 'ten'; expected a number of seconds"),
        (("EDGES", "--engine", "gpu"), "engine is 'gpu'"),
        (("EDGES", "--delay", "0.01"), "0.01"),
        (("EDGES", "--neuron", "Graded", "--delay", "1"), "expected none, as graded synapses are continuous"),
    ],
)
def test_mistakes_end_in_one_line_and_leave_nothing(call, edges, tmp_path, capsys, arguments, message):
    assert call("run", *(edges if a == "EDGES" else a for a in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_bench_says_where_it_runs(call, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(commands, "__file__", str(tmp_path / "a" / "b" / "c" / "d" / "commands.py"))
    assert call("bench") == 2
    assert "expected a checkout" in capsys.readouterr().err
