"""Events besides spikes: a condition, and statements that are made where it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

from ranvier._checks import instance
from ranvier.equations._parse import parse, symbol
from ranvier.equations.statements import statements


@dataclass(frozen=True)
class Event:
    """What happens besides spikes: where `condition` holds at a step's end, variables take the values `statements`.

    Examples
    --------
    >>> equations = rv.Equations("dV/dt = -V/tau : mV", events={"low": ("V < 1", "V += 5")})
    >>> event = equations.events["low"]
    >>> isinstance(event, rv.equations.Event), event.statements
    (True, {'V': V + 5, 'low': low + 1})
    """

    condition: sp.Basic
    statements: dict[str, sp.Expr]


def event_texts(events: Mapping[str, tuple[str, str]] | None) -> dict[str, tuple[str, str]]:
    """Conditions and statements by name. Raises TypeError for what is neither."""
    events = {} if events is None else events
    instance(events, Mapping, "events", "a dict of name -> (condition, statements)")
    out = {}
    for name, texts in events.items():
        pair = tuple(texts) if isinstance(texts, tuple | list) else ()
        if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise TypeError(
                f"the event {name!r:.40} is {texts!r:.60}; expected (condition, statements): ('V > 0', 'w += 1')"
            )
        out[name] = pair
    return out


def event_of(
    name: str, condition: str, text: str, names: tuple[str, ...], draws: list[str], helpers: dict[sp.Symbol, sp.Expr]
) -> Event:
    """An event from its texts, `names` the variables. Raises ValueError for what is no condition or no statement."""
    holds = parse(condition, draws)
    if isinstance(holds, sp.Expr):
        raise ValueError(f"the event {name!r} has {condition!r:.60}; expected a condition such as 'V > 0'")
    changes = statements(text, names, f"the event {name!r}", draws, helpers)
    return Event(holds.xreplace(helpers), changes | {name: changes.get(name, symbol(name)) + 1})


__all__ = ["Event", "event_of", "event_texts"]
