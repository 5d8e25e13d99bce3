"""Text of users and files, as it may stand on a terminal or a page."""

from __future__ import annotations

import codecs
import re
import sys
import unicodedata
from collections.abc import Callable

#: control characters, lone surrogates, code points that are none, and what reorders or ends a line unseen: marks and
#: isolates of writing direction, separators of lines and paragraphs
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
    + "".join(chr(plane * 0x10000 + end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
    + "]"
)
_SPELLING = {
    "−": "-", "–": "-", "—": "-", "…": "...", "→": "->", "←": "<-", "±": "+-", "×": "x", "·": ".", "≤": "<=",
    "≥": ">=", "≠": "!=", "≈": "~", "∞": "inf", "√": "sqrt", "²": "^2", "³": "^3", "µ": "u", "μ": "u", "“": '"',
    "”": '"', "‘": "'", "’": "'", "\u202f": " ", "\u00a0": " ", "\u2009": " ", "ß": "ss", "ø": "o", "Ø": "O",
    "æ": "ae", "œ": "oe", "ł": "l", "Ł": "L", "━": "-", "╸": "-", "╺": "-", "•": "*",
}  # fmt: skip
_HANDLER = "ranvier.spell"


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with control characters, lone surrogates and marks that reorder it as escapes such as \\x1b; with
    `lines`, ends of lines and tabs stay."""
    return _HIDDEN.sub(lambda c: c[0] if lines and c[0] in "\n\t" else _escaped(c[0]), text)


def one_line(text: str) -> str:
    """`text` in one line: its lines joined by spaces, then as `printable` has it."""
    return printable(" ".join(part.strip() for part in text.splitlines() if part.strip()) if "\n" in text else text)


def plural(value: int, one: str, many: str = "", shown: Callable[[int], str] = str) -> str:
    """A number with its noun: "1 pair", "2 pairs"; `many` is the plural where it is not `one` with an s."""
    return f"{shown(value)} {one if value == 1 else many or one + 's'}"


def as_label(text: str) -> str:
    """`text` as matplotlib shows it word for word: no mathematics between dollars, no label that a legend leaves out
    because it begins with an underscore."""
    text = printable(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") or not text else text


def spell_out_on_terminals() -> None:
    """Let standard output and error spell what their encoding lacks, "−" as "-" and "é" as "e", not fail on it."""
    codecs.register_error(_HANDLER, _spell)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def _escaped(c: str) -> str:
    code = ord(c)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_ascii, error.object[error.start : error.end])), error.end


def _ascii(c: str) -> str:
    if c in _SPELLING:
        return _SPELLING[c]
    return unicodedata.normalize("NFKD", c).encode("ascii", "ignore").decode() or "?"
