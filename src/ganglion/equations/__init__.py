"""Equations written once: as SymPy, from which the torch step, the compiled kernel and the theory derive."""

from ganglion.equations._equations import Equations, State
from ganglion.equations._parse import exprel, parse, symbol
from ganglion.equations.units import quantity

__all__ = ["Equations", "State", "exprel", "parse", "quantity", "symbol"]
