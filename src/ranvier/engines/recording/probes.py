"""What to record besides spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._steps import whole_steps
from ranvier.engines.step_model import StepModel
from ranvier.networks import Network, Population


@dataclass(frozen=True)
class Probe:
    """Record a state variable at regular times.

    variable: its name, as in the equations; neurons: a Population, its name, or indices over the whole
    network (None: all that have the variable); interval: ms (None: every step); name: its key in
    `Recording.states` (None: the variable).
    """

    variable: str
    neurons: Any = None
    interval: float | None = None
    name: str | None = None


@dataclass(frozen=True)
class ProbePiece:
    """A probe's part in one population: `neurons` are local indices, ascending."""

    population: int
    state: int
    neurons: NDArray[np.int64]


@dataclass(frozen=True)
class ResolvedProbe:
    """`neurons` (n,) are the global indices of the columns, ascending; one piece a population."""

    name: str
    interval: int
    neurons: NDArray[np.int64]
    pieces: tuple[ProbePiece, ...]


def resolve_probes(
    record: Sequence[str | Probe] | str | Probe, net: Network, models: Mapping[int, StepModel], dt: float
) -> tuple[ResolvedProbe, ...]:
    """Check the probes and find where their variables lie. Raises ValueError, naming what there is."""
    probes = [record] if isinstance(record, str | Probe) else list(record)
    resolved = [_resolve(Probe(p) if isinstance(p, str) else p, net, models, dt) for p in probes]
    names = [r.name for r in resolved]
    if len(set(names)) < len(names):
        raise ValueError(f"found probes named {names}; expected different names: give Probe(..., name=...)")
    return tuple(resolved)


def _resolve(probe: Probe, net: Network, models: Mapping[int, StepModel], dt: float) -> ResolvedProbe:
    interval = 1
    if probe.interval is not None:
        interval = whole_steps(probe.interval, dt, f"found a recording interval of {probe.interval} ms")
    having = [p for p in net.populations if p.index in models and probe.variable in models[p.index].states]
    if not having:
        known = sorted({s for m in models.values() for s in m.states})
        raise ValueError(f"found no variable {probe.variable!r}; this network has {', '.join(known)}")
    chosen = _chosen(probe.neurons, net, having)
    pieces, kept = [], []
    for population in having:
        inside = chosen[(chosen >= population.start) & (chosen < population.start + population.size)]
        if len(inside):
            state = models[population.index].states.index(probe.variable)
            pieces.append(ProbePiece(population.index, state, inside - population.start))
            kept.append(inside)
    if not len(chosen):
        raise ValueError(f"the probe of {probe.variable!r} records no neuron; expected at least one")
    found = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    if len(found) < len(chosen):
        missing = np.setdiff1d(chosen, found)[0]
        raise ValueError(
            f"neuron {missing} has no variable {probe.variable!r}; expected neurons of "
            f"{', '.join(p.name for p in having)}"
        )
    return ResolvedProbe(probe.name or probe.variable, interval, found, tuple(pieces))


def _chosen(neurons: Any, net: Network, having: list[Population]) -> NDArray[np.int64]:
    if neurons is None:
        return np.concatenate([np.arange(p.start, p.start + p.size) for p in having])
    if isinstance(neurons, str):
        named = {p.name: p for p in net.populations}
        if neurons not in named:
            raise ValueError(f"found no population {neurons!r}; this network has {', '.join(named)}")
        neurons = named[neurons]
    if isinstance(neurons, Population):
        if not any(neurons is p for p in net.populations):
            raise ValueError(f"population {neurons.name!r} of a probe belongs to another network; expected one of this")
        return np.arange(neurons.start, neurons.start + neurons.size)
    indices = np.asarray(neurons).reshape(-1)
    if len(indices) and indices.dtype.kind not in "iu":
        raise TypeError(f"found neurons of type {indices.dtype}; expected indices over the whole network")
    return np.unique(indices.astype(np.int64))
