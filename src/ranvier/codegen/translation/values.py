# mypy: ignore-errors
"""Numbers of a translated kernel: an LLVM value with numba's type, and arithmetic on them by numba's rules."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np.numpy_support import from_dtype


class Unsupported(Exception):
    """A construct outside the subset: numba compiles the function instead."""


@dataclass(frozen=True)
class Operand:
    """A number, pointer or record; `constant`: the Python number where it is written in the source."""

    type: types.Type
    ir: Any
    constant: Any = None


INT, FLOAT, BOOL = types.int64, types.float64, types.boolean
_COMPARE = {"Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=", "Eq": "==", "NotEq": "!="}
_FLOATS = {"Add": "fadd", "Sub": "fsub", "Mult": "fmul", "Div": "fdiv"}
_WHOLE = {"Add": "add", "Sub": "sub", "Mult": "mul", "BitAnd": "and_", "BitOr": "or_", "BitXor": "xor", "LShift": "shl"}
_PYTHON = {"Add": operator.add, "Sub": operator.sub, "Mult": operator.mul, "FloorDiv": operator.floordiv,
           "Mod": operator.mod}  # fmt: skip


def llvm_type(kind: types.Type) -> ir.Type:
    """LLVM's type of a number or pointer."""
    if kind == BOOL:
        return ir.IntType(1)
    if isinstance(kind, types.Integer):
        return ir.IntType(kind.bitwidth)
    if kind == types.float32:
        return ir.FloatType()
    if kind == types.float64:
        return ir.DoubleType()
    if isinstance(kind, types.CPointer):
        return ir.PointerType(llvm_type(kind.dtype))
    if isinstance(kind, types.Record):
        return ir.PointerType(ir.ArrayType(ir.IntType(8), kind.size))
    raise Unsupported(f"the type {kind}")


def constant(value: Any, kind: types.Type | None = None) -> Operand:
    """A Python or NumPy number."""
    if kind is None:
        if isinstance(value, bool | np.bool_):
            kind = BOOL
        elif isinstance(value, np.generic):
            kind = from_dtype(value.dtype)
        elif isinstance(value, int) and -(2**63) <= value < 2**63:
            kind = INT
        elif isinstance(value, float):
            kind = FLOAT
        else:
            raise Unsupported(f"the constant {value!r}")
    if isinstance(kind, types.Float):
        with np.errstate(over="ignore"):
            number = float(np.float32(value)) if kind == types.float32 else float(value)
        return Operand(kind, ir.Constant(llvm_type(kind), number), number)
    return Operand(kind, ir.Constant(llvm_type(kind), int(value)), int(value))


def unified(a: types.Type, b: types.Type) -> types.Type:
    """The type of a variable that takes values of both."""
    if a == b:
        return a
    if not (isinstance(a, types.Number | types.Boolean) and isinstance(b, types.Number | types.Boolean)):
        raise Unsupported(f"{a} or {b}")
    if BOOL in (a, b):
        raise Unsupported(f"{a} or {b}")
    floats = [k for k in (a, b) if isinstance(k, types.Float)]
    if len(floats) == 2:
        return FLOAT
    if floats:
        whole = b if floats[0] is a else a
        return floats[0] if whole.bitwidth <= 16 else FLOAT
    if a.signed == b.signed:
        return a if a.bitwidth > b.bitwidth else b
    signed, other = (a, b) if a.signed else (b, a)
    if other.bitwidth < signed.bitwidth:
        return signed
    raise Unsupported(f"{a} or {b}")


class OperandArithmetic:
    """Emits arithmetic; `flags`: what the compiler may do to sums and products of real numbers."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder, self.flags = builder, ()

    def cast(self, value: Operand, kind: types.Type) -> Operand:
        a, b, x = value.type, kind, self.builder
        if a == b:
            return value
        if value.constant is not None and isinstance(b, types.Float):
            return constant(value.constant, b)
        if value.constant is not None and isinstance(a, types.Integer) and isinstance(b, types.Integer):
            return constant(np.asarray(value.constant).astype(str(b)).item(), b)
        to = llvm_type(b)
        if b == BOOL:
            return self.compare("NotEq", value, constant(0, a))
        if isinstance(a, types.Float) and isinstance(b, types.Float):
            return Operand(b, x.fpext(value.ir, to) if a == types.float32 else x.fptrunc(value.ir, to))
        if isinstance(a, types.Float) and isinstance(b, types.Integer):
            return Operand(b, x.fptosi(value.ir, to) if b.signed else x.fptoui(value.ir, to))
        if isinstance(a, types.Integer | types.Boolean) and isinstance(b, types.Float):
            signed = a != BOOL and a.signed
            return Operand(b, x.sitofp(value.ir, to) if signed else x.uitofp(value.ir, to))
        if isinstance(a, types.Integer | types.Boolean) and isinstance(b, types.Integer):
            width = 1 if a == BOOL else a.bitwidth
            if width == b.bitwidth:
                return Operand(b, value.ir)
            if width > b.bitwidth:
                return Operand(b, x.trunc(value.ir, to))
            return Operand(b, x.sext(value.ir, to) if a != BOOL and a.signed else x.zext(value.ir, to))
        raise Unsupported(f"{a} as {b}")

    def binary(self, name: str, a: Operand, b: Operand) -> Operand:
        if a.type == BOOL and b.type == BOOL and name in ("BitAnd", "BitOr", "BitXor"):
            return Operand(BOOL, getattr(self.builder, _WHOLE[name])(a.ir, b.ir))
        if not (isinstance(a.type, types.Number) and isinstance(b.type, types.Number)):
            raise Unsupported(f"{name} of {a.type} and {b.type}")
        if isinstance(a.type, types.Float) or isinstance(b.type, types.Float):
            kind = unified(a.type, b.type)
            a, b = self.cast(a, kind), self.cast(b, kind)
            if name not in _FLOATS:
                raise Unsupported(f"{name} of real numbers")
            return Operand(kind, getattr(self.builder, _FLOATS[name])(a.ir, b.ir, flags=self.flags))
        return self._whole(name, a, b)

    def _whole(self, name: str, a: Operand, b: Operand) -> Operand:
        """On whole numbers, which have 64 bits then."""
        if name == "Div":
            return self.binary(name, self.cast(a, FLOAT), self.cast(b, FLOAT))
        if name in ("FloorDiv", "Mod") and b.constant == 0:
            return constant(0)
        if a.type == b.type == INT and None not in (a.constant, b.constant) and name in _PYTHON:
            return constant(_PYTHON[name](a.constant, b.constant))
        kind = self._pair(a, b)
        a, b = self.cast(a, kind), self.cast(b, kind)
        if name in _WHOLE:
            return Operand(kind, getattr(self.builder, _WHOLE[name])(a.ir, b.ir))
        if name == "RShift":
            return Operand(kind, self.builder.ashr(a.ir, b.ir) if kind.signed else self.builder.lshr(a.ir, b.ir))
        if name in ("FloorDiv", "Mod"):
            return Operand(kind, self._divided(name, kind, a, b))
        raise Unsupported(f"{name} of whole numbers")

    def _pair(self, a: Operand, b: Operand) -> types.Type:
        """numba's type of a result: 64 bits, signed where one is; int64 and uint64 do not mix."""
        if a.type.signed == b.type.signed:
            return INT if a.type.signed else types.uint64
        unsigned = a if b.type.signed else b
        if unsigned.type.bitwidth < 64:
            return INT
        raise Unsupported(f"{a.type} and {b.type}")

    def _divided(self, name: str, kind: types.Integer, a: Operand, b: Operand) -> Any:
        """Rounded down, as in Python; 0 where the divisor is 0, as in NumPy."""
        x, zero = self.builder, ir.Constant(llvm_type(kind), 0)
        none = None
        divisor = b.ir
        if b.constant is None:
            none = x.icmp_signed("==", b.ir, zero)
            divisor = x.select(none, ir.Constant(llvm_type(kind), 1), b.ir)
        if kind.signed:
            quotient, rest = x.sdiv(a.ir, divisor), x.srem(a.ir, divisor)
            apart = x.icmp_signed("<", x.xor(rest, divisor), zero)
            down = x.and_(x.icmp_signed("!=", rest, zero), apart)
            quotient = x.sub(quotient, x.zext(down, llvm_type(kind)))
            rest = x.select(down, x.add(rest, divisor), rest)
        else:
            quotient, rest = x.udiv(a.ir, divisor), x.urem(a.ir, divisor)
        result = quotient if name == "FloorDiv" else rest
        return result if none is None else x.select(none, zero, result)

    def compare(self, name: str, a: Operand, b: Operand) -> Operand:
        if name not in _COMPARE:
            raise Unsupported(name)
        if a.type == BOOL and b.type == BOOL:
            return Operand(BOOL, self.builder.icmp_unsigned(_COMPARE[name], a.ir, b.ir))
        if isinstance(a.type, types.Float) or isinstance(b.type, types.Float):
            kind = unified(a.type, b.type)
            a, b = self.cast(a, kind), self.cast(b, kind)
            call = self.builder.fcmp_unordered if name == "NotEq" else self.builder.fcmp_ordered
            return Operand(BOOL, call(_COMPARE[name], a.ir, b.ir, flags=self.flags))
        if not (isinstance(a.type, types.Integer) and isinstance(b.type, types.Integer)):
            raise Unsupported(f"{name} of {a.type} and {b.type}")
        if a.type.signed != b.type.signed:  # a constant takes the other's type
            for value in (a, b):
                if value.constant is not None and value.constant >= 0:
                    other = b if value is a else a
                    kind = INT if other.type.signed else types.uint64
                    break
            else:
                kind = self._pair(a, b)
        else:
            kind = INT if a.type.signed else types.uint64
        a, b = self.cast(a, kind), self.cast(b, kind)
        call = self.builder.icmp_signed if kind.signed else self.builder.icmp_unsigned
        return Operand(BOOL, call(_COMPARE[name], a.ir, b.ir))

    def negative(self, a: Operand) -> Operand:
        if a.constant is not None and a.type in (INT, types.float32, FLOAT):
            return constant(-a.constant, a.type)
        if isinstance(a.type, types.Float):
            return Operand(a.type, self.builder.fneg(a.ir, flags=self.flags))
        if a.type == INT or (isinstance(a.type, types.Integer) and a.type.signed):
            return Operand(INT, self.builder.neg(self.cast(a, INT).ir))
        raise Unsupported(f"minus a {a.type}")

    def absolute(self, a: Operand) -> Operand:
        if isinstance(a.type, types.Float):
            call = self.builder.module.declare_intrinsic("llvm.fabs", [a.ir.type])
            return Operand(a.type, self.builder.call(call, [a.ir]))
        raise Unsupported(f"abs of a {a.type}")

    def root(self, a: Operand) -> Operand:
        a = a if isinstance(a.type, types.Float) else self.cast(a, FLOAT)
        call = self.builder.module.declare_intrinsic("llvm.sqrt", [a.ir.type])
        return Operand(a.type, self.builder.call(call, [a.ir]))

    def element(self, a: Operand, index: Operand) -> Any:
        """The address of a pointer's element."""
        if not isinstance(a.type, types.CPointer) or not isinstance(index.type, types.Integer):
            raise Unsupported(f"an element of a {a.type}")
        wide = self.cast(index, INT if index.type.signed else types.uint64)
        return self.builder.gep(a.ir, [wide.ir])

    def field(self, a: Operand, name: str) -> Operand:
        if not isinstance(a.type, types.Record) or name not in a.type.fields:
            raise Unsupported(f"{name} of a {a.type}")
        kind = a.type.typeof(name)
        at = cgutils.get_record_member(self.builder, a.ir, a.type.offset(name), llvm_type(kind))
        return Operand(kind, self.builder.load(at))
