"""What reaches the terminal: text of users and files as text, in any encoding, one line a mistake, no traceback."""

from __future__ import annotations

import errno
import inspect
import os
import re
import subprocess
import sys
import typing

import numpy as np
import pytest

from ranvier import cli
from ranvier._text import _HANDLER, one_line, printable
from ranvier.cli import atlas as atlas_commands
from ranvier.cli import commands, runs
from tests.processes import Child, command_line

MAIN = "from ranvier.cli import main; main()"


@pytest.fixture
def call(call, capsys):
    """`call`, which returns exit code, output and errors."""

    def ranvier(*arguments: object) -> tuple[int, str, str]:
        code = call(*arguments)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return ranvier


@pytest.fixture
def quick(monkeypatch):
    """`run` without what takes time: says what it would, and writes nothing."""

    def execute(settings, out, *, threads, again, say, formats):
        say(f"{settings.wiring}: begun")
        return out

    monkeypatch.setattr(runs, "execute", execute)


HOSTILE = [
    "m[/b]2", "[bold", "[/]", "[link=x]", ":smile:", "a\\[b", "{x}", "%s", "\x1b[31mred", "a\nb", "\u202eabc", "é−→",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_printed_as_it_is(call, quick, name):
    code, out, _ = call("run", name, "--out", name)
    assert code == 0
    assert f"{printable(name) if chr(10) not in name else one_line(name)}: begun\n" in out
    assert "\x1b" not in out and "\u202e" not in out and out.count("\n") == 2


@pytest.mark.parametrize("name", HOSTILE)
def test_a_mistake_about_a_name_is_one_line(call, name):
    code, _, err = call("run", name)
    assert code == 2 and err.count("\n") == 1 and "larva, celegans, flybrain, or the path" in err and "\x1b" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("rnu",), ("run", "--nosuch"), ("run", "a", "b"), ("run", "--seed", "x"), ("run", "--seed", "-1"),
        ("run", "--gain", "strong"), ("run", "--threads", "0"), ("run", "--gain"), ("atlas", "ls"),
        ("atlas", "run", "--jobs", "0"), ("atlas", "run", "brunel", "--size", "huge"), ("atlas", "run", "brnel"),
        ("run", "--seconds", "0"), ("run", "--seconds", "-3"), ("run", "--seconds", "inf"),
        ("run", "--seconds", "5 mV"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(call, arguments, tmp_path):
    code, _, err = call(*arguments)
    assert code == 2 and err.startswith("ranvier: ") and err.count("\n") == 1, err
    assert list(tmp_path.iterdir()) == []


def on_a_terminal(encoding, *arguments):
    """`ranvier ARGUMENTS` where standard output and error have an encoding, as Python opens them."""
    sys.stdout.reconfigure(encoding=encoding, errors="strict")
    sys.stderr.reconfigure(encoding=encoding, errors="backslashreplace")
    command_line(*arguments)


ENCODINGS = ["ascii", "latin-1", "utf-8", "cp1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("arguments", [("run", "nowhere-é-−-神.csv"), ("--help",)])
def test_every_encoding_will_do(encoding, arguments):
    child = Child(on_a_terminal, encoding, *arguments, env={"COLUMNS": "100"})
    text = "".join(child.communicate(encoding=encoding))
    assert child.returncode == (2 if "run" in arguments else 0), text
    assert "Traceback" not in text and "codec" not in text and len(text) > 20
    if "run" in arguments and encoding in ("ascii", "latin-1"):
        assert "é" in text if encoding == "latin-1" else "nowhere-e---?.csv" in text


def test_the_atlas_is_listed_in_a_locale_without_any_encoding(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", MAIN, "atlas", "list"]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, timeout=120)
    assert done.returncode == 0 and done.stderr == b"" and len(done.stdout.decode("ascii")) > 1000


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_atlas_is_spelt_in_every_encoding(call, encoding):
    code, out, _ = call("atlas", "list")
    assert code == 0 and len(out.encode(encoding, _HANDLER)) > 1000


def test_a_closed_pipe_is_no_error(tmp_path):
    script = f"set -o pipefail; {sys.executable} -c '{MAIN}' atlas list | head -1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr and done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "stopped; nothing is there yet to go on from\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), 2, "a/b: No space left on device; make room, and"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 2, "Disk quota exceeded; make room, and the same"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), 2, "ranvier: a/b: Permission denied\n"),
        (ImportError("No module named 'pyarrow'"), 2, "No module named 'pyarrow'"),
        (MemoryError(), 2, "out of memory"),
        (ValueError("two\n  lines [/b] \x1b[0m"), 2, "ranvier: two lines [/b] \\x1b[0m\n"),
        (ZeroDivisionError("float division"), 1, "this is a fault of Ranvier"),
        (KeyError("x"), 1, "this is a fault of Ranvier"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["run", "atlas"])
def test_every_error_is_one_line_and_a_code(call, monkeypatch, command, error, code, words):
    from ranvier import atlas

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(runs, "execute", fail)
    monkeypatch.setattr(atlas, "run", fail)
    got, _, err = call(*(("run",) if command == "run" else ("atlas", "run", "brunel")))
    assert got == code and words in err and err.count("\n") == 1


def test_a_traceback_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(runs, "execute", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["ranvier", "run"])
    monkeypatch.setenv("RANVIER_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main()


def options(command) -> dict[str, str]:
    """Help of each option and argument of a command, by parameter."""
    result = {}
    for name, hint in typing.get_type_hints(command, include_extras=True).items():
        for one in getattr(hint, "__metadata__", ()):
            result[name] = one.help or ""
    return result


def test_the_help_says_what_the_code_does():
    from ranvier.brains._spiking import REGIMES

    said = options(commands.run)
    assert re.findall(r"\d[\d.]*", said["dt"]) == [f"{runs.DT:g}", f"{runs.DT_GRADED:g}"]
    assert f"at least {runs.SHORTEST / 1000:g}" in said["seconds"]
    assert all(re.search(rf"\b{name}\b", said["neuron"]) for name in (*REGIMES, "Graded"))
    assert said["neuron"].startswith(f"{next(iter(REGIMES))} (default)")
    assert all(name in said["wiring"] for name in runs.BUILT_IN)
    assert all(engine in said["engine"] for engine in ("compiled", "torch"))
    assert "out/NAME by default" in said["out"] and runs.RunSettings(wiring="a/b.csv").name == "b"
    # every setting is an option of the same name and the same default
    function = {name: p.default for name, p in inspect.signature(commands.run).parameters.items()}
    settings = runs.RunSettings()
    for name in settings.__dataclass_fields__:
        if name != "seconds":  # one of its own for flybrain
            assert function[name] == getattr(settings, name), name
    assert function["seconds"] is None and f"{settings.seconds} (flybrain: 1)" in said["seconds"]
    fly = {"connections", "drive_neurons", "silence", "rates", "jobs"}  # of `ranvier run flybrain`
    assert set(function) - set(settings.__dataclass_fields__) == {"threads", "out", "again", "formats"} | fly


def test_every_option_has_help():
    for command in (commands.run, atlas_commands.atlas_list, atlas_commands.atlas_run, atlas_commands.atlas_site):
        for name, text in options(command).items():
            assert text or name == "names", f"{command.__name__}: {name}"


def test_delays_and_steps_are_those_of_the_help(tmp_path):
    """Of a network built without options: 1 ms, as --delay says."""
    path = tmp_path / "two.csv"
    path.write_text("source,target,weight\na,b,1\nb,a,2\n")
    job = runs.build(runs.RunSettings(wiring=str(path)))
    (delay,) = {float(d) for p in job.network.projections for d in np.ravel(p.delay)}
    assert f"ms; {delay:g} (graded" in options(commands.run)["delay"]
