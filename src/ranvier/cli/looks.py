"""What `ranvier look` reads: a recording with the options that were given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ranvier.recordings import Session


def read_for_look(
    path: Path, *, behaviour: list[str] | None, circular: list[str] | None, transpose: bool, **options: Any
) -> Session:
    """The session; ValueError for a circular behaviour that there is not. NAME:2 is column 2 of NAME."""
    from ranvier._checks import nearest
    from ranvier.recordings import read_session

    options = {name: value for name, value in options.items() if value is not None}
    if transpose:
        options["transpose"] = True
    table = {".csv", ".tsv", ".txt"} & {s.lower() for s in path.suffixes}
    if table:
        for name in sorted({"activity", "counts", "bin", "transpose"} & set(options)):
            raise ValueError(
                f"{path.name} is a table with --{name}, which arrays have; expected --times, --unit or --behaviour"
            )
        options |= {"time": options.pop("times")} if "times" in options else {}
    if behaviour and table:
        options["behaviour"] = behaviour
    elif behaviour:
        pieces = {name: name.rpartition(":") for name in behaviour}
        options["behaviour"] = {
            name: (head, int(column)) if head and column.isdigit() else name
            for name, (head, _, column) in pieces.items()
        }
    session = read_session(path, **options)
    for name in circular or []:
        if name not in session.behaviour:
            raise ValueError(f"there is no behaviour {name!r}; {nearest(name, session.behaviour)}")
        session.behaviour[name] = replace(session.behaviour[name], period=2 * np.pi)
    return session


__all__ = ["read_for_look"]
