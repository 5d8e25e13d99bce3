"""Current-based synapses. Weights are areas in mV·ms, or peaks in mV with `normalise="peak"`."""

from __future__ import annotations

from typing import Literal

import sympy as sp

from ganglion.equations import Equations
from ganglion.synapses._base import Synapse


class Delta(Synapse):
    """Each spike moves V by the weight, in mV; lost on a refractory neuron."""

    weight_unit = "mV"


class _Filtered(Synapse):
    """A current kernel of area 1; `normalise="peak"` divides it by its peak."""

    normalise: Literal["area", "peak"] = "area"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.normalise not in ("area", "peak"):
            raise ValueError(f"found normalise = {self.normalise!r}, expected 'area' or 'peak'")

    def peak(self) -> float:
        """The largest value of the kernel of area 1, 1/ms."""
        raise NotImplementedError

    def jump_sizes(self) -> dict[str, sp.Expr]:
        scale = 1.0 if self.normalise == "area" else 1.0 / self.peak()
        return {name: scale * size for name, size in super().jump_sizes().items()}


class Exponential(_Filtered):
    """I(t) = (w/tau) exp(−t/tau): area w."""

    equations = Equations("ds/dt = -s/tau : mV")
    jumps = {"s": "1/tau"}
    current = "s"
    tau: float = 5.0  # ms

    def peak(self) -> float:
        return 1 / self.tau


class Alpha(_Filtered):
    """I(t) = (w t/tau²) exp(−t/tau): area w, peak at t = tau."""

    equations = Equations(
        """ds/dt = (r - s)/tau : mV
        dr/dt = -r/tau : mV"""
    )
    jumps = {"r": "1/tau"}
    current = "s"
    tau: float = 5.0  # ms

    def peak(self) -> float:
        from math import e

        return 1 / (e * self.tau)


class BiExponential(_Filtered):
    """I(t) = w (exp(−t/tau_decay) − exp(−t/tau_rise))/(tau_decay − tau_rise): area w."""

    equations = Equations(
        """ds/dt = (r - s)/tau_decay : mV
        dr/dt = -r/tau_rise : mV"""
    )
    jumps = {"r": "1/tau_rise"}
    current = "s"
    tau_rise: float = 1.0  # ms
    tau_decay: float = 5.0  # ms

    def peak(self) -> float:
        from math import exp, log

        rise, decay = self.tau_rise, self.tau_decay
        if rise == decay:
            return Alpha(tau=decay).peak()
        at = log(decay / rise) * rise * decay / (decay - rise)
        return (exp(-at / decay) - exp(-at / rise)) / (decay - rise)
