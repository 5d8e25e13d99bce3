"""Edge lists from text: CSV, TSV, semicolons or white space, with a header or without, gzipped or not."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ranvier._checks import nearest
from ranvier.equations import quantity
from ranvier.networks._edge_list import EdgeList

#: usual names of columns, in lower case without signs
KNOWN = {
    "source": "source src sources pre presynaptic presynapticid presynapticneuron preid prept preptrootid "
    "prerootid prename prebodyid bodyidpre from origin sender start u i",
    "target": "target tgt targets dst dest destination post postsynaptic postsynapticid postsynapticneuron "
    "postid postpt postptrootid postrootid postname postbodyid bodyidpost to receiver end v j",
    "weight": "weight weights w synapses synapse syn count counts nsyn nsynapses synapsecount syncount "
    "numberofconnections numberofsynapses number strength value n nbr totalsynapses",
    "delay": "delay delays latency latencies delayms latencyms",
}
_ROLES = {word: role for role, words in KNOWN.items() for word in words.split()}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\Z")
_INTEGER = re.compile(r"[-+]?\d+\Z")
_NOT_FINITE = re.compile(r"[-+]?(nan|inf|infinity)\Z", re.IGNORECASE)


def read_edges(
    path: str | Path,
    *,
    columns: Mapping[str, str | int] | Sequence[str] | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    nodes: int | Sequence[str] | None = None,
    where: Mapping[str, str] | None = None,
) -> EdgeList:
    """Read an edge list: one edge a line, its source, its target, and perhaps a weight and a delay.

    Parameters
    ----------
    path
        A text file (CSV, TSV, semicolons or white space; `#` and `%` begin comments), gzipped or not; or
        GraphML (`.graphml`), or a sparse matrix [target, source] as SciPy saves it (`.npz`).
    columns
        Which column is what where names are unusual: `{"source": "neuron", "target": 3}`, by the
        header's name or the place from 0; or the roles in order, `("source", "target", "weight")`.
    header
        Whether the first line names the columns; by default, whether it holds names that are known.
    delimiter
        By default tab, else comma, else semicolon, else white space, whichever the first line has.
    nodes
        All nodes in order, or their number n for indices 0 to n − 1. By default those that occur: whole
        numbers in ascending order, names in order of their appearance.
    where
        Keep only lines with these texts in these columns: `{"Type": "chemical"}`.

    Returns
    -------
    EdgeList
        Without a column of weights each line counts 1. Repeated edges are summed, edges to oneself kept;
        `notes` says what was done. Delays may carry a unit ("1.5 ms"); bare numbers are ms.

    Raises
    ------
    FileNotFoundError
        where there is no such file
    ValueError
        for an empty file, ragged lines, text for a number, NaN, infinities, a column that is not there,
        a delay that is not positive, a node out of range, with the line's number
    """
    path = Path(path)
    if path.suffix.lower() == ".graphml":
        from ranvier.networks.readers.graphs import read_graphml

        return read_graphml(path)
    if path.suffix.lower() == ".npz":
        from ranvier.networks.readers.graphs import read_sparse

        return read_sparse(path)
    lines = _lines(path)
    rows = _rows(lines, delimiter, path)
    first_line, first = next(rows, (0, None))
    if first is None:
        raise ValueError(f"{path} is empty; expected one edge a line: source, target, weight.")
    named = header if header is not None else {"source", "target"} <= {_role(cell) for cell in first}
    places = _places(first, columns, named, path)
    filters = _filters(first, where, named, path)
    notes = []
    if named and (ignored := [c for i, c in enumerate(first) if i not in {*places.values(), *filters}]):
        notes.append(f"Columns that were not read: {', '.join(ignored)}.")
    if "weight" not in places:
        notes.append("There is no column of weights: every line counts 1.")
    unit = _delay_unit(first[places["delay"]]) if named and "delay" in places else "ms"

    known = _Nodes(nodes, path)
    sources: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    delays: list[float] = []

    for line, row in rows if named else chain([(first_line, first)], rows):
        if len(row) != len(first):
            raise ValueError(
                f"{path}, line {line} has {len(row)} columns, line {first_line} has {len(first)}; expected "
                "as many in every line. Look for a missing value or a delimiter inside a name."
            )
        if any(row[place] != text for place, text in filters.items()):
            continue
        sources.append(known.place(row[places["source"]], line, "source"))
        targets.append(known.place(row[places["target"]], line, "target"))
        if "weight" in places:
            weights.append(_number(row[places["weight"]], f"{path}, line {line}: the weight"))
        if "delay" in places:
            delays.append(_delay(row[places["delay"]], unit, f"{path}, line {line}: the delay"))
    if not sources:
        raise ValueError(
            f"{path} has no edges{' that meet `where`' if filters else ''}; expected one a line."
        )
    names, ranks = known.in_order()
    if ranks is not None:
        sources, targets = [ranks[i] for i in sources], [ranks[i] for i in targets]
    return EdgeList.build(
        names, sources, targets, weights if "weight" in places else None,
        delays if "delay" in places else None, notes=notes,
    )  # fmt: skip


class _Nodes:
    """Nodes by their names: those given, or whatever occurs."""

    def __init__(self, given: int | Sequence[str] | None, path: Path) -> None:
        self.given, self.path = given, path
        names = [] if given is None else range(given) if isinstance(given, int) else given
        self.index = {str(name): i for i, name in enumerate(names)}

    def place(self, text: str, line: int, what: str) -> int:
        """The index of a node, a new one where any may occur; ValueError with the line for one that may not."""
        if (found := self.index.get(text)) is not None:
            return found
        name = _node(text, f"{self.path}, line {line}: the {what}")
        if (found := self.index.get(name)) is not None:
            return found
        if self.given is not None:
            raise ValueError(
                f"{self.path}, line {line}: the {what} {text!r} is not among the {len(self.index)} nodes; expected "
                + (f"0 to {len(self.index) - 1}." if isinstance(self.given, int) else "one of `nodes`.")
            )
        return self.index.setdefault(name, len(self.index))

    def in_order(self) -> tuple[list[str], list[int] | None]:
        """All names; where whole numbers were found, in ascending order, and each index's place among them."""
        names = list(self.index)
        if self.given is not None or not all(_INTEGER.match(name) for name in names):
            return names, None
        order = sorted(range(len(names)), key=lambda i: int(names[i]))
        ranks = [0] * len(names)
        for rank, i in enumerate(order):
            ranks[i] = rank
        return [names[i] for i in order], ranks


def _lines(path: Path) -> io.StringIO:
    if not path.exists():
        raise FileNotFoundError(
            f"There is no file {path}; expected an edge list. Look at the path's spelling."
        )
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected a file.")
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is a broken gzip file ({error}); fetch it anew.") from error
    try:
        return io.StringIO(data.decode("utf-8-sig"), newline=None)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8 (byte {error.start} is {data[error.start]:#x}); expected an edge "
            "list. Save it as UTF-8."
        ) from error


def _rows(lines: io.StringIO, delimiter: str | None, path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, cells without surrounding white space) of every line that holds something."""
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


def _role(name: str) -> str | None:
    name = name.lower()
    plain = re.sub(r"[^a-z0-9]", "", name)
    found = _ROLES.get(plain)
    return found or ("delay" if _delay_parts(name) else None)


def _delay_parts(name: str) -> re.Match[str] | None:
    return re.match(r"\s*(?:delay|latency)s?[\s_/\[(]+(ms|s|us|µs)[\])]?\s*\Z", name.lower())


def _delay_unit(name: str) -> str:
    found = _delay_parts(name)
    return found[1] if found else "ms"


def _places(first: list[str], columns: Any, named: bool, path: Path) -> dict[str, int]:
    """role -> place of its column."""
    roles = tuple(KNOWN)
    places: dict[str, int] = {}
    if columns is not None:
        given = columns if isinstance(columns, Mapping) else {r: i for i, r in enumerate(columns) if r}
        for role, column in given.items():
            if role not in roles:
                raise ValueError(f"Unknown role {role!r} in columns. {nearest(role, roles)}")
            places[role] = _place(column, first, named, path)
    elif named:
        for place, name in enumerate(first):
            role = _role(name)
            if role in places:
                raise ValueError(
                    f"{path} has two columns for the {role}: {first[places[role]]!r} and {name!r}; say "
                    f'which: columns={{"{role}": {name!r}, ...}}.'
                )
            if role is not None:
                places[role] = place
    elif len(first) <= len(roles):
        places = {role: place for place, role in enumerate(roles[: len(first)])}
    else:
        raise ValueError(
            f"{path} has {len(first)} columns without a header that is known; expected source, target, "
            'weight, delay. Say which is which: columns={"source": 0, "target": 1, "weight": 2}.'
        )
    for role in ("source", "target"):
        if role not in places:
            found = f"columns {', '.join(first)}" if named else f"{len(first)} column"
            raise ValueError(
                f"{path} has {found}, none of them the {role}; expected at least source and target. Say "
                f'which is which: columns={{"source": ..., "target": ...}}.'
            )
    return places


def _place(column: str | int, first: list[str], named: bool, path: Path) -> int:
    if isinstance(column, int):
        if not 0 <= column < len(first):
            raise ValueError(
                f"{path} has {len(first)} columns; expected 0 to {len(first) - 1}, found {column}."
            )
        return column
    if not named:
        raise ValueError(
            f"{path} is read without a header; expected a column's place from 0, not {column!r}."
        )
    if column not in first:
        raise ValueError(f"{path} has no column {column!r}. {nearest(column, first)}")
    return first.index(column)


def _filters(first: list[str], where: Any, named: bool, path: Path) -> dict[int, str]:
    return {_place(column, first, named, path): str(text) for column, text in (where or {}).items()}


def _node(text: str, what: str) -> str:
    """A node's name; whole numbers in their plainest form."""
    if not text:
        raise ValueError(f"{what} is empty; expected a name or a whole number.")
    if _INTEGER.match(text) and text.isascii():
        if len(text) > 20 or not 0 <= (number := int(text)) < 2**63:
            raise ValueError(f"{what} is {text:.40}; expected a whole number from 0 to 2**63 - 1, or a name.")
        return str(number)
    if _NUMBER.match(text) or _NOT_FINITE.match(text):
        raise ValueError(
            f"{what} is {text!r}; expected a name or a whole number. A spreadsheet may have rounded it: "
            "export it as text."
        )
    return text


def _number(text: str, what: str) -> float:
    if not _NUMBER.match(text) or not text.isascii():
        found = (
            "empty" if not text else f"{text:.40}" if _NOT_FINITE.match(text) else f"the text {text[:40]!r}"
        )
        raise ValueError(f"{what} is {found}; expected a finite number without a unit.")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{what} is {text:.40}, beyond the largest number; expected a finite one.")
    return value


def _delay(text: str, unit: str, what: str) -> float:
    try:
        value = quantity(f"{text} {unit}" if _NUMBER.match(text) else text, "ms")
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    if not 0.0 < value < float("inf"):
        raise ValueError(f"{what} is {text}; expected a time above 0 ms.")
    return value


__all__ = ["read_edges"]
