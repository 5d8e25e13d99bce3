"""Separate processes for tests, forked from one that has imported torch and Ranvier already: a process from
nothing spends seconds on that. They are killed, limited and read like any other."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.preload"])


class Child:
    """`function(*arguments)` in another process; what `subprocess.Popen` offers, with text."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, env: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._files = [Path(self._folder.name) / name for name in ("out", "error")]
        self._process = SERVER.Process(target=_run, args=(function, arguments, self._files, dict(env or {})))
        self._process.start()
        self.pid, self.kill = self._process.pid, self._process.kill

    @property
    def returncode(self) -> int | None:
        """The exit status, −9 for one that was killed; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        assert self.pid is not None
        os.kill(self.pid, number)

    def communicate(self, timeout: float = 120, encoding: str = "utf-8") -> tuple[str, str]:
        """Wait for the end; returns what was printed, and the errors."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"process {self.pid} still runs after {timeout:g} s")
        out, error = (path.read_text(encoding) if path.exists() else "" for path in self._files)
        self._folder.cleanup()
        return out, error


def command_line(*arguments: object) -> None:
    """`ranvier ARGUMENTS`."""
    from ranvier.cli import main

    sys.argv = ["ranvier", *map(str, arguments)]
    main()


def module(name: str, *arguments: object) -> None:
    """`python -m NAME ARGUMENTS`."""
    import runpy

    sys.argv = [name, *map(str, arguments)]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run(function: Callable[..., Any], arguments: tuple[Any, ...], files: list[Path], env: dict[str, str]) -> None:
    os.setsid()
    os.environ.update(env)
    for number, path in enumerate(files, 1):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(handle, number)
        os.close(handle)
    function(*arguments)
