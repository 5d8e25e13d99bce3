"""Quantities as text."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.equations import quantity


@pytest.mark.parametrize(
    "text, unit, expected",
    [
        ("20 ms", "ms", 20.0), ("20ms", "ms", 20.0), (" 1.5 s ", "ms", 1500.0), ("2 min", "ms", 120_000.0),
        ("250us", "ms", 0.25), ("1 µs", "ms", 1e-3), ("-65 mV", "mV", -65.0), ("-0.065 V", "mV", -65.0),
        ("3 kHz", "Hz", 3000.0), ("10 nS", "nS", 10.0), ("0.2 nF", "pF", 200.0), ("1 nA", "pA", 1000.0),
        ("1e-3 uS", "nS", 1.0), ("5", "ms", 5.0), (7, "ms", 7.0), (".5 ms", "ms", 0.5), ("5. ms", "ms", 5.0),
        ("+5e1 ms", "ms", 50.0), ("2 mV ms", "mV ms", 2.0), ("2 mV s", "mV ms", 2000.0), ("3", "1", 3.0),
    ],
)  # fmt: skip
def test_values(text, unit, expected):
    assert quantity(text, unit) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    "text, unit",
    [
        ("20 mV", "ms"), ("20 parsec", "ms"), ("ms", "ms"), ("", "ms"), ("1,5 ms", "ms"), ("1 2 ms", "ms"),
        ("1e999 ms", "ms"), ("nan ms", "ms"), ("inf", "ms"), ("0x10", "ms"), ("20 MS", "ms"),
        ("--3 ms", "ms"),
    ],
)  # fmt: skip
def test_what_is_no_quantity_is_refused(text, unit):
    with pytest.raises(ValueError, match=r"expected"):
        quantity(text, unit)


def test_an_unknown_base_unit():
    with pytest.raises(ValueError, match="unknown base unit 'furlong'"):
        quantity("1 ms", "furlong")


@given(st.floats(-1e6, 1e6))
def test_a_printed_number_comes_back(x):
    assert quantity(f"{x!r} ms", "ms") == x
    assert math.isclose(quantity(f"{x!r} s", "ms"), 1000 * x, rel_tol=1e-15)


@given(st.text(max_size=12))
def test_random_text(text):
    with contextlib.suppress(ValueError):
        assert math.isfinite(quantity(text, "ms"))
