"""SymPy to the Python subset that the compiled kernels are written in."""

from __future__ import annotations

import sympy as sp

from ranvier.equations.printing import TorchPrinter

_FUNCTIONS = ["abs", "cos", "cosh", "exp", "exprel", "fma", "log", "maximum", "minimum", "over_exprel", "power", "sin"]
_FUNCTIONS += ["floor", "sinh", "sqrt", "tanh", "where", "whole"]
#: lines of a kernel's text that hold the functions `KernelPrinter` prints, and the builtins that loops use, by names
#: that no parameter may have: one may be called range
PREAMBLE = "\n".join([
    "import numpy as _np",
    "from ranvier.codegen.arithmetic import simd as _simd",
    "from ranvier.codegen.pointers import pointer as _pointer, scratch as _scratch",
    *(f"_{name} = _simd.{name}{'_' if name == 'abs' else ''}" for name in _FUNCTIONS),
    "_range, _min, _max = range, min, max",
])  # fmt: skip


class KernelPrinter(TorchPrinter):
    """Prints for a compiled kernel, whose real type is called `_real`.

    A product within a sum is printed as `_fma`, which is rounded once on every processor: a compiler that may fuse does
    so on some. What is divided by exprel takes one division.
    """

    def _number(self, text: str) -> str:
        return f"_real({text})"

    def _print_Add(self, expr: sp.Add, order: str | None = None) -> str:
        terms = [_signed(term) for term in expr.as_ordered_terms()]
        products = [(negative, pair) for negative, term in terms if (pair := _pair(term)) is not None]
        total = ""
        for negative, term in terms:
            if _pair(term) is not None:
                continue
            printed = self._print(term)
            if total:
                total = f"({total} {'-' if negative else '+'} {printed})"
            else:
                total = f"(-{printed})" if negative else printed
        for negative, (a, b) in products:
            first, second = self._print(a), self._print(b)
            if total:
                total = f"_fma({f'(-{first})' if negative else first}, {second}, {total})"
            else:
                total = f"({'-' if negative else ''}{first}*{second})"
        return total

    def _print_Mul(self, expr: sp.Mul) -> str:
        negative, term = _signed(expr)
        above, below, inverse = [], [], []
        for factor in sp.Mul.make_args(term):
            base, exponent = factor.as_base_exp()
            if exponent == -1 and type(base).__name__ == "exprel":
                inverse.append(f"_over_exprel({self._print(base.args[0])})")
            elif exponent.is_Rational and exponent < 0:
                below.append(self._print(base**-exponent))
            else:
                above.append(self._print(factor))
        above += inverse
        text = "*".join(above) or self._number("1.0")
        if below:
            text = f"{text}/({'*'.join(below)})"
        return f"({'-' if negative else ''}{text})"

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        if expr.exp == -1 and type(expr.base).__name__ == "exprel":
            return f"_over_exprel({self._print(expr.base.args[0])})"
        return super()._print_Pow(expr, rational)


def _signed(term: sp.Expr) -> tuple[bool, sp.Expr]:
    """Whether a term is negative, and the term without its sign."""
    negative = term.could_extract_minus_sign() and term.as_coeff_Mul()[0].is_negative
    return bool(negative), -term if negative else term


def _pair(term: sp.Expr) -> tuple[sp.Expr, sp.Expr] | None:
    """Two factors of a product, the last one alone; None for what is no product, or one over something."""
    if not term.is_Mul:
        return None
    factors = list(term.args)
    above = [f for f in factors if not (f.as_base_exp()[1].is_Rational and f.as_base_exp()[1] < 0)]
    if len(above) < 2:
        return None
    rest = list(factors)
    rest.remove(above[-1])
    return sp.Mul(*rest, evaluate=False), above[-1]
