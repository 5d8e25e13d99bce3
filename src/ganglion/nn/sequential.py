"""Layers one after the other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def is_cell(module: nn.Module) -> bool:
    """Whether a module has the surface of a `Cell`."""
    return hasattr(module, "init_state") and hasattr(module, "step")


class Sequential(nn.Sequential):
    """Cells and ordinary modules in a row: itself a `Cell`, whose state is a tuple with one entry a module.

    Ordinary modules (Dropout, Linear, LayerNorm ...) see the whole sequence (T, B, N) at once in `forward`,
    one step (B, N) in `step`; their entry of the state is ().
    """

    def init_state(self, batch: int) -> tuple[Any, ...]:
        """One entry a module."""
        return tuple(m.init_state(batch) if is_cell(m) else () for m in self)  # type: ignore[operator]

    def step(self, state: tuple[Any, ...], x: Tensor) -> tuple[tuple[Any, ...], Tensor]:
        """One step: x (B, N) -> (state, y (B, M))."""
        self._check(state)
        after = []
        for module, old in zip(self, state, strict=True):
            new = ()
            if is_cell(module):
                new, x = module.step(old, x)  # type: ignore[operator]
            else:
                x = module(x)
            after.append(new)
        return tuple(after), x

    def forward(self, x: Tensor, state: tuple[Any, ...] | None = None) -> tuple[Tensor, tuple[Any, ...]]:  # type: ignore[override]
        """x (T, B, N) -> y (T, B, M) and the state after the last step."""
        if x.ndim < 3 or x.shape[0] == 0:
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (T, B, N) with T > 0")
        if state is not None:
            self._check(state)
        after = []
        for k, module in enumerate(self):
            new: Any = ()
            if is_cell(module):
                x, new = module(x, None if state is None else state[k])
            else:
                x = module(x)
            after.append(new)
        return x, tuple(after)

    def _check(self, state: tuple[Any, ...]) -> None:
        if isinstance(state, torch.Tensor) or len(state) != len(self):
            raise ValueError(f"found a {type(state).__name__} as state, expected a tuple of {len(self)} entries")
