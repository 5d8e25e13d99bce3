"""Tables of any kind as rows of texts."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ranvier.files.reading import ALWAYS, LARGEST, RATIO, decode, library_fault, require_ratio

_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?\Z")
_CELLS = 2**19  # of a workbook, whatever its size

#: number of a row, from 1, and its cells without white space around them
Row = tuple[int, list[str]]


def text_rows(data: bytes, path: Path, delimiter: str | None) -> list[Row]:
    """Every line that holds something; `#` and `%` begin comments.

    Between semicolons numbers may have decimal commas. Where the first line is one cell shorter than all others, as R
    writes tables with names of rows, it begins with an empty one.
    """
    text = decode(data, path, "an edge list")
    if delimiter is None:
        delimiter = _delimiter_of(io.StringIO(text, newline=None))
    rows = list(_lines(io.StringIO(text, newline=None), delimiter, path))
    if delimiter == ";":
        rows = [(n, [c.replace(",", ".") if _DECIMAL_COMMA.match(c) else c for c in cells]) for n, cells in rows]
    widths = {len(cells) for _, cells in rows[1:]}
    if len(widths) == 1 and len(rows[0][1]) > 1 and min(widths) == len(rows[0][1]) + 1:
        number, cells = rows[0]
        if all(cells) and not any(re.match(r"[-+.\d]", cell) for cell in cells):
            rows[0] = (number, ["", *cells])
    return rows


def _delimiter_of(lines: io.StringIO) -> str:
    """Tab, else comma, else semicolon, else white space, whichever the first line has; semicolons where commas only
    stand in numbers between them."""
    held = (line.strip() for line in lines)
    first = list(itertools.islice((line for line in held if line and line[0] not in "#%"), 20))
    between = [line.split(";") for line in first]
    if first and all(len(cells) > 1 for cells in between):
        with_comma = [cell for cells in between for cell in cells if "," in cell]
        if "\t" not in first[0] and all(_DECIMAL_COMMA.match(cell.strip()) for cell in with_comma):
            return ";"
    return next((d for d in "\t,;" if first and d in first[0]), " ")


def _lines(lines: io.StringIO, delimiter: str, path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text[0] in "#%":
            continue
        if delimiter.isspace() and delimiter != "\t":
            yield number, text.split()
            continue
        try:
            cells = next(csv.reader([line.rstrip("\n")], delimiter=delimiter, strict=True))
        except (csv.Error, StopIteration) as error:
            raise ValueError(
                f"{path}, line {number} cannot be read ({error}); expected cells apart by {delimiter!r}, "
                "quotes closed."
            ) from error
        yield number, [cell.strip() for cell in cells]


def sheet_rows(data: bytes, path: Path, sheet: str | None) -> list[Row]:
    """The rows of one sheet of an Excel workbook."""
    import zipfile

    try:
        import openpyxl  # type: ignore[import-untyped]
    except ImportError:
        raise ValueError(
            f"{path} is an Excel file, which openpyxl reads; expected that package: pip install "
            "'ranvier[tables]', or save it as CSV."
        ) from None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(item.file_size for item in archive.infolist())
        require_ratio(unpacked, len(data), path)
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        names = list(book.sheetnames)
        if sheet is None and len(names) > 1:
            raise ValueError(
                f"{path} has the sheets {', '.join(map(repr, names))}; expected one of them: give "
                f"sheet={names[0]!r}."
            )
        if sheet is not None and sheet not in names:
            raise ValueError(f"{path} has no sheet {sheet!r}; expected one of {', '.join(map(repr, names))}.")
        rows, cells = [], 0
        for row in book[sheet or names[0]].iter_rows(values_only=True):
            cells += max(1, len(row))
            if cells > max(_CELLS, unpacked):  # one cell far out is filled up with empty ones
                raise ValueError(f"{path} spreads over more than {cells} cells; expected a table without wide gaps.")
            rows.append([_cell(x) for x in row])
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(
            f"{path} is no Excel workbook that can be read: {library_fault(error)}; expected a whole one."
        ) from error
    except Exception as error:  # a foreign archive fails in as many ways as zip and XML have
        raise ValueError(
            f"{path} is no Excel workbook that can be read: {library_fault(error)}; expected a whole one."
        ) from error
    return _trimmed(rows)


def arrow_rows(data: bytes, path: Path, kind: str) -> list[Row]:
    """The rows of a Parquet or Feather table, with the columns' names first; read in a process apart."""
    if find_spec("pyarrow") is None:
        raise ValueError(
            f"{path} is {kind.capitalize()}, which pyarrow reads; expected that package: pip install "
            "'ranvier[tables]', or save it as CSV."
        )
    broken = f"{path} is no {kind.capitalize()} file that can be read"
    room = min(LARGEST, max(ALWAYS, RATIO * len(data)))
    command = [sys.executable, "-P", str(Path(__file__).with_name("arrow_apart.py")), kind, str(room)]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"{broken}: pyarrow ends with {_ending(done)}; expected a whole file: get it again.")
    table = json.loads(done.stdout)
    if "refused" in table:
        raise ValueError(f"{broken}: {table['refused']}; expected a table.")
    return [(1, table["names"])] + [(k + 2, list(row)) for k, row in enumerate(zip(*table["columns"], strict=True))]


def _ending(done: subprocess.CompletedProcess[bytes]) -> str:
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
    return f"{how} ({last:.200})" if last else how


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))  # spreadsheets know no whole numbers
    return str(value).strip()


def _trimmed(rows: list[list[str]]) -> list[Row]:
    """Without empty rows, and without columns that are empty on the right; ragged ones are filled."""
    width = max((k + 1 for row in rows for k, cell in enumerate(row) if cell), default=0)
    return [(n, (row + [""] * width)[:width]) for n, row in enumerate(rows, start=1) if any(row)]


__all__ = ["Row", "arrow_rows", "sheet_rows", "text_rows"]
