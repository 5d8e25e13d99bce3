"""Compiled kernels on disk: used again, where the user wants them, and mended when damaged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ganglion as gg
from ganglion.engines import _kernels

SCRIPT = """
import ganglion as gg, torch
net = gg.Network()
net.add(gg.LIF(E_L=-60.0), 2, drive=20.0)
out = gg.simulate(net, 50.0, dtype=torch.float64)
print(len(out.times))
"""


def python(folder, script=SCRIPT):
    env = {**os.environ, "GANGLION_CACHE_DIR": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=300
    )


def listing(folder):
    return {
        p.relative_to(folder): (p.stat().st_mtime_ns, p.stat().st_size)
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_a_second_process_compiles_nothing(tmp_path):
    first = python(tmp_path)
    assert first.returncode == 0, first.stderr
    before = listing(tmp_path)
    assert {p.suffix for p in before} == {".py", ".nbi", ".nbc"}
    assert python(tmp_path).stdout == first.stdout
    assert listing(tmp_path) == before  # nothing was written: a compilation would have been


def spikes():
    net = gg.Network()
    net.add(gg.LIF(), 2, drive=20.0)
    return gg.simulate(net, 50.0).times


@pytest.mark.parametrize(
    "suffix, damage", [(".py", b""), (".nbi", b"rubbish \x80\x04\x00"), (".nbc", b"rubbish \x80\x04\x00")]
)
def test_a_damaged_file_is_survived(tmp_path, monkeypatch, suffix, damage):
    monkeypatch.setenv("GANGLION_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_kernels, "_compiled", {})
    expected = spikes()
    for path in tmp_path.rglob(f"*{suffix}"):
        path.write_bytes(damage)
    monkeypatch.setattr(_kernels, "_compiled", {})
    assert torch.equal(spikes(), expected)


@pytest.mark.parametrize("module", ["ganglion.engines._simd", "ganglion.nn._arrays", "ganglion.engines._machine"])
def test_a_change_of_what_a_kernel_is_made_with_is_compiled_anew(module, tmp_path, monkeypatch):
    """The folder outlives an upgrade of the package."""
    text = (
        "from numba import cfunc, void\n"
        "from ganglion.engines import _simd\n"
        "from ganglion.engines._machine import pointer as _pointer\n"
        "from ganglion.nn._arrays import array as _array\n"
        "@cfunc(void(), cache=True, nopython=True)\n"
        "def kernel():\n"
        "    pass\n"
    )
    monkeypatch.setenv("GANGLION_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_kernels, "_compiled", {})
    source = _kernels._source
    for change, count in ((b"", 1), (b"", 1), (b"changed", 2)):
        monkeypatch.setattr(_kernels, "_source", lambda name, c=change: source(name) + (c if name == module else b""))
        _kernels.compile_kernel(text)
        assert len(list(tmp_path.glob("kernel_*.py"))) == count


def test_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GANGLION_CACHE_DIR", str(tmp_path / "here"))
    assert _kernels.cache_folder() == tmp_path / "here"
    monkeypatch.delenv("GANGLION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    if sys.platform == "linux":
        assert _kernels.cache_folder() == tmp_path / "there" / "ganglion" / "kernels"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert _kernels.cache_folder() == tmp_path / ".cache" / "ganglion" / "kernels"
    assert isinstance(_kernels.cache_folder(), Path)
