"""Tables of many rows: searched, sorted and saved on a page, and written as CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._text import printable
from ranvier.files.atomic import write_atomic
from ranvier.report._parts import number
from ranvier.report.explore.packing import packed

#: how a cell begins that a spreadsheet takes for a formula
FORMULA = "=+-@＝＋－＠"


@dataclass(frozen=True)
class Column:
    """One value a row: texts, or numbers, shown with `digits` decimals; NaN for none.

    `name` heads it in a file: lower case, with the unit at its end. `of` (rows,) are the neurons that the texts name:
    they then have a card.

    >>> rv.report.Column("Rate", "rate_hz", np.array([1.25, np.nan]), digits=1).title
    'Rate'
    """

    title: str
    name: str
    values: Sequence[str] | NDArray[Any]
    digits: int = 2
    of: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        numbers = isinstance(self.values, np.ndarray) and self.values.dtype.kind in "iuf"
        texts = not isinstance(self.values, str | np.ndarray) and all(isinstance(text, str) for text in self.values)
        if not (numbers or texts):
            raise TypeError(
                f"values of column {self.name!r} are {type(self.values).__name__}; expected a sequence of texts, or an "
                "array of numbers (rows,): np.asarray(values, float) makes one"
            )

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers."""
        return isinstance(self.values, np.ndarray)

    def shown(self, row: int) -> str:
        """A cell as text for people."""
        if not self.numeric:
            return str(self.values[row])
        value = float(self.values[row])
        return number(value, self.digits) if np.isfinite(value) else "–"

    def data(self) -> dict[str, Any]:
        """The column as a page's script reads it."""
        out: dict[str, Any] = {"title": self.title, "name": self.name}
        if isinstance(self.values, np.ndarray):
            return {**out, "digits": self.digits, "numbers": packed(self.values, "f4")}
        if self.of is not None:
            return {**out, "of": packed(self.of, "index")}
        words = list(dict.fromkeys(self.values))
        place = {word: k for k, word in enumerate(words)}
        return {**out, "words": words, "places": packed([place[word] for word in self.values], "index")}


@dataclass(frozen=True)
class DataTable:
    """Columns of equal length under a `key`, by which the page and a saved file call it; without a script a page shows
    the `first` rows.

    >>> table = rv.report.DataTable("neurons", [rv.report.Column("Rate", "rate_hz", np.array([1.5, 2.0]))])
    >>> table.csv().split()
    ['rate_hz', '1.5', '2']
    """

    key: str
    columns: Sequence[Column]
    caption: str = ""
    first: int = 10

    def __post_init__(self) -> None:
        rows = {column.name: len(column.values) for column in self.columns}
        if len(set(rows.values())) > 1:
            raise ValueError(f"the columns of table {self.key!r} have {rows} rows; expected as many in each")

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.columns[0].values) if self.columns else 0

    @property
    def head(self) -> list[str]:
        """Titles of the columns."""
        return [column.title for column in self.columns]

    @property
    def rows(self) -> list[list[str]]:
        """The first rows as text."""
        return [[column.shown(row) for column in self.columns] for row in range(min(self.first, self.size))]

    def data(self) -> dict[str, Any]:
        """The table as a page's script reads it."""
        return {"key": self.key, "rows": self.size, "columns": [column.data() for column in self.columns]}

    def csv(self) -> str:
        """The table as comma-separated values: numbers to seven figures, nothing where there is none.

        A text that a spreadsheet would take for a formula begins with an apostrophe.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([guarded(column.name) for column in self.columns])
        writer.writerows(zip(*(_cells(column) for column in self.columns), strict=True))
        return text.getvalue()


def write_csv(path: str | Path, table: DataTable) -> Path:
    """Write `table.csv()`, atomically.

    >>> table = rv.report.DataTable("neurons", [rv.report.Column("Rate", "rate_hz", np.array([1.5, 2.0]))])
    >>> rv.report.write_csv("neurons.csv", table).read_text().split()
    ['rate_hz', '1.5', '2']
    """
    return write_atomic(path, table.csv())


def guarded(text: str) -> str:
    """`text` as a cell of a CSV file, with an apostrophe before what a spreadsheet would compute."""
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(tuple(FORMULA)) else text


def _cells(column: Column) -> list[str]:
    if not isinstance(column.values, np.ndarray):
        return [guarded(text) for text in column.values]
    if column.values.dtype.kind in "iu":
        return [str(value) for value in column.values.tolist()]
    return [f"{value:.7g}" if np.isfinite(value) else "" for value in column.values.tolist()]
