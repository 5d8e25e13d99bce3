# mypy: ignore-errors
"""Vectors of numbers, one a batch entry, as LLVM's own type: what a loop vectoriser, which must first prove that
pointers do not overlap, would not make of these loops. A vector is 16 neighbouring batch entries; on machines with
shorter registers LLVM splits it. Sigmoids are 1/(1 + 2^z): a polynomial, an exponent added in bits, a division.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: numbers of a vector
WIDTH = 16
#: vectors that a call works on at once: one alone waits for its own results
VECTORS = 2
#: batch entries of a block
LANES = WIDTH * VECTORS
_LONG = ir.IntType(64)


@dataclass(frozen=True)
class Real:
    """What depends on the precision."""

    scalar: ir.Type
    integer: ir.Type
    bytes: int
    mantissa: int
    magic: float  # added and taken away again, it rounds to whole numbers
    clip: float
    powers: tuple[float, ...]  # of 2^r for |r| <= 1/2, highest first


def _exp2(degree: int) -> tuple[float, ...]:
    """Coefficients of 2^r on [−½, ½] with the least relative error, nearly: Chebyshev's nodes."""
    nodes = 0.5 * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    return tuple(float(c) for c in np.polyfit(nodes, 2.0**nodes, degree))


@cache
def _real(name: str) -> Real:
    if name == "float32":
        # degree 5: 2e-7 of the value, two roundings
        return Real(ir.FloatType(), ir.IntType(32), 4, 23, 12582912.0, 126.0, _exp2(5))
    powers = tuple(math.log(2) ** k / math.factorial(k) for k in range(14, -1, -1))
    return Real(ir.DoubleType(), ir.IntType(64), 8, 52, 6755399441055744.0, 1022.0, powers)


class Vector:
    """Emits arithmetic on one chunk."""

    def __init__(self, builder: ir.IRBuilder, real: Real) -> None:
        self.builder, self.real = builder, real
        self.type = ir.VectorType(real.scalar, WIDTH)
        self.integers = ir.VectorType(real.integer, WIDTH)
        name = f"llvm.fma.v{WIDTH}f{8 * real.bytes}"
        kind = ir.FunctionType(self.type, [self.type] * 3)
        self.fma_function = cgutils.get_or_insert_function(builder.module, kind, name)

    def constant(self, value: float) -> ir.Constant:
        return ir.Constant(self.type, [value] * WIDTH)

    def splat(self, value: ir.Value) -> ir.Value:
        one = self.builder.insert_element(ir.Constant(self.type, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return self.builder.shuffle_vector(one, ir.Constant(self.type, ir.Undefined), mask)

    def load(self, address: ir.Value) -> ir.Value:
        return self.builder.load(self.builder.inttoptr(address, self.type.as_pointer()), align=self.real.bytes)

    def store(self, value: ir.Value, address: ir.Value) -> None:
        self.builder.store(value, self.builder.inttoptr(address, self.type.as_pointer()), align=self.real.bytes)

    def number(self, address: ir.Value, k: int) -> ir.Value:
        """The k-th of the numbers that begin at an address, in every lane."""
        at = self.builder.inttoptr(self.builder.add(address, _LONG(self.real.bytes * k)), self.real.scalar.as_pointer())
        return self.splat(self.builder.load(at, align=self.real.bytes))

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        return self.builder.call(self.fma_function, [a, b, c])

    def sigmoid(self, z: ir.Value) -> ir.Value:
        """1/(1 + 2^z); z beyond ±126 (±1022 in float64) counts as that."""
        b, real = self.builder, self.real
        high, low = self.constant(real.clip), self.constant(-real.clip)
        z = b.select(b.fcmp_ordered("<", z, high), z, high)
        z = b.select(b.fcmp_ordered(">", z, low), z, low)
        magic = self.constant(real.magic)
        shifted = b.fadd(z, magic)
        r = b.fsub(z, b.fsub(shifted, magic))
        p = self.constant(real.powers[0])
        for c in real.powers[1:]:
            p = self.fma(p, r, self.constant(c))
        bits = b.shl(b.bitcast(shifted, self.integers), ir.Constant(self.integers, [real.mantissa] * WIDTH))
        power = b.bitcast(b.add(b.bitcast(p, self.integers), bits), self.type)
        one = self.constant(1.0)
        return b.fdiv(one, b.fadd(one, power), flags=("arcp",) if real.bytes == 4 else ())


def vectors(builder: ir.IRBuilder, kind: types.Type) -> Vector:
    """Arithmetic on numbers of a numba type."""
    return Vector(builder, _real(types.unliteral(kind).name))


def index_at(builder: ir.IRBuilder, indices: ir.Value, k: ir.Value) -> ir.Value:
    """The k-th of the 32-bit numbers that begin at an address, as 64-bit one."""
    at = builder.inttoptr(builder.add(indices, builder.mul(k, _LONG(4))), ir.IntType(32).as_pointer())
    return builder.sext(builder.load(at), _LONG)


@intrinsic
def add_synapses(typingctx, v, sources, table, k0, k1, n, d, one):
    """To a target's n and d (LANES) its synapses k0 .. k1 − 1: n += w E s, d += w s, s = 1/(1 + 2^(a v + b)).

    v (rows, LANES); a synapse's row of the table is a, b, w, w E.
    """

    def codegen(context, builder, signature, args):
        v, sources, table, k0, k1, n, d, _ = args
        lanes = vectors(builder, signature.args[-1])
        size, step = lanes.real.bytes, lanes.real.bytes * WIDTH
        totals = []
        for c in range(VECTORS):
            for at in (n, d):
                place = cgutils.alloca_once(builder, lanes.type)
                builder.store(lanes.load(builder.add(at, _LONG(step * c))), place)
                totals.append(place)
        with cgutils.for_range(builder, builder.sub(k1, k0)) as loop:
            k = builder.add(k0, loop.index)
            row = builder.add(table, builder.mul(k, _LONG(4 * size)))
            pre = builder.add(v, builder.mul(index_at(builder, sources, k), _LONG(step * VECTORS)))
            a, b, w, reversal = (lanes.number(row, i) for i in range(4))
            for c in range(VECTORS):
                s = lanes.sigmoid(lanes.fma(a, lanes.load(builder.add(pre, _LONG(step * c))), b))
                for place, factor in ((totals[2 * c], reversal), (totals[2 * c + 1], w)):
                    builder.store(lanes.fma(factor, s, builder.load(place)), place)
        for c in range(VECTORS):
            for place, at in ((totals[2 * c], n), (totals[2 * c + 1], d)):
                lanes.store(builder.load(place), builder.add(at, _LONG(step * c)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7, types.unliteral(one)), codegen


@intrinsic
def add_synapse_gradients(typingctx, v, g_v, sources, table, sums, k0, k1, g_n, g_d, one):
    """The adjoint of `add_synapses` for one target, whose n and d have the gradients g_n, g_d (LANES).

    A synapse's row of the table is a, b, E, w σ. With h = s (1 − s)(E g_n + g_d), g_v of its source grows by w σ h,
    and its sums (4, WIDTH) by s g_n, s g_d, h and v h.
    """

    def codegen(context, builder, signature, args):
        v, g_v, sources, table, sums, k0, k1, g_n, g_d, _ = args
        lanes = vectors(builder, signature.args[-1])
        size, step = lanes.real.bytes, lanes.real.bytes * WIDTH
        gradients = [[lanes.load(builder.add(at, _LONG(step * c))) for at in (g_n, g_d)] for c in range(VECTORS)]
        with cgutils.for_range(builder, builder.sub(k1, k0)) as loop:
            k = builder.add(k0, loop.index)
            row = builder.add(table, builder.mul(k, _LONG(4 * size)))
            mine = builder.add(sums, builder.mul(k, _LONG(4 * step)))
            offset = builder.mul(index_at(builder, sources, k), _LONG(step * VECTORS))
            pre, back = builder.add(v, offset), builder.add(g_v, offset)
            a, b, reversal, slope = (lanes.number(row, i) for i in range(4))
            totals = [lanes.load(builder.add(mine, _LONG(step * i))) for i in range(4)]
            for c in range(VECTORS):
                value = lanes.load(builder.add(pre, _LONG(step * c)))
                s = lanes.sigmoid(lanes.fma(a, value, b))
                by_n, by_d = (builder.fmul(s, g) for g in gradients[c])
                both = lanes.fma(reversal, by_n, by_d)
                h = builder.fsub(both, builder.fmul(both, s, flags=("contract",)), flags=("contract",))
                totals[0] = builder.fadd(totals[0], by_n)
                totals[1] = builder.fadd(totals[1], by_d)
                totals[2] = builder.fadd(totals[2], h)
                totals[3] = lanes.fma(value, h, totals[3])
                at = builder.add(back, _LONG(step * c))
                lanes.store(lanes.fma(slope, h, lanes.load(at)), at)
            for i in range(4):
                lanes.store(totals[i], builder.add(mine, _LONG(step * i)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9, types.unliteral(one)), codegen
