"""What a synapse is: linear equations of its own, what a spike adds to them, and the input it gives."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import sympy as sp

from ranvier._names import identifiers
from ranvier._records import Record
from ranvier.equations import Equations, parse

if TYPE_CHECKING:
    from torch import Tensor

    Value = float | Tensor


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
class Synapse(Record):
    """Base of all synapses. A subclass is data:

    `equations`: its variables, or None; `jumps`: what a spike of weight 1 adds to each variable;
    `current`: the input to the neuron in mV, from its variables, the neuron's V and g_L.

    Parameters are numbers; one that is to be learnt is a tensor () that requires a gradient, and kept as
    given. Two synapses with the same parameters (the same tensors, not ones of equal value) are equal, and
    share their variables on a neuron.
    """

    equations: ClassVar[Equations | None] = None
    jumps: ClassVar[dict[str, str]] = {}
    current: ClassVar[str] = "0"
    weight_unit: ClassVar[str] = "mV ms"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        identifiers(cls.jumps, f"a jump of {cls.__name__}")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if value is not None and not isinstance(value, int | float | str):
                object.__setattr__(self, field.name, _number(value, f"{type(self).__name__}: found {field.name}"))
        for name, value in self.numbers.items():
            if name.startswith("tau") and not value >= (0.0 if name in self.may_be_zero else 1e-9):
                raise ValueError(f"{type(self).__name__}: found {name} = {value}, expected a positive time in ms")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key == other._key  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        values = (getattr(self, f.name) for f in dataclasses.fields(self))  # type: ignore[arg-type]
        return type(self), *(id(v) if hasattr(v, "requires_grad") else v for v in values)

    may_be_zero: ClassVar[tuple[str, ...]] = ()

    @property
    def continuous(self) -> bool:
        """Whether it transmits the source's voltage at every step, not its spikes."""
        return isinstance(self, Continuous)

    @property
    def parameters(self) -> dict[str, Value]:
        """What the equations use: numbers, and tensors () that require a gradient."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        found = {f.name: getattr(self, f.name) for f in fields}
        return {k: v for k, v in found.items() if v is not None and not isinstance(v, str)}

    @property
    def numbers(self) -> dict[str, float]:
        """The values of `parameters`, without gradients."""
        return {k: float(v.detach()) if hasattr(v, "detach") else v for k, v in self.parameters.items()}

    def jump_sizes(self) -> dict[str, sp.Expr]:
        """What a spike of weight 1 adds to each variable, as expressions of the parameters."""
        return {name: parse(text) for name, text in self.jumps.items()}


def _number(value: Any, what: str) -> Any:
    shape = tuple(getattr(value, "shape", ()))
    if shape or not hasattr(value, "__float__"):
        raise ValueError(
            f"{what} = {value!r}, expected one number or a tensor (). Neurons whose synapses differ belong to "
            "different projections"
        )
    return value if getattr(value, "requires_grad", False) else float(value)


class Continuous(Synapse):
    """A synapse without spikes: its input follows the source's voltage at the start of every step."""
