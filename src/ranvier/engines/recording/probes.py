"""What to record besides spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import nearest
from ranvier._steps import whole_steps
from ranvier.engines.step_model import StepModel
from ranvier.networks import Background, Network, Population, Projection


@dataclass(frozen=True)
class Probe:
    """Record a state variable at regular times.

    variable: its name, as in the equations of the neuron or, with `of`, of the synapse; neurons: a Population, its
    name, or indices over the whole network (None: all that have the variable); interval: ms (None: every step);
    name: its key in `Recording.states` (None: the variable, with `of` such as "g[exc->inh]", "g[background->inh]").
    of: a Projection or a Background of the network, whose synaptic variable it is, one value a target neuron. Equal
    synapse models that reach a population, weights and delays aside, share one variable: their sum.

        p = net.connect(exc, inh, weight=2.0, delay=1.0, probability=0.1, synapse=rv.ExponentialConductance())
        recording = rv.simulate(net, 500.0, record=["V", rv.Probe("g", of=p)])
        recording.states["g[exc->inh]"].values  # (T, neurons of inh), nS

    Raises ValueError, when simulated, for what is not there, naming what can be recorded.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 5)
    >>> probe = rv.Probe("V", neurons=[0, 1], interval=1.0)
    >>> rv.simulate(net, 10.0, engine="torch", record=probe).states["V"].values.shape
    torch.Size([10, 2])
    """

    variable: str
    neurons: Any = None
    interval: float | None = None
    name: str | None = None
    of: Projection | Background | None = None


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
        raise ValueError(f"there are probes named {names}; expected different names: give Probe(..., name=...)")
    return tuple(resolved)


def _resolve(probe: Probe, net: Network, models: Mapping[int, StepModel], dt: float) -> ResolvedProbe:
    interval = 1
    if probe.interval is not None:
        interval = whole_steps(probe.interval, dt, f"there is a recording interval of {probe.interval} ms")
    places, name = _places(probe, net, models)
    having = [p for p in net.populations if p.index in places]
    chosen = _chosen(probe.neurons, net, having)
    pieces, columns = [], []
    for population in having:
        inside = chosen[(chosen >= population.start) & (chosen < population.start + population.size)]
        if len(inside):
            pieces.append(ProbePiece(population.index, places[population.index], inside - population.start))
            columns.append(inside)
    if not len(chosen):
        raise ValueError(f"the probe of {probe.variable!r} records no neuron; expected at least one")
    recorded = np.concatenate(columns) if columns else np.zeros(0, np.int64)
    if len(recorded) < len(chosen):
        missing = np.setdiff1d(chosen, recorded)[0]
        raise ValueError(
            f"neuron {missing} has no variable {name!r}; expected neurons of "
            f"{', '.join(p.name for p in having)}"
        )
    return ResolvedProbe(probe.name or name, interval, recorded, tuple(pieces))


def _places(probe: Probe, net: Network, models: Mapping[int, StepModel]) -> tuple[dict[int, int], str]:
    """Population -> where the variable lies among its states, and the variable's name in the recording."""
    variable, of = probe.variable, probe.of
    if of is None:
        places = {k: m.states.index(variable) for k, m in models.items() if variable in _own(m)}
        name = variable
    else:
        if not isinstance(of, Projection | Background):
            raise TypeError(f"of is {of!r:.80}; expected a Projection or a Background: what connect, background return")
        if not any(of is one for one in (*net.projections, *net.backgrounds)):
            raise ValueError(f"of is {of!r}, of another network; expected a projection or background of this one")
        places = {k: m.states.index(v) for k, m in models.items() for n, v in _synaptic(m, of) if n == variable}
        name = f"{variable}[{_path(of)}]"
    if not places:
        raise ValueError(f"The variable is {name!r}; expected one that can be recorded: {_recordable(net, models)}.")
    return places, name


def _own(model: StepModel) -> tuple[str, ...]:
    """The variables of the neuron itself."""
    return tuple(model.population.neuron.equations.names)


def _synaptic(model: StepModel, of: Projection | Background) -> list[tuple[str, str]]:
    """(name in the synapse's equations, name among the states) of the variables that `of` drives."""
    ports = [p for p in model.ports if any(of is one for one in (*p.projections, *p.backgrounds))]
    return [
        (state.removesuffix(port.name("")), state)
        for port in ports
        for state in model.states[len(_own(model)) :]
        if state.endswith(port.name(""))
    ]


def _paths(net: Network) -> list[Projection | Background]:
    return [*net.projections, *net.backgrounds]


def _path(of: Projection | Background) -> str:
    return f"{of.source.name if isinstance(of, Projection) else 'background'}->{of.target.name}"


def _recordable(net: Network, models: Mapping[int, StepModel]) -> str:
    """Every variable as one would write it: of neurons by name, of synapses as probes of a projection."""
    names = dict.fromkeys(repr(name) for m in models.values() for name in _own(m))
    synaptic = dict.fromkeys(
        f'Probe("{name}", of=...) of {_path(of)}'
        for of in _paths(net)
        for m in models.values()
        for name, _ in _synaptic(m, of)
    )
    return ", ".join([*names, *list(synaptic)[:20], *(["..."] if len(synaptic) > 20 else [])]) or "none here"


def _chosen(neurons: Any, net: Network, having: list[Population]) -> NDArray[np.int64]:
    if neurons is None:
        return np.concatenate([np.arange(p.start, p.start + p.size) for p in having])
    if isinstance(neurons, str):
        named = {p.name: p for p in net.populations}
        if neurons not in named:
            raise ValueError(f"there is no population {neurons!r}; {nearest(neurons, named)}")
        neurons = named[neurons]
    if isinstance(neurons, Population):
        if not any(neurons is p for p in net.populations):
            raise ValueError(f"population {neurons.name!r} of a probe belongs to another network; expected one of this")
        return np.arange(neurons.start, neurons.start + neurons.size)
    indices = np.asarray(neurons).reshape(-1)
    if len(indices) and indices.dtype.kind not in "iu":
        raise TypeError(f"there are neurons of type {indices.dtype}; expected indices over the whole network")
    return np.unique(indices.astype(np.int64))
