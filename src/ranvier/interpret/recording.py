"""Activations of a network's units over a data set, streamed to disk at constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ranvier._checks import count
from ranvier._progress import Progress
from ranvier.files.atomic import folder_at, write_atomic, write_json
from ranvier.files.locks import folder_lock
from ranvier.files.manifest import manifest
from ranvier.interpret._batches import Data, batch_of, evaluating, require_tokens
from ranvier.interpret._row_hooks import Pool, RowHooks
from ranvier.interpret.layers import UnitLayer, layers, require_finite_weights
from ranvier.interpret.stored_activations import (
    DIGESTS,
    EXAMPLES,
    INDEX,
    LENGTHS,
    Activations,
    open_segment,
    read_index,
    require_segment,
)

_DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


def activations(
    model: nn.Module,
    data: Data,
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
    >>> from torch import nn
    >>> from ranvier.interpret import activations
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
    folder = folder_at(path)
    settings = {
        "layers": [one.name for one in targets],
        "pool": pool,
        "dtype": next(name for name, value in _DTYPES.items() if value == dtype),
        "model": _fingerprint(model),
    }
    with folder_lock(folder, "recording"):
        return _record(model, data, targets, folder, pool, dtype, limit, progress, settings)


class _Segment:
    """What is recorded but not yet written."""

    def __init__(self) -> None:
        self.values: dict[str, list[Tensor]] = {}
        self.lengths: list[Tensor] = []
        self.digests: list[Tensor] = []
        self.bytes = self.examples = 0

    def tensors(self) -> dict[str, Tensor]:
        joined = {name: torch.cat(pieces) for name, pieces in self.values.items()}
        joined[LENGTHS], joined[DIGESTS] = torch.cat(self.lengths), torch.stack(self.digests)
        joined[EXAMPLES] = torch.tensor([self.examples])
        return joined


def _record(
    model: nn.Module,
    data: Data,
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
    current, tokens, position = _Segment(), index.get("tokens"), -1

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
            write_json(folder / INDEX, index)
        current = _Segment()

    shown = Progress("recording", unit="examples", show=progress)
    with evaluating(model), RowHooks(targets, pool, dtype) as reader, shown as bar:
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
                shapes = index.setdefault("shapes", {})
                before = pieces[0].shape[1:] if pieces else shapes.setdefault(name, list(x.shape[1:]))
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
    if folder is None or not (folder / INDEX).exists():
        return {**fresh, "manifest": manifest()}, torch.empty(0, 16, dtype=torch.uint8)
    index = read_index(folder)
    for key, value in settings.items():
        if index["settings"].get(key) != value:
            raise ValueError(
                f"{folder} holds a recording with {key} {index['settings'].get(key)!r:.80}; expected {value!r:.80}: "
                "record into another folder."
            )
    digests: list[Tensor] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for k, one in enumerate(index["segments"]):
        file = folder / f"{k:06}.safetensors"
        require_segment(file, tuple(settings["layers"]), one, shapes)
        with open_segment(file) as stored:
            digest = stored.get_tensor(DIGESTS) if DIGESTS in stored.keys() else torch.empty(0)  # noqa: SIM118
        if digest.shape != (one["batches"], 16) or digest.dtype != torch.uint8:
            raise ValueError(
                f"{file} holds digests of shape {tuple(digest.shape)}; expected {(one['batches'], 16)}: record again."
            )
        digests.append(digest)
    return index, torch.cat(digests) if digests else torch.empty(0, 16, dtype=torch.uint8)


def _fingerprint(model: nn.Module) -> str:
    """A digest of a model's class, and of its parameters' and buffers' names, types and values."""
    state = hashlib.blake2b(type(model).__name__.encode(), digest_size=16)
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            state.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            state.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


__all__ = ["activations"]
