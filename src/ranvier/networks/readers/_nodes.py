"""Nodes: as they occur, as they are listed, or as a table describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ranvier._checks import printable, unique
from ranvier._text import plural
from ranvier.networks.readers._columns import INTEGER, NUMBER
from ranvier.networks.readers._kinds import glutamate_in_words, is_glutamate, plain, sign_of
from ranvier.networks.readers._rows import Row

_NOT_FINITE = re.compile(r"[-+]?(nan|inf|infinity)\Z", re.IGNORECASE)
_KNOWN = {
    "name": "name node neuron neuronname cell cellname label id nodeid neuronid rootid bodyid skid skeletonid index",
    "class": "class classes celltype cellclass superclass group simplegroup role",
    "transmitter": "transmitter neurotransmitter nttype nt toptnt predictednt",
    "sign": "sign polarity effect",
}
_ROLES = {word: role for role, words in _KNOWN.items() for word in words.split()}


@dataclass(frozen=True)
class NodeTable:
    """Names in order, classes or None, signs by name, and other columns."""

    names: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    signs: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def table_of(rows: Sequence[Row], path: Path, by_transmitter: Mapping[str, int] | None = None) -> NodeTable:
    """A table with one node a row and a header that names its columns. ValueError for one without names."""
    first = rows[0][1] if rows else []
    places: dict[str, int] = {}
    for words in _KNOWN.values():  # the first word of a role that some column has
        for word in words.split():
            at = next((k for k, name in enumerate(first) if plain(name) == word), None)
            if at is not None and _ROLES[word] not in places:
                places[_ROLES[word]] = at
    ids = ("id", "nodeid", "rootid", "bodyid", "skid")
    at_id = next((k for k, name in enumerate(first) if plain(name) in ids), None)
    if at_id is not None:
        places["name"] = at_id  # what edges refer to
    if "name" not in places:
        raise ValueError(
            f"{path} has the columns {', '.join(map(repr, first))[:200]}, none of which names the nodes; expected a "
            "header with id or name, and perhaps class, transmitter, sign."
        )
    if len(rows) < 2:
        raise ValueError(f"{path} has no rows below its header; expected one a node.")
    for number, cells in rows[1:]:
        if len(cells) != len(first):
            raise ValueError(f"{path}, line {number} has {len(cells)} columns; expected {len(first)}, as the header.")
        for cell in cells:
            printable(cell, f"{path}, line {number}: a cell")
    names = tuple(node_name(cells[places["name"]], f"{path}, line {n}: the node") for n, cells in rows[1:])

    unique(names, f"{path}: the node")

    def column(role: str) -> tuple[str, ...] | None:
        return tuple(cells[places[role]] for _, cells in rows[1:]) if role in places else None

    titles = {role: first[place] for role, place in places.items()}
    texts: dict[str, tuple[str, ...]] = {r: column(r) or () for r in ("transmitter", "sign") if r in places}
    signs, notes = node_signs(names, texts, titles, by_transmitter)
    used = set(places.values())
    attributes = {
        first[k]: tuple(cells[k] for _, cells in rows[1:])
        for k in range(len(first))
        if k not in used or k == places.get("transmitter")
    }
    return NodeTable(names, column("class"), signs, attributes, tuple(notes))


def role_of_node(name: str) -> str | None:
    """What a node's attribute of that name says: "name", "class", "transmitter", "sign", or None."""
    return _ROLES.get(plain(name))


def node_signs(
    names: Sequence[str], values: Mapping[str, Sequence[str]], titles: Mapping[str, str],
    by_transmitter: Mapping[str, int] | None,
) -> tuple[dict[str, int], list[str]]:  # fmt: skip
    """Signs by name from the nodes' transmitters and signs (`values` by role, columns called `titles`), and notes."""
    signs: dict[str, int] = {}
    notes = []
    for role, texts in values.items():
        known = {name: sign_of(text, by_transmitter) for name, text in zip(names, texts, strict=True)}
        signs |= {name: sign for name, sign in known.items() if sign}
        minus, unknown = sum(s < 0 for s in known.values()), sum(s == 0 for s in known.values())
        notes.append(
            f"Signs by the nodes' {titles[role]}: {minus} of {plural(len(names), 'node')} inhibitory"
            + (f", {unknown} without a known one, taken as excitatory." if unknown else ".")
        )
        glutamate = sum(is_glutamate(t) and known[n] > 0 for n, t in zip(names, texts, strict=True))
        notes += glutamate_in_words(glutamate)
    return signs, notes


class Nodes:
    """Indices of nodes by their names: of those listed, or whatever occurs."""

    def __init__(self, listed: int | Sequence[str] | None, path: Path) -> None:
        self.listed, self.path = listed, path
        names = [] if listed is None else range(listed) if isinstance(listed, int) else listed
        self.index = {str(name): i for i, name in enumerate(names)}
        if len(self.index) < len(names):
            unique(map(str, names), "the node's name in nodes=")

    def place(self, text: str, line: int, what: str) -> int:
        """The index of a node, a new one where any may occur; ValueError with the line for one that may not."""
        if (at := self.index.get(text)) is not None:
            return at
        name = node_name(text, f"{self.path}, line {line}: the {what}")
        if (at := self.index.get(name)) is not None:
            return at
        if self.listed is not None:
            raise ValueError(
                f"{self.path}, line {line}: the {what} {text!r} is not among the {len(self.index)} nodes; expected "
                + (f"0 to {len(self.index) - 1}." if isinstance(self.listed, int) else "one of `nodes`.")
            )
        return self.index.setdefault(name, len(self.index))

    def in_order(self) -> tuple[list[str], list[int] | None]:
        """All names; where all are whole numbers, in ascending order, and each index's place among them."""
        names = list(self.index)
        if self.listed is not None or not all(INTEGER.match(name) for name in names):
            return names, None
        order = sorted(range(len(names)), key=lambda i: int(names[i]))
        ranks = [0] * len(names)
        for rank, i in enumerate(order):
            ranks[i] = rank
        return [names[i] for i in order], ranks


def node_name(text: str, what: str) -> str:
    """A node's name; whole numbers in their plainest form."""
    if not text:
        raise ValueError(f"{what} is empty; expected a name or a whole number.")
    if INTEGER.match(text) and text.isascii():
        if len(text) > 20 or not 0 <= (number := int(text)) < 2**63:
            raise ValueError(f"{what} is {text:.40}; expected a whole number from 0 to 2**63 - 1, or a name.")
        return str(number)
    if NUMBER.match(text) or _NOT_FINITE.match(text):
        raise ValueError(
            f"{what} is {text!r}; expected a name or a whole number. A spreadsheet may have rounded it: "
            "export it as text."
        )
    return printable(text, what)


__all__ = ["NodeTable", "Nodes", "node_name", "node_signs", "role_of_node", "table_of"]
