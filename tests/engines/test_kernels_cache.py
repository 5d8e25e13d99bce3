"""Compiled kernels on disk: used again, where the user wants them, and mended when damaged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ranvier as rv
from ranvier.codegen import kernel_cache

SCRIPT = """
import ranvier as rv, torch
net = rv.Network()
net.add(rv.LIF(E_L=-60.0), 2, drive=20.0)
out = rv.simulate(net, 50.0, dtype=torch.float64)
print(len(out.times))
"""


def python(folder, script=SCRIPT):
    env = {**os.environ, "RANVIER_CACHE_DIR": str(folder), "OMP_NUM_THREADS": "1"}
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
    net = rv.Network()
    net.add(rv.LIF(), 2, drive=20.0)
    return rv.simulate(net, 50.0).times


@pytest.mark.parametrize(
    "suffix, damage", [(".py", b""), (".nbi", b"rubbish \x80\x04\x00"), (".nbc", b"rubbish \x80\x04\x00")]
)
def test_a_damaged_file_is_survived(tmp_path, monkeypatch, suffix, damage):
    monkeypatch.setenv("RANVIER_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel_cache, "_compiled", {})
    expected = spikes()
    for path in tmp_path.rglob(f"*{suffix}"):
        path.write_bytes(damage)
    monkeypatch.setattr(kernel_cache, "_compiled", {})
    assert torch.equal(spikes(), expected)


@pytest.mark.parametrize("module", ["ranvier.codegen.simd", "ranvier.codegen.arrays", "ranvier.codegen.pointers"])
def test_a_change_of_what_a_kernel_is_made_with_is_compiled_anew(module, tmp_path, monkeypatch):
    """The folder outlives an upgrade of the package."""
    text = (
        "from numba import cfunc, void\n"
        "from ranvier.codegen import simd as _simd\n"
        "from ranvier.codegen.pointers import pointer as _pointer\n"
        "from ranvier.codegen.arrays import array as _array\n"
        "@cfunc(void(), cache=True, nopython=True)\n"
        "def kernel():\n"
        "    pass\n"
    )
    monkeypatch.setenv("RANVIER_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel_cache, "_compiled", {})
    source = kernel_cache._source
    for change, count in ((b"", 1), (b"", 1), (b"changed", 2)):
        monkeypatch.setattr(kernel_cache, "_source", lambda m, c=change: source(m) + (c if m == module else b""))
        kernel_cache.compile_kernel(text)
        assert len(list(tmp_path.glob("kernel_*.py"))) == count


def test_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("RANVIER_CACHE_DIR", str(tmp_path / "here"))
    assert kernel_cache.cache_folder() == tmp_path / "here"
    monkeypatch.delenv("RANVIER_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    if sys.platform == "linux":
        assert kernel_cache.cache_folder() == tmp_path / "there" / "ranvier" / "kernels"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert kernel_cache.cache_folder() == tmp_path / ".cache" / "ranvier" / "kernels"
    assert isinstance(kernel_cache.cache_folder(), Path)
