"""Channels and synapses as one kind of thing: variables on some compartments, and the current that they let out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
import torch
from numpy.typing import NDArray

from ranvier.cables.cell import PER_AREA, CableCell
from ranvier.cables.channels import Channel
from ranvier.equations import exprel, parse, symbol
from ranvier.equations.integrators import DT, make_scheme
from ranvier.equations.propagators import propagators
from ranvier.synapses import Delta, Jump, Synapse

V = symbol("V")


@dataclass(frozen=True, eq=False)
class Kind:
    """One step of a channel or a synapse, in SymPy.

    states: its variables; middle: their values at the middle of the step, from those before; after: their values that
    the next step begins with, from those at the middle; current: pA out of the cell for a size of 1, at the middle;
    slope: its derivative by V; initial: at the start, of V; names: the numbers that all of these use.
    """

    name: str
    states: tuple[str, ...]
    middle: dict[str, sp.Expr]
    after: dict[str, sp.Expr]
    current: sp.Expr
    slope: sp.Expr
    initial: dict[str, sp.Expr]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Process:
    """A `Kind` on compartments `places` (m,), with a size each: area × `PER_AREA`, or 1 for synapses."""

    kind: Kind
    model: Channel | Synapse
    places: NDArray[np.int64]
    sizes: NDArray[np.float64]

    def numbers(self, dt: float) -> dict[str, Any]:
        """What the kind's expressions use, by name: parameters, and of synapses the propagators of half a step."""
        values: dict[str, Any] = dict(self.model.parameters)
        if isinstance(self.model, Synapse):
            values = dict(self.model.numbers)
            values |= _propagators(self.model, dt)
        return {name: values[name] for name in self.kind.names if name in values}


def channels_of(cell: CableCell, cells: int | None = None) -> list[Process]:
    """The cell's channels, where they have area.

    Raises ValueError for parameters that are neither numbers nor, where `cells` is how many cells there are, one
    number for each.
    """
    out = []
    for channel, area in cell.membrane:
        for name, value in channel.parameters.items():
            if not (shape := np.shape(value)) or shape == (cells,):
                continue
            what = f"{name} of {type(channel).__name__}"
            if cells is None:
                raise ValueError(f"{what} differs between cells; expected one number: make a CableCell for each kind")
            raise ValueError(f"{what} has shape {shape}; expected one number, or ({cells},), one for each cell")
        places = np.flatnonzero(area)
        out.append(Process(_channel(_hashed(type(channel))), channel, places, PER_AREA * area[places]))
    return out


def synapse_on(synapse: Synapse, places: NDArray[np.int64]) -> Process:
    """A synapse on compartments; ValueError for one that is no current or conductance by equations."""
    return Process(_synapse(_hashed(type(synapse)), synapse.weight_unit), synapse, places, np.ones(len(places)))


def _hashed(model: Any) -> Any:
    return model  # a class; type checkers ask for the hash of its instances


@cache
def _channel(model: Any) -> Kind:
    rates = _rates(model)
    middle = {
        name: symbol(name) + DT * exprel(a * DT) * (a * symbol(name) + b) for name, (a, b) in rates.items()
    }
    current: Any = parse(model.current)
    return _kind(
        model.__name__, middle, {}, current, {name: -b / a for name, (a, b) in rates.items()}
    )  # fmt: skip


def _rates(model: type[Channel]) -> dict[str, tuple[sp.Expr, sp.Expr]]:
    out = {}
    for state in () if model.equations is None else model.equations.states:
        x = symbol(state.name)
        out[state.name] = sp.expand(sp.diff(state.drift, x)), state.drift.xreplace({x: sp.Integer(0)})
    return out


@cache
def _synapse(model: Any, unit: str) -> Kind:
    if model.equations is None or issubclass(model, Delta | Jump):
        raise ValueError(
            f"synapse is {model.__name__}, which has no equations; expected a conductance or a current with a course "
            "in time, such as rv.ExponentialConductance()"
        )
    scheme = make_scheme(model.equations.states, method="exact")
    inwards: Any = parse(model.current)
    # I is in mV, a current over the leak's conductance: with g_L = 1 nS weights in mV are pA
    current = -sp.expand_mul(inwards * symbol("g_L")) if unit == "nS" else -inwards.xreplace({symbol("g_L"): 1})
    if current.has(symbol("g_L")):
        raise ValueError(
            f"the current of {model.__name__} is {model.current!r}; expected one over g_L, which a cable has no one of"
        )
    return _kind(model.__name__, scheme.result, scheme.result, current, {name: sp.Integer(0) for name in scheme.result})


def _kind(
    name: str,
    middle: Mapping[str, sp.Expr],
    after: Mapping[str, sp.Expr],
    current: sp.Expr,
    initial: Mapping[str, sp.Expr],
) -> Kind:
    slope = sp.diff(current, V)
    used = {s for e in (*middle.values(), *after.values(), current, slope) for s in e.free_symbols}
    names = sorted(s.name for s in used - {V, DT} - {symbol(x) for x in middle})
    return Kind(name, tuple(middle), dict(middle), dict(after), current, slope, dict(initial), tuple(names))


def _propagators(synapse: Synapse, dt: float) -> dict[str, float]:
    equations = synapse.equations
    block = None if equations is None else make_scheme(equations.states, method="exact").linear
    if block is None:
        return {}
    values = {k: torch.tensor(v, dtype=torch.float64) for k, v in synapse.numbers.items()}
    return {name: float(x) for name, x in propagators(block, values, dt / 2).items()}


__all__ = ["Kind", "Process", "channels_of", "synapse_on"]
