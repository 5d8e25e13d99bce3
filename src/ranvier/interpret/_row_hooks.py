"""Hooks on layers that turn what passes into rows: pooled, by example or by token, in one precision."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ranvier.interpret._batches import Batch
from ranvier.interpret.layers import UnitLayer

Pool = Literal["mean", "max"] | None


class RowHooks:
    """Hooks on layers that turn what passes into rows at once."""

    def __init__(self, targets: tuple[UnitLayer, ...], pool: Pool, dtype: torch.dtype) -> None:
        self.targets, self.pool, self.dtype = targets, pool, dtype
        self.handles: list[Any] = []
        self.rows: dict[str, tuple[Tensor, bool]] = {}
        self.runs: dict[str, int] = {}
        self.batch: Batch | None = None
        self.position = 0

    def __enter__(self) -> RowHooks:
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


__all__ = ["Pool", "RowHooks"]
