"""Leaky integrate-and-fire."""

from ranvier.equations import Equations, parameter
from ranvier.neurons._base import Neuron


class LIF(Neuron):
    """Leaky integrate-and-fire neuron (Lapicque 1907; Gerstner et al. 2014, eq. 1.5), exactly integrated.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cell = net.add(rv.LIF(t_ref=0.0), 1, drive=20.0)
    >>> rv.simulate(net, 60.0, engine="torch", dtype=torch.float64).times.tolist()  # every 20 ln(20/5) = 27.7 ms
    [27.8, 55.6]
    """

    equations = Equations(
        "dV/dt = (E_L - V + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV",
        threshold="V >= V_th",
        reset="V = V_reset",
        refractory="t_ref",
    )
    initial = {"V": "E_L"}
    relations = ("V_reset < V_th",)
    tau_m: float = parameter(20.0, "ms", "membrane time constant", above=0)
    E_L: float = parameter(-65.0, "mV", "reversal potential of the leak")
    V_th: float = parameter(-50.0, "mV", "threshold")
    V_reset: float = parameter(-65.0, "mV", "reset")
    t_ref: float = parameter(2.0, "ms", "refractory period", at_least=0)
    g_L: float = parameter(10.0, "nS", "leak conductance, which only conductance-based synapses use", above=0)
