"""Statements that are made at a spike or another event: text to what each variable is afterwards."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import sympy as sp

from ranvier.equations._parse import parse, symbol

#: operations and names in one equation, helpers put in; each costs time to differentiate and to compile
LARGEST = 5000

_STATEMENT = re.compile(r"([A-Za-z]\w*)\s*([-+*/]?)=(?!=)\s*(\S.*)")
_UPDATE = {
    "": lambda old, new: new,
    "+": lambda old, new: old + new,
    "-": lambda old, new: old - new,
    "*": lambda old, new: old * new,
    "/": lambda old, new: old / new,
}


def statements(
    text: str,
    variables: Collection[str] | None,
    what: str,
    draws: list[str],
    helpers: Mapping[sp.Symbol, sp.Expr] | None = None,
) -> dict[str, sp.Expr]:
    """What each assigned variable is after the statements, in terms of values before them.

    Statements (`=`, `+=`, `-=`, `*=`, `/=`), divided by ; or line ends, are made one after the other: a later one reads
    what an earlier one assigned. A name that is none of `variables` (None: every name is one) is an intermediate value,
    which a later statement must read. Names of random numbers are added to `draws`.

    Raises ValueError for what is no statement, for intermediate values that nothing reads, and where the expressions
    put into each other exceed `LARGEST` terms.
    """
    now: dict[sp.Symbol, sp.Expr] = {}
    unread: dict[str, str] = {}
    for part in filter(None, (p.partition("#")[0].strip() for line in text.splitlines() for p in line.split(";"))):
        match = _STATEMENT.fullmatch(part)
        if match is None:
            raise ValueError(
                f"{what} is {part!r:.60}; expected 'variable = expression', or +=, -=, *=, /=, divided by ;"
            )
        name, sign, right = match.groups()
        value = parse(right, draws)
        if not isinstance(value, sp.Expr):
            raise ValueError(f"{what} assigns a condition in {part!r:.60}; expected a number: int({right}) is 1 or 0")
        value = value.xreplace(dict(helpers or {}))
        read = {s.name for s in value.free_symbols} | ({name} if sign else set())
        for each in read & unread.keys():
            del unread[each]
        target = symbol(name)
        if variables is not None and name not in variables:
            if sign and target not in now:
                raise ValueError(f"{what} changes {name!r}, without a value; expected a variable: {_list(variables)}")
            unread[name] = part
        now[target] = _UPDATE[sign](now.get(target, target), value.xreplace(now))
        _require_small(now[target], what)
    if unread:
        name, part = next(iter(unread.items()))
        raise ValueError(
            f"{what} has {part!r:.60}, and {name!r} is no variable and read by no later statement; expected a variable "
            f"among {_list(variables or ())}"
        )
    return {s.name: value for s, value in now.items() if variables is None or s.name in variables}


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def _require_small(value: sp.Expr, what: str) -> None:
    for count, _ in enumerate(sp.preorder_traversal(value)):
        if count > LARGEST:
            raise ValueError(f"{what} has more than {LARGEST} terms, put into each other; expected fewer")


__all__ = ["LARGEST", "statements"]
