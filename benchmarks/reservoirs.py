"""Reservoirs side by side with ReservoirPy, one thread: `python -m benchmarks.reservoirs`.

An echo-state network of 1000 units, a tenth of them connected, on 5000 rows of 3 inputs: process-CPU seconds of a
new network's fit (its matrices, all states, then ridge) and of a run through as many rows; medians of rounds in turn,
and ratios to ours. The ridge's product of all states with themselves, by BLAS alone, is what no fit can do without.
NG-RC as in its paper: training on 400 points, and the steps of a forecast a second.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # before numpy is there

import numpy as np  # noqa: E402
from scipy.linalg import blas  # noqa: E402

from benchmarks import _peers  # noqa: E402
from benchmarks._processes import Process  # noqa: E402
from ranvier.reservoirs import ESN, NGRC, lorenz63  # noqa: E402

CASE = {"units": 1000, "rows": 5000, "inputs": 3}
ROUNDS = 7


def ours() -> dict[str, float]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(CASE["rows"] + 1, CASE["inputs"]))
    shape = {"units": CASE["units"], "spectral_radius": 0.9, "connectivity": 0.1, "ridge": 1e-6, "random_state": 1}
    ESN(**shape).fit(x[:51], x[1:52])  # compiles
    began = time.process_time()
    model = ESN(**shape).fit(x[:-1], x[1:])
    fitted = time.process_time()
    model.predict(x)
    ran = time.process_time()
    features = model.features(x[:-1])
    product = time.process_time()
    blas.dsyrk(1.0, features.T)
    return {"fit": fitted - began, "run": ran - fitted, "product": time.process_time() - product}


def ngrc() -> dict[str, float]:
    series = lorenz63(402, rough=True)
    took = []
    for _ in range(20):
        began = time.process_time()
        model = NGRC(2, ridge=2.5e-6, difference=True).fit(series[:-2], series[1:-1])
        took.append(time.process_time() - began)
    model.forecast(10, series)
    began = time.process_time()
    model.forecast(100_000, series)
    return {"fit_ms": 1e3 * statistics.median(took), "steps_a_second": 1e5 / (time.process_time() - began)}


def main() -> None:
    mine, theirs = [], []
    missing = _peers.prepare(("reservoirpy",))
    if not missing:
        environment = {**_peers.environment(), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [str(_peers.PYTHON), "-m", "benchmarks._reservoirpy"]
        peer = Process("ReservoirPy", command, environment)
    for _ in range(ROUNDS):
        mine.append(ours())
        if not missing:
            theirs.append(peer.ask(CASE))
    for what in ("fit", "run"):
        own = statistics.median(row[what] for row in mine)
        text = f"ESN {CASE['units']} units, {CASE['rows']} rows, {what}: {own:.3f} s"
        if theirs:
            other = statistics.median(row[what] for row in theirs)
            text += f"; ReservoirPy {theirs[0]['version']} {other:.3f} s, {other / own:.2f} x (goal 3)"
        print(text)
    print(f"the product alone: {statistics.median(row['product'] for row in mine):.3f} s")
    if missing:
        print(f"ReservoirPy is missing: {missing['reservoirpy']}")
    else:
        peer.close()
    result = ngrc()
    speed = f"{result['steps_a_second']:.3g} steps/s (goal 1e5)"
    print(f"NG-RC: fit on 400 points {result['fit_ms']:.2f} ms (goal 5), forecast {speed}")


if __name__ == "__main__":
    sys.exit(main())
