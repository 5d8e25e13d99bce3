"""Running an engine, in memory or into a folder, in spans of about a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ranvier._progress import Progress
from ranvier.analysis import Spikes
from ranvier.engines._prepare import Prepared
from ranvier.engines.protocol import Engine, NotFinite, Segment
from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.segments import RunFolder
from ranvier.engines.recording.traces import StateTrace
from ranvier.engines.recording.weights import NONE, Weights, WeightTrace, advance
from ranvier.files.locks import FolderLock

SPAN = 1.0  # seconds between two checks for interruption, roughly


def in_memory(prepared: Prepared, steps: int, manifest: dict[str, Any], bar: Progress) -> Recording:
    """Run to step `steps` from wherever the engine is; the recording is of this part."""
    first = prepared.engine.step
    return recording_of(prepared, advance_to(prepared, steps, bar, first), first, manifest)


def advance_to(prepared: Prepared, last: int, bar: Progress, first: int) -> list[Segment]:
    """Run to step `last` in memory; the bar counts from step `first`."""
    engine, pieces = prepared.engine, []
    for end in _spans(engine, last):
        pieces.append(_advance(prepared, end))
        bar.to((end - first) * engine.options.dt / 1000)
    return pieces


def recording_of(prepared: Prepared, pieces: list[Segment], first: int, manifest: dict[str, Any]) -> Recording:
    """The recording of the steps from `first` to where the engine is, whose segments are `pieces`."""
    engine, net = prepared.engine, prepared.net
    dt = engine.options.dt

    def trace(kind: Any, name: str, columns: Any) -> Any:
        at, values = (np.concatenate([piece.samples[name][k] for piece in pieces]) for k in (0, 1))
        return kind(torch.from_numpy(at * dt), torch.from_numpy(columns), torch.from_numpy(values))

    states = {p.name: trace(StateTrace, p.name, p.neurons) for p in prepared.probes}
    spikes = Spikes.from_steps(
        np.concatenate([piece.steps for piece in pieces]),
        np.concatenate([piece.neurons for piece in pieces]),
        n_neurons=net.size, dt=dt, stop=engine.step, start=first,
    )  # fmt: skip
    weights = NONE
    if any(p.plasticity is not None for p in net.projections):
        traces = {p.index: trace(WeightTrace, p.name, p.edges) for p in prepared.weights}
        weights = Weights(engine.weights(), traces)
    return Recording._of(spikes, states, net, manifest | report(engine), weights)


def open_folder(prepared: Prepared, lock: FolderLock, duration: float) -> RunFolder:
    """The run's folder, to be written, and the engine at its last step. Raises ValueError for another run's."""
    manifest = prepared.folder_manifest(duration)
    folder = RunFolder.create_or_resume(lock.path, manifest, trace_neurons=prepared.columns, lock=lock)
    load_state(prepared, folder)
    return folder


def load_state(prepared: Prepared, folder: RunFolder) -> None:
    """Bring the engine to the folder's last step. Raises ValueError for another run's state."""
    state = folder.state()
    if state is not None:
        try:
            prepared.engine.load(state)
        except (KeyError, TypeError, IndexError, ValueError, RuntimeError) as error:
            raise ValueError(f"{folder.path} holds no state that this run goes on from: {error}") from error
        if prepared.engine.step != folder.completed_steps:
            raise ValueError(
                f"{folder.path} holds the state of step {prepared.engine.step} after segments to step "
                f"{folder.completed_steps}: it is damaged; expected the state of its last segment: start in a new "
                "folder"
            )


def into_folder(prepared: Prepared, folder: RunFolder, steps: int, bar: Progress) -> None:
    """Run to step `steps` from where the folder ends, segment by segment."""
    engine = prepared.engine
    for last in _spans(engine, steps):
        piece = _advance(prepared, last)
        folder.append(last, piece.steps, piece.neurons, piece.samples, engine.state())
        bar.to(last * engine.options.dt / 1000)
    folder.note(report(engine))


def report(engine: Engine) -> dict[str, Any]:
    """What a manifest says of the engine after a run: threads in use, and which loop of several it chose."""
    chosen = getattr(engine, "report", None)
    return {"threads": engine.threads} | ({} if chosen is None else {"method": chosen})


def _spans(engine: Engine, steps: int) -> Iterator[int]:
    """Ever new last steps, about SPAN seconds apart."""
    span = 64
    while engine.step < steps:
        began = time.perf_counter()
        last = min(engine.step + span, steps)
        yield last
        seconds = time.perf_counter() - began
        span = max(1, min(int(span * min(SPAN / max(seconds, 1e-4), 8.0)), 1_000_000))


def _advance(prepared: Prepared, last: int) -> Segment:
    """Advance to `last`; where a state is not finite, go back and find the first."""
    engine = prepared.engine
    if getattr(engine, "stays_finite", False):
        return advance(engine, last, prepared.weights)
    before = engine.state()
    segment = advance(engine, last, prepared.weights)
    if engine.first_bad() is None:
        return segment
    engine.load(before)
    while (bad := engine.first_bad()) is None:
        engine.advance(engine.step + 1)
    raise not_finite(bad, engine)


def not_finite(bad: NotFinite, engine: Engine) -> FloatingPointError:
    """The error that names the first variable that is not finite, and when."""
    dt = engine.options.dt
    return FloatingPointError(
        f"{bad.variable} of neuron {bad.neuron} of population {bad.population!r} is not finite at "
        f"t = {engine.step * dt:g} ms; expected finite values: shorten dt (now {dt:g} ms), or check the parameters "
        "and weights"
    )
