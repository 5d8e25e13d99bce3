"""Activations of a network's units over a data set, streamed to disk at constant memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ranvier._checks import count, nearest
from ranvier._entries import Entry
from ranvier._files import write_atomic, write_json
from ranvier._locks import folder_lock
from ranvier._manifest import manifest
from ranvier._progress import Progress
from ranvier._reading import read_json
from ranvier.interpret._batches import Batch, batch_of, evaluating, require_tokens
from ranvier.interpret.layers import UnitLayer, layers, require_finite_weights

Pool = Literal["mean", "max"] | None
_INDEX = "activations.json"
_LENGTHS, _DIGESTS, _EXAMPLES = ":lengths", ":digests", ":examples"  # beside the layers in a segment
_DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Activations:
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
        return torch.cat(list(self.segments(name)))

    def segments(self, name: str, units: slice = slice(None)) -> Iterator[Tensor]:
        """A layer piece by piece, in order; of `units` alone, read from disk alone."""
        if name not in self.layers:
            raise ValueError(f"layer is {name!r}; expected one that was recorded. {nearest(name, self.layers)}")
        return self._pieces(name, units)

    @property
    def lengths(self) -> Tensor:
        """Rows of each example, (examples,)."""
        if not self.tokens:
            return torch.ones(self.examples, dtype=torch.long)
        return torch.cat(list(self._pieces(_LENGTHS, None)))

    def segment_lengths(self) -> Iterator[Tensor]:
        """Rows of each example, segment by segment."""
        return self._pieces(_LENGTHS, None)

    def _pieces(self, name: str, units: slice | None) -> Iterator[Tensor]:
        for segment in self._segments:
            if isinstance(segment, Path):
                with _open(segment) as file:
                    piece = file.get_slice(name)
                    yield piece[:] if units is None else piece[:, units]
            else:
                yield segment[name] if units is None else segment[name][:, units]


def activations(
    model: nn.Module,
    data: Iterable[Any],
    which: str | UnitLayer | Iterable[str | UnitLayer],
    path: str | Path | None = None,
    *,
    pool: Pool = None,
    dtype: torch.dtype = torch.float32,
    segment: int = 64,
    progress: bool = False,
) -> Activations:
    """Record what a model's layers compute over a data set.

    Parameters
    ----------
    model
        Any module. It is run in evaluation mode, without gradients, and left in the mode it was in.
    data
        Batches: tensors, pairs (inputs, labels), or mappings of named arguments as tokenizers return them.
    which
        Layers: names of modules, of MLPs ("model.layers.0.mlp:neurons"), or `UnitLayer`s.
    path
        A folder to stream to, segment by segment; memory then does not depend on the amount of data. A second call
        with the same model, data and settings goes on from the last whole segment. None: in memory.
    pool
        "mean" or "max" over places or tokens: a value a unit and example.
    dtype
        Of what is kept: float16, float32 or float64. A value that float16 cannot hold is refused.
    segment
        Size of a segment in MiB.
    progress
        Whether to show a bar.

    Raises
    ------
    ValueError
        for unknown layers, weights or activations that are not finite, tokens outside the vocabulary, a layer that
        runs not once in a pass, and a folder with a recording of something else.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    >>> record = activations(model, [torch.ones(2, 3), torch.zeros(5, 3)], "1")
    >>> record["1"].shape
    torch.Size([7, 4])
    """
    targets = layers(model, which)
    if pool not in (None, "mean", "max"):
        raise ValueError(f"pool is {pool!r}; expected 'mean', 'max' or None.")
    if dtype not in _DTYPES.values():
        raise ValueError(f"dtype is {dtype}; expected torch.float16, float32 or float64.")
    limit = count(segment, "segment", 1) * 2**20
    require_finite_weights(model)
    if path is None:
        return _record(model, data, targets, None, pool, dtype, limit, progress, {})
    folder = Path(path)
    settings = {
        "layers": [one.name for one in targets],
        "pool": pool,
        "dtype": next(name for name, value in _DTYPES.items() if value == dtype),
        "model": _fingerprint(model),
    }
    with folder_lock(folder, "recording"):
        return _record(model, data, targets, folder, pool, dtype, limit, progress, settings)


def read_activations(path: str | Path) -> Activations:
    """Open a folder that `activations` wrote, finished or not; ValueError where it is none."""
    folder = Path(path)
    index = _read_index(folder)
    names = tuple(str(name) for name in index["settings"]["layers"])
    files = tuple(folder / f"{k:06}.safetensors" for k in range(len(index["segments"])))
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file} is missing; expected every segment of the recording: record it anew.")
    rows, examples = (sum(int(one[key]) for one in index["segments"]) for key in ("rows", "examples"))
    return Activations(names, rows, examples, bool(index["tokens"]), folder, files)


def _read_index(folder: Path) -> Any:
    index = read_json(folder / _INDEX, "a recording of activations")
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
        raise ValueError(f"{folder / _INDEX} is no recording of activations: {error} Record it anew.") from error
    return index


class _Segment:
    """What is recorded but not yet written."""

    def __init__(self) -> None:
        self.values: dict[str, list[Tensor]] = {}
        self.lengths: list[Tensor] = []
        self.digests: list[Tensor] = []
        self.bytes = self.examples = 0

    def tensors(self) -> dict[str, Tensor]:
        joined = {name: torch.cat(pieces) for name, pieces in self.values.items()}
        joined[_LENGTHS], joined[_DIGESTS] = torch.cat(self.lengths), torch.stack(self.digests)
        joined[_EXAMPLES] = torch.tensor([self.examples])
        return joined


def _record(
    model: nn.Module,
    data: Iterable[Any],
    targets: tuple[UnitLayer, ...],
    folder: Path | None,
    pool: Pool,
    dtype: torch.dtype,
    limit: int,
    progress: bool,
    settings: Mapping[str, Any],
) -> Activations:
    index, digests = _begin(folder, settings)
    names = tuple(one.name for one in targets)
    parts: list[Mapping[str, Tensor] | Path] = []
    if folder is not None:
        parts = [folder / f"{k:06}.safetensors" for k in range(len(index["segments"]))]
    current, tokens, position = _Segment(), index["tokens"], -1

    def close() -> None:
        nonlocal current
        tensors = current.tensors()
        row = {
            "rows": len(tensors[names[0]]),
            "examples": current.examples,
            "batches": len(current.digests),
        }
        if folder is None:
            parts.append(tensors)
        else:
            from safetensors.torch import save

            file = folder / f"{len(parts):06}.safetensors"
            write_atomic(file, save(tensors))
            parts.append(file)
        index["segments"].append(row)
        index["tokens"] = bool(tokens)
        if folder is not None:
            write_json(folder / _INDEX, index)
        current = _Segment()

    shown = Progress("recording", unit="examples", show=progress)
    with evaluating(model), _RowHooks(targets, pool, dtype) as reader, shown as bar:
        for position, value in enumerate(data):
            batch = batch_of(value, position)
            if position < len(digests):
                if not torch.equal(batch.digest(), digests[position]):
                    raise ValueError(
                        f"batch {position} is not the one recorded in {folder}; expected the same data in the same "
                        "order: record into another folder."
                    )
                bar.advance(batch.size)
                continue
            require_tokens(batch, model, position)
            rows = reader.run(model, batch, position)
            by_token = pool is None and batch.mask is not None and all(one[1] for one in rows.values())
            if tokens is None:
                tokens = by_token
            if by_token != tokens or (pool is None and any(one[1] != by_token for one in rows.values())):
                raise ValueError(
                    f"batch {position} mixes rows that are tokens with rows that are examples; expected one kind: give "
                    "every batch an attention mask or none, and record such layers apart, or pool."
                )
            for name, (x, _) in rows.items():
                pieces = current.values.setdefault(name, [])
                before = pieces[0].shape[1:] if pieces else index["shapes"].setdefault(name, list(x.shape[1:]))
                if list(before) != list(x.shape[1:]):
                    raise ValueError(
                        f"layer {name} gives (rows, {', '.join(map(str, x.shape[1:]))}) in batch {position} and (rows, "
                        f"{', '.join(map(str, before))}) before; expected one shape: give an attention mask, or pool."
                    )
                pieces.append(x)
                current.bytes += x.numel() * x.element_size()
            lengths = batch.mask.sum(1) if by_token and batch.mask is not None else torch.ones(batch.size)
            current.lengths.append(lengths.long().cpu())
            current.digests.append(batch.digest() if folder is not None else torch.zeros(16, dtype=torch.uint8))
            current.examples += batch.size
            bar.advance(batch.size)
            if current.bytes >= limit:
                close()
    if position < 0:
        raise ValueError("data have no batch; expected one at least.")
    if position + 1 < len(digests):
        raise ValueError(
            f"data end after {position + 1} batches, where {folder} holds {len(digests)}; expected the same data: "
            "record into another folder."
        )
    if current.examples:
        close()
    total = {key: sum(one[key] for one in index["segments"]) for key in ("rows", "examples")}
    return Activations(names, total["rows"], total["examples"], bool(index["tokens"]), folder, tuple(parts))


def _begin(folder: Path | None, settings: Mapping[str, Any]) -> tuple[dict[str, Any], Tensor]:
    """The index to go on from, and the digests of the batches that are recorded already, (batches, 16)."""
    fresh: dict[str, Any] = {"kind": "activations", "settings": dict(settings), "tokens": None, "shapes": {}}
    fresh["segments"] = []
    if folder is None or not (folder / _INDEX).exists():
        return {**fresh, "manifest": manifest()}, torch.empty(0, 16, dtype=torch.uint8)
    index = _read_index(folder)
    for key, value in settings.items():
        if index["settings"].get(key) != value:
            raise ValueError(
                f"{folder} holds a recording with {key} {index['settings'].get(key)!r:.80}; expected {value!r:.80}: "
                "record into another folder."
            )
    digests = []
    for k in range(len(index["segments"])):
        with _open(folder / f"{k:06}.safetensors") as file:
            digests.append(file.get_tensor(_DIGESTS))
    return index, torch.cat(digests) if digests else torch.empty(0, 16, dtype=torch.uint8)


def _rows(
    name: str, x: Tensor, batch: Batch, pool: Pool, dtype: torch.dtype, position: int
) -> tuple[Tensor, bool]:
    """A layer's values as rows, units first, and whether rows are tokens; always a copy, since what a module returned
    may be changed in place afterwards."""
    mask = batch.mask if batch.mask is not None and x.ndim == 3 and batch.mask.shape == (len(x), x.shape[2]) else None
    if mask is not None and bool(mask.all()) and pool is not None:
        mask = None
    by_token = mask is not None and pool is None
    if by_token and mask is not None:
        rows = x.movedim(1, -1).flatten(0, 1)
        if not bool(mask.all()):
            rows = rows.index_select(0, mask.flatten().nonzero()[:, 0])
    elif mask is not None:
        spread = torch.where(mask[:, None], x, 0.0 if pool == "mean" else -torch.inf)
        rows = spread.sum(2) / mask.sum(1, keepdim=True) if pool == "mean" else spread.amax(2)
    elif pool is not None and x.ndim > 2:
        rows = x.flatten(2).mean(2) if pool == "mean" else x.flatten(2).amax(2)
    else:
        rows = x
    low, high = (float(end) for end in torch.aminmax(rows.detach()))  # a NaN comes through
    if not math.isfinite(low) or not math.isfinite(high):
        bad = torch.isfinite(rows).logical_not().nonzero()[0]
        raise ValueError(
            f"layer {name} gives a value that is not finite at unit {int(bad[1])} in row {int(bad[0])} of batch "
            f"{position}; expected finite ones: look at this input, or compute in float32."
        )
    if dtype == torch.float16 and max(-low, high) > 65504:
        raise ValueError(
            f"layer {name} reaches {max(-low, high):.3g} in batch {position}, which float16 cannot hold; "
            "expected at most 65504: choose dtype=torch.float32."
        )
    return rows.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format), by_token


class _RowHooks:
    """Hooks on layers that turn what passes into rows at once."""

    def __init__(self, targets: tuple[UnitLayer, ...], pool: Pool, dtype: torch.dtype) -> None:
        self.targets, self.pool, self.dtype = targets, pool, dtype
        self.handles: list[Any] = []
        self.rows: dict[str, tuple[Tensor, bool]] = {}
        self.runs: dict[str, int] = {}
        self.batch: Batch | None = None
        self.position = 0

    def __enter__(self) -> _RowHooks:
        for target in self.targets:
            self.handles.append(target.attach(self._recorder(target)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _recorder(self, target: UnitLayer) -> Any:
        def record(x: Tensor) -> None:
            if self.batch is None:
                return
            self.runs[target.name] = self.runs.get(target.name, 0) + 1
            if x.ndim == 2 and len(x) == self.batch.size * self.batch.tokens:
                x = x.unflatten(0, (self.batch.size, -1))  # OPT's blocks join batch and tokens
            if len(x) != self.batch.size:
                raise ValueError(
                    f"layer {target.name} gives {len(x)} rows for {self.batch.size} examples; expected the batch "
                    "first: choose another layer."
                )
            x = x.movedim(target.units_axis(x), 1)
            self.rows[target.name] = _rows(target.name, x, self.batch, self.pool, self.dtype, self.position)

        return record

    def run(self, model: nn.Module, batch: Batch, position: int) -> dict[str, tuple[Tensor, bool]]:
        self.rows, self.runs, self.batch, self.position = {}, {}, batch, position
        batch.run(model)
        self.batch = None
        for target in self.targets:
            if self.runs.get(target.name) != 1:
                raise ValueError(
                    f"layer {target.name} ran {self.runs.get(target.name, 0)} times in batch {position}; expected once "
                    "in a forward pass: choose a layer that does."
                )
        return {target.name: self.rows[target.name] for target in self.targets}


def _fingerprint(model: nn.Module) -> str:
    """A digest of a model's class, and of its parameters' and buffers' names, types and values."""
    state = hashlib.blake2b(type(model).__name__.encode(), digest_size=16)
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            state.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            state.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


def _open(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(str(path), "pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no whole segment ({error}); delete the folder and record anew.") from error


def example_rows(lengths: Tensor) -> list[tuple[int, int]]:
    """(first row, last row + 1) of each example."""
    ends = [0, *lengths.cumsum(0).tolist()]
    return list(pairwise(ends))


__all__ = ["Activations", "activations", "read_activations"]
