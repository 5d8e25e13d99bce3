"""Text tables: a column for each neuron, or a row for each spike."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ranvier._checks import nearest
from ranvier.files.reading import read_text
from ranvier.recordings.neurons import Neurons
from ranvier.recordings.readers._tools import UNITS, milliseconds
from ranvier.recordings.session import Session
from ranvier.recordings.signals import Signal

TIME = ("time_ms", "time_s", "time", "t", "timestamp", "times")
NEURON = ("neuron", "unit", "cell", "cluster", "id", "name")


def read_table(
    path: str | Path,
    *,
    time: str | None = None,
    neuron: str | None = None,
    behaviour: Sequence[str] = (),
    unit: str = "s",
    name: str | None = None,
) -> Session:
    """A session from CSV, TSV or text in columns, gzipped or not, with a header.

    A table of a time and a neuron in each row is one of spikes; any other has a column for each neuron, and those that
    `behaviour` names. time, neuron: the columns' names; None: looked for (`time_ms`, `time_s`, `t` ...). unit: of times
    without a suffix. Empty cells and "nan" were not measured. Raises ValueError for rows of another length, text where
    numbers should be, and times that do not increase.

    >>> np.savetxt("worm.csv", [[0.0, 1.0, 2.0], [0.5, 3.0, 4.0]], "%g", ",", header="time_s,AVAL,AVAR", comments="")
    >>> session = rv.recordings.read_table("worm.csv")
    >>> session.neurons.names, session.activity.times.tolist()  # ms
    (('AVAL', 'AVAR'), [0.0, 500.0])
    """
    path = Path(path)
    text = read_text(path, "a table")
    first = text.split("\n", 1)[0]
    delimiter = max((",", "\t", ";"), key=first.count)
    try:
        table = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(f"{path} is no table in text ({error}); expected one row a line: save it as CSV") from None
    rows = [row for row in table if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise ValueError(f"{path} has {len(rows)} rows; expected a header and values")
    head = [cell.strip() for cell in rows[0]]
    for k, row in enumerate(rows[1:], 2):
        if len(row) != len(head):
            raise ValueError(f"row {k} of {path} has {len(row)} cells; expected {len(head)}, as in its header")
    time = _column(head, time, TIME, "time", path)
    if time is None:
        raise ValueError(f"{path} has the columns {', '.join(head)[:200]}; expected one of times: say time=NAME")
    suffix = time.rpartition("_")[2]
    scale = milliseconds(suffix if suffix in UNITS else unit)
    times = np.array([_number(row[head.index(time)], time, k, path) for k, row in enumerate(rows[1:], 2)]) * scale
    title = path.name.partition(".")[0] if name is None else name
    owner = _column(head, neuron, NEURON, "neuron", path) if neuron is not None or len(head) <= 3 else None
    if owner is not None:
        labels = [row[head.index(owner)].strip() for row in rows[1:]]
        whole = all(label.isdigit() for label in labels)
        names = sorted(set(labels), key=int if whole else str)
        index = {label: k for k, label in enumerate(names)}
        if not np.isfinite(times).all():
            raise ValueError(f"{path} has a spike without a time; expected one in each row")
        start = min(0.0, float(times.min()) - 0.1)
        return Session.from_times(times, [index[label] for label in labels], duration=float(times.max()) + 0.1 - start,
                                  start=start, size=len(names), neurons=Neurons(tuple(names)), name=title)  # fmt: skip
    for column in behaviour:
        if column not in head:
            raise ValueError(f"there is no column {column!r}; {nearest(column, head)}")
    columns = {
        column: np.array([_number(row[k], column, at, path) for at, row in enumerate(rows[1:], 2)])
        for k, column in enumerate(head)
        if column != time
    }
    cells = [column for column in columns if column not in behaviour]
    if not cells:
        raise ValueError(f"{path} has no column of activity; expected one for each neuron")
    return Session(
        activity=Signal(times, np.column_stack([columns[c] for c in cells])), neurons=Neurons(tuple(cells)),
        behaviour={c: Signal(times, columns[c]) for c in behaviour}, name=title,
    )  # fmt: skip


def _column(head: list[str], requested: str | None, usual: Sequence[str], what: str, path: Path) -> str | None:
    if requested is not None:
        if requested not in head:
            raise ValueError(f"{path} has no column {requested!r} for {what}; {nearest(requested, head)}")
        return requested
    lower = {name.lower(): name for name in head}
    return next((lower[name] for name in usual if name in lower), None)


def _number(cell: str, column: str, row: int, path: Path) -> float:
    text = cell.strip()
    if not text or text.lower() in ("nan", "na", "null", "none"):
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{column} in row {row} of {path} is {text!r:.60}; expected a number, or nothing") from None


__all__ = ["read_table"]
