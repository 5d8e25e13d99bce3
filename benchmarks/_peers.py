"""The peers' own environment, filled on first use: no peer is a dependency of the package."""

import json
import os
import shutil
import subprocess
from typing import Any

from benchmarks._processes import ROOT, install

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
    return install(FOLDER, REQUIREMENTS[name], stamp=f".{name}", check=f"import {name}")


def nnmt(neurons: dict[str, list[float]], frequencies: list[float], few: int, repeat: int) -> dict[str, Any]:
    """What NNMT answers for LIF neurons: see `_nnmt`."""
    ask = json.dumps({"neurons": neurons, "frequencies": frequencies, "few": few, "repeat": repeat})
    worker = [str(PYTHON), str(ROOT / "benchmarks" / "_nnmt.py")]
    return json.loads(subprocess.run(worker, input=ask, text=True, stdout=subprocess.PIPE, check=True).stdout)


def environment() -> dict[str, str]:
    """Variables for a process in the peers' environment."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYNEST_QUIET": "1"}
