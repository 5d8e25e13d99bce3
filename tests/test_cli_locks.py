"""One folder, one run: real processes race for it, kill, are killed, fill the disk and delete it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.processes import Child, command_line

pytestmark = pytest.mark.slow
FOR_EVER = ("--seconds", "1000000")


@pytest.fixture
def edges(tmp_path):
    path = tmp_path / "ring.csv"
    lines = [f"n{a},n{(a + s) % 12},{3 + s}\n" for a in range(12) for s in (1, 5)]
    path.write_text("source,target,weight\n" + "".join(lines))
    return path


def start(edges, out, *options, function=command_line):
    return Child(function, "run", edges, "--out", out, *options)


def with_a_full_disk(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
    command_line(*arguments)


def ends(process) -> tuple[int, str]:
    """Exit code and standard error, without what the machine warns of."""
    _, error = process.communicate(timeout=120)
    assert "Traceback" not in error, error
    return process.returncode, error


def running(edges, out, *options):
    """A run that has written its first segment."""
    process = start(edges, out, *FOR_EVER, *options)
    began = time.monotonic()
    while not (out / "run" / "segment-000000.safetensors").exists():
        assert process.poll() is None and time.monotonic() - began < 120, process.communicate()
        time.sleep(0.05)
    return process


def listing(out: Path) -> dict[str, int]:
    return {str(p.relative_to(out)): p.stat().st_ino for p in out.rglob("*.json")}


def test_a_running_run_is_left_alone_and_goes_on_when_killed(edges, tmp_path):
    out = tmp_path / "out"
    first = running(edges, out, "--seed", 1)
    first.send_signal(signal.SIGSTOP)  # it holds its lock, and the processor is free for the others
    before = listing(out)
    for options in (("--seed", 1, *FOR_EVER), ("--seed", 2, "--seconds", 3, "--again")):
        code, error = ends(start(edges, out, *options))
        assert code == 2 and f"is in use by another run (process {first.pid}" in error and error.count("\n") == 1
    assert listing(out) == before and json.loads((out / "settings.json").read_text())["seed"] == 1
    assert first.poll() is None
    first.kill()
    first.communicate()
    segments = len(list((out / "run").glob("segment-*")))
    again = start(edges, out, "--seed", 1, *FOR_EVER)  # the lock went with its holder
    while len(list((out / "run").glob("segment-*"))) <= segments:
        assert again.poll() is None, again.communicate()
        time.sleep(0.05)
    again.send_signal(signal.SIGINT)
    code, error = ends(again)
    assert code == 130 and error.splitlines()[-1] == "stopped; the same command goes on from here"
    code, error = ends(start(edges, out, "--seed", 2, "--seconds", 3, "--again"))
    assert code == 0 and json.loads((out / "manifest.json").read_text())["seed"] == 2
    assert {p.name for p in out.iterdir()} - {"activity.nwb"} == {
        "citations.txt", "manifest.json", "neurons.csv", "pairs.csv", "report.html", "run", "settings.json",
    }  # fmt: skip


def test_of_racing_runs_the_winners_stays_whole(edges, tmp_path):
    out = tmp_path / "out"
    racing = [start(edges, out, "--seconds", 3, "--seed", seed) for seed in range(3)]
    ended = [ends(process) for process in racing]
    assert [code for code, _ in ended].count(0) == 1, ended
    assert all(code == 0 or (code == 2 and ("is in use" in e or "holds another run" in e)) for code, e in ended), ended
    winner = [code for code, _ in ended].index(0)
    for name in ("settings.json", "manifest.json", "run/manifest.json"):
        assert json.loads((out / name).read_text())["seed"] == winner


def test_a_deleted_folder_is_named_as_the_cause(edges, tmp_path):
    out = tmp_path / "out"
    process = running(edges, out)
    shutil.rmtree(out, ignore_errors=True)  # it may write in between
    shutil.rmtree(out, ignore_errors=True)
    code, error = ends(process)
    assert code == 2 and "was deleted or moved while this run wrote to it" in error


def test_a_full_disk_names_the_file_and_the_same_command_goes_on(edges, tmp_path):
    out = tmp_path / "out"
    options = ("--seconds", 4, "--neuron", "Graded")
    code, error = ends(start(edges, out, *options, function=with_a_full_disk))
    assert code == 2 and "make room, and the same command goes on from here" in error and str(out) in error, error
    # a line before it says that compiled code is not kept either
    assert [line.startswith("ranvier: ") for line in error.splitlines()].count(True) == 1
    code, error = ends(start(edges, out, *options))
    assert code == 0, error
    assert (out / "report.html").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(edges, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    code, error = ends(start(edges, tmp_path / "closed" / "out", "--seconds", 3))
    assert code == 2 and "closed" in error
