# mypy: ignore-errors
"""Sums over a row's inputs, a tile of `LANES` neighbouring outputs at once: the sums stay in registers, and a tile of
the weights, (inputs, LANES), in the first cache or the second."""

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ganglion.nn._lanes import LANES, VECTORS, WIDTH, index_at, vectors

_LONG = ir.IntType(64)
#: rows of a dense product at once: as many sums as hide a multiplication's latency, and as registers hold
ROWS = 4 if binding.get_host_cpu_features().get("avx512f") else 2


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
        with cgutils.for_range(builder, builder.sub(j1, j0)) as loop:
            j = builder.add(j0, loop.index)
            k, z = index_at(builder, index, j), lanes.number(_place(builder, values, j, lanes), 0)
            weights = builder.add(tile, builder.mul(k, _LONG(step * VECTORS)))
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
        given = [lanes.load(builder.add(gradient, _LONG(step * c))) for c in range(VECTORS)]
        with cgutils.for_range(builder, builder.sub(j1, j0)) as loop:
            j = builder.add(j0, loop.index)
            k, z = index_at(builder, index, j), lanes.number(_place(builder, values, j, lanes), 0)
            sums = builder.add(tile, builder.mul(k, _LONG(step * VECTORS)))
            for c, value in enumerate(given):
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
                given = [lanes.load(builder.add(weights, _LONG(step * c))) for c in range(VECTORS)]
                for start, places in zip(starts, sums, strict=True):
                    z = lanes.number(_place(builder, start, loop.index, lanes), 0)
                    for value, place in zip(given, places, strict=True):
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


__all__ = ["LANES", "ROWS", "gather", "multiply_row", "multiply_rows", "scatter"]
