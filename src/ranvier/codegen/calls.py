"""Compiled loops that take addresses, as Python functions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from numba import types

from ranvier.codegen.pointers import address


def transformed() -> bool:
    """Whether a transform of torch.func is at work: its tensors have no memory and no values to look at."""
    return bool(torch._C._are_functorch_transforms_active())


def call(loop: Callable, kinds: str, dtype: torch.dtype) -> Callable[..., None]:
    """`loop` without its last argument, the number type; `kinds` of the others: "i" addresses and whole numbers,
    "d" real ones."""
    return _compiled(loop, kinds, dtype == torch.float64)


@cache
def _compiled(loop: Callable, kinds: str, double: bool) -> Callable[..., None]:
    number, c_number = (types.float64, ctypes.c_double) if double else (types.float32, ctypes.c_float)
    numba_types = {"i": types.int64, "d": types.float64}
    c_types: dict[str, Any] = {"i": ctypes.c_int64, "d": ctypes.c_double}
    at = address(loop, types.void(*[numba_types[k] for k in kinds], number))
    function = ctypes.CFUNCTYPE(None, *[c_types[k] for k in kinds], c_number)(at)
    return lambda *given: function(*given, 0)


def applies(x: torch.Tensor, parameters: list[torch.Tensor]) -> bool:
    """Whether there are compiled loops for this."""
    return (
        x.device.type == "cpu"
        and not transformed()
        and x.dtype in (torch.float32, torch.float64)
        and all(p.dtype == x.dtype and p.device == x.device for p in parameters)
        and x.numel() > 0
    )
