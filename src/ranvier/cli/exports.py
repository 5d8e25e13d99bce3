"""Numbers to take away from `ranvier run`: tables of neurons and pairs, the activity as NWB, what to cite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.files.atomic import write_atomic

if TYPE_CHECKING:
    from ranvier.report import Measured

FORMATS = ("csv", "nwb")
_NWB_MISSING = 'pynwb is not installed; expected it for --format nwb: pip install "ranvier[brain]"'


def chosen_formats(text: str | None) -> tuple[str, ...]:
    """The formats of "csv,nwb" or "none"; by default all that can be written. ValueError for others, ImportError where
    NWB is requested and cannot be written."""
    installed = find_spec("pynwb") is not None
    if text is None:
        return FORMATS if installed else FORMATS[:1]
    words = [word.strip().lower() for word in text.split(",")]
    for word in words:
        if word not in (*FORMATS, "none") or ("none" in words and len(words) > 1):
            raise ValueError(f"--format is {text!r:.60}; expected {' and '.join(FORMATS)}, joined by commas, or none")
    if "nwb" in words and not installed:
        raise ImportError(_NWB_MISSING)
    return tuple(word for word in FORMATS if word in words)


def write_numbers(
    out: Path, formats: Sequence[str], measured: Measured, recording: Any, *, title: str, citations: Sequence[str],
    say: Callable[[str], Any],
) -> None:  # fmt: skip
    """Write neurons.csv, pairs.csv, activity.nwb and citations.txt, each atomically."""
    from ranvier.report import OWN_CITATION, write_csv

    if "csv" in formats:
        for table in (measured.neurons(), measured.pairs()):
            write_csv(out / f"{table.key}.csv", table)
    if "nwb" in formats:
        say("writing the activity as NWB")
        recording.to_nwb(out / "activity.nwb", description=title)
    write_atomic(out / "citations.txt", "".join(f"{one}\n" for one in (*citations, OWN_CITATION)))


__all__ = ["FORMATS", "chosen_formats", "write_numbers"]
