"""A readout whose gradient is exact and needs nothing but the step at hand: error times the trace of its leak."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ranvier.learners.counting import rows_of
from ranvier.learners.local._layers import LayerSynapses, advance, begin
from ranvier.nn.spiking.lif import LI


class Readout:
    """Leaky integrators (`LI` with weights), or an nn.Linear; its state and traces for one batch."""

    def __init__(self, module: LI | nn.Linear) -> None:
        self.layer = module if isinstance(module, LI) else None
        linear: Any = module if isinstance(module, nn.Linear) else module.linear
        self.synapses = LayerSynapses(linear)
        values = {} if self.layer is None else {k: float(v) for k, v in self.layer._constants().items()}
        self.decays = [values[k] for k in ("alpha", "beta") if k in values]
        self._traces: list[tuple[Any, float]] = [(0.0, 0.0)] * len(self.decays)
        self._state: Any = None

    def step(self, z: Tensor) -> Tensor:
        """z (B, N) -> y (B, C)."""
        y = self.synapses(z)
        if self.layer is not None:
            if self._state is None:
                self._state = begin(self.layer, y)
            self._state, y, _ = advance(self.layer, self._state, y)
        trace, ones = z, 1.0
        for k, decay in enumerate(self.decays):
            trace, ones = decay * self._traces[k][0] + trace, decay * self._traces[k][1] + ones
            self._traces[k] = (trace, ones)
        self._last = (trace, ones)
        if (counted := rows_of(self.synapses.module)) is not None:
            counted.signals.multiply(len(self.decays) * z.numel())
        return y

    def held(self) -> list[Any]:
        """All that goes from one step to the next."""
        return [*(self._state or {}).values(), *(trace for trace, _ in self._traces)]

    def collect(self, error: Tensor) -> None:
        """Add error (B, C) times the traces of the step just made."""
        self.synapses.collect(error, *self._last)


def check_leak(layer: LI) -> None:
    """ValueError unless all neurons of the readout leak alike."""
    if any(value.ndim for value in layer._constants().values()):
        raise ValueError("there is a readout with one leak a neuron; expected one for all: it filters every trace")


__all__ = ["Readout", "check_leak"]
