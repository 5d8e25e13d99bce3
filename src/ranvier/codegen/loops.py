"""Loops in place of statements on whole arrays, whose compilation takes numba seconds where these take a tenth."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ranvier.codegen.compilation import compiled


@compiled(error_model="numpy")
def assign(out: NDArray[Any], values: NDArray[Any]) -> None:
    """out[:] = values, of one dimension and one length."""
    for i in range(values.shape[0]):
        out[i] = values[i]


__all__ = ["assign"]
