"""The experiments there are: one module in one of the groups' folders each, imported only when somebody asks."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable

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
