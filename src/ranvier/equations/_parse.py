"""Text to SymPy by way of Python's syntax tree. Nothing is evaluated, so text from a file is safe to read."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
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


class whole(sp.Function):
    """whole(x): the number x without its fraction, toward zero, as Python's `int`.

    Its derivative is zero, also where it jumps.

    Examples
    --------
    >>> from ranvier.equations import parse
    >>> parse("int(-2.7)"), parse("floor(-2.7)"), parse("ceil(-2.7)")
    (-2, -3, -2)
    """

    nargs = 1
    is_integer = True

    @staticmethod
    def _rounded(x: float) -> int:
        return math.trunc(x)

    @classmethod
    def eval(cls, x: sp.Expr) -> sp.Expr | None:
        if x.is_integer:
            return x
        return sp.Integer(cls._rounded(float(x))) if x.is_number else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.Integer(0)


class floor(whole):
    """The largest whole number that is not above x."""

    @staticmethod
    def _rounded(x: float) -> int:
        return math.floor(x)


def _int(x: sp.Basic) -> sp.Basic:
    """Of a condition 1 or 0, of a number what `whole` says."""
    return whole(x) if isinstance(x, sp.Expr) else sp.Piecewise((sp.Integer(1), x), (sp.Integer(0), True))


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
    "int": _int,
    "floor": floor,
    "ceil": lambda x: -floor(-x),
}
#: random numbers: `rand()` is uniform in [0, 1), `randn()` standard normal; each call stands for one of its own
DRAWS = ("rand", "randn")
_DRAW = re.compile(rf"({'|'.join(DRAWS)})_\d+")


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
    ast.Mod: lambda a, b: a - b * floor(a / b),
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


def parse(text: str, draws: list[str] | None = None) -> sp.Basic:
    """An expression or a condition, with the functions of `FUNCTIONS`, `^` or `**` for powers, `%` for remainders.

    Conditions are comparisons, also in a row (`0 < V < 1`), joined by `and`, `or`, `not`; `int(condition)` is 1 or 0,
    `int(x)` a number without its fraction, `where(condition, yes, no)` and `yes if condition else no` choose.
    `rand()` and `randn()` become symbols `rand_0`, `randn_1`, ..., whose names are added to `draws`.

    Raises ValueError on anything that is not arithmetic, on text of more than 10 000 characters, and on random numbers
    where there is no list `draws`.

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
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and is_draw(node.id):
                raise ValueError(f"the name {node.id!r} stands for a random number; expected another name: {node.id}_")
        if draws is not None:
            tree = _Draws(draws).visit(tree)
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


def is_draw(name: str) -> bool:
    """Whether a symbol's name stands for a random number.

    Examples
    --------
    >>> rv.equations.is_draw("V")
    False
    """
    return _DRAW.fullmatch(name) is not None


def draw_number(name: str) -> int:
    """Which of the random numbers of a text a symbol's name stands for.

    Examples
    --------
    >>> names: list[str] = []
    >>> expression = rv.equations.parse("rand() + randn()", names)
    >>> [rv.equations.draw_number(name) for name in names]
    [0, 1]
    """
    return int(name.rpartition("_")[2])


def draws_in(*expressions: sp.Basic) -> list[str]:
    """The names of random numbers in expressions, in the order of their numbers.

    Examples
    --------
    >>> names: list[str] = []
    >>> first, second = (rv.equations.parse(text, names) for text in ("V + rand()", "2*randn()"))
    >>> rv.equations.draws_in(second, first) == names
    True
    """
    names = {s.name for e in expressions for s in e.free_symbols}
    return sorted(filter(is_draw, names), key=draw_number)


class _Draws(ast.NodeTransformer):
    """Gives every call of `rand()` and `randn()` a name of its own."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id=name), args=[], keywords=[]) if name in DRAWS:
                self.names.append(f"{name}_{len(self.names)}")
                return ast.Name(id=self.names[-1], ctx=ast.Load())
        return node


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
            if name in (*FUNCTIONS, *DRAWS):
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
            if name in DRAWS:
                raise ValueError(
                    f"there is {name}() in {text!r}; expected it without arguments, in a threshold, a reset, an event "
                    "or what spikes do at a synapse: white noise in equations is xi"
                )
            if name not in FUNCTIONS:
                known = ", ".join((*FUNCTIONS, *DRAWS))
                raise ValueError(f"unknown function {name!r} in {text!r}; expected one of {known}")
            kinds: list[Callable[[ast.AST], sp.Basic]] = [number] * len(arguments)
            if name == "where":
                kinds[:1] = [condition]
            elif name == "int":
                kinds[:1] = [lambda child: _convert(child, text)]
            if not arguments or any(isinstance(a, ast.Starred) for a in arguments):
                raise ValueError(f"{name!r} has none or starred ones in {text!r}; expected arguments by position")
            values = [kind(argument) for kind, argument in zip(kinds, arguments, strict=True)]
            try:
                return FUNCTIONS[name](*values)
            except TypeError:
                raise ValueError(f"{name!r} has {len(values)} arguments in {text!r}; expected another number") from None
    part = ast.unparse(node)
    raise ValueError(f"there is {part!r} in {text!r}; expected numbers, names, + - * / ** and functions")
