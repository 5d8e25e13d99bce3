"""`RunFolder`: a run on disk, segment by segment, consistent after a crash at any moment.

A folder holds

- `manifest.json`: what is run (compared on resuming) and with what software (recorded only);
- `traces.safetensors`: which neurons each trace of a state variable is of, where there are any;
- `segment-000000.safetensors`, ...: spikes and traces of consecutive spans of steps;
- `state-000000.safetensors`: the engine's state at the end of the last segment;
- of a span that several ranks ran, a part of both by each of them: `segment-000000.rank-00000-of-00002.safetensors`.
  It counts once all of them are there.

Each file appears whole or not at all. A segment counts from the moment its file has its name, and its
state is written before it, so that the last segment always has one; older states are then removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier.analysis.spikes.stream import Spikes, check
from ranvier.engines.recording._manifest import (
    LARGEST_INDEX,
    clock_of,
    note_environment,
    plain,
    require_integers,
    require_same,
    require_unused,
    stored_manifest,
)
from ranvier.engines.recording.segment_files import (
    flush,
    in_order,
    read,
    require_same_traces,
    segment_file,
    segment_spikes,
    state_of,
    stored_spans,
    tensor,
    trace_piece,
)
from ranvier.engines.recording.shares import whole
from ranvier.files.atomic import folder_at, read_tensors, write_json, write_tensors
from ranvier.files.locks import FolderLock, folder_lock

REQUIRED = ("n_neurons", "dt", "duration")

Traces = Mapping[str, tuple[ArrayLike, ArrayLike]]


@dataclass(frozen=True, eq=False)
class _Segments:
    """The spikes of a run's files, which are read at each pass: of each segment (its ranks' parts), between two steps.
    """

    files: Sequence[Sequence[Path]]
    borders: Sequence[int]
    n_neurons: int

    def __call__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        for parts, (first, last) in zip(self.files, pairwise(self.borders), strict=True):
            pieces = [segment_spikes(file, self.n_neurons, first, last) for file in parts]
            yield pieces[0] if len(pieces) == 1 else in_order(pieces)


class RunFolder:
    """A run's folder; open it with `create_or_resume` to write, with `read` to read."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.n_neurons, self.dt, duration, self.first_step = clock_of(path, manifest)
        self.last_step = self.first_step + round(duration / self.dt)
        self.trace_neurons: dict[str, NDArray[np.int64]] = (
            read_tensors(path / "traces.safetensors") if (path / "traces.safetensors").exists() else {}
        )
        for name, neurons in self.trace_neurons.items():
            top = LARGEST_INDEX if name.startswith("weights/") else self.n_neurons
            require_integers(neurons, 0, top, f"{path / 'traces.safetensors'}: the neurons of {name!r:.60}")
        self._lock: FolderLock | None = None
        self.rank, self.ranks = 0, 1
        self._segments, self._spans = stored_spans(path, self.first_step, self.last_step)

    @classmethod
    def create_or_resume(
        cls,
        path: str | Path,
        manifest: dict[str, Any],
        *,
        trace_neurons: Mapping[str, ArrayLike] | None = None,
        lock: FolderLock | None = None,
    ) -> RunFolder:
        """Open `path` for writing: a new folder, or one with whole segments of this very run.

        `manifest` is JSON-able and has at least `n_neurons`, `dt` (ms) and `duration` (ms); where the folder holds
        the same run for a shorter duration, it is extended. `trace_neurons` gives the global indices behind the
        columns of each trace. `lock` is the folder's, if the caller has taken it already; it is released by
        `close`. Raises ValueError where the folder holds another run (the entries that differ are named) or
        something else, FolderInUseError where somebody is writing to it; in each case nothing is changed.
        """
        path = folder_at(path)
        lock = folder_lock(path) if lock is None else lock
        try:
            return cls._locked(path, plain(manifest), dict(trace_neurons or {}), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _locked(
        cls, path: Path, manifest: dict[str, Any], trace_neurons: dict[str, ArrayLike], lock: FolderLock
    ) -> RunFolder:
        for key in REQUIRED:
            if key not in manifest:
                raise ValueError(f"the manifest has no entry {key!r}; expected {', '.join(REQUIRED)}")
        columns = {name: np.asarray(n, dtype=np.int64) for name, n in trace_neurons.items()}
        known = stored_manifest(path)
        if known is None:
            require_unused(path)
        else:
            if "first_step" in known and "first_step" not in manifest:
                raise ValueError(
                    f"{path} is a saved recording, without the state that a run goes on from; expected a run of "
                    "simulate(..., path=...), or a name not yet taken"
                )
            require_same(path, known, manifest)
            require_same_traces(path, cls.read(path).trace_neurons, columns)
        for leftover in path.glob(".*.*.*"):  # temporary files of a writer that was killed
            if leftover.name.startswith((".segment-", ".state-", ".manifest.", ".traces.")):
                leftover.unlink()
        if known is None:
            (path / "traces.safetensors").unlink(missing_ok=True)
            if columns:
                write_tensors(path / "traces.safetensors", columns)
        else:
            longer = round(manifest["duration"] / manifest["dt"]) > round(known["duration"] / known["dt"])
            manifest = note_environment(known, manifest) | {"duration": (manifest if longer else known)["duration"]}
        if manifest != known:
            write_json(path / "manifest.json", manifest)
            flush(path)
        folder = cls(path, manifest)
        folder._lock = lock
        folder._remove_old_states()
        return folder

    @classmethod
    def read(cls, path: str | Path) -> RunFolder:
        """Open `path` for reading. Raises FileNotFoundError where there is no run."""
        path = folder_at(path)
        manifest = stored_manifest(path)
        if manifest is None:
            there = "a folder without one" if path.is_dir() else "a file" if path.exists() else "nothing"
            raise FileNotFoundError(
                f"no run at {path}: there is {there}; expected a folder with a manifest.json, as written by "
                "simulate(..., path=...) or Recording.save"
            )
        missing = [key for key in REQUIRED if key not in manifest]
        if missing:
            raise ValueError(f"{path / 'manifest.json'} has no entry {missing[0]!r}; expected a run's manifest")
        return cls(path, manifest)

    @classmethod
    def stored_duration(cls, path: Path) -> float:
        """The duration (ms) of the run in a folder, 0 where there is none."""
        manifest = stored_manifest(path)
        return 0.0 if manifest is None else cls(path, manifest).manifest["duration"]

    def extend(self, last_step: int) -> None:
        """Let the run go on to a later step, if it is to end before."""
        if last_step > self.last_step:
            self._check_folder()
            self.manifest["duration"] = (last_step - self.first_step) * self.dt
            write_json(self.path / "manifest.json", self.manifest)
            flush(self.path)
            self.last_step = last_step

    def note(self, entries: dict[str, Any]) -> None:
        """Put entries on the environment, which no resuming compares, into the manifest."""
        if any(self.manifest.get(key) != value for key, value in entries.items()):
            self._check_folder()
            self.manifest |= entries
            write_json(self.path / "manifest.json", self.manifest)
            flush(self.path)

    def close(self) -> None:
        """Let others write here; done too when the object is dropped."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def completed_steps(self) -> int:
        """The last step that lies on disk."""
        return self._spans[-1] if self._spans else self.first_step

    @property
    def segments(self) -> list[list[Path]]:
        """Files of the whole segments, in the order of time: of each one file, or one a rank."""
        return self._segments

    def state(self) -> dict[str, NDArray[Any]] | None:
        """The engine's state after `completed_steps`; None before the first segment, or in a saved recording."""
        if not self._spans or not tensor(self.segments[-1][0], "has_state")[0]:
            return None
        paths = [state_of(file) for file in self.segments[-1]]
        for path in paths:
            if not path.exists():
                raise FileNotFoundError(
                    f"{path} is missing; expected it, or the run cannot go on: delete the folder and start again"
                )
        return read(paths[0]) if len(paths) == 1 else whole(map(read, paths))

    def append(
        self,
        last_step: int,
        spike_steps: ArrayLike,
        spike_neurons: ArrayLike,
        traces: Traces | None = None,
        state: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        """Write the steps from `completed_steps` + 1 to `last_step`, and the state after them.

        Raises as `write` does.
        """
        self.write(last_step, spike_steps, spike_neurons, traces, state)
        self.commit(last_step)

    def write(
        self,
        last_step: int,
        spike_steps: ArrayLike,
        spike_neurons: ArrayLike,
        traces: Traces | None = None,
        state: Mapping[str, ArrayLike] | None = None,
        columns: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> None:
        """Write a segment, or this rank's part of it: then `columns` are those of each trace that it holds.

        Raises ValueError for steps, neurons or traces that do not fit, before anything is written, and
        FileNotFoundError if the folder was deleted or moved.
        """
        first = self.completed_steps
        if not first < last_step <= self.last_step:
            raise ValueError(f"last_step is {last_step}; expected {first} < last_step ≤ {self.last_step}")
        steps, neurons = np.asarray(spike_steps, np.int64), np.asarray(spike_neurons, np.int32)
        check(steps, neurons, self.n_neurons, first, last_step)
        tensors: dict[str, NDArray[Any]] = {
            "span": np.array([first, last_step]),
            "has_state": np.array([state is not None]),
            "spikes/steps": steps,
            "spikes/neurons": neurons,
        }
        traces = traces or {}
        if columns is not None:
            tensors |= {f"trace/{name}/columns": columns[name] for name in traces}
        if set(traces) != set(self.trace_neurons):
            raise ValueError(f"traces {sorted(traces)} given; expected {sorted(self.trace_neurons)}")
        for name, (at, values) in traces.items():
            at, values = np.asarray(at, np.int64), np.asarray(values)
            shape = at.size, (self.trace_neurons if columns is None else columns)[name].size
            if values.shape != shape:
                raise ValueError(f"trace {name!r} has shape {values.shape}; expected {shape}")
            tensors[f"trace/{name}/steps"], tensors[f"trace/{name}/values"] = at, values
        self._check_folder()
        try:
            self._write(tensors, None if state is None else {k: np.asarray(value) for k, value in state.items()})
        except OSError:
            self._check_folder()
            raise
        self._check_folder()

    def commit(self, last_step: int) -> None:
        """Count the segment that was written, by all ranks, and remove the state before it."""
        index = len(self._spans)
        self._segments.append([segment_file(self.path, index, rank, self.ranks) for rank in range(self.ranks)])
        self._spans.append(int(last_step))
        self._remove_old_states()

    def _write(self, segment: dict[str, NDArray[Any]], state: dict[str, NDArray[Any]] | None) -> None:
        file = segment_file(self.path, len(self._spans), self.rank, self.ranks)
        if state is not None:
            write_tensors(state_of(file), state)
            flush(self.path)
        write_tensors(file, segment)
        flush(self.path)

    def _check_folder(self) -> None:
        if self.rank > 0:  # the first rank holds the lock
            if not (self.path / "manifest.json").is_file():
                raise FileNotFoundError(f"{self.path} is no run's folder any more; expected it to stay until the end")
            return
        if self._lock is None:
            raise ValueError(f"{self.path} is open for reading; expected a run opened with create_or_resume")
        self._lock.check()

    def spikes(self) -> Spikes:
        """What lies on disk, read segment by segment on each pass."""
        source = _Segments(self.segments, [self.first_step, *self._spans], self.n_neurons)
        return Spikes(source, self.n_neurons, self.dt, self.completed_steps, self.first_step)

    def trace(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
        """(steps (T,), neurons (n,), values (T, n)) of one trace."""
        neurons = self.trace_neurons[name]
        steps, values = [np.empty(0, np.int64)], []
        for parts in self.segments:
            pieces = [trace_piece(file, name, neurons.size, len(parts) > 1, self.last_step) for file in parts]
            steps.append(pieces[0][0])
            if len(parts) == 1:
                values.append(pieces[0][2])
                continue
            values.append(np.full((len(pieces[0][0]), neurons.size), np.nan, pieces[0][2].dtype))
            for file, (at, columns, value) in zip(parts, pieces, strict=True):
                if not np.array_equal(at, pieces[0][0]):
                    raise ValueError(
                        f"{file} is damaged: trace/{name}/steps differ from those of {parts[0]}; expected the "
                        "same"
                    )
                values[-1][:, columns] = value
        joined = np.concatenate(values) if values else np.empty((0, neurons.size), np.float32)
        return np.concatenate(steps), neurons, joined

    def _remove_old_states(self) -> None:
        """Leave only the state of the last segment, and no part of one after it: that is a write that was cut short."""
        if self.rank > 0:
            return
        current = {state_of(file) for file in self.segments[-1]} if self._spans else set()
        last = {path for parts in self.segments[-1:] for path in parts}
        for path in self.path.glob("state-*.safetensors"):
            if path not in current:
                path.unlink(missing_ok=True)
        for path in self.path.glob("segment-*.rank-*.safetensors"):
            if path not in last and int(path.name[8:14]) >= len(self._spans) - 1:
                path.unlink(missing_ok=True)
