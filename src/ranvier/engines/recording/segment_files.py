"""The files of a run's segments: their names, what they hold, and what is checked when they are read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._text import plural
from ranvier.analysis.spikes.stream import check
from ranvier.engines.recording._manifest import LARGEST_INDEX, require_integers
from ranvier.files.atomic import read_tensors
from ranvier.files.reading import require_file


def segment_file(folder: Path, index: int, rank: int, ranks: int) -> Path:
    """The file of a segment, or of one rank's part of it."""
    share = "" if ranks == 1 else f".rank-{rank:05d}-of-{ranks:05d}"
    return folder / f"segment-{index:06d}{share}.safetensors"


def state_of(segment: Path) -> Path:
    return segment.with_name(segment.name.replace("segment-", "state-", 1))


def whole_segments(path: Path) -> dict[int, list[Path]]:
    """The files of each segment, one or one a rank, where all are there."""
    out: dict[int, list[Path]] = {}
    shares: dict[tuple[int, int], list[Path]] = {}
    for file in sorted(path.glob("segment-*.safetensors")):
        if match := re.fullmatch(r"segment-(\d{6,})(?:\.rank-(\d{5,})-of-(\d{5,}))?\.safetensors", file.name):
            index, rank, count = match.groups()
            if rank is None:
                out[int(index)] = [file]
            else:
                shares.setdefault((int(index), int(count)), []).append(file)
    for (index, count), files in shares.items():
        if len(files) == count:
            out.setdefault(index, files)
    return out


def stored_spans(path: Path, first_step: int, last_step: int) -> tuple[list[list[Path]], list[int]]:
    """The files of all whole segments in the order of time, and the step at which each ends; ValueError where they do
    not follow each other from `first_step` to at most `last_step`."""
    segments: list[list[Path]] = []
    spans: list[int] = []
    before, known = first_step, whole_segments(path)
    while len(spans) in known:
        parts = known[len(spans)]
        for file in parts:
            span = tensor(file, "span")
            require_integers(span, 0, last_step + 1, f"{file}: span")
            first, last = span.tolist() if span.shape == (2,) else (-1, -1)
            if first != before or not first < last <= last_step:
                raise ValueError(
                    f"{file} holds steps {first + 1} to {last}; expected it to begin at "
                    f"{before + 1} and to end by {last_step}: files of different runs are mixed here"
                )
        if any(not np.array_equal(tensor(file, "span"), span) for file in parts):
            raise ValueError(f"the parts of {parts[0]} end at different steps; expected the same of all ranks")
        segments.append(parts)
        spans.append(last)
        before = last
    return segments, spans


def segment_spikes(
    file: Path, n_neurons: int, first: int, last: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(steps, neurons) of the spikes in one file, checked."""
    steps, neurons = tensor(file, "spikes/steps"), tensor(file, "spikes/neurons")
    for name, array in (("steps", steps), ("neurons", neurons)):
        require_integers(array, 0, LARGEST_INDEX, f"{file}: spikes/{name}")
    try:
        check(steps, neurons, n_neurons, first, last)
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    return steps, neurons


def in_order(
    pieces: Sequence[tuple[NDArray[np.int64], NDArray[np.int32]]]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Spikes of several ranks, by step, then neuron."""
    steps, neurons = (np.concatenate([piece[k] for piece in pieces]) for k in (0, 1))
    order = np.lexsort((neurons, steps))
    return steps[order], neurons[order]


def trace_piece(
    file: Path, name: str, size: int, shared: bool, last_step: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """(steps, columns, values) of a trace in one file."""
    at, value = tensor(file, f"trace/{name}/steps"), tensor(file, f"trace/{name}/values")
    require_integers(at, -1, last_step + 1, f"{file}: trace/{name}/steps")
    columns = tensor(file, f"trace/{name}/columns") if shared else np.arange(size)
    require_integers(columns, 0, size, f"{file}: trace/{name}/columns")
    if value.shape != (at.size, columns.size) or value.dtype.kind != "f":
        raise ValueError(
            f"{file} is damaged: trace/{name}/values is {value.dtype} of shape {value.shape}; expected floats "
            f"of shape {(at.size, columns.size)}"
        )
    return at, columns, value


def read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return read_tensors(path)
    except Exception as error:  # safetensors raises its own SafetensorError, not exported by older versions
        raise ValueError(f"{path} is damaged ({error}); expected a whole safetensors file") from error


def tensor(path: Path, name: str) -> NDArray[Any]:
    from safetensors import safe_open

    require_file(path, "a segment of a run")
    try:
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor(name)
    except Exception as error:
        raise ValueError(f"{path} is damaged ({error}); expected a whole segment of a run") from error


def flush(folder: Path) -> None:
    """Make new names in `folder` outlast a power failure, where the system has a call for it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def require_same_traces(
    path: Path, there: Mapping[str, NDArray[np.int64]], here: Mapping[str, NDArray[np.int64]]
) -> None:
    if {name: n.tolist() for name, n in there.items()} != {name: n.tolist() for name, n in here.items()}:
        raise ValueError(
            f"{path} records traces of {_described(there)}; expected those of this run, {_described(here)}: "
            "record the same ones, or take another folder"
        )


def _described(traces: Mapping[str, NDArray[np.int64]]) -> str:
    return ", ".join(f"{name} of {plural(n.size, 'neuron')}" for name, n in sorted(traces.items())) or "none"
