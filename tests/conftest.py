"""The strict environment every test runs in: one torch thread, no network, nothing global left changed, and no more
than half a minute of the processor."""

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import numpy as np
import pytest
import torch

from tests import processor_time

torch.set_num_threads(1)
gc.disable()  # until all tests are collected: a million objects, none of them garbage
# bytecode is kept whatever the setting: without it every worker rewrites some 250 files, which takes it 7 s
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

hypothesis.settings.register_profile("fixed", deadline=None, database=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

if os.environ.get("RANVIER_CHECK_TYPES"):  # annotated shapes and types, at some cost in time
    from jaxtyping import install_import_hook

    install_import_hook("ranvier", "beartype.beartype")


def pytest_collection_finish() -> None:
    """What the collection leaves (modules, items) is no garbage: the search for it would pass it over for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # rarer than usual, or it takes a tenth of the time
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test that takes too much of the processor's time, its child processes included, fails."""
    with processor_time.limit(item.nodeid):
        return (yield)


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No socket leaves the machine, and the defaults of torch are as they were afterwards."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0] if isinstance(address, tuple) else address
            if host not in ("127.0.0.1", "::1", "localhost"):
                raise RuntimeError(f"a test requested the network: {address!r}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", local_only)
    before = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    yield
    after = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])
    torch.set_grad_enabled(before[2])
    assert after == before, f"left behind (dtype, threads, gradients): {after}, found: {before}"


@pytest.fixture
def float64() -> Iterator[None]:
    """New tensors are float64 in this test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240229)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run the command line in an empty folder; returns its exit code."""
    monkeypatch.chdir(tmp_path)

    def ranvier(*arguments: object) -> int:
        from ranvier import cli

        monkeypatch.setattr(sys, "argv", ["ranvier", *map(str, arguments)])
        handler = signal.getsignal(signal.SIGINT)
        try:
            with pytest.raises(SystemExit) as stop:
                cli.main()
        finally:
            signal.signal(signal.SIGINT, handler)
        return int(stop.value.code or 0)

    return ranvier


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse tests that are named by an address: they have another name in every process, and two workers stop.
    What takes longest comes first."""
    named = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if named:
        raise pytest.UsageError(f"{named[0]} is named by an address; expected ids that last: give ids=")
    if find_spec("xdist") is not None:
        from tests.sharing_out import longest_first

        longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`, claims of the atlas are shared out by group."""
    if config.getoption("dist") == "loadfile":
        from tests.sharing_out import ByFile

        return ByFile(config, log)
    return None
