"""What is measured of Ranvier alone: the start of the command line, and of a first simulation."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

FIRST_CALL = """
import json, sys, time
from benchmarks._sides import bare_import
from benchmarks.cases import CASES
import ranvier as rv
bare_import()
case = CASES[sys.argv[1]]
net = case.load().ranvier(2000)
seconds = []
for _ in range(2):
    wall, processor = time.perf_counter(), time.process_time()
    rv.simulate(net, 100 * case.dt, dt=case.dt, seed=1)
    seconds.append((time.perf_counter() - wall, time.process_time() - processor))
print(json.dumps(seconds))
"""


def help_seconds(repeats: int = 7) -> float:
    """Median wall seconds of `ranvier --help`."""
    command = [str(Path(sys.prefix) / "bin" / "ranvier"), "--help"]
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def first_call(case: str) -> dict[str, tuple[float, float]]:
    """Wall and processor seconds by which a first `simulate` outlasts the second, by state of the caches."""
    answer = {}
    with tempfile.TemporaryDirectory() as folder:
        caches = {"RANVIER_CACHE_DIR": f"{folder}/kernels", "NUMBA_CACHE_DIR": f"{folder}/numba"}
        for name in ("empty cache", "filled cache"):
            done = subprocess.run(
                [sys.executable, "-c", FIRST_CALL, case],
                cwd=ROOT,
                env={**os.environ, **caches},
                stdout=subprocess.PIPE,
                text=True,
            )
            if done.returncode:  # its message stands on the screen
                return {}
            first, second = json.loads(done.stdout.splitlines()[-1])
            answer[name] = (first[0] - second[0], first[1] - second[1])
    return answer
