"""What of a network may be changed after it was described: parameters, weights, and what comes from outside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ranvier._checks import nearest, values
from ranvier.networks._connect import per_edge, rule_of
from ranvier.networks._inputs import RATE, TimeSeries
from ranvier.networks._population import Population, parameters_of, series
from ranvier.networks._projection import Background, Projection
from ranvier.networks.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ranvier.networks._network import Network

#: what `Network.set` changes.
Settable = Population | Projection | Background


def resolve(net: Network, target: Settable | str) -> Settable:
    """The population (by itself or its name), projection or background. Raises ValueError for another network's."""
    if not isinstance(target, Projection | Background):
        return net._own(target)
    if not any(each is target for each in (net.projections if isinstance(target, Projection) else net.backgrounds)):
        raise ValueError(f"{target!r} belongs to another network; expected one of this network's.")
    return target


def settings(target: Settable) -> dict[str, Any]:
    """What of it may be set, by name."""
    if isinstance(target, Population):
        return dict(target.parameters)
    names = ("weight", "wiring") if isinstance(target, Projection) else ("rate", "weight")
    return {name: getattr(target, name) for name in names}


def checked(target: Settable, new: Mapping[str, Any]) -> dict[str, Any]:
    """The new values, as they are kept. Raises ValueError or TypeError for what does not fit."""
    if isinstance(target, Population):
        whole = parameters_of(target.neuron, target.size, target.name, {**target.parameters, **new})
        return {name: whole[name] for name in new}
    for name in new:
        if name not in settings(target):
            raise ValueError(f"{target!r} has no {name!r} to set; {nearest(name, settings(target))}")
    weight = target.synapse.weight_parameter
    if isinstance(target, Projection):
        where = f"The weight from {target.source.name!r} to {target.target.name!r}"
        rewired = rewiring(target, new["wiring"]) if "wiring" in new else {}
        if rewired and "weight" not in new and not isinstance(target.weight, float):
            raise ValueError(f"{target!r} has a weight an edge; expected weight= for the edges of the new wiring too.")
        own = replace(target, **rewired) if rewired else target
        return rewired | {name: per_edge(value, where, own, weight) for name, value in new.items() if name == "weight"}
    what, size = f"of the background of {target.target.name!r}", target.target.size
    return {
        name: rate_of(value, f"The rate {what}", size)
        if name == "rate"
        else values(value, f"The weight {what}", size, weight)
        for name, value in new.items()
    }


def rewiring(target: Projection, wiring: Any) -> dict[str, Any]:
    """Another wiring of a projection, a rule or (sources, targets), checked. Raises ValueError where synapses have
    something of their own that would be lost."""
    if target.plasticity is not None:
        raise ValueError(f"{target!r} learns; expected fixed weights where the wiring is set.")
    if not isinstance(target.delay, float):
        raise ValueError(f"{target!r} has a delay an edge; expected one delay for all where the wiring is set.")
    by_rule = isinstance(wiring, Wiring | type)
    rule = rule_of(None, None, None, None if by_rule else wiring, wiring if by_rule else None)
    same, positions = target._places().values()
    rule.check(target.source.size, target.target.size, same, positions)
    return {"wiring": rule}


def rate_of(value: Any, what: str, size: int) -> Any:
    """The rate of a background: a number, a tensor or a time series, checked."""
    return series(value, what, size, RATE) if isinstance(value, TimeSeries) else values(value, what, size, RATE)


def assign(target: Settable, new: Mapping[str, Any]) -> None:
    """Put checked values in place."""
    if isinstance(target, Population):
        dict.update(target.parameters, new)
    else:
        for name, value in new.items():
            object.__setattr__(target, name, value)


def every_setting(net: Network) -> list[tuple[Settable, dict[str, Any]]]:
    """All of a network's settings."""
    targets: list[Settable] = [*net.populations, *net.projections, *net.backgrounds]
    return [(each, settings(each)) for each in targets]


__all__ = ["Settable", "assign", "checked", "every_setting", "rate_of", "resolve", "settings"]
