"""What a synapse is: linear equations, what a spike adds to them, and the input it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import sympy as sp

from ranvier._names import identifiers
from ranvier._records import Record
from ranvier.equations import Equations, Parameter, parse
from ranvier.equations.declarations import declare, declared, fields, settle

if TYPE_CHECKING:
    from torch import Tensor

    Value = float | Tensor


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
class Synapse(Record):
    """Base of all synapses. A subclass is data:

    `equations`: its variables, or None; `jumps`: what a spike of weight 1 adds to each variable;
    `current`: the input to the neuron in mV, from its variables, the neuron's V and g_L; `weight_unit`: of its
    weights, and those in nS are conductances, 0 or above; `relations` hold between two parameters.

        class Slow(rv.Synapse):
            '''I(t) = (w/tau) exp(−t/tau).'''
            equations = rv.Equations("ds/dt = -s/tau : mV")
            jumps = {"s": "1/tau"}
            current = "s"
            tau: float = rv.parameter(100.0, "ms", "decay time", above=0)

    Parameters are numbers; one that is to be learnt is a tensor () that requires a gradient, and kept as
    given. A parameter that declares no domain may be any finite number (one called tau or tau_..., any time above
    0 ms). Two synapses with the same parameters (the same tensors, not ones of equal value) are equal, and
    share their variables on a neuron.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Slow(rv.Synapse):
    ...     equations = rv.Equations("ds/dt = -s/tau : mV")
    ...     jumps = {"s": "1/tau"}
    ...     current = "s"
    ...     tau: float = rv.parameter(100.0, "ms", "decay time", above=0)
    ...
    >>> Slow().jump_sizes()
    {'s': 1/tau}
    >>> Slow(tau=50.0) == Slow(tau=50.0)
    True
    """

    equations: ClassVar[Equations | None] = None
    jumps: ClassVar[dict[str, str]] = {}
    current: ClassVar[str] = "0"
    weight_unit: ClassVar[str] = "mV ms"
    relations: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        identifiers(cls.jumps, f"a jump of {cls.__name__}")
        names = () if cls.equations is None else cls.equations.names
        declare(cls, reserved=("V", "g_L", "I", "t", "dt", *names))

    def __post_init__(self) -> None:
        settle(self)
        for name, value in self.parameters.items():
            if shape := tuple(getattr(value, "shape", ())):
                raise ValueError(
                    f"{name} of {type(self).__name__} has shape {shape}; expected one number or a "
                    "tensor (): neurons whose synapses differ belong to different projections."
                )

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        values = (getattr(self, name) for name in fields(type(self)))
        return type(self), *(id(v) if hasattr(v, "requires_grad") else v for v in values)

    @property
    def weight_parameter(self) -> Parameter:
        """Unit and domain of its weights."""
        return Parameter(self.weight_unit, "weight", at_least=0.0 if self.weight_unit == "nS" else None)

    @property
    def continuous(self) -> bool:
        """Whether it transmits the source's voltage at every step, not its spikes."""
        return isinstance(self, Continuous)

    @property
    def parameters(self) -> dict[str, Value]:
        """What the equations use: numbers, and tensors () that require a gradient."""
        values = {name: getattr(self, name) for name in declared(type(self))}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def numbers(self) -> dict[str, float]:
        """The values of `parameters`, without gradients."""
        return {k: float(v.detach()) if hasattr(v, "detach") else v for k, v in self.parameters.items()}

    def jump_sizes(self) -> dict[str, sp.Expr]:
        """What a spike of weight 1 adds to each variable, as expressions of the parameters."""
        return {name: parse(text) for name, text in self.jumps.items()}


class Continuous(Synapse):
    """A synapse without spikes: its input follows the source's voltage at the start of every step.

    Examples
    --------
    >>> import ranvier as rv
    >>> isinstance(rv.Electrical(), rv.synapses.Continuous), isinstance(rv.Delta(), rv.synapses.Continuous)
    (True, False)
    """
