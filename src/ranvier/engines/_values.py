"""Reading and setting what a simulation is made of, between two steps: variables, parameters, weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranvier._checks import nearest
from ranvier.engines.protocol import REFRACTORY, Engine
from ranvier.engines.step_model import ports_of
from ranvier.networks import Background, Network, Population, Projection, TimeSeries
from ranvier.networks.settings import Settable, assign, checked, every_setting, settings


@dataclass(frozen=True, eq=False)
class StoredState:
    """A simulation at one time, as `Simulation.store` returns it: `restore` goes back to it, to the bit.

    time: ms; state: the engine's arrays; settings: the network's parameters and weights; modulators: those in force,
    with the step at which they began.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 2, drive=10.0)
    >>> simulation = rv.Simulation(net, engine="torch")
    >>> stored = simulation.store()
    >>> _ = simulation.run(10.0)
    >>> simulation.restore(stored)
    >>> stored.time
    0.0
    """

    time: float
    state: Mapping[str, NDArray[Any]]
    settings: tuple[tuple[Settable, Mapping[str, Any]], ...]
    modulators: Mapping[Projection, tuple[TimeSeries | Population, int]]

    def changed(self, net: Network) -> list[tuple[Settable, dict[str, Any]]]:
        """What has been set since, with the values of then."""
        out = []
        for (target, then), (_, now) in zip(self.settings, every_setting(net), strict=True):
            other = {name: value for name, value in then.items() if value is not now[name]}
            if other:
                out.append((target, other))
        return out


def read(net: Network, engine: Engine, target: Settable) -> dict[str, Any]:
    """What `Simulation.get` returns: all values of a population, a projection or a background by name."""
    out: dict[str, Any] = {}
    for name, (own, scale) in _variables(net, engine, target).items():
        out[name] = torch.from_numpy(engine.values(_of(target))[own] * scale)
    if isinstance(target, Projection) and target.plasticity is not None:
        return out | {"weight": torch.from_numpy(engine.weights([target.index])[target.index]).double()}
    size = target.target.size if isinstance(target, Background) else target.size
    for name, value in settings(target).items():
        if name == "wiring" and isinstance(target, Projection):
            value = target.edges()
        elif not isinstance(value, TimeSeries):
            value = torch.as_tensor(value, dtype=torch.float64).detach().expand(size).clone()
        out[name] = value
    return out


def _of(target: Settable) -> Population:
    return target if isinstance(target, Population) else target.target


def _variables(net: Network, engine: Engine, target: Settable) -> dict[str, tuple[str, float]]:
    """name -> (the engine's name, what the engine's unit is in ours); a synapse's variables are its target's."""
    own, ports = tuple(engine.values(_of(target))), ports_of(net, _of(target))
    if isinstance(target, Population):
        synaptic = {name for port in ports for name in own if name.endswith(port.name(""))}
        scale = {REFRACTORY: engine.options.dt}
        return {name: (name, scale.get(name, 1.0)) for name in own if name not in synaptic}
    end = next(port.name("") for port in ports if port.synapse == target.synapse)
    return {name.removesuffix(end): (name, 1.0) for name in own if name.endswith(end)}


def divide(
    net: Network, engine: Engine, target: Settable, new: Mapping[str, Any]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, Any]]:
    """(variables as the engine takes them, settings as the network keeps them). Raises ValueError or TypeError."""
    variables = _variables(net, engine, target)
    known = [*variables, *settings(target)]
    for name in new:
        if name not in known:
            raise ValueError(f"{target!r} has no {name!r} to set; {nearest(name, known)}")
    own = {variables[k][0]: _column(engine, _of(target), k, value) for k, value in new.items() if k in variables}
    return own, checked(target, {name: value for name, value in new.items() if name not in variables})


def learned(projection: Projection, weights: Any) -> NDArray[np.float64]:
    """Weights of a plastic projection, (edges,), within the rule's bounds. Raises ValueError."""
    assert projection.plasticity is not None
    values = _numbers(weights, f"the weight of {projection!r}")
    values = np.broadcast_to(values, (projection.size,)) if values.size == 1 else values.reshape(-1)
    if len(values) != projection.size:
        raise ValueError(f"there are {len(values)} weights; expected {projection.size}: one an edge")
    low, high = projection.plasticity.bounds
    slack = 1e-6 * max((abs(x) for x in (low, high) if np.isfinite(x)), default=0.0)
    least, most = (values.min(), values.max()) if len(values) else (low, high)
    if not (np.isfinite(values).all() and low - slack <= least and most <= high + slack):
        raise ValueError(f"weights are from {least:g} to {most:g}; expected finite ones from {low:g} to {high:g}")
    return np.clip(values, low, high)


def put(changes: list[tuple[Settable, dict[str, Any]]]) -> list[tuple[Settable, dict[str, Any]]]:
    """Put settings in place; returns those that undo it."""
    before = [(target, {name: settings(target)[name] for name in new}) for target, new in changes]
    for target, new in changes:
        assign(target, new)
    return before


def _column(engine: Engine, target: Population, name: str, value: Any) -> NDArray[np.float64]:
    """A variable's values, (neurons,); of the refractory period, whole steps."""
    what = f"{name} of population {target.name!r}"
    column = _numbers(value, what)
    if column.shape not in ((), (1,), (target.size,)):
        raise ValueError(f"{what} has shape {column.shape}; expected a number, or ({target.size},): one a neuron")
    if not np.isfinite(column).all():
        raise ValueError(f"{what} has a value that is not finite; expected finite numbers")
    column = np.broadcast_to(column, (target.size,)).astype(np.float64)
    if name == REFRACTORY:
        if (column < 0).any():
            raise ValueError(f"{what} is {column.min():g} ms; expected 0 or above")
        return np.floor(column / engine.options.dt + 0.5)
    return column


def _numbers(value: Any, what: str) -> NDArray[np.float64]:
    value = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise TypeError(array.dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} is {type(value).__name__}; expected a number, or one each") from error
    return array.astype(np.float64)


__all__ = ["StoredState", "divide", "learned", "put", "read"]
