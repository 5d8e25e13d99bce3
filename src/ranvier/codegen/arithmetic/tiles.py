# mypy: ignore-errors
"""Sums over a row's inputs, a tile of `LANES` neighbouring outputs at once: the sums stay in registers, and a tile of
the weights, (inputs, LANES), in the first cache or the second."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ranvier.codegen.arithmetic.lanes import LANES, VECTORS, WIDTH, index_at, vectors

_LONG = ir.IntType(64)
_FEATURES = binding.get_host_cpu_features()
#: whether a register can be packed, by a mask, in one instruction
PACKS = bool(_FEATURES.get("avx512f") and _FEATURES.get("avx512vl"))
#: numbers that `pack` looks at, and writes at most
PACK = 16
#: rows of a dense product at once: as many sums as hide a multiplication's latency, and as registers hold
ROWS = 4 if _FEATURES.get("avx512f") else 2


@intrinsic
def pack(typingctx, z, k, index, values, at, one):
    """Of the PACK numbers at z, k .. in their row, those that are not zero, to the places from `at`: their indices and
    values; the place after them. Whole vectors are written."""

    def codegen(context, builder, signature, args):
        z, k, index, values, at, _ = args
        real = vectors(builder, signature.args[-1]).real
        width = 64 // real.bytes  # a register's
        for first in range(0, PACK, width):
            numbers, places = ir.VectorType(real.scalar, width), ir.VectorType(ir.IntType(32), width)
            source = builder.inttoptr(builder.add(z, _LONG(real.bytes * first)), numbers.as_pointer())
            value = builder.load(source, align=real.bytes)
            mask = builder.fcmp_unordered("!=", value, ir.Constant(numbers, [0.0] * width))
            start = builder.trunc(builder.add(k, _LONG(first)), ir.IntType(32))
            lane = builder.insert_element(ir.Constant(places, ir.Undefined), start, ir.Constant(ir.IntType(32), 0))
            same = builder.shuffle_vector(lane, ir.Constant(places, ir.Undefined), ir.Constant(places, [0] * width))
            indices = builder.add(same, ir.Constant(places, list(range(width))))
            for array, kind, size, letter, pointers_in in (
                (index, places, 4, "i", indices), (values, numbers, real.bytes, "f", value)
            ):  # fmt: skip
                name = f"llvm.experimental.vector.compress.v{width}{letter}{8 * size}"
                form = ir.FunctionType(kind, [kind, mask.type, kind])
                packed = cgutils.get_or_insert_function(builder.module, form, name)
                packed_value = builder.call(packed, [pointers_in, mask, ir.Constant(kind, ir.Undefined)])
                target = builder.add(array, builder.mul(at, _LONG(size)))
                builder.store(packed_value, builder.inttoptr(target, kind.as_pointer()), align=size)
            count = builder.ctpop(builder.bitcast(mask, ir.IntType(width)))
            at = builder.add(at, builder.zext(count, _LONG))
        return at

    return types.int64(*[types.int64] * 5, types.unliteral(one)), codegen


@contextmanager
def _each_row(
    builder: Any, lanes: Any, tile: Any, index: Any, values: Any, j0: Any, j1: Any
) -> Iterator[tuple[Any, Any]]:
    """A loop over j from j0 to j1 − 1: values[j], and the address of tile[index[j]]."""
    with cgutils.for_range(builder, builder.sub(j1, j0)) as loop:
        j = builder.add(j0, loop.index)
        k, z = index_at(builder, index, j), lanes.number(_place(builder, values, j, lanes), 0)
        yield z, builder.add(tile, builder.mul(k, _LONG(lanes.real.bytes * WIDTH * VECTORS)))


@intrinsic
def gather(typingctx, total, tile, index, values, j0, j1, one):
    """total (LANES) += Σ_j values[j] tile[index[j]], j from j0 to j1 − 1."""

    def codegen(context, builder, signature, args):
        total, tile, index, values, j0, j1, _ = args
        lanes = vectors(builder, signature.args[-1])
        step = lanes.real.bytes * WIDTH
        sums = [cgutils.alloca_once(builder, lanes.type) for _ in range(VECTORS)]
        for c, place in enumerate(sums):
            builder.store(lanes.load(builder.add(total, _LONG(step * c))), place)
        with _each_row(builder, lanes, tile, index, values, j0, j1) as (z, weights):
            for c, place in enumerate(sums):
                value = lanes.load(builder.add(weights, _LONG(step * c)))
                builder.store(lanes.fma(z, value, builder.load(place)), place)
        for c, place in enumerate(sums):
            lanes.store(builder.load(place), builder.add(total, _LONG(step * c)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, types.unliteral(one)), codegen


@intrinsic
def scatter(typingctx, tile, gradient, index, values, j0, j1, one):
    """tile[index[j]] += values[j] gradient (LANES), j from j0 to j1 − 1."""

    def codegen(context, builder, signature, args):
        tile, gradient, index, values, j0, j1, _ = args
        lanes = vectors(builder, signature.args[-1])
        step = lanes.real.bytes * WIDTH
        pointers_in = [lanes.load(builder.add(gradient, _LONG(step * c))) for c in range(VECTORS)]
        with _each_row(builder, lanes, tile, index, values, j0, j1) as (z, sums):
            for c, value in enumerate(pointers_in):
                at = builder.add(sums, _LONG(step * c))
                lanes.store(lanes.fma(z, value, lanes.load(at)), at)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, types.unliteral(one)), codegen


def _dense(rows: int):
    """out (rows, LANES) = a (rows, inputs) @ tile (inputs, LANES); a row's bytes in out and in a are given."""

    @intrinsic
    def multiply(typingctx, out, out_row, a, a_row, tile, inputs, one):
        def codegen(context, builder, signature, args):
            out, out_row, a, a_row, tile, inputs, _ = args
            lanes = vectors(builder, signature.args[-1])
            step = lanes.real.bytes * WIDTH
            sums = [[cgutils.alloca_once(builder, lanes.type) for _ in range(VECTORS)] for _ in range(rows)]
            starts = [builder.add(a, builder.mul(a_row, _LONG(r))) for r in range(rows)]
            for places in sums:
                for place in places:
                    builder.store(lanes.constant(0.0), place)
            with cgutils.for_range(builder, inputs) as loop:
                weights = builder.add(tile, builder.mul(loop.index, _LONG(step * VECTORS)))
                pointers_in = [lanes.load(builder.add(weights, _LONG(step * c))) for c in range(VECTORS)]
                for start, places in zip(starts, sums, strict=True):
                    z = lanes.number(_place(builder, start, loop.index, lanes), 0)
                    for value, place in zip(pointers_in, places, strict=True):
                        builder.store(lanes.fma(z, value, builder.load(place)), place)
            for r, places in enumerate(sums):
                at = builder.add(out, builder.mul(out_row, _LONG(r)))
                for c, place in enumerate(places):
                    lanes.store(builder.load(place), builder.add(at, _LONG(step * c)))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6, types.unliteral(one)), codegen

    return multiply


multiply_rows, multiply_row = _dense(ROWS), _dense(1)


def _place(builder, start, j, lanes):
    return builder.add(start, builder.mul(j, _LONG(lanes.real.bytes)))


__all__ = ["LANES", "PACK", "PACKS", "ROWS", "gather", "multiply_row", "multiply_rows", "pack", "scatter"]
