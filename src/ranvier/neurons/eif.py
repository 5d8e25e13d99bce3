"""Exponential integrate-and-fire."""

from ranvier.equations import Equations, parameter
from ranvier.neurons._base import Neuron


class EIF(Neuron):
    """Exponential integrate-and-fire neuron (Fourcaud-Trocmé et al. 2003, eq. 2.2).

    The defaults are the cortical neuron of Trousdale et al. 2012.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.EIF(V_T=-50.0).parameters["Delta_T"]
    1.4
    >>> rv.EIF.equations.names, rv.EIF.equations.noises
    (('V',), ('xi',))
    """

    equations = Equations(
        """dV/dt = (E_L - V + psi + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV
        psi = Delta_T*exp((V - V_T)/Delta_T)""",
        threshold="V >= V_th",
        reset="V = V_reset",
        refractory="t_ref",
    )
    initial = {"V": "E_L"}
    relations = ("V_reset < V_th",)
    tau_m: float = parameter(20.0, "ms", "membrane time constant", above=0)
    E_L: float = parameter(-54.0, "mV", "reversal potential of the leak")
    Delta_T: float = parameter(1.4, "mV", "sharpness of the spike's onset", above=0)
    V_T: float = parameter(-52.5, "mV", "soft threshold")
    V_th: float = parameter(20.0, "mV", "where a spike is counted")
    V_reset: float = parameter(-54.0, "mV", "reset")
    t_ref: float = parameter(2.0, "ms", "refractory period", at_least=0)
    g_L: float = parameter(10.0, "nS", "leak conductance, which only conductance-based synapses use", above=0)
