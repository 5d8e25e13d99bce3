"""Brian2's C++ standalone mode: one binary a network, which notes its CPU time around the run; its seed comes from
the environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any


def begin(b2: Any, folder: str, dt: float) -> None:
    """In Brian2's own environment: before the network is described. dt in ms."""
    b2.BrianLogger.suppress_hierarchy("brian2")
    b2.set_device("cpp_standalone", build_on_run=False, directory=folder)
    b2.defaultclock.dt = dt * b2.ms
    b2.seed()
    b2.device.insert_code(
        "main",
        "for (size_t i = 0; i < _random_generators.size(); i++)"
        ' _random_generators[i].seed(std::stoul(std::getenv("BENCH_SEED")) + 1000003UL*i);',
    )
    for when in ("before", "after"):
        b2.device.insert_code(
            f"{when}_network_run", f'std::ofstream("{when}.txt") << (double)std::clock()/CLOCKS_PER_SEC;'
        )


def end(b2: Any, folder: str, network: Any, duration: float) -> None:
    """Compile it, for a run of so many ms."""
    network.run(duration * b2.ms)
    b2.device.build(directory=folder, run=False, with_output=False)


def run(folder: Path, seed: int) -> float:
    """CPU seconds of the run phase."""
    environment = {**os.environ, "BENCH_SEED": str(seed)}
    with open(os.devnull, "w") as nowhere:
        subprocess.run(["./main"], cwd=folder, env=environment, stdout=nowhere, check=True)
    return float((folder / "after.txt").read_text()) - float((folder / "before.txt").read_text())
