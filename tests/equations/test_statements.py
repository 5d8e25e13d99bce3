"""Statements at spikes and events: one after the other, as Python makes them; what is none is refused."""

import pytest

import ranvier as rv
from ranvier.equations import symbol
from ranvier.equations.statements import statements
from tests.laws.interpreter import after

VALUES = {"V": 3.0, "w": -2.0, "a": 0.5}


@pytest.mark.parametrize(
    "text",
    [
        "V = w; w = V", "V += 1\nw *= V", "V -= a; V /= 4", "x = V + w; V = x*a; w += x",
        "V = w  # the old one\n\n w = V + 1;", "x = V; x *= 2; V = x - w",
    ],
)  # fmt: skip
def test_statements_follow_each_other(text):
    new = statements(text, ("V", "w"), "the reset", [])
    plain = after("\n".join(line.partition("#")[0] for line in text.replace(";", "\n").splitlines()), VALUES)
    expected = {name: plain[name] for name in new}
    numbers = {symbol(k): v for k, v in VALUES.items()}
    assert {name: float(value.subs(numbers)) for name, value in new.items()} == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("V == 1", "the reset is 'V == 1'; expected 'variable = expression'"),
        ("v = 1", "'v' is no variable and read by no later statement; expected a variable among V, w"),
        ("v += 1", "changes 'v', without a value; expected a variable"),
        ("V = w > 1", "assigns a condition in 'V = w > 1'; expected a number"),
        ("V = rand(1)", "without arguments"),
        ("; ".join(["V = V*w + V"] * 30), "more than 5000 terms"),
    ],
)
def test_what_is_no_statement_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        statements(text, ("V", "w"), "the reset", [])


def test_each_call_is_a_number_of_its_own():
    draws: list[str] = []
    new = statements("x = rand(); V = x + randn(); w = x + rand()", ("V", "w"), "the reset", draws)
    assert draws == ["rand_0", "randn_1", "rand_2"]
    assert new == {
        "V": symbol("rand_0") + symbol("randn_1"), "w": symbol("rand_0") + symbol("rand_2"),
    }  # fmt: skip


def test_noise_of_equations_is_no_random_number():
    with pytest.raises(ValueError, match=r"rand\(\) in 'rand\(\)/tau'; expected it .* white noise in equations is xi"):
        rv.Equations("dV/dt = rand()/tau")
    with pytest.raises(ValueError, match="'rand_0' stands for a random number; expected another name"):
        rv.Equations("dV/dt = rand_0")


@pytest.mark.parametrize(
    ("events", "error", "message"),
    [
        ({"a": "V > 1"}, TypeError, r"the event 'a' is 'V > 1'; expected \(condition, statements\)"),
        ({"V": ("V > 1", "")}, ValueError, "'V' is defined twice"),
        ({"a": ("V", "")}, ValueError, "the event 'a' has 'V'; expected a condition"),
        ({"a": ("V > 1", "b = 1")}, ValueError, "the event 'a' has 'b = 1'"),
        ([("a", "V > 1")], TypeError, "events is list; expected a dict"),
    ],
)
def test_what_is_no_event_is_refused(events, error, message):
    with pytest.raises(error, match=message):
        rv.Equations("dV/dt = -V/tau", events=events)


def test_events_belong_to_what_equations_are():
    plain, more = (
        rv.Equations("dV/dt = -V/tau", threshold="V > b", reset="V = 0", events={"low": ("V < c", text)})
        for text in ("V += d", "V += 2*d")
    )
    assert plain != more and plain == rv.Equations(**plain.describe()) and hash(plain) != hash(more)
    assert plain.names == ("V", "low") and plain.parameters == ("b", "c", "d", "tau")
    assert r"V < c &: \quad V \to V + d, low \to low + 1" in plain.latex() and "dot{low}" not in plain.latex()
