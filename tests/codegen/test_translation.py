"""What goes to LLVM without numba's front end computes what Python and NumPy do, and numba for the whole kernel."""

import ctypes
import math
import re

import numpy as np
import pytest
from numba import njit, types

import ranvier as rv
from ranvier.codegen import compilation
from ranvier.codegen.pointers import INNER, pointer
from ranvier.codegen.translation.functions import Unsupported, translated

WHOLE = [
    "a + b*c", "a - b", "a//b", "a % b", "a//c", "a % c", "a//0", "a % 0", "-a//7", "a % -7", "a & b", "a | b", "a ^ b",
    "a >> 3", "b << 2", "min(a, b, c)", "max(a, b, c)", "a if a < b else c", "(a < b) & (b < c)", "a < b < c",
    "1 if a < b and b//a > 0 else 2", "1 if not (a == b or a > c) else 2", "int(3.7) + int(-3.7)", "a != b",
    "int(a/b*100)", "7//2*-3", "-7//2", "-7 % 3", "abs(3.5 - a)",
]  # fmt: skip
REAL = [
    "x*y - 2", "x/y", "-x", "x/0.0", "abs(x)", "sqrt(y)", "x if x > y else y", "x < nan", "x != nan", "nan == nan",
    "1 if nan else 2", "x*3", "3/x", "a*x", "x + (y if a > 0 else 1)",
]  # fmt: skip


def called(function, count, *arguments, double=True):
    """What `function`, translated, writes to `count` numbers."""
    out = np.zeros(count, np.float64 if double else np.float32)
    kinds = [types.int64 if isinstance(a, int) else types.float64 for a in arguments]
    at = compilation._translated_address(function, types.void(types.int64, *kinds), frozenset())
    c = {types.int64: ctypes.c_int64, types.float64: ctypes.c_double}
    ctypes.CFUNCTYPE(None, ctypes.c_int64, *[c[k] for k in kinds])(at)(out.ctypes.data, *arguments)
    return out


@pytest.mark.parametrize(("a", "b", "c"), [(17, 5, 3), (-17, 5, -3), (17, -5, 40), (-17, -5, 1)])
def test_whole_numbers_are_pythons(a, b, c):
    lines = [f"    out[{k}] = float({e})" for k, e in enumerate(WHOLE)]
    text = "\n".join(["from ranvier.codegen.pointers import pointer",
                      "def kernel(at, a, b, c):", "    out = pointer(at, 0.0)", *lines])  # fmt: skip
    values = called(compilation.module_of(text, "kernel").kernel, len(WHOLE), a, b, c)
    for e, value in zip(WHOLE, values, strict=True):
        expected = 0 if e.endswith(("//0", "% 0")) else eval(e)  # as NumPy: numba's error model in kernels
        assert value == float(expected), (e, value)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_real_numbers_are_numpys(kind):
    lines = [f"    out[{k}] = {e}" for k, e in enumerate(REAL)]
    text = "\n".join(["import numpy as np", "from math import sqrt", "from ranvier.codegen.pointers import pointer",
                      f"real, nan = np.{kind}, np.nan", "def kernel(at, a, u, v):",
                      "    out = pointer(at, 0.0)", "    x, y = real(u), real(v)", *lines])  # fmt: skip
    values = called(compilation.module_of(text, "kernel").kernel, len(REAL), 3, -1.3, 0.7)
    real = getattr(np, kind)
    names = {"a": np.int64(3), "x": real(-1.3), "y": real(0.7), "nan": np.nan, "sqrt": np.sqrt, "abs": abs, "np": np}
    for e, value in zip(REAL, values, strict=True):
        # NumPy's literals have numba's width, 64 bits: Python's own would take the other operand's
        typed = re.sub(r"\d+(\.\d+)?", lambda m: f"np.{'float64' if m[1] else 'int64'}({m[0]})", e)
        with np.errstate(all="ignore"):
            np.testing.assert_equal(value, np.float64(eval(typed, names)), err_msg=e)


@njit(**INNER)
def _first_above(at, n, limit):
    """(The first number above the limit, its place); (-1, n) where there is none."""
    x = pointer(at, 0.0)
    for i in range(n):
        if x[i] > limit:
            return x[i], i
    return -1.0, n


def _statements(at, n):
    out = pointer(at, 0.0)
    total = 0  # becomes a real number further down
    for i in range(n - 1, -1, -2):
        if i == 5:
            continue
        if i < 3:
            break
        total += 0.5 * i
    out[0] = total
    k = 0
    while k * k < n:
        k += 1
    out[1] = k
    for i in range(2, n):
        out[i] = i
    out[2] += 0.25
    value, place = _first_above(at, n, 3.5)
    none, end = _first_above(at, n, 1e9)
    out[n], out[n + 1], out[n + 2], out[n + 3] = value, place, none, end
    low, high = (value, none) if place > 100 else (none, value)
    out[n + 4] = high - low
    word, bits = np.uint64(0b101101), 0
    for _ in range(word & np.uint64(7)):
        bits += 1
    while word != 0:
        bits += 10 if word & np.uint64(1) else 0
        word >>= np.uint64(1)
    out[n + 5] = bits


def test_statements_are_pythons():
    values = called(_statements, 26, 20)
    total = sum(0.5 * i for i in range(19, 2, -2) if i != 5)
    expected = [total, 5, 2.25, *range(3, 20), total, 0, -1, 20, total + 1, 45]
    np.testing.assert_array_equal(values, expected)


def _empty(at):
    out, x = pointer(at, 0.0), np.empty(3, np.float64)
    x[0] = 2.0**3
    out[0] = x[0]


def test_numba_compiles_what_is_outside_the_subset():
    with pytest.raises(Unsupported):
        translated(_empty, types.void(types.int64), "name", frozenset())
    out = np.zeros(1)
    ctypes.CFUNCTYPE(None, ctypes.c_int64)(compilation.address(_empty, types.void(types.int64)))(out.ctypes.data)
    assert out[0] == 8.0


def test_kernels_have_numbas_bits(monkeypatch):
    def run():
        compilation.address.cache_clear()
        compilation.kernel_address.cache_clear()
        net = rv.Network(seed=3)
        cells = net.add(rv.HodgkinHuxley(), 40, drive=15.0, noise=2.0)
        net.connect(cells, cells, weight=0.1, delay=1.5, in_degree=20)
        simulation = rv.Simulation(net)
        recording = simulation.run(50.0)
        return recording.times, recording.neurons, simulation.get(cells)["V"]

    ours = run()
    monkeypatch.setattr(compilation, "TRANSLATE", False)
    theirs = run()
    assert len(ours[0]) > 0 and all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_constants_are_rounded_to_the_precision():
    """A number that float32 has no bits for becomes its neighbour, or infinite."""

    def kernel(at):
        out = pointer(at, 0.0)
        out[0] = np.float32(0.1)
        out[1] = math.sqrt(2.0)
        out[2] = np.float32(1e300)

    np.testing.assert_array_equal(called(kernel, 3), [np.float32(0.1), math.sqrt(2.0), np.inf])
