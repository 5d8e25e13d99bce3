"""How time and memory grow with neurons, synapses, threads and ranks, and what that predicts for more.

python -m benchmarks.growth [--sizes 5000,10000,20000,40000] [--degree 1000] [--seconds 0.5] [--out FILE]

A balanced network (Brunel 2000) of LIF neurons, each with `degree` + `degree`/4 synapses and a Poisson background; its
rate hardly depends on the size. Every point is a process of its own. Seconds of a rank are processor time of the run
phase, so that other load counts little; the constants are fitted by least squares.

The model, of one rank of R with T threads that all have work: a neuron costs `update` ns a step on the rank that owns
it, a synaptic event `event` ns on the rank that owns the target, a block of B steps one exchange; memory is `synapse`
bytes a synapse on its owner, `neuron` bytes a neuron on every rank, and `base` for the program itself.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

BYTES_OF_A_SPIKE = 8  # in a message to every other rank


def network(neurons: int, degree: int):
    import ranvier as rv

    net = rv.Network(seed=1)
    cell = rv.LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0, t_ref=2.0)
    exc, inh = net.add(cell, neurons * 4 // 5, "exc"), net.add(cell, neurons // 5, "inh")
    net.connect(exc, [exc, inh], weight=100.0 / degree, in_degree=degree, delay=1.5)
    net.connect(inh, [exc, inh], weight=-500.0 / degree, in_degree=degree // 4, delay=1.5)
    for population in (exc, inh):
        net.background(population, rate=20_000.0, weight=0.1)
    return net


def point(neurons: int, degree: int, seconds: float, threads: int) -> dict:
    """Measured in this process."""
    import resource

    import ranvier as rv

    rv.simulate(network(2000, 100), 20.0, threads=threads)  # compiles
    began = time.process_time()
    simulation = rv.Simulation(network(neurons, degree), threads=threads)
    build = time.process_time() - began
    simulation.run(20.0)
    began, wall = time.process_time(), time.perf_counter()
    recording = simulation.run(1000.0 * seconds)
    spent, wall = time.process_time() - began, time.perf_counter() - wall
    return {
        "neurons": neurons, "synapses": neurons * (degree + degree // 4), "threads": threads, "build_s": build,
        "cpu_s": spent, "wall_s": wall, "spikes": recording.n_spikes, "seconds": seconds,
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }  # fmt: skip


def fit(points: list[dict], dt: float = 0.1) -> dict[str, float]:
    """ns an update and an event, ns a synapse of the build, bytes a synapse and a neuron, and of the program."""
    steps = np.array([1000 * p["seconds"] / dt for p in points])
    neurons, synapses = (np.array([p[key] for p in points], float) for key in ("neurons", "synapses"))
    events = np.array([p["spikes"] * p["synapses"] / p["neurons"] for p in points])
    cpu, build, memory = (np.array([p[key] for p in points]) for key in ("cpu_s", "build_s", "bytes"))
    update, event = np.linalg.lstsq(np.stack([neurons * steps, events], 1), cpu * 1e9, rcond=None)[0]
    each, base = np.linalg.lstsq(np.stack([synapses, np.ones_like(synapses)], 1), memory, rcond=None)[0]
    return {
        "update_ns": update, "event_ns": event, "build_ns": float(np.median(build / synapses) * 1e9),
        "synapse_bytes": each, "base_bytes": base,
    }  # fmt: skip


def predict(
    constants: dict[str, float], neurons: float, synapses: float, rate: float, ranks: int, threads: int,
    dt: float = 0.1, delay: float = 1.5, exchange_us: float = 100.0, bandwidth: float = 1e9,
) -> dict[str, float]:  # fmt: skip
    """Seconds of a biological second, gigabytes a rank, build seconds; `rate` Hz, `bandwidth` bytes/s of a link."""
    workers, blocks, spikes = ranks * threads, 1000 / delay, neurons * rate
    work = (constants["update_ns"] * neurons * 1000 / dt + constants["event_ns"] * spikes * synapses / neurons) / 1e9
    message = blocks * exchange_us * 1e-6 + spikes * (ranks - 1) / ranks * BYTES_OF_A_SPIKE / bandwidth
    memory = constants["base_bytes"] + constants["synapse_bytes"] * synapses / ranks
    return {
        "seconds": work / workers + (message if ranks > 1 else 0.0), "gigabytes": memory / 1e9,
        "build_s": constants["build_ns"] * synapses / ranks / 1e9,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="5000,10000,20000,40000")
    parser.add_argument("--degrees", default="500,1000")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--point", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(point(*options.point, options.seconds, options.threads)))
        return
    points = []
    for degree in options.degrees.split(","):
        for size in options.sizes.split(","):
            call = [sys.executable, "-m", "benchmarks.growth", "--point", size, degree,
                    "--seconds", str(options.seconds), "--threads", str(options.threads)]  # fmt: skip
            points.append(json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout))
            print(points[-1], flush=True)
    constants = fit(points)
    print({name: round(float(value), 3) for name, value in constants.items()})
    for p in points:
        own = predict(constants, p["neurons"], p["synapses"], p["spikes"] / p["neurons"] / p["seconds"], 1, 1)
        measured = p["cpu_s"] / p["seconds"]
        print(f"{p['neurons']} neurons: {measured:.2f} s a second measured, {own['seconds']:.2f} by the model")
    for ranks in (1, 4, 16):
        far = predict(constants, 1e6, 1e9, 8.0, ranks, 16)
        print(ranks, "ranks of 16 threads, 1e6 neurons, 1e9 synapses, 8 Hz:", far)
    if options.out:
        options.out.write_text(json.dumps({"points": points, "constants": constants}, indent=1))


if __name__ == "__main__":
    main()
