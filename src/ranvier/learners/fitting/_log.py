"""The log of a run of `fit`: JSON lines, one a step and one an epoch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ranvier.files.atomic import write_atomic
from ranvier.files.disk import naming
from ranvier.files.reading import read_bytes

_BEGINNINGS = ('{"step": ', '{"epoch": ')
_BESIDE = ("epoch", "end", "time")  # in an epoch's line beside its metrics


class Log:
    """Of a run that stands at `step`, after the epochs of `history`; lines of what it will do again are dropped.

    Raises ValueError, and changes nothing, for a file that is no log of `fit`, or that of another run.
    """

    def __init__(self, path: Path, step: int, history: list[dict[str, float]]) -> None:
        self.path, self._lines = path, []
        lines = _lines(path)
        for number, (text, line) in enumerate(lines, 1):
            epoch = line["epoch"]
            if "end" not in line:
                ours, again = True, line["step"] > step
            elif epoch < len(history):
                metrics = {name: value for name, value in line.items() if name not in _BESIDE}
                ours, again = json.dumps(metrics) == json.dumps(history[epoch]), False
            else:  # an epoch's end is followed by a checkpoint: more than one kill cannot leave
                ours, again = number == len(lines), True
            if not ours:
                raise ValueError(
                    f"there is line {number} of {path} from another run than the checkpoint beside it, or of one "
                    "whose checkpoint is gone; expected this run's only; nothing was changed: move the log away, "
                    "or give another folder"
                )
            if not again:
                self._lines.append(text)

    def begin(self) -> None:
        """Put the lines that hold in the place of the file, unless they are all there is."""
        whole = "".join(self._lines)
        if not self.path.exists() or self.path.read_text("utf-8", errors="replace") != whole:
            write_atomic(self.path, whole)

    def write(self, line: dict[str, Any]) -> None:
        """Append one line."""
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        with naming(self.path), open(handle, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Lines as they are and as they are read; the last, cut short by a kill, is left out."""
    whole = read_bytes(path, "the log of a run of fit").decode("utf-8", "replace") if os.path.lexists(path) else ""
    texts = whole.splitlines(keepends=True)
    pairs = []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
            cut = any(text.startswith(b) or b.startswith(text) for b in _BEGINNINGS)
            if number == len(texts) and not text.endswith("\n") and cut:
                continue
        known = isinstance(line, dict) and isinstance(line.get("epoch"), int)
        if not (known and ("end" in line or isinstance(line.get("step"), int))):
            raise ValueError(
                f"there is {text.strip()[:60]!r} in line {number} of {path}; expected the log of a run of fit; nothing "
                "was changed: give another folder"
            )
        pairs.append((text, line))
    return pairs


__all__ = ["Log"]
