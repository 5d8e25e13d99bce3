"""One of several processes that run one network; see test_shared_runs.py.

python -m tests.engines.shared_run KIND RANK COUNT STORE [FOLDER DURATION KILL]: prints a digest of spikes and states,
or the error, as JSON; rank 1 is killed (SIGKILL) before it writes its KILL-th segment.
"""

import hashlib
import json
import os
import signal
import sys
import time

import numpy as np
import torch
import torch.distributed as dist

import ranvier as rv
from ranvier.engines.ranks import run
from ranvier.engines.recording.segments import RunFolder
from tests.engines.test_simulate_errors import Square


def network(kind: str) -> tuple[rv.Network, dict]:
    """"noisy": two populations with noise, backgrounds, weights and delays of their own; "linear": goes by events."""
    net = rv.Network(seed=3)
    rng = np.random.default_rng(1)
    if kind == "linear":
        n = 3 * 4096 + 100
        sources, targets = rng.integers(0, n, (2, 60_000))
        cells = net.add(rv.neurons.SynapticLIF(), n, "cells")
        weight, jump = torch.from_numpy(0.275 * rng.integers(-3, 9, 60_000)), rv.synapses.Jump(onto="g")
        net.connect(cells, cells, weight=weight, delay=1.8, edges=(sources, targets), synapse=jump)
        drive = net.add(rv.Poisson(150.0), 300, "drive")
        net.connect(drive, cells, weight=68.75, delay=1.8, edges=(np.arange(300), 40 * np.arange(300)))
        shared = net.add(rv.neurons.CorrelatedPoisson(150.0, 0.1), 300, "shared")
        net.connect(shared, cells, weight=68.75, delay=1.8, edges=(np.arange(300), 40 * np.arange(300) + 7))
        return net, {"engine": "events", "record": [rv.Probe("V", neurons=[0, 5000, n - 1], interval=1.0)]}
    if kind == "explodes":
        start = torch.zeros(600, dtype=torch.float64)
        start[571] = 0.25
        net.add(Square(), 600, "loud", initial={"x": start})
        return net, {"dt": 0.05}
    exc = net.add(rv.EIF(), 700, "exc", drive=12.0, noise=6.0)
    inh = net.add(rv.LIF(V_th=-50.0), 300, "inh", drive=13.0, noise=4.0)
    count = net.connect(exc, inh, weight=1.0, delay=1.5, in_degree=30, synapse=rv.Exponential(tau=5.0)).size
    net.connect(inh, exc, weight=torch.from_numpy(rng.normal(-9.0, 1.0, 700 * 20)), in_degree=20, delay=2.0)
    drawn = net.connect(exc, exc, weight=3.0, probability=0.02, delay=1.0, synapse=rv.Exponential(tau=5.0))
    edges = tuple(rng.integers(0, 300, (2, 900)))
    net.connect(inh, inh, weight=torch.from_numpy(rng.normal(-2.0, 1.0, 900)), edges=edges,
                delay=torch.from_numpy(rng.uniform(1.0, 4.0, 900)))  # fmt: skip
    net.background(exc, rate=500.0, weight=0.3)
    net.connect(net.add(rv.neurons.GammaProcess(100.0, 3.0), 700), exc, weight=0.5, in_degree=3)
    assert count == 300 * 30 and drawn.size
    return net, {"record": [rv.Probe("V", neurons=[3, 699, 700, 999], interval=0.5)]}


def digest(recording: rv.Recording) -> str:
    arrays = [recording.times, recording.neurons, *(x for t in recording.states.values() for x in (t.times, t.values))]
    return hashlib.sha256(b"".join(np.ascontiguousarray(a.numpy()).tobytes() for a in arrays)).hexdigest()[:16]


def main(kind: str, rank: int, count: int, store: str, path: str = "", duration: float = 60.0, kill: int = -1) -> None:
    torch.set_num_threads(1)
    if count > 1:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count)
    net, options = network("noisy" if kind in ("seeds", "busy") else kind)
    run.SPAN = 1e-9  # many segments
    write = RunFolder.write

    def killed(self, last_step, *arguments):
        if rank == 1 and len(self._spans) == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(self, last_step, *arguments)

    RunFolder.write = killed
    began = time.perf_counter()
    try:
        recording = rv.simulate(
            net, duration, seed=rank if kind == "seeds" else 5, ranks=count > 1, path=path or None, **options
        )
        method = recording.manifest["method"]
        print(json.dumps({"digest": digest(recording), "spikes": recording.n_spikes, "method": method}))
    except Exception as error:
        seconds = time.perf_counter() - began
        print(json.dumps({"error": f"{type(error).__name__}: {error}", "seconds": seconds}))


if __name__ == "__main__":
    arguments = dict(zip(("kind", "rank", "count", "store", "path", "duration", "kill"), sys.argv[1:], strict=False))
    kinds = {"rank": int, "count": int, "duration": float, "kill": int}
    main(**{name: kinds.get(name, str)(value) for name, value in arguments.items()})
