"""Edge lists from tables: one edge a row, with a header or without."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ranvier._text import plural
from ranvier.equations import quantity
from ranvier.networks._edge_list import EdgeList
from ranvier.networks.readers._columns import NUMBER, delay_parts, is_header, place_of, places_of
from ranvier.networks.readers._kinds import glutamate_in_words, is_glutamate, kind_of, sign_of
from ranvier.networks.readers._nodes import Nodes, NodeTable
from ranvier.networks.readers._rows import Row

#: of a cell in which a second one may lie; ms, beyond which a column is none of delays
_TWO_CELLS, _LONGEST = re.compile(r"\S\s+[-+]?\d+(?:\.\d+)?\Z"), 1e4
_NOT_FINITE = re.compile(r"[-+]?(nan|inf|infinity)\Z", re.IGNORECASE)


class _Edges:
    """Columns of edges as they are read."""

    def __init__(self) -> None:
        self.sources: list[int] = []
        self.targets: list[int] = []
        self.weights: list[float] = []
        self.delays: list[float] = []
        self.signs: list[int] = []
        self.transmitters: list[str] = []


def edges_of(
    rows: Sequence[Row],
    path: Path,
    *,
    columns: Mapping[str, str | int] | Sequence[str] | None,
    header: bool | None,
    nodes: int | Sequence[str] | NodeTable | None,
    where: Mapping[str, str] | None,
    signs: Mapping[str, int],
    notes: Sequence[str] = (),
) -> EdgeList:
    """The edge list of a table's rows; arguments and errors as of `read_edges`, and notes that go before others."""
    if not rows:
        raise ValueError(f"{path} is empty; expected one edge a line: source, target, weight.")
    first_line, first = rows[0]
    by_name = bool(where) or (isinstance(columns, Mapping) and any(isinstance(c, str) for c in columns.values()))
    named = header if header is not None else by_name or is_header(rows, path)
    if not named:
        _require_no_size_line(rows, path, header)
    places, assumed = places_of(rows, columns, named, path, where or {})
    notes = [*notes, *assumed]
    filters = {place_of(column, first, named, path): str(text) for column, text in (where or {}).items()}
    if named and (ignored := _ignored(rows, {*places.values(), *filters})):
        notes.append(f"Columns that were not read: {', '.join(ignored)}.")
    if "weight" not in places:
        numbers = _numbers_among(rows, places, filters) if named else []
        notes.append(
            "There is no column of weights: every line counts 1."
            + (f' Where one of numbers holds them, name it: columns={{"weight": "{numbers[0]}"}}.' if numbers else "")
        )
    unit = _delay_unit(first[places["delay"]]) if named and "delay" in places else "ms"

    table = nodes if isinstance(nodes, NodeTable) else None
    known = Nodes(nodes.names if isinstance(nodes, NodeTable) else nodes, path)
    chemical, electrical, kinds = _Edges(), _Edges(), Counter[str]()
    for line, row in rows[1:] if named else rows:
        if len(row) != len(first):
            raise ValueError(
                f"{path}, line {line} has {len(row)} columns, line {first_line} has {len(first)}; expected "
                "as many in every line. Look for a missing value or a delimiter inside a name."
            )
        if any(row[place] != text for place, text in filters.items()):
            continue
        text = row[places["type"]] if "type" in places else ""
        kind = kind_of(text)
        kinds[text if kind == "" else kind] += 1
        source = known.place(row[places["source"]], line, "source")
        target = known.place(row[places["target"]], line, "target")
        weight = _number(row[places["weight"]], f"{path}, line {line}: the weight") if "weight" in places else 1.0
        delay = _delay(row[places["delay"]], unit, f"{path}, line {line}: the delay") if "delay" in places else 0.0
        if kind == "received":
            continue
        into = electrical if kind == "electrical" else chemical
        into.sources.append(source)
        into.targets.append(target)
        into.weights.append(weight)
        into.delays.append(delay)
        into.signs.append(sign_of(row[places["sign"]] if "sign" in places else text, signs))
        into.transmitters.append(row[places["transmitter"]] if "transmitter" in places else "")
    if not chemical.sources and not electrical.sources:
        raise ValueError(f"{path} has no edges{' that meet `where`' if filters else ''}; expected one a line.")
    if not named and columns is None:
        _require_one_delimiter(rows, places, path)
        _require_short_delays(chemical.delays, path)
    names, ranks = known.in_order()
    order = np.arange(len(names)) if ranks is None else np.asarray(ranks, np.int64)
    notes += _kinds_in_words(kinds, first[places["type"]] if named and "type" in places else "type")
    attributes, weights = _signed(chemical, places, names, order, table, signs, notes)
    delays = chemical.delays if "delay" in places else None
    edges = EdgeList.build(
        names, _indices(order, chemical.sources), _indices(order, chemical.targets), weights, delays, notes=notes,
        classes=None if table is None else table.classes,
        attributes=({} if table is None else table.attributes) | attributes,
    )  # fmt: skip
    if not electrical.sources:
        return edges
    ends = _indices(order, electrical.sources), _indices(order, electrical.targets)
    return replace(edges, electrical=junctions(names, *ends, electrical.weights, classes=edges.classes))


def junctions(names: Sequence[str], sources: Any, targets: Any, weights: Any, **labels: Any) -> EdgeList:
    """Gap junctions in both directions: where both were given, with their mean; without those to oneself."""
    one = EdgeList.build(names, sources, targets, weights)
    matrix = one.matrix()
    both = ((matrix != 0) + (matrix.T != 0)).tocoo()
    ends = both.row != both.col
    row, col = both.row[ends], both.col[ends]
    there, back = matrix[row, col], matrix[col, row]
    there, back = (np.asarray(x).reshape(-1) for x in (there, back))
    values = np.where((there != 0) & (back != 0), (there + back) / 2, there + back)
    notes = ["Gap junctions have no direction: each counts in both, with the mean where both were given."]
    if lost := int((~ends).sum()):
        notes.append(f"{lost} gap junctions of a cell with itself were left out.")
    return EdgeList.build(names, col, row, values, notes=notes, **labels)


def _indices(order: np.ndarray, indices: list[int]) -> np.ndarray:
    return order[np.asarray(indices, np.int64)]


def _kinds_in_words(kinds: Counter[str], column: str) -> list[str]:
    if set(kinds) <= {""}:
        return []
    notes = []
    if kinds["electrical"]:
        notes.append(
            f"Kept apart, as electrical synapses in both directions: {plural(kinds['electrical'], 'row')} of gap "
            f"junctions, by the column {column!r}; {plural(kinds['chemical'], 'row')} of chemical synapses."
        )
    if kinds["received"]:
        rows = plural(kinds["received"], "row")
        notes.append(f"Left out: {rows} that count synapses from the receiving cell, a second time.")
    known = ("electrical", "chemical", "received")
    others = [f"{text!r} ({count})" for text, count in kinds.items() if text not in known]
    if others and (kinds["electrical"] or kinds["received"] or kinds["chemical"]):
        notes.append(f"Rows of other types were taken as chemical synapses: {', '.join(others)[:200]}.")
    return notes


def _signed(
    edges: _Edges, places: Mapping[str, int], names: Sequence[str], order: np.ndarray, table: NodeTable | None,
    by_transmitter: Mapping[str, int], notes: list[str],
) -> tuple[dict[str, tuple[str, ...]], np.ndarray]:  # fmt: skip
    """Weights with the signs that columns or the nodes' table give, and the sources' transmitters; adds to `notes`."""
    weights = np.asarray(edges.weights)
    attributes: dict[str, tuple[str, ...]] = {}
    sources = _indices(order, edges.sources)
    signs = np.asarray(edges.signs, np.int64)
    if "transmitter" in places:
        votes: dict[int, Counter[str]] = {}
        for source, text, weight in zip(sources.tolist(), edges.transmitters, edges.weights, strict=True):
            votes.setdefault(source, Counter())[text] += abs(weight)  # type: ignore[assignment]
        main = {source: count.most_common(1)[0][0] for source, count in votes.items()}
        attributes["transmitter"] = tuple(main.get(k, "") for k in range(len(names)))
        if not signs.any():
            by_node = np.array([sign_of(text, by_transmitter) for text in attributes["transmitter"]], np.int64)
            signs = by_node[sources]
            notes.append(_transmitters_in_words(main, by_transmitter))
            excite = [k for k in main if by_node[k] > 0 and is_glutamate(main[k])]
            notes += glutamate_in_words(len(excite), int(np.isin(sources, excite).sum()))
    if not signs.any() and table is not None and table.signs:
        by_node = np.array([table.signs.get(name, 0) for name in names], np.int64)
        signs = by_node[sources]
        notes += table.notes
    elif "sign" in places or ("type" in places and "transmitter" not in places and signs.any()):
        unknown = int((signs == 0).sum())
        notes.append(
            f"Signs by row: {int((signs < 0).sum())} of {plural(len(signs), 'edge')} inhibitory"
            + (f", {unknown} without a known one, taken as excitatory." if unknown else ".")
        )
    if not signs.any():
        return attributes, weights
    if (weights < 0).any():
        notes.append("Some weights are negative already: their signs were kept, those of other columns left out.")
        return attributes, weights
    return attributes, np.where(signs < 0, -weights, weights)


def _transmitters_in_words(main: Mapping[int, str], by_transmitter: Mapping[str, int]) -> str:
    """Who inhibits, by transmitter; every source counts with the transmitter of most of its synapses."""
    listed: dict[int, Counter[str]] = {-1: Counter(), 0: Counter(), 1: Counter()}
    for text in main.values():
        listed[sign_of(text, by_transmitter)][text or "none named"] += 1
    parts = [
        ", ".join(f"{text} ({plural(count, 'neuron')})" for text, count in listed[sign].most_common(8)) + f": {verb}"
        for sign, verb in ((-1, "inhibitory"), (1, "excitatory"), (0, "of unknown sign, taken as excitatory"))
        if listed[sign]
    ]
    return f"Signs by the main transmitter of each source: {'; '.join(parts)}."


def _ignored(rows: Sequence[Row], used: set[int]) -> list[str]:
    """The names of columns that are not used; of one without a name its place, if it holds anything."""
    first = rows[0][1]
    names = [(k, name or f"column {k + 1}, without a name") for k, name in enumerate(first) if k not in used]
    return [n for k, n in names if first[k] or any(len(cells) > k and cells[k] for _, cells in rows[1:])]


def _require_one_delimiter(rows: Sequence[Row], places: Mapping[str, int], path: Path) -> None:
    """Refuse rows without weights whose targets, and no source, end with a number of their own: "a,b 3"."""
    if "weight" in places or len(rows) < 2:
        return
    ends = [[bool(_TWO_CELLS.search(cells[places[role]])) for _, cells in rows] for role in ("source", "target")]
    if all(ends[1]) and not any(ends[0]):
        line, cells = rows[0]
        raise ValueError(
            f"{path}, line {line} has {cells[places['target']]!r:.60} as its target, as all lines have a number there; "
            "expected one delimiter throughout: write the same between all cells, or say delimiter= (--delimiter)"
        )


def _require_short_delays(delays: Sequence[float], path: Path) -> None:
    """Refuse a fourth column that only its place makes one of delays, and that holds times of another kind."""
    if max(delays, default=0.0) > _LONGEST:
        raise ValueError(
            f"{path} has up to {max(delays):g} in its fourth column, which without a header are delays in ms; expected "
            f'at most {_LONGEST:g}: say which column is which, columns={{"source": 0, "target": 1, "weight": 2}} '
            "(--columns)"
        )


def _require_no_size_line(rows: Sequence[Row], path: Path, header: bool | None) -> None:
    """Refuse a first line that says how large a matrix or graph is and how many entries follow."""
    (line, first), rest = rows[0], rows[1:]
    if len(first) == 2 and header is None and rest and all(re.fullmatch(r"\d{1,18}", c) for _, cs in rows for c in cs):
        n, count = map(int, first)
        numbers = {int(cell) for _, cells in rest for cell in cells}
        if len(rest) == count and max(numbers) - (0 not in numbers) < n and n not in (0, 1):
            raise ValueError(
                f"{path}, line {line} may be an edge, or say that {n} nodes and {count} edges follow, which they do; "
                "expected one reading: remove the line, or say header=False (--no-header) for an edge"
            )
    if len(first) != 3 or not rest or not all(re.fullmatch(r"\d{1,18}", cell) for cell in first):
        return
    height, width, count = map(int, first)
    ends = [cells[:2] for _, cells in rest]
    if len(rest) != count or not all(len(e) == 2 and all(re.fullmatch(r"\d{1,18}", x) for x in e) for e in ends):
        return
    if all(1 <= int(a) <= height and 1 <= int(b) <= width for a, b in ends):
        raise ValueError(
            f"{path}, line {line} is the size of a matrix, {height} by {width} with {count} entries, not an edge; "
            "expected Matrix Market's banner before it, '%%MatrixMarket matrix coordinate real general'. Add it, or "
            "remove the line."
        )


def _numbers_among(rows: Sequence[Row], places: Mapping[str, int], filters: Mapping[int, str]) -> list[str]:
    """Names of unused columns that hold numbers and do not count the lines; those as they can be typed."""
    (_, head), body = rows[0], [row for _, row in rows[1:201] if len(row) == len(rows[0][1])]
    names = []
    for place, name in enumerate(head):
        cells = [row[place] for row in body]
        if place in {*places.values(), *filters} or not re.fullmatch(r"\w[\w .-]*", name):
            continue
        if cells and all(map(NUMBER.match, cells)) and (len(cells) < 3 or len({*np.diff([*map(float, cells)])}) > 1):
            names.append(name)
    return names


def _delay_unit(name: str) -> str:
    parts = delay_parts(name)
    return parts[1] if parts else "ms"


def _number(text: str, what: str) -> float:
    if not NUMBER.match(text) or not text.isascii():
        shown = "empty" if not text else f"{text:.40}" if _NOT_FINITE.match(text) else f"the text {text[:40]!r}"
        comma = ", with a point where there is a comma" if re.fullmatch(r"[-+]?\d+,\d+", text) else ""
        raise ValueError(f"{what} is {shown}; expected a finite number without a unit{comma}.")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{what} is {text:.40}, beyond the largest number; expected a finite one.")
    return value


def _delay(text: str, unit: str, what: str) -> float:
    try:
        value = quantity(f"{text} {unit}" if NUMBER.match(text) else text, "ms")
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    if not 0.0 < value < float("inf"):
        raise ValueError(f"{what} is {text}; expected a time above 0 ms.")
    return value


__all__ = ["edges_of", "junctions"]
