"""SymPy to torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

from ranvier._names import identifiers


class TorchPrinter(PythonCodePrinter):
    """What both languages share: functions by names with an underscore before them, which no variable and no
    parameter has; Piecewise as nested `_where`."""

    functions = {"exp": "_exp", "log": "_log", "sin": "_sin", "cos": "_cos", "tanh": "_tanh", "Abs": "_abs",
                 "cosh": "_cosh", "sinh": "_sinh", "exprel": "_exprel", "exprel_slope": "_exprel_slope",
                 "floor": "_floor", "whole": "_whole"}

    def __init__(self) -> None:
        super().__init__({"fully_qualified_modules": False, "allow_unknown_functions": True})

    def _print_Function(self, expr: sp.Function) -> str:
        name = type(expr).__name__
        if name not in self.functions:
            known = ", ".join(self.functions)
            raise ValueError(f"the function {name!r} cannot be printed; expected one of {known}")
        return f"{self.functions[name]}({', '.join(self._print(a) for a in expr.args)})"

    _print_exp = _print_log = _print_sin = _print_cos = _print_tanh = _print_Function
    _print_Abs = _print_cosh = _print_sinh = _print_exprel = _print_exprel_slope = _print_Function
    _print_floor = _print_whole = _print_Function

    def _print_Heaviside(self, expr: sp.Heaviside) -> str:
        x = self._print(expr.args[0])
        zero, half, one = (self._number(text) for text in ("0.0", "0.5", "1.0"))
        return f"_where(({x} > {zero}), {one}, _where(({x} < {zero}), {zero}, {half}))"

    def _print_sign(self, expr: sp.sign) -> str:
        x = self._print(expr.args[0])
        zero, one = self._number("0.0"), self._number("1.0")
        return f"_where(({x} > {zero}), {one}, _where(({x} < {zero}), -{one}, {zero}))"

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
            return f"_sqrt({self._print(base)})"
        if exponent == sp.Rational(-1, 2):
            return f"({self._number('1.0')}/_sqrt({self._print(base)}))"
        return f"_power({self._print(base)}, {self._print(exponent)})"

    def _fold(self, name: str, expr: Any) -> str:
        first, *rest = expr.args
        printed = self._print(first)
        for argument in rest:
            printed = f"{name}({printed}, {self._print(argument)})"
        return printed

    def _print_Min(self, expr: sp.Min) -> str:
        return self._fold("_minimum", expr)

    def _print_Max(self, expr: sp.Max) -> str:
        return self._fold("_maximum", expr)

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        *cases, (last, condition) = expr.args
        if condition != True:  # noqa: E712 - a SymPy truth value
            raise ValueError(f"there is {expr} without a default branch; expected one: write where(condition, yes, no)")
        printed = self._print(last)
        for value, test in reversed(cases):
            printed = f"_where({self._print(test)}, {self._print(value)}, {printed})"
        return printed

    def _print_Relational(self, expr: Any) -> str:
        return f"({self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)})"

    def _print_And(self, expr: sp.And) -> str:
        return "(" + " & ".join(self._print(a) for a in expr.args) + ")"

    def _print_Or(self, expr: sp.Or) -> str:
        return "(" + " | ".join(self._print(a) for a in expr.args) + ")"


def torch_namespace() -> dict[str, Any]:
    """The functions that printed torch code uses."""
    import torch
    from torch import Tensor

    def tensor(x: Any) -> Tensor:
        return x if isinstance(x, Tensor) else torch.as_tensor(x, dtype=torch.float64)

    def exprel(x: Any) -> Tensor:
        # the unselected branch must be finite, or its gradient is NaN; the series' gradient matters too
        x = tensor(x)
        small = x.abs() < 1e-3
        safe = torch.where(small, 1.0, x)
        series = 1.0 + x / 2 * (1.0 + x / 3 * (1.0 + x / 4 * (1.0 + x / 5 * (1.0 + x / 6))))
        return torch.where(small, series, torch.expm1(safe) / safe)

    def exprel_slope(x: Any) -> Tensor:
        x = tensor(x)
        small = x.abs() < 1e-2
        safe = torch.where(small, 1.0, x)
        series = 1 / 2 + x * (1 / 3 + x * (1 / 8 + x * (1 / 30 + x * (1 / 144 + x * (1 / 840)))))
        return torch.where(small, series, (torch.exp(safe) - torch.expm1(safe) / safe) / safe)

    def like(results: dict[str, Tensor], *arguments: Any) -> dict[str, Tensor]:
        # a choice between two constants is float64, whatever the arguments' precision
        kinds = {x.dtype for x in arguments if isinstance(x, Tensor) and x.ndim and x.is_floating_point()}
        if len(kinds) != 1:
            return results
        kind = kinds.pop()
        return {k: x.to(kind) if x.ndim and x.is_floating_point() else x for k, x in results.items()}

    def lifted(f: Any) -> Callable[..., Tensor]:
        return lambda *xs: f(*map(tensor, xs))

    names = {"_exp": torch.exp, "_log": torch.log, "_sqrt": torch.sqrt, "_sin": torch.sin, "_cos": torch.cos,
             "_tanh": torch.tanh, "_cosh": torch.cosh, "_sinh": torch.sinh, "_abs": torch.abs,
             "_floor": torch.floor, "_whole": torch.trunc, "_power": torch.pow, "_minimum": torch.minimum,
             "_maximum": torch.maximum}  # fmt: skip
    return {name: lifted(f) for name, f in names.items()} | {
        "_exprel": exprel,
        "_exprel_slope": exprel_slope,
        "_where": lambda c, a, b: torch.where(tensor(c).bool(), tensor(a), tensor(b)),
        "_tensor": tensor,
        "_like": like,
    }


def torch_function(
    expressions: Mapping[str, sp.Basic], statements: tuple[tuple[sp.Symbol, sp.Expr], ...] = ()
) -> Callable[..., dict[str, Any]]:
    """Compile expressions to a function of keyword tensors that returns their values by name.

    `statements` are evaluated before, in order. Common subexpressions are evaluated once.
    """
    printer = TorchPrinter()
    free = {s.name for e in (*expressions.values(), *(e for _, e in statements)) for s in e.free_symbols}
    identifiers(sorted(free | {s.name for s, _ in statements}), "a name in an expression")
    lines = [f"{name} = {printer.doprint(value)}" for name, value in statements]
    shared, reduced = sp.cse(list(expressions.values()), symbols=sp.numbered_symbols("_cse"))
    lines += [f"{name} = {printer.doprint(value)}" for name, value in shared]
    defined = {s for s, _ in statements}
    used = {s for e in expressions.values() for s in e.free_symbols}
    used |= {s for _, e in statements for s in e.free_symbols}
    arguments = ", ".join(sorted(s.name for s in used - defined))
    results = (
        f"{key!r}: _tensor({printer.doprint(value)})" for key, value in zip(expressions, reduced, strict=True)
    )
    lines += [f"return _like({{{', '.join(results)}}}, {arguments})"]
    source = f"def f({'*, ' if arguments else ''}{arguments}{', ' if arguments else ''}**_rest):\n    "
    namespace = torch_namespace()
    exec(source + "\n    ".join(lines), namespace)  # printed from a SymPy tree, never from the user's text
    return namespace["f"]
