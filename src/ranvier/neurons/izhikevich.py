"""Izhikevich's simple model."""

from ranvier.equations import Equations, parameter
from ranvier.neurons._base import Neuron


class Izhikevich(Neuron):
    """Simple model of spiking neurons (Izhikevich 2003, eqs. 1–3); V in mV, u in mV/ms.

    `drive` and synaptic input stand where the paper has its current, so that 1 mV gives 1 mV/ms.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.Izhikevich(c=-50.0, d=2.0)  # chattering
    Izhikevich(a=0.02, b=0.2, c=-50.0, d=2.0, V_th=30.0, g_L=1.0)
    >>> rv.Izhikevich.equations.reset_text
    'V = c; u = u + d'
    """

    equations = Equations(
        """dV/dt = 0.04*V**2 + 5*V + 140 - u + drive + I + noise*sqrt(2)*xi : mV
        du/dt = a*(b*V - u) : mV/ms""",
        threshold="V >= V_th",
        reset="V = c; u = u + d",
    )
    initial = {"V": -65.0, "u": -13.0}
    relations = ("c < V_th",)
    a: float = parameter(0.02, "1/ms", "rate of recovery")
    b: float = parameter(0.2, "1/ms", "coupling of the recovery to V")
    c: float = parameter(-65.0, "mV", "reset")
    d: float = parameter(8.0, "mV/ms", "jump of u at a spike")
    V_th: float = parameter(30.0, "mV", "where a spike is counted")
    g_L: float = parameter(1.0, "nS", "leak conductance, which only conductance-based synapses use", above=0)
