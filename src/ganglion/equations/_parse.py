"""Text to SymPy by way of Python's syntax tree. Nothing is evaluated, so text from a file is safe to read."""

from __future__ import annotations

import ast

import sympy as sp


class exprel(sp.Function):  # noqa: N801 - named as in the field
    """exprel(x) = (exp(x) − 1)/x, equal to 1 at x = 0: the rate functions of Hodgkin and Huxley need it."""

    nargs = 1

    @classmethod
    def eval(cls, x: sp.Expr) -> sp.Expr | None:
        return sp.Integer(1) if x.is_zero else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        x = self.args[0]
        return (sp.exp(x) - exprel(x)) / x


FUNCTIONS = {
    "exp": sp.exp,
    "expm1": lambda x: sp.exp(x) - 1,
    "log": sp.log,
    "sqrt": sp.sqrt,
    "sin": sp.sin,
    "cos": sp.cos,
    "tanh": sp.tanh,
    "cosh": sp.cosh,
    "sinh": sp.sinh,
    "sigmoid": lambda x: 1 / (1 + sp.exp(-x)),
    "abs": sp.Abs,
    "min": sp.Min,
    "max": sp.Max,
    "clip": lambda x, low, high: sp.Min(sp.Max(x, low), high),
    "exprel": exprel,
    "where": lambda condition, yes, no: sp.Piecewise((yes, condition), (no, True)),
}

_BINARY = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}
_COMPARE = {ast.Gt: sp.Gt, ast.GtE: sp.Ge, ast.Lt: sp.Lt, ast.LtE: sp.Le}


def symbol(name: str) -> sp.Symbol:
    """The one symbol of a name; real, so that SymPy simplifies as expected."""
    return sp.Symbol(name, real=True)


def parse(text: str) -> sp.Basic:
    """An expression or a condition, with the functions of `FUNCTIONS`, `^` or `**` for powers.

    Raises ValueError on anything that is not arithmetic.
    """
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"found {text!r}, expected an arithmetic expression: {error}") from None
    try:
        return _convert(tree.body, text)
    except RecursionError:
        raise ValueError(f"the expression {text[:60]!r}... is nested too deeply") from None


def _convert(node: ast.AST, text: str) -> sp.Basic:
    def walk(child: ast.AST) -> sp.Basic:
        return _convert(child, text)

    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() as number):
            return sp.Integer(number)
        case ast.Constant(value=float() as number):
            return sp.Float(number)
        case ast.Name(id=name):
            return sp.pi if name == "pi" else symbol(name)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](walk(left), walk(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -walk(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return walk(operand)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            return _COMPARE[type(op)](walk(left), walk(right))
        case ast.BoolOp(op=ast.And(), values=values):
            return sp.And(*map(walk, values))
        case ast.BoolOp(op=ast.Or(), values=values):
            return sp.Or(*map(walk, values))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return sp.Piecewise((walk(body), walk(test)), (walk(orelse), True))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in FUNCTIONS:
                known = ", ".join(FUNCTIONS)
                raise ValueError(f"unknown function {name!r} in {text!r}; expected one of {known}")
            try:
                return FUNCTIONS[name](*map(walk, arguments))
            except TypeError:
                raise ValueError(f"wrong number of arguments of {name!r} in {text!r}") from None
    found = ast.unparse(node)
    raise ValueError(f"found {found!r} in {text!r}, expected numbers, names, + - * / ** and functions")
