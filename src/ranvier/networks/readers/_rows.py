"""Tables of any kind as rows of texts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ranvier._reading import decode, require_ratio

#: number of a row, from 1, and its cells without white space around them
Row = tuple[int, list[str]]


def text_rows(data: bytes, path: Path, delimiter: str | None) -> list[Row]:
    """Every line that holds something; `#` and `%` begin comments."""
    text = decode(data, path, "an edge list")
    return list(_lines(io.StringIO(text, newline=None), delimiter, path))


def _lines(lines: io.StringIO, delimiter: str | None, path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text[0] in "#%":
            continue
        if delimiter is None:
            delimiter = next((d for d in "\t,;" if d in text), " ")
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
            f"{path} is an Excel file, which openpyxl reads; pip install 'ranvier[tables]', or save it as CSV."
        ) from None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        require_ratio(sum(item.file_size for item in archive.infolist()), len(data), path)
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        names = list(book.sheetnames)
        if sheet is None and len(names) > 1:
            raise ValueError(f"{path} has the sheets {', '.join(map(repr, names))}; say which: sheet={names[0]!r}.")
        if sheet is not None and sheet not in names:
            raise ValueError(f"{path} has no sheet {sheet!r}; expected one of {', '.join(map(repr, names))}.")
        rows = [[_cell(x) for x in row] for row in book[sheet or names[0]].iter_rows(values_only=True)]
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path} is no Excel workbook that can be read ({error}).") from error
    except Exception as error:  # a foreign archive fails in as many ways as zip and XML have
        raise ValueError(f"{path} is no Excel workbook that can be read ({type(error).__name__}: {error}).") from error
    return _trimmed(rows)


def arrow_rows(data: bytes, path: Path, kind: str) -> list[Row]:
    """The rows of a Parquet or Feather table, with the columns' names first."""
    try:
        import pyarrow
        from pyarrow import feather, parquet
    except ImportError:
        raise ValueError(
            f"{path} is {kind.capitalize()}, which pyarrow reads; pip install 'ranvier[tables]', or save it as CSV."
        ) from None
    try:
        source = pyarrow.BufferReader(data)
        if kind == "parquet":
            file = parquet.ParquetFile(source)
            groups = (file.metadata.row_group(k) for k in range(file.metadata.num_row_groups))
            require_ratio(sum(group.total_byte_size for group in groups), len(data), path)
            table = file.read()
        else:
            table = feather.read_table(source)
        table.validate(full=True)
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path} is no {kind.capitalize()} file that can be read ({error}).") from error
    except Exception as error:  # pyarrow's own, of many kinds
        name = type(error).__name__
        raise ValueError(f"{path} is no {kind.capitalize()} file that can be read ({name}: {error}).") from error
    columns = [[_cell(x) for x in column.to_pylist()] for column in table.columns]
    return [(1, [str(n) for n in table.column_names])] + [
        (k + 2, list(row)) for k, row in enumerate(zip(*columns, strict=True))
    ]


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
