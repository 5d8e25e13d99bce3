"""Reads and writes of arrays that never overlap, and say so: the compiler then vectorises loops over any number
of arrays, without comparing their addresses first."""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@cache
def array(k: int, count: int) -> tuple[Any, Any]:
    """load(pointer, i) and store(pointer, i, value) of the k-th of `count` arrays that do not overlap."""

    def mark(builder: ir.IRBuilder, instruction: Any) -> None:
        module = builder.module
        domain = module.add_metadata(["ranvier"])
        scopes = [module.add_metadata([f"ranvier {j}", domain]) for j in range(count)]
        instruction.set_metadata("alias.scope", module.add_metadata([scopes[k]]))
        instruction.set_metadata("noalias", module.add_metadata(scopes[:k] + scopes[k + 1 :]))

    @intrinsic
    def load(typingctx: Any, pointer: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = builder.load(builder.gep(args[0], [args[1]], inbounds=True))
            mark(builder, value)
            return value

        return pointer.dtype(pointer, types.int64), codegen

    @intrinsic
    def store(typingctx: Any, pointer: Any, i: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            mark(builder, builder.store(args[2], builder.gep(args[0], [args[1]], inbounds=True)))
            return context.get_dummy_value()

        return types.void(pointer, types.int64, pointer.dtype), codegen

    return load, store
