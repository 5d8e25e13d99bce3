"""`ranvier run` on small wirings, as a user types it: pages, resumption, and mistakes in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ranvier.cli import commands


@pytest.fixture
def edges(tmp_path):
    """Twelve neurons in a ring with a chord each."""
    ends = [(n, (n + step) % 12, 3 + step) for n in range(12) for step in (1, 5)]
    path = tmp_path / "ring.csv"
    path.write_text("source,target,weight\n" + "".join(f"n{a},n{b},{w}\n" for a, b, w in ends))
    return path


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
    assert sorted(p.name for p in out.iterdir()) == ["manifest.json", "report.html", "run", "settings.json"]


def test_a_graded_page_from_an_edge_list(call, edges, tmp_path):
    assert call("run", edges, "--seconds", "5", "--neuron", "Graded") == 0
    assert "Voltages of" in (tmp_path / "out" / "ring" / "report.html").read_text()


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
            "nor a transmitter; expected a neuron, as this wiring has no classes: did you mean 'n7'?",
        ),
        (("EDGES", "--signs", "n1=blue"), "the sign is 'blue'; expected -1, 1 or 0"),
        (("EDGES", "--signs", "signs.csv"), "there is no such file; expected one of lines 'class,sign'"),
        (("EDGES", "--delay", "1 mV"), "--delay: there is '1 mV'"),
        (("EDGES", "--dt", "-0.1"), "--dt is '-0.1'; expected a time above 0 ms"),
        (("EDGES", "--seconds", "0.1"), "expected at least 2.5 s"),
        (("EDGES", "--seconds", "nan"), "expected a time above 0"),
        (("EDGES", "--seconds", "ten"), "--seconds: the value is 'ten'"),
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
