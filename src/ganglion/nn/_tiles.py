# mypy: ignore-errors
"""Sums over a row's active inputs, a tile of `LANES` neighbouring outputs at once: the sums stay in registers, and a
tile of the weights, (inputs, LANES), in the first cache or the second."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ganglion.nn._lanes import LANES, VECTORS, WIDTH, index_at, vectors

_LONG = ir.IntType(64)


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


def _place(builder, start, j, lanes):
    return builder.add(start, builder.mul(j, _LONG(lanes.real.bytes)))


__all__ = ["LANES", "gather", "scatter"]
