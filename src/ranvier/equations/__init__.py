"""Equations written once: as SymPy, from which the torch step, the compiled kernel and the theory derive."""

from ranvier.equations._equations import Equations, StateVariable
from ranvier.equations._events import Event
from ranvier.equations._parse import draw_number, draws_in, exprel, is_draw, parse, symbol
from ranvier.equations.parameters import Parameter, option, parameter, variable
from ranvier.equations.units import quantity

__all__ = [
    "Equations", "Event", "Parameter", "StateVariable", "draw_number", "draws_in", "exprel", "is_draw", "option",
    "parameter", "parse", "quantity", "symbol", "variable",
]  # fmt: skip
