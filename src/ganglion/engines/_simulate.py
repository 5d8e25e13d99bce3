"""`simulate`: one function, whatever the engine."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganglion.engines._model import step_models
from ganglion.engines._probes import Probe, ResolvedProbe, resolve_probes
from ganglion.engines._recording import Recording, Trace
from ganglion.engines._segments import RunFolder
from ganglion.networks import Network
from ganglion.networks._store import fingerprint

_SEGMENT = 1.0  # wall seconds between checks for interruption, roughly


def simulate(
    net: Network,
    duration: float,
    *,
    dt: float = 0.1,
    seed: int = 0,
    engine: str = "compiled",
    threads: int = 1,
    record: Sequence[str | Probe] | str | Probe = (),
    path: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    progress: bool = False,
) -> Recording:
    """Simulate a network.

    Parameters
    ----------
    duration, dt
        ms; the duration is a whole number of steps.
    seed
        The run is a function of (network, duration, dt, seed), whatever the threads.
    engine
        "compiled" (numba, event-driven) or "torch" (clock-driven, for small networks and gradients).
    threads
        At most so many (compiled).
    record
        Names of state variables, or `Probe`s; spikes are always recorded.
    path
        A folder: the run is written there segment by segment, memory stays constant, and the same call
        after an interruption goes on from the last segment.
    dtype
        torch.float32 or torch.float64.

    Raises
    ------
    ValueError
        for a duration or delay that does not fit dt, an unknown engine or variable, or another run in `path`.
    FloatingPointError
        if a variable becomes infinite or NaN; it names the first neuron, the variable and the time.
    """
    steps = _whole_steps(duration, dt)
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"found dtype {dtype}, expected torch.float32 or torch.float64")
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= int(seed) < 2**63:
        raise ValueError(f"found seed {seed!r}, expected an integer from 0 to 2^63 - 1")
    if not hasattr(threads, "__index__") or int(threads) < 1:
        raise ValueError(f"found threads = {threads!r}, expected a whole number, at least 1")
    if not net.populations:
        raise ValueError("the network has no populations; expected at least one: net.add(gg.LIF(), 100)")
    began = time.perf_counter()
    probes = resolve_probes(record, net, step_models(net), dt)
    runner: Any
    if engine == "compiled":
        from ganglion.engines.compiled import CompiledEngine

        runner = CompiledEngine(
            net, dt=dt, seed=int(seed), threads=int(threads), double=dtype == torch.float64, probes=probes
        )
    elif engine == "torch":
        from ganglion.engines.torch_engine import TorchEngine

        runner = TorchEngine(net, dt=dt, seed=int(seed), dtype=dtype, probes=probes)
    else:
        raise ValueError(f"unknown engine {engine!r}; expected 'compiled' or 'torch'")
    timings = {"build_s": time.perf_counter() - began}
    manifest = {
        "n_neurons": sum(p.size for p in net.populations),
        "dt": dt,
        "duration": duration,
        "seed": int(seed),
        "engine": engine,
        "dtype": str(dtype).removeprefix("torch."),
    }
    began = time.perf_counter()
    with _Progress(steps * dt, progress) as bar:
        if path is None:
            recording = _in_memory(runner, net, steps, probes, manifest, bar)
            timings["run_s"] = time.perf_counter() - began
            recording.manifest["timings"] = timings
            recording.manifest["threads"] = getattr(runner, "threads", 1)
            return recording
        return _on_disk(runner, net, steps, probes, manifest, Path(path), bar)


def _whole_steps(duration: float, dt: float) -> int:
    if not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"found dt = {dt}, expected a positive number of ms")
    if not (math.isfinite(duration) and duration > 0):
        raise ValueError(f"found duration = {duration}, expected a positive number of ms")
    steps = round(duration / dt)
    if steps < 1 or abs(steps * dt - duration) > 1e-6 * dt + 1e-14 * duration:
        raise ValueError(f"found duration = {duration} ms, expected a multiple of the step dt = {dt} ms")
    return steps


def _spans(runner: Any, steps: int):
    """Ever new last steps, about _SEGMENT seconds apart."""
    span = 64
    while runner.step < steps:
        began = time.perf_counter()
        last = min(runner.step + span, steps)
        yield last
        took = time.perf_counter() - began
        span = max(1, min(int(span * min(_SEGMENT / max(took, 1e-4), 8.0)), 1_000_000))


def _checked(runner: Any, last: int) -> Any:
    """Advance to `last`; where a state explodes, go back and find the first."""
    before = runner.state()
    out = runner.advance(last)
    if runner.first_bad() is None:
        return out
    runner.load(before)
    while runner.first_bad() is None:
        runner.advance(runner.step + 1)
    population, neuron, variable = runner.first_bad()
    raise FloatingPointError(
        f"{variable} of neuron {neuron} of population {population!r} is no longer finite at "
        f"t = {runner.step * runner.dt:g} ms; expected finite values: shorten dt (now {runner.dt:g} ms), "
        "or check the parameters and weights"
    )


def _in_memory(
    runner: Any, net: Network, steps: int, probes: tuple[ResolvedProbe, ...], manifest: dict, bar: _Progress
) -> Recording:
    spike_steps, spike_neurons = [], []
    traces: dict[str, list[Any]] = {p.name: [] for p in probes}
    for last in _spans(runner, steps):
        s, n, t = _checked(runner, last)
        spike_steps.append(s)
        spike_neurons.append(n)
        for name, piece in t.items():
            traces[name].append(piece)
        bar.to(last * runner.dt)
    states = {
        p.name: Trace(
            torch.from_numpy(np.concatenate([t[0] for t in traces[p.name]]) * runner.dt),
            torch.from_numpy(p.neurons),
            torch.from_numpy(np.concatenate([t[1] for t in traces[p.name]])),
        )
        for p in probes
    }
    return Recording(
        np.concatenate(spike_steps),
        np.concatenate(spike_neurons),
        n_neurons=manifest["n_neurons"],
        dt=manifest["dt"],
        duration=manifest["duration"],
        states=states,
        network=net,
        manifest=manifest,
    )


def _on_disk(
    runner: Any, net: Network, steps: int, probes: tuple[ResolvedProbe, ...], manifest: dict, path: Path, bar: _Progress
) -> Recording:
    manifest["network"] = fingerprint(net)
    # the neurons are compared by the folder; here what is recorded of them, and how often
    manifest["record"] = {p.name: [p.interval, *((q.population, q.state) for q in p.pieces)] for p in probes}
    folder = RunFolder.create_or_resume(path, manifest, trace_neurons={p.name: p.neurons for p in probes})
    state = folder.state()
    if state is not None:
        runner.load(state)
        bar.to(runner.step * runner.dt)
    for last in _spans(runner, steps):
        s, n, t = _checked(runner, last)
        folder.append(last, s, n, t, runner.state())
        bar.to(last * runner.dt)
    return Recording.open(path, network=net)


class _Progress:
    """A bar of biological time on the terminal, or nothing."""

    def __init__(self, total: float, show: bool) -> None:
        self._bar: Any = None
        self._total = total
        if show:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("simulating"),
                BarColumn(),
                TextColumn("{task.fields[at]:.1f} of {task.fields[whole]:.1f} s"),
                TimeRemainingColumn(),
            )
            self._task = self._bar.add_task("", total=total, at=0.0, whole=total / 1000)

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def to(self, ms: float) -> None:
        """Show that the run has come to `ms`."""
        if self._bar is not None:
            self._bar.update(self._task, completed=ms, at=ms / 1000)
