"""The experiments there are: one module in one of the groups' folders each, imported only when somebody asks."""

from __future__ import annotations

import ast
import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ranvier.atlas._record import Experiment

#: the folders of entries, in the order in which they are listed
GROUPS = (
    "simulation", "theory", "plasticity", "learning", "credit", "cells", "energies", "brains", "interpretation",
    "operators", "hardware", "bodies", "worlds", "symmetries", "history",
)  # fmt: skip

_records: dict[str, Experiment] = {}


def register(experiment: Experiment) -> Experiment:
    """Enter an experiment under its name and return it; a name taken by another one raises ValueError.

    >>> entry = rv.atlas.get("coupling")
    >>> rv.atlas.register(entry) is entry  # again, as when its module is loaded twice
    True
    """
    known = _records.get(experiment.name)
    if known is not None and known.measure.__module__ != experiment.measure.__module__:
        raise ValueError(
            f"the atlas already has an experiment {experiment.name!r}, from {known.measure.__module__}; expected "
            f"another name: rename the one from {experiment.measure.__module__}"
        )
    if known is not None and known != experiment:
        raise ValueError(
            f"{experiment.measure.__module__} registers {experiment.name!r} twice; expected once"
        )
    _records[experiment.name] = experiment
    return experiment


def experiments() -> dict[str, Experiment]:
    """All experiments by name, in alphabetical order.

    >>> names = list(rv.atlas.experiments())
    >>> "coupling" in names, names == sorted(names)
    (True, True)
    """
    for group in GROUPS:
        folder = importlib.import_module(f"{__package__}.{group}")
        for module in pkgutil.iter_modules(folder.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{folder.__name__}.{module.name}")
    return dict(sorted(_records.items()))


class Listed(NamedTuple):
    """What a list says of an experiment; `claims` is None where their number is computed.

    >>> rv.atlas.Listed("coupling", "Neurons in pairs", 3).claims
    3
    """

    name: str
    title: str
    claims: int | None


def listing() -> list[Listed]:
    """All experiments in alphabetical order; those of this package are read from their source, none is imported.

    >>> {entry.name: entry.claims for entry in rv.atlas.listing()}["coupling"] == len(rv.atlas.get("coupling").claims)
    True
    """
    others = [entry for entry in _records.values() if not entry.measure.__module__.startswith(f"{__package__}.")]
    listed = [Listed(entry.name, entry.title, len(entry.claims)) for entry in others]
    for group in GROUPS:
        for path in sorted((Path(__file__).parent / group).glob("[!_]*.py")):
            text = path.read_text("utf-8")
            for entry in re.finditer(r"^register\($", text, re.MULTILINE):
                call = ast.parse(text[entry.start() :]).body[0]
                listed += [_listed(node) for node in ast.walk(call) if _is_experiment(node)]
    return sorted(listed)


def _is_experiment(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Experiment"


def _listed(node: ast.AST) -> Listed:
    entries = {keyword.arg: keyword.value for keyword in getattr(node, "keywords", ())}
    claims = entries["claims"]
    plain = isinstance(claims, ast.Tuple) and not any(isinstance(claim, ast.Starred) for claim in claims.elts)
    count = len(claims.elts) if isinstance(claims, ast.Tuple) and plain else None
    return Listed(ast.literal_eval(entries["name"]), ast.literal_eval(entries["title"]), count)


def by_group(chosen: Iterable[Experiment]) -> dict[str, list[Experiment]]:
    """Experiments by group, in the groups' order; those of other packages come last, under "other".

    >>> list(rv.atlas.by_group([rv.atlas.get("coupling"), rv.atlas.get("ncap")]))
    ['theory', 'bodies']
    """
    groups: dict[str, list[Experiment]] = {group: [] for group in (*GROUPS, "other")}
    for experiment in chosen:
        groups[experiment.group].append(experiment)
    return {group: members for group, members in groups.items() if members}


def get(name: str) -> Experiment:
    """The experiment of that name; an unknown one raises ValueError and names the nearest.

    >>> rv.atlas.get("coupling").group
    'theory'
    """
    known = experiments()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f": did you mean {' or '.join(near)}?" if near else "."
        raise ValueError(f"the atlas has no experiment {name!r}; expected one of `ranvier atlas list`{hint}")
    return known[name]
