"""Current-based synapses. Weights are areas in mV·ms, or peaks in mV with `normalise="peak"`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import sympy as sp

from ranvier.equations import Equations, option, parameter, symbol, variable
from ranvier.synapses._base import Synapse

if TYPE_CHECKING:
    from ranvier.synapses._base import Value


class Delta(Synapse):
    """Each spike moves V by the weight, in mV; lost on a refractory neuron.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.Delta().weight_unit
    'mV'
    """

    weight_unit = "mV"


class Jump(Synapse):
    """Each spike moves a variable of the neuron itself by the weight; lost where the variable is held.

    `"V"` is the neuron's first variable, whatever its name, as of `Delta`; another is given by its name.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.synapses.Jump(onto="g")
    Jump(onto='g')
    """

    weight_unit = "mV"
    onto: str = variable("V")


class _Filtered(Synapse):
    """A current kernel of area 1; `normalise="peak"` divides it by its peak."""

    normalise: Literal["area", "peak"] = option("area", "peak")

    @property
    def weight_unit(self) -> str:  # type: ignore[override]
        """mV ms, or mV where the weight is the kernel's peak."""
        return "mV ms" if self.normalise == "area" else "mV"

    def peak(self) -> float:
        """The largest value of the kernel of area 1, 1/ms."""
        return float(self.peak_size().subs({symbol(k): v for k, v in self.numbers.items()}))

    def peak_size(self) -> sp.Expr:
        """`peak` as an expression of the parameters."""
        raise NotImplementedError

    def jump_sizes(self) -> dict[str, sp.Expr]:
        sizes = super().jump_sizes()
        return sizes if self.normalise == "area" else {k: v / self.peak_size() for k, v in sizes.items()}


class Exponential(_Filtered):
    """I(t) = (w/tau) exp(−t/tau): area w.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.Exponential(tau=5.0).weight_unit, rv.Exponential(tau=5.0, normalise="peak").weight_unit
    ('mV ms', 'mV')
    >>> round(rv.Exponential(tau=5.0).peak(), 3)  # 1/tau
    0.2
    """

    equations = Equations("ds/dt = -s/tau : mV")
    jumps = {"s": "1/tau"}
    current = "s"
    tau: Value = parameter(5.0, "ms", "decay time", above=0)

    def peak_size(self) -> sp.Expr:
        return 1 / symbol("tau")


class Alpha(_Filtered):
    """I(t) = (w t/tau²) exp(−t/tau): area w, peak at t = tau.

    Examples
    --------
    >>> import ranvier as rv
    >>> round(rv.Alpha(tau=5.0).peak(), 4)  # 1/(e tau)
    0.0736
    """

    equations = Equations(
        """ds/dt = (r - s)/tau : mV
        dr/dt = -r/tau : mV"""
    )
    jumps = {"r": "1/tau"}
    current = "s"
    tau: Value = parameter(5.0, "ms", "time of the peak", above=0)

    def peak_size(self) -> sp.Expr:
        return sp.exp(-1) / symbol("tau")


class BiExponential(_Filtered):
    """I(t) = w (exp(−t/tau_decay) − exp(−t/tau_rise))/(tau_decay − tau_rise): area w.

    Examples
    --------
    >>> import ranvier as rv
    >>> synapse = rv.BiExponential(tau_rise=1.0, tau_decay=5.0)
    >>> round(synapse.peak(), 4)
    0.1337
    >>> synapse.parameters
    {'tau_rise': 1.0, 'tau_decay': 5.0}
    """

    equations = Equations(
        """ds/dt = (r - s)/tau_decay : mV
        dr/dt = -r/tau_rise : mV"""
    )
    jumps = {"r": "1/tau_rise"}
    current = "s"
    tau_rise: Value = parameter(1.0, "ms", "rise time", above=0)
    tau_decay: Value = parameter(5.0, "ms", "decay time", above=0)

    def peak_size(self) -> sp.Expr:
        return difference_peak(self.numbers)


def difference_peak(numbers: Mapping[str, float]) -> sp.Expr:
    """The largest value of (exp(−t/tau_decay) − exp(−t/tau_rise))/(tau_decay − tau_rise), of the parameters."""
    ratio, decay = symbol("tau_decay") / symbol("tau_rise"), symbol("tau_decay")
    if numbers["tau_rise"] == numbers["tau_decay"]:  # an alpha function, and its slope
        return sp.exp((ratio - 3) / 2) / decay
    return sp.exp(-sp.log(ratio) / (ratio - 1)) / decay
