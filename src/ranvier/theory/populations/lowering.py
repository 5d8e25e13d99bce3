"""A Network as the theory's arrays with a node a population."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ranvier.networks import Network, Projection, wiring
from ranvier.networks.changes import require_valid
from ranvier.neurons import Poisson
from ranvier.synapses import Electrical
from ranvier.theory.network.filters import Filter, synapse_filter
from ranvier.theory.network.groups import NeuronGroup
from ranvier.theory.network.lowering import Junctions, LoweredNetwork
from ranvier.theory.network.neuron_lowering import adaptation, neuron_group, require_constant, require_poisson
from ranvier.theory.network.self_consistency.rates import Coupling
from ranvier.theory.populations.edges import Lane, lanes, wave_lanes


def lower_populations(net: Network) -> tuple[LoweredNetwork, Tensor]:
    """(lowered of P nodes, sizes (P,)): an edge a projection and delay, `Coupling.in_degree` its mean in-degree.

    Raises ValueError, naming population or projection, where neurons, weights or backgrounds of one population differ,
    for conductances and gap junctions, and where the theory does not hold.
    """
    require_valid(net)
    if not net.populations:
        raise ValueError("the network has no populations; expected at least one: net.add(rv.EIF(), 100, ...)")
    P = len(net.populations)
    rates, tau = torch.zeros(P, dtype=torch.float64), torch.ones(P, dtype=torch.float64)
    cells: list[NeuronGroup] = []
    for k, population in enumerate(net.populations):
        where = f"population {population.name!r}"
        require_poisson(population)
        if isinstance(population.neuron, Poisson):
            require_constant(population.parameters, where)
            rate = _one(population.parameters["rate"], f"rate of {where}") / 1000
            rates = rates.index_copy(0, torch.tensor([k]), rate)
            continue
        for name, value in population.parameters.items():
            if isinstance(value, Tensor):
                _one(value, f"{name} of {where}")
        if adaptation(population) is not None:
            raise ValueError(f"{where} adapts; expected neurons without adaptation: use rv.predict, or simulate")
        group = neuron_group(population).take(torch.zeros(1, dtype=torch.int64))
        cells.append(replace(group, index=torch.tensor([k])))
        tau = tau.index_copy(0, cells[-1].index, group.tau)
    filters: list[Filter] = []
    number: dict[Any, int] = {}

    def kind(synapse: Any, where: str) -> int:
        if isinstance(synapse, Electrical):
            raise ValueError(f"{where} has Electrical synapses; expected current synapses: use rv.predict, or simulate")
        if synapse not in number:
            number[synapse] = len(filters)
            filters.append(synapse_filter(synapse))
            if filters[-1].E_rev is not None:
                raise ValueError(f"{where} has conductances; expected current synapses: use rv.predict, or simulate")
        return number[synapse]

    place = {id(p): k for k, p in enumerate(net.populations)}
    rows: list[_Row] = []
    for projection in net.projections:
        where = f"projection from {projection.source.name!r} to {projection.target.name!r}"
        s, t = place[id(projection.source)], place[id(projection.target)]
        f, K = kind(projection.synapse, where), in_degree(projection)
        if K == 0:
            continue
        area = _area(filters[f], tau[t])
        from_source = isinstance(projection.source.neuron, Poisson)
        rows += [_Row(s, t, area, lane, f, from_source) for lane in lanes(projection, K)]
    mean = torch.zeros(len(net.backgrounds), P, dtype=torch.float64)
    cumulants = [mean.clone() for _ in range(3)]
    kinds = []
    for n, background in enumerate(net.backgrounds):
        where = f"background of {background.target.name!r}"
        kinds.append(kind(background.synapse, where))
        k = place[id(background.target)]
        require_constant({"rate": background.rate}, where)
        W = _area(filters[kinds[-1]], tau[k]) * _one(background.weight, f"weight of the {where}")
        rate = _one(background.rate, f"rate of the {where}") / 1000
        at = (torch.tensor([n]), torch.tensor([k]))
        mean = mean.index_put(at, W * rate)
        cumulants = [x.index_put(at, W**p * rate) for p, x in zip((2, 3, 4), cumulants, strict=True)]

    def by_filter(x: Tensor) -> Tensor:
        empty = torch.zeros(len(filters), P, dtype=torch.float64)
        return empty.index_add(0, torch.tensor(kinds, dtype=torch.int64), x) if kinds else empty

    coupling = _coupling(P, rows, tuple(filters))
    power, cubic, quartic = (by_filter(x) for x in cumulants)
    outside = torch.tensor([row.outside for row in rows], dtype=torch.bool)
    none_at_all = torch.zeros(0, dtype=torch.int64)
    lowered = LoweredNetwork(
        tuple(cells), coupling, outside, rates, by_filter(mean), power, torch.stack([cubic, quartic]).detach(), tau,
        Junctions(none_at_all, none_at_all, torch.zeros(0, dtype=torch.float64)),
    )  # fmt: skip
    return lowered, torch.tensor([p.size for p in net.populations], dtype=torch.float64)


class _Row(NamedTuple):
    """An edge between nodes: those of its projection that have one delay."""

    source: int
    target: int
    area: Tensor
    lane: Lane
    synapse: int
    outside: bool


def _coupling(size: int, rows: list[_Row], filters: tuple[Filter, ...]) -> Coupling:
    def column(field: str) -> Tensor:
        return torch.tensor([getattr(row, field) for row in rows], dtype=torch.int64)

    none = torch.zeros(0, dtype=torch.float64)
    weight, square, delay = (torch.cat([none, *(getattr(row.lane, x) for row in rows)]) for x in Lane._fields)
    area = torch.cat([none, *(row.area.reshape(1) for row in rows)])
    # as many equal synapses as have this sum and this sum of squares
    number = torch.where(square > 0, weight**2 / torch.where(square > 0, square, 1.0), 1.0).detach()
    return Coupling(
        size, column("source"), column("target"), area * weight, delay, column("synapse"), filters, number
    )


def wave_coupling(net: Network, lowered: LoweredNetwork, wave: Tensor) -> Coupling:
    """The edges of `lower_populations` as activity meets them that varies as e^{i k x}; complex weights."""
    coupling, filters = lowered.coupling, lowered.coupling.filters
    ends = zip(coupling.targets.tolist(), coupling.synapse.tolist(), strict=True)
    area = [_area(filters[f], lowered.tau[t]) for t, f in ends]
    each = [lane.weight for p in net.projections if in_degree(p) > 0 for lane in wave_lanes(p, wave)]
    return replace(coupling, weight=torch.stack(area) * torch.cat(each) if each else coupling.weight)


def _area(kind: Filter, tau: Tensor) -> Tensor:
    """What a spike of weight 1 adds to the input, ms."""
    return tau if kind.instant else kind.area


def in_degree(projection: Projection) -> float:
    """Mean number of synapses that a neuron of the target has from the source, from the rule alone."""
    rule, n_source, n_target = projection.wiring, projection.source.size, projection.target.size
    others = n_source - (projection.source is projection.target and not rule.autapses)
    if isinstance(rule, wiring.Probability | wiring.SymmetricProbability):
        return float(rule.p) * others
    if isinstance(rule, wiring.InDegree):
        return float(rule.k)
    if isinstance(rule, wiring.OutDegree):
        return float(rule.k) * n_source / n_target
    if isinstance(rule, wiring.TotalNumber):
        return rule.n / n_target
    if isinstance(rule, wiring.PairwisePoisson):
        return rule.mean * others
    if isinstance(rule, wiring.AllToAll):
        return float(others)
    return projection.size / n_target


def _one(value: Any, what: str) -> Tensor:
    """The one value (1,) that all neurons or synapses have."""
    x = torch.as_tensor(value, dtype=torch.float64).reshape(-1)
    if len(x) > 1 and not bool((x.detach() == x.detach()[0]).all()):
        raise ValueError(
            f"the {what} differs within it, from {float(x.min()):.6g} to {float(x.max()):.6g}; expected one value a "
            "population: use rv.predict, or several populations"
        )
    return x[:1]
