"""Leaky integrate-and-fire."""

from ranvier.equations import Equations
from ranvier.neurons._base import Neuron


class LIF(Neuron):
    """Leaky integrate-and-fire neuron (Lapicque 1907; Gerstner et al. 2014, eq. 1.5), exactly integrated."""

    equations = Equations(
        "dV/dt = (E_L - V + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV",
        threshold="V >= V_th",
        reset="V = V_reset",
        refractory="t_ref",
    )
    initial = {"V": "E_L"}
    tau_m: float = 20.0  # ms, membrane time constant
    E_L: float = -65.0  # mV, leak reversal
    V_th: float = -50.0  # mV, threshold
    V_reset: float = -65.0  # mV
    t_ref: float = 2.0  # ms, refractory period
    g_L: float = 10.0  # nS, leak conductance; only conductance-based synapses see it
