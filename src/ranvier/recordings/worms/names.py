"""The canonical neurons of the hermaphrodite, and their labels as laboratories write them."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=1)
def canonical_names() -> tuple[str, ...]:
    """The 302 neurons of the hermaphrodite, in the order of `rv.data.celegans()`.

    >>> names = rv.recordings.canonical_names()
    >>> len(names), "AVAL" in names
    (302, True)
    """
    from ranvier.data import celegans

    return tuple(celegans().chemical.names)


def canonical_label(label: str) -> str:
    """A label as `canonical_names` has it where it means one of them, else as it is, without space around it.

    Numbers of motor neurons are written with and without a zero (VB2, VB02), letters large and small.

    >>> [rv.recordings.canonical_label(label) for label in ("VB2", "aval ", "DD06", "BWM-DL01", "AWC?")]
    ['VB02', 'AVAL', 'DD06', 'BWM-DL01', 'AWC?']
    """
    label = label.strip()
    text = label.upper()
    known = _known()
    for candidate in (text, re.sub(r"^(AS|D[ABD]|V[ABCD])([1-9])$", r"\g<1>0\2", text)):
        if candidate in known:
            return candidate
    return label


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(canonical_names())


__all__ = ["canonical_label", "canonical_names"]
