"""`simulate`: one function, whatever the engine."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ranvier._steps import whole_steps
from ranvier.analysis import Spikes
from ranvier.engines.plasticity.modulators import describe_modulators
from ranvier.engines.recording.probes import Probe, ResolvedProbe, resolve_probes
from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.segments import RunFolder
from ranvier.engines.recording.traces import Trace
from ranvier.engines.recording.weights import (
    NONE,
    ResolvedWeights,
    WeightProbe,
    Weights,
    WeightTrace,
    advance,
    resolve_weights,
)
from ranvier.engines.step_model import step_models
from ranvier.networks import Network, Projection
from ranvier.networks.store import fingerprint

_SEGMENT = 1.0  # wall seconds between checks for interruption, roughly


def simulate(
    net: Network,
    duration: float,
    *,
    dt: float = 0.1,
    seed: int = 0,
    engine: str = "compiled",
    threads: int = 1,
    record: Sequence[str | Probe | WeightProbe] | str | Probe | WeightProbe = (),
    path: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    modulators: Mapping[Projection, Any] | None = None,
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
        Names of state variables, `Probe`s, or `WeightProbe`s of plastic projections; spikes are always
        recorded, and plastic projections' final weights: `recording.weights[projection]`.
    path
        A folder: the run is written there segment by segment, memory stays constant, and the same call
        after an interruption goes on from the last segment.
    dtype
        torch.float32 or torch.float64.
    modulators
        Modulators of plastic projections, projection -> `TimeSeries` or `Population`, in place of those given
        to `Network.connect`.

    Raises
    ------
    ValueError
        for a duration or delay that does not fit dt, an unknown engine or variable, or another run in `path`.
    FloatingPointError
        if a variable becomes infinite or NaN; it names the first neuron, the variable and the time.
    """
    steps = duration_steps(duration, dt)
    began = time.perf_counter()
    made = prepare(
        net, dt=dt, seed=seed, engine=engine, threads=threads, record=record, dtype=dtype, modulators=modulators
    )
    timings = {"build_s": time.perf_counter() - began}
    manifest = described(net, dt, seed, engine, dtype) | {"duration": duration}
    began = time.perf_counter()
    with Progress(steps * dt, progress) as bar:
        if path is None:
            recording = in_memory(made, net, steps, manifest, bar)
            timings["run_s"] = time.perf_counter() - began
            recording.manifest["timings"] = timings
            return recording
        return _on_disk(made, net, steps, manifest, modulators, Path(path), bar)


@dataclass(frozen=True, eq=False)
class Prepared:
    """An engine, what is recorded of neurons, and what of weights."""

    runner: Any
    probes: tuple[ResolvedProbe, ...]
    weights: tuple[ResolvedWeights, ...]


def prepare(
    net: Network, *, dt: float, seed: int, engine: str, threads: int, record: Any, dtype: torch.dtype, modulators: Any
) -> Prepared:
    """Check what `simulate` was given, and make the network ready to run."""
    if not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"found dt = {dt}, expected a positive number of ms")
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"found dtype {dtype}, expected torch.float32 or torch.float64")
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= int(seed) < 2**63:
        raise ValueError(f"found seed {seed!r}, expected an integer from 0 to 2^63 - 1")
    if not hasattr(threads, "__index__") or int(threads) < 1:
        raise ValueError(f"found threads = {threads!r}, expected a whole number, at least 1")
    if not net.populations:
        raise ValueError("the network has no populations; expected at least one: net.add(rv.LIF(), 100)")
    for p in modulators or {}:
        if not any(p is q for q in net.projections) or p.plasticity is None:
            raise ValueError(f"modulators= names {p!r:.80}; expected plastic projections of this network")
    given = [record] if isinstance(record, str | Probe | WeightProbe) else list(record)
    probes = resolve_probes([r for r in given if not isinstance(r, WeightProbe)], net, step_models(net), dt)
    weights = resolve_weights([r for r in given if isinstance(r, WeightProbe)], net, dt)
    runner: Any
    if engine == "compiled":
        from ranvier.engines.compiled.engine import CompiledEngine

        double = dtype == torch.float64
        runner = CompiledEngine(
            net, dt=dt, seed=int(seed), threads=int(threads), double=double, probes=probes, modulators=modulators
        )
    elif engine == "torch":
        from ranvier.engines.torch.engine import TorchEngine

        runner = TorchEngine(net, dt=dt, seed=int(seed), dtype=dtype, probes=probes, modulators=modulators)
    else:
        raise ValueError(f"unknown engine {engine!r}; expected 'compiled' or 'torch'")
    return Prepared(runner, probes, weights)


def described(net: Network, dt: float, seed: int, engine: str, dtype: torch.dtype) -> dict[str, Any]:
    """What a recording's manifest says of a run, but for its duration."""
    return {
        "n_neurons": sum(p.size for p in net.populations),
        "dt": dt,
        "seed": int(seed),
        "engine": engine,
        "dtype": str(dtype).removeprefix("torch."),
    }


def duration_steps(duration: float, dt: float) -> int:
    if not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"found dt = {dt}, expected a positive number of ms")
    if not (math.isfinite(duration) and duration > 0):
        raise ValueError(f"found duration = {duration}, expected a positive number of ms")
    return whole_steps(duration, dt, f"found duration = {duration} ms")


def _spans(runner: Any, steps: int):
    """Ever new last steps, about _SEGMENT seconds apart."""
    span = 64
    while runner.step < steps:
        began = time.perf_counter()
        last = min(runner.step + span, steps)
        yield last
        took = time.perf_counter() - began
        span = max(1, min(int(span * min(_SEGMENT / max(took, 1e-4), 8.0)), 1_000_000))


def _checked(made: Prepared, last: int) -> Any:
    """Advance to `last`; where a state explodes, go back and find the first."""
    runner = made.runner
    before = runner.state()
    out = advance(runner, last, made.weights)
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


def in_memory(made: Prepared, net: Network, steps: int, manifest: dict, bar: Progress) -> Recording:
    """Run to step `steps` from wherever the engine is."""
    runner = made.runner
    first = runner.step
    spike_steps, spike_neurons = [], []
    names = [p.name for p in made.probes] + [p.name for p in made.weights]
    traces: dict[str, list[Any]] = {name: [] for name in names}
    for last in _spans(runner, steps):
        s, n, t = _checked(made, last)
        spike_steps.append(s)
        spike_neurons.append(n)
        for name, piece in t.items():
            traces[name].append(piece)
        bar.to((last - first) * runner.dt)

    def trace(kind: Any, name: str, which: Any) -> Any:
        at, values = (np.concatenate([piece[k] for piece in traces[name]]) for k in (0, 1))
        return kind(torch.from_numpy(at * runner.dt), torch.from_numpy(which), torch.from_numpy(values))

    states = {p.name: trace(Trace, p.name, p.neurons) for p in made.probes}
    spikes = Spikes.from_steps(
        np.concatenate(spike_steps), np.concatenate(spike_neurons), n_neurons=manifest["n_neurons"], dt=runner.dt,
        stop=steps, start=first,
    )  # fmt: skip
    weights = NONE
    if any(p.plasticity is not None for p in net.projections):
        seen = {p.index: trace(WeightTrace, p.name, p.edges) for p in made.weights}
        weights = Weights(runner.weights(), seen)
    return Recording._of(spikes, states, net, manifest | {"threads": runner.threads}, weights)


def _on_disk(
    made: Prepared, net: Network, steps: int, manifest: dict, modulators: Any, path: Path, bar: Progress
) -> Recording:
    runner = made.runner
    manifest["network"] = fingerprint(net)
    # the neurons are compared by the folder; here what is recorded of them, and how often
    manifest["record"] = {p.name: [p.interval, *((q.population, q.state) for q in p.pieces)] for p in made.probes}
    manifest["record"] |= {p.name: [p.interval] for p in made.weights}
    if modulators:
        manifest["modulators"] = describe_modulators(modulators)
    recorded = {p.name: p.neurons for p in made.probes} | {p.name: p.edges for p in made.weights}
    folder = RunFolder.create_or_resume(path, manifest, trace_neurons=recorded)
    state = folder.state()
    if state is not None:
        runner.load(state)
        bar.to(runner.step * runner.dt)
    for last in _spans(runner, steps):
        s, n, t = _checked(made, last)
        folder.append(last, s, n, t, runner.state())
        bar.to(last * runner.dt)
    return Recording.open(path, network=net)


class Progress:
    """A bar of biological time on the terminal, or nothing."""

    def __init__(self, total: float, show: bool) -> None:
        self._bar: Any = None
        if show:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("simulating"),
                BarColumn(),
                TextColumn("{task.fields[at]:.1f} of {task.fields[whole]:.1f} s"),
                TimeRemainingColumn(),
            )
            self._task = self._bar.add_task("", total=total, at=0.0, whole=total / 1000)

    def __enter__(self) -> Progress:
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
