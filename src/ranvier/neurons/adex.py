"""Adaptive exponential integrate-and-fire."""

from ranvier.equations import Equations
from ranvier.neurons._base import Neuron


class AdEx(Neuron):
    """Adaptive exponential integrate-and-fire neuron (Brette & Gerstner 2005, eqs. 1–3).

    tau_m = C_m/g_L. A current of 1 pA is a drive of 1/g_L mV.
    """

    equations = Equations(
        """dV/dt = (g_L*(E_L - V + psi + drive + I) - w)/C_m + noise*sqrt(2*g_L/C_m)*xi : mV
        dw/dt = (a*(V - E_L) - w)/tau_w : pA
        psi = Delta_T*exp((V - V_T)/Delta_T)""",
        threshold="V >= V_th",
        reset="V = V_reset; w = w + b",
        refractory="t_ref",
    )
    initial = {"V": "E_L"}
    C_m: float = 281.0  # pF
    g_L: float = 30.0  # nS
    E_L: float = -70.6  # mV
    Delta_T: float = 2.0  # mV
    V_T: float = -50.4  # mV
    V_th: float = 0.0  # mV, where a spike is counted
    V_reset: float = -70.6  # mV
    tau_w: float = 144.0  # ms
    a: float = 4.0  # nS, subthreshold adaptation
    b: float = 80.5  # pA, spike-triggered adaptation
    t_ref: float = 0.0  # ms
