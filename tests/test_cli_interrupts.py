"""Ctrl-C while kernels are compiled: one line, no half file in the cache, and the next run works."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow
MAIN = "from ranvier.cli import main; main()"


@pytest.mark.long
def test_ctrl_c_in_the_midst_of_compiling(tmp_path):
    edges, out, cache = tmp_path / "ring.csv", tmp_path / "out", tmp_path / "cache"
    edges.write_text("source,target,weight\n" + "".join(f"n{k},n{(k + 1) % 12},3\n" for k in range(12)))
    command = [sys.executable, "-c", MAIN, "run", str(edges), "--neuron", "Graded", "--out", str(out)]
    command += ["--seconds", "3", "--threads", "1"]
    options = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True, "cwd": tmp_path}
    environment = {**os.environ, "RANVIER_CACHE_DIR": str(cache)}
    process, began = subprocess.Popen(command, env=environment, **options), time.monotonic()
    while not any(cache.glob("*.bin")):  # the first of half a dozen kernels is kept: the next is being compiled
        assert process.poll() is None and time.monotonic() - began < 120, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130 and error.splitlines()[-1].startswith("stopped; "), error
    assert "Traceback" not in error and "LLVM" not in error
    assert not (out / "report.html").exists()
    saved = {path.name: path.stat().st_ino for path in cache.iterdir()}
    assert saved and all(name.endswith(".bin") and not name.startswith(".") for name in saved)
    done = subprocess.run(command, env=environment, check=False, **options)
    assert done.returncode == 0 and (out / "report.html").exists(), done.stderr
    now = {path.name: path.stat().st_ino for path in cache.iterdir()}
    assert len(now) > len(saved) and saved.items() <= now.items()  # whole files, which are not compiled again
