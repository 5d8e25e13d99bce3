# mypy: ignore-errors
"""Expressions of a translated function: numbers, and what is known while it is translated, types and functions."""

from __future__ import annotations

import ast
import builtins
import inspect
import math
import types as python_types
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.np.numpy_support import from_dtype

from ranvier.codegen.translation.values import (
    BOOL,
    FLOAT,
    INT,
    Operand,
    OperandArithmetic,
    Unsupported,
    constant,
    llvm_type,
    unified,
)  # fmt: skip


class Expressions:
    """What `of_NAME` makes of a node NAME of a function's tree."""

    builder: ir.IRBuilder
    arithmetic: OperandArithmetic
    names: dict[str, Any]  # of the function's module and closure
    slots: dict[str, tuple[types.Type, Any]]  # variables' types and places
    fixed: dict[str, Any]  # variables that hold a type or a function

    def called(self, function: Any, arguments: list[Any], flags: tuple[str, ...]) -> Any:
        """The result of another function, its statements emitted here."""
        raise NotImplementedError

    def place(self, s: ast.Subscript) -> tuple[Operand, Any]:
        pointer = self.real(self.value(s.value))
        return pointer, self.arithmetic.element(pointer, self.number_of(s.slice))

    @staticmethod
    def real(value: Any) -> Operand:
        if not isinstance(value, Operand):
            raise Unsupported(f"{value!r} as a number")
        return value

    def number_of(self, e: ast.expr) -> Operand:
        return self.real(self.value(e))

    def test(self, e: ast.expr) -> Any:
        return self.arithmetic.cast(self.number_of(e), BOOL).ir

    def value(self, e: ast.expr) -> Any:
        """An Operand, a tuple of values, or what is known now: a type, function or module."""
        method = getattr(self, f"of_{type(e).__name__}", None)
        if method is None:
            raise Unsupported(type(e).__name__)
        return method(e)

    def of_Constant(self, e: ast.Constant) -> Operand:
        return constant(e.value)

    def of_Name(self, e: ast.Name) -> Any:
        if e.id in self.slots:
            kind, slot = self.slots[e.id]
            return Operand(kind, self.builder.load(slot))
        if e.id in self.fixed:
            return self.fixed[e.id]
        return _known(self.names[e.id] if e.id in self.names else getattr(builtins, e.id, None))

    def of_Attribute(self, e: ast.Attribute) -> Any:
        owner = self.value(e.value)
        if isinstance(owner, Operand):
            return self.arithmetic.field(owner, e.attr)
        if not isinstance(owner, python_types.ModuleType):
            raise Unsupported(f"the attribute {e.attr}")
        return _known(getattr(owner, e.attr))

    def of_Tuple(self, e: ast.Tuple) -> Any:
        return tuple(self.value(part) for part in e.elts)

    def of_Subscript(self, e: ast.Subscript) -> Operand:
        pointer, at = self.place(e)
        return Operand(pointer.type.dtype, self.builder.load(at))

    def of_BinOp(self, e: ast.BinOp) -> Operand:
        return self.arithmetic.binary(type(e.op).__name__, self.number_of(e.left), self.number_of(e.right))

    def of_UnaryOp(self, e: ast.UnaryOp) -> Operand:
        operand = self.number_of(e.operand)
        match e.op:
            case ast.USub():
                return self.arithmetic.negative(operand)
            case ast.Not():
                return Operand(BOOL, self.builder.not_(self.arithmetic.cast(operand, BOOL).ir))
            case ast.Invert() if operand.type == BOOL:
                return Operand(BOOL, self.builder.not_(operand.ir))
            case _:
                raise Unsupported(type(e.op).__name__)

    def of_Compare(self, e: ast.Compare) -> Operand:
        total, left = None, self.number_of(e.left)
        for op, right in zip(e.ops, e.comparators, strict=True):
            other = self.number_of(right)
            one = self.arithmetic.compare(type(op).__name__, left, other)
            total = one if total is None else Operand(BOOL, self.builder.and_(total.ir, one.ir))
            left = other
        return total

    def of_BoolOp(self, e: ast.BoolOp) -> Operand:
        both = isinstance(e.op, ast.And)
        end = self.builder.append_basic_block("known")
        ways = []
        for k, part in enumerate(e.values):
            value = self.number_of(part)
            if value.type != BOOL:
                raise Unsupported("and of numbers")
            ways.append((value.ir, self.builder.block))
            if k + 1 == len(e.values):
                self.builder.branch(end)
                break
            following = self.builder.append_basic_block("more")
            self.builder.cbranch(value.ir, *((following, end) if both else (end, following)))
            self.builder.position_at_end(following)
        return self.joined(BOOL, end, ways)

    def joined(self, kind: types.Type, end: Any, ways: list[tuple[Any, Any]]) -> Operand:
        self.builder.position_at_end(end)
        phi = self.builder.phi(llvm_type(kind))
        for value, block in ways:
            phi.add_incoming(value, block)
        return Operand(kind, phi)

    def of_IfExp(self, e: ast.IfExp) -> Any:
        test = self.test(e.test)
        blocks = [self.builder.append_basic_block(name) for name in ("yes", "no", "either")]
        self.builder.cbranch(test, *blocks[:2])
        ways = []
        for block, part in zip(blocks[:2], (e.body, e.orelse), strict=True):
            self.builder.position_at_end(block)
            value = self.value(part)
            ways.append((value if isinstance(value, tuple) else (value,), self.builder.block))
        kinds = [unified(self.real(a).type, self.real(b).type) for a, b in zip(*(w[0] for w in ways), strict=True)]
        sides = []
        for values, block in ways:
            self.builder.position_at_end(block)
            sides.append(([self.arithmetic.cast(v, k).ir for v, k in zip(values, kinds, strict=True)], block))
            self.builder.branch(blocks[2])
        self.builder.position_at_end(blocks[2])
        out = tuple(
            self.joined(kind, blocks[2], [(values[k], block) for values, block in sides])
            for k, kind in enumerate(kinds)
        )
        return out if isinstance(e.body, ast.Tuple) else out[0]

    def of_Call(self, e: ast.Call) -> Any:
        if e.keywords:
            raise Unsupported("named arguments")
        function = self.value(e.func)
        arguments = [self.value(a) for a in e.args]
        if function is type:
            return self.real(*arguments).type
        if isinstance(function, types.Type):
            return self.arithmetic.cast(self.real(*arguments), function)
        if (python := getattr(function, "py_func", None)) is not None:
            options = function.targetoptions
            if options.get("error_model") != "numpy":
                raise Unsupported(f"{python.__name__}, whose divisions raise")
            flags = options.get("fastmath") or ()
            if flags is True:
                raise Unsupported("all of fastmath")
            return self.called(python, arguments, tuple(sorted(flags)))
        if (by_type := getattr(function, "by_type", None)) is not None:
            return self.called(by_type[str(self.real(*arguments).type)].py_func, arguments, ())
        if (template := getattr(function, "_defn", None)) is not None:
            return self.intrinsic(template, [self.real(a) for a in arguments])
        return self.builtin(function, [self.real(a) for a in arguments])

    def intrinsic(self, template: Any, arguments: list[Operand]) -> Any:
        typed = template(cpu_target.typing_context, *[a.type for a in arguments])
        if typed is None:
            raise Unsupported(template.__name__)
        signature, codegen = typed
        passed = [
            a if isinstance(k, types.CPointer | types.Record) else self.arithmetic.cast(a, types.unliteral(k))
            for a, k in zip(arguments, signature.args, strict=True)
        ]
        result = codegen(cpu_target.target_context, self.builder, signature, [a.ir for a in passed])
        kind = signature.return_type
        return None if kind == types.none else Operand(kind, result)

    def builtin(self, function: Any, arguments: list[Operand]) -> Operand:
        if function is abs:
            return self.arithmetic.absolute(*arguments)
        if function is math.sqrt or function is np.sqrt:
            return self.arithmetic.root(*arguments)
        if function in (min, max):
            best = arguments[0]
            for other in arguments[1:]:
                kind = unified(best.type, other.type)
                best, other = self.arithmetic.cast(best, kind), self.arithmetic.cast(other, kind)
                taken = self.arithmetic.compare("Lt" if function is min else "Gt", other, best)
                best = Operand(kind, self.builder.select(taken.ir, other.ir, best.ir))
            return best
        raise Unsupported(f"a call of {getattr(function, '__name__', function)}")


def _known(what: Any) -> Any:
    """A name's value: a number becomes one, a NumPy type numba's."""
    if isinstance(what, bool | int | float | np.generic):
        return constant(what)
    if isinstance(what, type) and issubclass(what, np.generic):
        return from_dtype(np.dtype(what))
    if what in (int, float, bool):
        return {int: INT, float: FLOAT, bool: BOOL}[what]
    if what is None or (inspect.isclass(what) and what not in (type, range)):
        raise Unsupported(f"{what!r}")
    return what


__all__ = ["Expressions"]
