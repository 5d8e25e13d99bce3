"""VNN-LIB: properties of networks as SMT-LIB assertions on inputs X_i and outputs Y_j, read by a small parser.

Every number is a decimal; a bound of an input that is no float64 is moved outwards to one, a bound of an output so that
more is unsafe. Nesting, sizes and the number of alternatives are limited.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from ranvier._text import one_line
from ranvier.files.reading import read_text
from ranvier.verify.properties import Case, Property, Unsafe

MOST_CHARACTERS = 64_000_000
DEEPEST = 32
MOST_ALTERNATIVES = 20_000
_TOKEN = re.compile(r"\s+|;[^\n]*|([()])|([^\s();]+)")
_NUMBER = re.compile(r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,3})?")
_VARIABLE = re.compile(r"([XY])_(\d{1,7})")

Expression = str | list["Expression"]


@dataclass(frozen=True)
class Row:
    """Σ coefficients · variables + constant <= 0 (< 0 if strict)."""

    terms: dict[str, Fraction]
    constant: Fraction
    strict: bool


def read_vnnlib(path: str | Path, inputs: int, outputs: int) -> Property:
    """The property of a VNN-LIB file (gzipped or not), for a network of that many inputs and outputs.

    Raises ValueError for what is no VNN-LIB, for variables that the network has not, inputs without both bounds, and
    assertions that join inputs with inputs or outputs otherwise than by `or` and `and`.

    >>> from pathlib import Path
    >>> _ = Path("property.vnnlib").write_text('''(declare-const X_0 Real) (declare-const Y_0 Real)
    ... (assert (>= X_0 -1.0)) (assert (<= X_0 1.0)) (assert (>= Y_0 3.0))''')
    >>> case = rv.verify.read_vnnlib("property.vnnlib", inputs=1, outputs=1).cases[0]
    >>> case.lower.tolist(), case.upper.tolist()
    ([-1.0], [1.0])
    """
    text = read_text(path, "a property in VNN-LIB")
    try:
        return parse_vnnlib(text, inputs, outputs)
    except ValueError as error:
        raise ValueError(f"{one_line(str(path))}: {error}") from None


def parse_vnnlib(text: str, inputs: int, outputs: int) -> Property:
    """As `read_vnnlib`, of a text.

    >>> text = '''(declare-const X_0 Real) (declare-const Y_0 Real)
    ... (assert (>= X_0 -1.0)) (assert (<= X_0 1.0)) (assert (>= Y_0 3.0))'''
    >>> prop = rv.verify.parse_vnnlib(text, inputs=1, outputs=1)
    >>> double = torch.nn.Linear(1, 1)
    >>> _ = torch.nn.init.constant_(double.weight, 2.0), torch.nn.init.zeros_(double.bias)
    >>> rv.verify.verify(double, prop, example=torch.zeros(1)).verdict  # 2 x never reaches 3
    'verified'
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"the property has {len(text)} characters; expected at most {MOST_CHARACTERS}")
    declared: set[str] = set()
    common: list[Row] = []
    choices: list[list[list[Row]]] = []
    for expression in _expressions(text):
        match expression:
            case ["declare-const", str(name), "Real"] | ["declare-fun", str(name), [], "Real"]:
                _variable(name, inputs, outputs)
                declared.add(name)
            case ["assert", body]:
                alternatives = _alternatives(body, declared)
                if len(alternatives) == 1:
                    common += alternatives[0]
                else:
                    choices.append(alternatives)
            case ["set-logic", *_] | ["check-sat"] | ["get-model"] | ["exit"]:
                pass
            case _:
                raise ValueError(f"{_shown(expression)} is no statement; expected declare-const or assert")
    count = math.prod(len(c) for c in choices)
    if count > MOST_ALTERNATIVES:
        raise ValueError(f"the assertions have {count} alternatives; expected at most {MOST_ALTERNATIVES}")
    base = _Box(inputs)
    shared = [row for row in common if not base.take(row)]
    cases: dict[tuple[Any, ...], tuple[_Box, list[Unsafe]]] = {}
    for combination in itertools.product(*choices):
        box, rest = base.copy(), list(shared)
        rest += [row for row in itertools.chain(*combination) if not box.take(row)]
        cases.setdefault(box.key(), (box, []))[1].append(_unsafe(rest, outputs))
    return Property(tuple(box.case(tuple(unsafe)) for box, unsafe in cases.values() if not box.empty()))


def _expressions(text: str) -> Iterator[Expression]:
    """The top-level expressions, as nested lists of symbols."""
    stack: list[list[Expression]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"the text has {text[at]!r} at character {at}; expected SMT-LIB")
        at = match.end()
        bracket, symbol = match.group(1), match.group(2)
        if bracket == "(":
            if len(stack) >= DEEPEST:
                raise ValueError(f"expressions are nested deeper than {DEEPEST}; expected a flatter property")
            stack.append([])
        elif bracket == ")":
            if not stack:
                raise ValueError(f"the text has ) at character {at - 1} without (; expected brackets that match")
            done = stack.pop()
            if stack:
                stack[-1].append(done)
            else:
                yield done
        elif symbol is not None:
            if not stack:
                raise ValueError(f"{symbol!r:.40} is outside of brackets; expected (assert ...)")
            stack[-1].append(symbol)
    if stack:
        raise ValueError("the text ends within an expression; expected ) to match every (")


def _variable(name: str, inputs: int, outputs: int) -> None:
    match = _VARIABLE.fullmatch(name)
    if match is None:
        raise ValueError(f"the variable is {name!r:.40}; expected X_0, X_1 ... and Y_0, Y_1 ...")
    most = inputs if match.group(1) == "X" else outputs
    if int(match.group(2)) >= most:
        raise ValueError(f"the variable is {name:.40}; expected one of the network's {most}: take its own property")


def _alternatives(expression: Expression, declared: set[str]) -> list[list[Row]]:
    """Disjunctive normal form."""
    match expression:
        case ["and", *parts] if parts:
            options = [_alternatives(p, declared) for p in parts]
            if math.prod(len(o) for o in options) > MOST_ALTERNATIVES:
                raise ValueError(f"an assertion has too many alternatives; expected at most {MOST_ALTERNATIVES}")
            return [list(itertools.chain(*c)) for c in itertools.product(*options)]
        case ["or", *parts] if parts:
            return [row for p in parts for row in _alternatives(p, declared)]
        case [("<=" | ">=" | "<" | ">") as relation, left, right]:
            a, b = _linear(left, declared), _linear(right, declared)
            if relation in (">=", ">"):
                a, b = b, a
            terms = dict(a[0])
            for name, value in b[0].items():
                terms[name] = terms.get(name, Fraction(0)) - value
            return [[Row({n: v for n, v in terms.items() if v}, a[1] - b[1], relation in ("<", ">"))]]
        case ["=", left, right]:
            return _alternatives(["and", ["<=", left, right], [">=", left, right]], declared)
    raise ValueError(f"{_shown(expression)} is no relation; expected and, or, <=, >=, < or >")


def _linear(expression: Expression, declared: set[str]) -> tuple[dict[str, Fraction], Fraction]:
    """Coefficients and constant of a linear term."""
    match expression:
        case str(symbol) if symbol in declared:
            return {symbol: Fraction(1)}, Fraction(0)
        case str(symbol):
            if _NUMBER.fullmatch(symbol) is None:
                raise ValueError(f"{symbol!r:.40} is not declared; expected a number or a declared variable")
            return {}, Fraction(symbol)
        case ["+", *parts] if parts:
            return _sum([(Fraction(1), _linear(p, declared)) for p in parts])
        case ["-", part]:
            return _sum([(Fraction(-1), _linear(part, declared))])
        case ["-", first, *parts]:
            rest = [(Fraction(-1), _linear(p, declared)) for p in parts]
            return _sum([(Fraction(1), _linear(first, declared)), *rest])
        case ["*", left, right]:
            a, b = _linear(left, declared), _linear(right, declared)
            if a[0] and b[0]:
                raise ValueError(f"{_shown(expression)} is a product of variables; expected linear terms")
            return _sum([(a[1], b)]) if not a[0] else _sum([(b[1], a)])
    raise ValueError(f"{_shown(expression)} is no term; expected +, -, * or a number")


def _sum(parts: list[tuple[Fraction, tuple[dict[str, Fraction], Fraction]]]) -> tuple[dict[str, Fraction], Fraction]:
    terms: dict[str, Fraction] = {}
    constant = Fraction(0)
    for factor, (some, more) in parts:
        constant += factor * more
        for name, value in some.items():
            terms[name] = terms.get(name, Fraction(0)) + factor * value
    return terms, constant


class _Box:
    """Bounds of the inputs, by rows that hold one of them."""

    def __init__(self, inputs: int) -> None:
        self.lower: list[Fraction | None] = [None] * inputs
        self.upper: list[Fraction | None] = [None] * inputs

    def copy(self) -> _Box:
        box = _Box(0)
        box.lower, box.upper = list(self.lower), list(self.upper)
        return box

    def take(self, row: Row) -> bool:
        """Take up a bound of an input; False for a row about outputs."""
        of_inputs = [name for name in row.terms if name.startswith("X")]
        if not of_inputs:
            return False
        if len(row.terms) > 1:
            raise ValueError(f"an assertion joins {', '.join(sorted(row.terms))[:80]}; expected bounds of one input")
        name = of_inputs[0]
        k, factor = int(name[2:]), row.terms[name]
        bound = -row.constant / factor
        if factor > 0:
            before = self.upper[k]
            self.upper[k] = bound if before is None else min(bound, before)
        else:
            before = self.lower[k]
            self.lower[k] = bound if before is None else max(bound, before)
        return True

    def key(self) -> tuple[Any, ...]:
        return tuple(self.lower), tuple(self.upper)

    def empty(self) -> bool:
        return any(a is not None and b is not None and a > b for a, b in zip(self.lower, self.upper, strict=True))

    def case(self, unsafe: tuple[Unsafe, ...]) -> Case:
        for k, (a, b) in enumerate(zip(self.lower, self.upper, strict=True)):
            if a is None or b is None:
                raise ValueError(f"X_{k} has no {'lower' if a is None else 'upper'} bound; expected both")
        lower = [_float(v, -1) for v in self.lower]  # type: ignore[arg-type]
        upper = [_float(v, 1) for v in self.upper]  # type: ignore[arg-type]
        return Case(torch.tensor(lower, dtype=torch.float64), torch.tensor(upper, dtype=torch.float64), unsafe)


def _unsafe(rows: list[Row], outputs: int) -> Unsafe:
    C, d = torch.zeros(len(rows), outputs, dtype=torch.float64), []
    for k, row in enumerate(rows):
        # coefficients that are floats keep them; of others the row is what their floats say
        for name, value in row.terms.items():
            C[k, int(name[2:])] = float(value)
        d.append(_float(-row.constant, 1))
    if not rows:
        C, d = torch.zeros(1, outputs, dtype=torch.float64), [0.0]  # every output is unsafe
    strict = torch.tensor([row.strict for row in rows] or [False])
    return Unsafe(C, torch.tensor(d, dtype=torch.float64), strict)


def _float(value: Fraction, towards: int) -> float:
    """The nearest float64, or its neighbour on that side where it lies on the other."""
    try:
        x = float(value)
    except OverflowError:
        return math.copysign(math.inf, value)
    if (Fraction(x) - value) * towards < 0:
        x = math.nextafter(x, math.inf * towards)
    return x


def _shown(expression: Expression) -> str:
    text = expression if isinstance(expression, str) else f"({' '.join(_shown(e) for e in expression[:4])})"
    return text if len(text) <= 60 else text[:60] + "..."


__all__ = ["parse_vnnlib", "read_vnnlib"]
