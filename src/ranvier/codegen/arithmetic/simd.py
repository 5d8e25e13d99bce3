"""Mathematics that the compiler can vectorise, in float32 and float64, with the same bits on every processor.

Calls into libm stop vectorisation, and differ between processors; so exp and its kin are branch-free polynomials
here. numba widens mixed integers to 64 bits; so integer work goes through intrinsics of one width.

The same bits need one rule for multiplications that are fused with an addition: they are where `fma` stands, and
nowhere else, for the compiler may not contract (`INLINE` has no fast-math flags). On processors without such an
instruction, x86 before 2013, `fma` is a slow call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic, overload

# A kernel has a pointer a variable; by default LLVM gives up vectorising when they may overlap in more
# than eight pairs. Set once for the process: it only allows more such checks.
binding.set_option("ranvier", "-runtime-memory-check-threshold=512")

INLINE = {"forceinline": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _binary(name: str, kind: types.Integer):
    """An integer operation that stays in its own width."""

    @intrinsic
    def operation(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return getattr(builder, name)(*args)

        return kind(kind, kind), codegen

    return operation


def _convert(source, target, emit):
    @intrinsic
    def operation(typingctx, a):
        def codegen(context, builder, signature, args):
            return emit(builder, args[0])

        return target(source), codegen

    return operation


add_u32 = _binary("add", types.uint32)
xor_u32, or_u32 = _binary("xor", types.uint32), _binary("or_", types.uint32)
shl_u32, shr_u32 = _binary("shl", types.uint32), _binary("lshr", types.uint32)
add_i32, shl_i32 = _binary("add", types.int32), _binary("shl", types.int32)
add_i64, shl_i64 = _binary("add", types.int64), _binary("shl", types.int64)

_F32, _F64, _I32, _I64 = ir.FloatType(), ir.DoubleType(), ir.IntType(32), ir.IntType(64)
bits_f32 = _convert(types.float32, types.int32, lambda b, v: b.bitcast(v, _I32))
float_i32 = _convert(types.int32, types.float32, lambda b, v: b.bitcast(v, _F32))
bits_f64 = _convert(types.float64, types.int64, lambda b, v: b.bitcast(v, _I64))
float_i64 = _convert(types.int64, types.float64, lambda b, v: b.bitcast(v, _F64))
f32_from_u32 = _convert(types.uint32, types.float32, lambda b, v: b.uitofp(v, _F32))
f32_from_i32 = _convert(types.int32, types.float32, lambda b, v: b.sitofp(v, _F32))
i32_from_u32 = _convert(types.uint32, types.int32, lambda b, v: v)


@intrinsic
def fma(typingctx, a, b, c):
    """a b + c, rounded once."""
    kind = types.unliteral(a)

    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return kind(kind, kind, kind), codegen


@intrinsic
def floor(typingctx, x):
    """The largest whole number that is not above x, in x's own type."""
    kind = types.unliteral(x)

    def codegen(context, builder, signature, args):
        value = args[0]
        return builder.call(builder.module.declare_intrinsic("llvm.floor", [value.type]), [value])

    return kind(kind), codegen


def horner(coefficients: Sequence[float]):
    """The polynomial with these coefficients, highest power first, as a function of one number in its precision."""

    @intrinsic
    def polynomial(typingctx, x):
        def codegen(context, builder, signature, args):
            kind = args[0].type
            value = ir.Constant(kind, coefficients[0])
            for c in coefficients[1:]:
                value = builder.fma(value, args[0], ir.Constant(kind, c))
            return value

        return x(x), codegen

    return polynomial


def _rounded(values: Sequence[float]) -> list[float]:
    return [float(np.float32(v)) for v in values]


_f32, _f64 = np.float32, np.float64
_exp_f32 = horner(_rounded([1 / math.factorial(k) for k in range(7, -1, -1)]))
_exp_f64 = horner([1 / math.factorial(k) for k in range(13, -1, -1)])
_exprel_f32 = horner(_rounded([1 / math.factorial(k) for k in range(8, 0, -1)]))
_exprel_f64 = horner([1 / math.factorial(k) for k in range(16, 0, -1)])
# ln((1 + s)/(1 − s)) = 2 atanh(s); |s| <= 0.1716 for a mantissa in [√½, √2)
_atanh_f32 = horner(_rounded([2 / k for k in (9, 7, 5, 3, 1)]))
_atanh_f64 = horner([2 / k for k in range(21, 0, -2)])
# sin r = r + r·r²·s(r²), cos r = 1 + r²·c(r²); |r| <= π/4
_sine_series = horner([(-1) ** k / math.factorial(2 * k + 1) for k in range(9, 0, -1)])
_cosine_series = horner([(-1) ** k / math.factorial(2 * k) for k in range(9, 0, -1)])


@njit(**INLINE)
def exp_f32(x):
    """exp in float32 to about 2 ulp; arguments are clipped to [−87, 88]."""
    x = x if x > _f32(-87.0) else _f32(-87.0)
    x = x if x < _f32(88.0) else _f32(88.0)
    shifted = fma(x, _f32(1.4426950408889634), _f32(12582912.0))  # the sum's low bits are round(x/ln 2)
    n = shifted - _f32(12582912.0)
    r = fma(n, _f32(-1.428606765330187e-06), fma(n, _f32(-0.693145751953125), x))
    return float_i32(add_i32(bits_f32(_exp_f32(r)), shl_i32(bits_f32(shifted), np.int32(23))))


@njit(**INLINE)
def exp_f64(x):
    """exp in float64 to about 2 ulp; arguments are clipped to [−708, 709]."""
    x = x if x > -708.0 else -708.0
    x = x if x < 709.0 else 709.0
    shifted = fma(x, 1.4426950408889634, 6755399441055744.0)
    n = shifted - 6755399441055744.0
    r = fma(n, -1.9082149292705877e-10, fma(n, -0.6931471803691238, x))
    return float_i64(add_i64(bits_f64(_exp_f64(r)), shl_i64(bits_f64(shifted), np.int64(52))))


@njit(**INLINE)
def log_f32(x):
    """log of a positive normal float32."""
    bits = bits_f32(x)
    e = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    e32 = np.int32(e)
    m = float_i32(add_i32(bits, shl_i32(np.int32(-e32), np.int32(23))))
    s = (m - _f32(1.0)) / (m + _f32(1.0))
    return fma(_f32(e32), _f32(0.6931471805599453), s * _atanh_f32(s * s))


@njit(**INLINE)
def log_f64(x):
    """log of a positive normal float64."""
    bits = bits_f64(x)
    e = (bits - np.int64(0x3FE6A09E667F3BCD)) >> np.int64(52)
    m = float_i64(add_i64(bits, shl_i64(-e, np.int64(52))))
    s = (m - 1.0) / (m + 1.0)
    return fma(np.float64(e), 0.6931471805599453, s * _atanh_f64(s * s))


@njit(**INLINE)
def exprel_f32(x):
    """(exp(x) − 1)/x."""
    small = _exprel_f32(x)
    return small if abs(x) < _f32(0.4) else (exp_f32(x) - _f32(1.0)) / x


@njit(**INLINE)
def exprel_f64(x):
    """(exp(x) − 1)/x."""
    small = _exprel_f64(x)
    return small if abs(x) < 0.4 else (exp_f64(x) - 1.0) / x


@njit(**INLINE)
def over_exprel_f32(x):
    """x/(exp(x) − 1)."""
    near = abs(x) < _f32(0.4)
    return (_f32(1.0) if near else x) / (_exprel_f32(x) if near else exp_f32(x) - _f32(1.0))


@njit(**INLINE)
def over_exprel_f64(x):
    """x/(exp(x) − 1)."""
    near = abs(x) < 0.4
    return (1.0 if near else x) / (_exprel_f64(x) if near else exp_f64(x) - 1.0)


def _generic(name: str, f32, f64):
    """A function of one argument, in the argument's precision."""

    def stub(x):
        raise NotImplementedError

    stub.__name__ = name
    stub.by_type = {"float32": f32, "float64": f64}  # for `codegen.translation`

    @overload(stub, inline="always")
    def choose(x):
        if x == types.float32:
            return lambda x: f32(x)
        return lambda x: f64(x)

    return stub


exp = _generic("exp", exp_f32, exp_f64)
_log = _generic("_log", log_f32, log_f64)
exprel = _generic("exprel", exprel_f32, exprel_f64)
over_exprel = _generic("over_exprel", over_exprel_f32, over_exprel_f64)


@njit(**INLINE)
def tanh(x):
    one = type(x)(1.0)
    return one - (one + one) / (exp(x + x) + one)


@njit(**INLINE)
def cosh(x):
    return (exp(x) + exp(-x)) / type(x)(2.0)


@njit(**INLINE)
def sinh(x):
    return (exp(x) - exp(-x)) / type(x)(2.0)


@njit(**INLINE)
def log(x):
    """log; −∞ at 0 and NaN below."""
    below = type(x)(-np.inf) if x == type(x)(0) else type(x)(np.nan)
    return _log(x) if x > type(x)(0) else below


@njit(**INLINE)
def power(x, y):
    return exp(y * log(x))


@njit(**INLINE)
def _sine(x, quarters):
    """sin(x + quarters·π/2) in float64 to about 1 ulp, for |x| up to 2⁴⁰; NaN beyond."""
    shifted = fma(x, 0.6366197723675814, 6755399441055744.0)  # the sum's low bits are round(2x/π)
    n = shifted - 6755399441055744.0
    r = fma(-n, 6.123233995736766e-17, fma(-n, 1.5707963267948966, x))  # π/2 in three parts
    r = fma(n, 1.4973849048591833e-33, r)
    square = r * r
    sine = fma(r * square, _sine_series(square), r)
    cosine = fma(square, _cosine_series(square), 1.0)
    turns = bits_f64(shifted) + np.int64(quarters)
    value = cosine if turns & np.int64(1) else sine
    value = -value if turns & np.int64(2) else value
    return value if abs(x) <= 1099511627776.0 else np.nan


@njit(**INLINE)
def sin(x):
    """sin; NaN where |x| > 2⁴⁰. In float64 for either precision."""
    return type(x)(_sine(np.float64(x), 0))


@njit(**INLINE)
def cos(x):
    """cos; NaN where |x| > 2⁴⁰. In float64 for either precision."""
    return type(x)(_sine(np.float64(x), 1))


@njit(**INLINE)
def sqrt(x):
    return math.sqrt(x)


@njit(**INLINE)
def abs_(x):
    return abs(x)


@njit(**INLINE)
def whole(x):
    """x without its fraction."""
    return floor(x) if x > type(x)(0) else -floor(-x)


@njit(**INLINE)
def where(condition, yes, no):
    return yes if condition else no


@njit(**INLINE)
def minimum(a, b):
    return a if a < b or a != a else b


@njit(**INLINE)
def maximum(a, b):
    return a if a > b or a != a else b


_exprel_slope_series = horner([k / math.factorial(k + 1) for k in range(12, 0, -1)])  # Σ k x^(k−1)/(k + 1)!


@njit(**INLINE)
def exprel_slope(x):
    """(exp(x) − exprel(x))/x, the derivative of exprel; its series near 0."""
    real = type(x)
    one, near = real(1), abs(x) <= real(0.5)
    safe = one if near else x
    grown = exp(safe)
    return _exprel_slope_series(x) if near else (grown - (grown - one) / safe) / safe
