"""Runs killed by SIGKILL at random moments and started again, until they end: the results must be those of a whole run.

Each attempt is a fork of a process that has imported the package and done nothing; those that an attempt starts, as a
sweep does, are killed with it."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.attack.forks import forked


def simulation(folder: Path) -> bytes:
    """A noisy network with plastic synapses, written in segments."""
    import ranvier as rv

    net = rv.Network(seed=1)
    cells = net.add(rv.EIF(), 400, "cells", drive=12.0, noise=4.0)
    net.connect(cells, cells, weight=0.5, in_degree=20, delay=1.0)
    inputs = net.add(rv.Poisson(rate=20.0), 100, "inputs")
    net.connect(inputs, cells, weight=0.2, in_degree=10, plasticity=rv.rules.STDP(w_max=1.0))
    run = rv.simulate(net, 5000.0, dt=0.1, seed=3, path=folder / "run", record=[rv.Probe("V", interval=50.0)])
    weights = run.weights[net.projections[-1]]
    return run.times.numpy().tobytes() + run.neurons.numpy().tobytes() + weights.numpy().tobytes()


def training(folder: Path) -> bytes:
    """`fit` with a schedule and dropout."""
    from tests.learners.killed import train

    state = train(folder / "fit")
    return b"".join(value.numpy().tobytes() for value in state.values())


def command(folder: Path) -> bytes:
    """`ranvier run` on a ring of neurons, up to its page."""
    from ranvier.cli import main

    edges = folder / "ring.csv"
    folder.mkdir(exist_ok=True)
    if not edges.exists():
        edges.write_text("source,target,weight\n" + "".join(f"n{k},n{(k + 1) % 20},{1 + k % 3}\n" for k in range(20)))
    sys.argv = ["ranvier", "run", str(edges), "--seconds", "20", "--out", str(folder / "out")]
    try:
        main()
    except SystemExit as end:
        if end.code not in (0, None):
            raise
    from ranvier.engines import Recording

    run = Recording.open(folder / "out" / "run")
    return run.times.numpy().tobytes() + run.neurons.numpy().tobytes()


def entry(folder: Path) -> bytes:
    """One system of the atlas with its mutants."""
    import json

    from ranvier.atlas import get, run

    (result,) = run([get("active_inference")], folder / "atlas", seed=0)
    lasting = {k: v for k, v in result.items() if k not in ("seconds", "material", "pictures", "skipped")}
    return json.dumps(lasting, sort_keys=True, default=str).encode()


def sweep(folder: Path) -> bytes:
    """Three systems of the atlas, two at a time in separate processes."""
    import json

    from ranvier.atlas import get, run

    chosen = [get(name) for name in ("active_inference", "modern_hopfield", "oja")]
    results = sorted(run(chosen, folder / "atlas", seed=0, jobs=2), key=lambda result: result["name"])
    passing = ("seconds", "material", "pictures", "skipped")
    return json.dumps([{k: v for k, v in r.items() if k not in passing} for r in results], default=str).encode()


WORK: dict[str, Callable[[Path], bytes]] = {
    "simulate": simulation, "fit": training, "ranvier run": command, "atlas": entry, "sweep": sweep,
}  # fmt: skip


def once(what: str, folder: Path, kill_after: float | None = None) -> tuple[int, str]:
    """Exit status and digest of one attempt, killed after that many seconds."""
    work = WORK[what]
    return forked(lambda: hashlib.sha256(work(folder)).hexdigest(), kill_after)


def attack(what: str, kills: int, folder: Path, seed: int = 0) -> dict[str, int | float | str]:
    """Kill `what` that many times at random moments of its whole length; a run that ended begins again."""
    rng = random.Random(seed)
    once(what, folder / "first")  # compiles what is kept from then on
    began = time.perf_counter()
    status, expected = once(what, folder / "whole")
    length = time.perf_counter() - began
    if status != 0:
        return {"kills": 0, "differing": 0, "failed": 1, "error": expected, "seconds": 0.0}
    killed = differing = failed = 0
    problem = ""
    run = folder / "run0"
    while killed < kills:
        status, result = once(what, run, rng.uniform(0.05, 1.1) * length)
        if status == -signal.SIGKILL:
            killed += 1
            continue
        failed += status != 0
        differing += status == 0 and result != expected
        problem = problem or (result if status != 0 else "")
        shutil.rmtree(run, ignore_errors=True)
        run = folder / f"run{killed}"
    status, result = once(what, run)
    failed += status != 0
    differing += status == 0 and result != expected
    problem = problem or (result if status != 0 else "")
    return {"kills": killed, "differing": differing, "failed": failed, "error": problem, "seconds": round(length, 1)}

