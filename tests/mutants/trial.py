"""Tests against a broken copy, in a process forked from one that has imported the heavy libraries."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_MEMORY = 8 << 30  # bytes of data a trial may ask for


def preload() -> None:
    """Import what the tests need, but nothing of the package: each trial imports that from its copy."""
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", MPLBACKEND="Agg")
    import h5py
    import matplotlib.pyplot
    import networkx
    import numba
    import numpy
    import pytest
    import safetensors
    import scipy.integrate
    import scipy.optimize
    import scipy.signal
    import scipy.stats
    import sklearn.linear_model
    import sympy
    import torch

    torch.set_num_threads(1)
    numba.njit(lambda x: x + 1)(1)
    # used, so that no linter drops them
    assert all((h5py, matplotlib, networkx, numpy, pytest, safetensors, scipy, sklearn, sympy))
    if any(name == "ranvier" or name.startswith("ranvier.") for name in sys.modules):
        raise RuntimeError("the package is imported already; expected it only in trials: start again")


@dataclass(frozen=True)
class Outcome:
    """`failed`: the first test that failed; `running`: the one that was stopped; `cut`: whether tests were left."""

    passed: int
    failed: str | None
    running: str | None
    cut: bool
    seconds: float
    message: str


class Copy:
    """A copy of a checkout's files, in which a file can be broken and mended."""

    def __init__(self, root: Path, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        shutil.rmtree(folder, ignore_errors=True)
        command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
        names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
        for name in filter(None, names):
            if (root / name).is_file() and not (root / name).is_symlink():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, folder / name)
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.clock = int(time.time())

    @contextlib.contextmanager
    def broken(self, file: str, text: str):
        """The package's `file` says `text` meanwhile."""
        path = self.folder / "src" / "ranvier" / file
        before = path.read_text("utf-8")
        try:
            self._write(path, text)
            yield
        finally:
            self._write(path, before)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, "utf-8")
        self.clock += 2  # bytecode is told apart by the second and the size: neither changes by itself
        os.utime(path, (self.clock, self.clock))
        for old in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            old.unlink()

    def run(self, tests: list[str], seconds: float, *, clean: bool, empty: bool = False, most: float = 60.0) -> Outcome:
        """Run tests until one fails; none is begun after `seconds` of the processor, and all end after thrice that and
        `most` on the clock.

        `clean` runs use and fill the kernel cache; others a copy of it, an empty one where kernels may change unseen.
        """
        cache = self.cache if clean else self.folder.with_suffix(".cache")
        if not clean:
            shutil.rmtree(cache, ignore_errors=True)
            cache.mkdir(mode=0o700)
            for file in [] if empty else self.cache.iterdir():
                os.link(file, cache / file.name)
        log = self.folder.with_suffix(".log")
        log.unlink(missing_ok=True)
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _child(self.folder, cache, log, tests, seconds)
        deadline = began + 3 * seconds + most
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                break
            time.sleep(0.05)
        return _outcome(log, time.monotonic() - began)


def _outcome(log: Path, seconds: float) -> Outcome:
    events = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    passed = [e for e in events if e["event"] == "passed"]
    failed = [e for e in events if e["event"] == "failed"]
    ended = any(e["event"] == "end" for e in events)
    begun = [e for e in events if e["event"] == "begin"]
    running = begun[-1] if begun and not ended and not failed and len(begun) > len(passed) else None
    message = failed[0]["message"] if failed else ""
    if not ended and not failed and running is None:  # it died before a test
        failed = [{"test": "(import)"}]
    return Outcome(
        len(passed), failed[0]["test"] if failed else None, running["test"] if running else None,
        any(e["event"] == "cut" for e in events), seconds, message,
    )  # fmt: skip


class _Recorder:
    """A plugin of pytest: one line a test, nearest files first, no test begun after the time."""

    def __init__(self, log: Path, tests: list[str], seconds: float) -> None:
        self.log, self.tests, self.until = log, tests, _used() + seconds

    def say(self, event: str, test: str = "", message: str = "") -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, "test": test, "message": message, "at": time.time()}) + "\n")

    def pytest_configure(self) -> None:
        from tests import processor_time

        # a changed kernel is compiled again, which is no reason to fail
        processor_time.limit = lambda *_: contextlib.nullcontext()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.say("begin", nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.say("failed", report.nodeid, str(report.longrepr)[-600:])
        elif report.when == "teardown":
            self.say("passed", report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.say("failed", f"{report.nodeid} (collection)", str(report.longrepr)[-600:])

    def pytest_runtest_setup(self, item: Any) -> None:
        if _used() > self.until:
            item.session.shouldstop = "time"
            self.say("cut")
            import pytest

            pytest.skip("time")


def _used() -> float:
    """Seconds of the processor, which other work on the machine does not change."""
    return sum(os.times()[:4])


def _ordered(tests: list[str]) -> SimpleNamespace:
    """A plugin that comes after the suite's own order: files as given, slow tests of each last."""
    import pytest

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(items: list[Any]) -> None:
        files = [test.split("::")[0] for test in tests]
        items.sort(key=lambda i: (i.get_closest_marker("slow") is not None, files.index(i.nodeid.split("::")[0])))

    return SimpleNamespace(pytest_collection_modifyitems=pytest_collection_modifyitems)


def _child(folder: Path, cache: Path, log: Path, tests: list[str], seconds: float) -> None:
    """Never returns."""
    code = 1
    recorder = _Recorder(log, tests, seconds)
    try:
        os.setpgid(0, 0)
        os.nice(5)
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        os.chdir(folder)
        quiet = os.open(folder.with_suffix(".out"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        for name in [n for n in sys.modules if n == "tests" or n.startswith(("tests.", "benchmarks"))]:
            del sys.modules[name]
        path = [str(folder / "src"), str(folder)]
        sys.path[:] = path + [p for p in sys.path if p not in ("", str(Path(__file__).parents[2]))]
        os.environ.update(PYTHONPATH=os.pathsep.join(path), RANVIER_CACHE_DIR=str(cache), OMP_NUM_THREADS="1")
        import pytest

        import ranvier

        if not Path(ranvier.__file__).is_relative_to(folder):
            raise RuntimeError(f"ranvier comes from {ranvier.__file__}; expected it from {folder}: set PYTHONPATH")
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(folder)]
        code = int(pytest.main([*options, *tests], plugins=[recorder, _ordered(tests)]))
        recorder.say("end", message=str(code))
    except BaseException:
        recorder.say("failed", "(import)", traceback.format_exc()[-600:])
    finally:
        os._exit(code)
