"""Text to expressions: the arithmetic it means, and nothing else."""

import contextlib
import math

import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from ranvier.equations import exprel, parse, symbol
from ranvier.equations._parse import FUNCTIONS

a, b = symbol("a"), symbol("b")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a + 2*b", a + 2 * b),
        ("-a**2", -(a**2)),
        ("a^2", a**2),
        ("a - b - 1", (a - b) - 1),
        ("a/b/2", a / (2 * b)),
        ("2**3**2", sp.Integer(512)),
        ("1.5e-3*a", sp.Float(0.0015) * a),
        ("+a", a),
        ("pi", sp.pi),
        ("a > b and a < 2 or b >= 3", sp.Or(sp.And(a > b, a < 2), b >= 3)),
        ("a if b > 0 else -a", sp.Piecewise((a, b > 0), (-a, True))),
        ("where(a <= b, 1, 2)", sp.Piecewise((1, a <= b), (2, True))),
        ("int(a > 1)", sp.Piecewise((1, a > 1), (0, True))),
        ("2*int(a > 1 and not b < 2)", 2 * sp.Piecewise((1, sp.And(a > 1, b >= 2)), (0, True))),
        ("not a >= b", a < b),
        ("0 < a <= b < 3", sp.And(sp.Lt(0, a), a <= b, b < 3)),
        ("clip(a, 0, 1)", sp.Min(sp.Max(a, 0), 1)),
        ("expm1(a)", sp.exp(a) - 1),
        ("sigmoid(a)", 1 / (1 + sp.exp(-a))),
        ("exprel(0)", sp.Integer(1)),
    ],
)
def test_means_what_it_says(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_has_its_value(name):
    plain = {
        "sigmoid": lambda x: 1 / (1 + math.exp(-x)), "abs": abs, "exprel": lambda x: math.expm1(x) / x,
        "min": min, "max": max, "clip": lambda x, lo, hi: min(max(x, lo), hi),
        "where": lambda c, yes, no: yes if c else no, "int": int,
    }  # fmt: skip
    oracle = plain.get(name) or getattr(math, name)
    if name == "where":
        text, values = "where(a > 0.5, b, -b)", (0.7 > 0.5, 0.3, -0.3)
    elif name == "int":
        text, values = "int(a > 0.5)", (0.7 > 0.5,)
    elif name == "clip":
        text, values = "clip(a, b, 0.5)", (0.7, 0.3, 0.5)
    elif name in ("min", "max"):
        text, values = f"{name}(a, b)", (0.7, 0.3)
    else:
        text, values = f"{name}(a)", (0.7,)
    result = parse(text).subs({a: 0.7, b: 0.3}).replace(exprel, lambda x: (sp.exp(x) - 1) / x)
    assert float(result.evalf()) == pytest.approx(oracle(*values), rel=1e-14)


@pytest.mark.parametrize(
    "text",
    [
        "", "a b", "a +", "a.real", "().__class__", "a[0]", "[a]", "{a: b}", "(a, b)", "'a'", "b'a'", "True",
        "None", "...", "1j", "lambda x: x", "(x := 3)", "f'{a}'", "a // b", "rand()", "randn(a)", "a @ b", "not a",
        "~a",         "a == b", "a != b", "a < b == 3", "rand", "int(a > b, 1)", "not (a + 1)",
        "a is b", "a in b", "[x for x in a]", "(yield a)", "await a", "*a",
        "exp", "_a", "exp()", "exp(a, b)",
        "exp(x=a)", "exp(*a)", "open(a)", "eval(a)", "__import__(a)", "a(b)",
        "a.b(c)", "exp(a)(b)", "print(1)", "import os", "a = b", "a; b", "a\0",
        "9" * 5000, "(" * 500 + ")" * 500,
        "min()", "1 if a else 2", "exp(a > b)", "a + (b > 1)", "a and b", "-(a > b)", "where(a, 1, 2)",
        "1/0", "0**-1", "log(0)", "10**10**10", "nan_ + (1 < 2)", "min(a > b, 1)", "1e999",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"found|unknown|wrong|nested|expected"):
        parse(text)


def test_deep_nesting_is_refused_or_understood():
    for text in ("-" * 100_000 + "a", "(" * 150 + "a" + ")" * 150, "a" + "+a" * 100_000):
        with contextlib.suppress(ValueError):
            parse(text)


_names = st.sampled_from(["a", "b", "xi", "exp", "__class__", "pi"])
_pieces = st.one_of(
    _names,
    st.integers(-5, 5).map(str),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.sampled_from("+-*/^()<>=.,;:[]{} \n\t'\"\\#@!&|~%"),
    st.sampled_from(["**", "exp(", "min(", "where(", " if ", " else ", " and ", " or ", "not ", "log("]),
)  # fmt: skip


@given(st.one_of(st.text(max_size=30), st.lists(_pieces, max_size=12).map("".join)))
def test_random_text_gives_an_expression_or_a_value_error(text):
    try:
        result = parse(text)
    except ValueError:
        return
    assert isinstance(result, sp.Basic)
    assert {type(s) for s in result.free_symbols} <= {sp.Symbol}


def test_the_error_names_what_is_wrong():
    with pytest.raises(ValueError, match=r"unknown function 'sinus'.*expected one of exp"):
        parse("sinus(a)")
    with pytest.raises(ValueError, match=r"'exp' has 2 arguments"):
        parse("exp(a, b)")
    with pytest.raises(ValueError, match=r"'a\.b' in 'a\.b \+ 1'"):
        parse("a.b + 1")
