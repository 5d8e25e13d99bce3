# mypy: ignore-errors
"""From a function of the subset to LLVM's text: each function that it calls becomes part of it."""

from __future__ import annotations

import ast
import linecache
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ranvier.codegen.translation.expressions import Expressions
from ranvier.codegen.translation.values import (
    INT,
    Operand,
    OperandArithmetic,
    Unsupported,
    constant,
    llvm_type,
    unified,
)


def translated(function: Any, signature: Any, name: str, fastmath: frozenset[str]) -> ir.Module:
    """A module with the function `name`, for C, of these argument types, which returns nothing.

    Raises Unsupported where the function, or one that it calls, is outside the subset.
    """
    widened: dict[Any, types.Type] = {}
    while True:
        module = ir.Module(name)
        kinds = [llvm_type(kind) for kind in signature.args]
        entry = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
        builder = ir.IRBuilder(entry.append_basic_block("entry"))
        arguments = [Operand(kind, value) for kind, value in zip(signature.args, entry.args, strict=True)]
        try:
            if _Call(_Shared(builder, widened), function, arguments, tuple(sorted(fastmath))).run() is not None:
                raise Unsupported("a result")
        except _Wider:
            continue
        builder.ret_void()
        return module


class _Wider(Exception):
    """A variable takes values of a wider type than at first: begin again."""


class _Shared:
    """What all calls of one translation share."""

    def __init__(self, builder: ir.IRBuilder, widened: dict[Any, types.Type]) -> None:
        self.builder, self.widened = builder, widened
        self.arithmetic = OperandArithmetic(builder)
        self.calls = 0


@cache
def _tree(path: str, line: int) -> ast.FunctionDef:
    for node in ast.walk(_file(path)):
        if isinstance(node, ast.FunctionDef) and line in (node.lineno, *(d.lineno for d in node.decorator_list)):
            return node
    raise Unsupported(f"no source of {path}:{line}")


@cache
def _file(path: str) -> ast.Module:
    return ast.parse("".join(linecache.getlines(path)))


class _Call(Expressions):
    """One call of a function, its statements emitted where the builder stands."""

    def __init__(self, shared: _Shared, function: Any, arguments: list[Any], flags: tuple[str, ...]) -> None:
        self.shared, self.function, self.flags = shared, function, flags
        shared.calls += 1
        if shared.calls > 2000:
            raise Unsupported("too many calls")
        self.number = shared.calls
        self.builder, self.arithmetic = shared.builder, shared.arithmetic
        self.slots: dict[str, tuple[types.Type, Any]] = {}
        self.fixed: dict[str, Any] = {}
        self.loops: list[tuple[Any, Any]] = []
        self.result: list[tuple[types.Type, Any]] | None = None
        self.single = False
        code = function.__code__
        self.tree = _tree(code.co_filename, code.co_firstlineno)
        self.names = dict(function.__globals__)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.names[name] = cell.cell_contents
        parameters = [a.arg for a in self.tree.args.args]
        if len(parameters) != len(arguments) or self.tree.args.vararg or self.tree.args.kwonlyargs:
            raise Unsupported("other arguments")
        for name, value in zip(parameters, arguments, strict=True):
            self.assign(name, value)

    def run(self) -> Any:
        """The result: a value, a tuple of them, or None."""
        before, self.arithmetic.flags = self.arithmetic.flags, self.flags
        self.end = self.builder.append_basic_block("end")
        self.block(self.tree.body)
        if not self.builder.block.is_terminated:
            self.builder.branch(self.end)
        self.builder.position_at_end(self.end)
        self.arithmetic.flags = before
        if self.result is None:
            return None
        values = tuple(Operand(kind, self.builder.load(slot)) for kind, slot in self.result)
        return values[0] if self.single else values

    # statements

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if self.builder.block.is_terminated:
                return
            method = getattr(self, f"do_{type(statement).__name__}", None)
            if method is None:
                raise Unsupported(type(statement).__name__)
            method(statement)

    def do_Expr(self, s: ast.Expr) -> None:
        if not isinstance(s.value, ast.Constant):
            self.value(s.value)

    def do_Pass(self, s: ast.Pass) -> None: ...

    def do_Assign(self, s: ast.Assign) -> None:
        value = self.value(s.value)
        for target in s.targets:
            self.store(target, value)

    def do_AugAssign(self, s: ast.AugAssign) -> None:
        name = type(s.op).__name__
        if isinstance(s.target, ast.Name):
            old = self.value(ast.Name(s.target.id, ast.Load()))
            self.store(s.target, self.arithmetic.binary(name, old, self.number_of(s.value)))
            return
        if not isinstance(s.target, ast.Subscript):
            raise Unsupported("a target")
        pointer, at = self.place(s.target)
        old = Operand(pointer.type.dtype, self.builder.load(at))
        new = self.arithmetic.binary(name, old, self.number_of(s.value))
        self.builder.store(self.arithmetic.cast(new, pointer.type.dtype).ir, at)

    def do_If(self, s: ast.If) -> None:
        test = self.test(s.test)
        yes, no = self.builder.append_basic_block("if"), self.builder.append_basic_block("else")
        end = self.builder.append_basic_block("endif")
        self.builder.cbranch(test, yes, no)
        for block, body in ((yes, s.body), (no, s.orelse)):
            self.builder.position_at_end(block)
            self.block(body)
            if not self.builder.block.is_terminated:
                self.builder.branch(end)
        self.builder.position_at_end(end)

    def do_While(self, s: ast.While) -> None:
        self.loop(lambda: self.test(s.test), s.body, lambda: None, s.orelse)

    def do_For(self, s: ast.For) -> None:
        call = s.iter
        if not (isinstance(call, ast.Call) and self.value(call.func) is range and isinstance(s.target, ast.Name)):
            raise Unsupported("a loop over something else than range")
        first, last, step = self.bounds([self.number_of(a) for a in call.args])
        counter = cgutils.alloca_once(self.builder, llvm_type(first.type))
        self.builder.store(first.ir, counter)
        sign = "Lt" if step.constant > 0 else "Gt"
        inside: list[Operand] = []

        def test() -> Any:
            inside[:] = [Operand(first.type, self.builder.load(counter))]
            return self.arithmetic.compare(sign, inside[0], last).ir

        def advance() -> None:
            now = Operand(first.type, self.builder.load(counter))
            self.builder.store(self.builder.add(now.ir, step.ir, flags=("nsw",)), counter)

        target = s.target.id
        self.loop(test, s.body, advance, s.orelse, lambda: self.assign(target, inside[0]))

    def bounds(self, numbers: list[Operand]) -> tuple[Operand, Operand, Operand]:
        zero, one = constant(0), constant(1)
        first, last, step = {1: (zero, *numbers, one), 2: (*numbers, one), 3: numbers}[len(numbers)]
        if not step.constant:
            raise Unsupported("a range's step")
        kinds = {v.type for v in (first, last) if v.constant is None} or {INT}
        if any(not isinstance(k, types.Integer) for k in kinds) or len({k.signed for k in kinds}) > 1:
            raise Unsupported("a range's bounds")
        kind = INT if next(iter(kinds)).signed else types.uint64
        return tuple(self.arithmetic.cast(v, kind) for v in (first, last, step))

    def loop(self, test: Any, body: Any, advance: Any, orelse: Any, begin: Any = lambda: None) -> None:
        if orelse:
            raise Unsupported("else of a loop")
        names = ("test", "body", "next", "after")
        head, inner, following, after = (self.builder.append_basic_block(name) for name in names)
        self.builder.branch(head)
        self.builder.position_at_end(head)
        self.builder.cbranch(test(), inner, after)
        self.builder.position_at_end(inner)
        begin()
        self.loops.append((following, after))
        self.block(body)
        self.loops.pop()
        if not self.builder.block.is_terminated:
            self.builder.branch(following)
        self.builder.position_at_end(following)
        advance()
        self.builder.branch(head)
        self.builder.position_at_end(after)

    def do_Continue(self, s: ast.Continue) -> None:
        self.builder.branch(self.loops[-1][0])

    def do_Break(self, s: ast.Break) -> None:
        self.builder.branch(self.loops[-1][1])

    def do_Return(self, s: ast.Return) -> None:
        value = None if s.value is None else self.value(s.value)
        if value is not None:
            single = isinstance(value, Operand)
            values = (value,) if single else tuple(value)
            if self.result is None:
                self.single = single
                self.result = [self.slot(("result", k), self.real(v).type) for k, v in enumerate(values)]
            for (kind, slot), v in zip(self.result, values, strict=True):
                if unified(kind, v.type) != kind:
                    raise Unsupported("results of several types")
                self.builder.store(self.arithmetic.cast(v, kind).ir, slot)
        self.builder.branch(self.end)

    # variables

    def slot(self, name: Any, kind: types.Type) -> tuple[types.Type, Any]:
        kind = self.shared.widened.get((self.number, name), kind)
        return kind, cgutils.alloca_once(self.builder, llvm_type(kind))

    def assign(self, name: str, value: Any) -> None:
        if not isinstance(value, Operand):  # a type, a function: known now
            if name in self.slots or self.fixed.get(name, value) is not value:
                raise Unsupported(f"{name} of two kinds")
            self.fixed[name] = value
            return
        if name in self.fixed:
            raise Unsupported(f"{name} of two kinds")
        if name not in self.slots:
            self.slots[name] = self.slot(name, value.type)
        kind, slot = self.slots[name]
        wider = unified(kind, value.type)
        if wider != kind:
            self.shared.widened[self.number, name] = wider
            raise _Wider
        self.builder.store(self.arithmetic.cast(value, kind).ir, slot)

    def store(self, target: ast.expr, value: Any) -> None:
        match target:
            case ast.Name(id=name):
                self.assign(name, value)
            case ast.Tuple(elts=targets):
                if not isinstance(value, tuple) or len(value) != len(targets):
                    raise Unsupported("what is unpacked")
                for one, part in zip(targets, value, strict=True):
                    self.store(one, part)
            case ast.Subscript():
                pointer, at = self.place(target)
                self.builder.store(self.arithmetic.cast(self.real(value), pointer.type.dtype).ir, at)
            case _:
                raise Unsupported("a target")

    def called(self, function: Any, arguments: list[Any], flags: tuple[str, ...]) -> Any:
        return _Call(self.shared, function, arguments, flags).run()


__all__ = ["Unsupported", "translated"]
