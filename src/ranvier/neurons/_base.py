"""What a neuron model is: equations and default parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, dataclass_transform

from torch import Tensor

from ranvier._records import Record
from ranvier.equations import Equations

#: A parameter: one number for all neurons of a population, or one a neuron, (neurons,).
Value = float | Tensor


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
class Neuron(Record):
    """Base of all neuron models. A subclass is its equations and its parameters with their defaults:

        class PIF(rv.Neuron):
            '''Perfect integrator.'''
            equations = rv.Equations("dV/dt = (drive + I)/tau_m : mV", threshold="V >= V_th", reset="V = V_reset")
            tau_m: float = 10.0  # ms
            V_th: float = -50.0  # mV
            V_reset: float = -60.0  # mV

    and runs in every engine. `drive` and `noise` (mV) are the population's, given in `Network.add`.
    `initial` gives the variables' values at t = 0 (a number or the name of a parameter; default 0).
    """

    equations: ClassVar[Equations]
    initial: ClassVar[Mapping[str, float | str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        equations = getattr(cls, "equations", None)
        if not isinstance(equations, Equations):
            raise TypeError(f"{cls.__name__} has no `equations = rv.Equations(...)`")
        fields = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        for name, value in cls.initial.items():
            if name not in equations.names or (isinstance(value, str) and value not in fields):
                raise TypeError(
                    f"{cls.__name__} has the initial value {name!r}: {value!r}; expected one of the variables "
                    f"{', '.join(equations.names)}, and a number or a parameter's name"
                )
        missing = set(equations.parameters) - fields - {"drive", "noise", "g_L"}
        if missing:
            raise TypeError(
                f"{cls.__name__}'s equations use {', '.join(sorted(missing))}; "
                f"give each a default, such as `{min(missing)}: float = 1.0`"
            )

    @property
    def parameters(self) -> dict[str, Value]:
        """The parameters by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    def _repr_latex_(self) -> str:
        return self.equations._repr_latex_()
