"""Ion channels of a membrane, by equations: each is a class with its gates and its current."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import sympy as sp

from ranvier._records import Record
from ranvier.equations import Equations, parameter, parse, symbol
from ranvier.equations.declarations import declare, declared, settle

if TYPE_CHECKING:
    from torch import Tensor

    Value = float | Tensor


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
class Channel(Record):
    """Base of all channels. A subclass is data:

    `equations`: its gates, each linear in itself, of V and parameters alone (or None); `current`: what flows out of the
    cell, in uA/cm^2 (mS/cm^2 times mV), of V, gates and parameters. Gates begin at their steady states.

        class Persistent(rv.cables.Channel):
            '''Sodium that does not inactivate.'''
            equations = rv.Equations("dp/dt = (1/(1 + exp(-(V + 48)/5)) - p)/tau : 1")
            current = "g*p*(V - E)"
            g: float = rv.parameter(0.1, "mS/cm^2", "largest conductance", at_least=0)
            E: float = rv.parameter(50.0, "mV", "reversal potential")
            tau: float = rv.parameter(1.0, "ms", "of the gate", above=0)

    Parameters are numbers, or tensors (cells,) where many cells of one shape differ.

    Examples
    --------
    >>> import ranvier as rv
    >>> channel = rv.cables.SquidSodium()
    >>> channel.gates
    ('m', 'h')
    >>> rv.cables.Leak(g=0.1).current
    'g*(V - E)'
    """

    equations: ClassVar[Equations | None] = None
    current: ClassVar[str] = "0"
    relations: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        gates = () if cls.equations is None else cls.equations.names
        declare(cls, reserved=("V", "dt", "size", "t", *gates))
        fields = set(declared(cls))
        used = set(_names(parse(cls.current)))
        for state in () if cls.equations is None else cls.equations.states:
            x = symbol(state.name)
            slope = sp.expand(sp.diff(state.drift, x))
            others = {symbol(name) for name in gates if name != state.name}
            if state.diffusion or slope.has(x) or state.drift.free_symbols & others:
                raise TypeError(
                    f"d{state.name}/dt of {cls.__name__} is {state.drift}; expected it to be linear in {state.name} "
                    "and free of noise and of other gates, for an exponential step"
                )
            used |= _names(state.drift)
        if unknown := used - fields - {"V", *gates}:
            raise TypeError(
                f"{cls.__name__} uses {', '.join(sorted(unknown))}; expected a default of each, such as "
                f"`{min(unknown)}: float = 1.0`"
            )

    def __post_init__(self) -> None:
        settle(self)

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of its variables."""
        return () if self.equations is None else self.equations.names

    @property
    def parameters(self) -> Mapping[str, Value]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in declared(type(self))}


def _names(expression: Any) -> set[str]:
    return {s.name for s in expression.free_symbols}


class Leak(Channel):
    """A constant conductance.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.cables.Leak(g=1 / 20.0, E=-70.0)  # 20 kΩ cm²
    Leak(g=0.05, E=-70.0)
    """

    current = "g*(V - E)"
    g: Value = parameter(0.1, "mS/cm^2", "conductance", at_least=0)
    E: Value = parameter(-65.0, "mV", "reversal potential")


class SquidSodium(Channel):
    """Sodium of the squid's giant axon (Hodgkin & Huxley 1952, J. Physiol. 117:500, eqs. 3, 15, 16, 20-24), at rest at
    -65 mV; rates rise by `Q10` every 10 degrees above 6.3.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.cables.SquidSodium(celsius=18.5).gates
    ('m', 'h')
    """

    equations = Equations(
        """dm/dt = pace*(alpha_m*(1 - m) - beta_m*m) : 1
        dh/dt = pace*(alpha_h*(1 - h) - beta_h*h) : 1
        alpha_m = 1/exprel(-(V + 40)/10)
        beta_m = 4*exp(-(V + 65)/18)
        alpha_h = 0.07*exp(-(V + 65)/20)
        beta_h = 1/(1 + exp(-(V + 35)/10))
        pace = Q10**((celsius - 6.3)/10)"""
    )
    current = "g*m**3*h*(V - E)"
    g: Value = parameter(120.0, "mS/cm^2", "largest conductance", at_least=0)
    E: Value = parameter(50.0, "mV", "reversal potential")
    celsius: Value = parameter(6.3, "degC", "temperature")
    Q10: Value = parameter(3.0, "1", "factor of the rates for 10 degrees", above=0)


class SquidPotassium(Channel):
    """Potassium of the squid's giant axon (Hodgkin & Huxley 1952, J. Physiol. 117:500, eqs. 6, 12, 13), at rest at
    -65 mV; rates rise by `Q10` every 10 degrees above 6.3.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.cables.SquidPotassium().gates
    ('n',)
    """

    equations = Equations(
        """dn/dt = pace*(alpha_n*(1 - n) - beta_n*n) : 1
        alpha_n = 0.1/exprel(-(V + 55)/10)
        beta_n = 0.125*exp(-(V + 65)/80)
        pace = Q10**((celsius - 6.3)/10)"""
    )
    current = "g*n**4*(V - E)"
    g: Value = parameter(36.0, "mS/cm^2", "largest conductance", at_least=0)
    E: Value = parameter(-77.0, "mV", "reversal potential")
    celsius: Value = parameter(6.3, "degC", "temperature")
    Q10: Value = parameter(3.0, "1", "factor of the rates for 10 degrees", above=0)


class TraubSodium(Channel):
    """Sodium of `rv.HodgkinHuxley` (Traub & Miles 1991; Brette et al. 2007, appendix B).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.cables.TraubSodium(V_T=-58.0).gates
    ('m', 'h')
    """

    equations = Equations(
        """dm/dt = alpha_m*(1 - m) - beta_m*m : 1
        dh/dt = alpha_h*(1 - h) - beta_h*h : 1
        v = V - V_T
        alpha_m = 1.28/exprel((13 - v)/4)
        beta_m = 1.4/exprel((v - 40)/5)
        alpha_h = 0.128*exp((17 - v)/18)
        beta_h = 4/(1 + exp((40 - v)/5))"""
    )
    current = "g*m**3*h*(V - E)"
    g: Value = parameter(100.0, "mS/cm^2", "largest conductance", at_least=0)
    E: Value = parameter(50.0, "mV", "reversal potential")
    V_T: Value = parameter(-63.0, "mV", "shifts the rate functions")


class TraubPotassium(Channel):
    """Potassium of `rv.HodgkinHuxley` (Traub & Miles 1991; Brette et al. 2007, appendix B).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.cables.TraubPotassium().gates
    ('n',)
    """

    equations = Equations(
        """dn/dt = alpha_n*(1 - n) - beta_n*n : 1
        v = V - V_T
        alpha_n = 0.16/exprel((15 - v)/5)
        beta_n = 0.5*exp((10 - v)/40)"""
    )
    current = "g*n**4*(V - E)"
    g: Value = parameter(30.0, "mS/cm^2", "largest conductance", at_least=0)
    E: Value = parameter(-90.0, "mV", "reversal potential")
    V_T: Value = parameter(-63.0, "mV", "shifts the rate functions")


__all__ = ["Channel", "Leak", "SquidPotassium", "SquidSodium", "TraubPotassium", "TraubSodium"]
