"""A brain of the size of an adult fly's beside Brian2's C++ standalone mode: one biological second.

python -m benchmarks.scale [--neurons 138639] [--rounds 5] [--brian2 .venv-peers/bin/python] [--noisy]

The wiring is drawn (`ranvier.brains.fly_wiring`); the model is that of Shiu et al. (2024): 20 excitatory neurons, of
the 97th to 99th percentile of output, get Poisson spikes of 150 Hz. With --noisy every neuron has white noise instead,
and fires at some 7 Hz with a tenth of the weights. Seconds are processor time of the run phase, median of the rounds;
of Brian2 its own run time times the share of the processor that its process had. Wall time stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DT, DURATION = 0.1, 1000.0
NOISE = {"drive": 3.0, "noise": 3.4}


def experiment(neurons: int, noisy: bool) -> dict:
    import numpy as np

    from ranvier.brains import fly_wiring

    wiring = fly_wiring(neurons)
    output = np.bincount(wiring.sources, np.clip(wiring.counts, 0, None), neurons)
    order = np.argsort(output, kind="stable")[np.sort(output) > 0]
    band = order[int(0.97 * len(order)) : int(0.99 * len(order))]
    driven = np.sort(np.random.default_rng(0).choice(band, min(20, len(band)), replace=False))
    weight = wiring.counts * (0.0275 if noisy else 0.275)
    return {"n": neurons, "sources": wiring.sources, "targets": wiring.targets, "weight": weight, "driven": driven}


def ranvier(file: str, threads: int, rounds: int, noisy: bool) -> dict:
    import numpy as np
    import torch

    import ranvier as rv

    x = dict(np.load(file))
    n, driven = int(x["n"]), x["driven"]
    began = time.process_time()
    net = rv.Network()
    t_ref = torch.full((n,), 2.2, dtype=torch.float64)
    t_ref[driven] = DT
    cells = net.add(rv.neurons.SynapticLIF(t_ref=2.2 if noisy else t_ref), n, "cells", **(NOISE if noisy else {}))
    net.connect(cells, cells, weight=torch.from_numpy(x["weight"]), delay=1.8, edges=(x["sources"], x["targets"]),
                synapse=rv.synapses.Jump(onto="g"))  # fmt: skip
    if not noisy:
        bites = net.add(rv.Poisson(150.0), len(driven), "bites")
        net.connect(bites, cells, weight=68.75, delay=DT, edges=(np.arange(len(driven)), driven))
    simulation = rv.Simulation(net, dt=DT, seed=1, threads=threads)
    build = time.process_time() - began
    simulation.run(DURATION)  # compiles
    out = []
    for _ in range(rounds):
        wall, began = time.perf_counter(), time.process_time()
        recording = simulation.run(DURATION)
        out.append((time.process_time() - began, time.perf_counter() - wall, len(recording.times),
                    len(recording.neurons.unique())))  # fmt: skip
    return answer(out, build) | {"method": simulation._prepared.engine.report}


def brian2(file: str, rounds: int, noisy: bool) -> dict:
    import brian2 as b2
    import numpy as np

    x = dict(np.load(file))
    n, ms, mV = int(x["n"]), b2.ms, b2.mV
    folder = tempfile.mkdtemp()
    b2.set_device("cpp_standalone", build_on_run=False)
    b2.defaultclock.dt = DT * ms
    space = {"v_0": -52 * mV, "v_th": -45 * mV, "t_mbr": 20 * ms, "tau": 5 * ms, "mu": 0 * mV, "sigma": 0 * mV}
    text = "dv/dt = (v_0 - v + g)/t_mbr : volt (unless refractory)"
    if noisy:
        space |= {"mu": NOISE["drive"] * mV, "sigma": NOISE["noise"] * mV}
        text = "dv/dt = (v_0 + mu - v + g)/t_mbr + sigma*sqrt(2/t_mbr)*xi : volt (unless refractory)"
    text += "\ndg/dt = -g/tau : volt (unless refractory)\nrfc : second"
    neurons = b2.NeuronGroup(n, text, method="euler" if noisy else "linear", threshold="v > v_th", refractory="rfc",
                             reset="v = v_0; g = 0*mV", namespace=space)  # fmt: skip
    neurons.v, neurons.g, neurons.rfc = -52 * mV, 0 * mV, 2.2 * ms
    synapses = b2.Synapses(neurons, neurons, "w : volt", on_pre="g += w", delay=1.8 * ms)
    synapses.connect(i=x["sources"], j=x["targets"])
    synapses.w = x["weight"] * mV
    parts = [neurons, synapses]
    if not noisy:
        for i in x["driven"]:
            neurons.rfc[int(i)] = 0 * ms
        source = b2.PoissonGroup(len(x["driven"]), 150 * b2.Hz)
        kick = b2.Synapses(source, neurons, on_pre="v += 68.75*mV")
        kick.connect(i=np.arange(len(x["driven"])), j=x["driven"])
        parts += [source, kick]
    monitor = b2.SpikeMonitor(neurons)
    b2.Network(*parts, monitor).run(DURATION * ms)
    began = time.perf_counter()
    b2.device.build(directory=folder, compile=True, run=False)
    build, out = time.perf_counter() - began, []
    for _ in range(rounds):
        before, began = os.times(), time.perf_counter()
        b2.device.run(folder, with_output=False)
        after, wall = os.times(), time.perf_counter() - began
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        own = b2.device._last_run_time
        out.append((own * min(cpu / wall, 1.0), own, monitor.num_spikes, len(np.unique(monitor.i))))
    return answer(out, build)


def answer(rounds: list[tuple[float, float, int, int]], build: float) -> dict:
    cpu, wall, spikes, active = (statistics.median(column) for column in zip(*rounds, strict=True))
    numbers = {"cpu_s": cpu, "wall_s": wall, "spikes": spikes, "active": active, "build_s": build}
    return {name: float(value) for name, value in numbers.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--neurons", type=int, default=138_639)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--brian2", default=".venv-peers/bin/python", help="a Python that has Brian2 2.9")
    parser.add_argument("--noisy", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.side:
        name, threads = o.side.split(":")
        if name == "brian2":
            out = brian2(o.file, o.rounds, o.noisy)
        else:
            out = ranvier(o.file, int(threads), o.rounds, o.noisy)
        print("\n" + json.dumps(out))
        return
    import numpy as np

    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "brain.npz")
        np.savez(file, **experiment(o.neurons, o.noisy))
        for side, python in (("ranvier:1", sys.executable), ("ranvier:2", sys.executable), ("brian2:1", o.brian2)):
            command = [python, __file__, "--side", side, "--file", file, "--rounds", str(o.rounds)]
            process = subprocess.run(command + ["--noisy"] * o.noisy, text=True, stdout=subprocess.PIPE, check=True)
            rows[side] = json.loads(process.stdout.strip().splitlines()[-1])
    lines = [
        f"python -m benchmarks.scale --rounds {o.rounds} --brian2 PYTHON", "",
        "| side:threads | CPU s | wall s | x real time (CPU) | spikes | active | build s |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for side, row in rows.items():
        lines.append(
            f"| {side} | {row['cpu_s']:.4f} | {row['wall_s']:.4f} | {DURATION / 1000 / row['cpu_s']:.2f} | "
            f"{row['spikes']:.0f} | {row['active']:.0f} | {row['build_s']:.1f} |"
        )
    lines += ["", f"Brian2 / ranvier:1, CPU: {rows['brian2:1']['cpu_s'] / rows['ranvier:1']['cpu_s']:.1f}",
              f"{rows['ranvier:1']['method']}"]  # fmt: skip
    text = "\n".join(lines) + "\n"
    print(text)
    name = "scale_noisy.md" if o.noisy else "scale.md"
    (Path(__file__).parent / "results" / name).write_text(text)


def processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(": ")[1] for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()} ({len(names)} cores)"


if __name__ == "__main__":
    main()
