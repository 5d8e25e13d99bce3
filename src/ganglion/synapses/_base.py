"""What a synapse is: linear equations of its own, what a spike adds to them, and the input it gives."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, dataclass_transform

import sympy as sp

from ganglion.equations import Equations, parse


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Synapse:
    """Base of all synapses. A subclass is data:

    `equations`: its variables, or None; `jumps`: what a spike of weight 1 adds to each variable;
    `current`: the input to the neuron in mV, from its variables, the neuron's V and g_L.
    Parameters are numbers; two synapses with the same ones share their variables on a neuron.
    """

    equations: ClassVar[Equations | None] = None
    jumps: ClassVar[dict[str, str]] = {}
    current: ClassVar[str] = "0"
    weight_unit: ClassVar[str] = "mV ms"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)

    def __post_init__(self) -> None:
        for name, value in self.parameters.items():
            if name.startswith("tau") and not value >= (0.0 if name in self.may_be_zero else 1e-9):
                raise ValueError(f"{type(self).__name__}: found {name} = {value}, expected a positive time in ms")

    may_be_zero: ClassVar[tuple[str, ...]] = ()

    @property
    def continuous(self) -> bool:
        """Whether it transmits the source's voltage at every step, not its spikes."""
        return isinstance(self, Continuous)

    @property
    def parameters(self) -> dict[str, float]:
        """The numbers that the equations use."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {f.name: v for f in fields if isinstance(v := getattr(self, f.name), int | float)}

    def jump_sizes(self) -> dict[str, sp.Expr]:
        """What a spike of weight 1 adds to each variable, as expressions of the parameters."""
        return {name: parse(text) for name, text in self.jumps.items()}


class Continuous(Synapse):
    """A synapse without spikes: its input follows the source's voltage at the start of every step."""
