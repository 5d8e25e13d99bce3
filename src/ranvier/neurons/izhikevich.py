"""Izhikevich's simple model."""

from ranvier.equations import Equations
from ranvier.neurons._base import Neuron


class Izhikevich(Neuron):
    """Simple model of spiking neurons (Izhikevich 2003, eqs. 1–3); V in mV, u in mV/ms.

    `drive` and synaptic input stand where the paper has its current, so that 1 mV gives 1 mV/ms.
    """

    equations = Equations(
        """dV/dt = 0.04*V**2 + 5*V + 140 - u + drive + I + noise*sqrt(2)*xi : mV
        du/dt = a*(b*V - u) : mV/ms""",
        threshold="V >= V_th",
        reset="V = c; u = u + d",
    )
    initial = {"V": -65.0, "u": -13.0}
    a: float = 0.02  # 1/ms, rate of recovery
    b: float = 0.2  # 1/ms, its coupling to V
    c: float = -65.0  # mV, reset
    d: float = 8.0  # mV/ms, jump of u at a spike
    V_th: float = 30.0  # mV, where a spike is counted
    g_L: float = 1.0  # nS; only conductance-based synapses see it
