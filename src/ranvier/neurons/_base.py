"""What a neuron model is: equations, and parameters with their defaults, units and domains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, dataclass_transform

from torch import Tensor

from ranvier._records import Record
from ranvier.equations import Equations
from ranvier.equations.declarations import declare, declared, settle

#: A parameter: one number for all neurons of a population, or one a neuron, (neurons,).
Value = float | Tensor


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
class Neuron(Record):
    """Base of all neuron models. A subclass is its equations and its parameters with their defaults:

        class PIF(rv.Neuron):
            '''Perfect integrator.'''
            equations = rv.Equations("dV/dt = (drive + I)/tau_m : mV", threshold="V >= V_th", reset="V = V_reset")
            relations = ("V_reset < V_th",)
            tau_m: float = rv.parameter(10.0, "ms", "membrane time constant", above=0)
            V_th: float = -50.0  # mV
            V_reset: float = -60.0  # mV

    and runs in every engine. A parameter that declares no domain may be any finite number (one called tau or tau_...,
    any time above 0 ms, and the refractory period any from 0 ms). `relations` hold between two parameters. `drive` and
    `noise` (mV) are the population's, given in `Network.add`. `initial` gives the variables' values at t = 0 (a number
    or the name of a parameter; default 0).
    Values are numbers, or tensors and arrays, one a neuron; those outside their domain raise ValueError.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Perfect(rv.Neuron):
    ...     equations = rv.Equations("dV/dt = (drive + I)/tau_m : mV", threshold="V >= V_th", reset="V = V_reset")
    ...     tau_m: float = rv.parameter(10.0, "ms", "membrane time constant", above=0)
    ...     V_th: float = rv.parameter(10.0, "mV", "threshold")
    ...     V_reset: float = rv.parameter(0.0, "mV", "reset")
    ...
    >>> net = rv.Network()
    >>> cell = net.add(Perfect(), 1, drive=5.0)
    >>> rv.simulate(net, 60.0, engine="torch").times.tolist()
    [20.0, 40.0, 60.0]
    """

    equations: ClassVar[Equations]
    initial: ClassVar[Mapping[str, float | str]] = {}
    relations: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        equations = getattr(cls, "equations", None)
        if not isinstance(equations, Equations):
            raise TypeError(f"{cls.__name__} has no equations; expected `equations = rv.Equations(...)`")
        declare(cls, reserved=("drive", "noise", "I", "t", "dt", *equations.names))
        fields = set(declared(cls))
        missing = set(equations.parameters) - fields - {"drive", "noise", "g_L"}
        if missing:
            raise TypeError(
                f"{cls.__name__}'s equations use {', '.join(sorted(missing))}; "
                f"expected a default of each, such as `{min(missing)}: float = 1.0`"
            )
        for name, value in cls.initial.items():
            if name not in equations.names or (isinstance(value, str) and value not in fields):
                raise TypeError(
                    f"{cls.__name__}'s initial has {name!r}: {value!r}; expected a variable "
                    f"({', '.join(equations.names)}), and a number or the name of a parameter."
                )

    def __post_init__(self) -> None:
        settle(self)

    @property
    def parameters(self) -> dict[str, Value]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in declared(type(self))}

    def _repr_latex_(self) -> str:
        return self.equations._repr_latex_()
