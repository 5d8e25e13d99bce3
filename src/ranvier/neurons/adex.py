"""Adaptive exponential integrate-and-fire."""

from ranvier.equations import Equations, parameter
from ranvier.neurons._base import Neuron


class AdEx(Neuron):
    """Adaptive exponential integrate-and-fire neuron (Brette & Gerstner 2005, eqs. 1–3).

    tau_m = C_m/g_L. A current of 1 pA is a drive of 1/g_L mV.

    Examples
    --------
    >>> import ranvier as rv
    >>> cell = rv.AdEx(b=0.0)
    >>> cell.C_m / cell.g_L  # ms
    9.366666666666667
    >>> rv.AdEx.equations.names
    ('V', 'w')
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
    relations = ("V_reset < V_th",)
    C_m: float = parameter(281.0, "pF", "membrane capacitance", above=0)
    g_L: float = parameter(30.0, "nS", "leak conductance", above=0)
    E_L: float = parameter(-70.6, "mV", "reversal potential of the leak")
    Delta_T: float = parameter(2.0, "mV", "sharpness of the spike's onset", above=0)
    V_T: float = parameter(-50.4, "mV", "soft threshold")
    V_th: float = parameter(0.0, "mV", "where a spike is counted")
    V_reset: float = parameter(-70.6, "mV", "reset")
    tau_w: float = parameter(144.0, "ms", "time constant of the adaptation", above=0)
    a: float = parameter(4.0, "nS", "subthreshold adaptation")
    b: float = parameter(80.5, "pA", "spike-triggered adaptation")
    t_ref: float = parameter(0.0, "ms", "refractory period", at_least=0)
