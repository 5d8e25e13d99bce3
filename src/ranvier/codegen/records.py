"""Records of 64-bit integers (sizes, offsets, addresses) that compiled code reads by name."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def record(*names: str) -> np.dtype:
    """A NumPy type of int64 fields; a table is an array of it."""
    return np.dtype([(name, np.int64) for name in names], align=True)


def at(kind: np.dtype) -> Any:
    """A compiled function of (a table's address, a row) that gives this row, whose fields are its attributes."""
    numbers = numba.from_dtype(kind)
    size = kind.itemsize

    @intrinsic
    def row(typingctx: Any, address: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            offset = builder.mul(args[1], ir.Constant(ir.IntType(64), size))
            return builder.inttoptr(builder.add(args[0], offset), context.get_value_type(numbers))

        return numbers(types.int64, types.int64), codegen

    return row


def address(array: np.ndarray | None) -> int:
    """Of an array's memory, which must not move; 0 for None."""
    return 0 if array is None else array.ctypes.data


__all__ = ["address", "at", "record"]
