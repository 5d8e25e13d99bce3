"""Which column of a table is what: by its name, by its place, or as the user says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ranvier._checks import nearest
from ranvier.networks.readers._kinds import kind_of, plain, sign_of
from ranvier.networks.readers._rows import Row

#: usual names of columns, in lower case without signs
KNOWN = {
    "source": "source src sources pre presynaptic presynapticid presynapticneuron preid prept preptrootid "
    "prerootid prename prebodyid bodyidpre from origin sender start u i",
    "target": "target tgt targets dst dest destination post postsynaptic postsynapticid postsynapticneuron "
    "postid postpt postptrootid postrootid postname postbodyid bodyidpost to receiver end v j",
    "weight": "weight weights w synapses synapse syn count counts nsyn nsynapses synapsecount syncount "
    "numberofconnections numberofsynapses number strength value n nbr totalsynapses contacts",
    "delay": "delay delays latency latencies delayms latencyms",
    "type": "type synapsetype connectiontype syntype edgetype connectionkind",
    "transmitter": "transmitter neurotransmitter nttype nt toptnt predictednt predictednttype",
    "sign": "sign polarity effect",
}
ROLES = tuple(KNOWN)
_ROLES = {word: role for role, words in KNOWN.items() for word in words.split()}
_PLACES = ("source", "target", "weight", "delay")  # of tables without a header
_NODE = re.compile(r"(?:neuron|cell|node|vertex|body|root|id|name|partner)s?_*")
_FIRST, _SECOND = re.compile(r"(?:1|a|i|in|from|pre)\Z"), re.compile(r"(?:2|b|j|out|to|post)\Z")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\Z")
INTEGER = re.compile(r"[-+]?\d+\Z")


def role_of(name: str) -> str | None:
    """The role that a column's name is known for; "Neuron 1" and "cell_b" are ends of an edge, too."""
    word = plain(name)
    if role := _ROLES.get(word):
        return role
    if delay_parts(name):
        return "delay"
    rest = _NODE.sub("", re.sub(r"[^a-z0-9]+", "", name.lower()))
    if rest != word:
        return "source" if _FIRST.match(rest) else "target" if _SECOND.match(rest) else None
    return None


def delay_parts(name: str) -> re.Match[str] | None:
    return re.match(r"\s*(?:delay|latency)s?[\s_/\[(]+(ms|s|us|µs)[\])]?\s*\Z", name.lower())


def is_header(rows: Sequence[Row], path: Path) -> bool:
    """Whether the first row names the columns. ValueError where that is undecidable.

    It does where it holds known names of both ends, or text where all that follows is numbers. Text above text, of
    which nothing occurs again, may be either.
    """
    (number, first), rest = rows[0], [cells for _, cells in rows[1:]]
    if {"source", "target"} <= {role_of(cell) for cell in first}:
        return True
    if not rest or any(NUMBER.match(cell) for cell in first) or any(len(cells) != len(first) for cells in rest):
        return False
    if any(all(NUMBER.match(cells[k]) for cells in rest) for k in range(len(first))):
        return True
    below = {cell for cells in rest for cell in cells[:2]}
    if len(rest) < 2 or len(first) < 2 or below & set(first[:2]):  # one column is no edge: `places_of` says so
        return False
    raise ValueError(
        f"{path}, line {number}: {', '.join(map(repr, first))} may name the columns, or be an edge of two nodes that "
        "occur nowhere else; expected header=True or False (--header, --no-header)."
    )


def places_of(
    rows: Sequence[Row], columns: Any, named: bool, path: Path, filtered: Mapping[str, str]
) -> tuple[dict[str, int], list[str]]:
    """role -> place of its column, and what was assumed."""
    first = rows[0][1]
    notes: list[str] = []
    places: dict[str, int] = {}
    if columns is not None:
        entries = columns if isinstance(columns, Mapping) else {r: i for i, r in enumerate(columns) if r}
        for role, column in entries.items():
            if role not in ROLES:
                raise ValueError(f"columns has the role {role!r}; {nearest(role, ROLES)}")
            places[role] = place_of(column, first, named, path)
        if named and isinstance(columns, Mapping):
            places = _known_ends(first, places) | places
    elif named:
        places = _by_name(rows, path, filtered)
        if not {"source", "target"} <= set(places) and _by_place_fits(rows):
            places = dict(zip(_PLACES, range(len(first))))
            listed = ", ".join(f"{first[k]!r} as the {role}" for role, k in places.items())
            notes.append(f"The header's names are not known ones; the columns were taken in their order: {listed}.")
    elif len(first) <= len(_PLACES):
        places = {role: place for place, role in enumerate(_PLACES[: len(first)])}
    else:
        raise ValueError(
            f"{path} has {len(first)} columns without a header that is known; expected source, target, "
            'weight, delay. Say which is which: columns={"source": 0, "target": 1, "weight": 2}.'
        )
    if len(first) < 2 and not {"source", "target"} <= set(places):
        raise ValueError(
            f"{path} has one column; expected at least a source and a target in each line. Where another character "
            "parts them, say which: delimiter='|'."
        )
    for role in ("source", "target"):
        if role not in places:
            shown = f"columns {', '.join(first)[:200]}" if named else f"{len(first)} column"
            raise ValueError(
                f"{path} has {shown}, none of them the {role}; expected at least source and target. Say "
                f'which is which: columns={{"source": ..., "target": ...}}.'
            )
    return places, notes


def _by_name(rows: Sequence[Row], path: Path, filtered: Mapping[str, str]) -> dict[str, int]:
    first = rows[0][1]
    places: dict[str, int] = {}
    for place, name in enumerate(first):
        role = role_of(name)
        if role in ("type", "transmitter", "sign"):
            words = {cells[place] for _, cells in rows[1:] if len(cells) > place}
            if name in filtered or not any(says(role, word) for word in words):
                continue  # chosen by `where`, or of another meaning: a type of cells, say
        if role in places:
            raise ValueError(
                f"{path} has two columns for the {role}: {first[places[role]]!r} and {name!r}; expected one: give "
                f'columns={{"{role}": {name!r}, ...}}.'
            )
        if role is not None:
            places[role] = place
    return places


def _known_ends(first: Sequence[str], places: Mapping[str, int]) -> dict[str, int]:
    """Columns of sources and targets by their names, where those are not given and one column each has them."""
    known = [(role_of(name), place) for place, name in enumerate(first) if place not in places.values()]
    ends = {role: [place for of, place in known if of == role] for role in ("source", "target")}
    return {role: where[0] for role, where in ends.items() if len(where) == 1}


def says(role: str, word: str) -> bool:
    """Whether a word is known in a column of types, transmitters or signs."""
    if role == "type":  # whose numbers are codes, not signs
        return bool(kind_of(word) or (plain(word).isalpha() and sign_of(word)))
    return bool(sign_of(word))


def _by_place_fits(rows: Sequence[Row]) -> bool:
    """Two ends, and perhaps a number: what a table of two or three columns can only be."""
    width = len(rows[0][1])
    return width == 2 or (
        width == 3 and all(len(cells) == 3 and NUMBER.match(cells[2]) for _, cells in rows[1:]) and len(rows) > 1
    )


def place_of(column: str | int, first: list[str], named: bool, path: Path) -> int:
    """The place of a column from its name or its place from 0."""
    if isinstance(column, int):
        if not 0 <= column < len(first):
            raise ValueError(
                f"the column is {column}; expected 0 to {len(first) - 1}, as {path} has {len(first)} columns."
            )
        return column
    if not named:
        raise ValueError(
            f"{path} is read without a header; expected a column's place from 0, not {column!r}."
        )
    if column not in first:
        raise ValueError(f"{path} has no column {column!r}; {nearest(column, first)}")
    return first.index(column)


__all__ = ["INTEGER", "NUMBER", "ROLES", "delay_parts", "is_header", "place_of", "places_of", "role_of", "says"]
