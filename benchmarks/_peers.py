"""The peers' own environment, filled on first use: no peer is a dependency of the package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".venv-peers"
PYTHON = FOLDER / "bin" / "python"

# Brian2 2.9 is the last for Python 3.11 and needs an older numpy.
REQUIREMENTS = {
    "brian2": ("brian2==2.9.0", "numpy<2.4"),
    "nest": ("nest-simulator==3.10.0", "numpy<2.4"),
    "nnmt": ("nnmt==1.3.0", "numpy<2.4"),
    "reservoirpy": ("reservoirpy==0.4.2", "numpy<2.4"),
}
SIMULATORS = ("brian2", "nest")


def prepare(names: tuple[str, ...] = SIMULATORS) -> dict[str, str]:
    """Install the peers that are not there yet; the answer says of each missing one why it is missing."""
    missing = {}
    for name in names:
        reason = _install(name)
        if reason:
            missing[name] = reason
    return missing


def _install(name: str) -> str:
    if name == "brian2" and not (shutil.which("g++") and shutil.which("make")):
        return "its C++ standalone mode needs g++ and make"
    wanted = " ".join(REQUIREMENTS[name])
    stamp = FOLDER / f".{name}"
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    print(f"installing {wanted} in {FOLDER.name} ...", flush=True)
    try:
        if not PYTHON.exists():
            subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", *REQUIREMENTS[name]]
        for command in (pip, [str(PYTHON), "-c", f"import {name}"]):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except (subprocess.CalledProcessError, OSError) as error:
        lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        return f"it could not be installed: {lines[-1] if lines else error}"
    stamp.write_text(wanted)
    return ""


def nnmt(neurons: dict[str, list[float]], frequencies: list[float], few: int, repeat: int) -> dict[str, Any]:
    """What NNMT answers for LIF neurons: see `_nnmt`."""
    ask = json.dumps({"neurons": neurons, "frequencies": frequencies, "few": few, "repeat": repeat})
    worker = [str(PYTHON), str(ROOT / "benchmarks" / "_nnmt.py")]
    return json.loads(subprocess.run(worker, input=ask, text=True, stdout=subprocess.PIPE, check=True).stdout)


def environment() -> dict[str, str]:
    """Variables for a process in the peers' environment."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYNEST_QUIET": "1"}
