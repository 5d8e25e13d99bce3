"""A run shared by several ranks, in memory or into a folder; see `ranvier.engines._run` for one process alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ranvier._progress import Progress
from ranvier.engines._prepare import Prepared
from ranvier.engines._run import SPAN, load_state, not_finite, recording_of, report
from ranvier.engines.protocol import Segment, SharedEngine
from ranvier.engines.ranks.group import RankGroup
from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.segment_files import in_order
from ranvier.engines.recording.segments import RunFolder
from ranvier.files.locks import folder_lock


def run(
    group: RankGroup, prepare: Callable[[], Prepared], steps: int, duration: float, path: str | Path | None, show: bool
) -> Recording:
    """What `simulate` returns, on all ranks. Raises on all what one of them raises."""
    began = time.perf_counter()
    prepared = group.build(prepare)
    manifest = group.build(lambda: prepared.folder_manifest(duration))
    group.require_same({**manifest, "threads": prepared.engine.options.threads, "path": path is not None})
    built, dt = time.perf_counter() - began, prepared.engine.options.dt
    with Progress("simulating", steps * dt / 1000, unit="s", digits=1, show=show and group.index == 0) as bar:
        if path is not None:
            return _into_folder(group, prepared, Path(path), manifest, steps, bar)
        began = time.perf_counter()
        pieces = list(_advance_to(group, prepared, steps, bar))
        whole = _gather(group, prepared, pieces)
        timings = {"build_s": built, "run_s": time.perf_counter() - began}
    entries = prepared.manifest | {"duration": duration, "ranks": group.count, "timings": timings}
    return recording_of(prepared, [whole], 0, entries)


def _into_folder(
    group: RankGroup, prepared: Prepared, path: Path, manifest: dict[str, Any], steps: int, bar: Progress
) -> Recording:
    first = group.index == 0
    engine, columns = _shared(prepared), _columns(prepared)
    lock = group.together(lambda: folder_lock(path, "run") if first else None)
    folder: RunFolder | None = None
    try:
        if first:
            folder = group.together(
                lambda: RunFolder.create_or_resume(path, manifest, trace_neurons=prepared.columns, lock=lock)
            )
        else:
            group.together(lambda: None)
            folder = RunFolder.read(path)
        folder.rank, folder.ranks = group.index, group.count
        group.together(lambda: load_state(prepared, folder))
        bar.to(engine.step * engine.options.dt / 1000)
        for piece in _advance_to(group, prepared, steps, bar):
            group.together(partial(_write, folder, piece, engine, columns))
            folder.commit(engine.step)
        entries = report(engine) | {"ranks": group.count}
        group.together(lambda: folder.note(entries) if first else None)
        return Recording.open(path, network=prepared.net)
    finally:
        if folder is not None:
            folder.close()
        elif lock is not None:
            lock.release()


def _write(folder: RunFolder, piece: Segment, engine: SharedEngine, columns: dict[str, NDArray[np.int64]]) -> None:
    samples = {name: (at, values[:, columns[name]]) for name, (at, values) in piece.samples.items()}
    folder.write(engine.step, piece.steps, piece.neurons, samples, engine.share(), columns)


def _advance_to(group: RankGroup, prepared: Prepared, last: int, bar: Progress) -> Iterator[Segment]:
    """This rank's segments to step `last`, each of about `SPAN` seconds by the first rank's clock."""
    engine, span = prepared.engine, 64
    while engine.step < last:
        began = time.perf_counter()
        piece = _advance(group, prepared, min(engine.step + group.from_first(span), last))
        yield piece
        bar.to(engine.step * engine.options.dt / 1000)
        seconds = time.perf_counter() - began
        span = max(1, min(int(span * min(SPAN / max(seconds, 1e-4), 8.0)), 1_000_000))


def _advance(group: RankGroup, prepared: Prepared, last: int) -> Segment:
    """Advance to `last`; where a rank's state is not finite, all go back and find the first."""
    engine = prepared.engine

    def anywhere(here: bool) -> bool:
        return bool(group.total(np.array([here], np.int64))[0])

    if not anywhere(not getattr(engine, "stays_finite", False)):
        return engine.advance(last)
    before = engine.state()
    segment = engine.advance(last)
    if not anywhere(engine.first_bad() is not None):
        return segment
    engine.load(before)
    while not anywhere(engine.first_bad() is not None):
        engine.advance(engine.step + 1)

    def refuse() -> None:
        if (bad := engine.first_bad()) is not None:
            raise not_finite(bad, engine)

    group.together(refuse)
    return segment


def _gather(group: RankGroup, prepared: Prepared, pieces: list[Segment]) -> Segment:
    """All ranks' segments as one, on all."""
    columns, share = _columns(prepared), {}
    share["steps"] = np.concatenate([piece.steps for piece in pieces])
    share["neurons"] = np.concatenate([piece.neurons for piece in pieces])
    for k, p in enumerate(prepared.probes):
        share[f"columns{k}"] = columns[p.name]
        share[f"at{k}"] = np.concatenate([piece.samples[p.name][0] for piece in pieces])
        share[f"values{k}"] = np.concatenate([piece.samples[p.name][1] for piece in pieces])[:, columns[p.name]]
    parts = group.gather(share)
    steps, neurons = in_order([(part["steps"], part["neurons"]) for part in parts])
    samples = {}
    for k, p in enumerate(prepared.probes):
        values = np.zeros((len(share[f"at{k}"]), len(p.neurons)), share[f"values{k}"].dtype)
        for part in parts:
            values[:, part[f"columns{k}"]] = part[f"values{k}"]
        samples[p.name] = share[f"at{k}"], values
    return Segment(steps, neurons, samples)


def _shared(prepared: Prepared) -> SharedEngine:
    return cast("SharedEngine", prepared.engine)


def _columns(prepared: Prepared) -> dict[str, NDArray[np.int64]]:
    """Which columns of each trace are of this rank's neurons."""
    out = {}
    for p in prepared.probes:
        mine, at = [], 0
        for piece in p.pieces:
            lo, hi = _shared(prepared).own(prepared.net.populations[piece.population])
            inside = (piece.neurons >= lo) & (piece.neurons < hi)
            mine.append(at + np.flatnonzero(inside))
            at += len(piece.neurons)
        out[p.name] = np.concatenate(mine) if mine else np.zeros(0, np.int64)
    return out


__all__ = ["run"]
