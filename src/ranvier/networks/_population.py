"""A population: neurons of one model, with their parameters, names, classes and places."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

from ranvier._checks import array, labels, nearest, unique, values
from ranvier.equations import Parameter
from ranvier.equations.declarations import declared, require_parameters
from ranvier.networks._inputs import TimeSeries
from ranvier.networks.distributions import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

#: the population's own inputs, for equations that mention them
INPUTS = {
    "drive": Parameter("mV", "constant input"),
    "noise": Parameter("mV", "standard deviation of the free membrane", at_least=0.0),
}


@dataclass(frozen=True, eq=False, repr=False)
class Population:
    """`size` neurons of one model; a plain record that `Network.add` makes.

    Attributes
    ----------
    name, neuron, size, index
        its name, its neuron model, the number of neurons, its place among the populations
    start
        index of its first neuron over the whole network; `slice` is its whole range
    parameters
        name -> float, float64 tensor (size,), or the very tensor given, () or (size,), if it requires a
        gradient, or a `TimeSeries`: the neuron's own and `drive`, `noise` (mV) where the equations mention them. Only
        a refractory period does not change in time. Read-only: `Network.set` changes them
    initial
        name of a variable -> float, tensor (size,), or a `Distribution`
    positions
        (size, dimensions) tensor, or None
    classes, names
        one label a neuron, or None
    method
        the integrator, or None for the equations' default

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 5, name="cells", drive=3.0)
    >>> cells.name, cells.size, cells.parameters["drive"]
    ('cells', 5, 3.0)
    """

    name: str
    neuron: Any
    size: int
    start: int
    index: int
    parameters: dict[str, float | Tensor | TimeSeries]
    initial: dict[str, float | Tensor | Distribution]
    positions: Tensor | None = None
    classes: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    method: str | None = None

    @property
    def slice(self) -> slice:
        """Its neurons' indices over the whole network."""
        return slice(self.start, self.start + self.size)

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        model = type(self.neuron).__name__
        return f"Population({self.name!r}, {model}, size={self.size}, start={self.start})"


def parameters_of(
    neuron: Any, size: int, name: str, overrides: Mapping[str, Any]
) -> dict[str, float | Tensor | TimeSeries]:
    """The neuron's parameters and the population's inputs, checked. `given` overrides the neuron's own."""
    own = {key: value for key, value in neuron.parameters.items() if key not in INPUTS}
    equations = getattr(neuron, "equations", None)
    mentioned = equations.parameters if equations is not None else ()
    inputs = {key: 0.0 for key in INPUTS if key in mentioned}
    for key in overrides:
        if key not in own and key not in inputs:
            raise ValueError(
                f"Population {name!r} of {type(neuron).__name__} has no parameter {key!r}; "
                + nearest(key, [*own, *inputs])
            )
    checked: dict[str, float | Tensor | TimeSeries] = {}
    domains = INPUTS | (declared(type(neuron)) if is_dataclass(neuron) else {})
    for key, value in {**own, **inputs, **overrides}.items():
        what = what_of(key, name)
        if isinstance(value, TimeSeries):
            if equations is not None and key == equations.refractory:
                raise TypeError(f"{what} is a TimeSeries; expected a number. A refractory period does not change.")
            checked[key] = series(value, what, size, domains.get(key, Parameter()))
            continue
        result = values(value, what, size, domains.get(key, Parameter()))
        checked[key] = result if isinstance(result, float) or result.requires_grad else result.double()
    if is_dataclass(neuron):
        for ends in ("amin", "amax"):
            numbers = {k: getattr(v.values, ends)(0) if isinstance(v, TimeSeries) else v for k, v in checked.items()}
            require_parameters(neuron, numbers, lambda key: what_of(key, name))
    return Values(checked)


def series(value: TimeSeries, what: str, size: int, domain: Parameter) -> TimeSeries:
    """A time series of a population's parameter or input, checked. Raises ValueError."""
    if value.values.ndim == 2 and value.values.shape[1] != size:
        raise ValueError(f"{what} has {value.values.shape[1]} columns; expected (T,) or (T, {size}).")
    domain.require(value.values, what, "time")
    return value


class Values(dict[str, Any]):
    """A population's parameters by name, as they were given: to be read. `Network.set` changes them."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "A population's parameters are read-only, so that each change is checked and noticed; expected "
            "net.set(population, name=value), which the next simulate, predict or Simulation uses."
        )

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = __ior__ = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


def what_of(key: str, name: str) -> str:
    """How errors name a parameter."""
    return f"Parameter {key!r} of population {name!r}"


def initial_of(
    neuron: Any, size: int, name: str, overrides: Mapping[str, Any] | None
) -> dict[str, float | Tensor | Distribution]:
    """The initial values, checked against the model's variables."""
    equations = getattr(neuron, "equations", None)
    known = equations.names if equations is not None else ()
    checked: dict[str, float | Tensor | Distribution] = {}
    for key, value in (overrides or {}).items():
        if key not in known:
            raise ValueError(
                f"Population {name!r} of {type(neuron).__name__} has no variable {key!r}; "
                + nearest(key, known)
            )
        if isinstance(value, Distribution):
            checked[key] = value
        else:
            what = f"The initial {key!r} of population {name!r}"
            checked[key] = values(value, what, size, Parameter(_unit(equations, key)))
    return checked


def _unit(equations: Any, variable: str) -> str:
    return next(state.unit for state in equations.states if state.name == variable)


def method_of(method: str | None, neuron: Any, name: str) -> str | None:
    """The integrator's name, checked."""
    from ranvier.equations.integrators import METHODS

    if method is not None and method not in METHODS:
        raise ValueError(f"Population {name!r} has the method {method!r}; " + nearest(str(method), METHODS))
    if method is not None and getattr(neuron, "equations", None) is None:
        model = type(neuron).__name__
        raise ValueError(f"Population {name!r} of {model} has no equations; expected no method.")
    return method


def positions_of(value: Any, size: int, name: str) -> Tensor | None:
    """Positions as a float64 tensor (size, dimensions)."""
    if value is None:
        return None
    import torch

    positions = array(value, f"positions of population {name!r}", f"({size}, dimensions)").to(torch.float64)
    if positions.ndim == 1:
        positions = positions[:, None]
    if positions.ndim != 2 or len(positions) != size:
        raise ValueError(
            f"The positions of population {name!r} have shape {tuple(positions.shape)}; expected "
            f"({size}, dimensions), one row a neuron."
        )
    if not torch.isfinite(positions).all():
        row = int((~torch.isfinite(positions)).any(1).nonzero()[0, 0])
        raise ValueError(f"Neuron {row} of population {name!r} has no finite position; expected numbers.")
    return positions


def labels_of(classes: Any, names: Any, size: int, population: str) -> tuple[Any, Any]:
    """Checked classes and names; names differ within a population."""
    classes = labels(classes, f"classes of population {population!r}", size)
    names = labels(names, f"names of population {population!r}", size)
    if names is not None:
        unique(names, f"In population {population!r} the neuron name")
    return classes, names
