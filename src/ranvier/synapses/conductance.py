"""Conductance-based synapses. Weights are peak conductances in nS; the input is g (E_rev − V)/g_L in mV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy as sp

from ranvier.equations import Equations, parameter, symbol
from ranvier.synapses._base import Synapse
from ranvier.synapses.current import difference_peak

if TYPE_CHECKING:
    from ranvier.synapses._base import Value


class ExponentialConductance(Synapse):
    """g(t) = w exp(−t/tau).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.ExponentialConductance(E_rev=-80.0).weight_unit
    'nS'
    """

    equations = Equations("dg/dt = -g/tau : nS")
    jumps = {"g": "1"}
    current = "g*(E_rev - V)/g_L"
    weight_unit = "nS"
    tau: Value = parameter(5.0, "ms", "decay time", above=0)
    E_rev: Value = parameter(0.0, "mV", "reversal potential")


class AlphaConductance(Synapse):
    """g(t) = w (t/tau) exp(1 − t/tau): peak w at t = tau.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.AlphaConductance(tau=2.0)
    AlphaConductance(tau=2.0, E_rev=0.0)
    """

    equations = Equations(
        """dg/dt = (r - g)/tau : nS
        dr/dt = -r/tau : nS"""
    )
    jumps = {"r": "exp(1)"}
    current = "g*(E_rev - V)/g_L"
    weight_unit = "nS"
    tau: Value = parameter(5.0, "ms", "time of the peak", above=0)
    E_rev: Value = parameter(0.0, "mV", "reversal potential")


class BiExponentialConductance(Synapse):
    """g(t) = w (exp(−t/tau_decay) − exp(−t/tau_rise))/n, n such that the peak is w.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.synapses.BiExponentialConductance(tau_rise=0.5).weight_unit
    'nS'
    """

    equations = Equations(
        """dg/dt = (r - g)/tau_decay : nS
        dr/dt = -r/tau_rise : nS"""
    )
    jumps = {"r": "1"}
    current = "g*(E_rev - V)/g_L"
    weight_unit = "nS"
    tau_rise: Value = parameter(1.0, "ms", "rise time", above=0)
    tau_decay: Value = parameter(5.0, "ms", "decay time", above=0)
    E_rev: Value = parameter(0.0, "mV", "reversal potential")

    def jump_sizes(self) -> dict[str, sp.Expr]:
        return {"r": 1 / (symbol("tau_rise") * difference_peak(self.numbers))}


class NMDA(BiExponentialConductance):
    """NMDA receptors with their block by magnesium (Jahr & Stevens 1990, J. Neurosci. 10:3178, eq. 4): the input is
    g B(V) (E_rev − V)/g_L, B = 1/(1 + (Mg/Mg_half) exp(−slope V)). The weight is the peak conductance without block.

    The current is no line in V: noise-free cells go by `rk4`. Predictions refuse it.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> spikes, cell = net.add(rv.SpikeTimes([1.0], [0]), 1), net.add(rv.LIF(), 1)
    >>> slow = net.connect(spikes, cell, weight=2.0, edges=([0], [0]), synapse=rv.synapses.NMDA(Mg=0.5))
    >>> slow.synapse.weight_unit
    'nS'
    """

    current = "g*(E_rev - V)/(1 + Mg/Mg_half*exp(-slope*V))/g_L"
    tau_rise: Value = parameter(2.0, "ms", "rise time", above=0)
    tau_decay: Value = parameter(100.0, "ms", "decay time", above=0)
    Mg: Value = parameter(1.0, "mM", "magnesium outside", at_least=0)
    Mg_half: Value = parameter(3.57, "mM", "magnesium that blocks half at 0 mV", above=0)
    slope: Value = parameter(0.062, "1/mV", "how the block falls with V", above=0)
