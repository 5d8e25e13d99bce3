"""Below Python: pointers, calls through addresses, a barrier. The compiled engine passes addresses, not
arrays, because an array argument costs the compiler some hundred instructions to take apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_LONG = ir.IntType(64)
#: for functions that only compiled code calls
INNER = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@intrinsic
def pointer(typingctx, address, like):
    """A pointer to numbers of the type of `like`, from an address."""

    like = types.unliteral(like)

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.PointerType(context.get_data_type(like)))

    return types.CPointer(like)(types.int64, like), codegen


def _caller(arguments: int):
    """A call of void(int64 × arguments, last) at an address; `last` may be of any type."""
    names = ", ".join(f"a{k}" for k in range(arguments))

    def make(typingctx, address, *rest):
        signature = types.void(*[types.int64] * (arguments + 1), types.unliteral(rest[-1]))

        def codegen(context, builder, signature, args):
            kind = ir.FunctionType(ir.VoidType(), [_LONG] * arguments + [args[-1].type])
            builder.call(builder.inttoptr(args[0], ir.PointerType(kind)), args[1:])
            return context.get_dummy_value()

        return signature, codegen

    namespace: dict[str, Any] = {"make": make}
    exec(f"def call(typingctx, address, {names}, last):\n    return make(typingctx, address, {names}, last)", namespace)
    return intrinsic(namespace["call"])


call1, call2, call3, call4, call5, call6, call7, call8, call9, call11 = map(_caller, (*range(1, 10), 11))


def scratch(count: int):
    """An intrinsic that gives a pointer to `count` numbers of its argument's type, on the stack.

    The compiler knows that nothing else points there, which lets it vectorise loops that gather.
    """

    @intrinsic
    def local(typingctx, like):
        like = types.unliteral(like)

        def codegen(context, builder, signature, args):
            return cgutils.alloca_once(builder, context.get_data_type(like), size=_LONG(count))

        return types.CPointer(like)(like), codegen

    return local


@intrinsic
def prefetch(typingctx, at):
    """Ask for the cache line at an address; harmless wherever it points."""

    def codegen(context, builder, signature, args):
        byte, word = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [builder.inttoptr(args[0], byte), word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def trailing_zeros(typingctx, word):
    """The place of the lowest bit that is set in a uint64 other than 0, as int64."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen


@intrinsic
def atomic_add(typingctx, at, value):
    """Add to the int64 at an address, atomically; returns the old value."""

    def codegen(context, builder, signature, args):
        where = builder.inttoptr(args[0], ir.PointerType(_LONG))
        return builder.atomic_rmw("add", where, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _yield(typingctx):
    """Let another thread run (POSIX)."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@njit(**INNER)
def barrier(counter, threads, passed):
    """Wait until all threads have come here `passed` times; `counter` is the address of an int64."""
    if threads == 1:
        return
    if atomic_add(counter, 1) + 1 >= threads * passed:
        return
    spins = 0
    while atomic_add(counter, 0) < threads * passed:
        spins += 1
        if spins > 1000:
            _yield()


@njit(forceinline=True, **INNER)
def weight_bytes(w):
    """4 for float32, 8 for float64."""
    return 8 if type(w)(1e300) < type(w)(np.inf) else 4
