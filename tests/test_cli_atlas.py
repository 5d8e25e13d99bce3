"""`ranvier atlas` as a user types it: what it prints, its exit codes, its errors in one line."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest


@pytest.fixture
def demo(monkeypatch, request):
    from ranvier.atlas import _registry, experiments, register
    from tests.atlas.demo_experiment import DEMO

    experiments()
    monkeypatch.setattr(_registry, "_records", {})
    return register(DEMO)


def test_list_run_site(demo, call, capsys, tmp_path):
    results, site = tmp_path / "results", tmp_path / "site"
    assert call("atlas", "list", "--results", results) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.count("\t") for line in lines} == {3}  # in a pipe a line a system
    assert [line.split("\t")[2:] for line in lines if line.startswith("demo\t")] == [["5", "not run"]]
    assert call("atlas", "run", "demo", "--results", results) == 0
    assert "3 reproduced, 1 refuted, 1 untested" in capsys.readouterr().out
    assert call("atlas", "run", "--all", "--results", results) == 0
    assert "already run" in capsys.readouterr().out
    assert call("atlas", "list", "--results", results) == 0
    assert "3 reproduced" in capsys.readouterr().out
    assert call("atlas", "site", "--results", results, "--out", site) == 0
    assert (site / "demo.html").exists()


def test_a_surviving_mutant_fails_the_run(demo, call, monkeypatch, capsys, tmp_path):
    from dataclasses import replace

    from ranvier.atlas import _registry

    tame = replace(demo, claims=(replace(demo.claims[0], mutant={"rate": 10.0}),))
    monkeypatch.setitem(_registry._records, "demo", tame)
    assert call("atlas", "run", "demo", "--results", tmp_path) == 1
    assert "the mutant survives: demo: The mean count is the rate." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "dmeo"), "no experiment 'dmeo'; expected one of `ranvier atlas list`: did you mean demo?"),
        (("run",), "name the systems to run"),
        (("run", "demo", "--all"), "or give --all alone"),
        (("run", "demo", "--size", "huge"), "--size is 'huge'; expected small or full"),
    ],
)
def test_mistakes_end_in_one_line(demo, call, capsys, tmp_path, arguments, message):
    assert call("atlas", *arguments, "--results", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_the_list_is_that_of_the_entries():
    from ranvier.atlas import experiments, listing

    entries, listed = experiments(), {entry.name: entry for entry in listing()}
    assert list(listed) == list(entries)
    for name, entry in entries.items():
        assert listed[name].title == entry.title and listed[name].claims in (None, len(entry.claims)), name
    assert sum(entry.claims is None for entry in listed.values()) < 10


def test_a_list_imports_no_entry_and_no_torch():
    code = (
        "import sys; sys.argv = ['ranvier', 'atlas', 'list']; from ranvier.cli import main\n"
        "try: main()\n"
        "except SystemExit: print({'torch', 'scipy', 'numba', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_help_is_quick():
    """The best of three, in seconds of the processor: other work may share the machine."""
    code = "import sys; sys.argv = ['ranvier', '--help']; from ranvier.cli import main; main()"
    seconds = []
    for _ in range(3):
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime)
    assert "atlas" in done.stdout
    assert min(seconds) < 0.5, seconds


def test_help_imports_nothing_heavy():
    code = (
        "import sys; import ranvier.cli; "
        "print([m for m in ('torch', 'numpy', 'numba', 'sympy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
