"""The experiments there are: one module of this package each, imported only when somebody asks."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from ranvier.atlas._record import Experiment

_records: dict[str, Experiment] = {}


def register(experiment: Experiment) -> Experiment:
    """Enter an experiment under its name and return it; a name taken by another one raises ValueError."""
    known = _records.get(experiment.name)
    if known is not None and known.measure.__module__ != experiment.measure.__module__:
        raise ValueError(
            f"the atlas already has an experiment {experiment.name!r}, from {known.measure.__module__}; "
            f"give the one from {experiment.measure.__module__} another name"
        )
    if known is not None and known != experiment:
        raise ValueError(f"{experiment.measure.__module__} registers {experiment.name!r} twice")
    _records[experiment.name] = experiment
    return experiment


def experiments() -> dict[str, Experiment]:
    """All experiments by name, in alphabetical order."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_") and not module.ispkg:
            importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_records.items()))


def get(name: str) -> Experiment:
    """The experiment of that name; an unknown one raises ValueError and names the nearest."""
    known = experiments()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else "`ranvier atlas list` names all."
        raise ValueError(f"the atlas has no experiment {name!r}; {hint}")
    return known[name]
