"""Expressions in torch: the values that SymPy computes with 30 digits, and finite gradients."""

import hypothesis
import mpmath
import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from ranvier.equations import exprel, parse, symbol
from ranvier.equations.printing import torch_function

a, b = symbol("a"), symbol("b")


def value(expression: sp.Basic, **at: float) -> float:
    """SymPy's own value, with 30 digits."""
    plain = expression.subs({symbol(k): sp.Float(repr(v), 40) for k, v in at.items()})
    plain = plain.replace(exprel, lambda x: sp.Integer(1) if x == 0 else (sp.exp(x) - 1) / x)
    return float(plain.evalf(30))


def printed(expression, **at):
    f = torch_function({"y": expression})
    return f(**{k: torch.tensor(v, dtype=torch.float64) for k, v in at.items()})["y"]


_leaf = st.one_of(st.sampled_from(["a", "b"]), st.integers(-3, 3).map(str), st.sampled_from(["0.25", "1.5"]))
_expressions = st.recursive(
    _leaf,
    lambda e: st.one_of(
        st.tuples(e, st.sampled_from(["+", "-", "*"]), e).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(e, e).map(lambda t: f"({t[0]})/(1.5 + ({t[1]})^2)"),
        st.tuples(st.sampled_from(["exp", "tanh", "sigmoid", "exprel", "sin", "cos"]), e).map(
            lambda t: f"{t[0]}(tanh({t[1]}))"
        ),
        st.tuples(st.sampled_from(["sqrt", "log"]), e).map(lambda t: f"{t[0]}(1.25 + ({t[1]})^2)"),
        st.tuples(e, st.sampled_from(["2", "3", "-2", "0.5", "-0.5", "1.7", "12"])).map(
            lambda t: f"(1.5 + tanh({t[0]}))^({t[1]})"
        ),
        st.tuples(st.sampled_from(["min", "max"]), e, e).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.tuples(e, e, e, e).map(lambda t: f"where({t[0]} > {t[1]}, {t[2]}, {t[3]})"),
        st.tuples(e, e, e).map(lambda t: f"where({t[0]} > 0 and {t[1]} < 1 or b >= 0, {t[2]}, a)"),
        e.map(lambda t: f"abs({t})"),
    ),
    max_leaves=6,
)


@hypothesis.settings(max_examples=60)
@given(_expressions, st.floats(-2, 2).map(lambda x: round(x, 3)), st.floats(-2, 2).map(lambda x: round(x, 3)))
def test_random_expressions_have_sympys_values(text, x, y):
    expression = parse(text)
    expected = value(expression, a=x, b=y)
    assume(abs(expected) < 1e12)
    assert float(printed(expression, a=x, b=y)) == pytest.approx(expected, rel=1e-11, abs=1e-11)


@given(_expressions, st.floats(-2, 2).map(lambda x: round(x, 3)), st.floats(-2, 2).map(lambda x: round(x, 3)))
def test_random_expressions_have_finite_gradients(text, x, y):
    expression = parse(text)
    p, q = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, y))
    out = torch_function({"y": expression})(a=p, b=q)["y"]
    if out.requires_grad:
        out.backward()
        assert all(v.grad is None or bool(torch.isfinite(v.grad)) for v in (p, q))


@pytest.mark.parametrize(
    "x", [0.0, 1e-300, 1e-12, -1e-7, 9.9e-7, 1.01e-6, -1e-6, 1e-3, -0.3, 5.0, -40.0, 300.0]
)
def test_exprel_and_its_gradient(x):
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y = torch_function({"y": exprel(a)})(a=t)["y"]
    y.backward()
    with mpmath.workdps(60):
        z = mpmath.mpf(x)
        exact = mpmath.mpf(1) if z == 0 else mpmath.expm1(z) / z
        slope = mpmath.mpf("0.5") if abs(z) < 1e-30 else (mpmath.exp(z) - exact) / z
    assert y.item() == pytest.approx(float(exact), rel=4e-16)
    assert t.grad.item() == pytest.approx(float(slope), rel=1e-9)


@pytest.mark.parametrize("x", [0.0, 1e-9, -1e-5, 1e-3, -0.2, 3.0])
def test_the_symbolic_derivative_of_exprel(x):
    with mpmath.workdps(60):
        z = mpmath.mpf(x)
        slope = mpmath.mpf("0.5") if abs(z) < 1e-30 else (mpmath.exp(z) - mpmath.expm1(z) / z) / z
    assert float(printed(sp.diff(exprel(a), a), a=x)) == pytest.approx(float(slope), rel=1e-9)


@pytest.mark.parametrize(
    "text", ["max(a, 0.5)", "min(a, b)", "abs(a - 1)", "where(a > 1, a^2, -a)", "clip(a, -1, 1)"]
)
def test_derivatives_of_kinked_functions_can_be_printed(text):
    expression = parse(text)
    slope = sp.diff(expression, a)
    for x in (-1.7, -0.4, 0.3, 0.8, 2.2):
        h = 1e-6
        numeric = (value(expression, a=x + h, b=0.1) - value(expression, a=x - h, b=0.1)) / (2 * h)
        assert float(printed(slope, a=x, b=0.1)) == pytest.approx(numeric, abs=1e-6)


def test_the_unselected_branch_of_a_condition_leaves_no_nan_in_values():
    f = torch_function({"y": parse("where(a > 0, log(max(a, 1e-9)), -1)")})
    t = torch.tensor([-1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = f(a=t)["y"]
    y.sum().backward()
    assert torch.allclose(y, torch.tensor([-1.0, np.log(2.0)], dtype=torch.float64))
    assert torch.allclose(t.grad, torch.tensor([0.0, 0.5], dtype=torch.float64))


@pytest.mark.parametrize(
    "name", ["tensor", "power", "where_", "minimum", "f", "abs_", "real", "torch", "x", "lo", "C"]
)
def test_any_name_may_be_a_parameter(name):
    f = torch_function({"y": parse(f"exp({name}) + min({name}, 2)^1.5 + abs(-{name})")})
    assert float(f(**{name: torch.tensor(1.0, dtype=torch.float64)})["y"]) == pytest.approx(np.e + 2)


def test_a_condition_without_default_is_refused():
    with pytest.raises(ValueError, match="without a default branch"):
        torch_function({"y": sp.Piecewise((a, a > 0))})


def test_an_unknown_function_is_refused_by_name():
    with pytest.raises(ValueError, match="'besselj' cannot be printed"):
        torch_function({"y": sp.besselj(0, a)})


def test_common_parts_are_computed_once():
    calls = []
    f = torch_function({"y": parse("exp(a*b) + 1"), "z": parse("exp(a*b)*2")})
    exp = next(k for k in f.__globals__ if k.strip("_") == "exp")
    plain = f.__globals__[exp]
    f.__globals__[exp] = lambda x: calls.append(1) or plain(x)
    out = f(a=torch.tensor(0.5), b=torch.tensor(2.0))
    assert (
        len(calls) == 1
        and float(out["y"]) == pytest.approx(np.e + 1)
        and float(out["z"]) == pytest.approx(2 * np.e)
    )


def test_a_choice_between_constants_keeps_the_precision():
    f = torch_function({"y": parse("(1.5 + tanh(where(a > b, 0, 1)))^2 + 0*a")})
    for kind, tolerance in ((torch.float64, 1e-15), (torch.float32, 1e-6)):
        y = f(a=torch.zeros(3, dtype=kind), b=torch.tensor(0.0, dtype=torch.float64))["y"]
        assert y.dtype == kind and y[0].item() == pytest.approx((1.5 + np.tanh(1)) ** 2, rel=tolerance)
