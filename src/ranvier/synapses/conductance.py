"""Conductance-based synapses. Weights are peak conductances in nS; the input is g (E_rev − V)/g_L in mV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.equations import Equations, parameter
from ranvier.synapses._base import Synapse

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
