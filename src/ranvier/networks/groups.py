"""Which neurons are meant: populations, their names, or indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Group(NamedTuple):
    """A population as a recording refers to it; `names` are its neurons', where they have some."""

    name: str
    start: int
    size: int
    population: Any = None
    names: tuple[str, ...] | None = None

    def described(self) -> dict[str, Any]:
        """Its place and its neurons' names, as a manifest lists them."""
        place = {"name": self.name, "start": self.start, "size": self.size}
        return place | ({} if self.names is None else {"names": list(self.names)})


def groups_of(network: Any, manifest: Mapping[str, Any], n_neurons: int) -> tuple[Group, ...]:
    """Populations of the network, else those the manifest lists, else one of all neurons."""
    known = getattr(network, "populations", None)
    if known:
        members = known.values() if isinstance(known, Mapping) else known
        return tuple(Group(str(p.name), int(p.start), int(p.size), p, getattr(p, "names", None)) for p in members)
    listed = manifest.get("populations")
    if isinstance(listed, list) and all(
        isinstance(p, dict) and {"name", "start", "size"} <= p.keys() for p in listed
    ):
        return tuple(
            Group(str(p["name"]), int(p["start"]), int(p["size"]), None, tuple(p["names"]) if p.get("names") else None)
            for p in listed
        )
    return (Group("neurons", 0, n_neurons),)


def names_of(groups: Sequence[Group]) -> list[str]:
    """Every neuron's name: its own, else its population's and its index there, as `Network.names` has it."""
    return [g.names[i] if g.names is not None else f"{g.name}[{i}]" for g in groups for i in range(g.size)]


def resolve(neurons: Any, groups: Sequence[Group], n_neurons: int) -> NDArray[np.int64]:
    """Global indices of a population, a name, a list of these, a slice, a mask or indices.

    Raises ValueError for an unknown name or an index out of range, TypeError for anything else.
    """
    if isinstance(neurons, str):
        for group in groups:
            if group.name == neurons:
                return np.arange(group.start, group.start + group.size)
        raise ValueError(f"no population {neurons!r}; expected one of {', '.join(g.name for g in groups)}")
    if isinstance(neurons, slice):
        return np.arange(n_neurons)[neurons]
    if hasattr(neurons, "start") and hasattr(neurons, "size") and not isinstance(neurons, range):
        _require_own(neurons, groups)
        return np.arange(neurons.start, neurons.start + neurons.size)
    if isinstance(neurons, list | tuple) and any(isinstance(p, str) or hasattr(p, "start") for p in neurons):
        return np.concatenate([resolve(p, groups, n_neurons) for p in neurons])
    array = np.atleast_1d(np.asarray(neurons.cpu() if hasattr(neurons, "cpu") else neurons))
    if array.dtype == bool and array.shape == (n_neurons,):
        return np.flatnonzero(array)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(f"neurons= is {neurons!r}; expected a population, its name, or a list of indices")
    outside = array[(array < 0) | (array >= n_neurons)]
    if len(outside):
        raise ValueError(f"neurons= holds neuron {outside[0]}; expected indices from 0 to {n_neurons - 1}")
    return array.astype(np.int64)


def _require_own(population: Any, groups: Sequence[Group]) -> None:
    """Raise ValueError for a population of another network; one that was read from a file goes by name and place."""
    place = (population.name, population.start, population.size)
    for group in groups:
        stored = group.population is None or isinstance(population, Group)
        if group.population is population or (stored and group[:3] == place):
            return
    names = ", ".join(repr(g.name) for g in groups)
    raise ValueError(
        f"population {population.name!r} belongs to another network; expected one of this one's: {names}. Give its "
        "name, or take it from `.network`."
    )
