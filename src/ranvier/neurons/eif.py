"""Exponential integrate-and-fire."""

from ranvier.equations import Equations
from ranvier.neurons._base import Neuron


class EIF(Neuron):
    """Exponential integrate-and-fire neuron (Fourcaud-Trocmé et al. 2003, eq. 2.2).

    The defaults are the cortical neuron of Trousdale et al. 2012.
    """

    equations = Equations(
        """dV/dt = (E_L - V + psi + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV
        psi = Delta_T*exp((V - V_T)/Delta_T)""",
        threshold="V >= V_th",
        reset="V = V_reset",
        refractory="t_ref",
    )
    initial = {"V": "E_L"}
    tau_m: float = 20.0  # ms
    E_L: float = -54.0  # mV
    Delta_T: float = 1.4  # mV, sharpness of the spike's onset
    V_T: float = -52.5  # mV, soft threshold
    V_th: float = 20.0  # mV, where a spike is counted
    V_reset: float = -54.0  # mV
    t_ref: float = 2.0  # ms
    g_L: float = 10.0  # nS
