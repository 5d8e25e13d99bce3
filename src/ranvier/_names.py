"""The one check of every name that may become part of a program: a class, an argument, a variable of a kernel."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from ranvier._text import printable

#: a letter first, so that no name meets the generated code's own, which begin with an underscore
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
LONGEST = 200
_BUILT_IN = frozenset({"None", "True", "False", "print", "exec", "eval", "open", "compile", "lambda"})


def identifier(name: object, what: str = "the name") -> str:
    """`name` itself, where it is a plain ASCII identifier: letters, digits and underscores after a letter, no
    keyword, no double underscore at its end, at most 200 characters.

    Raises ValueError for anything else, before it can reach a class, a dataclass or generated source.
    """
    if type(name) is not str:  # a subclass may print as something else
        raise ValueError(f"{what} is {_shown(name)}; expected a name: text of letters, digits and underscores")
    if len(name) > LONGEST or not PLAIN.fullmatch(name) or name.endswith("__"):
        raise ValueError(
            f"{what} is {_shown(name)}; expected a plain name: ASCII letters, digits and underscores, a letter first"
        )
    if keyword.iskeyword(name) or name in _BUILT_IN:
        raise ValueError(f"{what} is {name!r}, a word of Python's; expected another name, such as {name}_1")
    return name


def identifiers(names: Iterable[object], what: str = "the name") -> tuple[str, ...]:
    """Each of `names` by `identifier`."""
    return tuple(identifier(name, what) for name in names)


def _shown(name: object) -> str:
    """As it is written, with the first character that is not ASCII, which may look like one that is."""
    text = printable(repr(name))
    text = text if len(text) <= 60 else f"{text[:57]}..."
    odd = next((k for k, c in enumerate(name) if not c.isascii()), None) if isinstance(name, str) else None
    return text if odd is None else f"{text}, with the character U+{ord(str(name)[odd]):04X} at {odd}"


__all__ = ["identifier", "identifiers"]
