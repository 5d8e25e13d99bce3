"""Quadratic integrate-and-fire."""

from ranvier.equations import Equations
from ranvier.neurons._base import Neuron


class QIF(Neuron):
    """Quadratic integrate-and-fire neuron (Ermentrout & Kopell 1986; Latham et al. 2000, eq. 2).

    tau_m dV/dt = (V − V_rest)(V − V_c)/(V_c − V_rest) + drive + I; the slope at rest is that of a leak.
    """

    equations = Equations(
        "dV/dt = ((V - V_rest)*(V - V_c)/(V_c - V_rest) + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV",
        threshold="V >= V_th",
        reset="V = V_reset",
        refractory="t_ref",
    )
    initial = {"V": "V_rest"}
    tau_m: float = 20.0  # ms
    V_rest: float = -65.0  # mV, stable fixed point without input
    V_c: float = -50.0  # mV, unstable fixed point without input
    V_th: float = 30.0  # mV, where a spike is counted
    V_reset: float = -80.0  # mV
    t_ref: float = 0.0  # ms
    g_L: float = 10.0  # nS
