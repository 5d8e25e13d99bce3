"""Sides in separate processes: a line of JSON asked, a line answered, in turn, so that the machine's moods meet
everybody alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[1]
_Key = TypeVar("_Key")


class Failed(RuntimeError):
    """A process could not do what it was asked."""


class Process:
    """What `command` runs; it says a line when it is ready, `first`, and then answers each line with one."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str] = os.environ) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        try:
            self.first = self._read()
        except Failed:
            self.close()
            raise

    def ask(self, what: Any = None) -> Any:
        """The answer. Raises Failed where the process has ended, or answers with an "error"."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"{self.name}'s process ended with {self.process.wait()}") from None
        return self._read()

    def close(self) -> None:
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.name}'s process ended with {self.process.wait()}")
        answer = json.loads(line)
        if isinstance(answer, dict) and "error" in answer:
            raise Failed(f"{self.name}: {answer['error']}")
        return answer


def answering() -> Callable[[Any], None]:
    """Of such a process: answers with one line; whatever else it prints goes to the standard error from now on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(what: Any) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    return answer


def in_turn(sides: Mapping[_Key, Callable[[], float]], rounds: int) -> dict[_Key, list[float]]:
    """What each side says, `rounds` times; each round begins with another one."""
    names = list(sides)
    result: dict[_Key, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for k in range(len(names)):
            name = names[(turn + k) % len(names)]
            result[name].append(sides[name]())
    return result


def install(folder: Path, *calls: Sequence[str], stamp: str = ".ready", check: str = "") -> str:
    """Make the environment `folder` with what these calls of pip install bring, once; the reason why not, or nothing.

    check: code that must run there.
    """
    ready, expected = folder / stamp, json.dumps(calls)
    if ready.exists() and ready.read_text() == expected:
        return ""
    print(f"installing {' '.join(calls[-1])} in {folder.name} ...", file=sys.stderr, flush=True)
    python = str(folder / "bin" / "python")
    commands = [[python, "-m", "pip", "install", "--quiet", *call] for call in calls]
    if not Path(python).exists():
        commands.insert(0, [sys.executable, "-m", "venv", str(folder)])
    if check:
        commands.append([python, "-c", check])
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, text=True)
    except (subprocess.CalledProcessError, OSError) as error:
        lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        return f"it could not be installed: {lines[-1] if lines else error}"
    ready.write_text(expected)
    return ""
