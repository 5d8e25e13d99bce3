"""Advice of the library, which names arguments of Python, as it is typed in a terminal."""

from __future__ import annotations

import re
import shlex

#: arguments that the command line has an option of the same name for
_OPTIONS = "activity|behaviour|bin|circular|columns|counts|delimiter|nodes|rows|sheet|signs|threads|times|unit"
_MAPPING = re.compile(r"\b(columns|signs)=\{([^{}]*)\}(?: \((--\1 [^)]*)\))?")
_HEADER = re.compile(r"\bheader=True or False(?: \(--header, --no-header\))?")
_SWITCH = re.compile(r"\bheader=(True|False)\b")
#: not in a path: 'bin=5/x.csv'
_VALUE = re.compile(rf"(?<![\w.\-/\\'\"])({_OPTIONS})=(?:'([^']*)'|\"([^\"]*)\"|([\w.]+))?")


def as_typed(text: str) -> str:
    """`text` with arguments such as columns={"source": 0} as options, --columns source=0.

    >>> as_typed("expected one reading: say rows='targets' or header=False")
    'expected one reading: say --rows targets or --no-header'
    """
    text = text.replace("give the population noise > 0 (mV)", "--noise takes a number above 0 (mV)")
    text = text.replace("say time=NAME", "say --times NAME")  # of a table
    text = _MAPPING.sub(lambda m: m[3] or f"--{m[1]} {_pairs(m[2])}", text)
    text = _HEADER.sub("--header or --no-header", text)
    text = _SWITCH.sub(lambda m: "--header" if m[1] == "True" else "--no-header", text)
    return _VALUE.sub(lambda m: f"--{m[1]} {_quoted(m[2] or m[3] or m[4] or '')}".rstrip(), text)


def _quoted(value: str) -> str:
    return shlex.quote(value) if value else ""


def _pairs(text: str) -> str:
    """'"source": 0, "target": 1, ...' as source=0,target=1."""
    pairs = [part.partition(":")[::2] for part in text.split(",") if ":" in part]
    cells = [_quoted(f"{name.strip(_MARKS)}={value.strip(_MARKS)}") for name, value in pairs]
    return ",".join([*cells, *(["..."] if text.rstrip().endswith("...") and not cells[-1].endswith("...") else [])])


_MARKS = " '\""

__all__ = ["as_typed"]
