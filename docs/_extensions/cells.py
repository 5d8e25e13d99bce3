"""The code cells of the pages, to be run in one process and without a kernel, as the tests do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
_CELL = re.compile(r"^```\{code-cell\} python\n(.*?)^```$", re.S | re.M)
_OPTIONS = re.compile(r"\A(?:---\n(.*?)^---\n|((?::.*\n)+))", re.S | re.M)
_FILE = re.compile(r"\A%%writefile (\S+)\n")


@dataclass(frozen=True)
class Cell:
    """One cell: its code, and whether it takes too long for the tests (`make docs` runs it)."""

    code: str
    long: bool


def notebooks() -> list[Path]:
    """The pages that are executed."""
    pages = sorted(DOCS.rglob("*.md"))
    return [p for p in pages if "_build" not in p.parts and "file_format: mystnb" in p.read_text("utf-8")[:200]]


def cells(page: Path) -> list[Cell]:
    """The cells of a page, in order."""
    listed = []
    for match in _CELL.finditer(page.read_text("utf-8")):
        options = _OPTIONS.match(match[1])
        code = match[1][options.end() :] if options else match[1]
        listed.append(Cell(code, bool(options and re.search(r"\blong\b", options[0]))))
    return listed


def execute(page: Path, command: Callable[[list[str]], Any], *, long: bool = False) -> dict[str, Any]:
    """Run a page's cells in the present folder and return their names. A line `!ranvier ...` goes to `command`."""
    names: dict[str, Any] = {"__name__": "__main__", "_command": command}
    for number, cell in enumerate(cells(page), 1):
        if cell.long and not long:
            continue
        if file := _FILE.match(cell.code):
            Path(file[1]).write_text(cell.code[file.end() :], encoding="utf-8")
            continue
        code = re.sub(r"^!ranvier (.*)$", lambda m: f"_command({shlex.split(m[1])!r})", cell.code, flags=re.M)
        exec(compile(code, f"{page.name}, cell {number}", "exec"), names)
    return names
