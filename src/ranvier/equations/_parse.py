"""Text to SymPy by way of Python's syntax tree. Nothing is evaluated, so text from a file is safe to read."""

from __future__ import annotations

import ast
import math
from itertools import pairwise

import sympy as sp

from ranvier._names import identifier


class exprel(sp.Function):
    """exprel(x) = (exp(x) − 1)/x, equal to 1 at x = 0: the rate functions of Hodgkin and Huxley need it.

    Examples
    --------
    >>> from ranvier.equations import exprel, symbol
    >>> exprel(symbol("x")).subs(symbol("x"), 0)
    1
    """

    nargs = 1

    @classmethod
    def eval(cls, x: sp.Expr) -> sp.Expr | None:
        return sp.Integer(1) if x.is_zero else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return exprel_slope(self.args[0])


class exprel_slope(sp.Function):
    """The derivative of exprel, (exp(x) − exprel(x))/x, equal to ½ at x = 0."""

    nargs = 1

    @classmethod
    def eval(cls, x: sp.Expr) -> sp.Expr | None:
        return sp.Rational(1, 2) if x.is_zero else None


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
    "int": lambda condition: sp.Piecewise((sp.Integer(1), condition), (sp.Integer(0), True)),
}
#: which of their arguments, of those functions that take some, are conditions
_CONDITIONS = {"where": 0, "int": 0}


def _power(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    if a.is_Number and b.is_Number and a != 0 and abs(float(b) * math.log10(abs(float(a)))) > 308:
        raise ValueError(f"the power ({a})**({b}) is too large or too small; expected numbers up to 1e308")
    return a**b


_BINARY = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: _power,
}
LONGEST = 10_000  # characters of one expression
_NO_REAL_NUMBER = (sp.zoo, sp.oo, -sp.oo, sp.nan, sp.I)
_COMPARE = {ast.Gt: sp.Gt, ast.GtE: sp.Ge, ast.Lt: sp.Lt, ast.LtE: sp.Le}


def symbol(name: str) -> sp.Symbol:
    """The one symbol of a name; real, so that SymPy simplifies as expected.

    Examples
    --------
    >>> from ranvier.equations import symbol
    >>> symbol("V") == symbol("V"), symbol("V").is_real
    (True, True)
    """
    return sp.Symbol(name, real=True)


def parse(text: str) -> sp.Basic:
    """An expression or a condition, with the functions of `FUNCTIONS`, `^` or `**` for powers.

    Conditions are comparisons, also in a row (`0 < V < 1`), joined by `and`, `or`, `not`; `int(condition)` is 1 or 0,
    `where(condition, yes, no)` and `yes if condition else no` choose.

    Raises ValueError on anything that is not arithmetic, and on text of more than 10 000 characters.

    Examples
    --------
    >>> from ranvier.equations import parse
    >>> parse("2*a + a")
    3*a
    """
    if not isinstance(text, str):
        raise ValueError(f"the value is {text!r:.60}; expected an arithmetic expression as text")
    if not text.isascii():  # Python reads some letters as others
        raise ValueError(f"the value is {text!r:.60}; expected an arithmetic expression in ASCII")
    if len(text) > LONGEST:
        raise ValueError(f"the expression {text[:60]!r}... has {len(text)} characters; expected at most {LONGEST}")
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
        result = _convert(tree.body, text)
    except SyntaxError as error:
        raise ValueError(f"the value is {text!r}; expected an arithmetic expression: {error}") from None
    except (RecursionError, MemoryError):
        raise ValueError(
            f"the expression {text[:60]!r}... is nested too deeply; expected fewer brackets within each other"
        ) from None
    except (TypeError, OverflowError) as error:  # a condition where SymPy expects a number, or the reverse
        raise ValueError(f"the value is {text!r}; expected an arithmetic expression: {error}") from None
    if result.has(*_NO_REAL_NUMBER):
        raise ValueError(f"the value is {text!r}, which is {result}; expected a finite real value")
    return result


def _convert(node: ast.AST, text: str) -> sp.Basic:
    """One node and all below it; a constant beyond a float is refused where it arises, before it is used further."""
    value = _term(node, text)
    if isinstance(value, sp.Expr) and value.is_number and value.is_real:
        try:
            finite = math.isfinite(float(value))
        except OverflowError:
            finite = False
        if not finite:
            raise ValueError(f"there is a number beyond 1e308 in {text!r:.80}; expected a finite one")
    return value


def _term(node: ast.AST, text: str) -> sp.Basic:
    def number(child: ast.AST) -> sp.Expr:
        value = _convert(child, text)
        if not isinstance(value, sp.Expr):
            raise ValueError(f"there is the condition {ast.unparse(child)!r} in {text!r}; expected a number")
        return value

    def condition(child: ast.AST) -> sp.Basic:
        value = _convert(child, text)
        if isinstance(value, sp.Expr):
            raise ValueError(f"there is {ast.unparse(child)!r} in {text!r}; expected a condition: 'V > 0'")
        return value

    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as constant):
            if not math.isfinite(float(constant)):
                raise ValueError(f"there is a number beyond 1e308 in {text!r}; expected a finite one")
            return sp.Integer(constant) if isinstance(constant, int) else sp.Float(constant)
        case ast.Name(id=name):
            if name in FUNCTIONS:
                raise ValueError(f"there is the function {name!r} in {text!r} as a name; expected {name}(...)")
            return sp.pi if name == "pi" else symbol(identifier(name, f"a name in {text!r}"))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](number(left), number(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -number(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return number(operand)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return sp.Not(condition(operand))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            ends = [number(left), *map(number, others)]
            return sp.And(*(_COMPARE[type(op)](*pair) for op, pair in zip(ops, pairwise(ends), strict=True)))
        case ast.BoolOp(op=ast.And(), values=values):
            return sp.And(*map(condition, values))
        case ast.BoolOp(op=ast.Or(), values=values):
            return sp.Or(*map(condition, values))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return sp.Piecewise((number(body), condition(test)), (number(orelse), True))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in FUNCTIONS:
                known = ", ".join(FUNCTIONS)
                raise ValueError(f"unknown function {name!r} in {text!r}; expected one of {known}")
            kinds = [condition if _CONDITIONS.get(name) == k else number for k in range(len(arguments))]
            if not arguments or any(isinstance(a, ast.Starred) for a in arguments):
                raise ValueError(f"{name!r} has none or starred ones in {text!r}; expected arguments by position")
            values = [kind(argument) for kind, argument in zip(kinds, arguments, strict=True)]
            try:
                return FUNCTIONS[name](*values)
            except TypeError:
                raise ValueError(f"{name!r} has {len(values)} arguments in {text!r}; expected another number") from None
    part = ast.unparse(node)
    raise ValueError(f"there is {part!r} in {text!r}; expected numbers, names, + - * / ** and functions")
