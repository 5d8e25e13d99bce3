"""`simulate`: one function, whatever the engine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ranvier._progress import Progress
from ranvier.engines._prepare import Prepared, Record, duration_steps, prepare
from ranvier.engines._run import in_memory, into_folder, open_folder
from ranvier.engines.protocol import Modulators
from ranvier.engines.recording.recording import Recording
from ranvier.files.locks import folder_lock
from ranvier.networks import Network

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

    from ranvier.engines.ranks.group import RankGroup


def simulate(
    net: Network,
    duration: float,
    *,
    dt: float = 0.1,
    seed: int = 0,
    engine: str = "compiled",
    threads: int = 1,
    record: Record = (),
    path: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    modulators: Modulators | None = None,
    progress: bool = False,
    ranks: bool | ProcessGroup = False,
    threshold: str = "step",
) -> Recording:
    """Simulate a network.

    The run is a function of (network, duration, dt, seed), whatever the threads.

    Parameters
    ----------
    duration, dt
        ms; the duration is a whole number of steps. Delays are rounded to the nearest step, halves up.
    seed
        Of noise, Poisson trains and initial values; from 0 to 2^63 - 1.
    engine
        "compiled" (numba) or "torch" (for small networks and gradients). The compiled engine advances every neuron in
        every step, or, where all equations are linear and free of noise and activity is sparse, neurons from event to
        event; `recording.manifest["method"]` says which, and "stepping" or "events" ask for one.
    threads
        At most this many (compiled).
    record
        Names of state variables, `Probe`s, or `WeightProbe`s of plastic projections; spikes are always
        recorded, and plastic projections' final weights: `recording.weights[projection]`.
    path
        A folder: the run is written there segment by segment, memory stays constant, and the same call after an
        interruption goes on from the last segment. With a longer duration it goes on from a finished run; the result
        is that of one long run, to the bit. No other process can write to the folder in the meantime.
    dtype
        torch.float32 or torch.float64.
    modulators
        Modulators of plastic projections, projection -> `TimeSeries` or `Population`, in place of those given
        to `Network.connect`.
    progress
        Whether to show a bar on the terminal.
    ranks
        True, in every process that `torchrun` started (or a group of torch.distributed): they share the run, on one
        machine or many. Each makes this very call, owns part of every population, builds the synapses onto it alone,
        and runs `threads` threads; spikes are exchanged once a shortest delay. The result is that of one process, to
        the bit, whatever the number of ranks, and every rank returns it. With `path` each writes what it owns into
        one folder, which any number of ranks, or one process, reads and goes on with. Networks with plastic or
        continuous synapses are refused.
    threshold
        "step": a neuron spikes where it is above its threshold at the end of a step, and so misses those times at which
        noise takes it there and back (at dt = 0.1 ms some 4 % of the spikes of an LIF neuron at 20 Hz). "bridge":
        whether noise took it there within the step is drawn from the Brownian bridge between the step's ends. For
        neurons with white noise of their own and linear equations (`LIF`); others are refused by name.

    Raises
    ------
    ValueError
        for a duration that is no whole number of steps, a delay below dt, an unknown engine or variable, or another
        run in `path`.
    FolderInUseError
        (a RuntimeError) if another thread or process writes to `path`.
    FileNotFoundError
        if `path` is deleted or moved while the run goes on.
    ConnectionError
        on all other ranks, within a minute, if one ends or falls silent.
    FloatingPointError
        if a variable becomes infinite or NaN; it names the first neuron, the variable and the time.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 3, drive=20.0)
    >>> rv.simulate(net, 100.0).rates().shape
    torch.Size([3])
    """
    steps = duration_steps(duration, dt)

    group: RankGroup | None = None
    if ranks is not False:
        from ranvier.engines.ranks.group import RankGroup

        group = RankGroup.of(ranks)

    def prepared() -> Prepared:
        return prepare(
            net, dt=dt, seed=seed, engine=engine, threads=threads, record=record, dtype=dtype, modulators=modulators,
            group=group, threshold=threshold,
        )  # fmt: skip

    if group is not None:
        from ranvier.engines.ranks.run import run

        try:
            return run(group, prepared, steps, duration, path, progress)
        finally:
            group.close()
    if path is None:
        began = time.perf_counter()
        ready = prepared()
        timings = {"build_s": time.perf_counter() - began}
        began = time.perf_counter()
        with Progress("simulating", steps * dt / 1000, unit="s", digits=1, show=progress) as bar:
            recording = in_memory(ready, steps, ready.manifest | {"duration": duration}, bar)
        timings["run_s"] = time.perf_counter() - began
        recording.manifest["timings"] = timings
        return recording
    with folder_lock(path, "run") as lock:
        ready = prepared()
        folder = open_folder(ready, lock, duration)
        with Progress("simulating", steps * dt / 1000, unit="s", digits=1, show=progress) as bar:
            bar.to(ready.engine.step * dt / 1000)
            into_folder(ready, folder, steps, bar)
        return Recording.open(path, network=net)
