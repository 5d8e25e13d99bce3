"""What happens to a network after it was described: values that were set or trained, and runs that began before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ranvier._checks import values
from ranvier.equations.declarations import require_parameters
from ranvier.networks._inputs import TimeSeries
from ranvier.networks._population import parameters_of

if TYPE_CHECKING:
    from ranvier.networks._network import Network


def require_valid(net: Network) -> None:
    """Raise ValueError where a tensor that was trained, or changed in place, has left its domain."""
    for p in net.populations:
        parameters_of(p.neuron, p.size, p.name, p.parameters)
    for q in net.projections:
        where = f"from {q.source.name!r} to {q.target.name!r}"
        if not isinstance(q.weight, float):
            values(q.weight, f"The weight {where}", None, q.synapse.weight_parameter, each="edge")
    for kind in dict.fromkeys([q.synapse for q in net.projections] + [b.synapse for b in net.backgrounds]):
        require_parameters(kind, kind.parameters)


def snapshot(net: Network) -> dict[str, tuple[Any, int]]:
    """Every value of the network by what it is, with its version; the values stay alive as long as the snapshot."""
    return {name: (value, _version(value)) for name, value in _values(net)}


def require_unchanged(net: Network, before: dict[str, tuple[Any, int]]) -> None:
    """Raise ValueError where the network differs from a snapshot of it, saying what was changed."""
    now = snapshot(net)
    for name in before | now:
        old, new = before.get(name), now.get(name)
        if old is None or new is None or old[0] is not new[0] or old[1] != new[1]:
            change = "was added" if old is None else "was taken away" if new is None else "was changed"
            raise ValueError(
                f"{name} {change} after the Simulation was made, which does not follow; expected the network as it "
                "was. Make a new Simulation, or let the input be a TimeSeries."
            )


def _values(net: Network) -> Iterator[tuple[str, Any]]:
    for p in net.populations:
        yield f"Population {p.name!r}", p
        for key, value in p.parameters.items():
            yield f"Parameter {key!r} of population {p.name!r}", value
    for q in net.projections:
        name = f"{q!r} (number {q.index})"
        yield name, q
        yield f"The weight of {name}", q.weight
        yield f"The delay of {name}", q.delay
        yield f"The wiring of {name}", q.wiring
    for b in net.backgrounds:
        name = f"{b!r} (number {b.index})"
        yield name, b
        yield f"The rate of {name}", b.rate
        yield f"The weight of {name}", b.weight


def _version(value: Any) -> int:
    """How often a tensor was changed in place."""
    value = value.values if isinstance(value, TimeSeries) else value
    return value._version if hasattr(value, "_version") and not value.is_inference() else 0


__all__ = ["require_unchanged", "require_valid", "snapshot"]
