"""What is printed for kernels has the expression's value, and fuses every product that is added to something."""

import math

import numpy as np
import pytest
import sympy as sp
from scipy.special import exprel

from ranvier.codegen.arithmetic import simd
from ranvier.codegen.compilation import compiled
from ranvier.codegen.printing import KernelPrinter
from ranvier.equations import parse

NAMES = {"_real": float, "_fma": lambda a, b, c: a * b + c, "_exp": math.exp, "_sqrt": math.sqrt, "_power": math.pow,
         "_log": math.log, "_exprel": exprel, "_over_exprel": lambda x: 1 / exprel(x), "_tanh": math.tanh}  # fmt: skip
VALUES = {"a": 0.7, "b": -1.3, "c": 2.1, "d": 0.4, "V": -57.5, "m": 0.3}
TEXTS = [
    "a*b + c", "a*b - c", "-a*b - c*d", "c - a*b*d", "2*a*b + 3*c + 4", "-(a + b)*c + d", "a/b + c*d/m - V",
    "-a", "-a*b", "(a + b*c)/(d - m*V)", "a*(b + c*(d + m*V))", "m**3*a*(V - b) + d*m**4*(V - c)",
    "a*exp(-V/b) + c", "a/exprel(b + c) - d", "2/exprel((V + 40)/5)", "-3*a/(7*b)", "1/a + 1/b",
    "a**2*b - 1/(c*d)", "sqrt(c)*a - b/sqrt(d)", "-0.5*(a - b)*(c - d) + m", "a*(1 - m) - b*m",
    "tanh(a*b + c)*d + a", "(a*b + c*d)*(a - b*c)",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_the_value_is_the_expressions(text):
    expression = parse(text)
    printed = KernelPrinter().doprint(expression)
    exact = float(expression.subs({s: VALUES[s.name] for s in expression.free_symbols}).replace(
        lambda e: type(e).__name__ == "exprel", lambda e: sp.Float(exprel(float(e.args[0])))))  # fmt: skip
    assert eval(printed, NAMES | VALUES) == pytest.approx(exact, rel=1e-12, abs=1e-12), printed


@pytest.mark.parametrize(
    ("text", "fused"), [("a*b + c", 1), ("a*b + c*d", 1), ("a*b + c*d + m", 2), ("a + b", 0), ("a*(b + c*d) - m", 2)]
)
def test_products_are_fused_with_what_they_are_added_to(text, fused):
    assert KernelPrinter().doprint(parse(text)).count("_fma(") == fused


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_x_over_its_exponential_less_one(kind):
    @compiled(error_model="numpy")
    def values(x, out):
        for k in range(len(x)):
            out[k] = simd.over_exprel(x[k])

    x = np.concatenate([np.linspace(-30, 30, 2001), np.linspace(-0.5, 0.5, 501), [0.0, 1e-30, -1e-30]]).astype(kind)
    out = np.empty_like(x)
    values(x, out)
    # two or three roundings beside exp's 2 ulp; exp(x) - 1 loses some two bits more just beyond 0.4
    np.testing.assert_allclose(out, 1 / exprel(x.astype(float)), rtol=12 * np.finfo(kind).eps, atol=0)
