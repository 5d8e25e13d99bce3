"""What reaches the terminal: text of users and files as text, in any encoding, one line a mistake, no traceback."""

from __future__ import annotations

import errno
import inspect
import os
import re
import signal
import subprocess
import sys
import typing

import numpy as np
import pytest
from typer._completion_classes import BashComplete
from typer.main import get_command

from ranvier import cli
from ranvier._text import _HANDLER, one_line, printable
from ranvier.atlas import listing
from ranvier.brains._spiking import REGIMES
from ranvier.cli import atlas as atlas_commands
from ranvier.cli import commands, runs
from ranvier.cli.exports import FORMATS
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--seconds"), "see ranvier run --help"),
        (("atlas", "run", "--seed"), "see ranvier atlas run --help"),
        (("run", "--seconds", "abc"), "--seconds is 'abc'; expected a number of seconds, 2.5 to 1e+08, such as 300"),
        (("run", "flybrain", "--seconds", "3 mV"), "--seconds is '3 mV'; expected a number of seconds"),
        (("run", "é.csv"), "there is no file 'é.csv'"),
        (("run", "edges.csv", "--columns", "source=né"), "edges.csv has no column 'né'"),
        (("run", "edges.csv", "--seconds", "3", "--neuron", "é"), "--neuron is 'é'"),
        (("look", "edges.csv"), "expected one of times: say --times NAME"),
        (("look", "edges.csv", "--times", "source"), "source in row 2 of edges.csv is 'a'"),
        (("look", "edges.csv", "--bin", "5"), "a table with --bin, which arrays have"),
    ],
)  # fmt: skip
def test_advice_is_of_what_was_typed(call, tmp_path, arguments, words):
    (tmp_path / "edges.csv").write_text("source,target\na,b\n")
    code, _, err = call(*arguments)
    assert code == 2 and words in err, err


def test_other_alphabets_stay_in_errors():
    from ranvier._checks import printable as checked
    from ranvier._names import identifier
    from ranvier.files.entries import shown

    with pytest.raises(ValueError, match=r"is 'né\\x07', with the character U\+0007 at 2"):
        checked("né\x07", "the name")
    with pytest.raises(ValueError, match=r"is 'né', with the character U\+00E9 at 1"):
        identifier("né")
    assert shown("né\u202e") == '"né\\u202e"'


def test_neurons_without_noise_have_no_prediction_and_it_says_so(tmp_path):
    (tmp_path / "edges.csv").write_text("source,target,weight\na,b,0\n")
    job = runs.build(runs.RunSettings(wiring=str(tmp_path / "edges.csv"), neuron="LIF", noise="0"))
    lines: list[str] = []
    comparison, refusal, _ = runs._predicted(job, None, 1, lines.append)
    assert comparison is None and lines[-1].startswith("no prediction: ") and "recurrent" not in refusal
    assert all("--noise takes a number above 0 (mV), or inputs" in text for text in (lines[-1], refusal))


WORK = {
    "run": ("ranvier.engines.simulate", ("run", "edges.csv", "--seconds", "3", "--out", "o"), "o/neurons.csv"),
    "fly": ("ranvier.brains.fly_wiring", ("run", "flybrain", "--out", "o"), "o/rates.csv"),
    "look": ("ranvier.recordings.read_session", ("look", "edges.csv", "--out", "o/page.html"), "o/page.html"),
    "read": ("ranvier.interpret.feature_neurons", ("read", "model", "--out", "o"), "o/manifest.json"),
    "verify": ("ranvier.verify.competition.verify", ("verify", "n.onnx", "p.vnnlib", "--out", "o/r"), "o/r"),
    "atlas run": ("ranvier.atlas.run", ("atlas", "run", "brunel", "--results", "o"), "o/brunel/result.json"),
    "atlas site": ("ranvier.atlas.site.build", ("atlas", "site", "--out", "o"), "o/index.html"),
}


@pytest.fixture
def works(monkeypatch, tmp_path):
    """Raise something in the place of a command's work."""
    from types import SimpleNamespace

    import ranvier.interpret
    import ranvier.verify.competition as competition

    tokenizer = SimpleNamespace(pad_token=None, eos_token=None)
    monkeypatch.setattr(ranvier.interpret, "read_model", lambda _: (None, tokenizer))
    monkeypatch.setattr(competition, "load", lambda *_, **__: pytest.fail("read before --out was tried"), raising=False)
    (tmp_path / "edges.csv").write_text("source,target\na,b\n")

    def replaced(name: str, error: BaseException) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(name, fail)

    return replaced


@pytest.mark.parametrize("command", WORK)
def test_where_nothing_can_be_written_nothing_is_computed(call, works, tmp_path, command):
    work, arguments, file = WORK[command]
    works(work, AssertionError("it works before it looks where it writes"))
    (tmp_path / file).mkdir(parents=True)
    code, _, err = call(*arguments)
    assert code == 2 and file.rpartition("/")[2] in err and ("Is a folder" in err or "another --out" in err), err


@pytest.mark.parametrize("command", sorted(set(WORK) - {"verify"}))
def test_ctrl_c_ends_every_command_in_one_line(call, works, command):
    works(WORK[command][0], KeyboardInterrupt())
    code, _, err = call(*WORK[command][1])
    assert code == 130 and re.fullmatch(r"stopped; [a-z ]+\n", err), err


def test_ctrl_c_is_said_where_nothing_is_kept(call, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ranvier.atlas.listing", interrupted)
    assert call("atlas", "list") == (130, "", "stopped\n")


def test_ctrl_c_while_modules_are_imported(call, monkeypatch):
    import builtins

    real = builtins.__import__

    def interrupted(name, *rest):
        if name == "ranvier.cli.commands":
            raise KeyboardInterrupt
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    assert call("atlas", "list") == (130, "", "stopped\n")


def stopped_often(impatient: bool) -> None:
    from ranvier.cli import interrupts

    interrupts.take_over()
    try:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            interrupts._began -= 10.0 * impatient
            signal.raise_signal(signal.SIGINT)  # at once, as `timeout` does, or of one who has waited
            print("in order")
        interrupts.leave(interrupts.INTERRUPTED)
    finally:
        signal.raise_signal(signal.SIGINT)  # while Python is taken down


@pytest.mark.parametrize("impatient, printed", [(False, ("in order\n", "")), (True, ("", "stopped\n"))])
def test_no_ctrl_c_ends_a_command_by_the_signal(impatient, printed):
    child = Child(stopped_often, impatient)
    assert (child.communicate(), child.returncode) == (printed, 130)


#: `python -m stopped`: Ctrl-C while a text is run, as where a dataclass is made, and when Python has put handlers back
STOPPED = """
import os, signal, sys, types

class Last:
    def __del__(self, kill=os.kill, own=os.getpid(), number=signal.SIGINT):
        kill(own, number)

def app(standalone_mode):
    exec("raise KeyboardInterrupt")

commands = sys.modules["ranvier.cli.commands"] = types.ModuleType("commands")
commands.app, commands.last = app, Last()
from ranvier.cli import main
main()
"""


def test_python_itself_does_not_end_by_the_signal(tmp_path):
    (tmp_path / "stopped.py").write_text(STOPPED)
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", "stopped"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "stopped\n")


def test_a_handler_of_others_stays(call):
    handler = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup has it
    try:
        call("--version")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, handler)


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


@pytest.mark.parametrize("typed, offered", [
    ("run --neuron ", {*REGIMES, "Graded"}),
    ("run --format ", {*FORMATS, ",".join(FORMATS), "none"}),
    ("run --engine t", {"torch"}),
    ("run c", {"celegans"}),
    ("run edg", set()),  # the shell offers files
    ("atlas run hop", {entry.name for entry in listing() if entry.name.startswith("hop")}),
    ("atlas run --size ", {"small", "full"}),
])  # fmt: skip
def test_tab_offers_what_an_option_takes(monkeypatch, typed, offered):
    words = f"ranvier {typed}"
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    shell = BashComplete(get_command(commands.app), {}, "ranvier", "_RANVIER_COMPLETE")
    assert set(shell.complete().split()) == offered
