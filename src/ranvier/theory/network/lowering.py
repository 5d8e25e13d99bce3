"""A Network as the arrays of the theory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ranvier.networks import Network, Population, Projection
from ranvier.neurons import Poisson
from ranvier.synapses import Electrical, Synapse
from ranvier.theory._text import Brief
from ranvier.theory.network.filters import Filter, synapse_filter
from ranvier.theory.network.groups import NeuronGroup
from ranvier.theory.network.neuron_lowering import adaptation, neuron_group, require_constant, require_poisson
from ranvier.theory.network.self_consistency.rates import Coupling


@dataclass(frozen=True, repr=False)
class Junctions(Brief):
    """Gap junctions: `sources`, `targets` (J,); `share` (J,) = w/g_L of the target's leak."""

    sources: Tensor
    targets: Tensor
    share: Tensor


@dataclass(frozen=True, repr=False)
class LoweredNetwork(Brief):
    """`cells` of the spiking populations; `coupling` (weights in mV·ms; those of conductances in ms, their area
    over g_L); `from_source` (E,) whether an edge comes from a source of spikes; `source_rates` (size,) 1/ms, 0
    for neurons; `background`, `background_power` (filters, size): W nu and W^2 nu of the backgrounds, and
    `background_cumulants` (2, filters, size) W^3 nu and W^4 nu, without gradients; `tau` (size,) ms, 1 for
    sources; `junctions`, apart from `coupling`. `silent` (E,): of edges whose noise does not count, for they are
    a neuron's adaptation; None where there are none."""

    cells: tuple[NeuronGroup, ...]
    coupling: Coupling
    from_source: Tensor
    source_rates: Tensor
    background: Tensor
    background_power: Tensor
    background_cumulants: Tensor
    tau: Tensor
    junctions: Junctions
    silent: Tensor | None = None

    @property
    def conducting(self) -> bool:
        return any(f.E_rev is not None for f in self.coupling.filters)

    @property
    def input(self) -> Tensor:
        """(size,) mV, of the backgrounds' currents."""
        return sum((x for f, x in zip(self.coupling.filters, self.background) if f.E_rev is None), self._none)

    @property
    def variance(self) -> Tensor:
        """(size,) mV^2, of the backgrounds' currents: c W^2 nu/(2 tau)."""
        parts = (
            f.noise_share(self.tau) * x / (2 * self.tau)
            for f, x in zip(self.coupling.filters, self.background_power) if f.E_rev is None
        )  # fmt: skip
        return sum(parts, self._none)

    @property
    def _none(self) -> Tensor:
        return torch.zeros_like(self.tau)


def lower(net: Network) -> LoweredNetwork:
    """Raises ValueError, naming the population or projection, where the theory does not hold."""
    if not net.populations:
        raise ValueError("the network has no populations; expected at least one: net.add(rv.EIF(), 100, ...)")
    zero = torch.zeros(net.size, dtype=torch.float64)
    rates, tau = zero, zero + 1
    cells: list[NeuronGroup] = []
    for population in net.populations:
        at = torch.arange(population.start, population.start + population.size)
        require_poisson(population)
        if isinstance(population.neuron, Poisson):
            require_constant(population.parameters, f"population {population.name!r}")
            rate = torch.as_tensor(population.parameters["rate"], dtype=torch.float64)
            rates = rates.index_copy(0, at, (rate / 1000).expand(population.size))
            continue
        cells.append(neuron_group(population))
        tau = tau.index_copy(0, at, cells[-1].tau)
    filters = _Filters()
    background, power, cumulants = _backgrounds(net, tau, filters)
    coupling, from_source = _edges(net, tau, filters)
    coupling, from_source, silent = _adaptations(net, coupling, from_source, filters)
    more = len(coupling.filters) - len(background)
    rows = torch.zeros(more, net.size, dtype=torch.float64)
    return LoweredNetwork(
        tuple(cells), coupling, from_source, rates, torch.cat([background, rows]), torch.cat([power, rows]),
        torch.cat([cumulants, rows.expand(2, *rows.shape)], 1), tau, _junctions(net), silent,
    )  # fmt: skip


class _Filters:
    """Each synapse's filter once."""

    def __init__(self) -> None:
        self.number: dict[Synapse, int] = {}
        self.list: list[Filter] = []

    def __call__(self, synapse: Synapse, where: str) -> int:
        if synapse not in self.number:
            try:
                self.list.append(synapse_filter(synapse))
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
            self.number[synapse] = len(self.list) - 1
        return self.number[synapse]


def _where(projection: Projection) -> str:
    return f"projection from {projection.source.name!r} to {projection.target.name!r}"


def _edges(net: Network, tau: Tensor, filters: _Filters) -> tuple[Coupling, Tensor]:
    parts: list[tuple[Tensor, ...]] = []
    for projection in net.projections:
        if isinstance(projection.synapse, Electrical):
            continue
        if projection.plasticity is not None and projection.plasticity.law.short_term:
            raise ValueError(
                f"{_where(projection)} has short-term plasticity ({type(projection.plasticity).__name__}), whose "
                "mean depends on the rates; expected constant weights for a prediction: leave it out, with "
                "weights as they are at the expected rate"
            )
        number = filters(projection.synapse, _where(projection))
        sources, targets = projection.edges()
        sources, targets = sources + projection.source.start, targets + projection.target.start
        size = len(sources)
        each = targets - projection.target.start
        area = _area(filters.list[number], tau[targets], projection.target, projection.synapse, each)
        weight = _values(projection.weight, size) * area
        delay = _values(projection.delay, size)
        kind = torch.full((size,), number)
        outside = torch.full((size,), isinstance(projection.source.neuron, Poisson))
        parts.append((sources, targets, weight, delay, kind, outside))
    if not parts:
        none, real = torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.float64)
        return Coupling(net.size, none, none, real, real, none, tuple(filters.list)), none.bool()
    sources, targets, weight, delay, kind, outside = (torch.cat(x) for x in zip(*parts, strict=True))
    return Coupling(net.size, sources, targets, weight, delay, kind, tuple(filters.list)), outside


def _adaptations(
    net: Network, coupling: Coupling, from_source: Tensor, filters: _Filters
) -> tuple[Coupling, Tensor, Tensor | None]:
    """With an edge from each adapting neuron to itself: a spike's jump of w as input, which decays as w does."""
    parts = []
    for population in net.populations:
        slow = adaptation(population)
        if slow is None:
            continue
        if not bool((slow.tau.detach() == slow.tau.detach()[0]).all()):
            raise ValueError(
                f"population {population.name!r} has adaptations of several time constants; expected one a population"
            )
        one = torch.ones(1, dtype=torch.float64)
        filters.list.append(Filter(-1 / slow.tau[:1, None], one, one))
        own = torch.arange(population.size) + population.start
        parts.append((own, slow.current * slow.jump * slow.tau, torch.full_like(own, len(filters.list) - 1)))
    if not parts:
        return coupling, from_source, None
    own, weight, kind = (torch.cat(x) for x in zip(*parts, strict=True))
    both = Coupling(
        coupling.size, torch.cat([coupling.sources, own]), torch.cat([coupling.targets, own]),
        torch.cat([coupling.weight, weight]), torch.cat([coupling.delay, torch.zeros_like(weight)]),
        torch.cat([coupling.synapse, kind]), tuple(filters.list),
    )  # fmt: skip
    silent = torch.arange(len(both.weight)) >= len(coupling.weight)
    return both, torch.cat([from_source, torch.zeros_like(own, dtype=torch.bool)]), silent


def _junctions(net: Network) -> Junctions:
    none = torch.zeros(0, dtype=torch.int64)
    sources, targets, share = [none], [none], [torch.zeros(0, dtype=torch.float64)]
    for projection in net.projections:
        if isinstance(projection.synapse, Electrical):
            s, t = projection.edges()
            g_L = _values(projection.target.parameters["g_L"], projection.target.size)[t]
            w = _values(projection.weight, len(s)) / g_L
            s, t = s + projection.source.start, t + projection.target.start
            sources.append(s[s != t])  # no current flows from a neuron to itself
            targets.append(t[s != t])
            share.append(w[s != t])
    return Junctions(torch.cat(sources), torch.cat(targets), torch.cat(share))


def _area(filter: Filter, tau: Tensor, target: Population, synapse: Synapse, neurons: Tensor) -> Tensor:
    """mV·ms per unit weight: a jump of 1 mV has the area tau; ms for a conductance: its area over g_L."""
    if filter.E_rev is None:
        return tau if filter.instant else filter.area.expand_as(tau)
    if "g_L" not in target.parameters:
        raise ValueError(
            f"population {target.name!r} of {type(target.neuron).__name__} has no leak conductance g_L (nS), which "
            f"{type(synapse).__name__} needs; expected it: give the model a parameter `g_L: float = ...`"
        )
    return filter.area / _values(target.parameters["g_L"], target.size)[neurons]


def _backgrounds(net: Network, tau: Tensor, filters: _Filters) -> tuple[Tensor, Tensor, Tensor]:
    """Of independent Poisson trains, by filter: W nu, W^2 nu (filters, size), and W^3 nu, W^4 nu."""
    known = [filters(b.synapse, f"background of {b.target.name!r}") for b in net.backgrounds]
    mean = power = torch.zeros(len(filters.list), net.size, dtype=torch.float64)
    cumulants = torch.zeros(2, len(filters.list) * net.size, dtype=torch.float64)
    for number, background in zip(known, net.backgrounds):
        target: Population = background.target
        require_constant({"rate": background.rate}, f"the background of population {target.name!r}")
        own = torch.arange(target.size)
        at = number * net.size + own + target.start
        area = _area(filters.list[number], tau[own + target.start], target, background.synapse, own)
        W = _values(background.weight, target.size) * area
        rate = _values(background.rate, target.size) / 1000
        mean = mean.flatten().index_add(0, at, W * rate).reshape(mean.shape)
        power = power.flatten().index_add(0, at, W**2 * rate).reshape(mean.shape)
        with torch.no_grad():
            cumulants.index_add_(1, at, torch.stack([W**3 * rate, W**4 * rate]))
    return mean, power, cumulants.reshape(2, *mean.shape)


def _values(value: Any, size: int) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64).expand(size)
