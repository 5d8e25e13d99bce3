"""Compiled loops that take addresses, as Python functions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from numba import types

from ranvier.codegen.compilation import FASTMATH, address


def transformed() -> bool:
    """Whether somebody follows or transforms operations of torch: tensors have then no memory to take addresses of and
    no values to look at, and what loops do by addresses would be missed.

    These are torch.compile, torch.export and torch.onnx, torch.jit.trace, transforms of torch.func and forward-mode
    gradients, and dispatch modes (make_fx, fake tensors, counters of operations).
    """
    return (
        torch.compiler.is_compiling()  # first, for the compiler knows it and does not follow what comes after
        or bool(torch._C._are_functorch_transforms_active())
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._get_tracing_state() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )


def addressable(*tensors: torch.Tensor) -> bool:
    """Whether loops may take these tensors' addresses: nobody follows, and they are plain tensors with memory."""
    return not transformed() and all(
        type(t) in _PLAIN and t.layout is torch.strided and not torch._C._functorch.is_legacy_batchedtensor(t)
        for t in tensors
    )


_PLAIN = (torch.Tensor, torch.nn.Parameter)


def call(loop: Callable[..., Any], kinds: str, dtype: torch.dtype) -> Callable[..., None]:
    """`loop` without its last argument, the number type; `kinds` of the others: "i" addresses and whole numbers,
    "d" real ones."""
    return _compiled(loop, kinds, dtype == torch.float64)


@cache
def _compiled(loop: Callable[..., Any], kinds: str, double: bool) -> Callable[..., None]:
    number, c_number = (types.float64, ctypes.c_double) if double else (types.float32, ctypes.c_float)
    numba_types = {"i": types.int64, "d": types.float64}
    c_types: dict[str, Any] = {"i": ctypes.c_int64, "d": ctypes.c_double}
    at = address(loop, types.void(*[numba_types[k] for k in kinds], number), FASTMATH)
    function = ctypes.CFUNCTYPE(None, *[c_types[k] for k in kinds], c_number)(at)
    return lambda *arguments: function(*arguments, 0)


def applies(x: torch.Tensor, parameters: list[torch.Tensor]) -> bool:
    """Whether there are compiled loops for this."""
    return (
        x.device.type == "cpu"
        and addressable(x, *parameters)
        and x.dtype in (torch.float32, torch.float64)
        and all(p.dtype == x.dtype and p.device == x.device for p in parameters)
        and x.numel() > 0
    )
