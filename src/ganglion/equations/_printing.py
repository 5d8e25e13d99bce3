"""SymPy to torch, and to the Python subset that the compiled kernels are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter


class _Printer(PythonCodePrinter):
    """What both languages share: every function by its bare name, Piecewise as nested `where`."""

    functions = {"exp": "exp", "log": "log", "sin": "sin", "cos": "cos", "tanh": "tanh", "Abs": "abs_",
                 "cosh": "cosh", "sinh": "sinh", "exprel": "exprel"}

    def __init__(self) -> None:
        super().__init__({"fully_qualified_modules": False, "allow_unknown_functions": True})

    def _print_Function(self, expr: sp.Function) -> str:
        name = type(expr).__name__
        if name not in self.functions:
            raise ValueError(f"the function {name!r} cannot be printed; expected one of {list(self.functions)}")
        return f"{self.functions[name]}({', '.join(self._print(a) for a in expr.args)})"

    _print_exp = _print_log = _print_sin = _print_cos = _print_tanh = _print_Function
    _print_Abs = _print_cosh = _print_sinh = _print_exprel = _print_Function

    def _number(self, text: str) -> str:
        return text

    def _print_Integer(self, expr: sp.Integer) -> str:
        return self._number(f"{int(expr)}.0")

    def _print_Float(self, expr: sp.Float) -> str:
        return self._number(repr(float(expr)))

    def _print_Rational(self, expr: sp.Rational) -> str:
        return self._number(repr(float(expr)))

    _print_Half = _print_Rational

    def _print_NumberSymbol(self, expr: sp.NumberSymbol) -> str:
        return self._number(repr(float(expr)))

    _print_Pi = _print_Exp1 = _print_NumberSymbol

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        base, exponent = expr.args
        printed = f"({self._print(base)})"
        if exponent.is_Integer and 0 < abs(int(exponent)) <= 8:
            product = "*".join([printed] * abs(int(exponent)))
            return f"({product})" if exponent > 0 else f"({self._number('1.0')}/({product}))"
        if exponent == sp.Rational(1, 2):
            return f"sqrt({self._print(base)})"
        if exponent == sp.Rational(-1, 2):
            return f"({self._number('1.0')}/sqrt({self._print(base)}))"
        return f"power({self._print(base)}, {self._print(exponent)})"

    def _fold(self, name: str, expr: Any) -> str:
        first, *rest = expr.args
        printed = self._print(first)
        for argument in rest:
            printed = f"{name}({printed}, {self._print(argument)})"
        return printed

    def _print_Min(self, expr: sp.Min) -> str:
        return self._fold("minimum", expr)

    def _print_Max(self, expr: sp.Max) -> str:
        return self._fold("maximum", expr)

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        *cases, (last, condition) = expr.args
        if condition != True:  # noqa: E712 - a SymPy truth value
            raise ValueError(f"found {expr} without a default branch; write where(condition, yes, no)")
        printed = self._print(last)
        for value, test in reversed(cases):
            printed = f"where({self._print(test)}, {self._print(value)}, {printed})"
        return printed

    def _print_Relational(self, expr: Any) -> str:
        return f"({self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)})"

    def _print_And(self, expr: sp.And) -> str:
        return "(" + " & ".join(self._print(a) for a in expr.args) + ")"

    def _print_Or(self, expr: sp.Or) -> str:
        return "(" + " | ".join(self._print(a) for a in expr.args) + ")"


class KernelPrinter(_Printer):
    """Prints for a compiled kernel, whose real type is called `real`."""

    def _number(self, text: str) -> str:
        return f"real({text})"


def torch_namespace() -> dict[str, Any]:
    """The functions that printed torch code uses."""
    import torch
    from torch import Tensor

    def tensor(x: Any) -> Tensor:
        return x if isinstance(x, Tensor) else torch.as_tensor(x, dtype=torch.float64)

    def exprel(x: Any) -> Tensor:
        # the unselected branch must be finite, or its gradient is NaN
        x = tensor(x)
        small = x.abs() < 1e-6
        safe = torch.where(small, 1.0, x)
        return torch.where(small, 1.0 + x / 2 + x * x / 6, torch.expm1(safe) / safe)

    def lifted(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *xs: f(*map(tensor, xs))

    names = {"exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "sin": torch.sin, "cos": torch.cos,
             "tanh": torch.tanh, "cosh": torch.cosh, "sinh": torch.sinh, "abs_": torch.abs,
             "power": torch.pow, "minimum": torch.minimum, "maximum": torch.maximum}
    return {name: lifted(f) for name, f in names.items()} | {
        "exprel": exprel,
        "where": lambda c, a, b: torch.where(tensor(c).bool(), a, b),
        "tensor": tensor,
    }


def torch_function(
    expressions: Mapping[str, sp.Basic], statements: tuple[tuple[sp.Symbol, sp.Expr], ...] = ()
) -> Callable[..., dict[str, Any]]:
    """Compile expressions to a function of keyword tensors that returns their values by name.

    `statements` are evaluated before, in order. Common subexpressions are evaluated once.
    """
    printer = _Printer()
    lines = [f"{name} = {printer.doprint(value)}" for name, value in statements]
    shared, reduced = sp.cse(list(expressions.values()), symbols=sp.numbered_symbols("_cse"))
    lines += [f"{name} = {printer.doprint(value)}" for name, value in shared]
    lines += ["return {" + ", ".join(
        f"{key!r}: tensor({printer.doprint(value)})" for key, value in zip(expressions, reduced, strict=True)
    ) + "}"]
    defined = {s for s, _ in statements}
    used = {s for e in expressions.values() for s in e.free_symbols}
    used |= {s for _, e in statements for s in e.free_symbols}
    arguments = ", ".join(sorted(s.name for s in used - defined))
    source = f"def f({'*, ' if arguments else ''}{arguments}{', ' if arguments else ''}**_):\n    "
    namespace = torch_namespace()
    exec(source + "\n    ".join(lines), namespace)  # printed from a SymPy tree, never from the user's text
    return namespace["f"]
