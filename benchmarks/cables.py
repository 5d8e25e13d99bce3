"""A neuron of 1008 compartments, side by side with NEURON and Arbor: prints a table.

python -m benchmarks.cables --peers PYTHON [--rounds 5] [--duration 100] [--cells 1]

A binary tree of 63 branches in 16 pieces each, Hodgkin and Huxley's channels everywhere, steps of 0.025 ms, a current
into the root that makes it fire again and again. PYTHON is an interpreter whose environment holds `neuron` and `arbor`
(pip install neuron arbor). Sides run in turn, each in a process of its own on one thread; a figure is the median over
rounds of process-CPU nanoseconds per compartment and step, of the run alone. NEURON is of second order, and runs its
`hh` by tables of rates, its default, and without. Beside them, what the sides agree on: the number of spikes at the
root, the last one's time, and how long it takes to the tip (not of Arbor, which is of first order).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LEVELS, PIECES, DT = 6, 16, 0.025
LENGTH, THICK, THIN = 160.0, 4.0, 0.63  # um; diameters by the three-halves law
DRIVE = 1.5  # nA
Side = Callable[[float, int], Callable[[], dict[str, float]]]


def branches() -> list[tuple[int, float]]:
    """(parent's number or -1, diameter) of each branch."""
    out, last = [(-1, THICK)], [0]
    for level in range(1, LEVELS):
        new = []
        for parent in last:
            for _ in range(2):
                out.append((parent, THICK * THIN**level))
                new.append(len(out) - 1)
        last = new
    return out


def ranvier_side(duration: float, cells: int) -> Callable[[], dict[str, float]]:
    from ranvier import cables

    shape = cables.Morphology()
    for parent, diameter in branches():
        shape.add(LENGTH, diameter, after=None if parent < 0 else parent)
    squid = [cables.SquidSodium(), cables.SquidPotassium(), cables.Leak(g=0.3, E=-54.3)]
    cell = cables.CableCell(shape, squid, R_a=100.0, max_length=LENGTH / PIECES)
    places = [0, cell.at(len(branches()) - 1)]
    drive = [cables.Current(0, 1e3 * DRIVE)]

    def run(length: float = duration) -> dict[str, float]:
        began = time.process_time()
        result = cables.simulate(cell, length, dt=DT, cells=cells, currents=drive, detect=places, every=length)
        cpu = time.process_time() - began
        first = result.cells == 0
        at = [result.times[first & (result.compartments == p)] for p in places]
        size = len(cell) * cells * length / DT
        return {"ns": cpu / size * 1e9, "spikes": len(at[0]), "last": float(at[0][-1]) if len(at[0]) else -1.0,
                "delay": float(at[1][0] - at[0][0]) if len(at[1]) else -1.0}  # fmt: skip

    run(1.0)
    return run


def neuron_side(duration: float, cells: int, tables: int) -> Callable[[], dict[str, float]]:
    from neuron import h

    h.load_file("stdrun.hoc")
    h.usetable_hh, h.secondorder, h.celsius, h.dt = tables, 2, 6.3, DT
    every: list[Any] = []
    for _ in range(cells):
        own = []
        for parent, diameter in branches():
            section = h.Section()
            section.L, section.diam, section.nseg, section.Ra, section.cm = LENGTH, diameter, PIECES, 100.0, 1.0
            section.insert("hh")
            if parent >= 0:
                section.connect(own[parent](1))
            own.append(section)
        clamp = h.IClamp(own[0](0.0001))
        clamp.delay, clamp.dur, clamp.amp = 0.0, 1e9, DRIVE
        every.append((own, clamp))
    ends = [every[0][0][0](0.5 / PIECES), every[0][0][-1](1 - 0.5 / PIECES)]
    vectors = [h.Vector() for _ in ends]
    counters = []
    for end, vector in zip(ends, vectors):
        counter = h.APCount(end)
        counter.thresh = 0.0
        counter.record(vector)
        counters.append(counter)
    alive = [every, counters]  # NEURON drops what no name holds

    def run() -> dict[str, float]:
        h.finitialize(-65.0)
        began = time.process_time()
        h.continuerun(duration)
        cpu = time.process_time() - began
        at = [list(vector) for vector in vectors]
        size = len(branches()) * PIECES * len(alive[0]) * duration / DT
        return {"ns": cpu / size * 1e9, "spikes": len(at[0]), "last": at[0][-1], "delay": at[1][0] - at[0][0]}

    return run


def crossings(samples: Any) -> list[float]:
    """Times (ms) at which a voltage, (samples, 2) with the time before it, rises through 0 mV."""
    return [float(t + (s - t) * -v / (w - v)) for (t, v), (s, w) in pairwise(samples) if v < 0 <= w]


def arbor_side(duration: float, cells: int) -> Callable[[], dict[str, float]]:
    import arbor as A
    from arbor import units as U

    tree = A.segment_tree()
    ends: list[tuple[int, float]] = []
    for parent, diameter in branches():
        near = 0.0 if parent < 0 else ends[parent][1]
        first, last = (A.mpoint(x, 0.0, 0.0, diameter / 2) for x in (near, near + LENGTH))
        ends.append((tree.append(A.mnpos if parent < 0 else ends[parent][0], first, last, tag=1), near + LENGTH))

    class Recipe(A.recipe):
        def __init__(self) -> None:
            A.recipe.__init__(self)
            self.properties = A.neuron_cable_properties()

        def num_cells(self) -> int:
            return cells

        def cell_kind(self, gid: int) -> Any:
            return A.cell_kind.cable

        def global_properties(self, kind: Any) -> Any:
            return self.properties

        def probes(self, gid: int) -> Any:
            return [A.cable_probe_membrane_voltage('"root"', "root")]

        def cell_description(self, gid: int) -> Any:
            labels = A.label_dict({"root": "(location 0 0)"})
            decor = A.decor()
            decor.set_property(
                Vm=-65 * U.mV, cm=0.01 * U.F / U.m2, rL=100 * U.Ohm * U.cm, tempK=(6.3 + 273.15) * U.Kelvin
            )
            decor.paint("(all)", A.density("hh"))
            decor.place('"root"', A.i_clamp(DRIVE * U.nA))
            return A.cable_cell(A.morphology(tree), decor, labels, A.cv_policy_fixed_per_branch(PIECES))

    recipe, context = Recipe(), A.context(threads=1)
    other = A.simulation(Recipe(), A.context(threads=1))  # apart from what is timed: for the crossings of 0 mV
    sampled = other.sample(0, "root", A.regular_schedule(DT * U.ms))
    other.run(duration * U.ms, DT * U.ms)
    at = crossings(other.samples(sampled)[0][0])

    def run() -> dict[str, float]:
        simulation = A.simulation(recipe, context)
        began = time.process_time()
        simulation.run(duration * U.ms, DT * U.ms)
        cpu = time.process_time() - began
        size = len(branches()) * PIECES * cells * duration / DT
        return {"ns": cpu / size * 1e9, "spikes": len(at), "last": at[-1], "delay": math.nan}

    return run


SIDES: dict[str, Side] = {
    "ranvier": ranvier_side,
    "neuron": lambda duration, cells: neuron_side(duration, cells, 0),
    "neuron, tables": lambda duration, cells: neuron_side(duration, cells, 1),
    "arbor": arbor_side,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="a Python interpreter with neuron and arbor")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", type=float, default=100.0, help="ms")
    parser.add_argument("--cells", type=int, default=1)
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run = SIDES[options.side](options.duration, options.cells)
        for _ in sys.stdin:
            print(json.dumps(run()), flush=True)
        return
    processes = {}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    for side in SIDES:
        if side != "ranvier" and not options.peers:
            continue
        python = sys.executable if side == "ranvier" else options.peers
        command = [python, __file__, "--side", side, "--duration", str(options.duration), "--cells", str(options.cells)]
        processes[side] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in processes}
    for _ in range(options.rounds):
        for side, process in processes.items():
            process.stdin.write("\n")
            process.stdin.flush()
            rounds[side].append(json.loads(process.stdout.readline()))
    print(f"{options.cells} cells of {len(branches()) * PIECES} compartments, {options.duration:g} ms, dt {DT} ms\n")
    print("| side | ns a compartment and step | theirs by ours | spikes | last, ms | to the tip, ms |")
    print("| --- " * 6 + "|")
    ours = [r["ns"] for r in rounds["ranvier"]]
    for side, results in rounds.items():
        times = [r["ns"] for r in results]
        ratio = statistics.median(t / o for t, o in zip(times, ours, strict=True))
        last = results[-1]
        print(f"| {side} | {statistics.median(times):.1f} ({min(times):.1f}-{max(times):.1f}) | {ratio:.2f} × | "
              f"{last['spikes']} | {last['last']:.3f} | {last['delay']:.3f} |")  # fmt: skip
    for process in processes.values():
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    main()
