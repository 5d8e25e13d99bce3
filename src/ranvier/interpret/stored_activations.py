"""Recorded activations, in memory or in a folder of segments beside an index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ranvier._checks import nearest
from ranvier._results import Fields
from ranvier.files.atomic import folder_at
from ranvier.files.entries import Entry
from ranvier.files.reading import library_fault, read_json

INDEX = "activations.json"
LENGTHS, DIGESTS, EXAMPLES = ":lengths", ":digests", ":examples"  # beside the layers in a segment
_STORED = ("F16", "F32", "F64")  # as safetensors calls them


@dataclass(frozen=True)
class Activations(Fields):
    """Recorded activations, in memory or in a folder; made by `activations`, opened again by `read_activations`.

    Each layer holds (rows, units, places): a row is an example, its places the pixels of a map or the tokens of an
    image, in the axes that the network has; no such axis after pooling, or where the layer has none. With an attention
    mask and without pooling a row is a token that is no padding, (tokens, units), and `lengths` says how many each
    example has.
    """

    layers: tuple[str, ...]
    rows: int
    examples: int
    tokens: bool
    path: Path | None = None
    _segments: tuple[Mapping[str, Tensor] | Path, ...] = field(default=(), repr=False)

    def __getitem__(self, name: str) -> Tensor:
        """All of a layer, (rows, units, places), in memory."""
        return self._whole(self.segments(name))

    def segments(self, name: str, units: slice = slice(None)) -> Iterator[Tensor]:
        """A layer piece by piece, in order; of `units` alone, read from disk alone."""
        if name not in self.layers:
            raise ValueError(f"layer is {name!r}; {nearest(name, self.layers)}")
        return self._pieces(name, units)

    @property
    def lengths(self) -> Tensor:
        """Rows of each example, (examples,)."""
        if not self.tokens:
            return torch.ones(self.examples, dtype=torch.long)
        return self._whole(self._pieces(LENGTHS, None))

    def segment_lengths(self) -> Iterator[Tensor]:
        """Rows of each example, segment by segment."""
        return self._pieces(LENGTHS, None)

    def _whole(self, pieces: Iterator[Tensor]) -> Tensor:
        collected = list(pieces)
        if not collected:
            raise ValueError(f"{self.path or 'the recording'} holds nothing yet; expected one segment: record first.")
        return torch.cat(collected)

    def _pieces(self, name: str, units: slice | None) -> Iterator[Tensor]:
        for segment in self._segments:
            if isinstance(segment, Path):
                with open_segment(segment) as file:
                    piece = file.get_slice(name)
                    yield piece[:] if units is None else piece[:, units]
            else:
                yield segment[name] if units is None else segment[name][:, units]


def read_activations(path: str | Path) -> Activations:
    """Open a folder that `activations` wrote, finished or not; ValueError where it is none.

    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
    >>> _ = rv.interpret.activations(model, [torch.rand(5, 4)], ["0"], path="record")
    >>> rv.interpret.read_activations("record")["0"].shape
    torch.Size([5, 3])
    """
    folder = folder_at(path)
    index = read_index(folder)
    names = tuple(str(name) for name in index["settings"]["layers"])
    files = tuple(folder / f"{k:06}.safetensors" for k in range(len(index["segments"])))
    shapes: dict[str, tuple[int, ...]] = {}
    for file, one in zip(files, index["segments"], strict=True):
        require_segment(file, names, one, shapes)
    rows, examples = (sum(int(one[key]) for one in index["segments"]) for key in ("rows", "examples"))
    return Activations(names, rows, examples, bool(index.get("tokens")), folder, files)


def require_segment(file: Path, names: tuple[str, ...], one: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    """ValueError for a segment that is not what the index says of it; `shapes` of the layers in the first segments."""
    if not file.is_file():
        raise ValueError(f"{file} is missing; expected every segment of the recording: record it again.")
    with open_segment(file) as stored:
        present = set(stored.keys())
        for name in (*names, LENGTHS):
            if name not in present:
                raise ValueError(f"{file} has no values of {name!r:.80}; expected every layer: record it again.")
            part = stored.get_slice(name)
            shape, kind = tuple(part.get_shape()), part.get_dtype()
            least, rows, kinds = (1, one["examples"], ("I64",)) if name == LENGTHS else (2, one["rows"], _STORED)
            expected = (rows, *shapes.setdefault(name, shape[1:]))
            if len(shape) < least or shape != expected:
                raise ValueError(f"{file} holds {name!r:.80} of shape {shape}; expected {expected}: record it again.")
            if kind not in kinds:
                raise ValueError(f"{file} holds {name!r:.80} as {kind}; expected {' or '.join(kinds)}: record again.")


def read_index(folder: Path) -> Any:
    index = read_json(folder / INDEX, "a recording of activations")
    try:
        entries = Entry(index, "the index").mapping()
        entries = {key: entries.get(key, Entry(None, key)) for key in ("kind", "tokens", "settings", "segments")}
        entries["kind"].one_of(("activations",))
        if not entries["tokens"].absent:  # nothing was recorded yet
            entries["tokens"].flag()
        if not entries["settings"].mapping().get("layers", Entry(None, "settings.layers")).texts():
            raise ValueError("settings.layers is []; expected one layer at least.")
        for one in entries["segments"].listed():
            for key in ("rows", "examples", "batches"):
                one.mapping().get(key, Entry(None, f"{one.place}.{key}")).whole()
    except ValueError as error:
        raise ValueError(
            f"{folder / INDEX} is no recording of activations: {error}; expected one: record it again."
        ) from error
    return index


def open_segment(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(str(path), "pt")
    except (SafetensorError, OSError) as error:
        fault = library_fault(error, (SafetensorError, OSError))
        raise ValueError(
            f"{path} is no whole segment ({fault}); expected one: delete the folder and record again."
        ) from error


def example_rows(lengths: Tensor) -> list[tuple[int, int]]:
    """(first row, last row + 1) of each example."""
    ends = [0, *lengths.cumsum(0).tolist()]
    return list(pairwise(ends))


__all__ = [
    "DIGESTS", "EXAMPLES", "INDEX", "LENGTHS", "Activations", "example_rows", "open_segment", "read_activations",
    "read_index", "require_segment",
]  # fmt: skip
